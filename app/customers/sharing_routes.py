"""Sharing of customers over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends

from app.core.actor import Actor
from app.core.work import Route, Session
from app.customers import sharing
from app.customers.schemas import ShareIn, SharesOut, UnsharedOut
from app.identity.access import Requires

CanView = Annotated[Actor, Depends(Requires("customers.view"))]
CanEdit = Annotated[Actor, Depends(Requires("customers.edit"))]

router = APIRouter(prefix="/customers/{customer_id}/shares", tags=["customers"], route_class=Route)


@router.get("", summary="List whom a customer is shared with")
async def list_customer_shares(actor: CanView, session: Session, customer_id: UUID) -> SharesOut:
    """Colleagues who see it beside its owner, by name."""
    return await sharing.read(session, actor, customer_id)


@router.post("", summary="Share a customer")
async def share_customer(actor: CanEdit, session: Session, customer_id: UUID, body: ShareIn) -> SharesOut:
    """Whoever it is shared with sees it in every list and works with it by their own permissions, but hands it on to
    nobody: `not_entrusted`. Many customers at once: the bulk actions `share` and `unshare`."""
    return await sharing.share(session, actor, customer_id, body.users)


@router.delete("/{user_id}", summary="Stop sharing a customer")
async def unshare_customer(actor: CanEdit, session: Session, customer_id: UUID, user_id: UUID) -> UnsharedOut:
    """The colleague no longer sees it, unless for another reason."""
    return await sharing.unshare(session, actor, customer_id, user_id)
