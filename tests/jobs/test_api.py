"""Background work over HTTP: who sees it, who may stop it, and how it is watched."""

import ast
import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select

from app.core import jobs
from app.core.actor import Actor
from app.core.clock import new_id, now
from app.core.jobs import Job
from tests.conftest import MakeWorkspace
from tests.factories.people import Person, Workspace

API = "/api/v1/jobs"
LATER = timedelta(days=300)
"""Nobody takes a job that is not due, so that its state is the test's own."""


async def enqueued(workspace: Workspace, who: Person, kind: str = "test.later", **options: Any) -> str:
    """A job of somebody's that no worker will take."""
    actor = Actor(workspace.id, "user", who.id, who.username)
    async with workspace.resources.db.transaction(workspace.id) as session:
        return str(
            await jobs.enqueue(
                session, actor, kind, queue="bulk", delay=LATER,
                progress={"done": 0, "total": 9, "next": 3, "started": True}, **options,
            )
        )  # fmt: skip


@pytest.fixture
async def mine(workspace: Workspace) -> Any:
    """A job of the administrator's, which has ended when the test has."""
    job_id = await enqueued(workspace, workspace.administrator)
    yield job_id
    await ended(workspace, job_id, "cancelled")


async def asked(client: httpx.AsyncClient, job_id: str, verb: str) -> tuple[int, str]:
    """The status of the reply to a verb, and the job's state or the refusal's code."""
    reply = await client.post(f"{API}/{job_id}/{verb}")
    return reply.status_code, reply.json()["state" if reply.is_success else "code"]


async def test_a_job_shows_its_progress_and_not_its_workings(workspace: Workspace, mine: str) -> None:
    reply = await workspace.admin.get(f"{API}/{mine}")
    job = reply.json()
    assert (reply.status_code, job["state"], job["kind"]) == (200, "queued", "test.later")
    assert job["progress"] == {"done": 0, "total": 9, "counts": {}}
    assert (job["created_by"], job["asked"], job["error"]) == (str(workspace.administrator.id), None, None)
    assert reply.headers["etag"] == f'"{job["version"]}"'
    assert {"args", "lease_token", "lane"}.isdisjoint(job)


async def test_a_sale_sees_their_own(workspace: Workspace, mine: str) -> None:
    sale = await workspace.person()
    theirs = await enqueued(workspace, sale)
    assert await listed(sale.client) == [theirs]
    assert await listed(workspace.admin) == [theirs, mine]
    assert (await sale.client.get(f"{API}/{theirs}")).status_code == 200
    for method, part in (("GET", ""), ("GET", "/events"), ("POST", "/pause"), ("POST", "/resume"), ("POST", "/cancel")):
        reply = await sale.client.request(method, f"{API}/{mine}{part}")
        assert (reply.status_code, reply.json()["code"]) == (404, "not_found"), part
    assert (await workspace.admin.get(f"{API}/{mine}")).json()["version"] == 1
    overseer = await workspace.person(permissions=["jobs.view_all"])
    assert await listed(overseer.client) == [theirs, mine]
    for verb in ("pause", "resume", "cancel"):
        assert await asked(overseer.client, theirs, verb) == (403, "forbidden"), "to see is not to stop"
    lead = await workspace.person(permissions=["jobs.view_all", "jobs.control"])
    assert await asked(lead.client, theirs, "cancel") == (202, "queued")
    assert (await sale.client.get(f"{API}/{theirs}")).json()["asked"] == "cancel"
    await ended(workspace, theirs, "cancelled")


async def test_what_must_be_done_cannot_be_stopped(workspace: Workspace) -> None:
    job_id = await enqueued(workspace, workspace.administrator, stoppable=False)
    assert not (await workspace.admin.get(f"{API}/{job_id}")).json()["stoppable"]
    for verb in ("pause", "cancel"):
        assert await asked(workspace.admin, job_id, verb) == (409, "job_not_stoppable")
    await ended(workspace, job_id, "dead")
    assert await asked(workspace.admin, job_id, "cancel") == (409, "job_not_stoppable")
    assert await asked(workspace.admin, job_id, "resume") == (202, "queued")
    found = (await workspace.admin.get(f"{API}/{job_id}")).json()
    assert (found["finished_at"], found["version"]) == (None, 2)
    await ended(workspace, job_id, "succeeded")
    stoppable = await enqueued(workspace, workspace.administrator)
    await ended(workspace, stoppable, "dead")
    assert await asked(workspace.admin, stoppable, "resume") == (409, "job_state"), "its domain knows that it is dead"


@pytest.mark.parametrize(("spoken", "state", "error"), [
    ("vi", "đã hủy", "Hệ thống gặp sự cố"), ("en", "cancelled", "Something went wrong"),
])  # fmt: skip
async def test_states_and_errors_are_said_in_words(
    workspace: Workspace, mine: str, spoken: str, state: str, error: str
) -> None:
    await ended(workspace, mine, "cancelled")
    headers = {"Accept-Language": spoken}
    refused = await workspace.admin.post(f"{API}/{mine}/pause", headers=headers)
    assert (refused.status_code, refused.json()["state"]) == (409, "cancelled")
    assert state in refused.json()["detail"]
    async with workspace.resources.db.transaction(workspace.id) as session:
        (await jobs.get(session, UUID(mine))).error = {"code": "attempts_used_up", "reason": "IntegrityError"}
    shown = (await workspace.admin.get(f"{API}/{mine}", headers=headers)).json()["error"]
    assert shown["code"] == "attempts_used_up"
    assert shown["message"].startswith(error)
    assert set(shown) == {"code", "message"}


