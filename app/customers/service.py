"""The verbs on one customer. Each runs in the caller's transaction and records one event."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy import delete, literal, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import counters
from app.core.actor import Actor
from app.core.clock import new_id, now
from app.core.db import driver, on_conflict, tenant_of
from app.core.errors import AppError, Conflict, NotFound, Stale
from app.core.events import COLUMNS as EVENT_COLUMNS
from app.core.events import record
from app.core.events import values as values_of_event
from app.customers import classifications, duplicate_keys, following, phones, referrers, scoring, stages, tags
from app.customers import registry as registries
from app.customers.configuring import on_field
from app.customers.errors import NotEntrusted, PhoneTaken, ValueTaken
from app.customers.models import Customer, UniqueValue
from app.customers.registry import Registry
from app.customers.values import Values, check
from app.customers.visibility import may_hand_on, of_one, visible
from app.customers.words import phone_tail, search_words
from app.filters.search import Sql

__all__ = ["claim_phones", "create", "delete_one", "load_for_change", "update_one", "write_search"]


async def create(session: AsyncSession, actor: Actor, given: Mapping[str, Any]) -> UUID:
    """Adds a customer. Without an owner it belongs to who adds it; without a relationship it is new (D019).

    Raises:
        Invalid, PhoneTaken, ValueTaken
    """
    registry = await tags.make_missing(session, actor, await registries.load(session), given)
    values = check(registry, await referrers.resolved(session, actor, given), creating=True)
    customer_id, moment = new_id(), now()
    if values.columns.get("phone"):
        await phones.lock(session, [values.columns["phone"]])
    columns = {
        "owner_id": actor.id if actor.kind == "user" else None, "kind": "individual", **_defaults(registry),
        **values.columns,
    }  # fmt: skip
    columns["name"] = columns.get("name") or ""
    raw = await driver(session)
    code = code_of(await counters.take_one_of_many(raw, actor.tenant_id, "customer"))
    row = {
        "tenant_id": actor.tenant_id, **columns, "id": customer_id, "code": code, "created_by": actor.id, "version": 1,
        "attributes": msgspec.json.encode(_without_none(values.attributes)).decode(), "created_at": moment,
        "updated_at": moment, "group_nos": sorted(group.no for group in values.groups or []),
        "tag_nos": sorted(tag.no for tag in values.tags or []),
    }  # fmt: skip
    shown = {key: (None, value) for key, value in values.shown.items() if value is not None}
    await classifications.hold(session, columns)
    if not await _insert(raw, row, values_of_event(actor, "customer.created", customer_id, changes=shown)):
        raise await _refusal_of_phone(session, actor, columns["phone"])
    await _join(session, customer_id, values)
    await _claim_unique(session, registry, customer_id, values)
    await duplicate_keys.claim(session, actor, registry.duplicate_keys, customer_id, shown)
    if any(group.points for group in values.groups or ()):
        await scoring.recompute(session, actor, [customer_id])
    return customer_id


async def update_one(
    session: AsyncSession,
    actor: Actor,
    customer_id: UUID,
    given: Mapping[str, Any],
    *,
    version: int,
    told: tuple[str, Mapping[str, Any]] | None = None,
) -> None:
    """Changes a customer that still has `version`. Values that are the same as before make no event; `told` are the
    event's kind and facts, where it is more than a change of fields.

    Raises:
        NotFound, Stale, Invalid, PhoneTaken, ValueTaken
    """
    registry = await tags.make_missing(session, actor, await registries.load(session), given)
    before = await load_for_change(session, actor, customer_id, version)
    values = check(registry, await referrers.resolved(session, actor, given, customer_id), creating=False)
    changes = changed(registry, before, values)
    if not changes:
        return
    if "owner" in changes and not may_hand_on(actor, before):
        raise on_field(NotEntrusted(), "owner")
    columns = dict(values.columns)
    await classifications.hold(session, columns)
    if values.attributes:
        columns["attributes"] = _without_none({**before["attributes"], **values.attributes})
    if values.groups is not None:
        columns["group_nos"] = sorted(group.no for group in values.groups)
    if values.tags is not None:
        columns["tag_nos"] = sorted(tag.no for tag in values.tags)
    with on_conflict({"customer_phone_uq": PhoneTaken}):
        await _claim_phones(session, actor, before, columns, changes)
        await session.execute(
            update(Customer)
            .where(Customer.id == customer_id)
            .values(version=Customer.version + 1, updated_at=now(), **columns)
        )
    if values.touches_search:
        await write_search(session, customer_id, {**before, **columns})
    await _join(session, customer_id, values)
    await _claim_unique(session, registry, customer_id, values)
    await duplicate_keys.claim(session, actor, registry.duplicate_keys, customer_id, changes)
    event, data = told or (stages.told_as(registry.categories, changes), None)
    await record(session, actor, event, customer_id, changes=changes, data=data)
    if "groups" in changes or ("tier" in changes and changes["tier"][1] is None):
        await scoring.recompute(session, actor, [customer_id])


async def delete_one(session: AsyncSession, actor: Actor, customer_id: UUID, *, version: int) -> None:
    """Puts a customer into the trash: it is found nowhere, and its phone is free again.

    Raises:
        NotFound, Stale
    """
    await load_for_change(session, actor, customer_id, version)
    await session.execute(
        update(Customer)
        .where(Customer.id == customer_id)
        .values(
            deleted_at=now(), deleted_by=actor.id if actor.kind == "user" else None, deleted_reason="trash",
            version=Customer.version + 1, updated_at=now(),
        )
    )  # fmt: skip
    await session.execute(
        delete(UniqueValue).where(UniqueValue.tenant_id == actor.tenant_id, UniqueValue.customer_id == customer_id)
    )
    await record(session, actor, "customer.deleted", customer_id)


async def load_for_change(session: AsyncSession, actor: Actor, customer_id: UUID, version: int) -> dict[str, Any]:
    """The customer's row, locked, if the caller may see it and it still has this version.

    Raises:
        NotFound, Stale
    """
    raw = await driver(session)
    sql = Sql(actor.tenant_id)
    statement = f"SELECT * FROM crm.customer c WHERE {of_one(sql, actor, customer_id)} FOR UPDATE"
    row = await raw.fetchrow(statement, *sql.args)
    if row is None:
        raise NotFound()
    if row["version"] != version:
        raise Stale()
    found = dict(row)
    found["attributes"] = _json(found["attributes"])
    return found


async def _join(session: AsyncSession, customer_id: UUID, values: Values) -> None:
    """Lets a customer be in the groups and have the tags that its numbers say.

    Raises:
        Conflict: one of them is deleted in this very moment.
    """
    connection, tenant_id = await driver(session), tenant_of(session)
    for column, chosen in (("group_nos", values.groups), ("tag_nos", values.tags)):
        if chosen is None:
            continue
        if not await following.keep(connection, tenant_id, column, [one.no for one in chosen]):
            raise Conflict()
        await following.join(connection, tenant_id, [customer_id], column, now(), None)


async def write_search(session: AsyncSession, customer_id: UUID, columns: Mapping[str, Any]) -> None:
    """Writes what the search box finds the customer by."""
    words = search_words(columns.get("name"), columns.get("email"), columns.get("tax_code"))
    await session.execute(
        text("""
        INSERT INTO crm.customer_search (tenant_id, id, words, phone_tail)
        VALUES (:tenant_id, :id, array_to_tsvector(CAST(:words AS text[])), :tail)
        ON CONFLICT (tenant_id, id) DO UPDATE SET words = excluded.words, phone_tail = excluded.phone_tail
        """),
        {
            "tenant_id": session.info["tenant_id"],
            "id": customer_id,
            "words": words,
            "tail": phone_tail(columns.get("phone")),
        },
    )


async def phone_taken(session: AsyncSession, actor: Actor, phone: str) -> PhoneTaken:
    """The refusal, with the other customer's id and its owner's as far as the caller may see that customer."""
    raw = await driver(session)
    sql = Sql(actor.tenant_id)
    where = f"c.tenant_id = $1 AND c.phone = {sql.arg(phone)} AND c.deleted_at IS NULL AND {visible(sql, actor)}"
    row = await raw.fetchrow(f"SELECT c.id, c.owner_id FROM crm.customer c WHERE {where}", *sql.args)
    seen = {"existing_id": str(row["id"]), "existing_owner_id": row["owner_id"] and str(row["owner_id"])} if row else {}
    error = PhoneTaken(extra={"field": "phone", **seen})
    error.errors = [error.on("phone")]
    return error


def changed(registry: Registry, before: Mapping[str, Any], values: Values) -> dict[str, tuple[Any, Any]]:
    """{field: (before, after)} for the values that differ from the row."""
    changes: dict[str, tuple[Any, Any]] = {}
    for key, after in values.shown.items():
        was = shown_value(registry, before, key)
        # Groups and tags have no order: naming the same ones otherwise changes nothing.
        differs = (sorted(was or ()) != sorted(after or ())) if key in ("groups", "tags") else was != after
        # To choose the tier that a rule gave is a change too: it is kept against the rules from now on (D018).
        if differs or (key == "tier" and before["tier_fixed"] != values.columns["tier_fixed"]):
            changes[key] = (was, after)
    return changes


def shown_value(registry: Registry, row: Mapping[str, Any], key: str) -> Any:
    """A field's value in a row as people and events see it."""
    found = registry.fields[key]
    if found.is_attribute:
        return row["attributes"].get(found.name)
    stored = row[str(found.column)]
    if key == "groups":
        names = {group.no: group.name for group in registry.groups.values()}
        return [names[no] for no in stored if no in names] or None
    if key == "tags":
        tagged = {tag.no: tag.name for tag in registry.tags.values()}
        return [tagged[no] for no in stored if no in tagged] or None
    if stored is None:
        return None
    if key in registry.labels:
        return registry.labels[key].get(stored)
    return str(stored) if isinstance(stored, date | UUID) else stored


