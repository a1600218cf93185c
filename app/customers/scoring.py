"""Scores and stars of customers (điểm tiềm năng, xếp hạng): a ledger of points, and what follows from their sum.

A customer's score is the points of its groups and, for each completed transaction, the points of its type (D040). It
follows from other facts, so that it changes neither the customer's version nor its history: the ledger is its history.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import jobs
from app.core.actor import Actor
from app.core.clock import new_id, now
from app.core.configuration import PerWorkspace
from app.core.db import driver, tenant_of
from app.core.errors import NotFound, Stale
from app.core.events import record, request_id
from app.customers import configuring
from app.customers.config_schemas import ScoreEntryOut, ScoreOut, ScoreRulesOut
from app.customers.models import Classification, ScoreRule
from app.customers.visibility import of_one
from app.filters.search import Sql

__all__ = [
    "METRICS", "RESCORE", "change_rules", "ledger", "part_of_scope", "recompute", "rescore_later", "rules_out",
    "size_of_scope",
]  # fmt: skip

RESCORE = "customers.rescore"
THRESHOLDS: Final = (10, 30, 50, 70, 90)
# What an automatic tier may ask for; names of the columns of FACTS.
METRICS: Final = ("score", "contract_value", "contracts", "transactions")

# Where points come from, by the names of tables, because the facts belong to packages above. $1 tenant, $2 customers.
SOURCES: Final = """
    SELECT m.customer_id, 'group' AS source_kind, g.id AS source_id, g.points
    FROM crm.group_member m JOIN crm.customer_group g ON g.tenant_id = $1 AND g.id = m.group_id
    WHERE m.tenant_id = $1 AND m.customer_id = ANY($2::uuid[]) AND g.points <> 0
    UNION ALL
    SELECT t.customer_id, 'transaction', t.id, y.points
    FROM crm.transaction t JOIN crm.transaction_type y ON y.tenant_id = $1 AND y.id = t.type_id
    WHERE t.tenant_id = $1 AND t.customer_id = ANY($2::uuid[]) AND t.state = 'completed' AND y.points <> 0
"""
LOCK = """
SELECT count(*) FROM (
    SELECT c.id FROM crm.customer c WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[]) ORDER BY c.id FOR UPDATE
) AS locked
"""
STRIKE = f"""
DELETE FROM crm.score_entry e
WHERE e.tenant_id = $1 AND e.customer_id = ANY($2::uuid[])
  AND (e.customer_id, e.source_kind, e.source_id) NOT IN (SELECT customer_id, source_kind, source_id FROM ({SOURCES}) s)
"""
ENTER = f"""
INSERT INTO crm.score_entry AS held (tenant_id, customer_id, source_kind, source_id, points, at)
SELECT $1, s.customer_id, s.source_kind, s.source_id, s.points, $3::timestamptz FROM ({SOURCES}) AS s
ON CONFLICT (tenant_id, customer_id, source_kind, source_id)
DO UPDATE SET points = excluded.points, at = excluded.at WHERE held.points <> excluded.points
"""
# $3 the thresholds in ascending order: a score's place among them is its number of stars.
SUM = """
WITH summed AS (
    SELECT c.id, coalesce(sum(e.points), 0)::integer AS score
    FROM crm.customer c LEFT JOIN crm.score_entry e ON e.tenant_id = $1 AND e.customer_id = c.id
    WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[]) GROUP BY c.id
), starred AS (SELECT id, score, width_bucket(score, $3::int[]) AS stars FROM summed)
UPDATE crm.customer c SET score = s.score, stars = s.stars
FROM starred s WHERE c.tenant_id = $1 AND c.id = s.id AND (c.score, c.stars) IS DISTINCT FROM (s.score, s.stars)
"""
# What the conditions of tiers look at. $3 the automatic tiers: one that was given by hand is left alone.
FACTS = """
    SELECT c.id, c.tier_id, c.score, coalesce(k.value, 0) AS contract_value, coalesce(k.n, 0) AS contracts,
           coalesce(t.n, 0) AS transactions
    FROM crm.customer c
    LEFT JOIN (
        SELECT customer_id, sum(value) AS value, count(*) AS n FROM crm.contract
        WHERE tenant_id = $1 AND customer_id = ANY($2::uuid[]) AND state IN ('active', 'finished') GROUP BY customer_id
    ) AS k ON k.customer_id = c.id
    LEFT JOIN (
        SELECT customer_id, count(*) AS n FROM crm.transaction
        WHERE tenant_id = $1 AND customer_id = ANY($2::uuid[]) AND state = 'completed' GROUP BY customer_id
    ) AS t ON t.customer_id = c.id
    WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[]) AND c.deleted_at IS NULL AND NOT c.tier_fixed
      AND (c.tier_id IS NULL OR c.tier_id = ANY($3::uuid[]))
