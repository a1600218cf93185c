"""Ended jobs go after their time, with what hangs on them; what somebody still needs stays."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, update

from app.bulk.expiry import KEPT, delete_old_jobs
from app.bulk.models import BulkChange
from app.core import jobs
from app.core.actor import Actor
from app.core.clock import now
from app.core.jobs import Job
from app.customers.batches import BatchItem
from app.exports.expiry import delete_old_exports
from app.exports.models import Export
from app.imports.models import Import
from tests.bulk.steps import API, add, do, history, items, undo
from tests.exports.steps import export
from tests.factories.people import Workspace
from tests.imports.steps import bring
from workers.main import WorkerProcess

LONG_AGO = KEPT + timedelta(minutes=1)


@pytest.fixture(autouse=True)
def working(worker: WorkerProcess) -> WorkerProcess:
    """Jobs that the tests start are done."""
    return worker


async def age(workspace: Workspace, *job_ids: str, by: timedelta = LONG_AGO) -> None:
    """Makes jobs older than they are; without ids all of them."""
    shifted = update(Job).values(created_at=Job.created_at - by, finished_at=Job.finished_at - by)
    async with workspace.resources.db.transaction(workspace.id) as session:
        await session.execute(shifted.where(Job.id.in_(map(UUID, job_ids))) if job_ids else shifted)


async def clean(workspace: Workspace, limit: int = 1000) -> int:
    """One part of a visit; how many rows went."""
    async with workspace.resources.db.transaction(workspace.id) as session:
        return await delete_old_jobs(session, limit)


async def left(workspace: Workspace, table: Any) -> int:
    """How many rows of a table the workspace has."""
    async with workspace.resources.db.transaction(workspace.id) as session:
        query = select(func.count()).select_from(table).where(table.tenant_id == workspace.id)
        return int(await session.scalar(query) or 0)


async def status(workspace: Workspace, job_id: str) -> int:
    """What reading a job answers."""
    return (await workspace.admin.get(f"{API}/jobs/{job_id}")).status_code


async def change(workspace: Workspace, ids: list[str], note: str) -> str:
    """A bulk change's job."""
    job_id: str = (await do(workspace.admin, "set_field", ids, field="note", value=note))["id"]
    return job_id


async def test_an_old_bulk_change_goes_with_its_items_and_its_undo(workspace: Workspace) -> None:
    ids = [one["id"] for one in await add(workspace.admin, 3)]
    old, recent = [await change(workspace, ids, note) for note in "ab"]
    await age(workspace, old)
    await age(workspace, recent, by=KEPT - timedelta(minutes=5))
    assert await clean(workspace) == 4
    assert await clean(workspace) == 0
    assert (await status(workspace, old), await status(workspace, recent)) == (404, 200)
    assert (await workspace.admin.post(f"{API}/jobs/{old}/undo")).status_code == 404
    assert await left(workspace, BatchItem) == 3
    assert old in {one["batch_id"] for one in await history(workspace.admin, ids[0])}
    assert (await undo(workspace.admin, recent))["result"] == {"restored": 3, "kept": 0}


async def test_items_go_part_by_part_and_the_undo_first(workspace: Workspace) -> None:
    job_id = await change(workspace, [one["id"] for one in await add(workspace.admin, 5)], "a")
    await age(workspace, job_id)
    assert await clean(workspace, 2) == 2
    assert (await left(workspace, BatchItem), await left(workspace, BulkChange)) == (3, 0)
    reply = await workspace.admin.post(f"{API}/jobs/{job_id}/undo")
    assert (reply.status_code, reply.json()["code"]) == (409, "job_not_undoable")
    assert [await clean(workspace, 2) for _ in range(3)] == [2, 2, 0]
    assert await status(workspace, job_id) == 404


async def test_a_change_stays_as_long_as_its_undo(workspace: Workspace) -> None:
    job_id = await change(workspace, [one["id"] for one in await add(workspace.admin, 2)], "a")
    back = (await undo(workspace.admin, job_id))["id"]
    await age(workspace, job_id)
    assert await clean(workspace) == 0
    assert len(await items(workspace.admin, back, undone="restored")) == 2
    await age(workspace, back)
    assert [await clean(workspace) for _ in range(3)] == [3, 1, 0]
    assert [await status(workspace, one) for one in (job_id, back)] == [404, 404]


