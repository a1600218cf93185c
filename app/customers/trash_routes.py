"""The trash over HTTP (Đã xóa). Stands before the customers' own routes, whose paths would take `trash` for an id."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from app.core.actor import Actor
from app.core.db import driver
from app.core.etag import IfMatch
from app.core.paging import Count, Cursor, Limit
from app.core.work import CurrentWork, Route, Session
from app.customers import replies, trash
from app.customers.schemas import CustomerOut, TrashPage
from app.identity.access import Requires

CanDelete = Annotated[Actor, Depends(Requires("customers.delete"))]
CanSee = Annotated[Actor, Depends(Requires("customers.delete", reading=True))]
CanPurge = Annotated[Actor, Depends(Requires("customers.purge"))]

router = APIRouter(prefix="/customers", tags=["trash"], route_class=Route)


@router.get("/trash", summary="List deleted customers")
async def list_trash(
    actor: CanSee,
    work: CurrentWork,
    q: Annotated[str | None, Query(max_length=200, description="As in the list of customers.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
    count: Count = "none",
) -> TrashPage:
    """Those deleted last first. `deleted_reason` is `trash`, or `merge` for who lives on in `merged_into`: only undoing
    the merge brings that one back."""
    secret = work.resources.settings.secret
    return await trash.page(work.reader, actor, q=q, limit=limit, cursor=cursor, count=count, secret=secret)


@router.post("/{customer_id}/restore", summary="Restore a deleted customer", response_model=CustomerOut)
async def restore_customer(actor: CanDelete, session: Session, customer_id: UUID) -> Response:
    """Out of the trash. Refused with `phone_taken` or `value_taken` when somebody else has its phone or a unique value
    by now; `existing_id` tells who, as far as the caller may know."""
    await trash.restore_one(session, actor, customer_id)
    return await replies.customer(await driver(session), actor, customer_id)


@router.delete("/{customer_id}/purge", summary="Delete a customer for good", status_code=204)
async def purge_customer(
    actor: CanPurge,
    session: Session,
    customer_id: UUID,
    version: IfMatch,
    confirm: Annotated[
        str,
        Query(
            max_length=200,
            description="The warning, repeated: “Khách hàng bị xóa sẽ không thể khôi phục lại”.",
            examples=["Khách hàng bị xóa sẽ không thể khôi phục lại"],
        ),
    ] = "",
) -> None:
    """From the trash only, and never to be restored: its data is gone, also from its history."""
    await trash.purge_one(session, actor, customer_id, version=version, confirm=confirm)
