"""What domains above need when something happens with a customer: to see it, hold it, and tell of it in its history."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.db import driver
from app.core.events import record
from app.customers.visibility import of_one
from app.filters.search import Sql

__all__ = ["hold", "tell"]


async def hold(session: AsyncSession, actor: Actor, customer_id: UUID) -> bool:
    """Locks a customer until the commit; False if there is none, or none for this caller."""
    sql = Sql(actor.tenant_id)
    statement = f"SELECT 1 FROM crm.customer c WHERE {of_one(sql, actor, customer_id)} FOR UPDATE"
    return await (await driver(session)).fetchval(statement, *sql.args) is not None


async def tell(
    session: AsyncSession,
    actor: Actor,
    kind: str,
    customer_id: UUID,
    data: Mapping[str, Any],
    changes: Mapping[str, tuple[Any, Any]] | None = None,
) -> None:
    """Adds to the customer's timeline; the kind begins with `customer.`, and `data` names the fact."""
    await record(session, actor, kind, customer_id, changes=changes, data=data)
