"""System parameters of a workspace (Thông số hệ thống)."""

from typing import Any

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.clock import now
from app.core.db import tenant_of
from app.core.errors import Stale
from app.core.events import record
from app.identity.models import WorkspaceSetting
from app.identity.schemas import SettingsOut, SystemParameters


async def parameters(session: AsyncSession) -> SystemParameters:
    """The parameters in force in the session's workspace."""
    values = await session.scalar(select(WorkspaceSetting.values).where(WorkspaceSetting.id == tenant_of(session)))
    return SystemParameters.model_validate(values or {})


async def read_settings(session: AsyncSession) -> SettingsOut:
    """The parameters with their version."""
    row = (
        await session.execute(
            select(WorkspaceSetting.values, WorkspaceSetting.version, WorkspaceSetting.updated_at).where(
                WorkspaceSetting.id == tenant_of(session)
            )
        )
    ).one()
    values = SystemParameters.model_validate(row[0])
    return SettingsOut(**values.model_dump(), version=row.version, updated_at=row.updated_at)


async def change_settings(session: AsyncSession, actor: Actor, version: int, given: dict[str, Any]) -> SettingsOut:
    """Changes parameters. What equals the default is not stored, so a better default of a later version reaches it.

    Raises:
        Stale: another version.
    """
    before = await read_settings(session)
    if before.version != version:
        raise Stale()
    changes = {name: (getattr(before, name), new) for name, new in given.items() if getattr(before, name) != new}
    if not changes:
        return before
    after = SystemParameters.model_validate(before.model_dump(exclude={"version", "updated_at"}) | given)
    changed = await session.scalar(
        update(WorkspaceSetting)
        .where(WorkspaceSetting.id == actor.tenant_id, WorkspaceSetting.version == version)
        .values(values=after.model_dump(mode="json", exclude_defaults=True), version=version + 1, updated_at=now())
        .returning(WorkspaceSetting.id)
    )
    if changed is None:
        raise Stale()
    await record(session, actor, "workspace_setting.changed", actor.tenant_id, changes=changes)
    return await read_settings(session)
