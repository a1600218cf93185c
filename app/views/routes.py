"""Saved filters and views over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from app.core.actor import Actor
from app.core.etag import IfMatch, set_etag
from app.core.paging import Cursor, Limit
from app.core.work import CurrentWork, Route, Session
from app.customers import registry
from app.identity.access import Requires
from app.views import customer_view, filters
from app.views.schemas import (
    CountsIn,
    CountsOut,
    SavedFilterIn,
    SavedFilterOut,
    SavedFilterPage,
    SavedFilterPatch,
    ViewIn,
    ViewOut,
)

CanView = Annotated[Actor, Depends(Requires("customers.view"))]
CanRead = Annotated[Actor, Depends(Requires("customers.view", reading=True))]
Person = Annotated[Actor, Depends(Requires("customers.view", people_only=True))]
CanChangeSettings = Annotated[Actor, Depends(Requires("customers.view", "settings.crm"))]

router = APIRouter(tags=["filters"], route_class=Route)


@router.get("/filters", summary="List saved filters")
async def list_filters(
    actor: CanView, session: Session, work: CurrentWork, limit: Limit = 50, cursor: Cursor = None
) -> SavedFilterPage:
    """One's own and those that others share, by name, each with what it means."""
    return await filters.page(session, actor, limit=limit, cursor=cursor, secret=work.resources.settings.secret)


@router.post("/filters", summary="Save a filter", status_code=201)
async def create_filter(actor: CanView, session: Session, response: Response, body: SavedFilterIn) -> SavedFilterOut:
    """For oneself; with the permission to share also for named people, roles or teams, for the teams that one is in, or
    for the whole workspace."""
    made = await filters.create(session, actor, body)
    response.headers["Location"] = f"/api/v1/filters/{made.id}"
    return _shown(response, made)


@router.post("/filters/counts", summary="Count saved filters")
async def count_filters(actor: CanRead, work: CurrentWork, body: CountsIn) -> CountsOut:
    """How many customers each finds for the caller now, all at once. Changes nothing."""
    known = await registry.load_reading(work.reader, work.db, actor.tenant_id)
    async with work.db.spare(actor.tenant_id) as second:
        readers = [one for one in (work.reader, second) if one is not None]
        return CountsOut(counts=await filters.counts(readers, actor, known, body.ids, cap=body.cap))


@router.get("/filters/{filter_id}", summary="Read a saved filter")
async def get_filter(actor: CanView, session: Session, response: Response, filter_id: UUID) -> SavedFilterOut:
    """A saved filter and what it means."""
    return _shown(response, await filters.get(session, actor, filter_id))


@router.patch("/filters/{filter_id}", summary="Change a saved filter")
async def update_filter(
    actor: CanView, session: Session, response: Response, filter_id: UUID, version: IfMatch, body: SavedFilterPatch
) -> SavedFilterOut:
    """What is absent stays. Others' filters only where the whole workspace or their team has them, with the permission
    to share."""
    return _shown(response, await filters.update(session, actor, filter_id, body.given(), version=version))


@router.delete("/filters/{filter_id}", summary="Delete a saved filter", status_code=204)
async def delete_filter(actor: CanView, session: Session, filter_id: UUID, version: IfMatch) -> None:
    """For everybody who saw it."""
    await filters.delete(session, actor, filter_id, version=version)


@router.get("/me/views/customers", summary="Read one's customer view")
async def get_my_view(actor: Person, session: Session, response: Response) -> ViewOut:
    """The filter bar and the columns of one's list, and the fields that could be there too."""
    return _view(response, await customer_view.own(session, actor))


@router.put("/me/views/customers", summary="Choose one's customer view")
async def put_my_view(actor: Person, session: Session, response: Response, version: IfMatch, body: ViewIn) -> ViewOut:
    """null goes back to what the workspace shows."""
    return _view(response, await customer_view.save_own(session, actor, body, version=version))


@router.get("/views/customers", summary="Read the workspace's customer view")
async def get_view(actor: CanView, session: Session, response: Response) -> ViewOut:
    """What the list shows to those who chose nothing themselves."""
    return _view(response, await customer_view.workspace(session, actor))


@router.put("/views/customers", summary="Choose the workspace's customer view")
async def put_view(
    actor: CanChangeSettings, session: Session, response: Response, version: IfMatch, body: ViewIn
) -> ViewOut:
    """null goes back to what the product shows."""
    return _view(response, await customer_view.save_workspace(session, actor, body, version=version))


def _shown(response: Response, saved: SavedFilterOut) -> SavedFilterOut:
    set_etag(response, saved.version)
    return saved


def _view(response: Response, view: ViewOut) -> ViewOut:
    set_etag(response, view.version)
    return view
