"""Customers over HTTP."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from app.core.actor import Actor
from app.core.db import driver
from app.core.errors import invalid
from app.core.etag import IfMatch
from app.core.paging import Count, Cursor, Limit
from app.core.work import CurrentWork, Route, Session
from app.customers import queries, registry, replies, service, timeline
from app.customers.lookup import LookupOut, look_up
from app.customers.queries import Ask
from app.customers.schemas import CustomerOut, CustomerPage, CustomerPatch, EventPage
from app.identity.access import Requires

CanView = Annotated[Actor, Depends(Requires("customers.view"))]
CanRead = Annotated[Actor, Depends(Requires("customers.view", reading=True))]
CanLookUp = Annotated[Actor, Depends(Requires("customers.lookup", reading=True))]
CanEdit = Annotated[Actor, Depends(Requires("customers.edit"))]
CanDelete = Annotated[Actor, Depends(Requires("customers.delete"))]

router = APIRouter(prefix="/customers", tags=["customers"], route_class=Route)
MERGED: dict[int | str, dict[str, Any]] = {
    308: {
        "description": "It was merged into the customer that Location names; not to be stored, a merge can be undone",
        "headers": {"Location": {"required": True, "schema": {"type": "string"}}},
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}
MAX_FILTERS = 20


@router.get("", summary="List and search customers", response_model=CustomerPage)
async def list_customers(
    actor: CanRead,
    work: CurrentWork,
    request: Request,
    q: Annotated[
        str | None,
        Query(max_length=200, description="Name without accents, phone or its last digits, e-mail, code, tax code."),
    ] = None,
    sort: Annotated[str, Query(max_length=80, description="A field, with - before it for descending.")] = "-created_at",
    fields: Annotated[str | None, Query(max_length=1000, description="Members to return, by comma.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    count: Count = "none",
) -> Response:
    """Newest first unless sorted otherwise. Any field is also a filter: `source=Facebook`,
    `birthday__from=1990-01-01`, `attributes.han_muc__to=5000000`; an empty value finds what has none."""
    filters = tuple(
        (key, value) for key, value in request.query_params.multi_items() if key not in queries.OWN_PARAMETERS
    )
    members = queries.members((fields or "").split(","))
    if len(filters) > MAX_FILTERS:
        raise invalid(
            "filters", "too_many", f"Tối đa {MAX_FILTERS} điều kiện lọc", f"No more than {MAX_FILTERS} filters"
        )
    ask = Ask(q, filters, None, sort, members, limit, cursor, count)
    plain = not filters and sort.lstrip("-") == "created_at"
    known = None if plain else await registry.load_reading(work.reader, work.db, actor.tenant_id)
    return replies.json(await queries.list_json(work.reader, actor, known, ask, work.resources.settings.secret))


@router.get("/lookup", summary="Look up customers of all owners")
async def lookup_customers(
    actor: CanLookUp,
    work: CurrentWork,
    q: Annotated[str, Query(max_length=200, description="Phone, code, name, e-mail or tax code.")] = "",
) -> LookupOut:
    """For whoever answers a call: at most 20 customers of the whole workspace, each with no more than its code, name,
    owner and business addresses where the caller may not see it. Says when a phone is a contact's, of others' customers
    where the whole phone was asked for, and what to add when nobody is found."""
    return await look_up(work.reader, actor, q)


@router.get("/{customer_id}", summary="Read a customer", response_model=CustomerOut, responses=MERGED)
async def get_customer(actor: CanRead, work: CurrentWork, customer_id: UUID) -> Response:
    """A customer that the caller may not see answers as one that does not exist."""
    return await replies.customer(work.reader, actor, customer_id)


@router.patch(
    "/{customer_id}", summary="Change a customer", response_model=CustomerOut,
    response_description="The customer as it is now: “Cập nhật thông tin thành công”",
)  # fmt: skip
async def update_customer(
    actor: CanEdit, session: Session, customer_id: UUID, version: IfMatch, body: CustomerPatch
) -> Response:
    """What is absent stays, null clears. The answer is the customer as it is now, also where the change gave it to
    somebody whose customers the caller does not see."""
    await service.update_one(session, actor, customer_id, body.model_dump(exclude_unset=True), version=version)
    return await replies.customer(await driver(session), actor, customer_id, written=True)


@router.delete("/{customer_id}", summary="Delete a customer", status_code=204)
async def delete_customer(actor: CanDelete, session: Session, customer_id: UUID, version: IfMatch) -> None:
    """Into the trash: no list or search finds it any more, and its phone is free again."""
    await service.delete_one(session, actor, customer_id, version=version)


@router.get("/{customer_id}/events", summary="Read a customer's timeline")
async def list_customer_events(
    actor: CanView,
    session: Session,
    work: CurrentWork,
    customer_id: UUID,
    type: Annotated[Literal[timeline.TYPES] | None, Query(description="Only this interaction type.")] = None,  # type: ignore[valid-type]  # noqa: A002
    limit: Limit = 50,
    cursor: Cursor = None,
) -> EventPage:
    """Every interaction and change, newest first, with what was before and after."""
    return await timeline.page(
        session, actor, customer_id, kind=type, limit=limit, cursor=cursor, secret=work.resources.settings.secret
    )
