"""Groups of customers (nhóm khách hàng), and who is in them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import counters, jobs
from app.core.actor import Actor
from app.core.clock import new_id, now
from app.core.db import driver, on_conflict, tenant_of
from app.core.errors import NotFound, invalid
from app.core.events import record, request_id
from app.core.paging import Pager
from app.core.vietnam import text as vn
from app.customers import configuring, scoring
from app.customers import registry as registries
from app.customers.config_schemas import MembersOut
from app.customers.configuring import name_key, on_field
from app.customers.errors import GroupDescriptionMissing, GroupNameMissing, GroupNameTaken
from app.customers.models import Customer, CustomerGroup, GroupMember
from app.customers.schemas import GroupOut, GroupPage
from app.customers.visibility import visible
from app.filters.search import Sql
from app.identity.parameters import parameters

__all__ = [
    "FORGET", "add_group", "add_members", "create_group", "delete_group", "forget", "get", "page", "remove_members",
    "update_group",
]  # fmt: skip

FORGET = "customers.forget_group"
AT_ONCE = 5_000
MAX_NAME = 255

# $1 tenant, $2 customers, $3 as many event ids, $4 group, $5 its number, $6 now, $7 to $10 who, $11 what changed.
MEMBERS = """
WITH given AS (SELECT * FROM unnest($2::uuid[], $3::uuid[]) AS given (id, event_id)),
seen AS (
    SELECT c.id FROM crm.customer c
    WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[]) AND c.deleted_at IS NULL AND ({visible})
    ORDER BY c.id FOR UPDATE
),
member AS ({member}),
touched AS (
    UPDATE crm.customer c SET group_nos = {numbers}, version = c.version + 1, updated_at = $6::timestamptz
    FROM member WHERE c.tenant_id = $1 AND c.id = member.customer_id
    RETURNING c.id
),
told AS (
    INSERT INTO crm.event (tenant_id, id, at, kind, subject_type, subject_id, actor_kind, actor_id, actor_name,
                           request_id, changes, data)
    SELECT $1, given.event_id, $6::timestamptz, '{kind}', 'customer', touched.id, $7::text, $8::uuid, $9::text,
           $10::text, $11::text::jsonb, '{{}}'::jsonb
    FROM touched JOIN given ON given.id = touched.id
    RETURNING subject_id
)
SELECT seen.id, told.subject_id IS NOT NULL AS changed FROM seen LEFT JOIN told ON told.subject_id = seen.id
"""
JOIN = """
    INSERT INTO crm.group_member (tenant_id, group_id, customer_id, added_at)
    SELECT $1, $4::uuid, seen.id, $6::timestamptz FROM seen
    ON CONFLICT (tenant_id, group_id, customer_id) DO NOTHING RETURNING customer_id
"""
LEAVE = """
    DELETE FROM crm.group_member m USING seen
    WHERE m.tenant_id = $1 AND m.group_id = $4::uuid AND m.customer_id = seen.id RETURNING m.customer_id
