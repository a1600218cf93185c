"""Conversion of customers: a lead becomes a person or a company, or a contact of the customer whose phone it has."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast
from uuid import UUID

import msgspec
from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.contacts import points
from app.contacts.models import Contact, ContactPoint
from app.contacts.owners import COLUMNS, find
from app.contacts.points import Point
from app.contacts.schemas import PointKind
from app.contacts.service import insert_contact
from app.core.actor import Actor
from app.core.clock import new_id, now
from app.core.db import driver
from app.core.errors import Conflict, invalid
from app.core.events import record
from app.core.vietnam import text as vn
from app.customers import phones
from app.customers import registry as registries
from app.customers.changing import deleter
from app.customers.models import Customer, UniqueValue
from app.customers.service import update_one
from app.customers.visibility import visible
from app.customers.words import phone_tail
from app.duplicates import advancing, related
from app.duplicates.convert_schemas import ConvertOut
from app.duplicates.merging import NOTE_ITEMS, follow, tell_referred, write_columns
from app.duplicates.models import FILLED, PERSON, Merge, MergeItem
from app.duplicates.planning import MAX_NOTE, SHARED, STAGE
from app.filters.search import Sql

__all__ = ["convert"]

REFERRED_BY: Final = "SELECT count(*) FROM crm.customer c WHERE c.tenant_id = $1 AND c.id = $2 AND c.referrer_id = $3"
VERSION: Final = "SELECT c.version FROM crm.customer c WHERE c.tenant_id = $1 AND c.id = $2"


class SameKind(Conflict):
    """The customer is of this kind already."""

    code = "same_kind"
    vi, en = "Khách hàng đã thuộc kiểu này", "The customer is of this kind already"


class NotALead(Conflict):
    """Only a lead can become a contact of another customer."""

    code = "not_a_lead"
    vi = "Chỉ khách hàng kiểu tiềm năng (lead) mới gắn được vào khách hàng khác"
    en = "Only a lead can be attached to a customer"


async def convert(
    session: AsyncSession, actor: Actor, customer_id: UUID, *, kind: str, name: str | None, attach_to: UUID | None
) -> ConvertOut:
    """Makes a customer one of another kind. A lead whose phone another customer or its contact has becomes a contact
    of that one (E002), and lives on in it.

    Raises:
        NotFound, SameKind, NotALead, Invalid
        PhoneInContact, PhoneTaken: a phone belongs to a customer whom the caller may not change, or to another one than
            the lead is attached to.
        Duplicate: another customer has the new name, which is a duplicate key.
    """
    customer = await find(session, actor, customer_id, lock=True)
    if attach_to is not None and customer["kind"] != "lead":
        raise NotALead()
    if customer["kind"] == kind:
        raise SameKind()
    if customer["kind"] == "lead":
        numbers = await _numbers(session, customer)
        await phones.lock_out_imports(session)
        await phones.lock(session, numbers)
        into = await _known(session, actor, numbers, attach_to)
        # Somebody else's customer may have one of them: then the lead can be neither there nor beside it.
        await points.claim(session, actor, into or {**customer, "kind": kind}, numbers)
        if into is not None:
            return await _attach(session, actor, customer, into)
    return await _change_kind(session, actor, customer, kind, name)


async def _numbers(session: AsyncSession, customer: Mapping[str, Any]) -> list[str]:
    """All phones of a customer and its contacts."""
    return [*([customer["phone"]] if customer["phone"] else []), *await phones.further(session, customer["id"])]


async def _known(
    session: AsyncSession, actor: Actor, numbers: Sequence[str], attach_to: UUID | None
) -> dict[str, Any] | None:
    """The customer that a lead with these phones duplicates, locked: the one that is named, else the one that has one
    of them, itself before a contact of it, the oldest first."""
    sql = Sql(actor.tenant_id)
    live = f"c.tenant_id = $1 AND c.deleted_at IS NULL AND c.kind <> 'lead' AND {visible(sql, actor)}"
    if attach_to is not None:
        match, order = f"c.id = {sql.arg(attach_to)}::uuid", "c.id"
    else:
        given, tails = sql.arg(numbers), sql.arg([phone_tail(number) for number in numbers])
        match = f"""c.id IN (
            SELECT o.id FROM crm.customer o WHERE o.tenant_id = $1 AND o.phone = ANY({given}::text[])
            UNION
            SELECT p.customer_id FROM crm.contact_point p WHERE p.tenant_id = $1 AND p.tail = ANY({tails}::text[]))"""
        order = f"(c.phone = ANY({given}::text[])) DESC NULLS LAST, c.created_at, c.id"
    row = await (await driver(session)).fetchrow(
        f"SELECT {COLUMNS} FROM crm.customer c WHERE {live} AND {match} ORDER BY {order} LIMIT 1 FOR NO KEY UPDATE",
        *sql.args,
    )
    if row is not None:
        return dict(row)
    if attach_to is not None:
        raise invalid("attach_to", "customer_unknown", "Không có khách hàng này", "There is no such customer")
    return None


async def _attach(session: AsyncSession, actor: Actor, lead: Mapping[str, Any], into: Mapping[str, Any]) -> ConvertOut:
    """Makes the lead a contact of the customer; whatever belonged to it goes there as by a merge, which is kept as one
    and undone as one. Its former id leads to the customer."""
    raw, moment, registry = await driver(session), now(), await registries.load(session)
    changes: dict[str, tuple[Any, Any]] = {"contacts": (None, lead["name"])}
    before, written = dict[str, Any](), dict[str, Any]()
    if await raw.fetchval(REFERRED_BY, actor.tenant_id, into["id"], lead["id"]):
        # Whoever referred the customer is a contact of it now.
        before["referrer"] = {"referrer_id": str(lead["id"]), "referrer_user_id": None}
        written["referrer"] = dict.fromkeys(before["referrer"])
        changes["referrer"] = (str(lead["id"]), None)
    everybody = sorted({*into[SHARED], *lead[SHARED]})
    if everybody != sorted(into[SHARED]):
        # Whoever the lead was shared with finds it here from now on.
        was, is_ = ([str(one) for one in some] for some in (into[SHARED], everybody))
        before[SHARED], written[SHARED] = {SHARED: was}, {SHARED: is_}
        changes[SHARED] = (was, is_)
    stage = await advancing.by_what_comes(session, into["relationship_id"], [lead["id"]])
    if stage != into["relationship_id"]:
        pair = into["relationship_id"], stage
        before[STAGE], written[STAGE] = ({"relationship_id": str(one) if one else None} for one in pair)
        names = dict[UUID | None, str](registry.labels[STAGE].items())
        changes[STAGE] = (names.get(pair[0]), names.get(pair[1]))
    merge = Merge(
        tenant_id=actor.tenant_id, id=new_id(), master_id=into["id"], source_ids=[lead["id"]], sources="delete",
        before=before, written=written, moved={}, created_by=actor.id, created_by_name=actor.name, version=1,
        created_at=moment, updated_at=moment,
    )  # fmt: skip
    session.add(merge)
    await session.flush()
    await _retire(session, actor, lead["id"], into["id"])
    contact_id, added = await _become_contact(session, actor, lead, into, merge.id)
    moved = await related.move(raw, actor.tenant_id, into["id"], [lead["id"]], merge.id, moment, leave=("points",))
    merge.moved = {**moved, "points": added} if added else moved
    await write_columns(raw, actor.tenant_id, into["id"], list(written.values()))
    await follow(session, actor, registry, [into["id"], lead["id"]])
    if "referred" in moved:
        await tell_referred(session, actor, merge.id, into["id"])
    told = {"kind": (lead["kind"], "contact")}
    data = {"contact_id": contact_id, "lead_id": lead["id"], "customer_id": into["id"], "merge_id": merge.id}
    await record(session, actor, "customer.converted", lead["id"], changes=told, data=data)
    await record(session, actor, "customer.contact_added", into["id"], changes=changes, data={**data, "moved": moved})
    version: int = await raw.fetchval(VERSION, actor.tenant_id, into["id"])
    return ConvertOut(
        id=into["id"], kind=into["kind"], attached=True, contact_id=contact_id, merge_id=merge.id, version=version
    )


async def _become_contact(
    session: AsyncSession, actor: Actor, lead: Mapping[str, Any], into: Mapping[str, Any], merge_id: UUID
) -> tuple[UUID, int]:
    """The contact that the lead is now, and how many phones, addresses and links it got by that. The lead's own stay
    with it as they were."""
    further = select(ContactPoint).where(ContactPoint.customer_id == lead["id"], ContactPoint.contact_id.is_(None))
    rows = await session.scalars(further.order_by(ContactPoint.id))
    own = [Point(cast("PointKind", row.kind), row.value, row.label, row.typed) for row in rows]
    given = _own_points(lead)
    for one in own:
        if one.value not in {other.value for other in given[one.kind]}:
            given[one.kind].append(one)
    contact_id, made = await _same_person(session, lead, into), False
    if contact_id is None:
        values, made = {key: lead[key] for key in PERSON}, True
        contact_id = await insert_contact(session, actor, into, values, {}, primary=False)
    else:
        await _complete(session, lead, contact_id, merge_id)
    known = set(await session.scalars(select(ContactPoint.value).where(ContactPoint.contact_id == contact_id)))
    missing = [one for many in given.values() for one in many if one.value not in known]
    added = await points.keep(session, actor, into, contact_id, missing)
    items = [("added_points", one_id) for one_id in added] + ([("added_contacts", contact_id)] if made else [])
    if items:
        names, ids = map(list, zip(*items, strict=True))
        raw = await driver(session)
        await raw.execute(NOTE_ITEMS, actor.tenant_id, merge_id, names, ids, [lead["id"]] * len(items))
    return contact_id, len(added)


async def _retire(session: AsyncSession, actor: Actor, lead_id: UUID, into_id: UUID) -> None:
    """The lead is no customer any more; it lives on in another."""
    moment = now()
    await session.execute(
        update(Customer)
        .where(Customer.id == lead_id)
        .values(
            deleted_at=moment, deleted_by=deleter(actor), deleted_reason="merge", merged_into=into_id,
            version=Customer.version + 1, updated_at=moment,
        )
    )  # fmt: skip
    held = (UniqueValue.tenant_id == actor.tenant_id, UniqueValue.customer_id == lead_id)
    await session.execute(delete(UniqueValue).where(*held))


async def _same_person(session: AsyncSession, lead: Mapping[str, Any], into: Mapping[str, Any]) -> UUID | None:
    """The customer's contact who has the lead's phone."""
    if not lead["phone"]:
        return None
    found: UUID | None = await session.scalar(
        select(ContactPoint.contact_id)
        .where(ContactPoint.customer_id == into["id"], ContactPoint.contact_id.is_not(None))
        .where(ContactPoint.kind == "phone", ContactPoint.value == lead["phone"])
        .order_by(ContactPoint.id)
        .limit(1)
    )
    return found


async def _complete(session: AsyncSession, lead: Mapping[str, Any], contact_id: UUID, merge_id: UUID) -> None:
    """Gives the contact what the lead knew and it did not, and notes in the merge what it was."""
    row = (await session.scalars(select(Contact).where(Contact.id == contact_id))).one()
    written = {key: lead[key] for key in PERSON if getattr(row, key) is None and lead[key] is not None}
    if row.note and lead["note"] and lead["note"] not in row.note:
        written["note"] = f"{row.note}\n{lead['note']}"[:MAX_NOTE]
    before = {key: getattr(row, key) for key in written}
    for key, value in written.items():
        setattr(row, key, value)
    row.version, row.updated_at = row.version + 1, now()
    images = msgspec.to_builtins({"before": before, "written": written})
    session.add(MergeItem(tenant_id=row.tenant_id, merge_id=merge_id, what=FILLED, row_id=contact_id,
                          source_id=lead["id"], before=images))  # fmt: skip
    await session.flush()


def _own_points(customer: Mapping[str, Any]) -> dict[PointKind, list[Point]]:
    """The customer's own phone, e-mail, address and website as those of a contact."""
    return {
        kind: [Point(kind, one.value, one.label, one.typed) for one in points.own(customer, kind)]
        for kind in points.LISTS
    }


async def _change_kind(
    session: AsyncSession, actor: Actor, customer: Mapping[str, Any], kind: str, name: str | None
) -> ConvertOut:
    """Changes the kind. A person who becomes a company of another name stays as its primary contact."""
    given = vn.clean(name or "") or (customer["company_name"] if kind == "company" else None)
    new_name = given or customer["name"]
    contact_id = None
    if new_name != customer["name"] and kind == "company":
        values = {key: customer[key] for key in PERSON}
        after = {**customer, "kind": kind}
        contact_id = await insert_contact(session, actor, after, values, _own_points(customer), primary=True)
    told = "customer.converted", {"contact_id": contact_id} if contact_id else {}
    changes = {"kind": kind, "name": new_name}
    await update_one(session, actor, customer["id"], changes, version=customer["version"], told=told)
    return ConvertOut(
        id=customer["id"], kind=kind, attached=False, contact_id=contact_id, merge_id=None,
        version=customer["version"] + 1,
    )  # fmt: skip
