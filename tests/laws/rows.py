"""One plausible row for any table of the metadata, so that laws can walk tables that no test of theirs knows."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Column, Table
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeEngine

DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

# What stands in a required column, by the column's Python type or, where it has none, by its SQL type.
VALUES: dict[str, Any] = {
    "str": "x",
    "int": 1,
    "bool": True,
    "bytes": b"x",
    "datetime": MOMENT,
    "date": date(2026, 1, 2),
    "Decimal": Decimal(1),
    "float": 1.0,
    "list": [],
    "dict": {},
    "JSONB": "{}",
    "TSVECTOR": "x",
}


def row(table: Table, tenant_id: UUID, **given: Any) -> dict[str, Any]:
    """A row of the tenant's: every required column filled, ids at random."""
    values = {column.name: _value(column) for column in table.c if _required(column)}
    return values | {"tenant_id": tenant_id} | {name: value for name, value in given.items() if name in table.c}


def insert_sql(table: Table, values: Mapping[str, Any]) -> str:
    """INSERT with $1 … in the order of `values`."""
    names = ", ".join(f'"{name}"' for name in values)
    marks = ", ".join(f"${number}::{_cast(table.c[name].type)}" for number, name in enumerate(values, 1))
    return f"INSERT INTO {table.schema}.{table.name} ({names}) VALUES ({marks})"


def _required(column: Column[Any]) -> bool:
    return not column.nullable and column.computed is None


def _value(column: Column[Any]) -> Any:
    kind = _python_type(column.type)
    return uuid4() if kind == "UUID" else VALUES[kind]


def _cast(type_: TypeEngine[Any]) -> str:
    name = type_.compile(dialect=DIALECT)
    # The driver knows these as text only.
    return f"text::{name}" if name in ("JSONB", "TSVECTOR") else name


def _python_type(type_: TypeEngine[Any]) -> str:
    name = type(type_).__name__
    return name if name in VALUES else type_.python_type.__name__
