"""Takes a merge back: the sources are customers again, and the master keeps what was changed of it since."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.clock import now
from app.core.db import constraint, driver, tenant_of
from app.core.errors import NotFound
from app.core.events import record
from app.core.paging import Pager
from app.customers import phones
from app.customers import registry as registries
from app.customers.changing import Overtaken
from app.customers.registry import Registry
from app.customers.words import phone_tail
from app.duplicates import advancing, planning, related
from app.duplicates.errors import MergeNotUndoable, MergeUndone
from app.duplicates.merging import claim_uniques, follow, tell_referred, write_columns
from app.duplicates.models import FILLED, PERSON, Merge
from app.duplicates.planning import Row
from app.duplicates.schemas import LeftOut, MergeOut, MergePage

__all__ = ["get", "just_made", "page", "undo"]

TAKE_POINTS: Final = """
DELETE FROM crm.contact_point p USING crm.merge_item i
WHERE i.tenant_id = $1 AND i.merge_id = $2 AND i.what = 'added_points' AND p.tenant_id = $1 AND p.id = i.row_id
"""
# A contact that was made for a phone goes with it, unless somebody has made more of it since: later merges that took it
# along, and their undoing, have raised its version by one each; so have those that filled it in and were undone. $3 is
# when this merge was made.
TAKE_CONTACTS: Final = """
DELETE FROM crm.contact t USING crm.merge_item i
WHERE i.tenant_id = $1 AND i.merge_id = $2 AND i.what = 'added_contacts' AND t.tenant_id = $1 AND t.id = i.row_id
  AND t.version = 1 + (
      SELECT count(*) + count(m.undone_at) FROM crm.customer_merge m
      JOIN crm.merge_item took ON took.tenant_id = $1 AND took.merge_id = m.id AND took.row_id = t.id
        AND (took.what = 'contacts' OR took.what = 'filled_contacts' AND m.undone_at IS NOT NULL)
      WHERE m.tenant_id = $1 AND m.created_at >= $3 AND m.id <> $2)
  AND NOT EXISTS (SELECT FROM crm.contact_point p WHERE p.tenant_id = $1 AND p.contact_id = t.id)
"""
# Contacts that a lead's data had filled are what they were, but for what was edited since. $3 is now.
EMPTY_CONTACTS: Final = f"""
UPDATE crm.contact t SET {{columns}}, version = t.version + 1, updated_at = $3::timestamptz
FROM crm.merge_item i
WHERE i.tenant_id = $1 AND i.merge_id = $2 AND i.what = '{FILLED}' AND t.tenant_id = $1 AND t.id = i.row_id
RETURNING i.before AS image, to_jsonb(t) AS row
"""
FORGET_IMAGES: Final = f"""
UPDATE crm.merge_item SET before = NULL WHERE tenant_id = $1 AND merge_id = $2 AND what = '{FILLED}'
"""
# $3 now, $4 those whose phone is another's by now.
RESTORE: Final = """
UPDATE crm.customer c SET deleted_at = NULL, deleted_by = NULL, deleted_reason = NULL, merged_into = NULL,
       phone = CASE WHEN c.id = ANY($4::uuid[]) THEN NULL ELSE c.phone END,
       version = c.version + 1, updated_at = $3::timestamptz
WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[]) AND c.merged_into IS NOT NULL
"""
# $2 customers, $3 the phone of each, $4 its digits backwards unless a contact may have it too (a lead's). Answers whose
# phone is another's, and who that is if it is its own.
TAKEN: Final = f"""
SELECT one.id, o.id AS taken_by FROM unnest($2::uuid[], $3::text[], $4::text[]) AS one (id, phone, tail)
LEFT JOIN crm.customer o ON o.tenant_id = $1 AND o.phone = one.phone AND o.deleted_at IS NULL AND o.id <> one.id
WHERE o.id IS NOT NULL OR one.tail IS NOT NULL AND {phones.HELD.format(tail="one.tail", own="one.id")}
"""
ATTEMPTS: Final = 3


async def get(session: AsyncSession, actor: Actor, merge_id: UUID) -> MergeOut:
    """A merge of customers whom the caller may see.

    Raises:
        NotFound
    """
    row = await session.scalar(select(Merge).where(Merge.id == merge_id))
    if row is None or row.master_id not in await _seen(session, actor, [row]):
        raise NotFound()
    return _out(row)


async def just_made(session: AsyncSession, merge_id: UUID) -> MergeOut:
    """A merge of this transaction, also for a caller who may not see the master any more: it has another owner now."""
    return _out(await session.get_one(Merge, (tenant_of(session), merge_id)))


async def page(
    session: AsyncSession,
    actor: Actor,
    *,
    customer_id: UUID | None,
    batch_id: UUID | None,
    limit: int,
    cursor: str | None,
    secret: bytes,
) -> MergePage:
    """A page of merges, the newest first; only those whose master the caller may see."""
    pager = Pager(secret, actor.tenant_id, actor.id, "merges", customer_id, batch_id)
    position = pager.position(cursor)
    query = select(Merge).order_by(Merge.id.desc()).limit(limit + 1)
    if customer_id is not None:
        query = query.where(Merge.master_id == customer_id)
    if batch_id is not None:
        query = query.where(Merge.batch_id == batch_id)
    if position:
        query = query.where(Merge.id < UUID(position[0]))
    rows = list(await session.scalars(query))
    seen = await _seen(session, actor, rows)
    shown = rows[:limit]
    return MergePage(
        items=[_out(row) for row in shown if row.master_id in seen],
        next_cursor=pager.cursor([str(shown[-1].id)]) if len(rows) > limit else None,
    )


async def undo(session: AsyncSession, actor: Actor, merge_id: UUID) -> MergeOut:
    """Restores the sources. Fields of the master that still are what the merge wrote get back what they were; what
    was edited since stays, what another customer has by now is not taken from it, and both are told in `left`.

    Raises:
        NotFound, MergeUndone
        MergeNotUndoable: one of the customers is gone, or was merged further.
        Overtaken: somebody took a phone in this very moment, again and again.
    """
    made = await session.scalar(select(Merge).where(Merge.id == merge_id).with_for_update())
    if made is None or made.master_id not in await _seen(session, actor, [made]):
        raise NotFound()
    if made.undone_at is not None:
        raise MergeUndone()
    involved = [made.master_id, *made.source_ids]
    rows = await planning.load(session, actor, involved, lock=True, deleted=True)
    _check(made, rows)
    registry = await registries.load(session)
    left = await _restore(session, registry, made, rows)
    if "referred" in made.moved:
        await tell_referred(session, actor, merge_id, made.master_id, back=True)
    await follow(session, actor, registry, involved)
    # Not as JSON, which is what a reply says: who may not see phones must not mask what is kept.
    made.undo = {"left": [msgspec.to_builtins(one.model_dump()) for one in left]}
    made.undone_at = made.updated_at = now()
    made.version += 1
    await session.flush()
    await _tell(session, actor, registry, made, rows)
    return _out(made)


def _check(made: Merge, rows: Mapping[UUID, Row]) -> None:
    for one in (made.master_id, *made.source_ids):
        row = rows.get(one)
        # Who lives was not merged further, whatever was before somebody took them out of the trash.
        if row is None or (row["deleted_at"] and (one == made.master_id or _elsewhere(row, made))):
            raise MergeNotUndoable(extra={"customer_id": str(one)})


def _elsewhere(row: Row, made: Merge) -> bool:
    return row["merged_into"] not in (None, str(made.master_id))


async def _restore(session: AsyncSession, registry: Registry, made: Merge, rows: Mapping[UUID, Row]) -> list[LeftOut]:
    """Makes all of them what they were, in a savepoint: again when somebody who was quicker has a phone by now. Who
    adds a customer takes no lock; the unique index decides."""
    for _ in range(ATTEMPTS):
        try:
            async with session.begin_nested():
                # The savepoint is set when the session first uses its connection; the bare driver does not count.
                await session.connection()
                left = await _restore_master(session, registry, made, rows)
                left += await _take_back(session, made)
                await _keep_stage(session, registry, made, rows)
                left += await _restore_sources(session, made, rows)
                return left + await _restore_uniques(session, registry, made)
        except asyncpg.UniqueViolationError as error:
            if constraint(error) != "customer_phone_uq":
                raise
    raise Overtaken()


async def _take_back(session: AsyncSession, made: Merge) -> list[LeftOut]:
    """Takes what the merge had added, and gives the related records back."""
    raw = await driver(session)
    left = await _empty_contacts(raw, made)
    await raw.execute(TAKE_POINTS, made.tenant_id, made.id)
    await raw.execute(TAKE_CONTACTS, made.tenant_id, made.id, made.created_at)
    gone = await related.give_back(raw, made.tenant_id, made.master_id, made.id, now(), made.created_at)
    return left + [LeftOut(customer_id=made.master_id, field=what, code="gone", before=n) for what, n in gone.items()]


async def _empty_contacts(raw: asyncpg.Connection, made: Merge) -> list[LeftOut]:
    """Takes from contacts what a lead had filled in, and forgets it."""
    back = ", ".join(
        f"{name} = CASE WHEN to_jsonb(t.{name}) = i.before -> 'written' -> '{name}' "
        f"THEN (i.before -> 'before' ->> '{name}')::{type_} ELSE t.{name} END"
        for name, type_ in PERSON.items()
    )
    left = list[LeftOut]()
    for found in await raw.fetch(EMPTY_CONTACTS.format(columns=back), made.tenant_id, made.id, now()):
        before, row = found["image"]["before"], found["row"]
        left += [
            LeftOut(customer_id=made.master_id, field=f"contacts.{name}", code="edited", before=was, now=row[name])
            for name, was in before.items()
            if row[name] != was
        ]
    await raw.execute(FORGET_IMAGES, made.tenant_id, made.id)
    return left


async def _restore_master(
    session: AsyncSession, registry: Registry, made: Merge, rows: Mapping[UUID, Row]
) -> list[LeftOut]:
    """Writes back the fields that nobody has edited since."""
    left, states = list[LeftOut](), list[dict[str, Any]]()
    raw, master = await driver(session), rows[made.master_id]
    for key, written in made.written.items():
        found = registry.fields.get(key)
        if found is None:
            # The workspace deleted the attribute since: nobody sees what it holds.
            continue
        before, current = made.before[key], planning.state(found, master)
        if current != written:
            left.append(
                LeftOut(
                    customer_id=made.master_id, field=key, code="edited",
                    before=planning.shown(registry, found, before), now=planning.shown(registry, found, current),
                )
            )  # fmt: skip
            continue
        if key == "phone" and (taken := await _taken_phones(session, [{**master, **before}])):
            left += taken
            before = dict.fromkeys(before)
        states.append(before)
    await write_columns(raw, made.tenant_id, made.master_id, states)
    return left


async def _keep_stage(session: AsyncSession, registry: Registry, made: Merge, rows: Mapping[UUID, Row]) -> None:
    """Moves the master on from the stage that it got back, by what happened with itself since."""
    found = registry.fields[planning.STAGE]
    if made.written.get(found.key) != planning.state(found, rows[made.master_id]):
        return
    back = planning.stored(found.key, made.before[found.key])
    stage = UUID(back) if back else None
    to = await advancing.by_what_stays(session, stage, made.master_id, made.created_at)
    if to != stage:
        raw = await driver(session)
        await write_columns(raw, made.tenant_id, made.master_id, [{str(found.column): str(to)}])


async def _restore_sources(session: AsyncSession, made: Merge, rows: Mapping[UUID, Row]) -> list[LeftOut]:
    """Makes the sources customers again; a phone that somebody has by now is told and not taken away."""
    # A source that somebody took out of the trash, or that was kept, has its phone.
    back = [one for one in made.source_ids if rows[one]["merged_into"] and rows[one]["deleted_at"]]
    left = await _taken_phones(session, [rows[one] for one in back])
    lost = [line.customer_id for line in left]
    await (await driver(session)).execute(RESTORE, made.tenant_id, back, now(), lost)
    return left


async def _taken_phones(session: AsyncSession, wanted: Sequence[Row]) -> list[LeftOut]:
    """Whose phone is another's by now, or a contact's of another; nobody gives it to a contact from now on."""
    given = [row for row in wanted if row["phone"]]
    await phones.lock(session, [row["phone"] for row in given])
    found = await (await driver(session)).fetch(
        TAKEN, tenant_of(session), [UUID(row["id"]) for row in given], [row["phone"] for row in given],
        [None if row["kind"] == "lead" else phone_tail(row["phone"]) for row in given],
    )  # fmt: skip
    by_id = {UUID(row["id"]): row["phone"] for row in given}
    return [_taken(row["id"], "phone", by_id[row["id"]], row["taken_by"]) for row in found]


async def _restore_uniques(session: AsyncSession, registry: Registry, made: Merge) -> list[LeftOut]:
    raw, left = await driver(session), list[LeftOut]()
    by_name = {one.name: one for one in registry.attributes if one.unique}
    for row in await claim_uniques(raw, made.tenant_id, registry, [made.master_id, *made.source_ids]):
        found = by_name[row["key"]]
        state = {"attributes": {found.name: None}} | ({found.slot: None} if found.slot else {})
        await write_columns(raw, made.tenant_id, row["customer_id"], [state])
        left.append(_taken(row["customer_id"], found.key, msgspec.json.decode(row["value"]), row["taken_by"]))
    return left


def _taken(customer_id: UUID, field: str, value: Any, taken_by: UUID | None) -> LeftOut:
    return LeftOut(customer_id=customer_id, field=field, code="taken", before=value, taken_by=taken_by)


async def _seen(session: AsyncSession, actor: Actor, rows: Sequence[Merge]) -> set[UUID]:
    return set(await planning.load(session, actor, [row.master_id for row in rows], deleted=True))


async def _tell(session: AsyncSession, actor: Actor, registry: Registry, made: Merge, rows: Mapping[UUID, Row]) -> None:
    # It may have got back an owner whose customers the caller cannot see.
    after = await planning.load(session, actor, [made.master_id], unseen=True)
    changes = {}
    for key in made.written:
        if (found := registry.fields.get(key)) is not None:
            was, is_ = (planning.shown(registry, found, planning.state(found, row))
                        for row in (rows[made.master_id], after[made.master_id]))  # fmt: skip
            if was != is_:
                changes[key] = (was, is_)
    data = {"merge_id": made.id, "sources": made.source_ids, "left": (made.undo or {})["left"]}
    await record(session, actor, "customer.unmerged", made.master_id, changes=changes, data=data)
    for one in made.source_ids:
        await record(session, actor, "customer.restored", one, data={"merge_id": made.id, "from": made.master_id})


def _out(row: Merge) -> MergeOut:
    fields = {
        key: [planning.stored(key, one) for one in (row.before[key], after)] for key, after in row.written.items()
    }
    return MergeOut.model_validate(
        {
            "id": row.id, "state": "done" if row.undone_at is None else "undone", "master_id": row.master_id,
            "source_ids": row.source_ids, "sources": row.sources, "fields": fields, "moved": row.moved,
            "left": (row.undo or {}).get("left", []), "batch_id": row.batch_id, "created_at": row.created_at,
            "created_by": row.created_by, "created_by_name": row.created_by_name, "undone_at": row.undone_at,
            "version": row.version,
        }
    )  # fmt: skip
