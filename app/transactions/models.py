"""The tables of transactions."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Boolean, Index, Integer, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.orm import TENANT, Base, TenantRow, Versioned, keys, reference

NEWEST = (text("created_at DESC"), text("id DESC"))


class TransactionType(TenantRow, Versioned, Base):
    """A type of transactions (loại giao dịch), with the points that a completed one is worth."""

    __tablename__ = "transaction_type"
    __table_args__ = (
        *keys("transaction_type"),
        UniqueConstraint("tenant_id", "name_key", name="transaction_type_name_uq"),
        {"info": TENANT},
    )

    name: Mapped[str]
    name_key: Mapped[str]
    position: Mapped[int] = mapped_column(Integer)
    points: Mapped[int] = mapped_column(Integer)
    active: Mapped[bool] = mapped_column(Boolean)


class Transaction(TenantRow, Versioned, Base):
    """Something done, or to be done, with a customer (giao dịch)."""

    __tablename__ = "transaction"
    __table_args__ = (
        *keys("transaction", ("type_id", "transaction_type")),
        reference("transaction", "customer_id", "customer", cascade=True),
        Index("transaction_recent_ix", "tenant_id", *NEWEST),
        Index("transaction_customer_ix", "tenant_id", "customer_id", *NEWEST),
        Index("transaction_type_ix", "tenant_id", "type_id", "customer_id"),
        {"info": TENANT | {"searchable": True}},
    )

    customer_id: Mapped[UUID]
    type_id: Mapped[UUID]
    name: Mapped[str]
    description: Mapped[str]
    state: Mapped[str] = mapped_column(Text, doc="not_started, in_progress or completed")
    completed_at: Mapped[datetime | None]
    created_by: Mapped[UUID | None]
