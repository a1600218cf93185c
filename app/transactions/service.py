"""Transactions with customers (giao dịch): whoever sees the customer sees its transactions."""

from typing import Any
from uuid import UUID

from sqlalchemy import delete as sql_delete
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.clock import new_id, now
from app.core.db import driver
from app.core.errors import NotFound, Stale, invalid
from app.core.paging import Pager
from app.customers import facts, scoring, stages
from app.customers.visibility import visible
from app.filters.search import Sql
from app.transactions import types
from app.transactions.models import Transaction
from app.transactions.schemas import TransactionOut, TransactionPage

__all__ = ["add", "add_to", "delete", "get", "page", "update"]

READ = """
SELECT t.id, t.customer_id, c.name AS customer_name, t.name, t.description, t.type_id, y.name AS type, t.state,
       t.completed_at, t.created_by, t.created_at, t.updated_at, t.version
FROM crm.transaction t
JOIN crm.customer c ON c.tenant_id = $1 AND c.id = t.customer_id AND c.deleted_at IS NULL
JOIN crm.transaction_type y ON y.tenant_id = $1 AND y.id = t.type_id
WHERE t.tenant_id = $1 AND ({where})
"""


async def page(
    session: AsyncSession,
    actor: Actor,
    *,
    customer_id: UUID | None,
    type_id: UUID | None,
    state: str | None,
    limit: int,
    cursor: str | None,
    secret: bytes,
) -> TransactionPage:
    """A page of the transactions that the caller sees, newest first."""
    pager = Pager(secret, actor.tenant_id, "transactions", customer_id, type_id, state)
    position, sql = pager.position(cursor), Sql(actor.tenant_id)
    where = [visible(sql, actor)]
    for column, value in (("customer_id", customer_id), ("type_id", type_id), ("state", state)):
        if value is not None:
            where.append(f"t.{column} = {sql.arg(value)}")
    if position is not None:
        moment, last = sql.arg(str(position[0])), sql.arg(UUID(position[1]))
        where.append(f"(t.created_at, t.id) < ({moment}::text::timestamptz, {last}::uuid)")
    statement = f"{READ.format(where=' AND '.join(where))} ORDER BY t.created_at DESC, t.id DESC LIMIT {limit + 1:d}"
    rows = await (await driver(session)).fetch(statement, *sql.args)
    items = [TransactionOut(**dict(row)) for row in rows[:limit]]
    last_row = items[-1] if len(rows) > limit else None
    after = pager.cursor([last_row.created_at.isoformat(), str(last_row.id)]) if last_row else None
    return TransactionPage(items=items, next_cursor=after)


async def get(session: AsyncSession, actor: Actor, transaction_id: UUID) -> TransactionOut:
    """A transaction.

    Raises:
        NotFound: there is none, or its customer is none of the caller's.
    """
    sql = Sql(actor.tenant_id)
    where = f"t.id = {sql.arg(transaction_id)} AND {visible(sql, actor)}"
    row = await (await driver(session)).fetchrow(READ.format(where=where), *sql.args)
    if row is None:
        raise NotFound()
    return TransactionOut(**dict(row))


async def add(session: AsyncSession, actor: Actor, customer_id: UUID, **given: Any) -> TransactionOut:
    """Adds a transaction with a customer that the request names.

    Raises:
        Invalid: there is no such customer for the caller, or no such type.
    """
    if not await facts.hold(session, actor, customer_id):
        raise invalid("customer_id", "customer_unknown", "Không có khách hàng này", "There is no such customer")
    return await _add(session, actor, customer_id, **given)


async def add_to(session: AsyncSession, actor: Actor, customer_id: UUID, **given: Any) -> TransactionOut:
    """Adds a transaction to the customer whose row the caller stands on (D039).

    Raises:
        NotFound: there is no such customer for the caller.
        Invalid: there is no such type.
    """
    if not await facts.hold(session, actor, customer_id):
        raise NotFound()
    return await _add(session, actor, customer_id, state="not_started", **given)


async def update(
    session: AsyncSession, actor: Actor, transaction_id: UUID, given: dict[str, Any], *, version: int
) -> TransactionOut:
    """Changes a transaction; the customer's score follows at once.

    Raises:
        NotFound, Stale
        Invalid: there is no such type.
    """
    row = await _locked(session, actor, transaction_id, version)
    if given.get("type_id", row.type_id) != row.type_id:
        await types.choose(session, given["type_id"])
    before = await get(session, actor, transaction_id)
    changes = {name: value for name, value in given.items() if getattr(row, name) != value}
    if not changes:
        return before
    moment = now()
    for name, value in changes.items():
        setattr(row, name, value)
    if "state" in changes:
        row.completed_at = moment if row.state == "completed" else None
    row.version, row.updated_at = row.version + 1, moment
    await session.flush()
    after = await get(session, actor, transaction_id)
    shown = {"type" if name == "type_id" else name for name in changes}
    told = {name: (getattr(before, name), getattr(after, name)) for name in sorted(shown)}
    await facts.tell(
        session, actor, "customer.transaction_changed", row.customer_id, _fact(row), told
    )  # fmt: skip
    if "completed" in (before.state, after.state):
        await scoring.recompute(session, actor, [row.customer_id])
    return after


async def delete(session: AsyncSession, actor: Actor, transaction_id: UUID, *, version: int) -> None:
    """Removes a transaction, and the points that it gave.

    Raises:
        NotFound, Stale
    """
    row = await _locked(session, actor, transaction_id, version)
    await session.execute(sql_delete(Transaction).where(Transaction.id == transaction_id))
    await facts.tell(session, actor, "customer.transaction_removed", row.customer_id, _fact(row))
    if row.state == "completed":
        await scoring.recompute(session, actor, [row.customer_id])


async def _add(
    session: AsyncSession,
    actor: Actor,
    customer_id: UUID,
    *,
    name: str,
    type_id: UUID,
    description: str,
    state: str,
) -> TransactionOut:
    chosen = await types.choose(session, type_id)
    moment, done = now(), state == "completed"
    row = Transaction(
        tenant_id=actor.tenant_id, id=new_id(), customer_id=customer_id, type_id=type_id, name=name,
        description=description, state=state, completed_at=moment if done else None, created_by=actor.id,
        version=1, created_at=moment, updated_at=moment,
    )  # fmt: skip
    session.add(row)
    await session.flush()
    fact = {**_fact(row), "type": chosen.name}
    await facts.tell(session, actor, "customer.transaction_added", customer_id, {**fact, "state": state})
    await stages.fact_happened(session, actor, [customer_id], "transaction", fact)
    if done:
        await scoring.recompute(session, actor, [customer_id])
    return await get(session, actor, row.id)


def _fact(row: Transaction) -> dict[str, Any]:
    return {"transaction_id": str(row.id), "name": row.name}


async def _locked(session: AsyncSession, actor: Actor, transaction_id: UUID, version: int) -> Transaction:
    """The transaction to change; its customer is locked first, as everywhere."""
    found = await get(session, actor, transaction_id)
    if not await facts.hold(session, actor, found.customer_id):
        raise NotFound()
    row = await session.scalar(select(Transaction).where(Transaction.id == transaction_id).with_for_update())
    if row is None:
        raise NotFound()
    if row.version != version:
        raise Stale()
    return row