"""
# $4 as many event ids as customers, $5 the moment, $6 to $9 who.
PROMOTE = """
WITH given AS (SELECT * FROM unnest($2::uuid[], $4::uuid[]) AS given (id, event_id)),
decided AS (SELECT f.id, f.tier_id AS before, {decision} AS after FROM ({facts}) AS f),
moved AS (
    UPDATE crm.customer c SET tier_id = d.after, version = c.version + 1, updated_at = $5::timestamptz
    FROM decided d WHERE c.tenant_id = $1 AND c.id = d.id AND d.after IS DISTINCT FROM d.before
    RETURNING c.id, d.before, d.after
)
INSERT INTO crm.event (tenant_id, id, at, kind, subject_type, subject_id, actor_kind, actor_id, actor_name, request_id,
                       changes, data)
SELECT $1, given.event_id, $5::timestamptz, 'customer.classified', 'customer', moved.id, $6::text, $7::uuid, $8::text,
       $9::text, jsonb_build_object('tier', jsonb_build_array(b.name, a.name)), '{{"reason": "tier_rule"}}'::jsonb
FROM moved JOIN given ON given.id = moved.id
LEFT JOIN crm.classification b ON b.tenant_id = $1 AND b.id = moved.before
LEFT JOIN crm.classification a ON a.tenant_id = $1 AND a.id = moved.after
"""
# Whom a changed rule touches: the next customers after $2, $3 of them. $4 is the group or the type.
SCOPES: Final = {
    "all": "SELECT c.id FROM crm.customer c WHERE c.tenant_id = $1 AND c.id > $2::uuid AND $4::uuid IS NOT NULL",
    "group": """SELECT m.customer_id AS id FROM crm.group_member m
        WHERE m.tenant_id = $1 AND m.customer_id > $2::uuid AND m.group_id = $4::uuid""",
    "transaction_type": """SELECT DISTINCT t.customer_id AS id FROM crm.transaction t
        WHERE t.tenant_id = $1 AND t.customer_id > $2::uuid AND t.type_id = $4::uuid""",
}
LEDGER = """
SELECT e.source_kind, e.source_id, e.points, e.at, coalesce(g.name, t.name, '') AS name
FROM crm.score_entry e
LEFT JOIN crm.customer_group g ON g.tenant_id = $1 AND e.source_kind = 'group' AND g.id = e.source_id
LEFT JOIN crm.transaction t ON t.tenant_id = $1 AND e.source_kind = 'transaction' AND t.id = e.source_id
WHERE e.tenant_id = $1 AND e.customer_id = $2::uuid ORDER BY e.at DESC, e.source_id DESC LIMIT 1000
"""
NOBODY = UUID(int=0)


@dataclass(frozen=True)
class Rules:
    """What scores are judged by: thresholds of the stars, and the automatic tiers, the highest first."""

    thresholds: tuple[int, ...]
    tiers: tuple[tuple[UUID, tuple[tuple[str, int], ...]], ...]


async def recompute(session: AsyncSession, actor: Actor, customer_ids: Sequence[UUID]) -> None:
    """Brings ledger, score, stars and automatic tier of these customers up to date, set-based.

    Locks the customers by their ids, so that what another transaction has just changed of one is either seen here, or
    sees this. To be called after the change, in its transaction.
    """
    if not customer_ids:
        return
    raw, tenant_id, ids = await driver(session), tenant_of(session), sorted(set(customer_ids))
    rules = await _rules.get(session)
    await raw.execute(LOCK, tenant_id, ids)
    await raw.execute(STRIKE, tenant_id, ids)
    await raw.execute(ENTER, tenant_id, ids, now())
    await raw.execute(SUM, tenant_id, ids, list(rules.thresholds))
    if rules.tiers:
        decision, args = _decision(rules, first=10)
        await raw.execute(
            PROMOTE.format(facts=FACTS, decision=decision), tenant_id, ids, [tier for tier, _ in rules.tiers],
            [new_id() for _ in ids], now(), actor.kind, actor.id, actor.name, request_id.get(), *args,
        )  # fmt: skip


async def rescore_later(session: AsyncSession, actor: Actor, *, scope: str = "all", of: UUID | None = None) -> UUID:
    """Starts the job that a changed rule needs; of a group's points, a type's points, or of everybody."""
    assert scope in SCOPES
    args = {"scope": scope, "of": str(of or NOBODY)}
    return await jobs.enqueue(
        session, actor, RESCORE, queue="bulk", args=args, subject_id=of, lane=RESCORE, stoppable=False
    )


async def part_of_scope(session: AsyncSession, args: Mapping[str, str], after: UUID, limit: int) -> list[UUID]:
    """The next customers that the job's rule touches, by id."""
    statement = f"{SCOPES[args['scope']]} ORDER BY id LIMIT $3::bigint"
    rows = await (await driver(session)).fetch(statement, tenant_of(session), after, limit, UUID(args["of"]))
    return [row["id"] for row in rows]


