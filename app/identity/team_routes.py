"""Teams of staff over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from app.core.actor import Actor
from app.core.etag import IfMatch, set_etag
from app.core.paging import Cursor, Limit
from app.core.work import CurrentWork, Route, Session
from app.identity import teams
from app.identity.access import Requires, SignedIn
from app.identity.schemas import TeamIn, TeamOut, TeamPage, TeamPatch

CanManageUsers = Annotated[Actor, Depends(Requires("users.manage"))]

router = APIRouter(prefix="/teams", tags=["teams"], route_class=Route)


@router.get("", summary="List teams")
async def list_teams(
    _actor: SignedIn,
    session: Session,
    work: CurrentWork,
    q: Annotated[str | None, Query(max_length=200, description="Part of the name, with or without accents.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> TeamPage:
    """By name, each with its members; those of the teams below it are not among them."""
    return await teams.page(session, work.resources.settings.secret, q=q, limit=limit, cursor=cursor)


@router.post("", summary="Add a team", status_code=201)
async def create_team(actor: CanManageUsers, session: Session, response: Response, body: TeamIn) -> TeamOut:
    """Refuses a name that a team has already, whatever its case: `name_taken`; and members who were deactivated:
    `member_inactive`. A workspace has at most 500 teams."""
    made = await teams.create(session, actor, body)
    response.headers["Location"] = f"/api/v1/teams/{made.id}"
    return _shown(response, made)


@router.get("/{team_id}", summary="Read a team")
async def get_team(_actor: SignedIn, session: Session, response: Response, team_id: UUID) -> TeamOut:
    """A team and its members."""
    return _shown(response, await teams.get(session, team_id))


@router.patch("/{team_id}", summary="Change a team")
async def update_team(
    actor: CanManageUsers, session: Session, response: Response, team_id: UUID, version: IfMatch, body: TeamPatch
) -> TeamOut:
    """What is absent stays; `members` replaces the list. A team below itself is refused: `team_circle`."""
    return _shown(response, await teams.update(session, actor, team_id, body.given(), version=version))


@router.delete("/{team_id}", summary="Delete a team", status_code=204)
async def delete_team(actor: CanManageUsers, session: Session, team_id: UUID, version: IfMatch) -> None:
    """Its people stay. Refused while teams stand below it: `team_has_teams`."""
    await teams.delete(session, actor, team_id, version=version)


def _shown(response: Response, team: TeamOut) -> TeamOut:
    set_etag(response, team.version)
    return team
