"""Takes a merge back: the sources are customers again, and the master keeps what was changed of it since."""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.clock import now
from app.core.db import driver
from app.core.errors import NotFound
from app.core.events import record
from app.core.paging import Pager
from app.customers import phones
from app.customers import registry as registries
from app.customers.registry import Registry
from app.duplicates import planning, related
from app.duplicates.errors import MergeNotUndoable, MergeUndone
from app.duplicates.merging import claim_uniques, follow, tell_referred, write_columns
from app.duplicates.models import Merge
from app.duplicates.planning import Row
from app.duplicates.schemas import LeftOut, MergeOut, MergePage

__all__ = ["get", "page", "undo"]

TAKE_POINTS: Final = """
DELETE FROM crm.contact_point p USING crm.merge_item i
WHERE i.tenant_id = $1 AND i.merge_id = $2 AND i.what = 'added_points' AND p.tenant_id = $1 AND p.id = i.row_id
"""
# A contact that was made for a phone goes with it, unless somebody has made more of it since.
TAKE_CONTACTS: Final = """
DELETE FROM crm.contact t USING crm.merge_item i
WHERE i.tenant_id = $1 AND i.merge_id = $2 AND i.what = 'added_contacts' AND t.tenant_id = $1 AND t.id = i.row_id
  AND t.version = 1
  AND NOT EXISTS (SELECT FROM crm.contact_point p WHERE p.tenant_id = $1 AND p.contact_id = t.id)
"""
# $3 now, $4 those whose phone is another's by now.
RESTORE: Final = """
UPDATE crm.customer c SET deleted_at = NULL, deleted_by = NULL, deleted_reason = NULL, merged_into = NULL,
       phone = CASE WHEN c.id = ANY($4::uuid[]) THEN NULL ELSE c.phone END,
       version = c.version + 1, updated_at = $3::timestamptz
WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[]) AND c.merged_into IS NOT NULL
"""
# $2 these customers, $3 the unique attributes, $4 their keys.
LOST_VALUES: Final = """
SELECT c.id AS customer_id, a.key, (c.attributes -> a.key)::text AS value, u.customer_id AS taken_by
FROM crm.customer c CROSS JOIN unnest($3::uuid[], $4::text[]) AS a (id, key)
LEFT JOIN crm.unique_value u ON u.tenant_id = $1 AND u.attribute_id = a.id AND u.value = c.attributes ->> a.key
WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[]) AND c.deleted_at IS NULL AND c.attributes ->> a.key IS NOT NULL
  AND u.customer_id IS DISTINCT FROM c.id
"""
PHONE_OF: Final = """
SELECT c.id FROM crm.customer c
WHERE c.tenant_id = $1 AND c.phone = $2 AND c.deleted_at IS NULL AND c.id <> ALL($3::uuid[])
"""


