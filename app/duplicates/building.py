"""Finds the values of all customers under the keys that are stored, in chunks by id, set-based."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import jobs
from app.core.actor import Actor
from app.core.clock import now
from app.core.db import driver, tenant_of
from app.core.events import record
from app.core.runner import Done, Outcome, Run
from app.customers import duplicate_keys
from app.customers.duplicate_keys import DuplicateKey
from app.duplicates import reasons, settings
from app.duplicates.models import DuplicateSetting

__all__ = ["SCAN", "build", "enqueue_scan", "scan"]

SCAN = "duplicates.scan"
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
    return await _for_everybody(run, [key.no for key in found], [statement]) or Done(effect=_scanned)


async def _for_everybody(run: Run, numbers: Sequence[int], statements: Sequence[str]) -> Outcome | None:
    """Runs the statements for all customers. Where the keys have changed since the last turn, it begins anew."""
    if run.progress.get("keys") != list(numbers):
        run.progress = {"keys": list(numbers)}
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


async def _scanned(session: AsyncSession) -> None:
    moment, tenant_id = now(), tenant_of(session)
    keys: Sequence[DuplicateKey] = duplicate_keys.DEFAULT
    rows = [{"no": one.no, "fields": list(one.fields), "imports": one.imports, "ready": True} for one in keys]
    writing = insert(DuplicateSetting).values(
        tenant_id=tenant_id, id=tenant_id, keys=rows, last_no=duplicate_keys.LAST_NO, scanned_at=moment, version=0,
        created_at=moment, updated_at=moment,
    )  # fmt: skip
    await session.execute(
        writing.on_conflict_do_update(
            index_elements=["tenant_id", "id"], set_={"scanned_at": writing.excluded.scanned_at}
        )
    )
