"""The verbs on a customer's contacts. Each records one event on the customer's timeline."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.contacts import points
from app.contacts.models import Contact, ContactPoint
from app.contacts.owners import find
from app.contacts.points import COLUMNS, LISTS, Point
from app.contacts.schemas import ContactOut, ContactPage, PointIn, PointKind
from app.core.actor import Actor
from app.core.clock import new_id, now
from app.core.errors import Conflict, FieldError, Invalid, NotFound, Stale, invalid
from app.core.events import record
from app.core.fields import BadValue, Field
from app.core.paging import Pager
from app.customers.service import update_one

__all__ = ["add", "checked", "create", "get", "insert_contact", "page", "remove", "update_contact"]

FIELDS: Final = (
    Field("name", "Tên người liên hệ", "Contact name", "text"),
    Field("position", "Chức vụ", "Position", "text"),
    Field("birthday", "Ngày sinh", "Birthday", "date"),
    Field("gender", "Giới tính", "Gender", "gender"),
    Field("note", "Ghi chú", "Note", "long_text"),
)
KINDS: Final[dict[str, PointKind]] = {name: kind for kind, name in LISTS.items()}


class MirrorStays(Conflict):
    """The contact is the customer itself: it goes with the customer."""

    code = "contact_is_customer"
    vi, en = "Người liên hệ này chính là khách hàng nên không thể xóa riêng", "This contact is the customer itself"


async def page(
    session: AsyncSession, actor: Actor, customer_id: UUID, *, limit: int, cursor: str | None, secret: bytes
) -> ContactPage:
    """A page of contacts, the customer itself first where it is a person.

    Raises:
        NotFound
    """
    customer = await find(session, actor, customer_id)
    pager = Pager(secret, actor.tenant_id, "contacts", customer_id)
    position = pager.position(cursor)
    mirrors = [await _mirror(session, customer)] if customer["kind"] != "company" else []
    first = [] if position else mirrors
    of_this, room = Contact.customer_id == customer_id, limit - len(first)
    query = select(Contact).where(of_this, Contact.id > UUID(position[0] if position else points.FIRST))
    rows = list(await session.scalars(query.order_by(Contact.id).limit(room + 1)))
    following = points.after(pager, rows, room)
    total = await session.scalar(select(func.count()).select_from(Contact).where(of_this)) or 0
    items = [*first, *await _shown(session, rows[:room])]
    return ContactPage(items=items, next_cursor=following, count=total + len(mirrors))


async def get(session: AsyncSession, actor: Actor, customer_id: UUID, contact_id: UUID) -> ContactOut:
    """One contact of a customer.

    Raises:
        NotFound
    """
    return await _one(session, await find(session, actor, customer_id), contact_id)


async def create(session: AsyncSession, actor: Actor, customer_id: UUID, given: Mapping[str, Any]) -> ContactOut:
    """Adds a contact.

    Raises:
        NotFound, Invalid, PhoneTaken, PhoneInContact
    """
    customer = await find(session, actor, customer_id, lock=True)
    values, lists = checked(given)
    primary = given.get("is_primary")
    if primary is None:
        primary = customer["kind"] == "company" and not await _has_primary(session, customer_id)
    return await _one(session, customer, await add(session, actor, customer, values, lists, primary=primary))


async def add(
    session: AsyncSession,
    actor: Actor,
    customer: Mapping[str, Any],
    values: dict[str, Any],
    lists: Mapping[PointKind, Sequence[Point]],
    *,
    primary: bool,
) -> UUID:
    """Adds a contact of checked values, under the customer's name if it has none.

    Raises:
        PhoneTaken, PhoneInContact
    """
    values["name"] = values.get("name") or customer["name"]
    contact_id = await insert_contact(session, actor, customer, values, lists, primary=primary)
    changes = {"contacts": (None, values["name"])}
    await record(session, actor, "customer.contact_added", customer["id"], changes=changes,
                 data={"contact_id": contact_id})  # fmt: skip
    return contact_id


async def update_contact(
    session: AsyncSession, actor: Actor, customer_id: UUID, contact_id: UUID, given: Mapping[str, Any], *, version: int
) -> ContactOut:
    """Changes a contact; the mirror's change is one of the customer.

    Raises:
        NotFound, Stale, Invalid, PhoneTaken, PhoneInContact
    """
    customer = await find(session, actor, customer_id, lock=True)
    if contact_id == customer_id and customer["kind"] != "company":
        await _update_mirror(session, actor, customer_id, given, version=version)
        return await _one(session, await find(session, actor, customer_id), contact_id)
    row = await _locked(session, customer_id, contact_id, version)
    before = (await _shown(session, [row]))[0]
    values, lists = checked(given)
    if "name" in values and values["name"] is None:
        raise invalid("name", "required", "Tên người liên hệ là bắt buộc", "Contact name is required")
    if "is_primary" in given:
        values["is_primary"] = given["is_primary"]
        if given["is_primary"] and not row.is_primary:
            await _demote(session, customer_id)
    changes = {key: (_plain(getattr(row, key)), _plain(value)) for key, value in values.items()}
    for kind, new in lists.items():
        changes[LISTS[kind]] = await points.replace(session, actor, customer, contact_id, kind, new)
    changed = {key: pair for key, pair in changes.items() if pair[0] != pair[1]}
    if changed:
        await session.execute(
            update(Contact).where(Contact.id == contact_id).values(version=version + 1, updated_at=now(), **values)
        )
        data = {"contact_id": contact_id, "name": values.get("name", before.name)}
        await record(session, actor, "customer.contact_changed", customer_id, changes=changed, data=data)
    return await _one(session, customer, contact_id)


async def remove(session: AsyncSession, actor: Actor, customer_id: UUID, contact_id: UUID, *, version: int) -> None:
    """Removes a contact with its phones and addresses.

    Raises:
        NotFound, Stale, MirrorStays
    """
    customer = await find(session, actor, customer_id, lock=True)
    if contact_id == customer_id and customer["kind"] != "company":
        raise MirrorStays()
    row = await _locked(session, customer_id, contact_id, version)
    await session.delete(row)
    await session.flush()
    changes = {"contacts": (row.name, None)}
    await record(session, actor, "customer.contact_removed", customer_id, changes=changes,
                 data={"contact_id": contact_id})  # fmt: skip


async def insert_contact(
    session: AsyncSession,
    actor: Actor,
    customer: Mapping[str, Any],
    values: Mapping[str, Any],
    lists: Mapping[PointKind, Sequence[Point]],
    *,
    primary: bool,
) -> UUID:
    """Writes a contact of checked values with its phones and addresses; tells nobody.

    Raises:
        PhoneTaken, PhoneInContact
    """
    moment, contact_id = now(), new_id()
    if primary:
        await _demote(session, customer["id"])
    session.add(
        Contact(
            tenant_id=actor.tenant_id,
            id=contact_id,
            customer_id=customer["id"],
            is_primary=primary,
            created_by=actor.id,
            version=1,
            created_at=moment,
            updated_at=moment,
            **values,
        )
    )
    await session.flush()
    await points.keep(session, actor, customer, contact_id, [one for many in lists.values() for one in many])
    return contact_id


def checked(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[PointKind, list[Point]]]:
    """The columns and the lists of a request.

    Raises:
        Invalid
    """
    values, errors = dict[str, Any](), list[FieldError]()
    for field in FIELDS:
        if field.key in given:
            try:
                parsed = field.parse(given[field.key])
            except BadValue as bad:
                errors.append(FieldError(field=field.key, code=bad.code, message=bad.message))
            else:
                values[field.key] = date.fromisoformat(parsed) if field.type == "date" and parsed else parsed
    lists = dict[PointKind, list[Point]]()
    for name, kind in KINDS.items():
        if name in given:
            try:
                lists[kind] = points.parse(kind, given[name], name)
            except Invalid as wrong:
                errors += wrong.errors
    if errors:
        raise Invalid(errors=errors)
    return values, lists


async def _update_mirror(
    session: AsyncSession, actor: Actor, customer_id: UUID, given: Mapping[str, Any], *, version: int
) -> None:
    """A person's own contact is the customer: its lists hold at most the customer's own field."""
    wanted = {key: value for key, value in given.items() if key not in KINDS and key != "is_primary"}
    for name, kind in KINDS.items():
        if name not in given:
            continue
        values: list[PointIn] = given[name]
        if len(values) > 1:
            raise invalid(name, "too_many", "Chỉ một giá trị; hãy thêm giá trị khác cho khách hàng",
                          "One value only; add further ones to the customer")  # fmt: skip
        wanted[COLUMNS[kind]] = values[0].value if values else None
    await update_one(session, actor, customer_id, wanted, version=version)
    if given.get("is_primary"):
        await _demote(session, customer_id)


async def _locked(session: AsyncSession, customer_id: UUID, contact_id: UUID, version: int) -> Contact:
    of_this = (Contact.id == contact_id, Contact.customer_id == customer_id)
    row = await session.scalar(select(Contact).where(*of_this).with_for_update())
    if row is None:
        raise NotFound()
    if row.version != version:
        raise Stale()
    return row


async def _one(session: AsyncSession, customer: Mapping[str, Any], contact_id: UUID) -> ContactOut:
    if contact_id == customer["id"] and customer["kind"] != "company":
        return await _mirror(session, customer)
    of_this = (Contact.id == contact_id, Contact.customer_id == customer["id"])
    row = await session.scalar(select(Contact).where(*of_this).execution_options(populate_existing=True))
    if row is None:
        raise NotFound()
    return (await _shown(session, [row]))[0]


async def _shown(session: AsyncSession, rows: Sequence[Contact]) -> list[ContactOut]:
    ids = [row.id for row in rows]
    query = select(ContactPoint).where(ContactPoint.contact_id.in_(ids)).order_by(ContactPoint.id)
    lists: dict[UUID, dict[str, list[Any]]] = {id_: {name: [] for name in KINDS} for id_ in ids}
    for point in await session.scalars(query) if ids else ():
        if point.contact_id is not None:
            lists[point.contact_id][_list_of(point)].append(points.shown(point))
    return [
        ContactOut(
            id=row.id, customer_id=row.customer_id, mirror=False, name=row.name, position=row.position,
            birthday=row.birthday, gender=row.gender, note=row.note, is_primary=row.is_primary, **lists[row.id],
            created_at=row.created_at, updated_at=row.updated_at, version=row.version,
        )
        for row in rows
    ]  # fmt: skip


async def _mirror(session: AsyncSession, customer: Mapping[str, Any]) -> ContactOut:
    """A person as their own contact (B005): what is edited in the one is edited in the other."""
    same = {key: customer[key] for key in ("id", "name", "position", "birthday", "gender", "note", "created_at",
                                           "updated_at", "version")}  # fmt: skip
    lists = {name: points.own(customer, kind) for name, kind in KINDS.items()}
    primary = not await _has_primary(session, customer["id"])
    return ContactOut(customer_id=customer["id"], mirror=True, is_primary=primary, **same, **lists)


async def _has_primary(session: AsyncSession, customer_id: UUID) -> bool:
    found = await session.scalar(select(Contact.id).where(Contact.customer_id == customer_id, Contact.is_primary))
    return found is not None


async def _demote(session: AsyncSession, customer_id: UUID) -> None:
    """Makes room for another primary contact; who was it has changed, and so has their version."""
    await session.execute(
        update(Contact)
        .where(Contact.customer_id == customer_id, Contact.is_primary)
        .values(is_primary=False, version=Contact.version + 1, updated_at=now())
    )


def _list_of(point: ContactPoint) -> str:
    return next(name for name, kind in KINDS.items() if kind == point.kind)


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value
