"""Looking for work costs what the queued and running jobs cost, however many have ended."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import event

from app.core.actor import Actor
from tests.jobs.machine import Machine, somebody

ENDED, QUEUED, WORKSPACES = 20_000, 200, 20
FILL = """
    INSERT INTO crm.job
        (tenant_id, id, kind, queue, state, args, lane, run_at, stoppable, attempt, max_attempts, claims, progress,
         result, created_by_kind, created_by_name, version, created_at, updated_at, finished_at)
    SELECT ($1::uuid[])[1 + n % cardinality($1)], uuidv7(), 'test.work', 'bulk',
           CASE WHEN n > $2::int THEN 'queued' ELSE 'succeeded' END, '{}',
           CASE WHEN n % 3 = 0 THEN 'l' || n % 5 END, now() - n * interval '1 second', true, 0, 5, 0, '{}', '{}',
           'system', '', 1, now(), now(), CASE WHEN n <= $2 THEN now() END
    FROM generate_series(1, $2 + $3::int) n
"""
Statement = tuple[str, tuple[Any, ...]]


@contextmanager
def sent(jobbing: Machine) -> Iterator[list[Statement]]:
    """The statements about jobs that are sent meanwhile, with their arguments."""
    found: list[Statement] = []
    engine = jobbing.resources.db.engine.sync_engine

    def keep(_connection: Any, _cursor: Any, statement: str, args: tuple[Any, ...], *_: Any) -> None:
        if "crm.job" in statement:
            found.append((statement, tuple(args)))

    event.listen(engine, "before_cursor_execute", keep)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", keep)


async def scans(jobbing: Machine, tenant_id: UUID, role: str, statement: Statement) -> list[tuple[str, str]]:
    """The scans in the statement's plan: their kind, and their index or their table."""
    connection = jobbing.owner
    async with connection.transaction():
        await connection.execute(f"SET LOCAL ROLE {role}")
        if role == "crm_app":
            await connection.execute("SELECT crm.use_tenant($1)", tenant_id)
        query, args = statement
        plan = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {query}", *args)
    return list(_scans(json.loads(plan)[0]["Plan"]))


def _scans(plan: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if plan["Node Type"].endswith("Scan") and "Bitmap Heap" not in plan["Node Type"]:
        yield plan["Node Type"], plan.get("Index Name") or plan["Relation Name"]
    for part in plan.get("Plans", []):
        yield from _scans(part)


async def test_looking_for_work_reads_no_other_jobs(jobbing: Machine, actor: Actor) -> None:
    tenants = [actor.tenant_id, *(somebody().tenant_id for _ in range(WORKSPACES - 1))]
    await jobbing.owner.execute(FILL, tenants, ENDED, QUEUED)
    await jobbing.owner.execute("ANALYZE crm.job")
    runner = jobbing.runner({})
    # Then a sweep looks, and takes nothing.
    await runner.stop()

    with sent(jobbing) as sweep:
        await runner.sweep()
    due = next(one for one in sweep if "GROUP BY" in one[0])
    assert {index for _, index in await scans(jobbing, actor.tenant_id, "crm_dispatch", due)} == {"job_due_ix"}

    with sent(jobbing) as asking:
        job_id = await runner._next("bulk", actor.tenant_id)
    assert job_id
    found = await scans(jobbing, actor.tenant_id, "crm_app", asking[0])
    assert {kind for kind, _ in found} == {"Index Scan"}, found
    assert {index for _, index in found} == {"job_due_ix", "job_lane_ix"}, found

    with sent(jobbing) as claiming:
        assert await runner._claim(actor.tenant_id, job_id)
    claim = next(one for one in claiming if one[0].lstrip().startswith("UPDATE"))
    indexes = {index for _, index in await scans(jobbing, actor.tenant_id, "crm_app", claim)}
    assert "job_lane_ix" in indexes
    assert indexes <= {"job_lane_ix", "job_due_ix", "job_pk"}
