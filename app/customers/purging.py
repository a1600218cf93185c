"""Deleting customers for good (xóa hẳn): what they were is gone; that they were, and who deleted them, stays told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.clock import new_id, now
from app.core.db import driver, tenant_of
from app.core.events import request_id
from app.core.i18n import language
from app.customers.changing import Outcome
from app.customers.visibility import visible
from app.filters.search import Sql

__all__ = ["WARNING", "Losses", "old", "preview_purge", "purge_many", "purge_old", "warning"]

# The guide's sentence (A069); whoever purges sends it back, in either language, as a sign that it was read.
WARNING: Final = {
    "vi": "Khách hàng bị xóa sẽ không thể khôi phục lại",
    "en": "A customer deleted for good cannot be restored",
}

ASKED = """
SELECT c.id, c.code, CASE WHEN ({visible}) IS NOT TRUE THEN 'not_found' WHEN c.deleted_at IS NULL THEN 'not_in_trash'
       WHEN c.deleted_reason = 'merge' THEN 'merged' END AS refusal
FROM crm.customer c WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[]) ORDER BY c.id {lock}
"""
FOR_UPDATE = "FOR UPDATE"
# Whoever was merged into one of them goes with it: the same person's data.
MERGED = """
SELECT c.id, c.code FROM crm.customer c
WHERE c.tenant_id = $1 AND c.deleted_at IS NOT NULL AND c.deleted_reason = 'merge' AND c.merged_into = ANY($2::uuid[])
ORDER BY c.id {lock}
"""
# What goes with a customer and is missed most: contracts with what they are worth, and how many transactions.
BUSINESS = """
SELECT c.id, k.contracts, t.transactions FROM unnest($2::uuid[]) AS c (id)
LEFT JOIN (
    SELECT k.customer_id, jsonb_agg(jsonb_build_object('id', k.id, 'number', k.number, 'value', k.value,
           'state', k.state, 'signed_on', k.signed_on) ORDER BY k.created_at, k.id) AS contracts
    FROM crm.contract k WHERE k.tenant_id = $1 AND k.customer_id = ANY($2::uuid[]) GROUP BY k.customer_id
) AS k ON k.customer_id = c.id
LEFT JOIN (
    SELECT t.customer_id, count(*) AS transactions FROM crm.transaction t
    WHERE t.tenant_id = $1 AND t.customer_id = ANY($2::uuid[]) GROUP BY t.customer_id
) AS t ON t.customer_id = c.id
WHERE k.contracts IS NOT NULL OR t.transactions IS NOT NULL
"""
# Memberships, unique values, contacts, contracts, transactions and the like go by their foreign keys.
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
# Nobody with contracts or completed transactions, nor whom such a one was merged into: without a person's word the
# company's books stay whole.
OLD = """
SELECT c.id FROM crm.customer c
WHERE c.tenant_id = $1 AND c.deleted_at IS NOT NULL AND c.deleted_at < $2 AND c.deleted_reason IS DISTINCT FROM 'merge'
  AND NOT EXISTS (
    WITH RECURSIVE one AS (
        SELECT c.id UNION
        SELECT m.id FROM one JOIN crm.customer m ON m.tenant_id = $1 AND m.merged_into = one.id
        WHERE m.deleted_reason = 'merge'
    )
    SELECT FROM one
    WHERE EXISTS (SELECT FROM crm.contract k WHERE k.tenant_id = $1 AND k.customer_id = one.id)
       OR EXISTS (SELECT FROM crm.transaction t
                  WHERE t.tenant_id = $1 AND t.customer_id = one.id AND t.state = 'completed'))
