"""Who is calling? Customers of all owners, as far as whoever answers a call may know them (tra cứu)."""

from typing import Annotated, Any
from uuid import UUID

import asyncpg
from pydantic import BaseModel, Field

from app.core.actor import Actor
from app.core.masking import Phone, sees_phones
from app.core.vietnam import phone as phones
from app.core.vietnam import text as vn
from app.customers.entity import CUSTOMERS
from app.customers.errors import PhoneInContact
from app.customers.search_box import search_box
from app.customers.visibility import visible
from app.filters.search import Part, Sql, Wanted, door

LIMIT = 20


class LookupRow(BaseModel):
    """A customer, whoever owns it. What only those see who may see the customer is null for others."""

    id: Annotated[UUID | None, Field(description="null where the caller may not open the customer.")]
    code: str
    name: str
    kind: str
    owner: Annotated[str | None, Field(description="Full name of who is in charge.")]
    registered_address: str | None
    office_address: str | None
    phone: Phone | None
    contact: Annotated[str | None, Field(description="The contact whose phone was looked for.")]
    message: Annotated[str | None, Field(description="Why the customer was found, where a contact's phone is why.")]


class LookupAdd(BaseModel):
    """What to add a customer with."""

    name: str | None
    phone: str | None


class LookupOut(BaseModel):
    """The first customers found. `add` is there when there is none and the caller may add one."""

    items: list[LookupRow]
    more: Annotated[bool, Field(description="Whether there are others: ask more precisely.")]
    add: LookupAdd | None


async def look_up(raw: asyncpg.Connection, actor: Actor, q: str) -> LookupOut:
    """The newest customers of the workspace that a search box finds, contacts' phones among what it knows."""
    q = q.strip()
    if not q:
        return LookupOut(items=[], more=False, add=None)
    sql = Sql(actor.tenant_id)
    found, match = search_box(sql, q, vn.words(q), partly=sees_phones(actor))
    wanted = Wanted("true", ["c.deleted_at IS NULL", *([found] if found else [])], match)
    async with door(raw) as opened:
        keys = await opened.page(CUSTOMERS, sql, wanted, Part([], "c.created_at DESC, c.id DESC", LIMIT + 1))
    ids = [row["id"] for row in keys[:LIMIT]]
    forms = phones.search_forms(q)
    tail = None if forms is None else phones.national(forms.e164) if forms.e164 else forms.tail
    whole = forms is not None and forms.e164 is not None and forms.tail is None
    if not whole and not sees_phones(actor):
        tail = None
    items = [_row(row, whole=whole) for row in await _read(raw, actor, ids, tail)]
    add = None
    if not items and actor.may("customers.create"):
        number = phones.normalise(q)
        add = LookupAdd(name=None if number else q, phone=number)
    return LookupOut(items=items, more=len(keys) > LIMIT, add=add)


async def _read(raw: asyncpg.Connection, actor: Actor, ids: list[UUID], tail: str | None) -> list[asyncpg.Record]:
    """The customers of these ids in their order, each with the contact's phone that ends so, if its own does not."""
    if not ids:
        return []
    sql = Sql(actor.tenant_id)
    given, end = sql.arg(ids), sql.arg(tail)
    rows: list[asyncpg.Record] = await raw.fetch(
        f"""
        SELECT c.id, c.code, c.name, c.kind, c.phone, c.registered_address, c.office_address, u.full_name AS owner,
               ({visible(sql, actor)}) AS seen, found.value, found.contact
        FROM unnest({given}::uuid[]) WITH ORDINALITY AS wanted (id, place)
        JOIN crm.customer c ON c.tenant_id = $1 AND c.id = wanted.id
        LEFT JOIN crm.app_user u ON u.tenant_id = $1 AND u.id = c.owner_id
        LEFT JOIN LATERAL (
            SELECT p.value, n.name AS contact FROM crm.contact_point p
            LEFT JOIN crm.contact n ON n.tenant_id = $1 AND n.id = p.contact_id
            WHERE p.tenant_id = $1 AND p.customer_id = c.id AND p.kind = 'phone'
              AND starts_with(p.tail, reverse({end}::text))
              AND NOT coalesce(starts_with(reverse(c.phone), reverse(ltrim({end}::text, '0'))), false)
            ORDER BY p.id LIMIT 1
        ) AS found ON true
        ORDER BY wanted.place
        """,
        *sql.args,
    )
    return rows


def _row(row: asyncpg.Record, *, whole: bool) -> LookupRow:
    """`whole`: the caller knows the whole number already, so that to say whose contact has it gives no number away."""
    seen, message = row["seen"], None
    through = row["value"] is not None and (seen or whole)
    if through:
        told: dict[str, Any] = {"phone": phones.national(row["value"]), "customer": row["name"], "owner": row["owner"]}
        message = PhoneInContact(**told).message()
    return LookupRow(
        id=row["id"] if seen else None, code=row["code"], name=row["name"], kind=row["kind"], owner=row["owner"],
        registered_address=row["registered_address"], office_address=row["office_address"],
        phone=row["phone"] if seen else None, contact=row["contact"] if through else None, message=message,
    )  # fmt: skip
