"""System parameters of a workspace (Thông số hệ thống)."""

from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import configuration
from app.core.actor import Actor
from app.core.clock import now
from app.core.db import tenant_of
from app.core.errors import Stale
from app.core.events import record
from app.identity.models import Workspace, WorkspaceSetting
from app.identity.schemas import SettingsOut, SystemParameters


async def parameters(session: AsyncSession) -> SystemParameters:
    """The parameters in force in the session's workspace."""
    return _in_force(await _row(session))


async def read_settings(session: AsyncSession) -> SettingsOut:
    """The parameters with their version."""
    row = await _row(session)
    return SettingsOut(**_in_force(row).model_dump(), version=row.version, updated_at=row.updated_at)


async def change_settings(session: AsyncSession, actor: Actor, version: int, given: dict[str, Any]) -> SettingsOut:
    """Changes parameters. What equals the default is not stored, so a better default of a later version reaches it.

    Raises:
        Stale: another version.
    """
    row = await _row(session)
    before = _in_force(row)
    if row.version != version:
        raise Stale()
    changes = {name: (getattr(before, name), new) for name, new in given.items() if getattr(before, name) != new}
    if not changes:
        return await read_settings(session)
    if "timezone" in changes:
        await configuration.bump(session)
    after = SystemParameters.model_validate(before.model_dump() | given)
    kept = after.model_dump(mode="json", exclude_defaults=True, exclude={"timezone"})
    # The zone's default is what the operator gave the workspace.
    kept |= {"timezone": after.timezone} if after.timezone != row.timezone else {}
    changed = await session.scalar(
        update(WorkspaceSetting)
        .where(WorkspaceSetting.id == actor.tenant_id, WorkspaceSetting.version == version)
        .values(values=kept, version=version + 1, updated_at=now())
        .returning(WorkspaceSetting.id)
    )
    if changed is None:
        raise Stale()
    await record(session, actor, "workspace_setting.changed", actor.tenant_id, changes=changes)
    return await read_settings(session)


async def _row(session: AsyncSession) -> Row[Any]:
    found = (
        select(
            Workspace.timezone, WorkspaceSetting.values.label("own"), WorkspaceSetting.version,
            WorkspaceSetting.updated_at,
        )
        .join(WorkspaceSetting, WorkspaceSetting.tenant_id == Workspace.id)
        .where(Workspace.id == tenant_of(session))
    )  # fmt: skip
    return (await session.execute(found)).one()


def _in_force(row: Row[Any]) -> SystemParameters:
    return SystemParameters.model_validate({"timezone": row.timezone, **row.own})
