"""Background work as people see it: their own, or everybody's with the permission for that."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import jobs
from app.core.actor import Actor
from app.core.errors import NotFound
from app.core.i18n import language
from app.core.jobs import ENDED, REASONS, Job
from app.core.paging import Pager
from app.jobs.schemas import JobErrorOut, JobOut, JobPage, JobProgressOut, JobState

__all__ = ["cancel", "get", "has_ended", "page", "pause", "resume", "snapshot"]

COLUMNS = (
    *(Job.id, Job.kind, Job.state, Job.control, Job.stoppable, Job.progress, Job.result, Job.error, Job.subject_id),
    *(Job.created_by, Job.created_by_name, Job.created_at, Job.started_at, Job.finished_at, Job.version),
)


async def page(
    session: AsyncSession,
    actor: Actor,
    *,
    kind: str | None,
    state: JobState | None,
    limit: int,
    cursor: str | None,
    secret: bytes,
) -> JobPage:
    """A page of jobs, the newest first."""
    pager = Pager(secret, actor.tenant_id, actor.id, "jobs", kind, state)
    position = pager.position(cursor)
    query = select(*COLUMNS).order_by(Job.created_at.desc(), Job.id.desc()).limit(limit + 1)
    if not actor.may("jobs.view_all"):
        query = query.where(Job.created_by == actor.id)
    if kind is not None:
        query = query.where(Job.kind == kind)
    if state is not None:
        query = query.where(Job.state == state)
    if position:
        after = select(Job.created_at).where(Job.id == UUID(position[0])).scalar_subquery()
        query = query.where(tuple_(Job.created_at, Job.id) < tuple_(after, UUID(position[0])))
    rows = (await session.execute(query)).all()
    items = [_out(row) for row in rows[:limit]]
    return JobPage(items=items, next_cursor=pager.cursor([str(items[-1].id)]) if len(rows) > limit else None)


async def get(session: AsyncSession, actor: Actor, job_id: UUID) -> JobOut:
    """A job.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    job = await snapshot(session, job_id)
    if not actor.may("jobs.view_all") and job.created_by != actor.id:
        raise NotFound()
    return job


async def snapshot(session: AsyncSession, job_id: UUID) -> JobOut:
    """The job as it stands, for whoever was allowed to watch it."""
    row = (await session.execute(select(*COLUMNS).where(Job.id == job_id))).one_or_none()
    if row is None:
        raise NotFound()
    return _out(row)


async def pause(session: AsyncSession, actor: Actor, job_id: UUID) -> JobOut:
    """Asks the job to stop at its next checkpoint and stay.

    Raises:
        NotFound, Forbidden, JobNotStoppable, JobNotLive
    """
    await get(session, actor, job_id)
    await jobs.pause(session, actor, job_id)
    return await snapshot(session, job_id)


async def resume(session: AsyncSession, actor: Actor, job_id: UUID) -> JobOut:
    """Puts a paused job back into its queue, and a dead one that must happen.

    Raises:
        NotFound, Forbidden, JobNotLive
    """
    await get(session, actor, job_id)
    await jobs.resume(session, actor, job_id)
    return await snapshot(session, job_id)


async def cancel(session: AsyncSession, actor: Actor, job_id: UUID) -> JobOut:
    """Asks the job to stop at its next checkpoint for good.

    Raises:
        NotFound, Forbidden, JobNotStoppable, JobNotLive
    """
    await get(session, actor, job_id)
    await jobs.cancel(session, actor, job_id)
    return await snapshot(session, job_id)


def has_ended(state: str) -> bool:
    """Whether a job in this state will never change again."""
    return state in ENDED


def _out(job: Row[Any]) -> JobOut:
    return JobOut(
        id=job.id,
        kind=job.kind,
        state=job.state,
        asked=job.control,
        stoppable=job.stoppable,
        progress=JobProgressOut.model_validate(job.progress),
        result=job.result,
        error=_error(job.error["code"]) if job.error else None,
        subject_id=job.subject_id,
        created_by=job.created_by,
        created_by_name=job.created_by_name,
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
        version=job.version,
    )


def _error(code: str) -> JobErrorOut:
    # An older release may have known more.
    vi, en = REASONS.get(code, REASONS["failed"])
    return JobErrorOut(code=code, message=vi if language.get() == "vi" else en)
