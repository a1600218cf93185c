"""Merges by a rule, in a job: every cluster of customers who share the rule's fields becomes one."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import product
from typing import Any, Final
from uuid import UUID

import asyncpg
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import jobs
from app.core.actor import Actor
from app.core.db import driver, tenant_of
from app.core.errors import AppError
from app.core.events import record
from app.core.run import Done, Failed, Outcome, Run
from app.customers import registry as registries
from app.customers.duplicate_keys import DuplicateKey
from app.duplicates import centre, dismissals, merging, planning, reasons
from app.duplicates.centre import Members, Position
from app.duplicates.errors import KeyNotReady, RuleNeedsKey, ScanNeeded
from app.duplicates.models import DuplicateSetting
from app.duplicates.planning import Row
from app.duplicates.schemas import MergeIn, MergeRuleIn
from app.identity.access import actor_now

__all__ = ["MERGE", "merge_by_rule", "start"]

MERGE: Final = "duplicates.merge"
NOTHING: Final = {"merged": 0, "skipped": 0}
# Values that one transaction looks for; the customers of each are merged in transactions of their own.
AHEAD: Final = 50
# Sources that one merge takes; of a larger cluster the rest follows.
SOURCES: Final = 50

NOTE: Final = """
INSERT INTO crm.batch_item (tenant_id, batch_id, customer_id, status, code)
SELECT $1, $2, one.id, $4::text, $5::text FROM unnest($3::uuid[]) AS one (id)
ON CONFLICT (tenant_id, batch_id, customer_id)
DO UPDATE SET status = excluded.status, code = excluded.code WHERE crm.batch_item.status = 'skipped'
"""


async def start(session: AsyncSession, actor: Actor, rule: MergeRuleIn) -> UUID:
    """Enqueues the merges. Clusters are found by a key that the rule's fields contain.

    Raises:
        RuleNeedsKey: no key finds them.
        KeyNotReady, ScanNeeded: the key does not know all customers yet.
    """
    keys = (await registries.load(session)).duplicate_keys
    base = _base(reasons.all_reasons(keys), rule.fields)
    if base is None:
        raise KeyNotReady() if _base(keys, rule.fields) else RuleNeedsKey()
    scanned = await session.scalar(select(DuplicateSetting.scanned_at).where(DuplicateSetting.id == tenant_of(session)))
    if base.no < 0 and scanned is None:
        raise ScanNeeded()
    job_id = await jobs.enqueue(session, actor, MERGE, queue="bulk", args=rule.model_dump(), lane="duplicates")
    await record(session, actor, "job.merge_requested", job_id, data=rule.model_dump(), batch_id=job_id)
    return job_id


async def merge_by_rule(run: Run) -> Outcome:
    """Merges value after value; progress and effect are in one transaction, so that nothing is merged twice. Its author
    must still be allowed to, and whom they see now is whom it is about."""
    fields = run.args["fields"]
    while (stopped := run.interrupted()) is None:
        async with run.transaction() as session:
            actor = await actor_now(session, run.actor.kind, run.actor.id)
            base = _base(reasons.all_reasons((await registries.load(session)).duplicate_keys), fields)
            values, found, more = list[Position](), list[Members](), False
            if actor is not None and base is not None:
                raw = await driver(session)
                values, more = await centre.repeated(raw, run.tenant_id, [base.no], _after(run, base), AHEAD)
                wanted = [(one, _behind(run, one)) for one in values]
                found = await centre.members(raw, actor, [base], wanted, _plain(base, fields))
        if actor is None or not actor.may("customers.merge"):
            return Failed(code="forbidden")
        if base is None:
            return Done(result=_counts(run))
        for value, holders in zip(values, found, strict=True):
            stopped = await _merge_all(run, actor, base, value, holders)
            if stopped:
                return stopped
        if not more:
            return Done(result=_counts(run))
        run.progress = {**run.progress, "next": list(values[-1])}
    return stopped


async def _merge_all(run: Run, actor: Actor, base: DuplicateKey, value: Position, found: Members) -> Outcome | None:
    """Merges who has a value: as many at once as the centre looks at, until there is nobody more."""
    while len(found.ids) > 1:
        stopped = run.interrupted()
        if stopped:
            return stopped
        async with run.transaction() as session:
            merged, skipped = await _merge(session, actor, run, base, found.ids)
            counts = run.progress.get("counts", NOTHING)
            run.progress = {
                **run.progress,
                "done": run.progress.get("done", 0) + 1,
                "counts": {"merged": counts["merged"] + merged, "skipped": counts["skipped"] + skipped},
            }
            if not found.more:
                run.progress |= {"next": list(value)}
                return None
            # Those who became one have made room; if nobody did, the others are behind them.
            behind = _behind(run, value) if merged else found.ids[-1]
            run.progress |= {"behind": [list(value), str(behind)]}
            [found] = await centre.members(
                await driver(session), actor, [base], [(value, behind)], _plain(base, run.args["fields"])
            )
    return None


def _after(run: Run, base: DuplicateKey) -> Position:
    """The value that was done last, unless that was one of another key."""
    no, value_hash = run.progress.get("next", centre.START)
    return (no, value_hash) if no == base.no else centre.START


def _behind(run: Run, value: Position) -> UUID:
    """The customer behind whom those of this value are still to be looked at."""
    of, behind = run.progress.get("behind", (None, None))
    return UUID(behind) if of == list(value) else centre.FIRST


def _plain(base: DuplicateKey, fields: Sequence[str]) -> DuplicateKey | None:
    """What the rule wants beside its key, as far as it is in the customers' columns alone."""
    rest = tuple(one for one in fields if one not in (*base.fields, "phone", "email"))
    return DuplicateKey(0, rest) if rest else None


