"""Contacts of customers over HTTP, and the further phones, e-mails, addresses and links."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from app.contacts import points, service
from app.contacts.schemas import (
    ContactIn,
    ContactOut,
    ContactPage,
    ContactPatch,
    PointIn,
    PointKind,
    PointOut,
    PointPage,
    RemovedOut,
)
from app.core.actor import Actor
from app.core.etag import IfMatch, set_etag
from app.core.paging import Cursor, Limit
from app.core.work import CurrentWork, Route, Session
from app.identity.access import Requires

CanView = Annotated[Actor, Depends(Requires("customers.view"))]
CanEdit = Annotated[Actor, Depends(Requires("customers.edit"))]

router = APIRouter(tags=["contacts"], route_class=Route)
ONE = "/customers/{customer_id}"


@router.get(f"{ONE}/contacts", summary="List a customer's contacts")
async def list_contacts(
    actor: CanView, session: Session, work: CurrentWork, customer_id: UUID, limit: Limit = 50, cursor: Cursor = None
) -> ContactPage:
    """A person is their own first contact; then in the order they were added."""
    secret = work.resources.settings.secret
    return await service.page(session, actor, customer_id, limit=limit, cursor=cursor, secret=secret)


@router.post(f"{ONE}/contacts", summary="Add a contact", status_code=201)
async def create_contact(
    actor: CanEdit, session: Session, response: Response, customer_id: UUID, body: ContactIn
) -> ContactOut:
    """Refuses a phone of another customer (`phone_taken`) or of another's contact (`phone_in_contact`)."""
    made = await service.create(session, actor, customer_id, body.given())
    response.headers["Location"] = f"/api/v1/customers/{customer_id}/contacts/{made.id}"
    return _shown(response, made)


@router.get(f"{ONE}/contacts/{{contact_id}}", summary="Read a contact")
async def get_contact(
    actor: CanView, session: Session, response: Response, customer_id: UUID, contact_id: UUID
) -> ContactOut:
    """A person's own contact has the customer's id."""
    return _shown(response, await service.get(session, actor, customer_id, contact_id))


@router.patch(f"{ONE}/contacts/{{contact_id}}", summary="Change a contact")
async def update_contact(
    actor: CanEdit,
    session: Session,
    response: Response,
    customer_id: UUID,
    contact_id: UUID,
    version: IfMatch,
    body: ContactPatch,
) -> ContactOut:
    """What is absent stays, null clears. A change of a person's own contact is one of the customer."""
    row = await service.update_contact(session, actor, customer_id, contact_id, body.given(), version=version)
    return _shown(response, row)


@router.delete(f"{ONE}/contacts/{{contact_id}}", summary="Remove a contact", status_code=204)
async def delete_contact(
    actor: CanEdit, session: Session, customer_id: UUID, contact_id: UUID, version: IfMatch
) -> None:
    """With its phones and addresses. A person's own contact cannot go alone: `contact_is_customer`."""
    await service.remove(session, actor, customer_id, contact_id, version=version)


def points_of(kind: PointKind, path: str, one: str, many: str) -> None:
    """The calls on one kind of value. `one` and `many` name and describe the operations."""
    name, names = one.replace("-", "").replace(" ", "_"), many.replace("-", "").replace(" ", "_")

    @router.get(f"{ONE}/{path}", name=f"list_customer_{names}", summary=f"List a customer's {many}")
    async def list_points(
        actor: CanView, session: Session, work: CurrentWork, customer_id: UUID, limit: Limit = 50, cursor: Cursor = None
    ) -> PointPage:
        """The customer's own field first, then further ones and those of its contacts."""
        secret = work.resources.settings.secret
        return await points.page(session, actor, customer_id, kind, limit=limit, cursor=cursor, secret=secret)

    @router.post(f"{ONE}/{path}", name=f"add_customer_{name}", summary=f"Add a {one}", status_code=201)
    async def add_point(actor: CanEdit, session: Session, customer_id: UUID, body: PointIn) -> PointOut:
        """One that is there already is answered as it is. A person's further phone becomes a contact of its own."""
        return await points.add(session, actor, customer_id, kind, body)

    @router.delete(f"{ONE}/{path}/{{point_id}}", name=f"remove_customer_{name}", summary=f"Remove a {one}")
    async def remove_point(actor: CanEdit, session: Session, customer_id: UUID, point_id: UUID) -> RemovedOut:
        """Also one of a contact. The customer's own field is changed with the customer."""
        return RemovedOut(changed=await points.remove(session, actor, customer_id, kind, point_id))


points_of("phone", "phones", "phone", "phones")
points_of("email", "emails", "e-mail address", "e-mail addresses")
points_of("address", "addresses", "postal address", "postal addresses")
points_of("link", "links", "link", "links")


def _shown(response: Response, row: ContactOut) -> ContactOut:
    set_etag(response, row.version)
    return row
