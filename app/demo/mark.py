"""How far the filling of a workspace has come; told without the domains, whose import would take a second."""

from typing import Final

from sqlalchemy import text

from app.core.db import driver
from app.core.owner import owner_database, owner_transaction
from app.core.settings import Settings

# While a workspace is filled, the counter of this name is the next step: 0 all but the customers, then each chunk.
STEP: Final = "demo.step"


async def is_whole(settings: Settings, slug: str) -> bool:
    """Whether the workspace is there and nobody was stopped who filled it."""
    async with owner_database(settings) as db:
        async with db.shared() as connection:
            tenant_id = await connection.scalar(text("SELECT id FROM crm.workspace WHERE slug = :slug"), {"slug": slug})
        if tenant_id is None:
            return False
        async with owner_transaction(db, tenant_id) as session:
            begun = "SELECT EXISTS (SELECT FROM crm.tenant_counter WHERE tenant_id = $1 AND name = $2)"
            return not await (await driver(session)).fetchval(begun, tenant_id, STEP)
