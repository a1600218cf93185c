"""Transactions and their types over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from app.core.actor import Actor
from app.core.etag import IfMatch, set_etag
from app.core.paging import Cursor, Limit
from app.core.work import CurrentWork, Route, Session
from app.identity.access import Requires
from app.transactions import service, types
from app.transactions.models import TransactionType
from app.transactions.schemas import (
    QuickTransactionIn,
    State,
    TransactionIn,
    TransactionOut,
    TransactionPage,
    TransactionPatch,
    TypeIn,
    TypeOut,
    TypePage,
    TypePatch,
)

CanView = Annotated[Actor, Depends(Requires("customers.view", "transactions.view"))]
CanEdit = Annotated[Actor, Depends(Requires("customers.view", "transactions.edit"))]
CanListTypes = Annotated[Actor, Depends(Requires("transactions.view"))]
CanAddTypes = Annotated[Actor, Depends(Requires("lists.create"))]
CanChangeSettings = Annotated[Actor, Depends(Requires("settings.crm"))]

router = APIRouter(tags=["transactions"], route_class=Route)


@router.get("/transactions", summary="List transactions")
async def list_transactions(
    actor: CanView,
    session: Session,
    work: CurrentWork,
    customer_id: Annotated[UUID | None, Query(description="Only this customer's.")] = None,
    type_id: Annotated[UUID | None, Query(description="Only of this type.")] = None,
    state: Annotated[State | None, Query(description="Only in this state.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> TransactionPage:
    """Newest first; those of the customers that the caller sees."""
    return await service.page(
        session, actor, customer_id=customer_id, type_id=type_id, state=state, limit=limit, cursor=cursor,
        secret=work.resources.settings.secret,
    )  # fmt: skip


@router.post("/transactions", summary="Add a transaction", status_code=201)
async def create_transaction(
    actor: CanEdit, session: Session, response: Response, body: TransactionIn
) -> TransactionOut:
    """The customer becomes “approached” unless it is further already; a completed transaction adds its type's points
    to the customer's score."""
    return _made(response, await service.add(session, actor, **body.model_dump()))


@router.post("/customers/{customer_id}/transactions", summary="Add a transaction quickly", status_code=201)
async def create_quick_transaction(
    actor: CanEdit, session: Session, response: Response, customer_id: UUID, body: QuickTransactionIn
) -> TransactionOut:
    """From a customer's row: only name, description and type, and the customer is known."""
    return _made(response, await service.add_to(session, actor, customer_id, **body.model_dump()))


@router.get("/transactions/{transaction_id}", summary="Read a transaction")
async def get_transaction(actor: CanView, session: Session, response: Response, transaction_id: UUID) -> TransactionOut:
    """One transaction and its version."""
    return _shown(response, await service.get(session, actor, transaction_id))


@router.patch("/transactions/{transaction_id}", summary="Change a transaction")
async def update_transaction(
    actor: CanEdit,
    session: Session,
    response: Response,
    transaction_id: UUID,
    version: IfMatch,
    body: TransactionPatch,
) -> TransactionOut:
    """What is absent stays. To complete it adds its type's points to the customer's score."""
    return _shown(response, await service.update(session, actor, transaction_id, body.given(), version=version))


@router.delete("/transactions/{transaction_id}", summary="Delete a transaction", status_code=204)
async def delete_transaction(actor: CanEdit, session: Session, transaction_id: UUID, version: IfMatch) -> None:
    """Its points go with it; the customer's history keeps that it was there."""
    await service.delete(session, actor, transaction_id, version=version)


@router.get("/transaction-types", summary="List transaction types")
async def list_transaction_types(
    _: CanListTypes,
    session: Session,
    active: Annotated[bool | None, Query(description="Only those that people can, or cannot, choose.")] = None,
) -> TypePage:
    """All types in order."""
    items = [_type(row) for row in await types.list_all(session, active=active)]
    return TypePage(items=items, next_cursor=None, count=len(items))


@router.post("/transaction-types", summary="Add a transaction type", status_code=201)
async def create_transaction_type(actor: CanAddTypes, session: Session, response: Response, body: TypeIn) -> TypeOut:
    """Refuses a name that a type has already, whatever its case: `name_taken`."""
    made = await types.create(session, actor, **body.model_dump())
    response.headers["Location"] = f"/api/v1/transaction-types/{made.id}"
    return _shown_type(response, made)


@router.get("/transaction-types/{type_id}", summary="Read a transaction type")
async def get_transaction_type(_: CanListTypes, session: Session, response: Response, type_id: UUID) -> TypeOut:
    """One type and its version."""
    return _shown_type(response, await types.get(session, type_id))


@router.patch("/transaction-types/{type_id}", summary="Change a transaction type")
async def update_transaction_type(
    actor: CanChangeSettings, session: Session, response: Response, type_id: UUID, version: IfMatch, body: TypePatch
) -> TypeOut:
    """Other points reach the scores of all customers with such transactions in a job."""
    return _shown_type(response, await types.update(session, actor, type_id, body.given(), version=version))


@router.delete("/transaction-types/{type_id}", summary="Delete a transaction type", status_code=204)
async def delete_transaction_type(actor: CanChangeSettings, session: Session, type_id: UUID, version: IfMatch) -> None:
    """Refused with `transaction_type_in_use` while transactions have it; deactivate it instead."""
    await types.delete(session, actor, type_id, version=version)


def _made(response: Response, made: TransactionOut) -> TransactionOut:
    response.headers["Location"] = f"/api/v1/transactions/{made.id}"
    return _shown(response, made)


def _shown(response: Response, found: TransactionOut) -> TransactionOut:
    set_etag(response, found.version)
    return found


def _type(row: TransactionType) -> TypeOut:
    return TypeOut.model_validate(row, from_attributes=True)


def _shown_type(response: Response, row: TransactionType) -> TypeOut:
    set_etag(response, row.version)
    return _type(row)
