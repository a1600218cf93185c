"""How far the filling of a workspace has come; told without the domains, whose import would take a second."""

from typing import Final

import asyncpg

from app.core.settings import plain_url

# While a workspace is filled, the counter of this name is the next step: 0 all but the customers, then each chunk.
STEP: Final = "demo.step"
WHOLE: Final = """
SELECT EXISTS (SELECT FROM crm.workspace w WHERE w.slug = $1 AND NOT EXISTS (
    SELECT FROM crm.tenant_counter c WHERE c.tenant_id = w.id AND c.name = $2))
"""


async def is_whole(owner_url: str, slug: str) -> bool:
    """Whether the workspace is there and nobody was stopped who filled it."""
    connection = await asyncpg.connect(plain_url(owner_url))
    try:
        async with connection.transaction(readonly=True):
            await connection.execute("SET LOCAL ROLE crm_owner")
            return bool(await connection.fetchval(WHOLE, slug, STEP))
    finally:
        await connection.close()
