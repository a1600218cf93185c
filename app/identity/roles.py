"""Roles and what they may do."""

from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.clock import now
from app.core.errors import NotFound, Stale
from app.core.events import record
from app.identity.errors import RoleFixed
from app.identity.models import Role
from app.identity.permissions import ROLES, effective, in_order
from app.identity.schemas import RoleOut
from app.identity.users import check_grant

COLUMNS = (Role.id, Role.key, Role.name, Role.permissions, Role.version, Role.created_at, Role.updated_at)


async def list_roles(session: AsyncSession) -> list[RoleOut]:
    """All roles, the most powerful first."""
    rows = (await session.execute(select(*COLUMNS))).all()
    order = list(ROLES)
    return sorted((_out(row) for row in rows), key=lambda role: order.index(role.key))  # type: ignore[arg-type]


async def get_role(session: AsyncSession, role_id: UUID) -> RoleOut:
    """A role of the session's workspace.

    Raises:
        NotFound: no such role here.
    """
    row = (await session.execute(select(*COLUMNS).where(Role.id == role_id))).one_or_none()
    if row is None:
        raise NotFound()
    return _out(row)


async def change_role(
    session: AsyncSession, actor: Actor, role_id: UUID, version: int, given: dict[str, Any]
) -> RoleOut:
    """Changes a role; everybody who has it is bound by the change with their next request.

    Raises:
        NotFound, Stale: no such role, or another version.
        RoleFixed: the administrator's permissions.
        NotGrantable: the actor lacks one of the permissions.
    """
    before = await get_role(session, role_id)
    if before.version != version:
        raise Stale()
    if before.key == "administrator" and "permissions" in given:
        raise RoleFixed()
    check_grant(actor, frozenset(given.get("permissions", ())) - frozenset(before.permissions))
    changes = {name: (getattr(before, name), new) for name, new in given.items() if getattr(before, name) != new}
    if not changes:
        return before
    changed = await session.scalar(
        update(Role)
        .where(Role.id == role_id, Role.version == version)
        .values(**given, version=version + 1, updated_at=now())
        .returning(Role.id)
    )
    if changed is None:
        raise Stale()
    await record(session, actor, "role.changed", role_id, changes=changes)
    return await get_role(session, role_id)


def _out(row: Any) -> RoleOut:
    held = effective(row.key, row.permissions, None)
    return RoleOut.model_validate({**row._mapping, "permissions": in_order(held)})
