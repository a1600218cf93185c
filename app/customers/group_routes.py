"""Groups of customers over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from app.core.actor import Actor
from app.core.etag import IfMatch, set_etag
from app.core.paging import Cursor, Limit
from app.core.work import CurrentWork, Route, Session
from app.customers import groups
from app.customers.config_schemas import MembersIn, MembersOut
from app.customers.schemas import GroupIn, GroupOut, GroupPage, GroupPatch
from app.identity.access import Requires

CanView = Annotated[Actor, Depends(Requires("customers.view"))]
CanManage = Annotated[Actor, Depends(Requires("groups.manage"))]
CanEdit = Annotated[Actor, Depends(Requires("customers.edit"))]

router = APIRouter(prefix="/groups", tags=["groups"], route_class=Route)


@router.get("", summary="List groups")
async def list_groups(
    actor: CanView,
    session: Session,
    work: CurrentWork,
    q: Annotated[str | None, Query(max_length=200, description="Part of the name, with or without accents.")] = None,
    dimension: Annotated[
        str | None, Query(max_length=100, description="Only the groups of this dimension; empty for those of none.")
    ] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> GroupPage:
    """By name, each with the number of its customers; deleted customers do not count."""
    secret = work.resources.settings.secret
    return await groups.page(
        session, actor, q=q, limit=limit, cursor=cursor, secret=secret, dimension=dimension
    )  # fmt: skip


@router.post(
    "", summary="Add a group", status_code=201, response_description="The new group: “Thêm mới thành công”"
)  # fmt: skip
async def create_group(actor: CanManage, session: Session, response: Response, body: GroupIn) -> GroupOut:
    """Without a name: `group_name_required`, “Vui lòng nhập tên nhóm”. The description may be required by the
    workspace's settings."""
    made = await groups.add_group(session, actor, **body.model_dump())
    response.headers["Location"] = f"/api/v1/groups/{made.id}"
    return _shown(response, made)


@router.get("/{group_id}", summary="Read a group")
async def get_group(_: CanView, session: Session, response: Response, group_id: UUID) -> GroupOut:
    """A group and how many customers it has."""
    return _shown(response, await groups.get(session, group_id))


@router.patch("/{group_id}", summary="Change a group")
async def update_group(
    actor: CanManage, session: Session, response: Response, group_id: UUID, version: IfMatch, body: GroupPatch
) -> GroupOut:
    """What is absent stays."""
    given = body.model_dump(exclude_unset=True)
    return _shown(response, await groups.update_group(session, actor, group_id, given, version=version))


@router.delete("/{group_id}", summary="Delete a group", status_code=204)
async def delete_group(actor: CanManage, session: Session, group_id: UUID, version: IfMatch) -> None:
    """Its customers stay, without it."""
    await groups.delete_group(session, actor, group_id, version=version)


@router.post("/{group_id}/customers", summary="Put customers into a group")
async def add_group_customers(actor: CanEdit, session: Session, group_id: UUID, body: MembersIn) -> MembersOut:
    """Customers that the caller cannot see are `missing`, as if they did not exist."""
    return await groups.add_members(session, actor, group_id, body.ids)


@router.delete("/{group_id}/customers", summary="Take customers out of a group")
async def remove_group_customers(actor: CanEdit, session: Session, group_id: UUID, body: MembersIn) -> MembersOut:
    """Customers that the caller cannot see are `missing`, as if they did not exist."""
    return await groups.remove_members(session, actor, group_id, body.ids)


def _shown(response: Response, group: GroupOut) -> GroupOut:
    set_etag(response, group.version)
    return group
