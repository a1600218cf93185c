"""Customers that are shared with colleagues (chia sẻ): they see it and work with it beside its owner.

To share is not to hand over: the owner stays. Both are told in the customer's history (D025).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.db import driver
from app.core.errors import NotFound, invalid
from app.core.fields import BadValue
from app.customers import registry as registries
from app.customers.assigning import How, of_people
from app.customers.changing import Change, change_many
from app.customers.errors import NotEntrusted
from app.customers.filterable import as_id
from app.customers.registry import Registry
from app.customers.schemas import SharesOut, UnsharedOut
from app.customers.visibility import of_one
from app.filters.search import Sql

__all__ = ["KINDS", "people", "read", "share", "unshare"]

# The events of the two directions.
KINDS: Final[dict[How, str]] = {"add": "customer.shared", "remove": "customer.unshared"}

SHARED = """
SELECT u.id, u.username, u.full_name, u.active FROM crm.customer c
JOIN crm.app_user u ON u.tenant_id = $1 AND u.id = ANY(c.shared_with) WHERE {one} ORDER BY u.full_name, u.id
"""


async def read(session: AsyncSession, actor: Actor, customer_id: UUID) -> SharesOut:
    """Whom a customer is shared with, by name.

    Raises:
        NotFound
    """
    raw, sql = await driver(session), Sql(actor.tenant_id)
    one = of_one(sql, actor, customer_id)
    if not await raw.fetchval(f"SELECT true FROM crm.customer c WHERE {one}", *sql.args):
        raise NotFound()
    rows = await raw.fetch(SHARED.format(one=one), *sql.args)
    return SharesOut.model_validate({"items": [dict(row) for row in rows], "count": len(rows)})


async def share(session: AsyncSession, actor: Actor, customer_id: UUID, given: Sequence[str]) -> SharesOut:
    """Lets colleagues see a customer; who sees it already changes nothing.

    Raises:
        NotFound, Invalid
        NotEntrusted: the caller is not in charge of it, and sees it only because it is shared or in the pool.
    """
    registry = await registries.load(session)
    await _change(session, actor, registry, customer_id, people(registry, given, "users"), "add")
    return await read(session, actor, customer_id)


async def unshare(session: AsyncSession, actor: Actor, customer_id: UUID, user_id: UUID) -> UnsharedOut:
    """Takes a customer back from a colleague.

    Raises:
        NotFound, NotEntrusted
    """
    registry = await registries.load(session)
    return UnsharedOut(changed=await _change(session, actor, registry, customer_id, [user_id], "remove"))


def people(registry: Registry, given: Sequence[str], place: str, *, gone: bool = False) -> list[UUID]:
    """The colleagues named by username, id, or a full name that nobody else has; also who has left, by id, if `gone`.

    Raises:
        Invalid: nobody active is called so; with the place of the name.
    """
    # Named as an owner is, but what is refused is the sharing.
    shared = registry.fields["shared_with"]
    person = replace(registry.fields["owner"], vi=shared.vi, en=shared.en)
    found = list[UUID]()
    for number, name in enumerate(given):
        try:
            one = (as_id(name) if gone else None) or person.parse(name)
        except BadValue as bad:
            raise invalid(f"{place}[{number}]", bad.code, bad.vi, bad.en) from None
        if one is None:
            raise invalid(f"{place}[{number}]", "missing", "Bắt buộc nhập", "This is required")
        found.append(UUID(one))
    return list(dict.fromkeys(found))


async def _change(
    session: AsyncSession, actor: Actor, registry: Registry, customer_id: UUID, who: Sequence[UUID], how: How
) -> int:
    """How many customers that changed, one or none."""
    change = Change([of_people(registry, who, how)], KINDS[how])
    outcome = await change_many(session, actor, None, [customer_id], change, keep=False)
    if NotEntrusted.code in outcome.refused:
        raise NotEntrusted()
    if outcome.skipped:
        raise NotFound()
    return len(outcome.changed)
