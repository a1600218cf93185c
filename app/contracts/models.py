"""The table of contracts."""

from datetime import date
from uuid import UUID

from sqlalchemy import Boolean, Date, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.orm import TENANT, Base, TenantRow, Versioned, keys

NEWEST = (text("created_at DESC"), text("id DESC"))


class Contract(TenantRow, Versioned, Base):
    """A contract with a customer (hợp đồng)."""

    __tablename__ = "contract"
    __table_args__ = (
        *keys("contract", ("customer_id", "customer"), cascade=True),
        UniqueConstraint("tenant_id", "number_key", name="contract_number_uq"),
        Index("contract_recent_ix", "tenant_id", *NEWEST),
        Index("contract_customer_ix", "tenant_id", "customer_id", *NEWEST),
        {"info": TENANT | {"searchable": True}},
    )

    customer_id: Mapped[UUID]
    number: Mapped[str]
    number_key: Mapped[str] = mapped_column(Text, doc="the number in lower case, for uniqueness")
    name: Mapped[str]
    value: Mapped[int] = mapped_column(doc="VND")
    state: Mapped[str] = mapped_column(Text, doc="draft, active, finished or cancelled")
    signed_on: Mapped[date | None] = mapped_column(Date)
    starts_on: Mapped[date | None] = mapped_column(Date)
    ends_on: Mapped[date | None] = mapped_column(Date)
    move_to_signed: Mapped[bool] = mapped_column(Boolean, doc="chuyển khách hàng vào nhóm đã kí")
    note: Mapped[str]
    created_by: Mapped[UUID | None]
