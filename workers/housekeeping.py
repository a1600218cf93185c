"""What must go after its time: expired keys, dead sessions, old uploads. Any worker may do it, at any moment, again."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from sqlalchemy import text

from app.core import idempotency
from app.core.actor import system_actor
from app.core.log import logger
from app.core.resources import Resources
from app.customers.trash import schedule_purge
from app.exports.expiry import delete_old_exports
from app.identity import sessions, throttle
from app.identity.parameters import parameters
from app.imports.expiry import delete_old_files

EVERY = 3600.0
# Soon, because a worker that is deployed often would never clean otherwise.
FIRST = 300.0


async def keep_house(resources: Resources) -> None:
    """Cleans every workspace soon after the start and then once an hour, until cancelled."""
    await asyncio.sleep(FIRST * random.random())  # noqa: S311 -- workers should not meet
    while True:
        await clean_all(resources)
        await asyncio.sleep(EVERY * random.uniform(0.5, 1))  # noqa: S311


async def clean_all(resources: Resources) -> None:
    """Cleans every workspace. One that cannot be cleaned keeps nobody else from it: it is logged, and comes again."""
    async with _trying():
        await throttle.purge(resources.db)
    async with _trying():
        for tenant_id in await workspaces(resources):
            async with _trying(workspace=str(tenant_id)):
                await clean(resources, tenant_id)


async def clean(resources: Resources, tenant_id: UUID) -> None:
    """Deletes what has expired in one workspace."""
    async with resources.db.transaction(tenant_id) as session:
        await idempotency.purge(session)
        await sessions.purge(session)
        days = (await parameters(session)).trash_retention_days
        await schedule_purge(session, system_actor(tenant_id), days)
    await delete_old_files(resources, tenant_id)
    await delete_old_exports(resources, tenant_id)


@asynccontextmanager
async def _trying(**where: str) -> AsyncIterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 -- the next hour is soon enough
        logger.warning("housekeeping_failed", exc_info=error, **where)


async def workspaces(resources: Resources) -> list[UUID]:
    """Every workspace's id."""
    async with resources.db.shared() as connection:
        return list((await connection.scalars(text("SELECT id FROM crm.workspace ORDER BY id"))).all())
