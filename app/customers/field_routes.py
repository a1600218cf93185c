"""The fields of customers over HTTP: what forms, lists and imports are built from."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response

from app.core.actor import Actor
from app.core.etag import IfMatch, set_etag
from app.core.work import Route, Session
from app.customers import field_settings
from app.customers.config_schemas import FieldOut, FieldPage, FieldPatch
from app.identity.access import Requires, SignedIn

CanChangeSettings = Annotated[Actor, Depends(Requires("settings.crm"))]
Key = Annotated[str, Path(max_length=60, examples=["birthday"])]

router = APIRouter(prefix="/fields", tags=["fields"], route_class=Route)


@router.get("", summary="List fields")
async def list_fields(_: SignedIn, session: Session) -> FieldPage:
    """Everything that a customer's record can hold, built in and added, in the order of forms."""
    items = await field_settings.list_all(session)
    return FieldPage(items=items, next_cursor=None, count=len(items))


@router.patch("/{key}", summary="Change a field")
async def update_field(
    actor: CanChangeSettings, session: Session, response: Response, key: Key, version: IfMatch, body: FieldPatch
) -> FieldOut:
    """Whether it is required, and its place. Of name and phone one must stay required. An attribute
    (`attributes.…`) can also be changed in all else: PATCH /attributes/{id}."""
    field = await field_settings.update(session, actor, key, body.given(), version=version)
    set_etag(response, field.version)
    return field
