"""Bulk work: started, previewed, undone."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.bulk.actions import ACTIONS, Asked, Decided, decide
from app.bulk.errors import NotUndoable, reason
from app.bulk.models import BulkChange
from app.bulk.schemas import BulkIn, BulkPreviewIn, BulkPreviewOut, SkippedOut
from app.core import jobs
from app.core.actor import Actor
from app.core.clock import new_id
from app.core.db import driver
from app.core.errors import NotFound
from app.core.events import record
from app.core.jobs import ENDED, LIVE, Job
from app.customers import batches
from app.customers import registry as registries
from app.customers.changing import Outcome
from app.customers.choosing import Choice, choose, require_expected
from app.customers.purging import Losses
from app.customers.registry import Registry
from app.customers.trash import LANE
from app.exports import service as exports
from app.exports.schemas import ExportIn
from app.jobs import service as job_service
from app.jobs.schemas import JobOut

__all__ = ["RUN", "UNDO", "apply", "batch_of", "preview", "start", "undo"]

RUN: Final = "bulk.run"
UNDO: Final = "bulk.undo"
AT_ONCE = 1_000
EXAMINED = 20 * batches.PART
NOTHING: Final = {"changed": 0, "unchanged": 0, "skipped": 0}


@dataclass(frozen=True)
class Started:
    """A bulk change's job; `at_once` if it is done already."""

    job: JobOut
    at_once: bool


async def start(session: AsyncSession, actor: Actor, body: BulkIn) -> Started:
    """Fixes the selection and does the work: at once for few ids, else in a job of the workspace's bulk lane.

    Raises:
        Forbidden, Invalid, CountMoved
    """
    kind = ACTIONS[body.action]
    actor.require(kind.permission)
    require_expected(body.selection, body.expected_count)
    if body.action == "export":
        given = ExportIn(selection=body.selection, columns=body.params.columns, format=body.params.format)
        made = await exports.start(session, actor, given, expected=body.expected_count)
        return Started(await job_service.get(session, actor, made.job_id), at_once=False)
    registry = await registries.load(session)
    choice = await choose(await driver(session), registry, actor, body.selection, kind.where, body.expected_count)
    decided = await decide(Asked(session, actor, registry, body.params), body.action)
    if choice.by_ids and choice.count <= AT_ONCE:
        return Started(await _at_once(session, actor, decided, choice), at_once=True)
    progress = {"done": 0, "total": choice.count, "counts": NOTHING}
    job_id = await jobs.enqueue(session, actor, RUN, queue="bulk", lane=LANE, progress=progress)
    await _keep(session, actor, job_id, decided, choice)
    await batches.keep(session, job_id, choice.parts)
    return Started(await job_service.get(session, actor, job_id), at_once=False)


async def preview(session: AsyncSession, actor: Actor, body: BulkPreviewIn) -> BulkPreviewOut:
    """What the action would do now: how many it would change, and who would be skipped for what reason.

    Raises:
        Forbidden, Invalid
    """
    kind = ACTIONS[body.action]
    actor.require(kind.permission)
    registry = await registries.load(session)
    raw = await driver(session)
    if body.action == "export":
        choice = await exports.chosen(raw, registry, actor, body.selection)
    else:
        choice = await choose(raw, registry, actor, body.selection, kind.where, None)
    decided = await decide(Asked(session, actor, registry, body.params, preview=True), body.action)
    change = decided.change(registry, actor)
    found, losses = Outcome(), Losses()
    for text in choice.parts[: EXAMINED // batches.PART]:
        part = await kind.look(session, actor, _ids(text), change)
        found.changed += part.outcome.changed
        found.unchanged += part.outcome.unchanged
        losses.contracts += part.losses.contracts
        losses.transactions += part.losses.transactions
        for code, count in part.outcome.refused.items():
            found.refused[code] = found.refused.get(code, 0) + count
    skipped = [
        SkippedOut(code=code, message=reason(code), count=count) for code, count in sorted(found.refused.items())
    ]
    return BulkPreviewOut(
        count=choice.count, examined=min(choice.count, EXAMINED), changed=len(found.changed),
        unchanged=found.unchanged, skipped=skipped, contracts=losses.contracts, transactions=losses.transactions,
    )  # fmt: skip


async def undo(session: AsyncSession, actor: Actor, job_id: UUID) -> JobOut:
    """Starts the job that takes a bulk change back. What anybody changed since is kept and listed.

    Raises:
        NotFound: there is no such job for this caller.
        Forbidden: the caller may not do by hand what the undo does.
        NotUndoable
    """
    job = await job_service.get(session, actor, job_id)
    row = await session.scalar(select(BulkChange).where(BulkChange.id == job_id).with_for_update())
    if row is None or not ACTIONS[row.action].undoable or job.state not in ENDED:
        raise NotUndoable()
    actor.require(ACTIONS[row.action].permission)
    former = await jobs.get(session, row.undo_job_id) if row.undo_job_id else None
    if former is not None and former.state in (*LIVE, "succeeded"):
        raise NotUndoable()
    progress = {"done": 0, "total": job.result.get("changed", 0) or job.progress.counts.get("changed", 0)}
    undo_id = await jobs.enqueue(
        session, actor, UNDO, queue="bulk", lane=LANE, args={"batch_id": str(job_id)}, subject_id=job_id,
        progress=progress,
    )  # fmt: skip
    await session.execute(update(BulkChange).where(BulkChange.id == job_id).values(undo_job_id=undo_id))
    await record(session, actor, "job.undo_requested", job_id)
    return await job_service.get(session, actor, undo_id)


async def apply(
    session: AsyncSession, actor: Actor, registry: Registry, batch_id: UUID, decided: Decided, ids: list[UUID]
) -> Outcome:
    """Does the action for a part of the chosen customers.

    Raises:
        Gone: a group or tag that they would get was deleted.
    """
    return await ACTIONS[decided.action].do(session, actor, batch_id, ids, decided.change(registry, actor))


async def batch_of(session: AsyncSession, actor: Actor, job_id: UUID) -> UUID:
    """The batch whose items a job's are: its own, or that of the job which it undoes.

    Raises:
        NotFound: there is no such job for this caller.
    """
    await job_service.get(session, actor, job_id)
    row = await session.scalar(select(Job).where(Job.id == job_id))
    if row is None:
        raise NotFound()
    return UUID(row.args["batch_id"]) if row.kind == UNDO else job_id


async def _at_once(session: AsyncSession, actor: Actor, decided: Decided, choice: Choice) -> JobOut:
    job_id = new_id()
    registry = await registries.load(session)
    chosen = [one for text in choice.parts for one in _ids(text)]
    outcome = await apply(session, actor, registry, job_id, decided, chosen)
    progress = {"done": choice.count, "total": choice.count, "counts": outcome.counts}
    await jobs.enqueue_done(session, actor, RUN, job_id, progress=progress, result=outcome.counts)
    await _keep(session, actor, job_id, decided, choice)
    return await job_service.get(session, actor, job_id)


async def _keep(session: AsyncSession, actor: Actor, job_id: UUID, decided: Decided, choice: Choice) -> None:
    await session.execute(
        insert(BulkChange).values(
            tenant_id=actor.tenant_id, id=job_id, action=decided.action, params=decided.kept, parts=len(choice.parts)
        )
    )
    data = {"action": decided.action, "count": choice.count}
    await record(session, actor, "job.bulk_requested", job_id, data=data, batch_id=job_id)


def _ids(text: str) -> list[UUID]:
    return [UUID(one) for one in text.strip("{}").split(",") if one]
