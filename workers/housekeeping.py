"""What must go after its time, and what the night is for. Any worker may do it, at any moment, again."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.bulk.expiry import delete_old_jobs
from app.core import idempotency
from app.core.actor import system_actor
from app.core.clock import now, time_zone
from app.core.log import logger
from app.core.resources import Resources
from app.customers.trash import schedule_purge
from app.duplicates.building import schedule_scan
from app.exports.expiry import delete_old_exports
from app.identity import sessions, throttle
from app.identity.parameters import parameters
from app.imports.expiry import delete_old_files
from app.notifications import service as notifications
from workers.leftovers import delete_unnamed_files, delete_work_folders

Purge = Callable[[AsyncSession, int], Awaitable[int]]

# Rows of a kind that one transaction deletes, and how many times in a visit: one workspace's years of rows must not
# keep the others waiting.
PART, PARTS = 5_000, 40
# Each takes its refresh tokens with it, of which there may be a few thousand.
SESSIONS = 50
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
        await delete_work_folders()
    async with _trying():
        for tenant_id in await workspaces(resources):
            async with _trying(workspace=str(tenant_id)):
                await clean(resources, tenant_id)


async def clean(resources: Resources, tenant_id: UUID) -> None:
    """Deletes what has expired in one workspace, and starts what its night is for."""
    async with resources.db.transaction(tenant_id) as session:
        given = await parameters(session)
        await schedule_purge(session, system_actor(tenant_id), given.trash_retention_days)
        await schedule_scan(session, time_zone(given.timezone), now())
    await delete_old_files(resources, tenant_id)
    await delete_old_exports(resources, tenant_id)
    await delete_unnamed_files(resources, tenant_id)
    await in_parts(resources, tenant_id, idempotency.purge)
    await in_parts(resources, tenant_id, sessions.purge, SESSIONS)
    await in_parts(resources, tenant_id, notifications.purge)
    await in_parts(resources, tenant_id, delete_old_jobs)


async def in_parts(resources: Resources, tenant_id: UUID, purge: Purge, part: int = PART) -> None:
    """Deletes what is old, part by part, as far as one visit may go; the next one goes on."""
    for _ in range(PARTS):
        async with resources.db.transaction(tenant_id) as session:
            if await purge(session, part) == 0:
                return


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
