"""A job machine of its own for the tests of the mechanism: no other worker of the suite can take its jobs or rings."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from sqlalchemy import select
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncSession

from app import embedded
from app.core import jobs
from app.core.actor import Actor
from app.core.clock import new_id
from app.core.events import Event, record
from app.core.jobs import Job
from app.core.migrate import prepare_database
from app.core.resources import Resources, open_resources
from app.core.run import Done, Outcome, Run
from app.core.runner import Handler, Runner
from app.core.settings import Settings
from workers.main import WorkerProcess

SERVERS = Path(__file__).parents[2] / ".data" / "test"
LEASE = 1.0
Work = Callable[[Run], Awaitable[Outcome]]


@dataclass
class Machine:
    """Connections to a database of its own; `owner` may do what no worker can, such as ending a lease."""

    settings: Settings
    resources: Resources
    owner: asyncpg.Connection
    runners: list[Runner] = field(default_factory=list)

    def runner(self, handlers: Mapping[str, Handler]) -> Runner:
        """A runner that does only what it is told: no bell, no sweeps of its own."""
        made = Runner(self.resources, handlers)
        self.runners.append(made)
        return made

    async def enqueue(self, actor: Actor, kind: str, **options: Any) -> UUID:
        """A job in a transaction of its own."""
        async with self.resources.db.transaction(actor.tenant_id) as session:
            return await jobs.enqueue(session, actor, kind, **{"queue": "bulk", **options})

    async def control(self, actor: Actor, verb: str, job_id: UUID) -> str | None:
        """`pause`, `resume` or `cancel`, as the API does it."""
        async with self.resources.db.transaction(actor.tenant_id) as session:
            state: str | None = await getattr(jobs, verb)(session, actor, job_id)
            return state

    async def job(self, actor: Actor, job_id: UUID) -> Job:
        """The row as it is now."""
        async with self.resources.db.transaction(actor.tenant_id) as session:
            return await jobs.get(session, job_id)

    async def until(self, actor: Actor, job_id: UUID, *states: str, seconds: float = 10) -> Job:
        """The row once it is in one of the states."""
        row = await self.job(actor, job_id)

        async def arrived() -> bool:
            nonlocal row
            row = await self.job(actor, job_id)
            return row.state in states

        await eventually(arrived, seconds)
        return row

    async def marks(self, actor: Actor) -> list[Any]:
        """What the workspace's jobs have committed with `mark`, in order."""
        async with self.resources.db.transaction(actor.tenant_id) as session:
            rows = await session.scalars(select(Event.data).where(Event.kind == "test.marked").order_by(Event.id))
            return [data["what"] for data in rows]

    async def run_out(self, job_id: UUID) -> None:
        """Ends the job's lease, as time does when a worker is frozen."""
        await self.owner.execute("UPDATE crm.job SET lease_until = now() - interval '1 s' WHERE id = $1", job_id)

    async def due(self, job_id: UUID) -> None:
        """Makes a waiting job due."""
        await self.owner.execute("UPDATE crm.job SET run_at = now() - interval '1 s' WHERE id = $1", job_id)

    async def clear(self) -> None:
        """Stops the runners and forgets every job."""
        await asyncio.gather(*(runner.stop(grace=1) for runner in self.runners))
        self.runners.clear()
        await self.owner.execute("DELETE FROM crm.job")

    async def run(self, runner: Runner, actor: Actor, job_id: UUID) -> Job:
        """One run of a job from its claim until the runner has let go of it."""
        before = (await self.job(actor, job_id)).claims
        runner.wake("bulk", actor.tenant_id, job_id)
        await eventually(lambda: not runner.busy)
        row = await self.job(actor, job_id)
        assert row.claims == before + 1
        return row


def somebody() -> Actor:
    """A user of a workspace of its own."""
    return Actor(uuid4(), "user", new_id(), "Nguyễn Thị Thử")


async def mark(session: AsyncSession, run: Run, what: object) -> None:
    """Leaves a trace that exists only if the session's transaction commits."""
    await record(session, run.actor, "test.marked", run.id, data={"what": what})


@asynccontextmanager
async def machine() -> AsyncIterator[Machine]:
    """A machine on the suite's servers."""
    servers = embedded.ensure(SERVERS, durable=False)
    name = f"chot_jobs_{os.getpid()}_{uuid4().hex[:6]}"
    keeper = await asyncpg.connect(servers.database_url)
    await keeper.execute(f'CREATE DATABASE "{name}"')
    url = make_url(servers.database_url).set(database=name).render_as_string(hide_password=False)
    settings = Settings(
        database_url=url,
        redis_url=f"{servers.redis_url.rpartition('/')[0]}/{os.getpid() % 15 + 1}",
        secret_key="the test suite's secret, which is longer than 32 bytes",
        job_lease=LEASE,
        log_level="WARNING",
    )
    await prepare_database(settings)
    resources = open_resources(settings, name="chot jobs test")
    owner = await asyncpg.connect(url)
    made = Machine(settings, resources, owner)
    try:
        yield made
    finally:
        await made.clear()
        await owner.close()
        await resources.close()
        await keeper.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await keeper.close()


async def eventually(holds: Callable[[], bool | Awaitable[bool]], seconds: float = 10) -> None:
    """Waits until something holds."""
    async with asyncio.timeout(seconds):
        while not (await found if isinstance(found := holds(), Awaitable) else found):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def handled(work: Work) -> dict[str, Handler]:
    return {"test.work": Handler(work)}


async def nothing(_run: Run) -> Outcome:
    return Done()


async def steps(run: Run, count: int = 3) -> Outcome:
    """Does `count` steps, each with its trace and its checkpoint."""
    while (step := run.progress.get("next", 0)) < count:
        async with run.transaction() as session:
            await mark(session, run, step)
            run.progress["next"] = step + 1
        if stop := run.interrupted():
            return stop
    return Done(result={"steps": count})


class Gate:
    """A place where a handler waits until the test lets it go on."""

    def __init__(self) -> None:
        self.reached, self.opened = asyncio.Event(), asyncio.Event()

    async def passing(self) -> None:
        self.reached.set()
        await asyncio.wait_for(self.opened.wait(), 10)


@asynccontextmanager
async def at_work(jobbing: Machine, work: Work) -> AsyncIterator[WorkerProcess]:
    """A whole worker: bell, sweeper and runner."""
    process = WorkerProcess(jobbing.resources, handled(work))
    await process.start()
    try:
        yield process
    finally:
        await process.stop()


async def mark_step(run: Run, what: object) -> None:
    """One step that is progress."""
    async with run.transaction() as session:
        await mark(session, run, what)
        run.progress.setdefault("done", []).append(what)


async def swept(runner: Runner) -> None:
    """Sweeps and waits until what was started has ended."""
    await runner.sweep()
    await eventually(lambda: not runner.busy)
