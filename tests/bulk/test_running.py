"""Bulk jobs on their way: parts, pause, resume, cancel, and what changes while they wait."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from app.bulk import service
from app.core import jobs
from app.core.actor import Actor
from app.core.clock import now
from app.core.events import Event
from app.core.jobs import Job
from app.customers import batches
from app.customers.batches import BatchItem, ChosenPart
from tests.bulk.steps import API, add, ask, do, edit, group, items, read, undo, until
from tests.factories.people import Workspace
from workers.main import WorkerProcess


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of three customers, so that few have many."""
    monkeypatch.setattr(batches, "PART", 3)


async def hold(workspace: Workspace, *, free: bool = False) -> None:
    """Takes the lane of bulk work, or frees it again."""
    actor = Actor(workspace.id, "user", workspace.administrator.id, "x")
    async with workspace.resources.db.transaction(workspace.id) as session:
        if free:
            await session.execute(
                update(Job)
                .where(Job.kind == "test.hold")
                .values(state="succeeded", lease_token=None, lease_until=None, finished_at=now())
            )
            return
        held = await jobs.enqueue(session, actor, "test.hold", queue="bulk", delay=timedelta(0))
        await session.execute(
            update(Job)
            .where(Job.id == held)
            .values(
                state="running", lane="bulk", lease_token=held, lease_until=func.now() + func.make_interval(0, 0, 0, 1)
            )
        )  # fmt: skip


async def count(workspace: Workspace, table: Any) -> int:
    """How many rows of a table the workspace has."""
    async with workspace.resources.db.transaction(workspace.id) as session:
        query = select(func.count()).select_from(table).where(table.tenant_id == workspace.id)
        return int(await session.scalar(query) or 0)


@pytest.mark.feature("E009")
async def test_many_parts_make_one_batch(workspace: Workspace, worker: WorkerProcess, small_parts: None) -> None:
    made = await add(workspace.admin, 10, note="a")
    job = await do(workspace.admin, "set_field", {"filter": {}}, field="note", value="b", expected_count=10)
    assert job["result"] == {"changed": 10, "unchanged": 0, "skipped": 0}
    assert job["progress"]["done"] == job["progress"]["total"] == 10
    assert len(await items(workspace.admin, job["id"])) == 10
    async with workspace.resources.db.transaction(workspace.id) as session:
        told = list(await session.scalars(select(Event).where(Event.kind == "customer.updated")))
    assert {str(one.batch_id) for one in told} == {job["id"]}
    assert {str(one.subject_id) for one in told} == {one["id"] for one in made}
    assert await count(workspace, ChosenPart) == 0
    undone = await undo(workspace.admin, job["id"])
    assert undone["result"] == {"restored": 10, "kept": 0}
    assert undone["progress"]["done"] == 10
    assert len(await items(workspace.admin, undone["id"], undone="restored")) == 10
    again = await workspace.admin.post(f"{API}/jobs/{job['id']}/undo")
    assert (again.status_code, again.json()["code"]) == (409, "job_not_undoable")


async def test_the_choice_is_fixed_when_it_was_counted(
    workspace: Workspace, worker: WorkerProcess, small_parts: None
) -> None:
    made = await add(workspace.admin, 4, address="Hà Nội")
    await hold(workspace)
    chosen = {"filter": {"field": "address", "op": "eq", "value": "Hà Nội"}}
    reply = await ask(workspace.admin, "set_field", chosen, field="note", value="x", expected_count=4)
    await edit(workspace.admin, made[0]["id"], address="Huế")
    [late] = await add(workspace.admin, 1, address="Hà Nội")
    await hold(workspace, free=True)
    job = await until(workspace.admin, reply.json()["id"])
    assert job["result"]["changed"] == 4
    assert (await read(workspace.admin, made[0]["id"]) or {})["note"] == "x"
    assert (await read(workspace.admin, late["id"]) or {})["note"] is None