ORDER BY c.deleted_at, c.id LIMIT $3
"""


@dataclass
class _Outcome(Outcome):
    """With the reason of each who is skipped."""

    reasons: dict[UUID, str] = field(default_factory=dict)


@dataclass
class Losses:
    """How many contracts and transactions go with purged customers."""

    contracts: int = 0
    transactions: int = 0


def warning() -> str:
    """The guide's warning in the caller's language."""
    return WARNING[language.get()]


async def purge_many(
    session: AsyncSession, actor: Actor, batch_id: UUID | None, ids: Sequence[UUID], *, unseen: bool = False
) -> Outcome:
    """Deletes customers of the trash for good, with all that is theirs: search words, memberships, unique values,
    contacts, contracts and transactions. Each one's event names the contracts that went, with their values, and counts
    the transactions.

    Their other events stay, emptied; former values that batches and imports kept go. Skipped: whom the caller cannot
    see (`not_found`), who lives (`not_in_trash`), and who was merged (`merged`): that one goes with its master.
    `unseen` reaches everybody, for the system.
    """
    raw = await driver(session)
    outcome, gone = await _asked(raw, actor, ids, FOR_UPDATE, unseen=unseen)
    await _delete(raw, actor, batch_id, gone)
    if batch_id is not None:
        wanted = sorted(set(ids))
        reasons = [outcome.reasons.get(one) for one in wanted]
        statuses = ["skipped" if reason else "changed" for reason in reasons]
        await raw.execute(NOTE, actor.tenant_id, batch_id, wanted, statuses, reasons)
    return outcome


async def preview_purge(session: AsyncSession, actor: Actor, ids: Sequence[UUID]) -> tuple[Outcome, Losses]:
    """What `purge_many` would say in this moment, and what would go with the customers; writes nothing."""
    raw = await driver(session)
    outcome, gone = await _asked(raw, actor, ids, "")
    rows = await raw.fetch(BUSINESS, actor.tenant_id, list(gone))
    contracts = sum(len(row["contracts"] or ()) for row in rows)
    return outcome, Losses(contracts, sum(row["transactions"] or 0 for row in rows))


async def purge_old(session: AsyncSession, actor: Actor, batch_id: UUID, *, days: int, limit: int) -> int:
    """Purges customers who have been in the trash for more than so many days; answers how many, at most `limit`. Who
    has contracts or completed transactions stays."""
    ids = await old(session, days=days, limit=limit)
    await purge_many(session, actor, batch_id, ids, unseen=True)
    return len(ids)


async def old(session: AsyncSession, *, days: int, limit: int) -> list[UUID]:
    """Whom `purge_old` would take."""
    before: datetime = now() - timedelta(days=days)
    return [row["id"] for row in await (await driver(session)).fetch(OLD, tenant_of(session), before, limit)]


async def _asked(
    raw: asyncpg.Connection, actor: Actor, ids: Sequence[UUID], lock: str, *, unseen: bool = False
) -> tuple[_Outcome, dict[UUID, str]]:
    """What becomes of the customers; and the ids and codes of all who go, those merged into them too."""
    wanted = sorted(set(ids))
    sql = Sql(actor.tenant_id, [wanted])
    rows = await raw.fetch(ASKED.format(visible="true" if unseen else visible(sql, actor), lock=lock), *sql.args)
    gone = {row["id"]: row["code"] for row in rows if not row["refusal"]}
    found = {row["id"]: row["refusal"] for row in rows}
    outcome = _Outcome(changed=list(gone))
    for one in wanted:
        if reason := found.get(one, "not_found"):
            outcome.reasons[one] = reason
            outcome.refused[reason] = outcome.refused.get(reason, 0) + 1
    return outcome, gone | await _merged_into(raw, actor.tenant_id, list(gone), lock)


async def _merged_into(raw: asyncpg.Connection, tenant_id: UUID, masters: list[UUID], lock: str) -> dict[UUID, str]:
    """Ids and codes of all who were merged into these, also by way of another."""
    found = dict[UUID, str]()
    while masters:
        rows = await raw.fetch(MERGED.format(lock=lock), tenant_id, masters)
        masters = [row["id"] for row in rows if row["id"] not in found]
        found |= {row["id"]: row["code"] for row in rows}
    return found


async def _delete(raw: asyncpg.Connection, actor: Actor, batch_id: UUID | None, gone: Mapping[UUID, str]) -> None:
    """Deletes customers, whose codes these are."""
    ids = list(gone)
    if not ids:
        return
    told: dict[UUID, dict[str, Any]] = {one: {"code": code} for one, code in gone.items()}
    for row in await raw.fetch(BUSINESS, actor.tenant_id, ids):
        contracts, transactions = row["contracts"], row["transactions"]
        told[row["id"]] |= {"contracts": contracts} if contracts else {}
        told[row["id"]] |= {"transactions": transactions} if transactions else {}
    await raw.execute(DELETE_WORDS, actor.tenant_id, ids)
    await raw.execute(DELETE, actor.tenant_id, ids)
    await raw.execute(FORGET, actor.tenant_id, ids)
    await raw.execute(
        TELL, actor.tenant_id, ids, [new_id() for _ in ids],
        [msgspec.json.encode(told[one]).decode() for one in ids], now(), actor.kind, actor.id, actor.name,
        request_id.get(), batch_id,
    )  # fmt: skip
