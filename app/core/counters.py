"""Numbers per tenant (customer codes, group numbers): counters' rows, because sequences are not per tenant.

A counter's row stays locked until the commit of who took a number. That is right for what is seldom made. What
many make at once is spread over shards: each takes the lowest number whose shard nobody holds, so numbers of one
at a time follow each other, and many at a time do not wait for each other.
"""

from uuid import UUID

import asyncpg
from sqlalchemy import BigInteger, PrimaryKeyConstraint, Text, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import driver, tenant_of
from app.core.orm import TENANT, Base

SHARDS = 16

PICK = """
WITH picked AS (
    SELECT name, value FROM crm.tenant_counter
    WHERE tenant_id = $1 AND name = ANY($2::text[]) ORDER BY value, name LIMIT 1 FOR UPDATE {skip})
UPDATE crm.tenant_counter AS shard SET value = shard.value + 1 FROM picked
WHERE shard.tenant_id = $1 AND shard.name = picked.name
RETURNING shard.name, shard.value
"""
OPEN = """
INSERT INTO crm.tenant_counter (tenant_id, name, value) SELECT $1, shard, 0 FROM unnest($2::text[]) AS shard
ON CONFLICT (tenant_id, name) DO NOTHING
"""


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


async def take_one_of_many(connection: asyncpg.Connection, tenant_id: UUID, name: str) -> int:
    """Takes one number of a sharded counter without waiting for others who take one."""
    shards = _shards(name)
    row = await connection.fetchrow(PICK.format(skip="SKIP LOCKED"), tenant_id, shards)
    if row is None:
        # The first number of all, or more takers at this moment than shards.
        await connection.execute(OPEN, tenant_id, shards)
        row = await connection.fetchrow(PICK.format(skip=""), tenant_id, shards)
    return (int(row["value"]) - 1) * SHARDS + shards.index(row["name"]) + 1


async def take_range(session: AsyncSession, name: str, count: int) -> int:
    """Takes `count` numbers of a sharded counter that follow each other, and returns the first. All shards stay
    locked until the commit: take them in a transaction of their own."""
    connection, tenant_id, shards = await driver(session), tenant_of(session), _shards(name)
    await connection.execute(OPEN, tenant_id, shards)
    rows = await connection.fetch(
        "SELECT value FROM crm.tenant_counter WHERE tenant_id = $1 AND name = ANY($2::text[]) ORDER BY name FOR UPDATE",
        tenant_id,
        shards,
    )
    highest: int = max(row["value"] for row in rows)
    await connection.execute(
        "UPDATE crm.tenant_counter SET value = $3 WHERE tenant_id = $1 AND name = ANY($2::text[])",
        tenant_id,
        shards,
        highest + -(-count // SHARDS),
    )
    return highest * SHARDS + 1


def _shards(name: str) -> list[str]:
    return [f"{name}#{shard:02d}" for shard in range(SHARDS)]