def code_of(number: int) -> str:
    """A customer's code from its number: KH000123."""
    return f"KH{number:06d}"


async def _insert(raw: asyncpg.Connection, row: Mapping[str, Any], event: tuple[Any, ...]) -> bool:
    """Writes the customer, its search words and its event in one statement; False if its phone is taken."""
    args: list[Any] = [*row.values(), search_words(row["name"], row.get("email"), row.get("tax_code")),
                       phone_tail(row.get("phone")), *event]  # fmt: skip
    given = ", ".join(f"${number}" for number in range(1, len(row) + 1))
    free = "true" if row["kind"] == "lead" else f"NOT {phones.HELD.format(tail=f'${len(row) + 2}', own='NULL')}"
    first = len(row) + 1
    told = (f"${first + 2 + number}::{kind}" for number, kind in enumerate(EVENT_COLUMNS.values()))
    statement = f"""
    WITH made AS (
        INSERT INTO crm.customer ({", ".join(row)}) SELECT {given} WHERE {free}
        ON CONFLICT (tenant_id, phone) WHERE phone IS NOT NULL AND deleted_at IS NULL DO NOTHING
        RETURNING tenant_id, id),
    words AS (
        INSERT INTO crm.customer_search (tenant_id, id, words, phone_tail)
        SELECT tenant_id, id, array_to_tsvector(${first}::text[]), ${first + 1}::text FROM made RETURNING id),
    history AS (
        INSERT INTO crm.event ({", ".join(EVENT_COLUMNS)}) SELECT {", ".join(told)} FROM made RETURNING id)
    SELECT count(*) FROM made
    """
    return bool(await raw.fetchval(statement, *args))


