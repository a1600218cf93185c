"""Tags of customers (nhãn)."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import counters, jobs
from app.core.actor import Actor
from app.core.clock import new_id, now
from app.core.db import on_conflict, tenant_of
from app.core.errors import NotFound
from app.core.events import record
from app.core.paging import Pager
from app.core.vietnam import text as vn
from app.customers import configuring
from app.customers import registry as registries
from app.customers.config_schemas import TagOut, TagPage
from app.customers.configuring import name_key, on_field
from app.customers.errors import NameTaken
from app.customers.models import Customer, Tag, TagMember
from app.customers.registry import Registry

__all__ = ["COLORS", "FORGET", "create", "delete", "forget", "get", "make_missing", "page", "update"]

FORGET = "customers.forget_tag"
AT_ONCE = 5_000
MAX_NAME = 100
# A tag that is given no colour takes the next of these.
COLORS = ("#2563eb", "#16a34a", "#d97706", "#dc2626", "#7c3aed", "#0891b2", "#db2777", "#65a30d", "#475569")


async def page(
    session: AsyncSession, actor: Actor, *, q: str | None, limit: int, cursor: str | None, secret: bytes
) -> TagPage:
    """A page of tags by name, with how many live customers each has; `q` is any part of the name, accents or none."""
    wanted = vn.fold(q or "")
    pager = Pager(secret, actor.tenant_id, "tags", wanted)
    position = pager.position(cursor)
    registry = await registries.load(session)
    keyed = ((vn.fold(name), name, tag.id) for name, tag in registry.tags.items())
    found = sorted(key for key in keyed if wanted in key[0])
    after = [key for key in found if position is None or (key[0], key[1]) > (position[0], position[1])]
    rows = await _read(session, [key[2] for key in after[:limit]])
    more = len(after) > limit
    return TagPage(items=rows, next_cursor=pager.cursor(after[limit - 1][:2]) if more else None, count=len(found))


async def get(session: AsyncSession, tag_id: UUID) -> TagOut:
    """A tag and how many customers have it.

    Raises:
        NotFound
    """
    rows = await _read(session, [tag_id])
    if not rows:
        raise NotFound()
    return rows[0]


async def create(session: AsyncSession, actor: Actor, *, name: str, color: str | None = None) -> TagOut:
    """Adds a tag.

    Raises:
        NameTaken: there is a tag of this name, whatever its case.
    """
    await configuring.lock(session)
    made = await _insert(session, actor, name, color)
    if made is None:
        raise _name_taken()
    return await get(session, made)


async def make_missing(session: AsyncSession, actor: Actor, registry: Registry, given: Mapping[str, Any]) -> Registry:
    """Adds the tags that a form names and the workspace does not have, and answers the registry that knows them.

    For a caller who may not create tags nothing happens here: the form's own check then refuses the name.
    """
    names = [vn.clean(name) for name in given.get("tags") or () if isinstance(name, str)]
    known = registry.fields["tags"]
    missing = {name_key(name): name for name in names if 0 < len(name) <= MAX_NAME and known.chosen(name) is None}
    if not missing or not actor.may("tags.create"):
        return registry
    await configuring.lock(session)
    for name in missing.values():
        # Somebody may have added it meanwhile: then it is there, which is all that is wanted.
        await _insert(session, actor, name, None)
    return await registries.load(session)


async def update(session: AsyncSession, actor: Actor, tag_id: UUID, given: dict[str, Any], *, version: int) -> TagOut:
    """Changes a tag's name or colour.

    Raises:
        NotFound, Stale, NameTaken
    """
    await configuring.lock(session)
    row = await configuring.locked(session, Tag, tag_id, version)
    with on_conflict({"tag_name_uq": _name_taken}):
        await configuring.save(session, actor, "tag.updated", row, given)
    return await get(session, tag_id)


async def delete(session: AsyncSession, actor: Actor, tag_id: UUID, *, version: int) -> None:
    """Deletes a tag and takes it off everybody. Where very many have it, the numbers in the customers go in a job
    (FORGET): a number is never given again, so that until then it means nothing.

    Raises:
        NotFound, Stale
    """
    await configuring.lock(session)
    row = await configuring.locked(session, Tag, tag_id, version)
    size = await session.scalar(
        select(func.count())
        .select_from(TagMember)
        .where(TagMember.tenant_id == actor.tenant_id, TagMember.tag_id == tag_id)
    )
    if size and size > AT_ONCE:
        await jobs.enqueue(
            session, actor, FORGET, queue="bulk", args={"no": row.no}, subject_id=tag_id, stoppable=False
        )
    elif size:
        await session.execute(
            text("""
            UPDATE crm.customer SET tag_nos = array_remove(tag_nos, :no)
            WHERE tenant_id = :tenant_id AND id IN (
                SELECT m.customer_id FROM crm.tag_member m WHERE m.tenant_id = :tenant_id AND m.tag_id = :tag_id)
            """),
            {"tenant_id": actor.tenant_id, "no": row.no, "tag_id": tag_id},
        )
    await session.delete(row)
    await session.flush()
    await record(session, actor, "tag.deleted", tag_id, data={"name": row.name, "size": size})


async def forget(session: AsyncSession, no: int, after: UUID, last: UUID) -> None:
    """Takes the number of a tag that is no more out of the customers with after < id <= last."""
    await session.execute(
        text("""
        UPDATE crm.customer SET tag_nos = array_remove(tag_nos, :no)
        WHERE tenant_id = :tenant_id AND id > :after AND id <= :last AND tag_nos <> '{}' AND :no = ANY(tag_nos)
        """),
        {"tenant_id": tenant_of(session), "no": no, "after": after, "last": last},
    )


async def _insert(session: AsyncSession, actor: Actor, name: str, color: str | None) -> UUID | None:
    """The new tag's id; None where the name is taken."""
    moment, no = now(), await counters.take(session, "tag")
    made: UUID | None = await session.scalar(
        upsert(Tag)
        .values(
            tenant_id=tenant_of(session), id=new_id(), no=no, name=name, name_key=name_key(name),
            color=color or COLORS[no % len(COLORS)], version=1, created_at=moment, updated_at=moment,
        )
        .on_conflict_do_nothing(index_elements=["tenant_id", "name_key"])
        .returning(Tag.id)
    )  # fmt: skip
    if made is not None:
        await record(session, actor, "tag.created", made, data={"name": name})
    return made


