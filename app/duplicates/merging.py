"""Merges customers into one, and shows beforehand what that would do."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy import insert
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.clock import new_id, now
from app.core.db import constraint, driver
from app.core.errors import AppError
from app.core.events import record, request_id
from app.core.i18n import language
from app.customers import duplicate_keys, phones, scoring
from app.customers.changing import deleter, write_words
from app.customers.errors import Duplicate, PhoneInContact, PhoneTaken, ValueTaken
from app.customers.models import Customer
from app.customers.registry import Registry
from app.customers.service import phone_taken
from app.customers.words import phone_tail
from app.duplicates import planning, reasons, related
from app.duplicates.models import Merge
from app.duplicates.planning import Change, Plan, Row
from app.duplicates.schemas import MergeIn, MergePlanOut, PlannedField, PlannedMove, SuspectOut

__all__ = ["TITLE", "claim_uniques", "execute", "follow", "merge", "preview", "write_columns"]

# B037: the guide's own words.
TITLE: Final = "Confirm merge khách hàng"
DIALECT: Final = postgresql.dialect()  # type: ignore[no-untyped-call]
TYPES: Final = {column.name: column.type.compile(DIALECT) for column in Customer.__table__.columns}

DELETE_SOURCES: Final = """
UPDATE crm.customer c SET deleted_at = $3::timestamptz, deleted_by = $4::uuid, deleted_reason = $5::text,
       merged_into = $6::uuid, version = c.version + 1, updated_at = $3::timestamptz
WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[])
"""
RELEASE: Final = "DELETE FROM crm.unique_value WHERE tenant_id = $1 AND customer_id = ANY($2::uuid[])"
# $2 the customers, the first of whom has the first right; $3 the attributes, $4 their keys.
CLAIM: Final = """
WITH wanted AS (
    SELECT DISTINCT ON (a.id, c.attributes ->> a.key) a.id AS attribute_id, c.attributes ->> a.key AS value, c.id
    FROM crm.customer c CROSS JOIN unnest($3::uuid[], $4::text[]) AS a (id, key)
    WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[]) AND c.deleted_at IS NULL AND c.attributes ->> a.key IS NOT NULL
    ORDER BY a.id, c.attributes ->> a.key, array_position($2::uuid[], c.id)
)
INSERT INTO crm.unique_value (tenant_id, attribute_id, value, customer_id)
SELECT $1, wanted.attribute_id, wanted.value, wanted.id FROM wanted
ON CONFLICT (tenant_id, attribute_id, value) DO NOTHING
"""
# $2 these customers, $3 the unique attributes, $4 their keys.
LOST: Final = """
SELECT c.id AS customer_id, a.key, (c.attributes -> a.key)::text AS value, u.customer_id AS taken_by
FROM crm.customer c CROSS JOIN unnest($3::uuid[], $4::text[]) AS a (id, key)
LEFT JOIN crm.unique_value u ON u.tenant_id = $1 AND u.attribute_id = a.id AND u.value = c.attributes ->> a.key
WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[]) AND c.deleted_at IS NULL AND c.attributes ->> a.key IS NOT NULL
  AND u.customer_id IS DISTINCT FROM c.id
"""
ADD_CONTACTS: Final = """
INSERT INTO crm.contact (tenant_id, id, customer_id, name, is_primary, created_by, version, created_at, updated_at)
SELECT $1, one.id, $2, one.name, false, $5::uuid, 1, $6::timestamptz, $6::timestamptz
FROM unnest($3::uuid[], $4::text[]) AS one (id, name)
ON CONFLICT (tenant_id, id) DO NOTHING
"""
ADD_POINTS: Final = """
INSERT INTO crm.contact_point (tenant_id, id, customer_id, contact_id, kind, value, typed, tail, created_at)
SELECT $1, one.id, $2, one.contact_id, one.kind, one.value, one.typed, one.tail, $9::timestamptz
FROM unnest($3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[])
     AS one (id, contact_id, kind, value, typed, tail)
WHERE NOT EXISTS (SELECT FROM crm.contact_point p
                  WHERE p.tenant_id = $1 AND p.customer_id = $2 AND p.kind = one.kind AND p.value = one.value)
