"""A workspace's own fields over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from app.core.actor import Actor
from app.core.etag import IfMatch, set_etag
from app.core.work import Route, Session
from app.customers import attributes
from app.customers.config_schemas import AttributeIn, AttributeOut, AttributePage, AttributePatch
from app.customers.models import Attribute
from app.identity.access import Requires, SignedIn

CanChangeSettings = Annotated[Actor, Depends(Requires("settings.crm"))]

router = APIRouter(prefix="/attributes", tags=["fields"], route_class=Route)


@router.get("", summary="List attributes")
async def list_attributes(_: SignedIn, session: Session) -> AttributePage:
    """The fields that the workspace added, in order."""
    items = [_out(row) for row in await attributes.list_all(session)]
    return AttributePage(items=items, next_cursor=None, count=len(items))


@router.post("", summary="Add an attribute", status_code=201)
async def create_attribute(
    actor: CanChangeSettings, session: Session, response: Response, body: AttributeIn
) -> AttributeOut:
    """At once every customer can have it: in forms, lists, filters and imports."""
    made = await attributes.create(session, actor, **body.model_dump())
    response.headers["Location"] = f"/api/v1/attributes/{made.id}"
    return _shown(response, made)


@router.get("/{attribute_id}", summary="Read an attribute")
async def get_attribute(_: SignedIn, session: Session, response: Response, attribute_id: UUID) -> AttributeOut:
    """One attribute and its version."""
    return _shown(response, await attributes.get(session, attribute_id))


@router.patch("/{attribute_id}", summary="Change an attribute")
async def update_attribute(
    actor: CanChangeSettings,
    session: Session,
    response: Response,
    attribute_id: UUID,
    version: IfMatch,
    body: AttributePatch,
) -> AttributeOut:
    """A choice that customers have cannot be removed (`choice_in_use`), only renamed. `unique` is refused while
    customers share values (`attribute_not_unique`)."""
    row = await attributes.update(session, actor, attribute_id, body.given(), version=version)
    return _shown(response, row)


@router.delete("/{attribute_id}", summary="Delete an attribute", status_code=204)
async def delete_attribute(actor: CanChangeSettings, session: Session, attribute_id: UUID, version: IfMatch) -> None:
    """It disappears from customers, forms and lists. Its key is not given again."""
    await attributes.delete(session, actor, attribute_id, version=version)


def _out(row: Attribute) -> AttributeOut:
    return AttributeOut(
        id=row.id, key=row.key, name=row.name, type=row.type,
        position=row.position, required=row.required, unique=row.is_unique, choices=row.choices,
        filterable=row.slot is not None, created_at=row.created_at, updated_at=row.updated_at, version=row.version,
    )  # fmt: skip


def _shown(response: Response, row: Attribute) -> AttributeOut:
    set_etag(response, row.version)
    return _out(row)
