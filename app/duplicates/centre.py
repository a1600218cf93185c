"""The duplicate centre: customers who may be one, with the reasons, until they are merged or dismissed.

Rows of crm.duplicate_key name the candidates; the customers themselves, as they are now, decide.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import asyncpg
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.db import driver, tenant_of
from app.core.errors import NotFound
from app.core.i18n import language
from app.core.paging import Pager
from app.customers import registry as registries
from app.customers.duplicate_keys import DuplicateKey
from app.customers.models import MONTH_DAY
from app.customers.visibility import visible
from app.customers.words import phone_tail
from app.duplicates import dismissals, reasons
from app.duplicates.models import DuplicateSetting
from app.duplicates.schemas import ClusterOut, ClusterPage, OtherOut, OthersOut, ReasonOut, SuspectOut
from app.filters.search import Sql

__all__ = ["FIRST", "START", "Members", "Position", "members", "others", "page", "repeated"]

Position = tuple[int, int]

# Of a cluster with more customers, which is hardly one person, these are looked at.
LOOKED_AT: Final = 100
# Rounds of looking for values that a page does before it says that there is more, and the rows that a round reads.
ROUNDS: Final = 20
WINDOW: Final = 50_000
START: Final[Position] = (2**31 - 1, 2**63 - 1)
FIRST: Final = UUID(int=0)
COLUMNS = "c.id, c.code, c.name, c.kind, c.phone, c.email, c.owner_id, c.created_at, c.version"

# A value at the end of a full window may go on behind it.
REPEATED = f"""
SELECT v.key_no, v.value_hash, v.read = {WINDOW} AS full FROM (
    SELECT w.key_no, w.value_hash, count(*) AS size, sum(count(*)) OVER () AS read,
           row_number() OVER (ORDER BY w.key_no, w.value_hash) AS place
    FROM (
        SELECT d.key_no, d.value_hash FROM crm.duplicate_key d
        WHERE d.tenant_id = $1 AND d.key_no = ANY($2::int[]) AND (d.key_no, d.value_hash) < ($3::int, $4::bigint)
        ORDER BY d.key_no DESC, d.value_hash DESC LIMIT {WINDOW}
    ) AS w GROUP BY w.key_no, w.value_hash
) AS v WHERE v.size > 1 OR (v.read = {WINDOW} AND v.place = 1)
ORDER BY v.key_no DESC, v.value_hash DESC LIMIT $5
"""
MEMBERS = """
SELECT v.place, m.id FROM unnest($2::int[], $3::bigint[], $4::uuid[]) WITH ORDINALITY AS v (no, hash, behind, place)
CROSS JOIN LATERAL ({found} ORDER BY id LIMIT {limit}) AS m ORDER BY v.place, m.id
"""
HOLDERS = """
SELECT c.id{columns} FROM crm.duplicate_key d JOIN crm.customer c ON c.tenant_id = $1 AND c.id = d.customer_id
WHERE d.tenant_id = $1 AND d.key_no = v.no AND d.value_hash = v.hash AND d.customer_id > v.behind
  AND c.deleted_at IS NULL AND {visible} AND {holds}
