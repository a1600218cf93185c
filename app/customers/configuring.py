"""What every change of a workspace's configuration shares: one lock, the version, and the event."""

from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import configuration
from app.core.actor import Actor
from app.core.clock import now
from app.core.errors import AppError, NotFound, Stale
from app.core.events import record
from app.core.orm import Base
from app.core.vietnam import text as vn

Row = TypeVar("Row", bound=Base)
Refusal = TypeVar("Refusal", bound=AppError)


async def lock(session: AsyncSession) -> None:
    """To be called first: changes of one workspace's configuration happen one after another, and caches hear of them.

    So what a change reads before it writes (the last position, the free slots) stays true until its commit.
    """
    await configuration.bump(session)


async def locked(
    session: AsyncSession, table: type[Row], row_id: UUID, version: int, *conditions: ColumnElement[bool]
) -> Row:
    """The row to change as it is under its lock, whatever the session read of it before, if it still has this version.

    Raises:
        NotFound, Stale
    """
    columns: Any = table
    found = select(table).where(columns.id == row_id, *conditions).with_for_update()
    row: Any = await session.scalar(found.execution_options(populate_existing=True))
    if row is None:
        raise NotFound()
    if row.version != version:
        raise Stale()
    made: Row = row
    return made


async def save(session: AsyncSession, actor: Actor, kind: str, row: Any, values: Mapping[str, Any]) -> None:
    """Writes the values that differ, and records them as an event of this kind; nothing where nothing differs."""
    changes = {name: (getattr(row, name), value) for name, value in values.items() if getattr(row, name) != value}
    if not changes:
        return
    for name, (_, value) in changes.items():
        setattr(row, name, value)
    if "name" in changes:
        row.name_key = name_key(row.name)
    row.version, row.updated_at = row.version + 1, now()
    await session.flush()
    await record(session, actor, kind, row.id, changes=changes)


def name_key(name: str) -> str:
    """What two names have in common that count as the same: their letters without case, white space collapsed."""
    return vn.clean(name).casefold()


def on_field(error: Refusal, field: str) -> Refusal:
    """The refusal, saying also which field of the request it is about."""
    error.errors = [error.on(field)]
    return error
