"""Who may have its phone and unique values again: customers that come back from the trash, or whose change is undone.

The unique indexes have the last word on customers' own phones and on unique values. Contacts' phones are looked at
under the lock that whoever writes one takes, as long as they are few: the server has no room for ten thousand locks.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db import driver, tenant_of
from app.customers import phones
from app.customers.words import phone_tail

__all__ = ["Claim", "refused"]

# Phones of contacts, and further phones of customers: one customer's alone, like its own (phones.py).
POINTS: Final = """
SELECT p.value, p.customer_id FROM crm.contact_point p
WHERE p.tenant_id = $1 AND p.customer_id = ANY($2::uuid[]) AND p.kind = 'phone'
"""
OWN_PHONES: Final = """
SELECT c.phone AS value, c.id AS customer_id, c.kind <> 'lead' AS firm FROM crm.customer c
WHERE c.tenant_id = $1 AND c.phone = ANY($2::text[]) AND c.deleted_at IS NULL
"""
HELD_POINTS: Final = """
SELECT p.value, p.customer_id FROM crm.contact_point p
JOIN crm.customer c ON c.tenant_id = $1 AND c.id = p.customer_id
WHERE p.tenant_id = $1 AND p.tail = ANY($2::text[]) AND c.deleted_at IS NULL AND c.kind <> 'lead'
"""
VALUES: Final = """
SELECT u.value, u.customer_id FROM crm.unique_value u
WHERE u.tenant_id = $1 AND u.attribute_id = $2 AND u.value = ANY($3::text[])
"""

LOCKED: Final = 1_000

Holders = defaultdict[str, set[UUID]]


@dataclass(frozen=True)
class Claim:
    """What a customer would have again. A `firm` one is no lead: nobody else's contact may have its phone. One that
    `returns` from the trash brings the phones of its contacts with it. `values` are by attribute."""

    customer_id: UUID
    firm: bool
    returns: bool
    phone: str | None
    values: Mapping[UUID, str]


async def refused(session: AsyncSession, claims: Sequence[Claim], *, lock: bool) -> dict[UUID, str]:
    """Who cannot have it, by the reason: `phone_taken` or `value_taken`. Of several who claim one thing the newest gets
    it."""
    if not claims:
        return {}
    connection, tenant_id = await driver(session), tenant_of(session)
    points = defaultdict[UUID, list[str]](list)
    for row in await connection.fetch(POINTS, tenant_id, [one.customer_id for one in claims if one.returns]):
        points[row["customer_id"]].append(row["value"])
    numbers = {one.phone for one in claims if one.phone} | {each for of in points.values() for each in of}
    if lock and len(numbers) <= LOCKED:
        await phones.lock(session, list(numbers))
    own, firm = await _phones(connection, tenant_id, numbers)
    values = await _values(connection, tenant_id, claims)
    reasons = dict[UUID, str]()
    for one in sorted(claims, key=lambda claim: claim.customer_id, reverse=True):
        phone = [one.phone] if one.phone else []
        theirs = [*phone, *points[one.customer_id]] if one.firm else []
        wanted = [(own, each) for each in phone] + [(firm, each) for each in theirs]
        held = [(values[attribute_id], value) for attribute_id, value in one.values.items()]
        if any(_another(of, each, one.customer_id) for of, each in wanted):
            reasons[one.customer_id] = "phone_taken"
        elif any(_another(of, each, one.customer_id) for of, each in held):
            reasons[one.customer_id] = "value_taken"
        else:
            for of, each in (*wanted, *held):
                of[each].add(one.customer_id)
    return reasons


async def _phones(connection: asyncpg.Connection, tenant_id: UUID, numbers: Iterable[str]) -> tuple[Holders, Holders]:
    """Who has each of the phones: as its own, and, leads left out, as its own or a contact's."""
    own, firm = Holders(set), Holders(set)
    for row in await connection.fetch(OWN_PHONES, tenant_id, list(numbers)):
        own[row["value"]].add(row["customer_id"])
        if row["firm"]:
            firm[row["value"]].add(row["customer_id"])
    for row in await connection.fetch(HELD_POINTS, tenant_id, [phone_tail(each) for each in numbers]):
        firm[row["value"]].add(row["customer_id"])
    return own, firm


async def _values(connection: asyncpg.Connection, tenant_id: UUID, claims: Iterable[Claim]) -> dict[UUID, Holders]:
    """Who has each of the values, by attribute."""
    wanted = defaultdict[UUID, list[str]](list)
    for one in claims:
        for attribute_id, value in one.values.items():
            wanted[attribute_id].append(value)
    found = dict[UUID, Holders]()
    for attribute_id, values in wanted.items():
        found[attribute_id] = Holders(set)
        for row in await connection.fetch(VALUES, tenant_id, attribute_id, values):
            found[attribute_id][row["value"]].add(row["customer_id"])
    return found


def _another(holders: Holders, value: str, customer_id: UUID) -> bool:
    return any(one != customer_id for one in holders.get(value, ()))
