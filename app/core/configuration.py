"""The version of a workspace's configuration (attributes, lists, groups, users): what caches compare with."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core import counters
from app.core.db import driver, tenant_of

NAME = "configuration"
T = TypeVar("T")


async def bump(session: AsyncSession) -> None:
    """Says that the configuration changed; to be called in the transaction that changes it."""
    await counters.take(session, NAME)


async def version(session: AsyncSession) -> int:
    """The configuration's version now."""
    raw = await driver(session)
    found = await raw.fetchval(
        "SELECT value FROM crm.tenant_counter WHERE tenant_id = $1 AND name = $2", tenant_of(session), NAME
    )
    return found or 0


class PerWorkspace(Generic[T]):
    """A value built from a workspace's configuration and kept until the configuration changes."""

    def __init__(self, build: Callable[[AsyncSession, int], Awaitable[T]], *, keep: int = 500) -> None:
        self._build, self._keep = build, keep
        self._kept: dict[UUID, tuple[int, T]] = {}

    async def get(self, session: AsyncSession) -> T:
        """The value for the session's workspace."""
        tenant_id, current = tenant_of(session), await version(session)
        found = self._kept.get(tenant_id)
        if found is not None and found[0] == current:
            return found[1]
        value = await self._build(session, current)
        if len(self._kept) >= self._keep:
            self._kept.pop(next(iter(self._kept)))
        self._kept[tenant_id] = (current, value)
        return value
