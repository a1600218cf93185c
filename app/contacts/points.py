"""Phones, e-mails, addresses and links of customers and contacts: parsed, kept and listed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.contacts.models import Contact, ContactPoint
from app.contacts.owners import find
from app.contacts.schemas import PointIn, PointKind, PointOut, PointPage
from app.core.actor import Actor
from app.core.clock import new_id, now
from app.core.db import driver
from app.core.errors import Conflict, FieldError, Invalid
from app.core.events import record
from app.core.fields import BadValue, Field
from app.customers import phones
from app.customers.service import phone_taken
from app.customers.words import phone_tail

LISTS: Final[dict[PointKind, str]] = {
    "phone": "phones", "email": "emails", "address": "addresses", "link": "links",
}  # fmt: skip
# The customer's own field of each kind.
COLUMNS: Final[dict[PointKind, str]] = {
    "phone": "phone", "email": "email", "address": "address", "link": "website",
}  # fmt: skip
FIELDS: Final[dict[PointKind, Field]] = {
    "phone": Field("value", "Số điện thoại", "Phone", "phone"),
    "email": Field("value", "Email", "E-mail", "email"),
    "address": Field("value", "Địa chỉ", "Address", "text", max_length=1000),
    "link": Field("value", "Liên kết", "Link", "link"),
}
MAX_POINTS = 200


class TooManyPoints(Conflict):
    """A customer and its contacts have as many phones, addresses and links as there can be."""

    code = "too_many_points"
    vi, en = "Chỉ có thể thêm tối đa {limit} giá trị", "There can be at most {limit} of them"


@dataclass(frozen=True)
class Point:
    """A checked value."""

    kind: PointKind
    value: str
    label: str | None
    typed: str | None


def parse(kind: PointKind, given: Sequence[PointIn], path: str) -> list[Point]:
    """The values, each once; `path` is what the request calls them.

    Raises:
        Invalid: with every value that is wrong.
    """
    found, errors = dict[str, Point](), list[FieldError]()
    for place, one in enumerate(given):
        try:
            value = FIELDS[kind].parse(one.value)
        except BadValue as bad:
            errors.append(FieldError(field=f"{path}.{place}.value" if path else "value", code=bad.code,
                                     message=bad.message))  # fmt: skip
            continue
        if value:
            typed = one.value.strip()[:50] if kind == "phone" else None
            label = (one.label or "").strip() or None
            found.setdefault(value, Point(kind, value, label, typed if typed != value else None))
    if errors:
        raise Invalid(errors=errors)
    return list(found.values())


async def keep(
    session: AsyncSession, actor: Actor, customer: Mapping[str, Any], contact_id: UUID | None, given: Sequence[Point]
) -> list[UUID]:
    """Adds the values to a contact, or to the customer itself.

    Raises:
        PhoneTaken, PhoneInContact: another customer has a phone, or a contact of another has it.
    """
    await claim(session, actor, customer, [one.value for one in given if one.kind == "phone"])
    rows = [
        {
            "tenant_id": actor.tenant_id, "id": new_id(), "customer_id": customer["id"], "contact_id": contact_id,
            "kind": one.kind, "label": one.label, "value": one.value, "typed": one.typed,
            "tail": phone_tail(one.value) if one.kind == "phone" else None, "created_at": now(),
        }
        for one in given
    ]  # fmt: skip
    if rows:
        await session.execute(insert(ContactPoint), rows)
    return [row["id"] for row in rows]


async def claim(session: AsyncSession, actor: Actor, customer: Mapping[str, Any], numbers: Sequence[str]) -> None:
    """Sees to it that no other customer has these phones, and that none gets one before this commits.

    Raises:
        PhoneTaken, PhoneInContact
    """
    if not numbers or customer["kind"] == "lead":
        return
    await phones.lock(session, numbers)
    taken = await (await driver(session)).fetchval(
        "SELECT phone FROM crm.customer WHERE tenant_id = $1 AND phone = ANY($2::text[]) AND deleted_at IS NULL "
        "AND kind <> 'lead' AND id <> $3 LIMIT 1",
        actor.tenant_id, list(numbers), customer["id"],
    )  # fmt: skip
    if taken:
        raise await phone_taken(session, actor, taken)
    await phones.refuse_held(session, actor, numbers, customer["id"])


async def page(session: AsyncSession, actor: Actor, customer_id: UUID, kind: PointKind) -> PointPage:
    """A customer's values of one kind, its contacts' among them.

    Raises:
        NotFound
    """
    customer = await find(session, actor, customer_id)
    rows = await session.scalars(
        select(ContactPoint)
        .where(ContactPoint.customer_id == customer_id, ContactPoint.kind == kind)
        .order_by(ContactPoint.id)
    )
    items = [*own(customer, kind), *map(shown, rows)]
    return PointPage(items=items, next_cursor=None, count=len(items))


async def add(session: AsyncSession, actor: Actor, customer_id: UUID, kind: PointKind, given: PointIn) -> PointOut:
    """Adds a value. A person's further phone is a contact of its own (B018), named as the customer.

    Raises:
        NotFound, Invalid, PhoneTaken, PhoneInContact, TooManyPoints
    """
    customer = await find(session, actor, customer_id, lock=True)
    point = parse(kind, [given], "")
    if not point:
        raise Invalid(errors=[FieldError(field="value", code="required", message=FIELDS[kind].label)])
    before = await page(session, actor, customer_id, kind)
    if before.count >= MAX_POINTS:
        raise TooManyPoints(limit=MAX_POINTS)
    known = next((one for one in before.items if one.value == point[0].value), None)
    if known is not None:
        return known
    contact_id = None
    if kind == "phone" and customer["kind"] != "company":
        contact_id = await _contact_of(session, actor, customer)
    [point_id] = await keep(session, actor, customer, contact_id, point)
    changes = {LISTS[kind]: (None, point[0].value)}
    data = {"contact_id": contact_id} if contact_id else {}
    await record(session, actor, f"customer.{kind}_added", customer_id, changes=changes, data=data)
    return shown((await session.scalars(select(ContactPoint).where(ContactPoint.id == point_id))).one())


async def remove(session: AsyncSession, actor: Actor, customer_id: UUID, kind: PointKind, point_id: UUID) -> int:
    """Removes a value; and the contact that was made for a person's further phone with it, if nothing else is known.
    Answers how many were removed: none where it was gone already.

    Raises:
        NotFound
    """
    customer = await find(session, actor, customer_id, lock=True)
    of_this = (ContactPoint.id == point_id, ContactPoint.customer_id == customer_id, ContactPoint.kind == kind)
    row = await session.scalar(delete(ContactPoint).where(*of_this).returning(ContactPoint))
    if row is None:
        return 0
    if row.contact_id is not None:
        await _drop_empty(session, customer, row.contact_id)
    await record(session, actor, f"customer.{kind}_removed", customer_id, changes={LISTS[kind]: (row.value, None)})
    return 1


def own(customer: Mapping[str, Any], kind: PointKind) -> list[PointOut]:
    """The customer's own field of this kind."""
    value = customer[COLUMNS[kind]]
    typed = customer["phone_typed"] if kind == "phone" else None
    return [PointOut(id=None, contact_id=None, value=value, typed=typed, label=None, is_main=True)] if value else []


def shown(row: ContactPoint) -> PointOut:
    """A kept value as callers see it."""
    return PointOut(
        id=row.id, contact_id=row.contact_id, value=row.value, typed=row.typed, label=row.label, is_main=False
    )


async def _contact_of(session: AsyncSession, actor: Actor, customer: Mapping[str, Any]) -> UUID:
    moment, contact_id = now(), new_id()
    row = {
        "tenant_id": actor.tenant_id, "id": contact_id, "customer_id": customer["id"], "name": customer["name"],
        "is_primary": False, "created_by": actor.id, "version": 1, "created_at": moment, "updated_at": moment,
    }  # fmt: skip
    await session.execute(insert(Contact), [row])
    return contact_id


async def _drop_empty(session: AsyncSession, customer: Mapping[str, Any], contact_id: UUID) -> None:
    rest = select(ContactPoint.id).where(ContactPoint.contact_id == contact_id).exists()
    nothing = (Contact.position.is_(None), Contact.birthday.is_(None), Contact.gender.is_(None), Contact.note.is_(None))
    await session.execute(
        delete(Contact).where(
            Contact.id == contact_id, Contact.name == customer["name"], Contact.version == 1, *nothing, ~rest
        )
    )
