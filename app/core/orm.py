"""Tables: the base classes, the kinds of table, and the columns that every tenant table has."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    DateTime,
    ForeignKeyConstraint,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA = "crm"
Kind = Literal["tenant", "reference", "staging"]


class Base(DeclarativeBase):
    """Every table lives in the schema `crm`, which stands in no search_path: names are qualified."""

    metadata = MetaData(schema=SCHEMA)
    type_annotation_map = {
        UUID: Uuid(as_uuid=True),
        datetime: DateTime(timezone=True),
        str: Text(),
        int: BigInteger(),
        dict[str, Any]: JSONB(),
    }


class TenantRow:
    """The columns of a row that belongs to one workspace: half of its primary key, and all of its RLS."""

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(primary_key=True)


class Versioned:
    """A record that people change: `version` is its ETag."""

    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


def keys(table: str, *foreign: tuple[str, str], cascade: bool = False) -> tuple[Any, ...]:
    """The primary key of a tenant table and its foreign keys, each within the tenant and named by rule.

    `foreign` holds pairs (column, table it points to); `cascade` deletes the rows with what they point to.
    """
    return (
        PrimaryKeyConstraint("tenant_id", "id", name=f"{table}_pk"),
        *(reference(table, column, target, cascade=cascade) for column, target in foreign),
    )


def reference(table: str, column: str, target: str, *, cascade: bool = False) -> ForeignKeyConstraint:
    """A foreign key that cannot leave the tenant."""
    return ForeignKeyConstraint(
        ["tenant_id", column],
        [f"{SCHEMA}.{target}.tenant_id", f"{SCHEMA}.{target}.id"],
        name=f"{table}_{column.removesuffix('_id')}_fk",
        ondelete="CASCADE" if cascade else None,
    )


def kind_of(table: Table) -> Kind:
    """The kind that the table declares in its `info`."""
    kind: Kind = table.info["kind"]
    return kind


TENANT: dict[str, Any] = {"kind": "tenant"}
REFERENCE: dict[str, Any] = {"kind": "reference"}
STAGING: dict[str, Any] = {"kind": "staging"}
