"""Phones, e-mails, addresses and links of customers and contacts: parsed, kept and listed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.contacts.models import Contact, ContactPoint
from app.contacts.owners import find
from app.contacts.schemas import PointIn, PointKind, PointOut, PointPage
from app.core.actor import Actor
from app.core.clock import new_id, now
from app.core.errors import Conflict, FieldError, Invalid
from app.core.events import record
from app.core.fields import BadValue, Field
from app.core.paging import Pager
from app.customers import phones
from app.customers.service import claim_phones
from app.customers.values import required_error
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
# Of one kind, of a customer and its contacts together, that calls on the customer itself can add to.
MAX_OF_KIND = 200
FIRST: Final = str(UUID(int=0))


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

    @property
    def named(self) -> str:
        """The value with what it is called: “0912345678 (Nhà riêng)”."""
        return f"{self.value} ({self.label})" if self.label else self.value


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


async def replace(
    session: AsyncSession,
    actor: Actor,
    customer: Mapping[str, Any],
    contact_id: UUID,
    kind: PointKind,
    given: Sequence[Point],
) -> tuple[list[str], list[str]]:
    """Gives a contact these values of a kind, in this order, and answers those before and after. What was there before
    stays the same row, unless it comes behind a new one.

    Raises:
        PhoneTaken, PhoneInContact
    """
    of_this = (ContactPoint.contact_id == contact_id, ContactPoint.kind == kind)
    rows = list(await session.scalars(select(ContactPoint).where(*of_this).order_by(ContactPoint.id)))
    old = [Point(kind, row.value, row.label, row.typed) for row in rows]
    kept, left = list[ContactPoint](), iter(rows)
    for one in given:
        row = next((row for row in left if row.value == one.value), None)
        if row is None:
            break
        row.label = one.label
        kept.append(row)
    await session.flush()
    await session.execute(delete(ContactPoint).where(*of_this, ContactPoint.id.not_in([row.id for row in kept])))
    await keep(session, actor, customer, contact_id, given[len(kept) :])
    before, after = [one.value for one in old], [one.value for one in given]
    return (before, after) if before != after else ([one.named for one in old], [one.named for one in given])


async def claim(session: AsyncSession, actor: Actor, customer: Mapping[str, Any], numbers: Sequence[str]) -> None:
    """Sees to it that no other customer has these phones, and that none gets one before this commits.

    Raises:
        PhoneTaken, PhoneInContact
    """
    if numbers and customer["kind"] != "lead":
        await phones.lock_out_imports(session)
        await claim_phones(session, actor, customer["id"], numbers)


async def page(
    session: AsyncSession,
    actor: Actor,
    customer_id: UUID,
    kind: PointKind,
    *,
    limit: int,
    cursor: str | None,
    secret: bytes,
) -> PointPage:
    """A page of a customer's values of one kind, its contacts' among them.

    Raises:
        NotFound
    """
    customer = await find(session, actor, customer_id)
    pager = Pager(secret, actor.tenant_id, "points", customer_id, kind)
    position = pager.position(cursor)
    main = own(customer, kind)
    first = [] if position else main
    of_this, room = (ContactPoint.customer_id == customer_id, ContactPoint.kind == kind), limit - len(first)
    query = select(ContactPoint).where(*of_this, ContactPoint.id > UUID(position[0] if position else FIRST))
    rows = list(await session.scalars(query.order_by(ContactPoint.id).limit(room + 1)))
    following = after(pager, rows, room)
    total = await session.scalar(select(func.count()).select_from(ContactPoint).where(*of_this)) or 0
    return PointPage(items=[*first, *map(shown, rows[:room])], next_cursor=following, count=total + len(main))


def after(pager: Pager, rows: Sequence[Contact | ContactPoint], room: int) -> str | None:
    """The cursor behind the first `room` rows, if there are more. The customer's own may have taken all the room."""
    if len(rows) <= room:
        return None
    return pager.cursor([str(rows[room - 1].id) if room else FIRST])


async def add(session: AsyncSession, actor: Actor, customer_id: UUID, kind: PointKind, given: PointIn) -> PointOut:
    """Adds a value. A person's further phone is a contact of its own (B018), named as the customer.

    Raises:
        NotFound, Invalid, PhoneTaken, PhoneInContact, TooManyPoints
    """
    customer = await find(session, actor, customer_id, lock=True)
    point = parse(kind, [given], "")
    if not point:
        raise Invalid(errors=[required_error(FIELDS[kind])])
    known = await _known(session, customer, point[0])
    if known is not None:
        return known
    of_kind = (ContactPoint.customer_id == customer_id, ContactPoint.kind == kind)
    count = await session.scalar(select(func.count()).select_from(ContactPoint).where(*of_kind)) or 0
    if count >= MAX_OF_KIND:
        raise TooManyPoints(limit=MAX_OF_KIND)
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
        changed = update(Contact).where(Contact.id == row.contact_id)
        await session.execute(changed.values(version=Contact.version + 1, updated_at=now()))
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


async def _known(session: AsyncSession, customer: Mapping[str, Any], point: Point) -> PointOut | None:
    """The value as the customer or a contact of it has it already."""
    main = next((one for one in own(customer, point.kind) if one.value == point.value), None)
    if main is not None:
        return main
    of_kind = (ContactPoint.customer_id == customer["id"], ContactPoint.kind == point.kind)
    row = await session.scalar(
        select(ContactPoint).where(*of_kind, ContactPoint.value == point.value).order_by(ContactPoint.id).limit(1)
    )
    return shown(row) if row is not None else None


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
