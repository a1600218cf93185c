"""The jobs of bulk work: the chosen customers part after part, and back again.

A part is one transaction with its checkpoint, and two are done at a time. Whoever wants to change one of their
customers waits about a second.
"""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.bulk.actions import ACTIONS, Decided
from app.bulk.models import BulkChange
from app.bulk.service import NOTHING, apply
from app.core.actor import Actor
from app.core.db import driver
from app.core.run import Done, Failed, Outcome, Run
from app.customers import batches
from app.customers import registry as registries
from app.customers.changing import Gone, revert_many
from app.identity.access import actor_now

# Where the parts of an undo begin.
BOUNDS = """
SELECT array_agg(customer_id::text ORDER BY customer_id) FROM (
    SELECT i.customer_id, row_number() OVER (ORDER BY i.customer_id) AS n FROM crm.batch_item i
    WHERE i.tenant_id = $1 AND i.batch_id = $2 AND i.status = 'changed' AND i.undone IS NULL
) AS one WHERE (n - 1) % $3::int = 0
"""
PART = """
SELECT i.customer_id FROM crm.batch_item i
WHERE i.tenant_id = $1 AND i.batch_id = $2 AND i.customer_id >= $3::uuid AND i.customer_id < $4::uuid
  AND i.status = 'changed' AND i.undone IS NULL
ORDER BY i.customer_id
"""
LAST = str(UUID(int=2**128 - 1))


async def run_bulk(run: Run) -> Outcome:
    """Does the action for the parts that are left, as far as the budget goes."""
    async with run.transaction() as session:
        row, actor = await _loaded(session, run, run.id)
    if actor is None or row is None or not actor.may(ACTIONS[row.action].permission):
        return _failed("forbidden", run.id)

    async def do(session: AsyncSession, number: int) -> tuple[int, dict[str, int]]:
        ids = await batches.part(session, run.id, number)
        registry = await registries.load(session)
        decided = Decided.of(registry, row.action, row.params)
        return len(ids), (await apply(session, actor, registry, run.id, decided, ids)).counts

    try:
        outcome = await run.parts(row.parts, do)
    except Gone:
        return _failed(Gone.code, run.id)
    if outcome is not None:
        return outcome
    return Done(result=run.progress.get("counts", NOTHING), effect=lambda session: batches.forget(session, run.id))


async def undo_bulk(run: Run) -> Outcome:
    """Gives the changed customers their former values back, as far as these still exist."""
    batch_id = UUID(run.args["batch_id"])
    async with run.transaction() as session:
        row, actor = await _loaded(session, run, batch_id)
        if "bounds" not in run.progress:
            bounds = await (await driver(session)).fetchval(BOUNDS, run.tenant_id, batch_id, batches.PART) or []
            run.progress = {**run.progress, "counts": {"restored": 0, "kept": 0}, "bounds": [*bounds, LAST], "next": 0}
    if actor is None or row is None or not actor.may(ACTIONS[row.action].permission):
        return _failed("forbidden", run.id)

    async def do(session: AsyncSession, number: int) -> tuple[int, dict[str, int]]:
        first, end = run.progress["bounds"][number : number + 2]
        rows = await (await driver(session)).fetch(PART, run.tenant_id, batch_id, UUID(first), UUID(end))
        ids = [one["customer_id"] for one in rows]
        registry = await registries.load(session)
        decided = Decided.of(registry, row.action, row.params, back=True)
        done = await revert_many(session, actor, batch_id, ids, decided.change(registry, actor))
        return len(ids), {"restored": len(done.changed), "kept": len(ids) - len(done.changed)}

    try:
        outcome = await run.parts(len(run.progress["bounds"]) - 1, do)
    except Gone:
        return _failed(Gone.code, run.id)
    return outcome or Done(result=run.progress["counts"])


async def ended(session: AsyncSession, run: Run) -> None:
    """Cancelled, or the attempts are used up; what was done stays, and can be undone."""
    await batches.forget(session, run.id)


async def _loaded(session: AsyncSession, run: Run, batch_id: UUID) -> tuple[BulkChange | None, Actor | None]:
    """The decision, and the caller with what they may do now."""
    row = await session.scalar(select(BulkChange).where(BulkChange.id == batch_id))
    return row, await actor_now(session, run.actor.kind, run.actor.id)


def _failed(code: str, batch_id: UUID) -> Failed:
    return Failed(code=code, effect=lambda session: batches.forget(session, batch_id))
