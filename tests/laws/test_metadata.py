"""Promise 9, before the database is asked: what the models declare."""

from collections.abc import Iterator

import pytest
from sqlalchemy import (
    Column,
    Constraint,
    Identity,
    Index,
    PrimaryKeyConstraint,
    Sequence,
    Table,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import ExcludeConstraint

from app.core.orm import SCHEMA, kind_of
from app.tables import metadata
from tests.laws.allowed import ACROSS_TENANTS, NO_TENANT, STAGING

TABLES = list(metadata.sorted_tables)
# Citus appends `_<shard>` to every name; PostgreSQL cuts at 63.
LONGEST = 54

pytestmark = pytest.mark.promise(9)
each_table = pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)


def owned() -> Iterator[Table]:
    """The tables whose rows belong to a tenant."""
    return (table for table in TABLES if kind_of(table) != "reference")


def names(columns: object) -> list[str]:
    """The names of a constraint's or an index's columns; expressions are left out."""
    return [column.name for column in columns if isinstance(column, Column)]  # type: ignore[attr-defined]


def first_column(index: Index) -> str:
    """The name of an index's first column, "" when that is an expression."""
    first = next(iter(index.expressions))
    return first.name if isinstance(first, Column) else ""


@each_table
def test_every_table_declares_its_kind(table: Table) -> None:
    assert table.schema == SCHEMA
    assert table.info.get("kind") in ("tenant", "reference", "staging"), f"{table.name}: say its kind in Table.info"


def test_tables_of_no_tenant_are_known() -> None:
    assert {table.name for table in TABLES if kind_of(table) == "reference"} == set(NO_TENANT)
    assert {table.name for table in TABLES if kind_of(table) == "staging"} <= set(STAGING)


@each_table
def test_keys_begin_with_the_tenant(table: Table) -> None:
    if kind_of(table) == "reference":
        return
    column = table.c.tenant_id
    assert not column.nullable
    assert str(column.type) == "UUID" or column.type.__class__.__name__ == "Uuid"
    for constraint in table.constraints:
        if isinstance(constraint, PrimaryKeyConstraint | UniqueConstraint):
            assert names(constraint.columns)[0] == "tenant_id", f"{constraint.name} must begin with tenant_id"
        if isinstance(constraint, ExcludeConstraint):
            assert "tenant_id" in names(constraint.columns), f"{constraint.name} must compare tenant_id"
    for index in table.indexes:
        if index.name not in ACROSS_TENANTS or index.unique:
            assert first_column(index) == "tenant_id", f"{index.name} must begin with tenant_id"


def test_indexes_across_tenants_exist() -> None:
    assert set(ACROSS_TENANTS) <= {str(index.name) for table in TABLES for index in table.indexes}


@each_table
def test_foreign_keys_stay_within_the_tenant(table: Table) -> None:
    for key in table.foreign_key_constraints:
        target = key.elements[0].column.table
        actions = {key.ondelete or "NO ACTION", key.onupdate or "NO ACTION"}
        assert actions <= {"NO ACTION", "RESTRICT", "CASCADE"}, f"{key.name}: Citus has no SET NULL here"
        assert (key.onupdate or "NO ACTION") in ("NO ACTION", "RESTRICT"), f"{key.name}: ids never change"
        if kind_of(target) == "reference":
            continue
        assert kind_of(table) != "reference", f"{key.name}: a reference table knows nothing of tenants' rows"
        assert names(key.columns)[0] == "tenant_id", f"{key.name} must begin with tenant_id"
        assert key.elements[0].column.name == "tenant_id", f"{key.name} must point to tenant_id first"


@each_table
def test_names_are_explicit_and_short(table: Table) -> None:
    things: list[Constraint | Index] = [*table.constraints, *table.indexes]
    for thing in things:
        assert thing.name, f"{table.name}: {thing!r} has no name"
        assert len(str(thing.name)) <= LONGEST, f"{thing.name}: longer than {LONGEST}"
    assert len(table.name) <= LONGEST


@each_table
def test_no_number_comes_from_a_sequence(table: Table) -> None:
    for column in table.c:
        assert not isinstance(column.default, Sequence), f"{table.name}.{column.name}: counters are per tenant"
        assert not isinstance(column.server_default, Identity), f"{table.name}.{column.name}: counters are per tenant"