async def size_of_scope(session: AsyncSession, args: Mapping[str, str]) -> int:
    """How many customers the job's rule touches."""
    statement = f"SELECT count(*) FROM ({SCOPES[args['scope']]} LIMIT $3::bigint) AS touched"
    counted: int = await (await driver(session)).fetchval(
        statement, tenant_of(session), NOBODY, 2**62, UUID(args["of"])
    )
    return counted


async def rules_out(session: AsyncSession, job_id: UUID | None = None) -> ScoreRulesOut:
    """The rules in force; never changed, they have version 1."""
    row = await session.scalar(select(ScoreRule).where(ScoreRule.id == tenant_of(session)))
    thresholds = list(row.thresholds if row else THRESHOLDS)
    return ScoreRulesOut(thresholds=thresholds, version=row.version if row else 1, job_id=job_id)


async def change_rules(session: AsyncSession, actor: Actor, thresholds: list[int], *, version: int) -> ScoreRulesOut:
    """Changes the thresholds, and the stars of everybody in a job.

    Raises:
        Stale: another version.
    """
    await configuring.lock(session)
    before = await rules_out(session)
    if before.version != version:
        raise Stale()
    if before.thresholds == thresholds:
        return before
    row = await session.scalar(select(ScoreRule).where(ScoreRule.id == actor.tenant_id))
    if row is None:
        row = ScoreRule(tenant_id=actor.tenant_id, id=actor.tenant_id, created_at=now())
        session.add(row)
    row.thresholds, row.version, row.updated_at = thresholds, version + 1, now()
    await session.flush()
    changes = {"thresholds": (before.thresholds, thresholds)}
    await record(session, actor, "score_rule.changed", actor.tenant_id, changes=changes)
    return await rules_out(session, await rescore_later(session, actor))


async def ledger(session: AsyncSession, actor: Actor, customer_id: UUID) -> ScoreOut:
    """A customer's score and where it comes from, newest first.

    Raises:
        NotFound: there is no such customer for this caller.
    """
    raw, sql = await driver(session), Sql(actor.tenant_id)
    statement = f"SELECT c.score, c.stars FROM crm.customer c WHERE {of_one(sql, actor, customer_id)}"
    row = await raw.fetchrow(statement, *sql.args)
    if row is None:
        raise NotFound()
    entries = await raw.fetch(LEDGER, actor.tenant_id, customer_id)
    return ScoreOut(score=row["score"], stars=row["stars"], entries=[ScoreEntryOut(**dict(one)) for one in entries])


def _decision(rules: Rules, *, first: int) -> tuple[str, list[Any]]:
    """The tier that a customer's facts deserve, as SQL over `f` whose placeholders begin with `first`."""
    args, cases = list[Any](), list[str]()

    def arg(value: Any) -> str:
        args.append(value)
        return f"${first + len(args) - 1}"

    for tier, conditions in rules.tiers:
        holds = " AND ".join(f"f.{metric} >= {arg(least)}::bigint" for metric, least in conditions)
        cases.append(f"WHEN {holds} THEN {arg(tier)}::uuid")
    return f"CASE {' '.join(cases)} END", args


async def _build(session: AsyncSession, _version: int) -> Rules:
    row = await session.scalar(select(ScoreRule).where(ScoreRule.id == tenant_of(session)))
    tiers = await session.scalars(
        select(Classification)
        .where(Classification.kind == "tier", Classification.active, Classification.automatic)
        .order_by(Classification.position.desc(), Classification.id.desc())
    )
    found = [
        (tier.id, tuple((one["metric"], int(one["at_least"])) for one in tier.conditions if one["metric"] in METRICS))
        for tier in tiers
    ]
    return Rules(tuple(row.thresholds if row else THRESHOLDS), tuple(one for one in found if one[1]))


_rules = PerWorkspace(_build)
