"""A whole installation that tests may break: private servers, API and workers as processes of their own."""

import asyncio
import os
import shutil
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
from redis.asyncio import Redis

from app import embedded
from app.core import jobs
from app.core.actor import Actor
from app.core.clock import new_id
from app.core.jobs import Queue
from app.core.migrate import prepare_database
from app.core.owner import owner_database
from app.core.resources import Resources, open_resources
from app.core.settings import Settings
from app.identity import workspaces
from app.seeding import SEEDERS
from tests.faults.forks import Fork, Forks

PASSWORD = "bánh mì ốp la 47"
SLUG = "nha-thu"
LEASE = 3.0
ANSWERS = 30.0


@dataclass
class Process:
    """A process of ours and where it writes."""

    popen: Fork
    log: Path
    url: str = ""

    @property
    def pid(self) -> int:
        return self.popen.pid

    @property
    def lives(self) -> bool:
        return self.popen.poll() is None

    def signal(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    def faults(self) -> list[str]:
        """What it logged as a fault of ours."""
        return [line for line in self.log.read_text().splitlines() if '"unhandled"' in line]

    async def ended(self, seconds: float) -> int:
        """The exit code; raises TimeoutError when it still lives after so many seconds."""
        async with asyncio.timeout(seconds):
            while (code := self.popen.poll()) is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        return code


@dataclass
class House:
    """The installation. `tenant_id` is its workspace, with the user `admin`."""

    folder: Path
    settings: Settings
    tenant_id: UUID
    resources: Resources
    forks: Forks
    processes: list[Process] = field(default_factory=list)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def actor(self) -> Actor:
        return Actor(self.tenant_id, "user", new_id(), "Nguyễn Thị Thử")

    async def api(self, **environment: str) -> Process:
        """A running API that answers."""
        with_port = {"CHOT_PORT": str(free_port()), **environment}
        made = self._start("api", ["app.cli", "serve"], with_port)
        made.url = f"http://127.0.0.1:{with_port['CHOT_PORT']}"
        async with httpx.AsyncClient(base_url=made.url) as client:
            await until(lambda: _ready(client, made))
        return made

    async def worker(self, **environment: str) -> Process:
        """A running worker that knows the handlers of `tests.faults.worker`."""
        made = self._start("worker", ["tests.faults.worker"], environment)
        await until(lambda: _said(made, "worker_ready"))
        return made

    @asynccontextmanager
    async def signed_in(self, api: Process) -> AsyncIterator[httpx.AsyncClient]:
        """A client signed in as the administrator over a real socket."""
        async with httpx.AsyncClient(base_url=f"{api.url}/api/v1", timeout=ANSWERS) as client:
            who = {"workspace": SLUG, "username": "admin", "password": PASSWORD}
            reply = await client.post("/auth/login", json=who)
            assert reply.status_code == 200, reply.text
            client.headers["Authorization"] = f"Bearer {reply.json()['access_token']}"
            yield client

    async def enqueue(self, kind: str, *, queue: Queue = "interactive", hold: bool = False, **args: Any) -> UUID:
        """A job in a transaction of its own; `hold` pauses it at once."""
        actor = self.actor
        async with self.resources.db.transaction(self.tenant_id) as session:
            job_id = await jobs.enqueue(session, actor, kind, queue=queue, args=args)
            if hold:
                await jobs.pause(session, actor, job_id)
            return job_id

    async def owner(self) -> asyncpg.Connection:
        """A connection that no wall stops."""
        return await asyncpg.connect(self.settings.database_url, timeout=10)

    async def ask(self, sql: str, *values: object) -> Any:
        """One value of one statement as the owner."""
        connection = await self.owner()
        try:
            return await connection.fetchval(sql, *values)
        finally:
            await connection.close()

    async def state(self, job_id: UUID) -> str:
        """The job's state now."""
        return str(await self.ask("SELECT state FROM crm.job WHERE id = $1", job_id))

    async def marks(self, job_id: UUID) -> list[int]:
        """The steps that the job has committed, in order."""
        steps = "coalesce(array_agg((data->>'step')::int ORDER BY id), '{}')"
        return list(await self.ask(f"SELECT {steps} FROM crm.event WHERE subject_id = $1", job_id))

    async def flush_valkey(self) -> None:
        """Empties Valkey."""
        async with Redis.from_url(str(self.settings.redis_url)) as client:
            await client.flushall()

    def kill_valkey(self) -> None:
        """`kill -9`, and everything it wrote down is lost too."""
        os.kill(self.valkey, signal.SIGKILL)
        shutil.rmtree(self.data / "valkey" / "appendonlydir", ignore_errors=True)

    async def revive(self) -> None:
        """Starts again what died of the pair."""
        await asyncio.to_thread(embedded.revive, self.data)

    @property
    def valkey(self) -> int:
        pid = embedded.valkey_pid(self.data)
        assert pid is not None
        return pid

    @property
    def postgres(self) -> int:
        pid = embedded.postgres_pid(self.data)
        assert pid is not None
        return pid

    async def stop(self, *processes: Process) -> None:
        """Ends processes in good order."""
        for process in processes:
            if process.lives:
                process.signal(signal.SIGCONT)
                process.signal(signal.SIGTERM)
        try:
            for process in processes:
                await process.ended(30)
        finally:
            for process in processes:
                if process.lives:
                    process.popen.kill()
                self.processes.remove(process)

    def _start(self, name: str, module: list[str], environment: Mapping[str, str]) -> Process:
        log = self.folder / f"{name}-{len(list(self.folder.glob('*.log')))}.log"
        started = self.forks.start(module, {**os.environ, **self._environment(), **environment}, log)
        self.processes.append(Process(started, log))
        return self.processes[-1]

    def _environment(self) -> dict[str, str]:
        return {
            "CHOT_DATA_DIR": str(self.folder / "files"),
            "CHOT_DATABASE_URL": str(self.settings.database_url),
            "CHOT_REDIS_URL": str(self.settings.redis_url),
            "CHOT_SECRET_KEY": self.settings.secret.decode(),
            # Nobody renews a token while processes are killed for an hour.
            "CHOT_ACCESS_TOKEN_LIFETIME": "3600",
            "CHOT_JOB_LEASE": str(LEASE),
            "CHOT_RATE_LIMIT_PER_MINUTE": "0",
            "CHOT_RATE_LIMIT_WORKSPACE_PER_MINUTE": "0",
        }


@asynccontextmanager
async def house(folder: Path) -> AsyncIterator[House]:
    """An installation in a folder: durable servers, the schema, one workspace; no process runs yet."""
    # It has the time of the servers' start to become ready.
    forks = Forks()
    servers = await asyncio.to_thread(embedded.ensure, folder / "data", durable=True)
    settings = Settings(
        data_dir=folder / "files",
        database_url=servers.database_url,
        redis_url=servers.redis_url,
        secret_key="a secret of the fault tests, longer than 32 bytes",
        job_lease=LEASE,
        log_level="WARNING",
    )
    await prepare_database(settings)
    async with owner_database(settings) as db:
        tenant_id = await workspaces.create_workspace(
            db, slug=SLUG, name="Công ty Thử", admin_password=PASSWORD, seed_workspace=SEEDERS
        )
    resources = open_resources(settings, name="chot fault test")
    made = House(folder, settings, tenant_id, resources, forks)
    try:
        yield made
    finally:
        await resources.close()
        await made.stop(*made.processes)
        await asyncio.to_thread(forks.close)
        await asyncio.to_thread(embedded.stop, made.data)


async def until(holds: Callable[[], Coroutine[Any, Any, bool]], seconds: float = 30) -> float:
    """Waits until something holds; returns how long that took."""
    began = time.perf_counter()
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return time.perf_counter() - began


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _ready(client: httpx.AsyncClient, process: Process) -> bool:
    assert process.lives, process.log.read_text()[-2000:]
    try:
        return (await client.get("/health/ready")).status_code == 200
    except httpx.TransportError:
        return False


async def _said(process: Process, words: str) -> bool:
    text = process.log.read_text()
    assert process.lives, text[-2000:]
    return words in text
