"""Teams as a tree: who is in a team or below it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db import tenant_of
from app.identity import models


@dataclass(frozen=True)
class Team:
    """A team: `members` are in it, `people` in it or in one below. Who was deactivated stays one of them, because they
    may still own something."""

    id: UUID
    parent: UUID | None
    members: frozenset[UUID]
    people: frozenset[UUID]


async def load(session: AsyncSession) -> dict[str, Team]:
    """The teams of the session's workspace by their names, in the order of these."""
    rows = (await session.execute(select(models.Team).order_by(models.Team.name_key))).scalars().all()
    parents = {row.id: row.parent_id for row in rows}
    members = await _members(session)
    people: dict[UUID, set[UUID]] = {id_: set() for id_ in parents}
    for id_ in parents:
        for above in upwards(parents, id_):
            people[above] |= members[id_]
    return {
        row.name: Team(row.id, row.parent_id, frozenset(members[row.id]), frozenset(people[row.id])) for row in rows
    }


def upwards(parents: Mapping[UUID, UUID | None], team_id: UUID) -> Iterator[UUID]:
    """A team and all those above it, the nearest first."""
    at: UUID | None = team_id
    while at is not None:
        yield at
        at = parents[at]


async def _members(session: AsyncSession) -> defaultdict[UUID, set[UUID]]:
    found = select(models.TeamMember.team_id, models.TeamMember.user_id)
    members = defaultdict[UUID, set[UUID]](set)
    for team_id, user_id in await session.execute(found.where(models.TeamMember.tenant_id == tenant_of(session))):
        members[team_id].add(user_id)
    return members