ON CONFLICT (tenant_id, id) DO NOTHING
RETURNING id
"""
NOTE_ITEMS: Final = """
INSERT INTO crm.merge_item (tenant_id, merge_id, what, row_id, source_id)
SELECT $1, $2, one.what, one.row_id, one.source_id
FROM unnest($3::text[], $4::uuid[], $5::uuid[]) AS one (what, row_id, source_id)
ON CONFLICT (tenant_id, merge_id, what, row_id, source_id) DO NOTHING
"""


REFERRED: Final = """
SELECT i.row_id, i.source_id FROM crm.merge_item i WHERE i.tenant_id = $1 AND i.merge_id = $2 AND i.what = 'referred'
"""
# $2 customers, $3 event ids, $4 changes, $5 now, $6 to $9 who, $10 the merge, $11 the referrer that they must have.
TELL_REFERRED: Final = """
INSERT INTO crm.event (tenant_id, id, at, kind, subject_type, subject_id, actor_kind, actor_id, actor_name, request_id,
                       changes, data)
SELECT $1, one.event_id, $5::timestamptz, 'customer.updated', 'customer', one.id, $6::text, $7::uuid, $8::text,
       $9::text, one.changes::jsonb, $10::text::jsonb
FROM unnest($2::uuid[], $3::uuid[], $4::text[]) AS one (id, event_id, changes)
JOIN crm.customer c ON c.tenant_id = $1 AND c.id = one.id
    AND c.referrer_id = coalesce($11::uuid, (one.changes::jsonb #>> '{referrer,1}')::uuid)
ON CONFLICT (tenant_id, id) DO NOTHING
"""


async def preview(session: AsyncSession, actor: Actor, asked: MergeIn) -> MergePlanOut:
    """What the merge would do; changes nothing."""
    plan = await planning.make(session, actor, asked)
    names = {one.what: one for one in related.RELATED}
    moves = dict(plan.moves)
    if plan.points:
        moves["points"] = moves.get("points", 0) + len(plan.points)
    spoken = language.get() == "vi"
    return MergePlanOut(
        master=_suspect(plan.registry, plan.master),
        sources=[_suspect(plan.registry, row) for row in plan.sources],
        fields=[
            PlannedField(
                field=one.field.key, label=one.field.label, origin=one.origin, customer_id=one.customer_id,
                before=planning.shown(plan.registry, one.field, one.before),
                after=planning.shown(plan.registry, one.field, one.after),
            )
            for one in plan.changes
        ],
        moves=[
            PlannedMove(what=what, label=names[what].vi if spoken else names[what].en, count=count)
            for what, count in sorted(moves.items())
        ],
        versions=plan.versions,
        title=TITLE,
    )  # fmt: skip


async def merge(session: AsyncSession, actor: Actor, asked: MergeIn, *, batch_id: UUID | None = None) -> UUID:
    """Merges, and answers the merge's id: the way back.

    Raises:
        NotFound, Invalid, OtherKind, PreconditionRequired, Stale
        PhoneTaken, PhoneInContact, ValueTaken, Duplicate: a value that was chosen by hand is another customer's.
    """
    return await execute(session, actor, await planning.make(session, actor, asked, binding=True), batch_id)


async def execute(session: AsyncSession, actor: Actor, plan: Plan, batch_id: UUID | None = None) -> UUID:
    """Does what the plan says, whose customers this transaction has locked."""
    raw, tenant_id, merge_id, moment = await driver(session), actor.tenant_id, new_id(), now()
    master_id, sources = UUID(plan.master["id"]), plan.source_ids
    stated = {
        "before": {one.field.key: one.before for one in plan.changes},
        "written": {one.field.key: one.after for one in plan.changes},
    }
    await session.execute(
        insert(Merge).values(
            tenant_id=tenant_id, id=merge_id, master_id=master_id, source_ids=sources, sources=plan.action,
            batch_id=batch_id, moved={}, created_by=actor.id, created_by_name=actor.name, version=1,
            created_at=moment, updated_at=moment, **stated,
        )
    )  # fmt: skip
    if plan.action != "keep":
        reason = "merge" if plan.action == "delete" else "trash"
        await raw.execute(DELETE_SOURCES, tenant_id, sources, moment, deleter(actor), reason, master_id)
    moved = await related.move(raw, tenant_id, master_id, sources, merge_id, moment)
    try:
        row = await _write_master(session, actor, plan)
        lost = await claim_uniques(raw, tenant_id, plan.registry, [master_id, *sources])
        _refuse_lost(plan, lost)
        if plan.by_hand:
            await duplicate_keys.claim(session, actor, plan.registry.duplicate_keys, master_id, plan.by_hand)
    except (PhoneTaken, PhoneInContact, ValueTaken, Duplicate) as refused:
        _name_choice(refused)
        raise
    # As the database spells it, to be compared with what stands there when the merge is undone.
    written = {one.field.key: planning.state(one.field, row) for one in plan.changes}
    if added := await _add_points(session, actor, plan, merge_id):
        moved["points"] = moved.get("points", 0) + added
    await _keep(raw, tenant_id, merge_id, written, moved)
    await follow(session, actor, plan.registry, [master_id, *sources])
    if "referred" in moved:
        await tell_referred(session, actor, merge_id, master_id)
    await _tell(session, actor, plan, merge_id, batch_id, moved)
    return merge_id


async def write_columns(
    raw: asyncpg.Connection, tenant_id: UUID, customer_id: UUID, states: Sequence[Mapping[str, Any]]
) -> Row:
    """Writes the states of fields into a customer, and answers the row as JSON."""
    columns: dict[str, Any] = {}
    attributes: dict[str, Any] = {}
    for one in states:
        columns |= {column: value for column, value in one.items() if column != "attributes"}
        attributes |= one.get("attributes", {})
    given = "$4::text::jsonb"
    assignments = [
        f"{name} = ARRAY(SELECT jsonb_array_elements_text({given} -> '{name}'))::{TYPES[name]}"
        if TYPES[name].endswith("[]")
        else f"{name} = ({given} ->> '{name}')::{TYPES[name]}"
        for name in columns
    ]
    row: str = await raw.fetchval(
        f"""
        UPDATE crm.customer c SET {"".join(f"{one}, " for one in assignments)}
               attributes = (c.attributes - $5::text[]) || ($4::text::jsonb -> 'attributes'),
               version = c.version + 1, updated_at = $3::timestamptz
        WHERE c.tenant_id = $1 AND c.id = $2 RETURNING to_jsonb(c)::text
        """,
        tenant_id, customer_id, now(),
        _json({**columns, "attributes": {name: value for name, value in attributes.items() if value is not None}}),
        list(attributes),
    )  # fmt: skip
    decoded: Row = msgspec.json.decode(row)
    return decoded


async def claim_uniques(
    raw: asyncpg.Connection, tenant_id: UUID, registry: Registry, ids: Sequence[UUID]
) -> list[asyncpg.Record]:
    """Takes the values of unique attributes anew for these customers; the first of them has the first right. Answers
    the values that somebody else holds: (customer_id, key, value as JSON, taken_by)."""
    uniques = [one for one in registry.attributes if one.unique]
    await raw.execute(RELEASE, tenant_id, list(ids))
    if not uniques:
        return []
    args = tenant_id, list(ids), [one.attribute_id for one in uniques], [one.name for one in uniques]
    await raw.execute(CLAIM, *args)
    lost: list[asyncpg.Record] = await raw.fetch(LOST, *args)
    return lost


async def follow(session: AsyncSession, actor: Actor, registry: Registry, ids: Sequence[UUID]) -> None:
    """What follows from a customer's fields and facts: search words, duplicate keys, score."""
    raw = await driver(session)
    await write_words(raw, actor.tenant_id, ids)
    known = reasons.all_reasons(registry.duplicate_keys)
    more = reasons.through_contacts("c.id = ANY($2::uuid[])", "p.customer_id = ANY($2::uuid[])")
    statement = duplicate_keys.write_sql(known, "c.id = ANY($2::uuid[])", "d.customer_id = ANY($2::uuid[])", more)
    await raw.execute(statement, actor.tenant_id, list(ids))
    await scoring.recompute(session, actor, ids)


async def tell_referred(
    session: AsyncSession, actor: Actor, merge_id: UUID, master_id: UUID, *, back: bool = False
) -> None:
    """Tells the customers whom a source had referred that the master is their referrer now, or, `back`, no more."""
    raw, moment = await driver(session), now()
    rows = await raw.fetch(REFERRED, actor.tenant_id, merge_id)
    pairs = [(str(row["source_id"]), str(master_id)) for row in rows]
    changes = [_json({"referrer": pair[::-1] if back else pair}) for pair in pairs]
    await raw.execute(
        TELL_REFERRED, actor.tenant_id, [row["row_id"] for row in rows], [new_id() for _ in rows], changes, moment,
        actor.kind, actor.id, actor.name, request_id.get(), _json({"merge_id": merge_id}),
        master_id if not back else None,
    )  # fmt: skip


async def _write_master(session: AsyncSession, actor: Actor, plan: Plan) -> Row:
    """Writes the master's fields; a phone that was typed must be nobody's, as on a form."""
    raw, master_id = await driver(session), UUID(plan.master["id"])
    states = [one.after for one in plan.changes]
    phone = next((one.after["phone"] for one in plan.changes if one.field.key == "phone"), None)
    if phone and "phone" in plan.by_hand and plan.master["kind"] != "lead":
        await phones.lock(session, [phone])
        await phones.refuse_held(session, actor, [phone], master_id)
    try:
        async with session.begin_nested():
            # The savepoint is set when the session first uses its connection; the bare driver does not count.
            await session.connection()
            return await write_columns(raw, actor.tenant_id, master_id, states)
    except asyncpg.UniqueViolationError as error:
        if constraint(error) != "customer_phone_uq":
            raise
        raise await phone_taken(session, actor, str(phone)) from error


def _refuse_lost(plan: Plan, lost: Sequence[asyncpg.Record]) -> None:
    """Refuses a value of a unique attribute that was typed and that somebody else keeps.

    Raises:
        ValueTaken
    """
    taken = {row["key"] for row in lost}
    for one in plan.changes:
        if one.field.key in plan.by_hand and one.field.is_attribute and one.field.name in taken:
            error = ValueTaken(label=one.field.label, extra={"field": one.field.key})
            error.errors = [error.on(one.field.key)]
            raise error


def _name_choice(refused: AppError) -> None:
    """Lets a refusal name the field where this request has it."""
    refused.extra["field"] = f"choose.{refused.extra['field']}"
    refused.errors = [one.model_copy(update={"field": f"choose.{one.field}"}) for one in refused.errors]


async def _add_points(session: AsyncSession, actor: Actor, plan: Plan, merge_id: UUID) -> int:
    """Gives the master what the sources' own fields held beside its own; how many. A person's further phone is a
    contact of its own (B018)."""
    if not plan.points:
        return 0
    raw, master_id, moment = await driver(session), UUID(plan.master["id"]), now()
    await phones.lock(session, [one.value for one in plan.points if one.kind == "phone"])
    contacts = {one: new_id() for one in plan.points if one.kind == "phone" and plan.master["kind"] != "company"}
    ids = [new_id() for _ in plan.points]
    names = [one.source["name"] for one in contacts]
    await raw.execute(ADD_CONTACTS, actor.tenant_id, master_id, list(contacts.values()), names, actor.id, moment)
    rows = await raw.fetch(
        ADD_POINTS, actor.tenant_id, master_id, ids, [contacts.get(one) for one in plan.points],
        [one.kind for one in plan.points], [one.value for one in plan.points], [one.typed for one in plan.points],
        [phone_tail(one.value) if one.kind == "phone" else None for one in plan.points], moment,
    )  # fmt: skip
    added = {row["id"] for row in rows}
    items = [("added_points", one_id, UUID(one.source["id"])) for one_id, one in zip(ids, plan.points, strict=True)
             if one_id in added]  # fmt: skip
    items += [("added_contacts", contact_id, UUID(one.source["id"])) for one, contact_id in contacts.items()]
    await raw.execute(NOTE_ITEMS, actor.tenant_id, merge_id, *map(list, zip(*items, strict=True)))
    return len(added)


async def _keep(
    raw: asyncpg.Connection, tenant_id: UUID, merge_id: UUID, written: Mapping[str, Any], moved: Mapping[str, int]
) -> None:
    await raw.execute(
        "UPDATE crm.customer_merge SET written = $3::text::jsonb, moved = $4::text::jsonb "
        "WHERE tenant_id = $1 AND id = $2",
        tenant_id, merge_id, _json(written), _json(moved),
    )  # fmt: skip


async def _tell(
    session: AsyncSession, actor: Actor, plan: Plan, merge_id: UUID, batch_id: UUID | None, moved: Mapping[str, int]
) -> None:
    changes = {one.field.key: _shown_pair(plan.registry, one) for one in plan.changes}
    named = [{"id": row["id"], "code": row["code"], "name": row["name"]} for row in plan.sources]
    data = {"merge_id": merge_id, "sources": named, "moved": moved}
    master_id = UUID(plan.master["id"])
    await record(session, actor, "customer.merged", master_id, changes=changes, data=data, batch_id=batch_id)
    into = {"id": plan.master["id"], "code": plan.master["code"], "name": plan.master["name"]}
    for source_id in plan.source_ids:
        data = {"merge_id": merge_id, "into": into, "sources": plan.action}
        await record(session, actor, "customer.merged_away", source_id, data=data, batch_id=batch_id)


def _shown_pair(registry: Registry, one: Change) -> tuple[Any, Any]:
    return planning.shown(registry, one.field, one.before), planning.shown(registry, one.field, one.after)


def _suspect(registry: Registry, row: Row) -> SuspectOut:
    owner_id = UUID(row["owner_id"]) if row["owner_id"] else None
    return SuspectOut(
        id=UUID(row["id"]), code=row["code"], name=row["name"], kind=row["kind"], phone=row["phone"],
        email=row["email"], owner_id=owner_id, owner_name=registry.names.get(owner_id) if owner_id else None,
        created_at=row["created_at"], version=row["version"],
    )  # fmt: skip


def _json(value: Any) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode()
