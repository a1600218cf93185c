"""The jobs of bulk work: the chosen customers part after part, and back again.

A part is one transaction with its checkpoint. Whoever wants to change one of its customers waits about a second.
"""

from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.bulk.actions import ACTIONS, Decided
from app.bulk.models import BulkChange
from app.bulk.service import NOTHING, apply
from app.core.actor import Actor
from app.core.db import driver
from app.core.runner import Done, Failed, Outcome, Run
from app.customers import batches
from app.customers import registry as registries
from app.customers.changing import Gone, revert_many
from app.identity.access import actor_now

NEXT = """
SELECT i.customer_id FROM crm.batch_item i
WHERE i.tenant_id = $1 AND i.batch_id = $2 AND i.customer_id > $3::uuid AND i.status = 'changed' AND i.undone IS NULL
ORDER BY i.customer_id LIMIT $4
"""
FIRST = UUID(int=0)


async def run_bulk(run: Run) -> Outcome:
    """Does the action for the parts that are left, as far as the budget goes."""
    async with run.transaction() as session:
        row, actor = await _loaded(session, run, run.id)
    if actor is None or row is None or not actor.may(ACTIONS[row.action].permission):
        return _failed("forbidden", run.id)
    while (number := run.progress.get("next", 0)) < row.parts:
        if (outcome := run.interrupted()) is not None:
            return outcome
        try:
            async with run.transaction() as session:
                ids = await batches.part(session, run.id, number)
                registry = await registries.load(session)
                decided = Decided.of(registry, row.action, row.params)
                done = await apply(session, actor, registry, run.id, decided, ids)
                run.progress = _advanced(run.progress, done.counts, len(ids)) | {"next": number + 1}
        except Gone:
            return _failed(Gone.code, run.id)
    return Done(result=run.progress.get("counts", NOTHING), effect=lambda session: batches.forget(session, run.id))


async def undo_bulk(run: Run) -> Outcome:
    """Gives the changed customers their former values back, as far as these still exist."""
    batch_id = UUID(run.args["batch_id"])
    async with run.transaction() as session:
        row, actor = await _loaded(session, run, batch_id)
    if actor is None or row is None or not actor.may(ACTIONS[row.action].permission):
        return _failed("forbidden", run.id)
    if "counts" not in run.progress:
        run.progress = {**run.progress, "counts": {"restored": 0, "kept": 0}}
    while True:
        if (outcome := run.interrupted()) is not None:
            return outcome
        try:
            async with run.transaction() as session:
                ids = await _next(session, batch_id, UUID(run.progress.get("next", str(FIRST))))
                if ids:
                    registry = await registries.load(session)
                    decided = Decided.of(registry, row.action, row.params, back=True)
                    done = await revert_many(session, actor, batch_id, ids, decided.change(registry, actor))
                    counts = {"restored": len(done.changed), "kept": len(ids) - len(done.changed)}
                    run.progress = _advanced(run.progress, counts, len(ids)) | {"next": str(ids[-1])}
        except Gone:
            return _failed(Gone.code, run.id)
        if not ids:
            return Done(result=run.progress["counts"])


async def ended(session: AsyncSession, run: Run) -> None:
    """Cancelled, or the attempts are used up; what was done stays, and can be undone."""
    await batches.forget(session, run.id)


async def _loaded(session: AsyncSession, run: Run, batch_id: UUID) -> tuple[BulkChange | None, Actor | None]:
    """The decision, and the caller with what they may do now."""
    row = await session.scalar(select(BulkChange).where(BulkChange.id == batch_id))
    return row, await actor_now(session, run.actor.kind, run.actor.id)


async def _next(session: AsyncSession, batch_id: UUID, after: UUID) -> list[UUID]:
    rows = await (await driver(session)).fetch(NEXT, session.info["tenant_id"], batch_id, after, batches.PART)
    return [row["customer_id"] for row in rows]


def _advanced(progress: dict[str, Any], found: dict[str, int], size: int) -> dict[str, Any]:
    counts = {key: progress["counts"][key] + found[key] for key in progress["counts"]}
    return {**progress, "done": progress["done"] + size, "counts": counts}


def _failed(code: str, batch_id: UUID) -> Failed:
    return Failed(code=code, effect=lambda session: batches.forget(session, batch_id))