async def _refusal_of_phone(session: AsyncSession, actor: Actor, phone: str) -> AppError:
    """Why a customer with this phone was not added: another has it, or a contact of another."""
    taken = select(literal(1)).where(Customer.phone == phone, Customer.deleted_at.is_(None))
    held = None if await session.scalar(taken) else await phones.held(session, actor, [phone], None)
    return held or await phone_taken(session, actor, phone)


def _defaults(registry: Registry) -> dict[str, Any]:
    first = registry.first_relationship
    return {"relationship_id": registry.ids["relationship"][first]} if first else {}


async def _claim_phones(
    session: AsyncSession,
    actor: Actor,
    before: Mapping[str, Any],
    columns: Mapping[str, Any],
    changes: Mapping[str, Any],
) -> None:
    """Sees to it that a customer's new phone is nobody else's; nor any of its phones, where it is a lead no more.

    Raises:
        PhoneTaken, PhoneInContact
    """
    phone, kind = columns.get("phone", before["phone"]), columns.get("kind", before["kind"])
    converted = before["kind"] == "lead" != kind
    own = [phone] if phone and (converted or "phone" in changes) else []
    further = await phones.further(session, before["id"]) if converted else []
    if not own and not further:
        return
    await phones.lock(session, [*own, *further])
    if own:
        await _refuse_taken_phone(session, actor, before["id"], own[0])
    if kind != "lead":
        await claim_phones(session, actor, before["id"], [*own, *further])


