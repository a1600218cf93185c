"""Background work over HTTP."""

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from app.core.etag import set_etag
from app.core.paging import Cursor, Limit
from app.core.work import CurrentWork, Route, Session
from app.identity.access import SignedIn
from app.jobs import service
from app.jobs.schemas import JobOut, JobPage, JobState
from app.jobs.stream import watch

router = APIRouter(prefix="/jobs", tags=["jobs"], route_class=Route)


async def _watched(actor: SignedIn, session: Session, job_id: UUID) -> JobOut:
    return await service.get(session, actor, job_id)


@router.get("", summary="List background jobs")
async def list_jobs(
    actor: SignedIn,
    session: Session,
    work: CurrentWork,
    kind: Annotated[str | None, Query(max_length=60, examples=["imports.run"])] = None,
    state: Annotated[JobState | None, Query()] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> JobPage:
    """One's own, or everybody's with `jobs.view_all`; the newest first."""
    secret = work.resources.settings.secret
    return await service.page(session, actor, kind=kind, state=state, limit=limit, cursor=cursor, secret=secret)


@router.get("/{job_id}", summary="Read a background job")
async def get_job(actor: SignedIn, session: Session, response: Response, job_id: UUID) -> JobOut:
    """State and progress."""
    found = await service.get(session, actor, job_id)
    set_etag(response, found.version)
    return found


@router.post("/{job_id}/pause", summary="Pause a background job", status_code=202)
async def pause_job(actor: SignedIn, session: Session, job_id: UUID) -> JobOut:
    """It stops at its next checkpoint. Somebody else's needs `jobs.control`, and some work cannot be stopped."""
    return await service.pause(session, actor, job_id)


@router.post("/{job_id}/resume", summary="Resume a background job", status_code=202)
async def resume_job(actor: SignedIn, session: Session, job_id: UUID) -> JobOut:
    """It goes on where it stopped. Work that must be done can also be resumed after it has died of a fault."""
    return await service.resume(session, actor, job_id)


@router.post("/{job_id}/cancel", summary="Cancel a background job", status_code=202)
async def cancel_job(actor: SignedIn, session: Session, job_id: UUID) -> JobOut:
    """It ends at its next checkpoint, or at once if none runs; what it has done stays done."""
    return await service.cancel(session, actor, job_id)


@router.get("/{job_id}/events", summary="Watch a background job", response_class=EventSourceResponse)
async def watch_job(found: Annotated[JobOut, Depends(_watched)], work: CurrentWork) -> AsyncIterator[ServerSentEvent]:
    """Server-Sent Events: `progress` with the job whenever it has changed, then `end`."""
    assert work.actor is not None
    tenant_id = work.actor.tenant_id

    async def read() -> tuple[JobOut, bool]:
        async with work.db.transaction(tenant_id) as session:
            job = await service.snapshot(session, found.id)
        return job, service.has_ended(job.state)

    async for event in watch(read):
        yield event
