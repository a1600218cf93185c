"""Dry runs, progress, pausing, resuming and cancelling."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.imports import merge as merging
from app.imports import running
from tests.factories.people import Workspace
from tests.imports.steps import API, bring, customers, ready, rows_of, run, table, until

pytestmark = pytest.mark.usefixtures("worker")
ROWS = [["Họ tên", "SĐT"], *([f"Khách {n}", f"09123456{n:02d}"] for n in range(12))]


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


async def test_a_dry_run_tells_what_would_happen_and_writes_nothing(workspace: Workspace) -> None:
    await bring(workspace.admin, [["Tên", "SĐT", "Email"], ["Hoa", "0912345678", ""], ["Nam", "0987654321", ""]])
    before = await customers(workspace)
    found = await ready(
        workspace.admin,
        table([["Tên", "SĐT", "Email"], ["Hoa", "0912345678", "hoa@example.com"], ["Nam", "0987654321", ""],
               ["Mới", "0911111111", ""], ["Mới nữa", "0911111111", ""], ["Sai", "12", "x"]]),
    )  # fmt: skip
    told = await run(workspace.admin, found["id"], dry_run=True, group={"name": "Chưa có"})
    expected = {"rows": 5, "created": 1, "updated": 3, "unchanged": 1, "skipped": 0, "failed": 1}
    assert (told["state"], told["dry_run"], told["counts"]) == ("succeeded", True, expected)
    assert await customers(workspace) == before
    assert (await workspace.admin.get(f"{API}/groups")).json()["items"] == []
    rows = await rows_of(workspace.admin, found["id"])
    assert [(row["status"], row["unchanged"]) for row in rows] == [
        ("updated", False), ("updated", True), ("created", False), ("updated", False), ("failed", False),
    ]  # fmt: skip
    done = await run(workspace.admin, found["id"])
    assert (done["dry_run"], done["counts"]) == (False, expected)
    assert [row["status"] for row in await rows_of(workspace.admin, found["id"])] == [row["status"] for row in rows]


async def test_a_dry_run_in_chunks_counts_as_the_run_does(workspace: Workspace, small_chunks: None) -> None:
    rows = [["Tên", "SĐT"], *([f"Khách {n}", f"091234567{n % 4}"] for n in range(11)), ["Sai", "1"]]
    found = await ready(workspace.admin, table(rows))
    for policy in ("update", "skip", "reject"):
        told = await run(workspace.admin, found["id"], dry_run=True, on_duplicate_in_file=policy)
        done = await bring(workspace.admin, rows, on_duplicate_in_file=policy, dry_run=True)
        assert told["counts"] == done["counts"]
    assert told["counts"] == {"rows": 12, "created": 4, "updated": 0, "unchanged": 0, "skipped": 0, "failed": 8}
    real = await run(workspace.admin, found["id"], on_duplicate_in_file="reject")
    assert real["counts"] == told["counts"]


async def test_pause_resume_and_progress(workspace: Workspace, gate: Gate) -> None:
    found = await ready(workspace.admin, table(ROWS))
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
    assert (await workspace.admin.post(f"{path}/resume")).status_code == 202
    for _ in range(10):
        gate.open.release()
    ended = await until(workspace.admin, found["id"], ("succeeded",))
    assert ended["counts"]["created"] == 12
    assert len(await customers(workspace)) == 12


async def test_cancel_keeps_what_was_written(workspace: Workspace, gate: Gate) -> None:
    found = await ready(workspace.admin, table(ROWS))
    path = f"{API}/imports/{found['id']}"
    await workspace.admin.post(f"{path}/start", json={})
    await asyncio.wait_for(gate.waiting.wait(), 20)
    assert (await workspace.admin.post(f"{path}/cancel")).status_code == 202
    gate.open.release()
    ended = await until(workspace.admin, found["id"], ("cancelled",))
    assert 0 < ended["counts"]["created"] < 12
    assert len(await customers(workspace)) == ended["counts"]["created"]
    assert (await workspace.admin.post(f"{path}/cancel")).json()["code"] == "import_state"
    assert (await workspace.admin.post(f"{path}/undo")).status_code == 202
    await until(workspace.admin, found["id"], ("undone",))
    assert await customers(workspace) == {}


async def test_a_paused_import_can_be_cancelled_at_once(workspace: Workspace, gate: Gate) -> None:
    found = await ready(workspace.admin, table(ROWS))
    path = f"{API}/imports/{found['id']}"
    await workspace.admin.post(f"{path}/start", json={})
    await asyncio.wait_for(gate.waiting.wait(), 20)
    await workspace.admin.post(f"{path}/pause")
    gate.open.release()
    await until(workspace.admin, found["id"], ("paused",))
    assert (await workspace.admin.post(f"{path}/cancel")).json()["state"] == "cancelled"
    notices = (await workspace.admin.get(f"{API}/notifications")).json()["items"]
    assert notices[0]["message"].startswith("Import đã bị hủy: khach.csv")


async def test_progress_is_streamed(workspace: Workspace, small_chunks: None) -> None:
    found = await ready(workspace.admin, table(ROWS))
    await workspace.admin.post(f"{API}/imports/{found['id']}/start", json={})
    for path, key in ((f"/imports/{found['id']}", "counts"), ("/jobs/{job}", "progress")):
        job = (await workspace.admin.get(f"{API}/imports/{found['id']}")).json()["job_id"]
        reply = await workspace.admin.get(f"{API}{path.format(job=job)}/events", timeout=30)
        assert reply.headers["content-type"].startswith("text/event-stream")
        events = [dict(line.split(": ", 1) for line in part.splitlines()) for part in reply.text.strip().split("\n\n")]
        assert [one["event"] for one in events][-1] == "end"
        last = json.loads(events[-1]["data"])
        assert last["state"] == "succeeded"
        assert key in last


@pytest.mark.feature("A079")
async def test_the_end_is_told(workspace: Workspace) -> None:
    found = await bring(workspace.admin, [["Tên", "SĐT"], ["Hoa", "0912345678"], ["Sai", "1"]])
    page = (await workspace.admin.get(f"{API}/notifications", params={"unread": True})).json()
    [notice] = page["items"]
    assert (page["unread"], notice["kind"], notice["subject_id"]) == (1, "import_finished", found["id"])
    assert notice["message"] == "Import kết thúc: khach.csv – 1 thêm mới, 0 cập nhật, 0 bỏ qua, 1 lỗi"
    assert notice["data"]["counts"]["failed"] == 1
    read = await workspace.admin.post(f"{API}/notifications/{notice['id']}/read")
    assert read.json()["read_at"] is not None
    assert (await workspace.admin.get(f"{API}/notifications")).json()["unread"] == 0