def _base(known: Sequence[DuplicateKey], fields: Sequence[str]) -> DuplicateKey | None:
    """The reason with the most of the rule's fields and no other. No two customers have one phone of their own, so that
    it finds somebody only as a reason that looks at contacts too."""
    fitting = [one for one in known if set(one.fields) <= set(fields) and (one.plain is not ("phone" in one.fields))]
    return max(fitting, key=lambda one: len(one.fields), default=None)


async def _merge(
    session: AsyncSession, actor: Actor, run: Run, base: DuplicateKey, ids: Sequence[UUID]
) -> tuple[int, int]:
    """Merges those of a cluster who are alike by the whole rule: (sources merged, customers skipped)."""
    raw = await driver(session)
    rows = await planning.load(session, actor, ids, lock=True)
    merged = skipped = 0
    for alike in await _alike(raw, actor, run.args["fields"], base, rows):
        in_order = sorted(alike, key=lambda one: (rows[one]["created_at"], one))
        if run.args["master"] == "newest":
            in_order.reverse()
        by_kind: dict[str, list[UUID]] = defaultdict(list)
        for one in in_order:
            by_kind[rows[one]["kind"]].append(one)
        for same in by_kind.values():
            if len(same) == 1:
                skipped += await _note(raw, run, same, "skipped", "merge_other_kind")
                continue
            together, apart = await _one_person(raw, actor, same)
            skipped += await _note(raw, run, apart, "skipped", "dismissed")
            for at in range(1, len(together), SOURCES):
                sources = together[at : at + SOURCES]
                code = await _try(session, actor, run, together[0], sources)
                await _note(raw, run, sources, "skipped" if code else "changed", code)
                merged, skipped = (merged, skipped + len(sources)) if code else (merged + len(sources), skipped)
    return merged, skipped


async def _alike(
    raw: asyncpg.Connection, actor: Actor, fields: Sequence[str], base: DuplicateKey, rows: dict[UUID, Row]
) -> list[list[UUID]]:
    """The customers by the values of the rule's fields, as they are now that they are locked."""
    parts = [base, *(one for one in (reasons.PHONE, reasons.EMAIL) if {*one.fields} <= {*fields} - {*base.fields})]
    plain = _plain(base, fields)
    if plain:
        parts.append(plain)
    held: dict[UUID, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    statement = reasons.values(parts, "c.id = ANY($2::uuid[])", "p.customer_id = ANY($2::uuid[])")
    for row in await raw.fetch(statement, actor.tenant_id, list(rows)):
        held[row["customer_id"]][row["key_no"]].append(row["value"])
    values: dict[tuple[str, ...], list[UUID]] = defaultdict(list)
    for one, of_one in held.items():
        for value in product(*(of_one.get(part.no, ()) for part in parts)):
            values[value].append(one)
    # Who has several phones may be alike with several; they go with the most.
    seen: set[UUID] = set()
    found = []
    for _, ids in sorted(values.items(), key=lambda one: (-len(one[1]), one[0])):
        found.append([one for one in ids if one not in seen])
        seen.update(ids)
    return [ids for ids in found if len(ids) > 1]


async def _one_person(raw: asyncpg.Connection, actor: Actor, ids: Sequence[UUID]) -> tuple[list[UUID], list[UUID]]:
    """The first of these with the others, and those of whom somebody said that they are not one of them."""
    said = await dismissals.apart(raw, actor.tenant_id, ids)
    together, apart = list[UUID](), list[UUID]()
    for one in ids:
        stranger = any(one in each and not each.isdisjoint(together) for each in said)
        (apart if stranger else together).append(one)
    return together, apart


async def _try(session: AsyncSession, actor: Actor, run: Run, master: UUID, sources: Sequence[UUID]) -> str | None:
    """Merges, and answers why not if that is refused. All are locked, so that no version need be named."""
    asked = MergeIn(master_id=master, source_ids=list(sources), sources=run.args["sources"])
    try:
        async with session.begin_nested():
            plan = await planning.make(session, actor, asked)
            await merging.execute(session, actor, plan, run.id)
    except AppError as refused:
        return refused.code
    return None


async def _note(raw: asyncpg.Connection, run: Run, ids: Sequence[UUID], status: str, code: str | None) -> int:
    await raw.execute(NOTE, run.tenant_id, run.id, list(ids), status, code)
    return len(ids)


def _counts(run: Run) -> dict[str, Any]:
    return {"done": run.progress.get("done", 0), **run.progress.get("counts", NOTHING)}
