"""The duplicate centre: customers who may be one, with the reasons, until they are merged or dismissed.

Rows of crm.duplicate_key name the candidates; the customers themselves, as they are now, decide.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.clock import new_id, now
from app.core.db import driver, tenant_of
from app.core.errors import NotFound, invalid
from app.core.events import record
from app.core.i18n import language
from app.core.paging import Pager
from app.customers import registry as registries
from app.customers.duplicate_keys import DuplicateKey
from app.customers.values import phone_tail
from app.customers.visibility import visible
from app.duplicates import reasons
from app.duplicates.models import Dismissal, DuplicateSetting
from app.duplicates.schemas import ClusterOut, ClusterPage, DismissedOut, OtherOut, OthersOut, ReasonOut, SuspectOut
from app.filters.search import Sql

__all__ = ["Cluster", "clusters", "dismiss", "others", "page"]

# Of a cluster with more customers, which is hardly one person, these are shown.
MOST = 100
# Rounds of looking for candidates that a page does before it says that there is more.
ROUNDS = 20
COLUMNS = "c.id, c.code, c.name, c.kind, c.phone, c.email, c.owner_id, c.created_at, c.version"

CANDIDATES = f"""
SELECT d.key_no, d.value_hash, (array_agg(d.customer_id ORDER BY d.customer_id))[1:{MOST}] AS ids
FROM crm.duplicate_key d
WHERE d.tenant_id = $1 AND d.key_no = ANY($2::int[]) AND (d.key_no, d.value_hash) < ($3::int, $4::bigint)
GROUP BY d.key_no, d.value_hash HAVING count(*) > 1
ORDER BY d.key_no DESC, d.value_hash DESC LIMIT $5
"""
START = (2**31 - 1, 2**63 - 1)
DISMISSED = """
SELECT array_agg(d.customer_id) AS ids FROM crm.duplicate_dismissal d
WHERE d.tenant_id = $1 AND d.dismissal_id IN (
    SELECT x.dismissal_id FROM crm.duplicate_dismissal x WHERE x.tenant_id = $1 AND x.customer_id = ANY($2::uuid[]))
