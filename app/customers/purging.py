"""Deleting customers for good (xóa hẳn): what they were is gone; that they were, and who deleted them, stays told."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.clock import new_id, now
from app.core.db import driver
from app.core.events import request_id
from app.core.i18n import language
from app.customers.changing import Outcome
from app.customers.visibility import visible
from app.filters.search import Sql

__all__ = ["WARNING", "purge_many", "purge_old", "warning"]

# The guide's sentence (A069); whoever purges sends it back, in either language, as a sign that it was read.
WARNING: Final = {
    "vi": "Khách hàng bị xóa sẽ không thể khôi phục lại",
    "en": "A customer deleted for good cannot be restored",
}

LOCK = """
SELECT c.id, c.code, CASE WHEN NOT ({visible}) THEN 'not_found' WHEN c.deleted_at IS NULL THEN 'not_in_trash'
       WHEN c.deleted_reason = 'merge' THEN 'merged' END AS refusal
FROM crm.customer c WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[]) ORDER BY c.id FOR UPDATE
"""
# Whoever was merged into one of them goes with it: the same person's data.
MERGED = """
SELECT c.id, c.code FROM crm.customer c
WHERE c.tenant_id = $1 AND c.deleted_at IS NOT NULL AND c.deleted_reason = 'merge' AND c.merged_into = ANY($2::uuid[])
ORDER BY c.id FOR UPDATE
"""
# Memberships, unique values, contacts and the like go by their foreign keys.
DELETE = "DELETE FROM crm.customer WHERE tenant_id = $1 AND id = ANY($2::uuid[])"
DELETE_WORDS = "DELETE FROM crm.customer_search WHERE tenant_id = $1 AND id = ANY($2::uuid[])"
FORGET = "SELECT crm.forget_customers($1, $2::uuid[])"
TELL = """
INSERT INTO crm.event (tenant_id, id, at, kind, subject_type, subject_id, actor_kind, actor_id, actor_name, request_id,
                       batch_id, changes, data)
SELECT $1, given.event_id, $5::timestamptz, 'customer.purged', 'customer', given.id, $6::text, $7::uuid, $8::text,
       $9::text, $10::uuid, '{}', given.data::jsonb
FROM unnest($2::uuid[], $3::uuid[], $4::text[]) AS given (id, event_id, data)
ON CONFLICT (tenant_id, id) DO NOTHING
"""
NOTE = """
INSERT INTO crm.batch_item (tenant_id, batch_id, customer_id, status, code)
SELECT $1, $2::uuid, given.id, given.status, given.code
FROM unnest($3::uuid[], $4::text[], $5::text[]) AS given (id, status, code)
ON CONFLICT (tenant_id, batch_id, customer_id) DO NOTHING
"""
OLD = """
SELECT c.id FROM crm.customer c
WHERE c.tenant_id = $1 AND c.deleted_at IS NOT NULL AND c.deleted_at < $2 AND c.deleted_reason IS DISTINCT FROM 'merge'
ORDER BY c.deleted_at, c.id LIMIT $3
"""


def warning() -> str:
    """The guide's warning in the caller's language."""
    return WARNING[language.get()]


async def purge_many(
    session: AsyncSession, actor: Actor, batch_id: UUID | None, ids: Sequence[UUID], *, unseen: bool = False
) -> Outcome:
    """Deletes customers of the trash for good, with their search words, memberships, unique values and contacts.

    Their events stay, emptied; former values that batches and imports kept go. Skipped: whom the caller cannot see
    (`not_found`), who lives (`not_in_trash`), and who was merged (`merged`): that one goes with its master.
    `unseen` reaches everybody, for the system.
    """
    raw, wanted = await driver(session), sorted(set(ids))
    sql = Sql(actor.tenant_id, [wanted])
    rows = await raw.fetch(LOCK.format(visible="true" if unseen else visible(sql, actor)), *sql.args)
    refused = {row["id"]: row["refusal"] for row in rows if row["refusal"]}
    gone = {row["id"]: row["code"] for row in rows if not row["refusal"]}
    await _delete(raw, actor, batch_id, gone | await _merged_into(raw, actor.tenant_id, list(gone)))
    found = {row["id"] for row in rows}
    reasons = {one: refused.get(one) or (None if one in found else "not_found") for one in wanted}
    if batch_id is not None:
        statuses = ["skipped" if reasons[one] else "changed" for one in wanted]
        await raw.execute(NOTE, actor.tenant_id, batch_id, wanted, statuses, [reasons[one] for one in wanted])
    outcome = Outcome(changed=[one for one in wanted if not reasons[one]])
    for reason in filter(None, reasons.values()):
        outcome.refused[reason] = outcome.refused.get(reason, 0) + 1
    return outcome


async def purge_old(session: AsyncSession, actor: Actor, batch_id: UUID, *, days: int, limit: int) -> int:
    """Purges customers who have been in the trash for more than so many days; answers how many, at most `limit`."""
    raw = await driver(session)
    before: datetime = now() - timedelta(days=days)
    ids = [row["id"] for row in await raw.fetch(OLD, actor.tenant_id, before, limit)]
    await purge_many(session, actor, batch_id, ids, unseen=True)
    return len(ids)


async def _merged_into(raw: asyncpg.Connection, tenant_id: UUID, masters: list[UUID]) -> dict[UUID, str]:
    """Ids and codes of all who were merged into these, also by way of another."""
    found = dict[UUID, str]()
    while masters:
        rows = await raw.fetch(MERGED, tenant_id, masters)
        masters = [row["id"] for row in rows if row["id"] not in found]
        found |= {row["id"]: row["code"] for row in rows}
    return found


async def _delete(raw: asyncpg.Connection, actor: Actor, batch_id: UUID | None, gone: Mapping[UUID, str]) -> None:
    """Deletes customers, whose codes these are."""
    ids = list(gone)
    if not ids:
        return
    await raw.execute(DELETE_WORDS, actor.tenant_id, ids)
    await raw.execute(DELETE, actor.tenant_id, ids)
    await raw.execute(FORGET, actor.tenant_id, ids)
    told = [msgspec.json.encode({"code": code}).decode() for code in gone.values()]
    await raw.execute(
        TELL, actor.tenant_id, ids, [new_id() for _ in ids], told, now(), actor.kind, actor.id, actor.name,
        request_id.get(), batch_id,
    )  # fmt: skip
