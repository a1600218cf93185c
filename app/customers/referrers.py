"""Who referred a customer (người giới thiệu): another customer or an employee."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.db import driver
from app.core.errors import Invalid, invalid
from app.customers.visibility import visible
from app.filters.search import Sql

LOOKUP = "customers.lookup"


async def resolved(
    session: AsyncSession, actor: Actor, given: Mapping[str, Any], customer_id: UUID | None = None
) -> Mapping[str, Any]:
    """What was sent, with the referring customer as an id.

    Raises:
        Invalid: both are named, there is no such customer for this caller, or it is the customer itself.
    """
    customer, employee = given.get("referrer"), given.get("referrer_user")
    if not customer and not employee:
        return given
    if customer and employee:
        raise invalid(
            "referrer", "referrer_twice", "Người giới thiệu là khách hàng hoặc nhân viên, không phải cả hai",
            "The referrer is a customer or an employee, not both",
        )  # fmt: skip
    if employee:
        return given
    found = await _find(session, actor, str(customer).strip())
    if found is None or found == customer_id:
        raise _unknown()
    return {**given, "referrer": str(found)}


async def _find(session: AsyncSession, actor: Actor, typed: str) -> UUID | None:
    """A live customer by id or code, if the caller may know of it."""
    sql = Sql(actor.tenant_id)
    seen = "true" if actor.may(LOOKUP) else visible(sql, actor)
    try:
        named = f"c.id = {sql.arg(UUID(typed))}::uuid"
    except ValueError:
        named = f"c.code = {sql.arg(typed.upper())}::text"
    where = f"c.tenant_id = $1 AND c.deleted_at IS NULL AND {seen} AND {named}"
    raw = await driver(session)
    found: UUID | None = await raw.fetchval(f"SELECT c.id FROM crm.customer c WHERE {where}", *sql.args)
    return found


def _unknown() -> Invalid:
    return invalid(
        "referrer", "referrer_unknown", "Không có khách hàng giới thiệu này", "There is no such referring customer"
    )
