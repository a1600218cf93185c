"""One phone, one customer: its own, or one of its contacts'.

Customers among themselves are kept apart by a unique index; customers and contacts by a look, under a lock of the
phone that whoever writes either takes first. An import has too many phones to lock each: its chunks share one lock of
the workspace, which whoever gives a contact a phone takes alone. Leads stand outside: a lead may duplicate a contact
until it is converted (E002).
"""

from collections.abc import Sequence
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.db import driver, tenant_of
from app.core.errors import AppError
from app.core.masking import sees_phones
from app.core.vietnam import phone as phones
from app.customers.errors import PhoneInContact, PhoneTaken
from app.customers.referrers import LOOKUP
from app.customers.visibility import visible
from app.customers.words import phone_tail
from app.filters.search import Sql

# For a statement whose $1 is the tenant: a contact of another live customer has the phone with these digits backwards.
HELD = """EXISTS (
    SELECT FROM crm.contact_point p JOIN crm.customer o ON o.tenant_id = $1 AND o.id = p.customer_id
    WHERE p.tenant_id = $1 AND p.tail = {tail}::text AND o.deleted_at IS NULL AND o.kind <> 'lead'
      AND o.id IS DISTINCT FROM {own}::uuid)"""


async def lock(session: AsyncSession, numbers: Sequence[str]) -> None:
    """Lets nobody else give these phones to a customer or a contact until the transaction ends."""
    raw = await driver(session)
    for number in sorted(set(numbers)):
        key = f"phone:{session.info['tenant_id']}:{number}"
        await raw.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", key)


async def lock_out_imports(session: AsyncSession) -> None:
    """Lets no import give customers phones until the transaction ends, and waits for the chunks that are doing so; for
    who gives a contact a phone, before `lock`."""
    raw = await driver(session)
    await raw.execute("SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))", _lane(tenant_of(session)))


async def share_with_imports(raw: asyncpg.Connection, tenant_id: UUID) -> None:
    """Lets nobody give a contact a phone until the transaction ends: for an import's chunk, before it looks."""
    await raw.execute("SELECT pg_advisory_xact_lock_shared(hashtextextended($1::text, 0))", _lane(tenant_id))


async def further(session: AsyncSession, customer_id: UUID) -> list[str]:
    """The phones of a customer beside its own: its contacts' among them."""
    rows = await (await driver(session)).fetch(
        "SELECT DISTINCT p.value FROM crm.contact_point p "
        "WHERE p.tenant_id = $1 AND p.customer_id = $2 AND p.kind = 'phone'",
        tenant_of(session), customer_id,
    )  # fmt: skip
    return [row["value"] for row in rows]


async def refuse_held(session: AsyncSession, actor: Actor, numbers: Sequence[str], own: UUID | None) -> None:
    """Refuses phones that another customer's contact has.

    Raises:
        PhoneInContact, PhoneTaken: the first, as far as the caller may know whose it is.
    """
    refusal = await held(session, actor, numbers, own)
    if refusal is not None:
        raise refusal


async def held(session: AsyncSession, actor: Actor, numbers: Sequence[str], own: UUID | None) -> AppError | None:
    """The refusal of phones that another customer's contact has, None where nobody has them."""
    sql = Sql(actor.tenant_id)
    tails = sql.arg([phone_tail(number) for number in numbers])
    row = await (await driver(session)).fetchrow(
        f"""
        SELECT p.value, c.id, c.name, c.owner_id, u.full_name AS owner, ({visible(sql, actor)}) AS seen
        FROM crm.contact_point p JOIN crm.customer c ON c.tenant_id = $1 AND c.id = p.customer_id
        LEFT JOIN crm.app_user u ON u.tenant_id = $1 AND u.id = c.owner_id
        WHERE p.tenant_id = $1 AND p.tail = ANY({tails}::text[]) AND c.deleted_at IS NULL AND c.kind <> 'lead'
          AND c.id IS DISTINCT FROM {sql.arg(own)}::uuid
        ORDER BY seen DESC NULLS LAST, c.created_at, c.id LIMIT 1
        """,
        *sql.args,
    )
    if row is None:
        return None
    if not row["seen"] and not actor.may(LOOKUP):
        taken = PhoneTaken(extra={"field": "phone"})
        taken.errors = [taken.on("phone")]
        return taken
    return in_contact(row, whole=sees_phones(actor))


def in_contact(row: asyncpg.Record, *, whole: bool) -> PhoneInContact:
    """The refusal that names the customer (`name`) and its owner whose contact has the phone (`value`), `whole` or
    masked: what was restored or converted has phones that the caller did not type."""
    seen = {"existing_id": str(row["id"])} if row["seen"] else {}
    owner_id = row["owner_id"] and str(row["owner_id"])
    error = PhoneInContact(
        phone=(phones.national if whole else phones.mask)(row["value"]), customer=row["name"], owner=row["owner"],
        extra={"field": "phone", "existing_owner_id": owner_id, **seen},
    )  # fmt: skip
    error.errors = [error.on("phone")]
    return error


def _lane(tenant_id: UUID) -> str:
    return f"contact-phones:{tenant_id}"
