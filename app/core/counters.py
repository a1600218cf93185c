"""Numbers per tenant (customer codes, group numbers): a counter's row, because sequences are not per tenant."""

from uuid import UUID

from sqlalchemy import BigInteger, PrimaryKeyConstraint, Text, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import tenant_of
from app.core.orm import TENANT, Base


class TenantCounter(Base):
    """The last number given out under a name."""

    __tablename__ = "tenant_counter"
    __table_args__ = (PrimaryKeyConstraint("tenant_id", "name", name="tenant_counter_pk"), {"info": TENANT})

    tenant_id: Mapped[UUID]
    name: Mapped[str] = mapped_column(Text)
    value: Mapped[int] = mapped_column(BigInteger)


async def take(session: AsyncSession, name: str, count: int = 1) -> int:
    """Takes `count` numbers and returns the first. The counter's row stays locked until the commit."""
    last: int = await session.scalar(
        text("""
        INSERT INTO crm.tenant_counter AS counter (tenant_id, name, value) VALUES (:tenant_id, :name, :count)
        ON CONFLICT (tenant_id, name) DO UPDATE SET value = counter.value + excluded.value
        RETURNING value
        """),
        {"tenant_id": tenant_of(session), "name": name, "count": count},
    )
    return last - count + 1