"""


@dataclass(frozen=True)
class Members:
    """Customers who have a value, in the order of their ids; `more` says that there are others behind them."""

    ids: Sequence[UUID]
    more: bool


@dataclass(frozen=True)
class Cluster:
    """Customers who share the value of a reason; `shared` are all values that they all share, by key number."""

    position: Position
    customers: Sequence[Mapping[str, Any]]
    shared: Mapping[int, str]
    more: bool


async def page(session: AsyncSession, actor: Actor, *, limit: int, cursor: str | None, secret: bytes) -> ClusterPage:
    """A page of clusters of customers whom the caller may see."""
    registry = await registries.load(session)
    known = reasons.all_reasons(registry.duplicate_keys)
    pager = Pager(secret, actor.tenant_id, actor.id, "duplicates", [key.no for key in known])
    position = pager.position(cursor)
    after = (int(position[0]), int(position[1])) if position else START
    raw = await driver(session)
    found, last = await _clusters(raw, actor, known, after, limit)
    items = [
        ClusterOut(reasons=_reasons(known, each.shared), customers=[*map(_suspect, each.customers)], more=each.more)
        for each in found
    ]
    scanned_at = await session.scalar(
        select(DuplicateSetting.scanned_at).where(DuplicateSetting.id == tenant_of(session))
    )
    return ClusterPage(items=items, next_cursor=pager.cursor(last) if last else None, scanned_at=scanned_at)


async def repeated(
    raw: asyncpg.Connection, tenant_id: UUID, numbers: Sequence[int], after: Position, limit: int
) -> tuple[list[Position], bool]:
    """The next values under these keys that several customers may have, and whether there may be more behind them."""
    rows = await raw.fetch(REPEATED, tenant_id, list(numbers), *after, limit)
    found = [(row["key_no"], row["value_hash"]) for row in rows]
    return found, bool(rows) and (rows[-1]["full"] or len(rows) == limit)


async def members(
    raw: asyncpg.Connection,
    actor: Actor,
    wanted: Sequence[DuplicateKey],
    values: Sequence[tuple[Position, UUID]],
    alike: DuplicateKey | None = None,
) -> list[Members]:
    """The live customers whom the caller may see and who still have these values, each looked for behind an id. With
    `alike` only those of whom several also share that."""
    if not values:
        return []
    sql = Sql(actor.tenant_id, [[one[0] for one, _ in values], [one[1] for one, _ in values], [at for _, at in values]])
    seen, holds = visible(sql, actor), reasons.holds(wanted)
    found = HOLDERS.format(columns="", visible=seen, holds=holds)
    if alike is not None:
        also = alike.value()
        columns, holds = f", count(*) OVER (PARTITION BY {also}) AS size", f"{holds} AND {also} IS NOT NULL"
        found = f"SELECT h.id FROM ({HOLDERS.format(columns=columns, visible=seen, holds=holds)}) AS h WHERE h.size > 1"
    ids: list[list[UUID]] = [[] for _ in values]
    for row in await raw.fetch(MEMBERS.format(found=found, limit=LOOKED_AT + 1), *sql.args):
        ids[row["place"] - 1].append(row["id"])
    return [Members(each[:LOOKED_AT], len(each) > LOOKED_AT) for each in ids]


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
    candidates = await _who_may_share(raw, actor, customer_id, own)
    hidden = await dismissals.apart(raw, actor.tenant_id, [customer_id])
    held = await _held(raw, actor.tenant_id, known, candidates)
    items = []
    for row in await _people(raw, actor, candidates):
        shared = {key[0]: value for key, value in own.items() if held.get(row["id"], {}).get(key) == value}
        if shared and not any({customer_id, row["id"]} <= one for one in hidden):
            suspect = _suspect(row).model_dump()
            items.append(OtherOut(**suspect, reasons=_reasons(known, shared)))
    return OthersOut(items=items[:LOOKED_AT])


async def _clusters(
    raw: asyncpg.Connection, actor: Actor, known: Sequence[DuplicateKey], after: Position, limit: int
) -> tuple[list[Cluster], Position | None]:
    """Up to `limit` clusters behind a position, and where to go on if there may be more."""
    found: list[Cluster] = []
    for _ in range(ROUNDS):
        values, more = await repeated(raw, actor.tenant_id, [key.no for key in known], after, limit + 1)
        for cluster in await _confirmed(raw, actor, known, values):
            if len(found) == limit:
                return found, found[-1].position
            found.append(cluster)
        if not more:
            return found, None
        after = values[-1]
    return found, after


async def _confirmed(
    raw: asyncpg.Connection, actor: Actor, known: Sequence[DuplicateKey], values: Sequence[Position]
) -> list[Cluster]:
    holders = await members(raw, actor, known, [(one, FIRST) for one in values])
    ids = sorted({one for each in holders for one in each.ids if len(each.ids) > 1})
    people = {row["id"]: row for row in await _people(raw, actor, ids)}
    held = await _held(raw, actor.tenant_id, known, list(people))
    hidden = await dismissals.apart(raw, actor.tenant_id, people)
    confirmed = []
    for position, each in zip(values, holders, strict=True):
        alike = [one for one in each.ids if one in people and position in held.get(one, {})]
        if len(alike) < 2 or (not each.more and any(set(alike) <= one for one in hidden)):
            continue
        shared = set.intersection(*(set(held[one].items()) for one in alike))
        # The same customers were shown before, by another value that they share.
        if any(key > position for key, _ in shared):
            continue
        customers = sorted((people[one] for one in alike), key=lambda one: (one["created_at"], one["id"]))
        texts = {key[0]: value for key, value in sorted(shared)}
        confirmed.append(Cluster(position, customers, texts, each.more))
    return confirmed


async def _held(
    raw: asyncpg.Connection, tenant_id: UUID, known: Sequence[DuplicateKey], ids: Sequence[UUID]
) -> dict[UUID, dict[Position, str]]:
    """What each of these customers is now: {customer: {(key, hash): value}}."""
    held: dict[UUID, dict[Position, str]] = defaultdict(dict)
    if ids:
        found = reasons.values(known, "c.id = ANY($2::uuid[])", "p.customer_id = ANY($2::uuid[])")
        statement = f"SELECT customer_id, key_no, hashtextextended(value, 0) AS value_hash, value FROM ({found}) AS v"
        for row in await raw.fetch(statement, tenant_id, list(ids)):
            held[row["customer_id"]][row["key_no"], row["value_hash"]] = row["value"]
    return held


async def _who_may_share(
    raw: asyncpg.Connection, actor: Actor, customer_id: UUID, own: Mapping[Position, str]
) -> list[UUID]:
    """Candidates for the same values: by the values that are stored, and by the indexes on customers and phones."""
    phones = [value for (no, _), value in own.items() if no == reasons.PHONE.no]
    emails = [value for (no, _), value in own.items() if no == reasons.EMAIL.no]
    sql = Sql(actor.tenant_id, [customer_id])
    nos, hashes = sql.arg([no for no, _ in own]), sql.arg([value_hash for _, value_hash in own])
    given, tails = sql.arg(phones), sql.arg([phone_tail(one) for one in phones])
    live = f"c.tenant_id = $1 AND c.id <> $2 AND c.deleted_at IS NULL AND {visible(sql, actor)}"
    rows = await raw.fetch(
        f"""
        SELECT DISTINCT found.id FROM (
            (SELECT c.id FROM unnest({nos}::int[], {hashes}::bigint[]) AS own (no, hash)
             JOIN crm.duplicate_key d ON d.tenant_id = $1 AND d.key_no = own.no AND d.value_hash = own.hash
             JOIN crm.customer c ON c.id = d.customer_id AND {live} LIMIT {LOOKED_AT})
            UNION ALL (SELECT c.id FROM crm.customer c WHERE {live} AND c.phone = ANY({given}::text[]))
            UNION ALL (SELECT c.id FROM crm.contact_point p JOIN crm.customer c ON c.id = p.customer_id AND {live}
             WHERE p.tenant_id = $1 AND p.tail = ANY({tails}::text[]) LIMIT {LOOKED_AT})
            UNION ALL (SELECT c.id FROM crm.customer c
             WHERE {live} AND c.email = ANY({sql.arg(emails)}::text[]) LIMIT {LOOKED_AT})
            UNION ALL (SELECT c.id FROM crm.customer me JOIN crm.customer c
                ON {live} AND {MONTH_DAY.format("c.birthday")} = {MONTH_DAY.format("me.birthday")}
                AND c.birthday = me.birthday
             WHERE me.tenant_id = $1 AND me.id = $2 LIMIT {10 * LOOKED_AT})
        ) AS found
        """,
        *sql.args,
    )
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
