"""Work under fire: workers that take small parts and wait before each, and `kill -9` of them at any moment."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx
import psutil

from app.core.owner import owner_database
from app.identity import workspaces
from app.seeding import SEEDERS
from tests.faults.house import ANSWERS, PASSWORD, House, Process, until

PART = 250
PACE = 0.2
LEASE = "0.5"


@dataclass
class Place:
    """A workspace, and its administrator's client."""

    tenant_id: UUID
    client: httpx.AsyncClient


async def shot_at(home: House, job_id: UUID, size: int, rng: random.Random, kills: int, doomed: Process) -> Process:
    """Waits for the end of a job whose worker is killed `kills` times. Every tenth or so of the job gets its share of
    the kills, each at a moment of chance. Returns the worker that lives."""
    # Two parts are done at a time, and a kill waits for as long as one and a half.
    last = max(size - 5 * PART, size * 0.5) if size > PART else size * 0.9
    for number in range(kills):
        moment = last * (number + rng.random()) / kills
        await until(lambda: has_done(home, job_id, moment), 60)  # noqa: B023
        await asyncio.sleep(rng.uniform(0, 1.5 * PACE))
        await killed(home, doomed)
        assert await home.state(job_id) == "running", f"kill {number} came after the end"
        doomed = await worker(home, PACE)
    await ended(home, job_id)
    return doomed


async def killed(home: House, doomed: Process) -> None:
    """Kills the worker, and sees that nothing of it lives on."""
    children = psutil.Process(doomed.pid).children(recursive=True)
    doomed.signal(signal.SIGKILL)
    await doomed.ended(5)
    home.processes.remove(doomed)
    _, alive = await asyncio.to_thread(psutil.wait_procs, children, timeout=5)
    assert not alive


async def replaced(home: House, doomed: Process) -> Process:
    """Kills the worker and starts another at once."""
    await killed(home, doomed)
    return await worker(home, PACE)


async def worker(home: House, pace: float = 0) -> Process:
    """A running worker with small parts and a short lease."""
    made = home._start(
        "worker",
        ["tests.faults.small_worker"],
        {"PART": str(PART), "PART_SECONDS": str(pace), "CHOT_JOB_LEASE": LEASE, "CHOT_LOG_LEVEL": "INFO"},
    )
    await until(lambda: _ready(made))
    return made


@asynccontextmanager
async def workspace(home: House, api: Process, slug: str) -> AsyncIterator[Place]:
    """A fresh workspace and its administrator over a real socket."""
    async with owner_database(home.settings) as db:
        tenant_id = await workspaces.create_workspace(
            db, slug=slug, name="Công ty Thử", admin_password=PASSWORD, seed_workspace=SEEDERS
        )
    async with httpx.AsyncClient(base_url=f"{api.url}/api/v1", timeout=ANSWERS) as client:
        reply = await client.post(
            "/auth/login", json={"workspace": slug, "username": "admin", "password": PASSWORD}
        )  # fmt: skip
        assert reply.status_code == 200, reply.text
        client.headers["Authorization"] = f"Bearer {reply.json()['access_token']}"
        yield Place(tenant_id, client)


async def uploaded(place: Place, file: Path) -> str:
    """The id of an import that is ready."""
    reply = await place.client.post("/imports", files={"file": (file.name, file.read_bytes())})
    assert reply.status_code == 201, reply.text
    import_id: str = reply.json()["id"]

    async def ready() -> bool:
        state = (await place.client.get(f"/imports/{import_id}")).json()["state"]
        assert state in ("reading", "ready")
        return bool(state == "ready")

    await until(ready, 120)
    return import_id


async def started(place: Place, import_id: str) -> UUID:
    """The job of an import that was just started."""
    reply = await place.client.post(f"/imports/{import_id}/start", json={"group": {"name": "Hội thảo"}})
    assert reply.status_code == 202, reply.text
    return UUID(reply.json()["job_id"])


async def ended(home: House, job_id: UUID) -> None:
    """Waits until the job has succeeded."""
    await until(lambda: _succeeded(home, job_id), 120)


async def is_running(home: House, place: Place, kind: str) -> bool:
    """Whether a job of the kind is in a worker's hands in the workspace."""
    found: bool = await home.ask(
        "SELECT EXISTS (SELECT FROM crm.job WHERE tenant_id = $1 AND kind = $2 AND state = 'running')",
        place.tenant_id, kind,
    )  # fmt: skip
    return found


async def has_done(home: House, job_id: UUID, rows: float) -> bool:
    """Whether a worker holds the job, and so many rows are committed."""
    found: bool = await home.ask(
        "SELECT lease_until > now() AND (progress->>'done')::int >= $2 FROM crm.job WHERE id = $1", job_id, int(rows)
    )
    return found


async def _ready(process: Process) -> bool:
    text = process.log.read_text()
    assert process.lives, text[-2000:]
    return "worker_ready" in text


async def _succeeded(home: House, job_id: UUID) -> bool:
    state = await home.state(job_id)
    assert state in ("queued", "running", "succeeded"), state
    return state == "succeeded"
