"""Finds the values of all customers under the keys that are stored, in chunks by id, set-based."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import jobs
from app.core.actor import Actor, system_actor
from app.core.clock import NIL, id_at, now
from app.core.db import driver, tenant_of
from app.core.events import record
from app.core.jobs import LIVE, Job
from app.core.run import Done, Outcome, Run
from app.customers import duplicate_keys
from app.customers.duplicate_keys import DuplicateKey
from app.duplicates import reasons, settings
from app.duplicates.models import DuplicateSetting

__all__ = ["SCAN", "build", "enqueue_scan", "scan", "schedule_scan"]

SCAN = "duplicates.scan"
# Hours of the workspace's day in which few work: from, and before.
NIGHT = (1, 5)
# What was begun before a scan may be committed behind it.
OVERLAP = timedelta(minutes=5)
# Nobody waits for these rows, but a customer that is changed meanwhile does: a fraction of a second.
CHUNK = 5_000
FIRST = UUID(int=0)
CUSTOMERS, ROWS = "c.id > $2 AND c.id <= $3", "d.customer_id > $2 AND d.customer_id <= $3"
POINTS = "p.customer_id > $2 AND p.customer_id <= $3"
STANDING = tuple(key.no for key in reasons.STANDING)
DROP = f"DELETE FROM crm.duplicate_key d WHERE d.tenant_id = $1 AND {ROWS} AND d.key_no NOT IN ({{kept}})"


async def enqueue_scan(session: AsyncSession, actor: Actor) -> UUID:
    """Looks for duplicates in all customers; a scan that has not ended yet is the one that is asked for."""
    job_id = await jobs.enqueue(session, actor, SCAN, queue="bulk", lane="duplicates", dedupe_key="scan")
    await record(session, actor, "job.scan_requested", job_id, batch_id=job_id)
    return job_id


async def schedule_scan(session: AsyncSession, zone: ZoneInfo, moment: datetime) -> UUID | None:
    """Enqueues a scan if it is night where the workspace is and none was begun this night, unless nothing that the last
    one found can have changed since."""
    tenant_id, local = tenant_of(session), moment.astimezone(zone)
    if not NIGHT[0] <= local.hour < NIGHT[1]:
        return None
    tonight = local.replace(hour=NIGHT[0], minute=0, second=0, microsecond=0).astimezone(UTC)
    begun = select(Job.id).where(Job.kind == SCAN, or_(Job.created_at >= tonight, Job.state.in_(LIVE)))
    if await session.scalar(begun.limit(1)):
        return None
    scanned = await session.scalar(select(DuplicateSetting.scanned_at).where(DuplicateSetting.id == tenant_id))
    since = NIL if scanned is None else id_at(scanned - OVERLAP)
    if not await (await driver(session)).fetchval(CHANGED, tenant_id, since):
        return None
    return await enqueue_scan(session, system_actor(tenant_id))


async def build(run: Run) -> Outcome:
    """Makes the workspace's keys ready, and lets the values of keys that are no more go."""
    async with run.transaction() as session:
        keys = [key for key in await duplicate_keys.load(session) if key.stored]
    numbers = [key.no for key in keys]
    statements = [DROP.format(kept=", ".join(str(no) for no in (*numbers, *STANDING)))]
    if keys:
        statements.append(duplicate_keys.write_sql(keys, CUSTOMERS, ROWS))
    stopped = await _for_everybody(run, numbers, statements)
    if stopped:
        return stopped
    return Done(result={"keys": len(keys)}, effect=lambda session: settings.ready(session, numbers))


async def scan(run: Run) -> Outcome:
    """Finds the values that the duplicate centre shows clusters of."""
    async with run.transaction() as session:
        found = reasons.all_reasons(await duplicate_keys.load(session))
    statement = duplicate_keys.write_sql(found, CUSTOMERS, ROWS, reasons.through_contacts(CUSTOMERS, POINTS))
    stopped = await _for_everybody(run, [key.no for key in found], [statement])
    return stopped or Done(effect=lambda session: _scanned(session, datetime.fromisoformat(run.progress["since"])))


async def _for_everybody(run: Run, numbers: Sequence[int], statements: Sequence[str]) -> Outcome | None:
    """Runs the statements for all customers. Where the keys have changed since the last turn, it begins anew."""
    if run.progress.get("keys") != list(numbers) or "since" not in run.progress:
        run.progress = {"keys": list(numbers), "since": now().isoformat()}
    while True:
        stopped = run.interrupted()
        if stopped:
            return stopped
        async with run.transaction() as session:
            raw = await driver(session)
            after = UUID(run.progress.get("next", str(FIRST)))
            row = await raw.fetchrow(END_OF_CHUNK, run.tenant_id, after, CHUNK)
            if row["last"] is None:
                return None
            for statement in statements:
                await raw.execute(statement, run.tenant_id, after, row["last"])
            run.progress |= {"done": run.progress.get("done", 0) + row["size"], "next": str(row["last"])}


END_OF_CHUNK = """
SELECT count(*) AS size, (array_agg(chunk.id ORDER BY chunk.id DESC))[1] AS last
FROM (SELECT id FROM crm.customer WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3) AS chunk
"""

# Events are in the order of their ids, which is that of time; of contacts, their customers' tell.
CHANGED = """
SELECT EXISTS (
    SELECT FROM crm.event e
    WHERE e.tenant_id = $1 AND e.id > $2::uuid AND e.subject_type IN ('customer', 'import')
)
"""


async def _scanned(session: AsyncSession, since: datetime) -> None:
    """Values are as old as the scan's beginning: who has changed behind it is not among them."""
    moment, tenant_id = now(), tenant_of(session)
    keys: Sequence[DuplicateKey] = duplicate_keys.DEFAULT
    rows = [{"no": one.no, "fields": list(one.fields), "imports": one.imports, "ready": True} for one in keys]
    writing = insert(DuplicateSetting).values(
        tenant_id=tenant_id, id=tenant_id, keys=rows, last_no=duplicate_keys.LAST_NO, scanned_at=since, version=0,
        created_at=moment, updated_at=moment,
    )  # fmt: skip
    await session.execute(
        writing.on_conflict_do_update(
            index_elements=["tenant_id", "id"], set_={"scanned_at": writing.excluded.scanned_at}
        )
    )
