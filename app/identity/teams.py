"""Teams of staff (nhóm nhân viên): who is in which, and which stands below which.

Every change first takes the lock of the workspace's configuration: they happen one after another, so that what one
reads before it writes (where the others stand, how many there are) stays true until its commit.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import delete as remove
from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import configuration
from app.core.actor import Actor
from app.core.clock import new_id, now
from app.core.db import on_conflict, tenant_of
from app.core.errors import AppError, FieldError, Invalid, NotFound, Stale, invalid
from app.core.events import record
from app.core.i18n import language
from app.core.paging import Pager
from app.core.vietnam import text as vn
from app.identity.errors import NameTaken, TeamCircle, TeamHasTeams, TooManyTeams
from app.identity.models import Team, TeamMember, User
from app.identity.schemas import TeamIn, TeamMemberOut, TeamName, TeamOut, TeamPage
from app.identity.team_tree import upwards

__all__ = ["create", "delete", "get", "of_person", "page", "update"]

MAX_TEAMS = 500
MAX_ERRORS = 20


async def page(session: AsyncSession, secret: bytes, *, q: str | None, limit: int, cursor: str | None) -> TeamPage:
    """A page of teams by name, with their members; `q` is any part of the name, accents or none."""
    wanted = vn.fold(q or "")
    pager = Pager(secret, tenant_of(session), "teams", wanted)
    position = pager.position(cursor)
    keyed = [(vn.fold(name), name, id_) for id_, name in await session.execute(select(Team.id, Team.name))]
    found = sorted(key for key in keyed if wanted in key[0])
    after = [key for key in found if position is None or (key[0], key[1]) > (position[0], position[1])]
    return TeamPage(
        items=await _read(session, [key[2] for key in after[:limit]]),
        next_cursor=pager.cursor(after[limit - 1][:2]) if len(after) > limit else None,
        count=len(found),
    )


async def get(session: AsyncSession, team_id: UUID) -> TeamOut:
    """A team and who is in it.

    Raises:
        NotFound
    """
    rows = await _read(session, [team_id])
    if not rows:
        raise NotFound()
    return rows[0]


async def of_person(session: AsyncSession, user_id: UUID) -> list[TeamName]:
    """The teams that somebody is in, by name; not those above."""
    own = select(TeamMember.team_id).where(TeamMember.tenant_id == tenant_of(session), TeamMember.user_id == user_id)
    rows = await session.execute(select(Team.id, Team.name).where(Team.id.in_(own)).order_by(Team.name_key))
    return [TeamName(id=id_, name=name) for id_, name in rows]


async def create(session: AsyncSession, actor: Actor, body: TeamIn) -> TeamOut:
    """Adds a team.

    Raises:
        NameTaken: there is a team of this name, whatever its case.
        Invalid: an unknown parent or member, or a member who was deactivated.
        TooManyTeams
    """
    await configuration.bump(session)
    count = await session.scalar(select(func.count()).select_from(Team))
    if count is not None and count >= MAX_TEAMS:
        raise TooManyTeams(limit=MAX_TEAMS)
    if body.parent_id is not None:
        _check_parent(await _parents(session), body.parent_id)
    members = await _checked_members(session, body.members, ())
    moment = now()
    row = Team(
        tenant_id=tenant_of(session), id=new_id(), name=body.name, name_key=body.name.casefold(),
        parent_id=body.parent_id, version=1, created_at=moment, updated_at=moment,
    )  # fmt: skip
    session.add(row)
    with on_conflict({"team_name_uq": _name_taken}):
        await session.flush()
    await _add(session, row.id, members)
    facts = {"name": row.name, "parent_id": _plain(row.parent_id), "members": _ids(members)}
    await record(session, actor, "team.created", row.id, changes={key: (None, value) for key, value in facts.items()})
    return await get(session, row.id)


async def update(
    session: AsyncSession, actor: Actor, team_id: UUID, given: Mapping[str, Any], *, version: int
) -> TeamOut:
    """Changes a team; `given` holds checked members of TeamPatch. `members` replaces the list: who is in it already
    may stay, also once deactivated.

    Raises:
        NotFound, Stale: no such team, or another version.
        NameTaken, Invalid: as for a new one.
        TeamCircle: it would stand below itself.
    """
    await configuration.bump(session)
    row = await _locked(session, team_id, version)
    changes: dict[str, tuple[Any, Any]] = {}
    if given.get("name", row.name) != row.name:
        changes["name"] = (row.name, given["name"])
        row.name, row.name_key = given["name"], given["name"].casefold()
    if given.get("parent_id", row.parent_id) != row.parent_id:
        if given["parent_id"] is not None:
            _check_parent(await _parents(session), given["parent_id"], team_id)
        changes["parent_id"] = (_plain(row.parent_id), _plain(given["parent_id"]))
        row.parent_id = given["parent_id"]
    if "members" in given:
        before = await _members_of(session, team_id)
        after = await _checked_members(session, given["members"], before)
        if after != before:
            changes["members"] = (_ids(before), _ids(after))
            await _take_out(session, team_id, before - after)
            await _add(session, team_id, after - before)
    if changes:
        row.version, row.updated_at = row.version + 1, now()
        with on_conflict({"team_name_uq": _name_taken}):
            await session.flush()
        await record(session, actor, "team.updated", team_id, changes=changes)
    return await get(session, team_id)


async def delete(session: AsyncSession, actor: Actor, team_id: UUID, *, version: int) -> None:
    """Deletes a team; its people stay.

    Raises:
        NotFound, Stale
        TeamHasTeams: others stand below it.
    """
    await configuration.bump(session)
    row = await _locked(session, team_id, version)
    facts = {"name": row.name, "parent_id": _plain(row.parent_id), "members": _ids(await _members_of(session, team_id))}
    await session.delete(row)
    with on_conflict({"team_parent_fk": TeamHasTeams}):
        await session.flush()
    await record(session, actor, "team.deleted", team_id, changes={key: (value, None) for key, value in facts.items()})


async def _locked(session: AsyncSession, team_id: UUID, version: int) -> Team:
    found = select(Team).where(Team.id == team_id).with_for_update().execution_options(populate_existing=True)
    row = await session.scalar(found)
    if row is None:
        raise NotFound()
    if row.version != version:
        raise Stale()
    return row


async def _parents(session: AsyncSession) -> dict[UUID, UUID | None]:
    rows = await session.execute(select(Team.id, Team.parent_id))
    return {row.id: row.parent_id for row in rows}


def _check_parent(parents: Mapping[UUID, UUID | None], parent_id: UUID, team_id: UUID | None = None) -> None:
    """Whether the team, if it is there already, may stand below this one."""
    if parent_id not in parents:
        raise invalid("parent_id", "id_unknown", "Không tìm thấy dữ liệu", "Not found")
    if team_id is not None and team_id in upwards(parents, parent_id):
        raise _on(TeamCircle(), "parent_id")


async def _checked_members(session: AsyncSession, given: Sequence[UUID], before: Collection[UUID]) -> frozenset[UUID]:
    """The members, all of whom exist, and are active or were members before."""
    rows = await session.execute(select(User.id, User.active).where(User.id.in_(set(given)))) if given else ()
    active = {row.id: row.active for row in rows}
    wrong = list[FieldError]()
    for number, one in enumerate(given):
        if one not in active:
            wrong += _wrong(number, "id_unknown", "Không tìm thấy dữ liệu", "Not found")
        elif not active[one] and one not in before:
            wrong += _wrong(number, "member_inactive", "Tài khoản đã ngừng hoạt động", "The account is deactivated")
    if wrong:
        raise Invalid(errors=wrong[:MAX_ERRORS])
    return frozenset(given)


def _wrong(number: int, code: str, vi: str, en: str) -> list[FieldError]:
    return [FieldError(field=f"members[{number}]", code=code, message=vi if language.get() == "vi" else en)]


async def _members_of(session: AsyncSession, team_id: UUID) -> frozenset[UUID]:
    own = (TeamMember.tenant_id == tenant_of(session), TeamMember.team_id == team_id)
    return frozenset(await session.scalars(select(TeamMember.user_id).where(*own)))


async def _add(session: AsyncSession, team_id: UUID, people: Collection[UUID]) -> None:
    if people:
        rows = [{"tenant_id": tenant_of(session), "team_id": team_id, "user_id": one} for one in sorted(people)]
        await session.execute(insert(TeamMember), rows)


async def _take_out(session: AsyncSession, team_id: UUID, people: Collection[UUID]) -> None:
    if people:
        own = (TeamMember.tenant_id == tenant_of(session), TeamMember.team_id == team_id)
        await session.execute(remove(TeamMember).where(*own, TeamMember.user_id.in_(people)))


async def _read(session: AsyncSession, ids: Sequence[UUID]) -> list[TeamOut]:
    """The teams of these ids in their order, with their members by user name."""
    found = select(Team).where(Team.id.in_(ids)).execution_options(populate_existing=True)
    rows = {row.id: row for row in await session.scalars(found)}
    people = (
        select(TeamMember.team_id, User.id, User.username, User.full_name, User.active)
        .join(User, (User.tenant_id == TeamMember.tenant_id) & (User.id == TeamMember.user_id))
        .where(TeamMember.tenant_id == tenant_of(session), TeamMember.team_id.in_(ids))
        .order_by(User.username)
    )
    members = defaultdict[UUID, list[TeamMemberOut]](list)
    for team_id, id_, username, full_name, active in await session.execute(people):
        members[team_id].append(TeamMemberOut(id=id_, username=username, full_name=full_name, active=active))
    return [
        TeamOut(
            id=row.id, name=row.name, parent_id=row.parent_id, members=members[row.id], created_at=row.created_at,
            updated_at=row.updated_at, version=row.version,
        )
        for row in (rows[one] for one in ids if one in rows)
    ]  # fmt: skip


def _ids(people: Iterable[UUID]) -> list[str]:
    """The ids as an event holds them."""
    return [str(one) for one in sorted(people)]


def _plain(id_: UUID | None) -> str | None:
    return None if id_ is None else str(id_)


def _name_taken() -> AppError:
    return _on(NameTaken(), "name")


def _on(error: AppError, field: str) -> AppError:
    error.errors = [error.on(field)]
    return error
