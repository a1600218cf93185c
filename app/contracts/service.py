"""Contracts with customers (hợp đồng): whoever sees the customer sees its contracts."""

from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import delete as sql_delete
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.contracts.errors import NumberTaken
from app.contracts.models import Contract
from app.contracts.schemas import ContractOut, ContractPage
from app.core.actor import Actor
from app.core.clock import new_id, now
from app.core.db import driver, on_conflict
from app.core.errors import NotFound, Stale, invalid
from app.core.paging import Pager
from app.core.vietnam import text as vn
from app.customers import facts, scoring, stages
from app.customers.visibility import visible
from app.filters.search import Sql

__all__ = ["add", "delete", "get", "page", "update"]

READ = """
SELECT k.id, k.customer_id, c.name AS customer_name, k.number, k.name, k.value, k.state, k.signed_on, k.starts_on,
       k.ends_on, k.move_to_signed, k.note, k.created_by, k.created_at, k.updated_at, k.version
FROM crm.contract k
JOIN crm.customer c ON c.tenant_id = $1 AND c.id = k.customer_id AND c.deleted_at IS NULL
WHERE k.tenant_id = $1 AND ({where})
"""


async def page(
    session: AsyncSession,
    actor: Actor,
    *,
    customer_id: UUID | None,
    state: str | None,
    limit: int,
    cursor: str | None,
    secret: bytes,
) -> ContractPage:
    """A page of the contracts that the caller sees, newest first."""
    pager = Pager(secret, actor.tenant_id, "contracts", customer_id, state)
    position, sql = pager.position(cursor), Sql(actor.tenant_id)
    where = [visible(sql, actor)]
    for column, value in (("customer_id", customer_id), ("state", state)):
        if value is not None:
            where.append(f"k.{column} = {sql.arg(value)}")
    if position is not None:
        moment, last = sql.arg(str(position[0])), sql.arg(UUID(position[1]))
        where.append(f"(k.created_at, k.id) < ({moment}::text::timestamptz, {last}::uuid)")
    statement = f"{READ.format(where=' AND '.join(where))} ORDER BY k.created_at DESC, k.id DESC LIMIT {limit + 1:d}"
    rows = await (await driver(session)).fetch(statement, *sql.args)
    items = [ContractOut(**dict(row)) for row in rows[:limit]]
    last_row = items[-1] if len(rows) > limit else None
    after = pager.cursor([last_row.created_at.isoformat(), str(last_row.id)]) if last_row else None
    return ContractPage(items=items, next_cursor=after)


async def get(session: AsyncSession, actor: Actor, contract_id: UUID) -> ContractOut:
    """A contract.

    Raises:
        NotFound: there is none, or its customer is none of the caller's.
    """
    sql = Sql(actor.tenant_id)
    where = f"k.id = {sql.arg(contract_id)} AND {visible(sql, actor)}"
    row = await (await driver(session)).fetchrow(READ.format(where=where), *sql.args)
    if row is None:
        raise NotFound()
    return ContractOut(**dict(row))


async def add(session: AsyncSession, actor: Actor, customer_id: UUID, **given: Any) -> ContractOut:
    """Adds a contract. With the tick its customer has signed, without it is approached (D021, D023, D046).

    Raises:
        Invalid: there is no such customer for the caller; it ends before it starts.
        NumberTaken
    """
    _check_days(given["starts_on"], given["ends_on"])
    if not await facts.hold(session, actor, customer_id):
        raise invalid("customer_id", "customer_unknown", "Không có khách hàng này", "There is no such customer")
    moment = now()
    row = Contract(
        tenant_id=actor.tenant_id, id=new_id(), customer_id=customer_id, number_key=_key(given["number"]),
        created_by=actor.id, version=1, created_at=moment, updated_at=moment, **given,
    )  # fmt: skip
    session.add(row)
    with on_conflict({"contract_number_uq": _number_taken}):
        await session.flush()
    fact = _fact(row)
    kind = "customer.contract_signed" if row.move_to_signed else "customer.contract_added"
    await facts.tell(session, actor, kind, customer_id, fact)
    await stages.fact_happened(
        session, actor, [customer_id], "contract_signed" if row.move_to_signed else "contract", fact
    )  # fmt: skip
    await scoring.recompute(session, actor, [customer_id])
    return await get(session, actor, row.id)


async def update(
    session: AsyncSession, actor: Actor, contract_id: UUID, given: dict[str, Any], *, version: int
) -> ContractOut:
    """Changes a contract; ticked now, its customer has signed.

    Raises:
        NotFound, Stale, NumberTaken
        Invalid: it ends before it starts.
    """
    row = await _locked(session, actor, contract_id, version)
    _check_days(given.get("starts_on", row.starts_on), given.get("ends_on", row.ends_on))
    before = {name: getattr(row, name) for name in given}
    changes = {name: (was, given[name]) for name, was in before.items() if was != given[name]}
    if not changes:
        return await get(session, actor, contract_id)
    for name, (_, value) in changes.items():
        setattr(row, name, value)
    row.number_key = _key(row.number)
    row.version, row.updated_at = row.version + 1, now()
    with on_conflict({"contract_number_uq": _number_taken}):
        await session.flush()
    ticked = "move_to_signed" in changes and row.move_to_signed
    kind = "customer.contract_signed" if ticked else "customer.contract_changed"
    fact = _fact(row)
    await facts.tell(session, actor, kind, row.customer_id, fact, changes)
    if ticked:
        await stages.fact_happened(session, actor, [row.customer_id], "contract_signed", fact)
    if {"value", "state"} & changes.keys():
        await scoring.recompute(session, actor, [row.customer_id])
    return await get(session, actor, contract_id)


async def delete(session: AsyncSession, actor: Actor, contract_id: UUID, *, version: int) -> None:
    """Removes a contract; the customer's stage stays.

    Raises:
        NotFound, Stale
    """
    row = await _locked(session, actor, contract_id, version)
    await session.execute(sql_delete(Contract).where(Contract.id == contract_id))
    fact = _fact(row)
    await facts.tell(session, actor, "customer.contract_removed", row.customer_id, fact)
    await scoring.recompute(session, actor, [row.customer_id])


async def _locked(session: AsyncSession, actor: Actor, contract_id: UUID, version: int) -> Contract:
    """The contract to change; its customer is locked first, as everywhere."""
    found = await get(session, actor, contract_id)
    if not await facts.hold(session, actor, found.customer_id):
        raise NotFound()
    row = await session.scalar(select(Contract).where(Contract.id == contract_id).with_for_update())
    if row is None:
        raise NotFound()
    if row.version != version:
        raise Stale()
    return row


def _fact(row: Contract) -> dict[str, Any]:
    return {"contract_id": str(row.id), "number": row.number, "value": row.value}


def _check_days(starts_on: date | None, ends_on: date | None) -> None:
    if starts_on and ends_on and ends_on < starts_on:
        raise invalid(
            "ends_on", "contract_days", "Ngày kết thúc phải từ ngày bắt đầu trở đi", "It cannot end before it starts"
        )


def _key(number: str) -> str:
    return vn.clean(number).casefold()


def _number_taken() -> NumberTaken:
    error = NumberTaken()
    error.errors = [error.on("number")]
    return error