GROUP BY d.dismissal_id
"""

Held = Mapping[UUID, Mapping[tuple[int, int], str]]


@dataclass(frozen=True)
class Cluster:
    """Customers who share the value of a reason; `shared` are all values that they all share, by key number."""

    position: tuple[int, int]
    ids: tuple[UUID, ...]
    shared: Mapping[int, str]


async def page(session: AsyncSession, actor: Actor, *, limit: int, cursor: str | None, secret: bytes) -> ClusterPage:
    """A page of clusters of customers whom the caller may see."""
    registry = await registries.load(session)
    known = reasons.all_reasons(registry.duplicate_keys)
    pager = Pager(secret, actor.tenant_id, actor.id, "duplicates", [key.no for key in known])
    position = pager.position(cursor)
    after = (int(position[0]), int(position[1])) if position else START
    raw = await driver(session)
    found, last = await clusters(raw, actor, known, known, after, limit)
    people = {row["id"]: row for row in await _people(raw, actor, [one for each in found for one in each.ids])}
    items = [
        ClusterOut(reasons=_reasons(known, each.shared), customers=[_suspect(people[one]) for one in each.ids])
        for each in found
    ]
    scanned_at = await session.scalar(
        select(DuplicateSetting.scanned_at).where(DuplicateSetting.id == tenant_of(session))
    )
    return ClusterPage(items=items, next_cursor=pager.cursor(last) if last else None, scanned_at=scanned_at)


async def clusters(
    raw: asyncpg.Connection,
    actor: Actor,
    wanted: Sequence[DuplicateKey],
    known: Sequence[DuplicateKey],
    after: tuple[int, int],
    limit: int,
) -> tuple[list[Cluster], tuple[int, int] | None]:
    """Up to `limit` clusters by the wanted reasons behind a position, and where to go on if there may be more."""
    found: list[Cluster] = []
    numbers = [key.no for key in wanted]
    for _ in range(ROUNDS):
        rows = await raw.fetch(CANDIDATES, actor.tenant_id, numbers, *after, limit + 1)
        candidates = [((row["key_no"], row["value_hash"]), row["ids"]) for row in rows]
        for cluster in await _confirmed(raw, actor, known, candidates, numbers):
            if len(found) == limit:
                return found, found[-1].position
            found.append(cluster)
        if len(rows) <= limit:
            return found, None
        after = candidates[-1][0]
    return found, after


async def others(session: AsyncSession, actor: Actor, customer_id: UUID) -> OthersOut:
    """Who else may be this customer, as far as the caller may see them.

    Raises:
        NotFound
    """
    raw = await driver(session)
    if not await _people(raw, actor, [customer_id]):
        raise NotFound()
    known = reasons.all_reasons((await registries.load(session)).duplicate_keys)
    own = (await _held(raw, actor.tenant_id, known, [customer_id])).get(customer_id, {})
    candidates = await _who_may_share(raw, actor.tenant_id, customer_id, own)
    hidden = await _dismissed(raw, actor.tenant_id, [customer_id])
    held = await _held(raw, actor.tenant_id, known, candidates)
    items = []
    for row in await _people(raw, actor, candidates):
        shared = {key[0]: value for key, value in own.items() if held.get(row["id"], {}).get(key) == value}
        if shared and not any({customer_id, row["id"]} <= one for one in hidden):
            suspect = _suspect(row).model_dump()
            items.append(OtherOut(**suspect, reasons=_reasons(known, shared)))
    return OthersOut(items=items[:MOST])


async def dismiss(session: AsyncSession, actor: Actor, ids: Sequence[UUID]) -> DismissedOut:
    """Says that these customers are not one: their cluster is not shown again, unless somebody new joins it.

    Raises:
        NotFound: the caller may not see all of them.
        Invalid: it takes two.
    """
    wanted = sorted(set(ids))
    rows = await _people(await driver(session), actor, wanted)
    if len(rows) < len(wanted):
        raise NotFound()
    if len(wanted) < 2:
        raise invalid("customer_ids", "too_short", "Cần ít nhất hai khách hàng", "It takes two customers at least")
    dismissal_id, moment = new_id(), now()
    await session.execute(
        insert(Dismissal),
        [
            {
                "tenant_id": actor.tenant_id, "dismissal_id": dismissal_id, "customer_id": one,
                "dismissed_at": moment, "dismissed_by": actor.id,
            }
            for one in wanted
        ],
    )  # fmt: skip
    for one in wanted:
        not_same = [str(other) for other in wanted if other != one]
        await record(session, actor, "customer.duplicate_dismissed", one, data={"not_same_as": not_same})
    return DismissedOut(id=dismissal_id, customer_ids=wanted)


async def _confirmed(
    raw: asyncpg.Connection,
    actor: Actor,
    known: Sequence[DuplicateKey],
    candidates: Sequence[tuple[tuple[int, int], Sequence[UUID]]],
    numbers: Sequence[int],
) -> list[Cluster]:
    ids = sorted({one for _, each in candidates for one in each})
    if not ids:
        return []
    born = {row["id"]: row["created_at"] for row in await _people(raw, actor, ids)}
    held = await _held(raw, actor.tenant_id, known, list(born))
    hidden = await _dismissed(raw, actor.tenant_id, list(born))
    confirmed = []
    for position, each in candidates:
        members = [one for one in each if one in born and position in held.get(one, {})]
        if len(members) < 2 or any(set(members) <= one for one in hidden):
            continue
        shared = set.intersection(*(set(held[one].items()) for one in members))
        # The same customers were shown before, by another value that they share.
        if any(key[0] in numbers and key > position for key, _ in shared):
            continue
        members.sort(key=lambda one: (born[one], one))
        confirmed.append(Cluster(position, tuple(members), {key[0]: value for key, value in sorted(shared)}))
    return confirmed


async def _held(
    raw: asyncpg.Connection, tenant_id: UUID, known: Sequence[DuplicateKey], ids: Sequence[UUID]
) -> dict[UUID, dict[tuple[int, int], str]]:
    """What each of these customers is now: {customer: {(key, hash): value}}."""
    held: dict[UUID, dict[tuple[int, int], str]] = defaultdict(dict)
    if ids:
        found = reasons.values(known, "c.id = ANY($2::uuid[])", "p.customer_id = ANY($2::uuid[])")
        statement = f"SELECT customer_id, key_no, hashtextextended(value, 0) AS value_hash, value FROM ({found}) AS v"
        for row in await raw.fetch(statement, tenant_id, list(ids)):
            held[row["customer_id"]][row["key_no"], row["value_hash"]] = row["value"]
    return held


async def _who_may_share(
    raw: asyncpg.Connection, tenant_id: UUID, customer_id: UUID, own: Mapping[tuple[int, int], str]
) -> list[UUID]:
    """Candidates for the same values: by the values that are stored, and by the indexes on customers and phones."""
    phones = [value for (no, _), value in own.items() if no == reasons.PHONE.no]
    rows = await raw.fetch(
        f"""
        SELECT DISTINCT found.id FROM (
            (SELECT d.customer_id AS id FROM unnest($3::int[], $4::bigint[]) AS own (no, hash)
             JOIN crm.duplicate_key d ON d.tenant_id = $1 AND d.key_no = own.no AND d.value_hash = own.hash
             LIMIT {MOST})
            UNION ALL (SELECT c.id FROM crm.customer c
             WHERE c.tenant_id = $1 AND c.phone = ANY($5::text[]) AND c.deleted_at IS NULL)
            UNION ALL (SELECT p.customer_id FROM crm.contact_point p
             WHERE p.tenant_id = $1 AND p.tail = ANY($6::text[]) LIMIT {MOST})
            UNION ALL (SELECT c.id FROM crm.customer c
             WHERE c.tenant_id = $1 AND c.email = ANY($7::text[]) AND c.deleted_at IS NULL LIMIT {MOST})
            UNION ALL (SELECT c.id FROM crm.customer me JOIN crm.customer c
                ON c.tenant_id = $1 AND c.birth_md = me.birth_md AND c.birthday = me.birthday AND c.deleted_at IS NULL
             WHERE me.tenant_id = $1 AND me.id = $2 LIMIT {10 * MOST})
        ) AS found WHERE found.id <> $2
        """,
        tenant_id, customer_id, [no for no, _ in own], [value_hash for _, value_hash in own], phones,
        [phone_tail(one) for one in phones], [value for (no, _), value in own.items() if no == reasons.EMAIL.no],
    )  # fmt: skip
    return [row["id"] for row in rows]


async def _people(raw: asyncpg.Connection, actor: Actor, ids: Sequence[UUID]) -> list[asyncpg.Record]:
    """The live customers among these whom the caller may see, the oldest first."""
    sql = Sql(actor.tenant_id, [list(ids)])
    rows: list[asyncpg.Record] = await raw.fetch(
        f"""
        SELECT {COLUMNS}, u.full_name AS owner_name FROM crm.customer c
        LEFT JOIN crm.app_user u ON u.tenant_id = $1 AND u.id = c.owner_id
        WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[]) AND c.deleted_at IS NULL AND {visible(sql, actor)}
        ORDER BY c.created_at, c.id
        """,
        *sql.args,
    )
    return rows


async def _dismissed(raw: asyncpg.Connection, tenant_id: UUID, ids: Iterable[UUID]) -> list[set[UUID]]:
    return [set(row["ids"]) for row in await raw.fetch(DISMISSED, tenant_id, list(ids))]


def _suspect(row: Mapping[str, Any]) -> SuspectOut:
    return SuspectOut(**dict(row))


def _reasons(known: Sequence[DuplicateKey], shared: Mapping[int, str]) -> list[ReasonOut]:
    same = "Trùng" if language.get() == "vi" else "Same"
    return [
        ReasonOut.model_validate(
            {"fields": list(key.fields), "label": f"{same} {key.label}", "value": shared[key.no].replace("\x1f", " · ")}
        )
        for key in known
        if key.no in shared
    ]