async def get(session: AsyncSession, actor: Actor, merge_id: UUID) -> MergeOut:
    """A merge of customers whom the caller may see.

    Raises:
        NotFound
    """
    row = await session.scalar(select(Merge).where(Merge.id == merge_id))
    if row is None or row.master_id not in await _seen(session, actor, [row]):
        raise NotFound()
    return _out(row)


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
    """
    made = await session.scalar(select(Merge).where(Merge.id == merge_id).with_for_update())
    if made is None or made.master_id not in await _seen(session, actor, [made]):
        raise NotFound()
    if made.undone_at is not None:
        raise MergeUndone()
    involved = [made.master_id, *made.source_ids]
    rows = await planning.load(session, actor, involved, lock=True, deleted=True)
    _check(made, rows)
    registry, raw, moment = await registries.load(session), await driver(session), now()
    left = await _restore_master(session, registry, made, rows)
    await raw.execute(TAKE_POINTS, actor.tenant_id, merge_id)
    await raw.execute(TAKE_CONTACTS, actor.tenant_id, merge_id)
    gone = await related.give_back(raw, actor.tenant_id, made.master_id, merge_id, moment, made.created_at)
    if "referred" in made.moved:
        await tell_referred(session, actor, merge_id, made.master_id, back=True)
    left += [LeftOut(customer_id=made.master_id, field=what, code="gone", before=n) for what, n in gone.items()]
    left += await _restore_sources(session, actor, made, rows)
    left += await _restore_uniques(session, registry, made)
    await follow(session, actor, registry, involved)
    made.undo = {"left": [one.model_dump(mode="json") for one in left]}
    made.undone_at, made.updated_at, made.version = moment, moment, made.version + 1
    await session.flush()
    await _tell(session, actor, registry, made, rows)
    return _out(made)


def _check(made: Merge, rows: Mapping[UUID, Row]) -> None:
    for one in (made.master_id, *made.source_ids):
        row = rows.get(one)
        alone = row is not None and (row["deleted_at"] is None or one != made.master_id)
        if row is None or not alone or row["merged_into"] not in (None, str(made.master_id)):
            raise MergeNotUndoable(extra={"customer_id": str(one)})


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
        if key == "phone" and before["phone"]:
            taken_by = await raw.fetchval(PHONE_OF, made.tenant_id, before["phone"], [made.master_id])
            if taken_by is not None:
                left.append(_taken(made.master_id, "phone", before["phone"], taken_by))
                before = {"phone": None, "phone_typed": None}
        states.append(before)
    await write_columns(raw, made.tenant_id, made.master_id, states)
    return left


async def _restore_sources(session: AsyncSession, actor: Actor, made: Merge, rows: Mapping[UUID, Row]) -> list[LeftOut]:
    """Makes the sources customers again; a phone that somebody has by now is told and not taken away."""
    raw, left = await driver(session), list[LeftOut]()
    # A source that somebody took out of the trash, or that was kept, has its phone.
    back = [one for one in made.source_ids if rows[one]["merged_into"] and rows[one]["deleted_at"]]
    await phones.lock(session, [rows[one]["phone"] for one in back if rows[one]["phone"]])
    for one in back:
        phone = rows[one]["phone"]
        if not phone:
            continue
        taken_by = await raw.fetchval(PHONE_OF, made.tenant_id, phone, [one])
        if taken_by is not None or await phones.held(session, actor, [phone], one) is not None:
            left.append(_taken(one, "phone", phone, taken_by))
    lost = [line.customer_id for line in left]
    await raw.execute(RESTORE, made.tenant_id, back, now(), lost)
    return left


async def _restore_uniques(session: AsyncSession, registry: Registry, made: Merge) -> list[LeftOut]:
    raw, involved = await driver(session), [made.master_id, *made.source_ids]
    await claim_uniques(raw, made.tenant_id, registry, involved)
    uniques = [one for one in registry.attributes if one.unique]
    if not uniques:
        return []
    rows = await raw.fetch(
        LOST_VALUES, made.tenant_id, involved, [one.attribute_id for one in uniques], [one.name for one in uniques]
    )
    left = []
    by_name = {one.name: one for one in uniques}
    for row in rows:
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
    after = await planning.load(session, actor, [made.master_id])
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
    fields = {}
    for key, after in row.written.items():
        before = row.before[key]
        column = next(iter(after))
        pair = (before[column], after[column])
        fields[key] = [next(iter(one.values())) if column == "attributes" else one for one in pair]
    return MergeOut.model_validate(
        {
            "id": row.id, "state": "done" if row.undone_at is None else "undone", "master_id": row.master_id,
            "source_ids": row.source_ids, "sources": row.sources, "fields": fields, "moved": row.moved,
            "left": (row.undo or {}).get("left", []), "batch_id": row.batch_id, "created_at": row.created_at,
            "created_by": row.created_by, "created_by_name": row.created_by_name, "undone_at": row.undone_at,
            "version": row.version,
        }
    )  # fmt: skip
