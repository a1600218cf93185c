"""Sources, customer types and relationships over HTTP: the same calls for each list."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from app.core.actor import Actor
from app.core.etag import IfMatch, set_etag
from app.core.work import Route, Session
from app.customers import classifications
from app.customers.classifications import Kind
from app.customers.config_schemas import (
    ClassificationIn,
    ClassificationOut,
    ClassificationPage,
    ClassificationPatch,
)
from app.customers.models import Classification
from app.identity.access import Requires

CanView = Annotated[Actor, Depends(Requires("customers.view"))]
CanAdd = Annotated[Actor, Depends(Requires("lists.create"))]
CanChangeSettings = Annotated[Actor, Depends(Requires("settings.crm"))]


def lists_of(kind: Kind, path: str, one: str, many: str) -> APIRouter:
    """The calls for one list. `one` and `many` are what it holds, in English: they name and describe the operations."""
    router = APIRouter(prefix=path, tags=["classifications"], route_class=Route)
    name, names = one.replace(" ", "_"), many.replace(" ", "_")

    @router.get("", name=f"list_{names}", summary=f"List {many}")
    async def list_values(
        _: CanView,
        session: Session,
        active: Annotated[bool | None, Query(description="Only those that people can, or cannot, choose.")] = None,
    ) -> ClassificationPage:
        """All values in order."""
        items = [_out(row) for row in await classifications.list_all(session, kind, active=active)]
        return ClassificationPage(items=items, next_cursor=None, count=len(items))

    @router.post("", name=f"create_{name}", summary=f"Add a {one}", status_code=201)
    async def create_value(
        actor: CanAdd, session: Session, response: Response, body: ClassificationIn
    ) -> ClassificationOut:
        """Also the “+” of a form. Refuses a name that the list has already, whatever its case: `name_taken`."""
        made = await classifications.create(session, actor, kind, **body.model_dump())
        response.headers["Location"] = f"/api/v1{path}/{made.id}"
        return _shown(response, made)

    @router.get("/{value_id}", name=f"get_{name}", summary=f"Read a {one}")
    async def get_value(_: CanView, session: Session, response: Response, value_id: UUID) -> ClassificationOut:
        """One value and its version."""
        return _shown(response, await classifications.get(session, kind, value_id))

    @router.patch("/{value_id}", name=f"update_{name}", summary=f"Change a {one}")
    async def update_value(
        actor: CanChangeSettings,
        session: Session,
        response: Response,
        value_id: UUID,
        version: IfMatch,
        body: ClassificationPatch,
    ) -> ClassificationOut:
        """Customers who have the value show its new name at once. An inactive value stays where it is."""
        row = await classifications.update(session, actor, kind, value_id, body.given(), version=version)
        return _shown(response, row)

    @router.delete("/{value_id}", name=f"delete_{name}", summary=f"Delete a {one}", status_code=204)
    async def delete_value(actor: CanChangeSettings, session: Session, value_id: UUID, version: IfMatch) -> None:
        """Refused with `in_use` and the count while customers have it; deactivate it instead."""
        await classifications.delete(session, actor, kind, value_id, version=version)

    return router


def _out(row: Classification) -> ClassificationOut:
    return ClassificationOut.model_validate(row, from_attributes=True)


def _shown(response: Response, row: Classification) -> ClassificationOut:
    set_etag(response, row.version)
    return _out(row)


router = APIRouter(route_class=Route)
router.include_router(lists_of("source", "/sources", "source", "sources"))
router.include_router(lists_of("customer_type", "/customer-types", "customer type", "customer types"))
router.include_router(lists_of("relationship", "/relationships", "relationship", "relationships"))
