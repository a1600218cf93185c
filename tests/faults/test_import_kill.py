"""`kill -9` at any moment of an import: nothing is lost, nothing is doubled, and its report is the same."""

import asyncio
import io
import random
import signal
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import psutil
import pytest

from app.doctor import examine
from app.identity import workspaces
from app.seeding import SEEDERS
from tests.factories.workbooks import customers_xlsx
from tests.faults.house import ANSWERS, PASSWORD, House, Process, until

CHUNK = 250
PACE = 0.2
LEASE = "0.5"
CUSTOMERS = """
SELECT c.phone, c.phone_typed, c.name, c.email, c.birthday, c.province, c.province_typed, c.gender, c.address,
       c.company_name, c.tax_code, c.position, c.note, c.version, c.deleted_at, c.attributes::text, c.n1, c.t1, c.d1,
       cardinality(c.group_nos),
       (SELECT name FROM crm.classification WHERE (tenant_id, id) = (c.tenant_id, c.source_id)),
       (SELECT count(*) FROM crm.group_member m WHERE (m.tenant_id, m.customer_id) = (c.tenant_id, c.id)),
       (SELECT count(*) FROM crm.customer_search s WHERE (s.tenant_id, s.id) = (c.tenant_id, c.id)),
       (SELECT count(*) FROM crm.event e WHERE (e.tenant_id, e.subject_id, e.kind)
                                             = (c.tenant_id, c.id, 'customer.created')),
       (SELECT count(*) FROM crm.event e WHERE (e.tenant_id, e.subject_id) = (c.tenant_id, c.id))
FROM crm.customer c WHERE c.tenant_id = $1 ORDER BY c.phone, c.id
"""
ROWS = """
SELECT r.n, r.status, r.first_n, r.errors::text, r.version_after, c.phone
FROM crm.import_row r LEFT JOIN crm.customer c ON (c.tenant_id, c.id) = (r.tenant_id, r.customer_id)
WHERE r.tenant_id = $1 ORDER BY r.n
"""


@dataclass
class Place:
    """A workspace, and its administrator's client."""

    tenant_id: UUID
    client: httpx.AsyncClient


@dataclass
class Left:
    """What an import has left behind."""

    counts: dict[str, int]
    customers: list[tuple[Any, ...]]
    rows: list[tuple[Any, ...]]
    events: dict[str, int]
    result: bytes


@pytest.mark.timeout(400)
@pytest.mark.promise(1)
async def test_an_import_that_is_killed_ten_times(home: House, tmp_path: Path) -> None:
    await loses_and_doubles_nothing(home, tmp_path, rows=6_000, kills=10)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.promise(1)
async def test_an_import_that_is_killed_two_hundred_times(home: House, tmp_path: Path) -> None:
    await loses_and_doubles_nothing(home, tmp_path, rows=100_000, kills=200)


