"""The tables of contacts: the people of a customer, and the further ways to reach it and them."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Boolean, Date, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.orm import TENANT, Base, TenantRow, Versioned, keys


class Contact(TenantRow, Versioned, Base):
    """Somebody of a customer (người liên hệ). A person's own contact is not here: it is the customer itself."""

    __tablename__ = "contact"
    __table_args__ = (
        *keys("contact", ("customer_id", "customer"), cascade=True),
        Index("contact_customer_ix", "tenant_id", "customer_id", "id"),
        Index(
            "contact_primary_uq",
            "tenant_id",
            "customer_id",
            unique=True,
            postgresql_where=text("is_primary"),
        ),
        Index("contact_batch_ix", "tenant_id", "batch_id", postgresql_where=text("batch_id IS NOT NULL")),
        {"info": TENANT | {"searchable": True}},
    )

    customer_id: Mapped[UUID]
    name: Mapped[str]
    position: Mapped[str | None]
    birthday: Mapped[date | None] = mapped_column(Date)
    gender: Mapped[str | None]
    note: Mapped[str | None]
    is_primary: Mapped[bool] = mapped_column(Boolean, doc="whom to ask for; at most one of a customer")
    created_by: Mapped[UUID | None]
    batch_id: Mapped[UUID | None] = mapped_column(doc="the import that added it")


class ContactPoint(TenantRow, Base):
    """A further phone, e-mail address, postal address or link, of a contact or of the customer itself.

    A value never changes: it is added and removed.
    """

    __tablename__ = "contact_point"
    __table_args__ = (
        *keys("contact_point", ("customer_id", "customer"), ("contact_id", "contact"), cascade=True),
        Index("contact_point_customer_ix", "tenant_id", "customer_id", "id"),
        Index("contact_point_contact_ix", "tenant_id", "contact_id", postgresql_where=text("contact_id IS NOT NULL")),
        Index(
            "contact_point_phone_ix",
            "tenant_id",
            "tail",
            postgresql_ops={"tail": "text_pattern_ops"},
            postgresql_where=text("tail IS NOT NULL"),
        ),
        {"info": TENANT | {"searchable": True}},
    )

    customer_id: Mapped[UUID]
    contact_id: Mapped[UUID | None] = mapped_column(doc="absent: the customer's own")
    kind: Mapped[str] = mapped_column(Text, doc="phone, email, address or link")
    label: Mapped[str | None] = mapped_column(Text, doc="nhà riêng, Facebook, kho hàng …")
    value: Mapped[str] = mapped_column(Text, doc="a phone in E.164")
    typed: Mapped[str | None] = mapped_column(Text, doc="a phone as it was typed, where that differs")
    tail: Mapped[str | None] = mapped_column(Text, doc="a phone's digits backwards, to find last digits")
    created_at: Mapped[datetime]
