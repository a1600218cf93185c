"""What must go after its time: expired keys, dead sessions, old uploads. Any worker may do it, at any moment, again."""

import asyncio
import random
from uuid import UUID

from sqlalchemy import text

from app.core import idempotency
from app.core.actor import Actor
from app.core.log import logger
from app.core.resources import Resources
from app.customers.trash import schedule_purge
from app.exports.expiry import delete_old_exports
from app.identity import sessions, throttle
from app.identity.parameters import parameters
from app.imports.expiry import delete_old_files

EVERY = 3600.0


async def keep_house(resources: Resources) -> None:
    """Cleans every workspace once an hour, until cancelled."""
    while True:
        await asyncio.sleep(EVERY * random.uniform(0.5, 1))  # noqa: S311 -- workers should not meet
        try:
            await throttle.purge(resources.db)
            for tenant_id in await workspaces(resources):
                await clean(resources, tenant_id)
        except Exception as error:  # noqa: BLE001 -- the database may be away; the next hour is soon enough
            logger.warning("housekeeping_failed", exc_info=error)


async def clean(resources: Resources, tenant_id: UUID) -> None:
    """Deletes what has expired in one workspace."""
    async with resources.db.transaction(tenant_id) as session:
        await idempotency.purge(session)
        await sessions.purge(session)
        days = (await parameters(session)).trash_retention_days
        await schedule_purge(session, Actor(tenant_id, "system", throttle.NIL, "chot"), days)
    await delete_old_files(resources, tenant_id)
    await delete_old_exports(resources, tenant_id)


async def workspaces(resources: Resources) -> list[UUID]:
    """Every workspace's id."""
    async with resources.db.shared() as connection:
        return list((await connection.scalars(text("SELECT id FROM crm.workspace ORDER BY id"))).all())
