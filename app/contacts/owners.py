"""The customer that contacts belong to, as far as the caller may see it."""

from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.db import driver, tenant_of
from app.core.errors import NotFound
from app.customers.visibility import visible
from app.filters.search import Sql

COLUMNS = """c.id, c.code, c.name, c.kind, c.phone, c.phone_typed, c.email, c.birthday, c.gender, c.address, c.position,
    c.note, c.website, c.company_name, c.owner_id, c.shared_with, c.relationship_id, c.created_at, c.updated_at,
    c.version"""


async def find(session: AsyncSession, actor: Actor, customer_id: UUID, *, lock: bool = False) -> dict[str, Any]:
    """A live customer. Locked, its contacts change one after another.

    Raises:
        NotFound: there is none for this caller.
    """
    sql = Sql(actor.tenant_id)
    where = f"c.tenant_id = $1 AND c.id = {sql.arg(customer_id)} AND c.deleted_at IS NULL AND {visible(sql, actor)}"
    row = await (await driver(session)).fetchrow(
        f"SELECT {COLUMNS} FROM crm.customer c WHERE {where} {'FOR NO KEY UPDATE' if lock else ''}", *sql.args
    )
    if row is None:
        raise NotFound()
    return dict(row)


async def just_made(session: AsyncSession, customer_id: UUID) -> dict[str, Any]:
    """A customer that this transaction has made, perhaps for somebody whose customers the caller does not see."""
    statement = f"SELECT {COLUMNS} FROM crm.customer c WHERE c.tenant_id = $1 AND c.id = $2"
    row = await (await driver(session)).fetchrow(statement, tenant_of(session), customer_id)
    assert row is not None
    return dict(row)