def test_every_reason_has_its_sentence() -> None:
    codes = set[str]()
    for path in [*Path("app").rglob("*.py"), *Path("workers").rglob("*.py")]:
        for call in ast.walk(ast.parse(path.read_text())):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Failed":
                given = [one.value for one in call.keywords if one.arg == "code"]
                codes |= {str(one.value) for one in given if isinstance(one, ast.Constant)}
    assert len(codes) > 2
    assert codes <= set(jobs.REASONS)
    for vi, en in jobs.REASONS.values():
        assert vi
        assert en
        assert "{" not in vi + en


async def test_another_workspace_sees_nothing(new_workspace: MakeWorkspace, mine: str) -> None:
    stranger = await new_workspace()
    assert await listed(stranger.admin) == []
    foreign, missing = [await stranger.admin.get(f"{API}/{one}") for one in (mine, str(new_id()))]
    assert (foreign.status_code, missing.status_code) == (404, 404)
    assert foreign.json()["detail"] == missing.json()["detail"]
    assert await asked(stranger.admin, mine, "cancel") == (404, "not_found")
    await stranger.aclose()


async def test_the_list_is_filtered_and_paged(workspace: Workspace) -> None:
    made = [await enqueued(workspace, workspace.administrator, f"test.{n % 2}") for n in range(5)]
    await asked(workspace.admin, made[0], "pause")
    assert await listed(workspace.admin) == made[::-1]
    assert await listed(workspace.admin, kind="test.1") == [made[3], made[1]]
    assert await listed(workspace.admin, state="paused") == [made[0]]
    assert await listed(workspace.admin, kind="test.1", state="paused") == []
    assert (await workspace.admin.get(API, params={"state": "lạ"})).status_code == 422
    for job_id in made:
        assert await asked(workspace.admin, job_id, "cancel") == (202, "queued")
        await ended(workspace, job_id, "cancelled")


async def listed(client: httpx.AsyncClient, **params: Any) -> list[str]:
    """The ids of the jobs that a caller sees, two a page."""
    found, asking = list[str](), {"limit": 2, **params}
    while True:
        reply = await client.get(API, params=asking)
        assert reply.status_code == 200, reply.text
        found += [one["id"] for one in reply.json()["items"]]
        if reply.json()["next_cursor"] is None:
            return found
        asking["cursor"] = reply.json()["next_cursor"]


async def test_a_job_pauses_goes_on_and_is_cancelled(workspace: Workspace, mine: str) -> None:
    sale = await workspace.person()
    theirs = await enqueued(workspace, sale)
    assert await asked(sale.client, theirs, "pause") == (202, "paused")
    assert await asked(sale.client, theirs, "pause") == (409, "job_state")
    assert await asked(sale.client, theirs, "cancel") == (202, "queued")
    assert await asked(sale.client, theirs, "pause") == (202, "queued"), "a pause takes no cancel back"
    assert (await sale.client.get(f"{API}/{theirs}")).json()["asked"] == "cancel"
    await ended(workspace, theirs, "cancelled")
    for verb in ("pause", "resume", "cancel"):
        assert await asked(sale.client, theirs, verb) == (409, "job_state")
    assert await asked(workspace.admin, mine, "resume") == (409, "job_state")
    running = await taken(workspace, mine)
    assert running["asked"] == "pause"
    assert await asked(workspace.admin, mine, "resume") == (202, "running")
    assert await asked(workspace.admin, mine, "cancel") == (202, "running")
    await asked(workspace.admin, mine, "pause")
    assert (await workspace.admin.get(f"{API}/{mine}")).json()["asked"] == "cancel", "a pause takes no cancel back"
    await ended(workspace, mine, "cancelled")


async def taken(workspace: Workspace, job_id: str) -> dict[str, Any]:
    """The job in a worker's hands, after a pause was asked for."""
    async with workspace.resources.db.transaction(workspace.id) as session:
        job = await jobs.get(session, UUID(job_id))
        job.state, job.claims, job.lease_until, job.lease_token = "running", 1, now() + LATER, new_id()
    assert await asked(workspace.admin, job_id, "pause") == (202, "running")
    found: dict[str, Any] = (await workspace.admin.get(f"{API}/{job_id}")).json()
    return found


async def ended(workspace: Workspace, job_id: str, state: str) -> None:
    """Lets the job end as a worker does. Locked first: once it is cancelled, the suite's own worker may claim it."""
    async with workspace.resources.db.transaction(workspace.id) as session:
        job = (await session.scalars(select(Job).where(Job.id == UUID(job_id)).with_for_update())).one()
        job.state, job.control, job.lease_until, job.lease_token, job.finished_at = state, None, None, None, now()


async def test_the_stream_ends_with_the_job(workspace: Workspace, mine: str) -> None:
    await ended(workspace, mine, "cancelled")
    reply = await workspace.admin.get(f"{API}/{mine}/events")
    assert reply.headers["content-type"].startswith("text/event-stream")
    events = [dict(line.split(": ", 1) for line in part.splitlines()) for part in reply.text.strip().split("\n\n")]
    assert [one["event"] for one in events] == ["progress", "end"]
    assert [one["id"] for one in events] == ["1", "2"]
    shown = json.loads(events[-1]["data"])
    assert shown == (await workspace.admin.get(f"{API}/{mine}")).json()
    assert shown["state"] == "cancelled"
