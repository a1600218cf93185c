"""Duplicate keys and the duplicate centre over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from app.core.actor import Actor
from app.core.etag import IfMatch, set_etag
from app.core.paging import Cursor, Limit
from app.core.work import CurrentWork, Route, Session
from app.duplicates import building, centre, dismissals, settings
from app.duplicates.schemas import (
    ClusterPage,
    DismissalPage,
    DismissedOut,
    DismissIn,
    DuplicateKeysIn,
    DuplicateKeysOut,
    OthersOut,
    StartedOut,
    TakenBackOut,
)
from app.identity.access import Requires

CanView = Annotated[Actor, Depends(Requires("customers.view"))]
CanEdit = Annotated[Actor, Depends(Requires("customers.edit"))]
CanMerge = Annotated[Actor, Depends(Requires("customers.merge"))]
CanSet = Annotated[Actor, Depends(Requires("settings.crm"))]

router = APIRouter(tags=["duplicates"], route_class=Route)


@router.get("/duplicate-keys", summary="Read by what duplicates are known")
async def get_duplicate_keys(_: CanView, session: Session, response: Response) -> DuplicateKeysOut:
    """The fields that must not repeat, alone or together."""
    found = await settings.read(session)
    set_etag(response, found.version)
    return found


@router.put("/duplicate-keys", summary="Set by what duplicates are known")
async def set_duplicate_keys(
    actor: CanSet, session: Session, response: Response, version: IfMatch, body: DuplicateKeysIn
) -> DuplicateKeysOut:
    """Checked on create and edit, and on import where `imports` says so. What repeats already stays, and shows in the
    duplicate centre; the job makes a new key know the customers there are."""
    changed = await settings.change(session, actor, body.keys, version=version)
    set_etag(response, changed.version)
    return changed


@router.post("/duplicates/scan", summary="Look for duplicates in all customers", status_code=202)
async def scan_duplicates(actor: CanMerge, session: Session) -> StartedOut:
    """A job finds what customers and their contacts share: phone, e-mail, name and birthday, tax code."""
    return StartedOut(job_id=await building.enqueue_scan(session, actor))


@router.get("/duplicates", summary="List customers who may be one")
async def list_duplicates(
    actor: CanView, session: Session, work: CurrentWork, limit: Limit = 50, cursor: Cursor = None
) -> ClusterPage:
    """Clusters with their reasons. By the workspace's own keys they are always complete, by the others as of the last
    scan; what changed since then is never shown wrongly."""
    secret = work.resources.settings.secret
    return await centre.page(session, actor, limit=limit, cursor=cursor, secret=secret)


@router.post(
    "/duplicates/dismiss",
    summary="Say that customers are not one",
    status_code=201,
    responses={404: {"description": "Not found"}},
)
async def dismiss_duplicates(actor: CanEdit, session: Session, body: DismissIn) -> DismissedOut:
    """Their cluster is hidden until somebody else joins it."""
    return await dismissals.dismiss(session, actor, body.customer_ids)


@router.get("/duplicates/dismissals", summary="List who was said not to be one")
async def list_dismissals(
    actor: CanView,
    session: Session,
    work: CurrentWork,
    customer_id: Annotated[UUID | None, Query(description="Only those that name this customer.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> DismissalPage:
    """The newest first, of customers whom the caller may see."""
    secret = work.resources.settings.secret
    return await dismissals.page(session, actor, customer_id=customer_id, limit=limit, cursor=cursor, secret=secret)


@router.delete("/duplicates/dismissals/{dismissal_id}", summary="Take a dismissal back")
async def take_dismissal_back(actor: CanEdit, session: Session, dismissal_id: UUID) -> TakenBackOut:
    """Its customers may be one again: their cluster is shown, and rules merge them."""
    return TakenBackOut(changed=await dismissals.take_back(session, actor, dismissal_id))


@router.get("/customers/{customer_id}/duplicates", summary="List who else may be this customer")
async def list_customer_duplicates(actor: CanView, session: Session, customer_id: UUID) -> OthersOut:
    """Other customers with the same phone, also through contacts, or the same e-mail, or by another reason."""
    return await centre.others(session, actor, customer_id)
