"""The tables of saved filters, and of what people see of the customer list."""

from typing import Any
from uuid import UUID

from sqlalchemy import Index, Text, UniqueConstraint
from sqlalchemy import Uuid as UuidType
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.core.orm import TENANT, Base, TenantRow, Versioned, keys


class SavedFilter(TenantRow, Versioned, Base):
    """A filter that somebody keeps (bộ lọc đã lưu), for themselves or for others too."""

    __tablename__ = "saved_filter"
    __table_args__ = (
        *keys("saved_filter"),
        UniqueConstraint("tenant_id", "owner_id", "name_key", name="saved_filter_name_uq"),
        Index("saved_filter_order_ix", "tenant_id", "name_key", "id"),
        {"info": TENANT},
    )

    owner_id: Mapped[UUID] = mapped_column(doc="the user or API key that made it")
    name: Mapped[str]
    name_key: Mapped[str]
    visibility: Mapped[str] = mapped_column(Text, doc="private, shared, team or workspace")
    user_ids: Mapped[list[UUID]] = mapped_column(ARRAY(UuidType()), doc="whom it is shared with")
    role_ids: Mapped[list[UUID]] = mapped_column(ARRAY(UuidType()), doc="the roles that it is shared with")
    team_ids: Mapped[list[UUID]] = mapped_column(ARRAY(UuidType()), doc="the teams, some of which may be no more")
    # Any JSON, as the tree was given; null is everybody.
    tree: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
    sort: Mapped[str | None]


class CustomerView(TenantRow, Versioned, Base):
    """What the customer list shows: the row with a user's id is theirs, the one with the tenant's is everybody's."""

    __tablename__ = "customer_view"
    __table_args__ = (*keys("customer_view"), {"info": TENANT})

    filters: Mapped[list[str] | None] = mapped_column(ARRAY(Text), doc="the filter bar; absent: as the next one says")
    columns: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    sort: Mapped[str | None]
