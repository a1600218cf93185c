"""What hangs on the columns of customers who were changed: memberships, unique values, search words. Set-based."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from app.core.fields import Field
from app.customers.assigning import SEARCHED
from app.customers.words import phone_tail, search_words

__all__ = ["MEMBERS", "Taken", "claim", "join", "keep", "release", "write_words"]

# By column: the links, their column, and what they link to.
MEMBERS: Final = {
    "group_nos": ("group_member", "group_id", "customer_group"),
    "tag_nos": ("tag_member", "tag_id", "tag"),
}
# Nobody deletes a group or tag before this commits.
KEEP = "SELECT g.no FROM crm.{of} g WHERE g.tenant_id = $1 AND g.no = ANY($2::int[]) ORDER BY g.no FOR KEY SHARE"
RELEASE = "DELETE FROM crm.unique_value WHERE tenant_id = $1 AND customer_id = ANY($2::uuid[])"
RELEASE_ONE = (
    "DELETE FROM crm.unique_value WHERE tenant_id = $1 AND customer_id = ANY($2::uuid[]) AND attribute_id = $3::uuid"
)
# $2 customers, $3 attribute, $4 its key.
CLAIM = """
INSERT INTO crm.unique_value (tenant_id, attribute_id, value, customer_id)
SELECT $1, $3::uuid, c.attributes ->> $4::text, c.id
FROM crm.customer c WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[]) AND c.attributes ->> $4::text IS NOT NULL
ON CONFLICT (tenant_id, attribute_id, value) DO NOTHING
"""
LOST = """
SELECT count(*) FROM crm.customer c
JOIN crm.unique_value u ON u.tenant_id = $1 AND u.attribute_id = $3::uuid AND u.value = c.attributes ->> $4::text
WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[]) AND u.customer_id <> c.id
"""
WORDS = """
INSERT INTO crm.customer_search (tenant_id, id, words, phone_tail)
SELECT $1, given.id, array_to_tsvector(ARRAY(SELECT jsonb_array_elements_text(given.words::jsonb))), given.tail
FROM unnest($2::uuid[], $3::text[], $4::text[]) AS given (id, words, tail)
ON CONFLICT (tenant_id, id) DO UPDATE SET words = excluded.words, phone_tail = excluded.phone_tail
"""
FOUND_BY = f"SELECT c.id, {', '.join(f'c.{one}' for one in SEARCHED)} FROM crm.customer c WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[])"  # noqa: E501


class Taken(Exception):
    """A unique value was taken between the look and the claim."""


async def keep(connection: asyncpg.Connection, tenant_id: UUID, column: str, numbers: Iterable[int]) -> bool:
    """Holds the groups or tags of these numbers until the commit; False if one of them is no more."""
    wanted = sorted(set(numbers))
    held = await connection.fetch(KEEP.format(of=MEMBERS[column][2]), tenant_id, wanted)
    return len(held) == len(wanted)


async def join(
    connection: asyncpg.Connection,
    tenant_id: UUID,
    ids: Sequence[UUID],
    column: str,
    moment: datetime,
    batch_id: UUID | None,
) -> None:
    """Makes the memberships what the numbers say. The customers are read first, by their ids: the planner would rather
    read the whole workspace's."""
    table, key, of = MEMBERS[column]
    part = f"""WITH c AS MATERIALIZED (
        SELECT c.id, c.{column} AS nos FROM crm.customer c WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[]))"""
    await connection.execute(
        f"""
        {part} DELETE FROM crm.{table} m USING c, crm.{of} g
        WHERE m.tenant_id = $1 AND m.customer_id = ANY($2::uuid[]) AND m.customer_id = c.id
          AND g.tenant_id = $1 AND g.id = m.{key} AND g.no <> ALL(c.nos)
        """,
        tenant_id, ids,
    )  # fmt: skip
    await connection.execute(
        f"""
        {part} INSERT INTO crm.{table} (tenant_id, {key}, customer_id, added_at, batch_id)
        SELECT $1, g.id, c.id, $3::timestamptz, $4::uuid
        FROM c CROSS JOIN LATERAL unnest(c.nos) AS one (no) JOIN crm.{of} g ON g.tenant_id = $1 AND g.no = one.no
        ON CONFLICT (tenant_id, {key}, customer_id) DO NOTHING
        """,
        tenant_id, ids, moment, batch_id,
    )  # fmt: skip


async def release(connection: asyncpg.Connection, tenant_id: UUID, ids: Sequence[UUID]) -> None:
    """Gives back every unique value of customers who go to the trash."""
    await connection.execute(RELEASE, tenant_id, ids)


async def claim(connection: asyncpg.Connection, tenant_id: UUID, ids: Sequence[UUID], uniques: Iterable[Field]) -> None:
    """Lets customers hold the values of these attributes that they have now, and no other.

    Raises:
        Taken: somebody else holds one.
    """
    for one in uniques:
        args = (tenant_id, ids, one.attribute_id)
        await connection.execute(RELEASE_ONE, *args)
        await connection.execute(CLAIM, *args, one.name)
        if await connection.fetchval(LOST, *args, one.name):
            raise Taken


async def write_words(connection: asyncpg.Connection, tenant_id: UUID, ids: Sequence[UUID]) -> None:
    """Writes what the search box finds these customers by, from their rows."""
    rows = await connection.fetch(FOUND_BY, tenant_id, list(ids))
    # Ten thousand names take a second, in which the worker beats for its other jobs.
    words = await asyncio.to_thread(lambda: [_words(row) for row in rows])
    tails = [phone_tail(row["phone"]) for row in rows]
    await connection.execute(WORDS, tenant_id, [row["id"] for row in rows], words, tails)


def _words(row: asyncpg.Record) -> str:
    return msgspec.json.encode(search_words(row["name"], row["email"], row["tax_code"])).decode()
