"""Real servers for every test: a private PostgreSQL and Valkey, the schema migrated once, a workspace per test.

Nothing is rolled back and nothing is mocked: a fresh workspace per test is isolation enough, because tenancy is what
the product promises.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy.engine import make_url

from app import embedded
from app.core.migrate import prepare_database
from app.core.resources import Resources
from app.core.settings import Settings
from app.doctor import examine
from app.main import create_app
from tests.factories.people import Workspace, make_workspace, owner_connections
from tests.features import pytest_runtest_logreport, pytest_sessionfinish  # noqa: F401
from tests.laws.guard import statements_name_their_tenant, watch_statements  # noqa: F401
from workers import housekeeping
from workers.main import WorkerProcess

ROOT = Path(__file__).parents[1]
# A file is one half's, and what takes longest begins first: the other half need not wait for it at the end.
LONGEST = ("tests/faults/", "tests/laws/test_tenants.py", "tests/laws/test_fuzz.py", "tests/filters/test_property.py")
MakeWorkspace = Callable[..., Awaitable[Workspace]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, the others as they were."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


@pytest.fixture(scope="session")
async def settings(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Settings]:
    """Settings of this run: a database of its own in the suite's private server."""
    servers = embedded.ensure(ROOT / ".data" / "test", durable=False)
    name = f"chot_{os.getpid()}_{uuid4().hex[:6]}"
    owner, gate = [await asyncpg.connect(servers.database_url) for _ in range(2)]
    made = Settings(
        data_dir=tmp_path_factory.mktemp("data"),
        database_url=make_url(servers.database_url).set(database=name).render_as_string(hide_password=False),
        # A database of Valkey's of its own: another run's worker must not hear this run's bell.
        redis_url=f"{servers.redis_url.rpartition('/')[0]}/{_valkey_database()}",
        # One secret for all runs: the roles' passwords follow from it, and roles belong to the whole server.
        secret_key="the test suite's secret, which is longer than 32 bytes",
        job_lease=3,
        rate_limit_per_minute=0,
        rate_limit_workspace_per_minute=0,
        log_level="WARNING",
    )
    # Roles belong to the whole server: the two halves of a run must not make them at the same time.
    async with gate.transaction():
        await gate.execute("SELECT pg_advisory_xact_lock(7043202)")
        await owner.execute(f'CREATE DATABASE "{name}"')
        await prepare_database(made)
    await gate.close()
    yield made
    findings = await examine(str(made.database_url))
    await owner.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await owner.close()
    assert not findings, "the doctor finds faults in what the tests left:\n" + "\n".join(map(str, findings))


@pytest.fixture(scope="session")
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    """The application with its lifespan running."""
    made = create_app(settings)
    async with made.router.lifespan_context(made), owner_connections(settings):
        yield made


@pytest.fixture(scope="session")
def resources(app: FastAPI) -> Resources:
    """The application's connections: to look behind the door, and for jobs."""
    found: Resources = app.state.resources
    return found


@pytest.fixture(scope="session")
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """HTTP without a socket and without a caller; a test adds headers, or uses `workspace.admin`."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://chot.test") as made:
        yield made


@pytest.fixture(scope="session")
async def worker(resources: Resources) -> AsyncIterator[WorkerProcess]:
    """A running worker: jobs that a test enqueues are done. It cleans nothing that a test has yet to look at."""
    housekeeping.FIRST = housekeeping.EVERY
    process = WorkerProcess(resources)
    await process.start()
    yield process
    await process.stop()


@pytest.fixture
def new_workspace(settings: Settings, app: FastAPI) -> MakeWorkspace:
    """Makes workspaces: `await new_workspace()`."""

    async def make(**options: Any) -> Workspace:
        return await make_workspace(settings, app, **options)

    return make


@pytest.fixture
async def workspace(new_workspace: MakeWorkspace) -> AsyncIterator[Workspace]:
    """A fresh workspace with an administrator signed in."""
    made = await new_workspace()
    yield made
    await made.aclose()


def _valkey_database() -> int:
    """2 to 15: by chance between runs, but never the same for the two halves of one run."""
    half = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 2
    return 2 + os.getpid() // 2 % 7 * 2 + half
