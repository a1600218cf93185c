"""The tables of duplicates: the workspace's keys, the values found by them, what was dismissed, and merges."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import BigInteger, Index, Integer, PrimaryKeyConstraint, Text, Uuid, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.orm import TENANT, Base, TenantRow, Versioned, keys, reference

# What a lead gives a contact that it turns out to be, with the types of the columns; and what such a contact's item of
# the merge is called, which keeps {before, written}.
PERSON: Final = {"name": "text", "position": "text", "birthday": "date", "gender": "text", "note": "text"}
FILLED: Final = "filled_contacts"


class DuplicateSetting(TenantRow, Versioned, Base):
    """By what a workspace knows duplicates (thiết lập trùng lặp dữ liệu); its id is the workspace's."""

    __tablename__ = "duplicate_setting"
    __table_args__ = (*keys("duplicate_setting"), {"info": TENANT})

    keys: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, doc="[{no, fields, imports, ready}]")
    last_no: Mapped[int] = mapped_column(Integer, doc="the last number given to a key; none is used twice")
    scanned_at: Mapped[datetime | None] = mapped_column(doc="when the last look for the values of the centre began")


class DuplicateValue(Base):
    """That a customer had a value under a key. A hint: the customer itself is asked before anything follows from it."""

    __tablename__ = "duplicate_key"
    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "key_no", "value_hash", "customer_id", name="duplicate_key_pk"),
        reference("duplicate_key", "customer_id", "customer", cascade=True),
        Index("duplicate_key_customer_ix", "tenant_id", "customer_id"),
        {"info": TENANT},
    )

    tenant_id: Mapped[UUID]
    key_no: Mapped[int] = mapped_column(Integer, doc="of the workspace's keys; negative for those of the centre alone")
    value_hash: Mapped[int] = mapped_column(BigInteger)
    customer_id: Mapped[UUID]


class Dismissal(Base):
    """That these customers, told by one dismissal_id, are not the same."""

    __tablename__ = "duplicate_dismissal"
    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "dismissal_id", "customer_id", name="duplicate_dismissal_pk"),
        reference("duplicate_dismissal", "customer_id", "customer", cascade=True),
        Index("duplicate_dismissal_customer_ix", "tenant_id", "customer_id"),
        {"info": TENANT},
    )

    tenant_id: Mapped[UUID]
    dismissal_id: Mapped[UUID]
    customer_id: Mapped[UUID]
    dismissed_at: Mapped[datetime]
    dismissed_by: Mapped[UUID]


class Merge(TenantRow, Versioned, Base):
    """A merge (gộp khách hàng) and what it takes to undo it. No foreign keys: it stays when a customer is purged."""

    __tablename__ = "customer_merge"
    __table_args__ = (
        *keys("customer_merge"),
        Index("customer_merge_master_ix", "tenant_id", "master_id"),
        Index("customer_merge_batch_ix", "tenant_id", "batch_id", "id", postgresql_where=text("batch_id IS NOT NULL")),
        {"info": TENANT},
    )

    master_id: Mapped[UUID]
    source_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid(as_uuid=True)))
    sources: Mapped[str] = mapped_column(Text, doc="what became of them: delete, archive, keep")
    batch_id: Mapped[UUID | None] = mapped_column(doc="the job that merged by a rule")
    before: Mapped[dict[str, Any]] = mapped_column(JSONB, doc="the master's columns that the merge wrote, as they were")
    written: Mapped[dict[str, Any]] = mapped_column(JSONB, doc="the same columns as the merge wrote them")
    moved: Mapped[dict[str, Any]] = mapped_column(JSONB, doc="rows moved or copied, by what they are")
    undo: Mapped[dict[str, Any] | None] = mapped_column(JSONB, doc="what the undo kept and could not give back")
    undone_at: Mapped[datetime | None]
    created_by: Mapped[UUID]
    created_by_name: Mapped[str]


class MergeItem(Base):
    """A row that a merge moved or copied to the master, or a source as it was."""

    __tablename__ = "merge_item"
    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "merge_id", "what", "row_id", "source_id", name="merge_item_pk"),
        reference("merge_item", "merge_id", "customer_merge", cascade=True),
        {"info": TENANT},
    )

    tenant_id: Mapped[UUID]
    merge_id: Mapped[UUID]
    what: Mapped[str] = mapped_column(Text, doc="an entry of app/duplicates/related.py, or what was added or filled")
    row_id: Mapped[UUID]
    source_id: Mapped[UUID]
    before: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
