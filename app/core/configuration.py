"""The version of a workspace's configuration (attributes, lists, groups, users): what caches compare with."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import counters
from app.core.db import Database, driver, tenant_of

NAME = "configuration"
T = TypeVar("T")


async def bump(session: AsyncSession) -> None:
    """Says that the configuration changed; to be called in the transaction that changes it."""
    await counters.take(session, NAME)
    session.info["configuring"] = True


async def version(connection: asyncpg.Connection, tenant_id: UUID) -> int:
    """The configuration's version now."""
    found: int | None = await connection.fetchval(
        "SELECT value FROM crm.tenant_counter WHERE tenant_id = $1 AND name = $2", tenant_id, NAME
    )
    return found or 0


class PerWorkspace(Generic[T]):
    """A value built from a workspace's configuration and kept until the configuration changes."""

    def __init__(self, build: Callable[[AsyncSession, int], Awaitable[T]], *, keep: int = 500) -> None:
        self._build, self._keep = build, keep
        self._kept: dict[UUID, tuple[int, T]] = {}
        # Each lives as long as somebody builds or waits for it.
        self._building: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()

    async def get(self, session: AsyncSession) -> T:
        """The value for the session's workspace."""
        tenant_id = tenant_of(session)
        current = await version(await driver(session), tenant_id)
        if session.info.get("configuring"):
            # The version in sight is this transaction's own: others must not get it before it has committed.
            return await self._build(session, current)
        if not self._is_fresh(tenant_id, current):
            self._keep_it(tenant_id, current, await self._build(session, current))
        return self._kept[tenant_id][1]

    async def read(self, connection: asyncpg.Connection, db: Database, tenant_id: UUID) -> T:
        """The value for a request that only reads; when it must be built, one builds it for all who wait.

        `connection` is of `Database.reading`: its place is the one that the builder's own transaction counts on.
        """
        current = await version(connection, tenant_id)
        if not self._is_fresh(tenant_id, current):
            async with self._building.setdefault(tenant_id, asyncio.Lock()):
                if not self._is_fresh(tenant_id, current):
                    async with db.transaction(tenant_id, placed=True) as session:
                        return await self.get(session)
        return self._kept[tenant_id][1]

    def _is_fresh(self, tenant_id: UUID, current: int) -> bool:
        kept = self._kept.get(tenant_id)
        return kept is not None and kept[0] == current

    def _keep_it(self, tenant_id: UUID, current: int, value: T) -> None:
        if len(self._kept) >= self._keep:
            self._kept.pop(next(iter(self._kept)))
        self._kept[tenant_id] = (current, value)
