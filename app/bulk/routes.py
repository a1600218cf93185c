"""Bulk work over HTTP (thao tác hàng loạt)."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from app.bulk import items, service
from app.bulk.schemas import BulkIn, BulkPreviewIn, BulkPreviewOut, JobItemPage, Status, Undone
from app.core.actor import Actor
from app.core.etag import set_etag
from app.core.paging import Cursor, Limit
from app.core.work import CurrentWork, Route, Session
from app.identity.access import Requires, SignedIn
from app.jobs.schemas import JobOut

CanView = Annotated[Actor, Depends(Requires("customers.view"))]
# Each action asks for its own permission as well.
CanChange = Annotated[Actor, Depends(Requires("customers.view", once=True))]

router = APIRouter(tags=["bulk"], route_class=Route)


@router.post(
    "/customers/bulk",
    summary="Change many customers",
    status_code=202,
    responses={200: {"model": JobOut, "description": "Done at once: at most 1,000 ids"}},
)
async def bulk_customers(actor: CanChange, session: Session, response: Response, body: BulkIn) -> JobOut:
    """Needs an Idempotency-Key. Up to 1,000 ids are done at once (200); a filter, or more, by a job (202) whose
    customers are fixed now. Each action asks for its own permission; whom the caller may not change is skipped, and
    `GET /jobs/{id}/items` says why. 409 `count_moved` when the selection does not hold `expected_count` customers."""
    started = await service.start(session, actor, body)
    response.status_code = 200 if started.at_once else 202
    set_etag(response, started.job.version)
    return started.job


@router.post("/customers/bulk/preview", summary="Preview a change of many customers")
async def preview_bulk_customers(actor: CanView, session: Session, body: BulkPreviewIn) -> BulkPreviewOut:
    """How many would change, and who would be skipped for what reason. Writes nothing; `count` is what
    `expected_count` wants."""
    return await service.preview(session, actor, body)


@router.get("/jobs/{job_id}/items", summary="List the customers of a bulk job")
async def list_job_items(
    actor: SignedIn,
    session: Session,
    work: CurrentWork,
    job_id: UUID,
    status: Annotated[Status | None, Query(description="Only customers with this outcome.")] = None,
    undone: Annotated[Undone | None, Query(description="Only those that the undo restored, or kept.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> JobItemPage:
    """What became of each, in the order of their ids; of an undo, the items of what it undoes."""
    secret = work.resources.settings.secret
    return await items.page(
        session, actor, job_id, status=status, undone=undone, limit=limit, cursor=cursor, secret=secret
    )


@router.post("/jobs/{job_id}/undo", summary="Undo a bulk job", status_code=202)
async def undo_job(actor: SignedIn, session: Session, job_id: UUID) -> JobOut:
    """Everything but a purge. Customers that anybody changed since are kept as they are, and listed under
    `items?undone=kept`. Imports have an undo of their own."""
    return await service.undo(session, actor, job_id)
