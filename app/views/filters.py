"""Saved filters: who sees them, what they mean, and how many customers each finds now."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.clock import new_id, now
from app.core.db import driver, on_conflict, tenant_of
from app.core.errors import AppError, FieldError, Forbidden, Invalid, NotFound, Stale, invalid
from app.core.events import record
from app.core.paging import Pager
from app.core.vietnam import text as vn
from app.customers import registry as registries
from app.customers.entity import CUSTOMERS
from app.customers.filterable import CustomerFields, conditions, sentence
from app.customers.queries import sort_key
from app.customers.registry import Registry
from app.customers.visibility import visible
from app.filters.errors import FilterTooCostly
from app.filters.search import Door, Sql, Wanted, door
from app.filters.tree import Node, parse
from app.identity.models import Role, Team, User
from app.identity.team_tree import upwards
from app.views.errors import FilterNameTaken, TooManyFilters
from app.views.models import SavedFilter
from app.views.schemas import MAX_COUNTED, FilterCount, SavedFilterIn, SavedFilterOut, SavedFilterPage

__all__ = ["counts", "create", "delete", "get", "page", "update"]

SHARE = "filters.share"
# What is its maker's no more than others': they may change it too.
IN_COMMON = ("team", "workspace")
SHARED_WITH = (("users", "user_ids", User), ("roles", "role_ids", Role), ("teams", "team_ids", Team))
MAX_OWN = 500
# How many saved filters a statement counts; for how long all may be counted, and each, in milliseconds.
TOGETHER, IN_ALL, AT_MOST = 5, 20_000, 2_000
COLUMNS = """f.id, f.name, f.name_key, f.tree, f.visibility, f.user_ids, f.role_ids, f.team_ids, f.sort, f.owner_id,
    f.created_at, f.updated_at, f.version, owner.full_name AS owner_name"""
ROWS = """FROM crm.saved_filter f
    LEFT JOIN crm.app_user owner ON owner.tenant_id = $1 AND owner.id = f.owner_id WHERE f.tenant_id = $1"""
# $3 are the teams that the caller is in and those above, $4 who is in one of these.
FROM = f"""{ROWS} AND (f.owner_id = $2 OR f.visibility = 'workspace'
    OR f.visibility = 'team' AND f.owner_id = ANY($4::uuid[])
    OR f.visibility = 'shared' AND (
        $2 = ANY(f.user_ids) OR f.team_ids && $3::uuid[]
        OR (SELECT me.role_id FROM crm.app_user me WHERE me.tenant_id = $1 AND me.id = $2) = ANY(f.role_ids)))"""


async def page(
    session: AsyncSession, actor: Actor, *, limit: int, cursor: str | None, secret: bytes
) -> SavedFilterPage:
    """The saved filters that the caller may see: their own, and what others share with them or their teams."""
    pager = Pager(secret, actor.tenant_id, actor.id, "filters")
    position = pager.position(cursor)
    known = await registries.load(session)
    sql, after = _seen_by(actor, known), ""
    if position is not None:
        after = f"AND (f.name_key, f.id) > ({sql.arg(str(position[0]))}::text, {sql.arg(UUID(position[1]))}::uuid)"
    raw = await driver(session)
    rows = await raw.fetch(f"SELECT {COLUMNS} {FROM} {after} ORDER BY f.name_key, f.id LIMIT {limit + 1:d}", *sql.args)
    more = len(rows) > limit
    last = rows[limit - 1] if more else None
    return SavedFilterPage(
        items=[_shown(row, known, actor) for row in rows[:limit]],
        next_cursor=pager.cursor([last["name_key"], str(last["id"])]) if last else None,
    )


async def get(session: AsyncSession, actor: Actor, filter_id: UUID) -> SavedFilterOut:
    """A saved filter.

    Raises:
        NotFound: there is none, or none that the caller may see.
    """
    known = await registries.load(session)
    sql = _seen_by(actor, known)
    statement = f"SELECT {COLUMNS} {FROM} AND f.id = {sql.arg(filter_id)}"
    row = await (await driver(session)).fetchrow(statement, *sql.args)
    if row is None:
        raise NotFound()
    return _shown(row, known, actor)


async def create(session: AsyncSession, actor: Actor, given: SavedFilterIn) -> SavedFilterOut:
    """Keeps a filter.

    Raises:
        Invalid: the tree, the sort, or whom it is shared with.
        Forbidden: shared, without the permission to share.
        FilterNameTaken, TooManyFilters
    """
    _require_share(actor, given.visibility)
    values = await _checked(session, actor, given.model_dump())
    own = await session.scalar(select(func.count()).select_from(SavedFilter).where(SavedFilter.owner_id == actor.id))
    if own is not None and own >= MAX_OWN:
        raise TooManyFilters(limit=MAX_OWN)
    moment = now()
    made: UUID | None = await session.scalar(
        upsert(SavedFilter)
        .values(
            tenant_id=tenant_of(session), id=new_id(), owner_id=actor.id, version=1, created_at=moment,
            updated_at=moment, **values,
        )
        .on_conflict_do_nothing(index_elements=["tenant_id", "owner_id", "name_key"])
        .returning(SavedFilter.id)
    )  # fmt: skip
    if made is None:
        raise _name_taken()
    await record(session, actor, "filter.created", made, data={"name": given.name, "visibility": given.visibility})
    return await get(session, actor, made)


async def update(
    session: AsyncSession, actor: Actor, filter_id: UUID, given: Mapping[str, Any], *, version: int
) -> SavedFilterOut:
    """Changes a saved filter: one's own, or one of the workspace's or the team's with the permission to share, which
    every change of what others see needs. Whoever takes another's back from them sees it this last time.

    Raises:
        NotFound, Stale, Invalid, Forbidden, FilterNameTaken
    """
    row = await _locked(session, actor, filter_id, version)
    _require_share(actor, given.get("visibility", row.visibility))
    values = await _checked(session, actor, given)
    changes = {name: (getattr(row, name), value) for name, value in values.items() if getattr(row, name) != value}
    if changes:
        for name, (_, value) in changes.items():
            setattr(row, name, value)
        row.version, row.updated_at = row.version + 1, now()
        with on_conflict({"saved_filter_name_uq": _name_taken}):
            await session.flush()
        told = {name: pair for name, pair in changes.items() if name != "name_key"}
        await record(session, actor, "filter.updated", filter_id, changes=_plain(told))
    found = await (await driver(session)).fetchrow(f"SELECT {COLUMNS} {ROWS} AND f.id = $2", actor.tenant_id, filter_id)
    return _shown(found, await registries.load(session), actor)


async def delete(session: AsyncSession, actor: Actor, filter_id: UUID, *, version: int) -> None:
    """Deletes a saved filter.

    Raises:
        NotFound, Stale, Forbidden
    """
    row = await _locked(session, actor, filter_id, version)
    await session.delete(row)
    await session.flush()
    await record(session, actor, "filter.deleted", filter_id, data={"name": row.name})


async def counts(
    readers: Sequence[asyncpg.Connection], actor: Actor, registry: Registry, ids: Sequence[UUID] | None, *, cap: int
) -> list[FilterCount]:
    """How many customers each saved filter finds for the caller; the first hundred without ids. The readers share them,
    each with a core of the database's own."""
    sql = _seen_by(actor, registry)
    only = "" if ids is None else f"AND f.id = ANY({sql.arg(list(ids))}::uuid[])"
    rows = await readers[0].fetch(
        f"SELECT f.id, f.tree {FROM} {only} ORDER BY f.name_key, f.id LIMIT {MAX_COUNTED:d}", *sql.args
    )
    known, problems = dict[UUID, Node](), dict[UUID, AppError]()
    fields, counted = CustomerFields(registry, actor), dict[UUID, int]()
    for row in rows:
        try:
            node = parse(_tree(row["tree"]))
            conditions(Sql(actor.tenant_id), fields, node)
            known[row["id"]] = node
        except (Invalid, Forbidden) as refused:
            problems[row["id"]] = refused
    each, share = list(known.items()), min(IN_ALL // max(len(known), 1), AT_MOST)
    left = iter([dict(each[at : at + TOGETHER]) for at in range(0, len(each), TOGETHER)])

    async def work(reader: asyncpg.Connection) -> None:
        async with door(reader) as opened:
            for some in left:
                found, refusals = await _some(opened, fields, some, cap, share)
                counted.update(found)
                problems.update(refusals)

    await asyncio.gather(*(work(reader) for reader in readers))
    return [_counted(row["id"], counted.get(row["id"]), problems.get(row["id"]), cap) for row in rows]


async def _some(
    opened: Door, fields: CustomerFields, known: Mapping[UUID, Node], cap: int, share: int
) -> tuple[dict[UUID, int], dict[UUID, AppError]]:
    """How many each finds, and why others were not counted. In one statement, unless that takes longer than `share`
    milliseconds for each: then one after another, so that a costly one hinders no other."""
    try:
        return await _count(opened, fields, known, cap, share * len(known)), {}
    except FilterTooCostly as refused:
        if len(known) == 1:
            return {}, dict.fromkeys(known, refused)
    counted, problems = dict[UUID, int](), dict[UUID, AppError]()
    for filter_id, node in known.items():
        found, refusals = await _some(opened, fields, {filter_id: node}, cap, share)
        counted |= found
        problems |= refusals
    return counted, problems


async def _count(
    opened: Door, fields: CustomerFields, known: Mapping[UUID, Node], cap: int, milliseconds: int
) -> dict[UUID, int]:
    """How many each finds, in one statement."""
    sql, each = Sql(fields.actor.tenant_id), list[Wanted]()
    for node in known.values():
        where, tested = conditions(sql, fields, node)
        each.append(Wanted(visible(sql, fields.actor), where, tested=tested))
    found = await opened.counts(CUSTOMERS, sql, each, cap=cap, milliseconds=milliseconds)
    return dict(zip(known, found, strict=True))


def _counted(filter_id: UUID, count: int | None, problem: AppError | None, cap: int) -> FilterCount:
    if count is None:
        return FilterCount(id=filter_id, count=None, capped=False, problem=_problem(problem) if problem else None)
    return FilterCount(id=filter_id, count=count, capped=count >= cap)


def _seen_by(actor: Actor, registry: Registry) -> Sql:
    """The arguments of FROM. Who is in a team sees what is shared with it or with one above it."""
    parents = {team.id: team.parent for team in registry.teams.values()}
    own = [team.id for team in registry.teams.values() if actor.id in team.members]
    above = {id_ for one in own for id_ in upwards(parents, one)}
    makers = {one for team in registry.teams.values() if team.id in above for one in team.members}
    return Sql(actor.tenant_id, [actor.id, sorted(above), sorted(makers)])


def _require_share(actor: Actor, visibility: str) -> None:
    if visibility != "private":
        actor.require(SHARE)


async def _checked(session: AsyncSession, actor: Actor, given: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the columns, checked."""
    registry = await registries.load(session)
    values: dict[str, Any] = {}
    if "name" in given:
        values["name"] = vn.clean(given["name"])
        values["name_key"] = values["name"].casefold()
        if not values["name"]:
            raise invalid("name", "missing", "Bắt buộc nhập", "This is required")
    if "filter" in given:
        conditions(Sql(actor.tenant_id), CustomerFields(registry, actor), parse(given["filter"]))
        values["tree"] = given["filter"]
    if given.get("sort") is not None:
        sort_key(registry, actor, given["sort"].lstrip("-"))
    if "sort" in given:
        values["sort"] = given["sort"]
    if "visibility" in given:
        values["visibility"] = given["visibility"]
    for name, column, table in SHARED_WITH:
        if name in given:
            values[column] = await _existing(session, table, given[name], name)
    return values


async def _existing(
    session: AsyncSession, table: type[User] | type[Role] | type[Team], ids: Sequence[UUID], name: str
) -> list[UUID]:
    wanted = list(dict.fromkeys(ids))
    known = set(await session.scalars(select(table.id).where(table.id.in_(wanted)))) if wanted else set()
    missing = [number for number, one in enumerate(ids) if one not in known]
    if missing:
        raise invalid(f"{name}[{missing[0]}]", "id_unknown", "Không tìm thấy dữ liệu", "Not found")
    return wanted


async def _locked(session: AsyncSession, actor: Actor, filter_id: UUID, version: int) -> SavedFilter:
    seen = await get(session, actor, filter_id)
    row = await session.scalar(select(SavedFilter).where(SavedFilter.id == filter_id).with_for_update())
    if row is None:
        raise NotFound()
    if not seen.mine and not (row.visibility in IN_COMMON and actor.may(SHARE)):
        raise Forbidden(permission=SHARE)
    if row.version != version:
        raise Stale()
    return row


def _shown(row: asyncpg.Record, registry: Registry, actor: Actor) -> SavedFilterOut:
    tree, said, problems = _tree(row["tree"]), "", list[FieldError]()
    fields, teams = CustomerFields(registry, actor), {team.id for team in registry.teams.values()}
    try:
        node = parse(tree)
        conditions(Sql(actor.tenant_id), fields, node)
        said = sentence(node, fields)
    except Invalid as refused:
        problems += refused.errors
    except Forbidden as refused:
        problems.append(_problem(refused))
    if row["sort"] is not None:
        try:
            sort_key(registry, actor, row["sort"].lstrip("-"))
        except Invalid as refused:
            problems += refused.errors
    return SavedFilterOut(
        id=row["id"],
        name=row["name"],
        filter=tree,
        sentence=said,
        problems=problems,
        visibility=row["visibility"],
        users=row["user_ids"],
        roles=row["role_ids"],
        teams=[one for one in row["team_ids"] if one in teams],
        sort=row["sort"],
        owner_id=row["owner_id"],
        owner_name=row["owner_name"],
        mine=row["owner_id"] == actor.id,
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        version=row["version"],
    )


def _problem(refused: AppError) -> FieldError:
    return refused.errors[0] if refused.errors else refused.on("filter")


def _name_taken() -> FilterNameTaken:
    error = FilterNameTaken()
    error.errors = [error.on("name")]
    return error


def _tree(stored: Any) -> Any:
    # A session's connection has read the JSON already, a reader's has not.
    return msgspec.json.decode(stored) if isinstance(stored, str) else stored


def _plain(changes: Mapping[str, tuple[Any, Any]]) -> dict[str, tuple[Any, Any]]:
    def said(value: Any) -> Any:
        return [str(one) for one in value] if isinstance(value, list) else value

    return {name: (said(before), said(after)) for name, (before, after) in changes.items()}