"""


async def page(
    session: AsyncSession,
    actor: Actor,
    *,
    q: str | None,
    limit: int,
    cursor: str | None,
    secret: bytes,
    dimension: str | None = None,
) -> GroupPage:
    """A page of groups by name, with how many live customers each has; `q` is any part of the name, accents or none;
    `dimension` leaves those that divide customers by something else out."""
    wanted, divided_by = vn.fold(q or ""), None if dimension is None else vn.fold(dimension)
    pager = Pager(secret, actor.tenant_id, "groups", wanted, divided_by)
    position = pager.position(cursor)
    registry = await registries.load(session)
    # The names are in memory already, and only there can they be compared without accents.
    keyed = (
        (vn.fold(name), name, group.id)
        for name, group in registry.groups.items()
        if divided_by is None or vn.fold(group.dimension or "") == divided_by
    )
    found = sorted(key for key in keyed if wanted in key[0])
    after = [key for key in found if position is None or (key[0], key[1]) > (position[0], position[1])]
    rows = await _read(session, [key[2] for key in after[:limit]])
    more = len(after) > limit
    return GroupPage(items=rows, next_cursor=pager.cursor(after[limit - 1][:2]) if more else None, count=len(found))


async def get(session: AsyncSession, group_id: UUID) -> GroupOut:
    """A group and its size.

    Raises:
        NotFound
    """
    rows = await _read(session, [group_id])
    if not rows:
        raise NotFound()
    return rows[0]


async def add_group(
    session: AsyncSession, actor: Actor, *, name: str, description: str, dimension: str | None = None, points: int = 0
) -> GroupOut:
    """Adds a group as the group screen does: with a description where the workspace wants one.

    Raises:
        GroupNameMissing, GroupDescriptionMissing, GroupNameTaken
    """
    if not vn.clean(name):
        raise on_field(GroupNameMissing(), "name")
    await _check_description(session, description)
    made = await create_group(
        session, actor, name=name, description=description, dimension=dimension, points=points
    )  # fmt: skip
    return await get(session, made.id)


async def create_group(
    session: AsyncSession,
    actor: Actor,
    *,
    name: str,
    description: str = "",
    dimension: str | None = None,
    points: int = 0,
) -> CustomerGroup:
    """Adds a group; imports ask for no description.

    Raises:
        GroupNameMissing, GroupNameTaken
    """
    name = vn.clean(name)
    if not name:
        raise on_field(GroupNameMissing(), "name")
    if len(name) > MAX_NAME:
        raise invalid("name", "too_long", f"Quá dài (tối đa {MAX_NAME} ký tự)", f"Longer than {MAX_NAME} characters")
    await configuring.lock(session)
    moment = now()
    made: CustomerGroup | None = await session.scalar(
        upsert(CustomerGroup)
        .values(
            tenant_id=tenant_of(session), id=new_id(), no=await counters.take(session, "group"), name=name,
            name_key=name_key(name), description=vn.clean_multiline(description),
            dimension=vn.clean(dimension or "") or None, points=points, version=1, created_at=moment,
            updated_at=moment,
        )
        .on_conflict_do_nothing(index_elements=["tenant_id", "name_key"])
        .returning(CustomerGroup)
    )  # fmt: skip
    if made is None:
        raise _name_taken()
    await record(session, actor, "group.created", made.id, data={"name": name})
    return made


async def update_group(
    session: AsyncSession, actor: Actor, group_id: UUID, given: dict[str, Any], *, version: int
) -> GroupOut:
    """Changes a group; of other points its members hear in a job.

    Raises:
        NotFound, Stale, GroupNameMissing, GroupDescriptionMissing, GroupNameTaken
    """
    values: dict[str, Any] = {}
    if "name" in given:
        values["name"] = vn.clean(given["name"] or "")
        if not values["name"]:
            raise on_field(GroupNameMissing(), "name")
    if "description" in given:
        values["description"] = vn.clean_multiline(given["description"] or "")
        await _check_description(session, values["description"])
    if "dimension" in given:
        values["dimension"] = vn.clean(given["dimension"] or "") or None
    if "points" in given:
        values["points"] = given["points"]
    await configuring.lock(session)
    row = await configuring.locked(session, CustomerGroup, group_id, version)
    points = row.points
    with on_conflict({"customer_group_name_uq": _name_taken}):
        await configuring.save(session, actor, "group.updated", row, values)
    if row.points != points:
        await scoring.rescore_later(session, actor, scope="group", of=group_id)
    return await get(session, group_id)


async def delete_group(session: AsyncSession, actor: Actor, group_id: UUID, *, version: int) -> None:
    """Deletes a group; its customers stay. Of a large group the numbers in the customers go in a job (FORGET): a number
    is never given again, so that until then it means nothing.

    Raises:
        NotFound, Stale
    """
    await configuring.lock(session)
    row = await configuring.locked(session, CustomerGroup, group_id, version)
    members: list[UUID] = []
    size = await session.scalar(
        select(func.count())
        .select_from(GroupMember)
        .where(GroupMember.tenant_id == actor.tenant_id, GroupMember.group_id == group_id)
    )
    if size and size > AT_ONCE:
        await jobs.enqueue(session, actor, FORGET, queue="bulk", args={"no": row.no, "points": row.points},
                           subject_id=group_id, stoppable=False)  # fmt: skip
    elif size:
        left = await session.scalars(
            text("""
            UPDATE crm.customer SET group_nos = array_remove(group_nos, :no)
            WHERE tenant_id = :tenant_id AND id IN (
                SELECT m.customer_id FROM crm.group_member m WHERE m.tenant_id = :tenant_id AND m.group_id = :group_id)
            RETURNING id
            """),
            {"tenant_id": actor.tenant_id, "no": row.no, "group_id": group_id},
        )
        members = list(left)
    await session.delete(row)
    await session.flush()
    if row.points:
        await scoring.recompute(session, actor, members)
    await record(session, actor, "group.deleted", group_id, data={"name": row.name, "size": size})


async def forget(session: AsyncSession, no: int, after: UUID, last: UUID) -> list[UUID]:
    """Takes the number of a group that is no more out of the customers with after < id <= last, and answers them."""
    left = await session.scalars(
        text("""
        UPDATE crm.customer SET group_nos = array_remove(group_nos, :no)
        WHERE tenant_id = :tenant_id AND id > :after AND id <= :last AND :no = ANY(group_nos)
        RETURNING id
        """),
        {"tenant_id": tenant_of(session), "no": no, "after": after, "last": last},
    )
    return list(left)


async def add_members(session: AsyncSession, actor: Actor, group_id: UUID, ids: Sequence[UUID]) -> MembersOut:
    """Puts customers that the caller can see into a group.

    Raises:
        NotFound: no such group.
    """
    return await _change_members(
        session, actor, group_id, ids,
        kind="customer.group_added", member=JOIN, numbers="array_sort(array_append(c.group_nos, $5::int))",
    )  # fmt: skip


async def remove_members(session: AsyncSession, actor: Actor, group_id: UUID, ids: Sequence[UUID]) -> MembersOut:
    """Takes customers that the caller can see out of a group.

    Raises:
        NotFound: no such group.
    """
    return await _change_members(
        session, actor, group_id, ids,
        kind="customer.group_removed", member=LEAVE, numbers="array_remove(c.group_nos, $5::int)",
    )  # fmt: skip


async def _change_members(
    session: AsyncSession,
    actor: Actor,
    group_id: UUID,
    ids: Sequence[UUID],
    *,
    kind: str,
    member: str,
    numbers: str,
) -> MembersOut:
    # The group cannot be deleted before this commits.
    group = await session.scalar(
        select(CustomerGroup).where(CustomerGroup.id == group_id).with_for_update(read=True, key_share=True)
    )
    if group is None:
        raise NotFound()
    wanted = list(dict.fromkeys(ids))
    pair = [None, group.name] if kind == "customer.group_added" else [group.name, None]
    sql = Sql(
        actor.tenant_id,
        [
            wanted, [new_id() for _ in wanted], group_id, group.no, now(), actor.kind, actor.id, actor.name,
            request_id.get(), msgspec.json.encode({"groups": pair}).decode(),
        ],
    )  # fmt: skip
    statement = MEMBERS.format(visible=visible(sql, actor), member=member, numbers=numbers, kind=kind)
    rows = await (await driver(session)).fetch(statement, *sql.args)
    if group.points:
        await scoring.recompute(session, actor, [row["id"] for row in rows if row["changed"]])
    seen, changed = {row["id"] for row in rows}, sum(row["changed"] for row in rows)
    return MembersOut(
        changed=changed, unchanged=len(seen) - changed, missing=[one for one in wanted if one not in seen]
    )


async def _read(session: AsyncSession, ids: Sequence[UUID]) -> list[GroupOut]:
    """The groups of these ids in their order, with their sizes."""
    rows = {
        row.id: row
        for row in await session.scalars(
            select(CustomerGroup).where(CustomerGroup.id.in_(ids)).execution_options(populate_existing=True)
        )
    }
    sizes = await _sizes(session, ids)
    found = (rows[one] for one in ids if one in rows)
    return [
        GroupOut(
            id=row.id, name=row.name, description=row.description, dimension=row.dimension, points=row.points,
            size=sizes.get(row.id, 0), created_at=row.created_at, updated_at=row.updated_at, version=row.version,
        )
        for row in found
    ]  # fmt: skip


async def _sizes(session: AsyncSession, ids: Sequence[UUID]) -> dict[UUID, int]:
    """How many live customers each group has: all its members, which an index alone can count, without those in the
    trash, who are few."""
    members = select(GroupMember.group_id, func.count()).where(
        GroupMember.tenant_id == tenant_of(session), GroupMember.group_id.in_(ids)
    )
    trashed = members.join(
        Customer, (Customer.tenant_id == GroupMember.tenant_id) & (Customer.id == GroupMember.customer_id)
    ).where(Customer.deleted_at.is_not(None))
    sizes: dict[UUID, int] = {row[0]: row[1] for row in await session.execute(members.group_by(GroupMember.group_id))}
    for group_id, count in await session.execute(trashed.group_by(GroupMember.group_id)):
        sizes[group_id] -= count
    return sizes


async def _check_description(session: AsyncSession, description: str) -> None:
    if not description.strip() and (await parameters(session)).group_description_required:
        raise on_field(GroupDescriptionMissing(), "description")


def _name_taken() -> GroupNameTaken:
    return on_field(GroupNameTaken(), "name")
