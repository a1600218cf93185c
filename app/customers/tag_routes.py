"""Tags of customers over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from app.core.actor import Actor
from app.core.etag import IfMatch, set_etag
from app.core.paging import Cursor, Limit
from app.core.work import CurrentWork, Route, Session
from app.customers import tags
from app.customers.config_schemas import TagIn, TagOut, TagPage, TagPatch
from app.identity.access import Requires

CanView = Annotated[Actor, Depends(Requires("customers.view"))]
CanCreate = Annotated[Actor, Depends(Requires("tags.create"))]
CanChangeSettings = Annotated[Actor, Depends(Requires("settings.crm"))]

router = APIRouter(prefix="/tags", tags=["tags"], route_class=Route)


@router.get("", summary="List tags")
async def list_tags(
    actor: CanView,
    session: Session,
    work: CurrentWork,
    q: Annotated[str | None, Query(max_length=200, description="Part of the name, with or without accents.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> TagPage:
    """By name, each with the number of its customers; deleted customers do not count."""
    return await tags.page(session, actor, q=q, limit=limit, cursor=cursor, secret=work.resources.settings.secret)


@router.post("", summary="Add a tag", status_code=201)
async def create_tag(actor: CanCreate, session: Session, response: Response, body: TagIn) -> TagOut:
    """Refuses a name that a tag has already, whatever its case: `name_taken`. A customer's form may also name a tag
    that is new."""
    made = await tags.create(session, actor, name=body.name, color=body.color)
    response.headers["Location"] = f"/api/v1/tags/{made.id}"
    return _shown(response, made)


@router.get("/{tag_id}", summary="Read a tag")
async def get_tag(_: CanView, session: Session, response: Response, tag_id: UUID) -> TagOut:
    """A tag and how many customers have it."""
    return _shown(response, await tags.get(session, tag_id))


@router.patch("/{tag_id}", summary="Change a tag")
async def update_tag(
    actor: CanChangeSettings, session: Session, response: Response, tag_id: UUID, version: IfMatch, body: TagPatch
) -> TagOut:
    """What is absent stays."""
    return _shown(response, await tags.update(session, actor, tag_id, body.given(), version=version))


@router.delete("/{tag_id}", summary="Delete a tag", status_code=204)
async def delete_tag(actor: CanChangeSettings, session: Session, tag_id: UUID, version: IfMatch) -> None:
    """Takes it off all its customers."""
    await tags.delete(session, actor, tag_id, version=version)


def _shown(response: Response, tag: TagOut) -> TagOut:
    set_etag(response, tag.version)
    return tag