async def test_a_job_pauses_resumes_and_is_cancelled_between_parts(
    workspace: Workspace, worker: WorkerProcess, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await add(workspace.admin, 30)
    first = service.apply
    asked = ["pause"]

    async def stopping(session: Any, actor: Any, registry: Any, batch_id: Any, *rest: Any) -> Any:
        found = await first(session, actor, registry, batch_id, *rest)
        while asked:
            # As the API does it: in a transaction of its own.
            async with workspace.resources.db.transaction(workspace.id) as other:
                await getattr(jobs, asked.pop())(other, actor, batch_id)
        return found

    monkeypatch.setattr("app.bulk.running.apply", stopping)
    reply = await ask(workspace.admin, "set_field", {"filter": {}}, field="note", value="x", expected_count=30)
    paused = await until(workspace.admin, reply.json()["id"], "paused")
    done = paused["progress"]["done"]
    # The part that asked, those beside it, and none that would begin after them.
    assert done in (3, 6, 9)
    assert paused["progress"]["counts"]["changed"] == done
    assert (await workspace.admin.post(f"{API}/jobs/{paused['id']}/undo")).json()["code"] == "job_not_undoable"
    asked.append("cancel")
    await workspace.admin.post(f"{API}/jobs/{paused['id']}/resume")
    ended = await until(workspace.admin, paused["id"])
    assert ended["state"] == "cancelled"
    assert ended["progress"]["done"] in (done + 3, done + 6, done + 9)
    done = ended["progress"]["done"]
    notes = [(await read(workspace.admin, one["id"]) or {})["note"] for one in made]
    assert sorted(notes, key=str) == [None] * (30 - done) + ["x"] * done
    assert await count(workspace, ChosenPart) == 0
    assert (await undo(workspace.admin, ended["id"]))["result"] == {"restored": done, "kept": 0}
    assert [(await read(workspace.admin, one["id"]) or {})["note"] for one in made] == [None] * 30


async def test_a_choice_is_forgotten_whose_job_never_began(
    workspace: Workspace, worker: WorkerProcess, small_parts: None
) -> None:
    await add(workspace.admin, 4)
    await hold(workspace)
    asked = []
    for action, params in (
        ("set_field", {"field": "note", "value": "x"}),
        ("export", {}),
        ("set_field", {"field": "note"}),
    ):
        reply = await ask(workspace.admin, action, {"filter": {}}, expected_count=4, **params)
        assert reply.status_code == 202, reply.text
        paused = await workspace.admin.post(f"{API}/jobs/{reply.json()['id']}/pause")
        assert paused.status_code == 202, paused.text
        asked.append(reply.json()["id"])
    for one in asked[:2]:
        assert (await workspace.admin.post(f"{API}/jobs/{one}/cancel")).status_code == 202
    await hold(workspace, free=True)
    for one in asked[:2]:
        assert (await until(workspace.admin, one))["state"] == "cancelled"
    assert await count(workspace, ChosenPart) == 2
    await workspace.admin.post(f"{API}/jobs/{asked[2]}/resume")
    assert (await until(workspace.admin, asked[2]))["state"] == "succeeded"
    assert await count(workspace, ChosenPart) == 0


async def test_a_part_that_fails_is_done_again_and_once(
    workspace: Workspace, worker: WorkerProcess, small_parts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await add(workspace.admin, 6)
    first, failures = service.apply, [2]

    async def failing(*args: Any) -> Any:
        found = await first(*args)
        failures[0] -= 1
        if failures[0] == 0:
            raise ConnectionError
        return found

    monkeypatch.setattr("app.bulk.running.apply", failing)
    job = await do(workspace.admin, "set_field", {"filter": {}}, field="note", value="x", expected_count=6)
    assert (job["state"], job["result"]["changed"]) == ("succeeded", 6)
    assert [(await read(workspace.admin, one["id"]) or {})["version"] for one in made] == [2] * 6
    assert await count(workspace, BatchItem) == 6


async def test_whoever_lost_the_right_meanwhile_changes_nobody(
    workspace: Workspace, worker: WorkerProcess, small_parts: None
) -> None:
    manager = await workspace.person("manager")
    [one] = await add(workspace.admin, 1)
    await hold(workspace)
    reply = await ask(manager.client, "set_field", {"filter": {}}, field="note", value="x", expected_count=1)
    assert reply.status_code == 202
    await workspace.deactivate(manager)
    await hold(workspace, free=True)
    job = await until(workspace.admin, reply.json()["id"])
    assert (job["state"], job["error"]["code"]) == ("failed", "forbidden")
    assert (await read(workspace.admin, one["id"]) or {})["version"] == 1
    assert await count(workspace, ChosenPart) == 0


async def test_a_value_that_is_no_more_ends_the_job(
    workspace: Workspace, worker: WorkerProcess, small_parts: None
) -> None:
    made = await workspace.admin.post(f"{API}/sources", json={"name": "Sắp xóa"})
    await add(workspace.admin, 1)
    await hold(workspace)
    reply = await ask(workspace.admin, "source", {"filter": {}}, value="Sắp xóa", expected_count=1)
    await workspace.admin.delete(
        f"{API}/sources/{made.json()['id']}", headers={"If-Match": made.headers.get("etag", '"1"')}
    )
    await hold(workspace, free=True)
    job = await until(workspace.admin, reply.json()["id"])
    assert (job["state"], job["error"]["code"]) == ("failed", "params_gone")


async def test_points_of_groups_move_scores_and_the_undo_moves_them_back(
    workspace: Workspace, worker: WorkerProcess
) -> None:
    vip = await group(workspace, "VIP")
    changed = await workspace.admin.patch(f"{API}/groups/{vip['id']}", json={"points": 40}, headers={"If-Match": '"1"'})
    assert changed.status_code == 200, changed.text
    [one] = await add(workspace.admin, 1)
    job = await do(workspace.admin, "groups_add", [one["id"]], groups=["VIP"])
    assert (await read(workspace.admin, one["id"]) or {})["score"] == 40
    assert (await undo(workspace.admin, job["id"]))["result"] == {"restored": 1, "kept": 0}
    assert (await read(workspace.admin, one["id"]) or {})["score"] == 0
