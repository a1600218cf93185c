"""Merges over HTTP."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from app.core.actor import Actor
from app.core.etag import set_etag
from app.core.paging import Cursor, Limit
from app.core.work import CurrentWork, Route, Session
from app.duplicates import merging, rules, undoing
from app.duplicates.schemas import MergeIn, MergeNow, MergeOut, MergePage, MergePlanOut, MergeRuleIn, StartedOut
from app.identity.access import Requires

CanMerge = Annotated[Actor, Depends(Requires("customers.merge"))]

# The contract knows what every call refuses; these come from the ids and versions in the body.
REFUSALS: dict[int | str, dict[str, Any]] = {status: {"description": "Refused"} for status in (404, 412, 428)}

router = APIRouter(tags=["merges"], route_class=Route)


@router.post("/customers/merge/preview", summary="Show what a merge would do", responses=REFUSALS)
async def preview_merge(actor: CanMerge, session: Session, body: MergeIn) -> MergePlanOut:
    """Changes nothing. Its `versions` belong into the merge, so that what was looked at is what is merged."""
    return await merging.preview(session, actor, body)


@router.post("/customers/merge", summary="Merge customers", status_code=201, responses=REFUSALS)
async def merge_customers(actor: CanMerge, session: Session, response: Response, body: MergeNow) -> MergeOut:
    """Customers of one kind become one: phones, e-mails, addresses, links, tags, groups and notes of all; other fields
    the master's first. Contracts, transactions and contacts come along. A version that is not the customer's any more
    answers 412. Reading an old id answers 308 with the master's address."""
    merge_id = await merging.merge(session, actor, body)
    response.headers["Location"] = f"/api/v1/merges/{merge_id}"
    return _shown(response, await undoing.just_made(session, merge_id))


@router.post("/duplicates/merge-rules", summary="Merge duplicates by a rule", status_code=202)
async def merge_by_rule(actor: CanMerge, session: Session, body: MergeRuleIn) -> StartedOut:
    """A job merges every cluster of customers of one kind who share all these fields. What became of each is at
    `GET /jobs/{id}/items`; every merge, which can be undone, at `GET /merges?batch_id=`."""
    return StartedOut(job_id=await rules.start(session, actor, body))


@router.get("/merges", summary="List merges")
async def list_merges(
    actor: CanMerge,
    session: Session,
    work: CurrentWork,
    customer_id: Annotated[UUID | None, Query(description="Only merges into this customer.")] = None,
    batch_id: Annotated[UUID | None, Query(description="Only merges of this job.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> MergePage:
    """The newest first."""
    secret = work.resources.settings.secret
    return await undoing.page(
        session, actor, customer_id=customer_id, batch_id=batch_id, limit=limit, cursor=cursor, secret=secret
    )


@router.get("/merges/{merge_id}", summary="Read a merge")
async def get_merge(actor: CanMerge, session: Session, response: Response, merge_id: UUID) -> MergeOut:
    """What was merged, and after an undo what that left as it was."""
    return _shown(response, await undoing.get(session, actor, merge_id))


@router.post("/merges/{merge_id}/undo", summary="Undo a merge")
async def undo_merge(actor: CanMerge, session: Session, response: Response, merge_id: UUID) -> MergeOut:
    """The sources are customers again. What was edited since stays, and `left` tells it; so does a phone that another
    customer has by now."""
    return _shown(response, await undoing.undo(session, actor, merge_id))


def _shown(response: Response, found: MergeOut) -> MergeOut:
    set_etag(response, found.version)
    return found
