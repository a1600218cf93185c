"""Deleting ended jobs after their time, with what hangs on them: items, undo, the row of an export.

What history tells stays: events name a batch, and no foreign key asks for it. So do imports and merges, with what it
takes to undo them.
"""

from datetime import timedelta
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import now
from app.core.db import driver, tenant_of
from app.core.jobs import ENDED
from app.imports.queries import ENDED as IMPORT_ENDED

__all__ = ["KEPT", "delete_old_jobs"]

KEPT: Final = timedelta(days=90)
# Jobs that one transaction looks at.
AT_ONCE: Final = 100

# Not a dead job that must happen, for it can be resumed; nor one that somebody still needs: a bulk change whose undo is
# not old, that undo while its change is there, an export whose file is, an import that learns its state from it.
# $2 the moment, $3 and $4 states.
OLD: Final = """
SELECT j.id, j.subject_id FROM crm.job j
WHERE j.tenant_id = $1 AND j.created_at < $2 AND j.finished_at < $2 AND j.state = ANY($3::text[])
  AND (j.stoppable OR j.state <> 'dead')
  AND NOT EXISTS (
    SELECT FROM crm.bulk_change b JOIN crm.job u ON u.tenant_id = $1 AND u.id = b.undo_job_id
    WHERE b.tenant_id = $1 AND b.id = j.id AND (u.finished_at >= $2 OR u.finished_at IS NULL))
  AND NOT EXISTS (
    SELECT FROM crm.bulk_change b WHERE b.tenant_id = $1 AND b.id = j.subject_id AND b.undo_job_id = j.id)
  AND NOT EXISTS (
    SELECT FROM crm.export x
    WHERE x.tenant_id = $1 AND x.id = j.subject_id AND x.job_id = j.id AND x.file_deleted_at IS NULL)
  AND NOT EXISTS (
    SELECT FROM crm.import i
    WHERE i.tenant_id = $1 AND i.id = j.subject_id AND i.job_id = j.id AND i.state <> ALL($4::text[]))
"""
TAKE: Final = f"{OLD} ORDER BY j.created_at, j.id LIMIT {AT_ONCE} FOR UPDATE OF j SKIP LOCKED"
# Whoever asks for an undo holds the change meanwhile.
HOLD: Final = "SELECT b.id FROM crm.bulk_change b WHERE b.tenant_id = $1 AND b.id = ANY($2::uuid[]) FOR UPDATE"
AGAIN: Final = f"{OLD} AND j.id = ANY($5::uuid[])"
# $2 jobs, $3 how many rows.
ITEMS: Final = """
DELETE FROM crm.batch_item i WHERE i.tenant_id = $1 AND (i.batch_id, i.customer_id) IN (
    SELECT o.batch_id, o.customer_id FROM crm.batch_item o
    WHERE o.tenant_id = $1 AND o.batch_id = ANY($2::uuid[]) ORDER BY o.batch_id, o.customer_id LIMIT $3)
"""
CHANGES: Final = "DELETE FROM crm.bulk_change b WHERE b.tenant_id = $1 AND b.id = ANY($2::uuid[])"
EXPORTS: Final = (
    "DELETE FROM crm.export x WHERE x.tenant_id = $1 AND x.job_id = ANY($2::uuid[]) AND x.id = ANY($3::uuid[])"
)
PARTS: Final = "DELETE FROM crm.chosen_part p WHERE p.tenant_id = $1 AND p.batch_id = ANY($2::uuid[])"
JOBS: Final = "DELETE FROM crm.job j WHERE j.tenant_id = $1 AND j.id = ANY($2::uuid[])"


async def delete_old_jobs(session: AsyncSession, limit: int) -> int:
    """Deletes up to so many items of the workspace's old jobs, and the jobs that have none left; answers how many rows.

    The undo goes first, so that nobody can take a change back by half of its items.
    """
    raw, tenant_id, before = await driver(session), tenant_of(session), now() - KEPT
    states = (list(ENDED), ["ready", *IMPORT_ENDED])
    taken = [row["id"] for row in await raw.fetch(TAKE, tenant_id, before, *states)]
    if not taken:
        return 0
    await raw.fetch(HOLD, tenant_id, taken)
    rows = await raw.fetch(AGAIN, tenant_id, before, *states, taken)
    old, subjects = [row["id"] for row in rows], [row["subject_id"] for row in rows if row["subject_id"]]
    await raw.execute(CHANGES, tenant_id, old)
    items = _count(await raw.execute(ITEMS, tenant_id, old, limit))
    if items < limit:
        await raw.execute(EXPORTS, tenant_id, old, subjects)
        await raw.execute(PARTS, tenant_id, old + subjects)
        items += _count(await raw.execute(JOBS, tenant_id, old))
    return items


def _count(status: str) -> int:
    return int(status.rpartition(" ")[2])
