"""Conversion over HTTP. It is told among the contacts: what a lead becomes is a customer, or a contact of one."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends

from app.core.actor import Actor
from app.core.work import Route, Session
from app.duplicates import converting
from app.duplicates.convert_schemas import ConvertIn, ConvertOut
from app.identity.access import Requires

CanEdit = Annotated[Actor, Depends(Requires("customers.edit"))]

router = APIRouter(tags=["contacts"], route_class=Route)


@router.post("/customers/{customer_id}/convert", summary="Convert a customer")
async def convert_customer(actor: CanEdit, session: Session, customer_id: UUID, body: ConvertIn) -> ConvertOut:
    """Makes a lead a person or a company, or a person a company. A lead whose phone another customer or its contact
    has is not doubled: it becomes a contact of that customer, who gets its contacts, contracts, transactions, groups
    and tags. That is a merge, and is undone as one."""
    return await converting.convert(session, actor, customer_id, **body.model_dump())
