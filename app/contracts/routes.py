"""Contracts over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from app.contracts import service
from app.contracts.schemas import ContractIn, ContractOut, ContractPage, ContractPatch, State
from app.core.actor import Actor
from app.core.etag import IfMatch, set_etag
from app.core.paging import Cursor, Limit
from app.core.work import CurrentWork, Route, Session
from app.identity.access import Requires

CanView = Annotated[Actor, Depends(Requires("customers.view", "contracts.view"))]
CanEdit = Annotated[Actor, Depends(Requires("customers.view", "contracts.edit"))]

router = APIRouter(prefix="/contracts", tags=["contracts"], route_class=Route)


@router.get("", summary="List contracts")
async def list_contracts(
    actor: CanView,
    session: Session,
    work: CurrentWork,
    customer_id: Annotated[UUID | None, Query(description="Only this customer's.")] = None,
    state: Annotated[State | None, Query(description="Only in this state.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> ContractPage:
    """Newest first; those of the customers that the caller sees."""
    return await service.page(
        session, actor, customer_id=customer_id, state=state, limit=limit, cursor=cursor,
        secret=work.resources.settings.secret,
    )  # fmt: skip


@router.post("", summary="Add a contract", status_code=201)
async def create_contract(actor: CanEdit, session: Session, response: Response, body: ContractIn) -> ContractOut:
    """With `move_to_signed` the customer has signed, else it is approached unless it is further already. Refuses a
    number that exists: `contract_number_taken`, “Số hợp đồng đã tồn tại”."""
    made = await service.add(session, actor, **body.model_dump())
    response.headers["Location"] = f"/api/v1/contracts/{made.id}"
    return _shown(response, made)


@router.get("/{contract_id}", summary="Read a contract")
async def get_contract(actor: CanView, session: Session, response: Response, contract_id: UUID) -> ContractOut:
    """One contract and its version."""
    return _shown(response, await service.get(session, actor, contract_id))


@router.patch("/{contract_id}", summary="Change a contract")
async def update_contract(
    actor: CanEdit, session: Session, response: Response, contract_id: UUID, version: IfMatch, body: ContractPatch
) -> ContractOut:
    """What is absent stays, null clears. To tick `move_to_signed` moves the customer; to take it off moves nobody."""
    return _shown(response, await service.update(session, actor, contract_id, body.given(), version=version))


@router.delete("/{contract_id}", summary="Delete a contract", status_code=204)
async def delete_contract(actor: CanEdit, session: Session, contract_id: UUID, version: IfMatch) -> None:
    """The customer's stage stays, and its history keeps that the contract was there."""
    await service.delete(session, actor, contract_id, version=version)


def _shown(response: Response, found: ContractOut) -> ContractOut:
    set_etag(response, found.version)
    return found