async def _read(session: AsyncSession, ids: Sequence[UUID]) -> list[TagOut]:
    """The tags of these ids in their order, with their sizes."""
    found = select(Tag).where(Tag.id.in_(ids)).execution_options(populate_existing=True)
    rows = {row.id: row for row in await session.scalars(found)}
    sizes = await _sizes(session, ids)
    return [
        TagOut(
            id=row.id, name=row.name, color=row.color, size=sizes.get(row.id, 0), created_at=row.created_at,
            updated_at=row.updated_at, version=row.version,
        )
        for row in (rows[one] for one in ids if one in rows)
    ]  # fmt: skip


async def _sizes(session: AsyncSession, ids: Sequence[UUID]) -> dict[UUID, int]:
    """How many live customers have each tag: all its members, without those in the trash, who are few."""
    members = select(TagMember.tag_id, func.count()).where(
        TagMember.tenant_id == tenant_of(session), TagMember.tag_id.in_(ids)
    )
    trashed = members.join(
        Customer, (Customer.tenant_id == TagMember.tenant_id) & (Customer.id == TagMember.customer_id)
    ).where(Customer.deleted_at.is_not(None))
    sizes: dict[UUID, int] = {row[0]: row[1] for row in await session.execute(members.group_by(TagMember.tag_id))}
    for tag_id, count in await session.execute(trashed.group_by(TagMember.tag_id)):
        sizes[tag_id] -= count
    return sizes


def _name_taken() -> NameTaken:
    return on_field(NameTaken(), "name")
