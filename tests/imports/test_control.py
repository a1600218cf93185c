"""Dry runs, progress, pausing, resuming and cancelling."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from app.core.events import Event
from app.imports import merge as merging
from app.imports import running
from tests.factories.people import Workspace
from tests.imports.steps import (
    API,
    HEADERS,
    ROWS,
    bring,
    customers,
    people,
    ready,
    result,
    rows_of,
    run,
    table,
    undo,
    until,
)

pytestmark = pytest.mark.usefixtures("worker")
TWELVE = [["Họ tên", "SĐT"], *([f"Khách {n}", f"09123456{n:02d}"] for n in range(12))]


class Gate:
    """Lets one merge after the other through, each when the test says so."""

    def __init__(self) -> None:
        self.waiting, self.open = asyncio.Event(), asyncio.Semaphore(0)

    async def pass_through(self) -> None:
        """Waits for the test."""
        self.waiting.set()
        await self.open.acquire()


@pytest.fixture
async def gate(monkeypatch: pytest.MonkeyPatch, small_chunks: None) -> AsyncIterator[Gate]:
    """The real merge, one chunk at a time, behind a gate."""
    made, merge = Gate(), merging.merge

    async def gated(*args: Any, **options: Any) -> Any:
        await made.pass_through()
        return await merge(*args, **options)

    monkeypatch.setattr(running, "merge", gated)
    monkeypatch.setattr(running, "MERGES", 1)
    yield made
    for _ in range(100):
        made.open.release()


async def test_a_dry_run_writes_nothing(workspace: Workspace) -> None:
    await bring(workspace.admin, [HEADERS, ["Hoa", "0912345678", ""], ["Lan", "0912345679", ""]])
    before = await customers(workspace)
    rows = [
        HEADERS, ["Hoà", "0912345678", ""], ["Lan", "0912345679", ""], ["Mới", "0987654321", ""],
        ["Mới nữa", "0987654321", ""], ["Sai", "12", ""],
    ]  # fmt: skip
    found = await ready(workspace.admin, table(rows))
    tried = await run(workspace.admin, found["id"], dry_run=True, group={"name": "Chưa có"})
    assert (tried["state"], tried["dry_run"]) == ("succeeded", True)
    assert tried["counts"] == {"rows": 5, "created": 1, "updated": 3, "unchanged": 0, "skipped": 0, "failed": 1}
    told_rows = [(row["row"], row["status"], row["unchanged"]) for row in await rows_of(workspace.admin, found["id"])]
    assert told_rows == [
        (2, "updated", False), (3, "updated", False), (4, "created", False), (5, "updated", False),
        (6, "failed", False),
    ]  # fmt: skip
    assert await customers(workspace) == before
    assert (await workspace.admin.get(f"{API}/groups")).json()["items"] == []
    async with workspace.resources.db.transaction(workspace.id) as session:
        written = await session.scalar(select(func.count()).where(Event.batch_id == UUID(found["id"])))
    assert written == 0
    told = (await workspace.admin.get(f"{API}/notifications")).json()["items"][0]
    assert told["message"].startswith("Kiểm tra thử lần nhập kết thúc: khach.csv")
    done = await run(workspace.admin, found["id"], group={"name": "Chưa có"})
    assert (done["dry_run"], done["counts"]) == (False, tried["counts"])
    done_rows = [(row["row"], row["status"], row["unchanged"]) for row in await rows_of(workspace.admin, found["id"])]
    assert done_rows == told_rows


async def test_a_dry_run_knows_the_group_that_the_run_will_add(workspace: Workspace) -> None:
    rows = [[*HEADERS[:2], "Nhóm"], ["Hoa", "0912345678", "chua co"], ["Lan", "0912345679", ""],
            ["Nam", "0987654321", "Khác"]]  # fmt: skip
    await bring(workspace.admin, [HEADERS[:2], ["Hoa", "0912345678"], ["Lan", "0912345679"]])
    found = await ready(workspace.admin, table(rows))
    told = [await run(workspace.admin, found["id"], dry_run=dry, group={"name": "Chưa có"}) for dry in (True, False)]
    assert told[0]["counts"] == told[1]["counts"]
    assert (told[0]["counts"]["updated"], told[0]["counts"]["unchanged"], told[0]["counts"]["failed"]) == (2, 0, 1)
    # Now that it is there, nothing differs.
    again = await bring(workspace.admin, rows[:3], group={"name": "Chưa có"}, dry_run=True)
    assert (again["counts"]["updated"], again["counts"]["unchanged"]) == (2, 2)


async def test_a_dry_run_in_chunks_counts_as_the_run_does(workspace: Workspace, small_chunks: None) -> None:
    for number, policy in enumerate(("update", "skip", "reject")):
        rows = [HEADERS, *([f"Khách {n}", f"091234{number}67{n % 4}", ""] for n in range(11)), ["Sai", "1", ""]]
        found = await ready(workspace.admin, table(rows))
        told = await run(workspace.admin, found["id"], dry_run=True, on_duplicate_in_file=policy)
        real = await run(workspace.admin, found["id"], on_duplicate_in_file=policy)
        assert (told["dry_run"], real["dry_run"], real["counts"]) == (True, False, told["counts"])
        assert real["counts"]["created"] == 4
    assert real["counts"] == {"rows": 12, "created": 4, "updated": 0, "unchanged": 0, "skipped": 0, "failed": 8}


async def test_pause_resume_and_progress(workspace: Workspace, gate: Gate) -> None:
    found = await ready(workspace.admin, table(TWELVE))
    path = f"{API}/imports/{found['id']}"
    started = (await workspace.admin.post(f"{path}/start", json={})).json()
    assert started["state"] == "queued"
    await asyncio.wait_for(gate.waiting.wait(), 20)
    assert (await workspace.admin.get(path)).json()["state"] == "running"
    assert (await workspace.admin.post(f"{path}/start", json={})).json()["code"] == "import_state"
    assert (await workspace.admin.post(f"{path}/pause")).status_code == 202
    gate.open.release()
    paused = await until(workspace.admin, found["id"], ("paused",))
    done = paused["counts"]["created"]
    assert 0 < done < 12
    assert paused["progress"] == {"done": done, "total": 12}
    assert len(await customers(workspace)) == done
    assert (await workspace.admin.post(f"{path}/undo")).status_code == 409
    gate.open.release()
    await asyncio.sleep(0.3)
    still = (await workspace.admin.get(path)).json()
    assert (still["state"], still["counts"], still["progress"]) == ("paused", paused["counts"], paused["progress"])
    resumed = await workspace.admin.post(f"{path}/resume")
    assert (resumed.status_code, resumed.json()["state"] in ("queued", "running")) == (202, True)
    for _ in range(10):
        gate.open.release()
    ended = await until(workspace.admin, found["id"], ("succeeded",))
    assert ended["counts"]["created"] == 12
    assert len(await customers(workspace)) == 12


async def test_cancel_keeps_what_was_written(workspace: Workspace, gate: Gate) -> None:
    found = await ready(workspace.admin, table(TWELVE))
    path = f"{API}/imports/{found['id']}"
    await workspace.admin.post(f"{path}/start", json={})
    await asyncio.wait_for(gate.waiting.wait(), 20)
    assert (await workspace.admin.post(f"{path}/cancel")).status_code == 202
    gate.open.release()
    ended = await until(workspace.admin, found["id"], ("cancelled",))
    assert 0 < ended["counts"]["created"] < 12
    assert len(await customers(workspace)) == ended["counts"]["created"]
    assert (await workspace.admin.post(f"{path}/cancel")).json()["code"] == "import_state"
    assert len(await rows_of(workspace.admin, found["id"])) == ended["counts"]["rows"] == ended["counts"]["created"]
    [told] = (await workspace.admin.get(f"{API}/notifications")).json()["items"]
    assert told["message"].startswith("Import đã bị hủy: khach.csv")
    statuses = [row[-2] for row in (await result(workspace, found["id"]))[1:]]
    assert statuses.count("Thêm mới") == ended["counts"]["created"]
    assert statuses.count("Chưa xử lý") == 12 - ended["counts"]["created"]
    assert (await undo(workspace, found["id"]))["removed"] == ended["counts"]["created"]
    assert await customers(workspace) == {}


@pytest.mark.parametrize("door", ["imports", "jobs"])
async def test_a_paused_import_can_be_cancelled_at_once(workspace: Workspace, gate: Gate, door: str) -> None:
    """By its own address or as a job: it ends in the same way."""
    found = await ready(workspace.admin, table(TWELVE))
    path = f"{API}/imports/{found['id']}"
    await workspace.admin.post(f"{path}/start", json={})
    await asyncio.wait_for(gate.waiting.wait(), 20)
    await workspace.admin.post(f"{path}/pause")
    gate.open.release()
    await until(workspace.admin, found["id"], ("paused",))
    other = f"{API}/jobs/{(await workspace.admin.get(path)).json()['job_id']}"
    assert (await workspace.admin.post(f"{path if door == 'imports' else other}/cancel")).status_code == 202
    ended = await until(workspace.admin, found["id"], ("cancelled",), seconds=5)
    assert ended["counts"]["created"] == len(await customers(workspace))
    assert ended["finished_at"] is not None
    notices = (await workspace.admin.get(f"{API}/notifications")).json()["items"]
    assert notices[0]["message"].startswith("Import đã bị hủy: khach.csv")


async def test_progress_is_streamed_to_the_end(workspace: Workspace, small_chunks: None) -> None:
    found = await ready(workspace.admin, table(people(60)))
    path = f"/imports/{found['id']}"
    await workspace.admin.post(f"{API}{path}/start", json={})
    events = [one async for one in watched(workspace, path)]
    assert [kind for kind, _ in events] == ["progress"] * (len(events) - 1) + ["end"]
    done = [data["progress"]["done"] for _, data in events]
    assert done == sorted(done)
    assert done[0] < 60
    last = events[-1][1]
    assert (last["state"], last["counts"]["created"]) == ("succeeded", 60)
    assert last["progress"] == {"done": 60, "total": 60}
    assert [kind for kind, _ in [one async for one in watched(workspace, path)]] == ["progress", "end"]
    of_job = [one async for one in watched(workspace, f"/jobs/{last['job_id']}")]
    assert (of_job[-1][0], of_job[-1][1]["state"]) == ("end", "succeeded")
    assert "progress" in of_job[-1][1]


async def watched(workspace: Workspace, path: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """The events of an import or a job as they come."""
    kind = ""
    async with workspace.admin.stream("GET", f"{API}{path}/events", timeout=30) as reply:
        assert reply.status_code == 200
        assert reply.headers["content-type"].startswith("text/event-stream")
        async for line in reply.aiter_lines():
            name, _, value = line.partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                yield kind, json.loads(value)


@pytest.mark.feature("A079", "A083")
async def test_the_end_is_told_to_who_started(workspace: Workspace) -> None:
    sale = await workspace.person(permissions=["customers.view", "customers.edit", "customers.import"])
    found = await bring(sale.client, [*ROWS, ["Sai", "12", ""]])
    page = (await sale.client.get(f"{API}/notifications", params={"unread": True})).json()
    [told] = page["items"]
    assert (page["unread"], told["kind"], told["subject_type"], told["subject_id"]) == (
        1, "import_finished", "import", found["id"],
    )  # fmt: skip
    assert told["message"] == "Import kết thúc: khach.csv – 2 thêm mới, 0 cập nhật, 0 bỏ qua, 1 lỗi"
    assert told["data"]["counts"] == found["counts"]
    read = await sale.client.post(f"{API}/notifications/{told['id']}/read")
    assert read.json()["read_at"] is not None
    assert (await sale.client.get(f"{API}/notifications")).json()["unread"] == 0
    assert (await workspace.admin.get(f"{API}/notifications")).json()["items"] == []
