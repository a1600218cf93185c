"""The form that adds a customer, over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from app.contacts import form
from app.contacts.schemas import CustomerIn
from app.core.actor import Actor
from app.core.db import driver
from app.core.work import Route, Session
from app.customers import replies
from app.customers.schemas import CustomerOut
from app.identity.access import Requires

CanCreate = Annotated[Actor, Depends(Requires("customers.create"))]

router = APIRouter(tags=["customers"], route_class=Route)


@router.post(
    "/customers", summary="Add a customer", status_code=201, response_model=CustomerOut,
    response_description="The new customer: “Thêm mới thành công”",
)  # fmt: skip
async def create_customer(actor: CanCreate, session: Session, body: CustomerIn) -> Response:
    """With its contacts, all or nothing. Refuses a phone that another customer has: `phone_taken`, “Số điện thoại đã
    tồn tại”; or a contact of another: `phone_in_contact`."""
    given = body.model_dump(exclude_unset=True, exclude={"contacts"})
    customer_id = await form.add_customer(session, actor, given, [one.given() for one in body.contacts])
    return await replies.customer(await driver(session), actor, customer_id, status=201, written=True)