async def loses_and_doubles_nothing(home: House, folder: Path, *, rows: int, kills: int) -> None:
    """The same files into two workspaces, one import in peace and one under fire."""
    same = customers_xlsx(folder / "giống.xlsx", rows // 20, seed=7)
    other = customers_xlsx(folder / "khác.xlsx", rows // 20, seed=5, first=rows // 20)
    file = customers_xlsx(folder / "mới.xlsx", rows, seed=7, duplicates=0.05, invalid=0.03)
    api = await home.api()
    async with workspace(home, api, f"yen-{rows}") as quiet, workspace(home, api, f"lua-{rows}") as shot:
        calm = await worker(home)
        for place in (quiet, shot):
            for known in (same, other):
                await ended(home, await started(place, await uploaded(place, known)))
        peace = await uploaded(quiet, file)
        await ended(home, await started(quiet, peace))
        await home.stop(calm)
        fired = await under_fire(home, shot, file, rows, random.Random(rows), kills)
        heir = await worker(home)
        expected, found = [await left(home, *pair) for pair in ((quiet, peace), (shot, fired))]
        await home.stop(heir)
    await home.stop(api)
    assert found.counts == expected.counts
    assert found.counts["rows"] == rows
    assert all(found.counts[key] for key in ("created", "updated", "unchanged", "failed")), "the file has them all"
    assert sum(found.counts[key] for key in ("created", "updated", "skipped", "failed")) == rows
    assert len({row[0] for row in found.customers}) == len(found.customers)
    assert all(row[-2] == 1 for row in found.customers)
    assert found.customers == expected.customers
    assert [row[0] for row in found.rows] == sorted({row[0] for row in found.rows})
    assert found.rows == expected.rows
    assert found.events == expected.events
    assert parts(found.result) == parts(expected.result)
    assert await home.ask("SELECT count(*) FROM crm.import_staging") == 0
    assert await examine(str(home.settings.database_url)) == []


async def under_fire(
    home: House, place: Place, file: Path, rows: int, rng: random.Random, kills: int
) -> str:  # fmt: skip
    """Imports the file with a worker that is killed while it reads, `kills` times while it imports, and while it
    reports. Every tenth or so of the rows gets its share of the kills, each at a moment of chance."""
    doomed = await worker(home, PACE)
    uploading = asyncio.create_task(uploaded(place, file))
    await until(lambda: is_running(home, place, "imports.read"))
    await asyncio.sleep(rng.uniform(0, 0.3))
    doomed = await replaced(home, doomed)
    import_id = await uploading
    job_id = await started(place, import_id)
    for number in range(kills):
        moment = rows * 0.9 * (number + rng.random()) / kills
        await until(lambda: has_done(home, job_id, moment), 60)  # noqa: B023
        await asyncio.sleep(rng.uniform(0, 1.5 * PACE))
        await killed(home, doomed)
        assert await home.state(job_id) == "running", f"kill {number} came after the end"
        doomed = await worker(home, PACE)
    await ended(home, job_id)
    await until(lambda: has_begun(home, place, "imports.report"))
    await home.stop(await replaced(home, doomed))
    return import_id


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
    """A running worker with small chunks and a short lease."""
    made = home._start(
        "worker",
        ["tests.faults.import_worker"],
        {"CHUNK_ROWS": str(CHUNK), "CHUNK_SECONDS": str(pace), "CHOT_JOB_LEASE": LEASE, "CHOT_LOG_LEVEL": "INFO"},
    )
    await until(lambda: _ready(made))
    return made


@asynccontextmanager
async def workspace(home: House, api: Process, slug: str) -> AsyncIterator[Place]:
    """A fresh workspace and its administrator over a real socket."""
    async with workspaces.owner_database(home.settings) as db:
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


async def has_begun(home: House, place: Place, kind: str) -> bool:
    """Whether the last job of the kind in the workspace is in a worker's hands, or done already."""
    found: str = await home.ask(
        "SELECT state FROM crm.job WHERE tenant_id = $1 AND kind = $2 ORDER BY created_at DESC LIMIT 1",
        place.tenant_id, kind,
    )  # fmt: skip
    return found in ("running", "succeeded")


async def has_done(home: House, job_id: UUID, rows: float) -> bool:
    """Whether a worker holds the job, and so many rows are committed."""
    found: bool = await home.ask(
        "SELECT lease_until > now() AND (progress->>'done')::int >= $2 FROM crm.job WHERE id = $1", job_id, int(rows)
    )
    return found


async def left(home: House, place: Place, import_id: str) -> Left:
    """Everything that the import has left, without what is different by nature: ids, codes and times."""
    connection: asyncpg.Connection = await home.owner()
    try:
        customers = await connection.fetch(CUSTOMERS, place.tenant_id)
        rows = await connection.fetch(
            ROWS.replace("WHERE", "WHERE r.import_id = $2 AND"), place.tenant_id, UUID(import_id)
        )
        events = await connection.fetch(
            "SELECT kind, count(*) FROM crm.event WHERE tenant_id = $1 AND batch_id = $2 GROUP BY kind",
            place.tenant_id, UUID(import_id),
        )  # fmt: skip
    finally:
        await connection.close()
    found = (await place.client.get(f"/imports/{import_id}")).json()
    assert found["state"] == "succeeded"
    assert found["progress"] == {"done": found["counts"]["rows"], "total": found["counts"]["rows"]}
    result = await place.client.get(f"/imports/{import_id}/result")
    assert result.status_code == 200, result.text
    return Left(
        found["counts"], [tuple(row) for row in customers], [tuple(row) for row in rows], dict(events), result.content
    )


def parts(workbook: bytes) -> dict[str, bytes]:
    """The parts of a workbook but for the one that holds the time when it was written."""
    with zipfile.ZipFile(io.BytesIO(workbook)) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name != "docProps/core.xml"}


async def _ready(process: Process) -> bool:
    text = process.log.read_text()
    assert process.lives, text[-2000:]
    return "worker_ready" in text


async def _succeeded(home: House, job_id: UUID) -> bool:
    state = await home.state(job_id)
    assert state in ("queued", "running", "succeeded"), state
    return state == "succeeded"