async def test_an_undo_that_has_not_ended_keeps_its_change(workspace: Workspace) -> None:
    job_id = await change(workspace, [one["id"] for one in await add(workspace.admin, 2)], "a")
    actor = Actor(workspace.id, "user", workspace.administrator.id, "x")
    async with workspace.resources.db.transaction(workspace.id) as session:
        waiting = await jobs.enqueue(session, actor, "test.waits", queue="bulk", delay=timedelta(days=1))
        await session.execute(update(BulkChange).where(BulkChange.id == UUID(job_id)).values(undo_job_id=waiting))
    await age(workspace)
    assert await clean(workspace) == 0
    assert (await left(workspace, BatchItem), await status(workspace, str(waiting))) == (2, 200)


async def test_a_dead_job_that_must_happen_stays(workspace: Workspace) -> None:
    actor = Actor(workspace.id, "user", workspace.administrator.id, "x")
    made = []
    async with workspace.resources.db.transaction(workspace.id) as session:
        for stoppable in (False, True):
            job_id = await jobs.enqueue(
                session, actor, "test.dies", queue="bulk", delay=timedelta(days=1), stoppable=stoppable
            )
            await session.execute(update(Job).where(Job.id == job_id).values(state="dead", finished_at=now()))
            made.append(str(job_id))
    await age(workspace)
    assert await clean(workspace) == 1
    assert [await status(workspace, one) for one in made] == [200, 404]


async def test_an_export_goes_with_its_job_once_its_file_has(workspace: Workspace) -> None:
    await add(workspace.admin, 1)
    made = await export(workspace.admin)
    await age(workspace)
    assert await clean(workspace) == 0
    async with workspace.resources.db.transaction(workspace.id) as session:
        await session.execute(update(Export).values(expires_at=now()))
    assert await delete_old_exports(workspace.resources, workspace.id) == 1
    assert await clean(workspace) == 1
    assert (await workspace.admin.get(f"{API}/exports/{made['id']}")).status_code == 404
    assert await left(workspace, Export) == 0


async def test_an_import_can_be_undone_when_its_jobs_are_gone(workspace: Workspace) -> None:
    done = await bring(workspace.admin, [["Tên", "SĐT"], ["Hoa", "0912345678"]])
    await age(workspace)
    while await clean(workspace):
        pass
    assert await status(workspace, done["job_id"]) == 404
    shown = (await workspace.admin.get(f"{API}/imports/{done['id']}")).json()
    assert (shown["state"], shown["counts"]["created"]) == ("succeeded", 1)
    assert (await workspace.admin.get(f"{API}/imports/{done['id']}/rows")).json()["items"][0]["status"] == "created"
    assert (await workspace.admin.post(f"{API}/imports/{done['id']}/undo")).status_code == 202


async def test_the_job_that_an_import_has_its_state_from_stays(workspace: Workspace) -> None:
    done = await bring(workspace.admin, [["Tên", "SĐT"], ["Hoa", "0912345678"]])
    import_id = UUID(done["id"])
    actor = Actor(workspace.id, "user", workspace.administrator.id, "x")
    async with workspace.resources.db.transaction(workspace.id) as session:
        job_id = await jobs.enqueue(
            session, actor, "test.dies", queue="bulk", delay=timedelta(days=1), subject_id=import_id
        )
        await session.execute(update(Job).where(Job.id == job_id).values(state="dead", finished_at=now()))
        await session.execute(update(Import).where(Import.id == import_id).values(state="queued", job_id=job_id))
    await age(workspace)
    while await clean(workspace):
        pass
    assert await status(workspace, str(job_id)) == 200
    assert (await workspace.admin.get(f"{API}/imports/{import_id}")).json()["state"] == "failed"
    async with workspace.resources.db.transaction(workspace.id) as session:
        await session.execute(update(Import).where(Import.id == import_id).values(state="failed"))
    while await clean(workspace):
        pass
    assert await status(workspace, str(job_id)) == 404


async def test_another_workspaces_jobs_are_not_touched(workspace: Workspace, new_workspace: Any) -> None:
    other = await new_workspace()
    theirs = await change(other, [one["id"] for one in await add(other.admin, 1)], "a")
    await age(other)
    assert await clean(workspace) == 0
    assert await status(other, theirs) == 200
    await other.aclose()
