"""The stage that a customer has by what a merge brings to it, and keeps by what happened with itself since."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db import driver, tenant_of
from app.customers import stages

__all__ = ["by_what_comes", "by_what_stays"]

# Facts of `stages.FACTS`, the strongest first, by what is in the tables of the domains above.
HAPPENED: Final = """
SELECT EXISTS (SELECT FROM crm.contract t WHERE {contracts} AND t.move_to_signed) AS contract_signed,
       EXISTS (SELECT FROM crm.contract t WHERE {contracts} AND NOT t.move_to_signed) AS contract,
       EXISTS (SELECT FROM crm.transaction t WHERE {transactions}) AS transaction
"""
# What the sources ($2) have goes to the master whole.
COMES: Final = "t.tenant_id = $1 AND t.customer_id = ANY($2::uuid[])"
# What the customer ($2) got itself since the merge of $3, and not by a merge that stands.
STAYS: Final = """t.tenant_id = $1 AND t.customer_id = $2 AND t.created_at > $3 AND NOT EXISTS (
    SELECT FROM crm.merge_item i JOIN crm.customer_merge m ON m.tenant_id = $1 AND m.id = i.merge_id
    WHERE i.tenant_id = $1 AND i.row_id = t.id AND i.what = '{what}' AND m.undone_at IS NULL AND m.master_id = $2
      AND m.created_at >= $3)"""
CAME_SQL: Final = HAPPENED.format(contracts=COMES, transactions=COMES)
STAYED_SQL: Final = HAPPENED.format(
    contracts=STAYS.format(what="contracts"), transactions=STAYS.format(what="transactions")
)


async def by_what_comes(session: AsyncSession, stage: UUID | None, sources: Sequence[UUID]) -> UUID | None:
    """Where a master of this stage (relationship) is once it has what the sources have."""
    return await _reached(session, stage, CAME_SQL, list(sources))


async def by_what_stays(session: AsyncSession, stage: UUID | None, master: UUID, merged_at: datetime) -> UUID | None:
    """Where a master that gets back this stage is by what happened with itself since the merge."""
    return await _reached(session, stage, STAYED_SQL, master, merged_at)


async def _reached(session: AsyncSession, stage: UUID | None, statement: str, *args: object) -> UUID | None:
    found = await (await driver(session)).fetchrow(statement, tenant_of(session), *args)
    return await stages.reached(session, stage, [fact for fact, happened in found.items() if happened])
