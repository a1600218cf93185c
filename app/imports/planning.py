"""Helping the planner with workspaces that its statistics have not met.

It takes such a workspace for an empty one: any index that begins with the tenant then looks as good as the right one,
and a nested loop over ten thousand rows compares each with each. In a small workspace hash joins, which read all its
customers once, are always good; for a larger one the statistics are brought up to date first.
"""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db import driver, tenant_of
from app.core.resources import Resources

SMALL = 50_000


async def count_customers(session: AsyncSession) -> int:
    """How many customers the workspace has; not counted past what matters."""
    found: int = await (await driver(session)).fetchval(
        "SELECT count(*) FROM (SELECT FROM crm.customer WHERE tenant_id = $1 AND deleted_at IS NULL LIMIT $2) AS first",
        tenant_of(session), SMALL + 1,
    )  # fmt: skip
    return found


async def refresh_statistics(resources: Resources, tenant_id: UUID) -> None:
    """Lets the planner meet the workspace: a sample of the customers' tenants, taken in some tenths of a second."""
    async with resources.db.transaction(tenant_id) as session:
        await (await driver(session)).execute("SELECT crm.refresh_statistics()")


async def avoid_nested_loops(session: AsyncSession) -> None:
    """For the rest of the session's transaction."""
    await (await driver(session)).execute("SET LOCAL enable_nestloop = off")
