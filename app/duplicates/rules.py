"""Merges by a rule, in a job: every cluster of customers who share the rule's fields becomes one."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
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
from app.core.runner import Done, Outcome, Run
from app.customers import registry as registries
from app.customers.duplicate_keys import DuplicateKey, values_sql
from app.duplicates import centre, merging, planning, reasons
from app.duplicates.errors import ScanNeeded
from app.duplicates.models import DuplicateSetting
from app.duplicates.planning import Row
from app.duplicates.schemas import MergeIn, MergeRuleIn

__all__ = ["MERGE", "merge_by_rule", "start"]

MERGE: Final = "duplicates.merge"
# Clusters that one transaction looks for; each is merged in a transaction of its own.
AHEAD: Final = 50
# Sources that one merge takes; of a larger cluster the rest follows.
MOST: Final = 50

NOTE: Final = """
INSERT INTO crm.batch_item (tenant_id, batch_id, customer_id, status, code)
SELECT $1, $2, one.id, $4::text, $5::text FROM unnest($3::uuid[]) AS one (id)
ON CONFLICT (tenant_id, batch_id, customer_id)
DO UPDATE SET status = excluded.status, code = excluded.code WHERE crm.batch_item.status = 'skipped'
"""


async def start(session: AsyncSession, actor: Actor, rule: MergeRuleIn) -> UUID:
    """Enqueues the merges. Clusters are found by a key that the rule's fields contain.

    Raises:
        ScanNeeded: no key that is ready finds them.
    """
    keys = (await registries.load(session)).duplicate_keys
    base = _base(reasons.all_reasons(keys), rule.fields)
    scanned = await session.scalar(select(DuplicateSetting.scanned_at).where(DuplicateSetting.id == tenant_of(session)))
    if base is None or (base.no < 0 and scanned is None):
        raise ScanNeeded()
    args = {**rule.model_dump(), "sees_all": actor.may("customers.view_all")}
    job_id = await jobs.enqueue(session, actor, MERGE, queue="bulk", args=args, lane="duplicates")
    await record(session, actor, "job.merge_requested", job_id, data=rule.model_dump(), batch_id=job_id)
    return job_id


async def merge_by_rule(run: Run) -> Outcome:
    """Merges cluster after cluster; progress and effect are in one transaction, so that nothing is merged twice."""
    rights = {"customers.view", "customers.merge"} | ({"customers.view_all"} if run.args["sees_all"] else set())
    actor = replace(run.actor, permissions=frozenset(rights))
    while True:
        stopped = run.interrupted()
        if stopped:
            return stopped
        async with run.transaction() as session:
            base = _base(reasons.all_reasons((await registries.load(session)).duplicate_keys), run.args["fields"])
            if base is None:
                return Done(result=_counts(run))
            after = run.progress.get("next") or centre.START
            found, more = await centre.clusters(
                await driver(session), actor, [base], [base], (int(after[0]), int(after[1])), AHEAD
            )
        for cluster in found:
            stopped = run.interrupted()
            if stopped:
                return stopped
            async with run.transaction() as session:
                merged, skipped = await _merge(session, actor, run, base, cluster.ids)
                # Of a cluster too large for one look, the rest comes next.
                again = merged and len(cluster.ids) == centre.MOST
                no, value_hash = cluster.position
                run.progress = {
                    "done": run.progress.get("done", 0) + 1,
                    "merged": run.progress.get("merged", 0) + merged,
                    "skipped": run.progress.get("skipped", 0) + skipped,
                    "next": [no, value_hash + 1 if again else value_hash],
                }
            if again:
                break
        else:
            if more is None:
                return Done(result=_counts(run))
            run.progress = {**run.progress, "next": list(more)}


def _base(known: Sequence[DuplicateKey], fields: Sequence[str]) -> DuplicateKey | None:
    """The reason with the most of the rule's fields and no other."""
    fitting = [one for one in known if set(one.fields) <= set(fields)]
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
            for at in range(1, len(same), MOST):
                sources = same[at : at + MOST]
                code = await _try(session, actor, run, same[0], sources)
                await _note(raw, run, sources, "skipped" if code else "changed", code)
                merged, skipped = (merged, skipped + len(sources)) if code else (merged + len(sources), skipped)
    return merged, skipped


async def _alike(
    raw: asyncpg.Connection, actor: Actor, fields: Sequence[str], base: DuplicateKey, rows: dict[UUID, Row]
) -> list[list[UUID]]:
    """The customers by the values of the rule's fields, as they are now that they are locked."""
    if set(fields) == set(base.fields):
        statement = reasons.values([base], "c.id = ANY($2::uuid[])", "p.customer_id = ANY($2::uuid[])")
        statement = f"SELECT * FROM ({statement}) AS v WHERE key_no = {base.no:d}"
    else:
        statement = values_sql([DuplicateKey(0, tuple(fields))], "c.id = ANY($2::uuid[])")
    values: dict[str, list[UUID]] = defaultdict(list)
    for row in await raw.fetch(statement, actor.tenant_id, list(rows)):
        values[row["value"]].append(row["customer_id"])
    # Who has several phones may be alike with several; they go with the most.
    seen: set[UUID] = set()
    found = []
    for _, ids in sorted(values.items(), key=lambda one: (-len(one[1]), one[0])):
        found.append([one for one in ids if one not in seen])
        seen.update(ids)
    return [ids for ids in found if len(ids) > 1]


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
    return {name: run.progress.get(name, 0) for name in ("done", "merged", "skipped")}