async def claim_phones(session: AsyncSession, actor: Actor, customer_id: UUID, numbers: Sequence[str]) -> None:
    """Sees to it that no other customer who is more than a lead has these phones, itself or by a contact; nor will,
    before this commits.

    Raises:
        PhoneTaken, PhoneInContact
    """
    if not numbers:
        return
    await phones.lock(session, numbers)
    taken = await (await driver(session)).fetchval(
        "SELECT phone FROM crm.customer WHERE tenant_id = $1 AND phone = ANY($2::text[]) AND deleted_at IS NULL "
        "AND kind <> 'lead' AND id <> $3 LIMIT 1",
        tenant_of(session), list(numbers), customer_id,
    )  # fmt: skip
    if taken:
        raise await phone_taken(session, actor, taken)
    await phones.refuse_held(session, actor, numbers, customer_id)


async def _refuse_taken_phone(session: AsyncSession, actor: Actor, customer_id: UUID, phone: str) -> None:
    # The unique index has the last word; this look only gives the refusal its details.
    taken = await session.scalar(
        select(literal(1)).where(Customer.phone == phone, Customer.deleted_at.is_(None), Customer.id != customer_id)
    )
    if taken:
        raise await phone_taken(session, actor, phone)


async def _claim_unique(session: AsyncSession, registry: Registry, customer_id: UUID, values: Values) -> None:
    """Takes the values of unique attributes; a value has one holder, whom the primary key decides."""
    for field in registry.attributes:
        if not field.unique or field.name not in values.attributes:
            continue
        tenant_id, value = session.info["tenant_id"], values.attributes[field.name]
        await session.execute(
            delete(UniqueValue).where(
                UniqueValue.tenant_id == tenant_id,
                UniqueValue.attribute_id == field.attribute_id,
                UniqueValue.customer_id == customer_id,
            )
        )
        if value is None:
            continue
        claimed = await session.scalar(
            upsert(UniqueValue)
            .values(tenant_id=tenant_id, attribute_id=field.attribute_id, value=str(value), customer_id=customer_id)
            .on_conflict_do_nothing()
            .returning(UniqueValue.customer_id)
        )
        if claimed is None:
            error = ValueTaken(label=field.label, extra={"field": field.key})
            error.errors = [error.on(field.key)]
            raise error


def _without_none(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in attributes.items() if value is not None}


def _json(value: Any) -> Any:
    return msgspec.json.decode(value) if isinstance(value, str | bytes) else value
