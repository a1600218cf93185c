"""Runs jobs: claims by lease, fences every effect, and gives way so that one tenant does not starve another."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.clock import new_id, now
from app.core.db import retryable, server_away
from app.core.jobs import LIVE, QUEUES, Job, ring_after_commit
from app.core.log import fault, logger
from app.core.resources import Resources

BUDGET = 25.0
SWEEP_EVERY = 5.0
CAPACITY: Mapping[str, int] = {"interactive": 6, "bulk": 2, "outbound": 4}

Effect = Callable[[AsyncSession], Awaitable[None]]


class LeaseLost(Exception):
    """Another worker has the job now; nothing of this one's may be written."""


@dataclass(frozen=True)
class Outcome:
    """How a run of a handler ended. `effect` happens in the transaction that changes the job's state."""

    effect: Effect | None = None


@dataclass(frozen=True)
class Done(Outcome):
    """Finished, with a result for people."""

    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Again(Outcome):
    """Not finished: back into the queue, behind the others. `seconds` waits first."""

    seconds: float = 0


@dataclass(frozen=True)
class Stopped(Outcome):
    """Stopped because a person asked: `paused` or `cancelled`."""

    state: str = "paused"


@dataclass(frozen=True)
class Failed(Outcome):
    """Cannot succeed; trying again would not help."""

    code: str = "failed"
    message: str = ""


@dataclass(frozen=True)
class Retry(Outcome):
    """Went wrong in a way that may pass."""

    reason: str = ""
    seconds: float = 5


@dataclass(frozen=True)
class Handler:
    """What to do for a kind of job. `dead` tells its domain when the attempts are used up."""

    run: Callable[["Run"], Awaitable[Outcome]]
    dead: Callable[[AsyncSession, "Run"], Awaitable[None]] | None = None


class Run:
    """One claim of one job, as its handler sees it."""

    def __init__(self, resources: Resources, row: Any, token: UUID, lease: timedelta, stopping: asyncio.Event) -> None:
        self.resources = resources
        self.tenant_id: UUID = row.tenant_id
        self.id: UUID = row.id
        self.args: dict[str, Any] = row.args
        self.subject_id: UUID | None = row.subject_id
        self.progress: dict[str, Any] = row.progress
        self.attempt: int = row.attempt
        self.queue: str = row.queue
        self.lane: str | None = row.lane
        self.claims: int = row.claims
        self.control: str | None = row.control
        self.actor = Actor(row.tenant_id, row.created_by_kind, row.created_by, row.created_by_name)
        self.token, self._lease, self._stopping = token, lease, stopping
        self._until = time.monotonic() + BUDGET

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """A transaction whose commit proves that the job is still ours; `progress` is saved in it.

        Raises:
            LeaseLost: instead of committing.
        """
        async with self.resources.db.transaction(self.tenant_id) as session:
            yield session
            await self._fence(session, attempt=0, progress=self.progress)

    def interrupted(self) -> Outcome | None:
        """Why the handler should stop at this checkpoint, or None to go on."""
        if self.control == "cancel":
            return Stopped(state="cancelled")
        if self.control == "pause":
            return Stopped(state="paused")
        if self._stopping.is_set() or time.monotonic() > self._until:
            return Again()
        return None

    async def beat(self) -> None:
        """Extends the lease until cancelled."""
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 4)
            with suppress(Exception):
                async with self.resources.db.transaction(self.tenant_id) as session:
                    await self._fence(session)

    async def _fence(self, session: AsyncSession, **values: Any) -> None:
        control = (
            await session.execute(
                update(Job)
                .where(Job.id == self.id, Job.lease_token == self.token, Job.state == "running")
                .values(
                    lease_until=text("now() + :lease").bindparams(lease=self._lease),
                    updated_at=now(),
                    **values,
                )
                .returning(Job.control)
            )
        ).one_or_none()
        if control is None:
            raise LeaseLost
        self.control = control[0]


class Runner:
    """All running jobs of a worker process."""

    def __init__(self, resources: Resources, handlers: Mapping[str, Handler]) -> None:
        self.resources, self.handlers = resources, handlers
        self._lease = timedelta(seconds=resources.settings.job_lease)
        self._stopping = asyncio.Event()
        self._swept = asyncio.Event()
        self._running: dict[UUID, tuple[str, asyncio.Task[None]]] = {}

    def wake(self, queue: str, tenant_id: UUID, job_id: UUID) -> None:
        """Starts a job if its queue has room; otherwise the sweep that follows each end finds it."""
        if self._stopping.is_set() or job_id in self._running or self._room(queue) <= 0:
            return
        task = asyncio.create_task(self._run(tenant_id, job_id), name=f"job {job_id}")
        self._running[job_id] = (queue, task)
        task.add_done_callback(lambda _: self._ended(job_id))

    async def sweep_forever(self) -> None:
        """Finds due work that nobody rang for and leases that ran out, until stopped."""
        while not self._stopping.is_set():
            try:
                await self.sweep()
            except Exception as error:  # noqa: BLE001 -- the database may be away for a while
                logger.warning("sweep_failed", exc_info=error)
            self._swept.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._swept.wait(), SWEEP_EVERY * random.uniform(0.8, 1.2))  # noqa: S311

    async def sweep(self) -> None:
        """One look at the due jobs of every tenant, the tenants taking turns."""
        wanted = [queue for queue in QUEUES if self._room(queue) > 0]
        async with self.resources.db.dispatching() as connection:
            due = (
                await connection.execute(
                    text("""
                    SELECT tenant_id, id, queue FROM (
                        SELECT tenant_id, id, queue, run_at,
                               row_number() OVER (PARTITION BY tenant_id, queue ORDER BY run_at, id) AS turn
                        FROM crm.job
                        WHERE queue = ANY(:queues)
                          AND (state = 'queued' AND run_at <= now() OR state = 'running' AND lease_until < now())
                    ) AS due ORDER BY turn, run_at LIMIT 100
                    """),
                    {"queues": wanted},
                )
            ).all()
        for row in due:
            self.wake(row.queue, row.tenant_id, row.id)

    async def stop(self, grace: float = 25) -> None:
        """Asks every job to give way at its next checkpoint and waits for that."""
        self._stopping.set()
        self._swept.set()
        tasks = [task for _, task in self._running.values()]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _room(self, queue: str) -> int:
        return CAPACITY[queue] - sum(1 for name, _ in self._running.values() if name == queue)

    def _ended(self, job_id: UUID) -> None:
        self._running.pop(job_id, None)
        self._swept.set()

    async def _run(self, tenant_id: UUID, job_id: UUID) -> None:
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(job_id=str(job_id), workspace=str(tenant_id))
        try:
            claimed = await self._claim(tenant_id, job_id)
            if claimed is None:
                return
            run, kind, exhausted = claimed
            handler = self.handlers[kind]
            if exhausted:
                await self._bury(run, handler)
                return
            beat = asyncio.create_task(run.beat())
            try:
                outcome = await self._handle(run, handler)
            finally:
                beat.cancel()
            await self._apply(run, outcome)
        except LeaseLost:
            logger.info("lease_lost")
        except Exception as error:  # noqa: BLE001 -- the lease runs out and the job is tried again
            logger.warning("job_interrupted", exc_info=error)

    async def _handle(self, run: Run, handler: Handler) -> Outcome:
        try:
            return await handler.run(run)
        except LeaseLost:
            raise
        except Exception as error:  # noqa: BLE001 -- a handler's fault is counted, and ends in `dead`
            passing = retryable(error) or server_away(error)
            logger.log(20 if passing else 40, "job_failed", **fault(error))
            return Retry(reason=type(error).__name__, seconds=0.2 if passing else min(5 * 2**run.attempt, 300))

    async def _claim(self, tenant_id: UUID, job_id: UUID) -> tuple[Run, str, bool] | None:
        token = new_id()
        async with self.resources.db.transaction(tenant_id) as session:
            lane = await session.scalar(select(Job.lane).where(Job.id == job_id))
            if lane is not None:
                await session.execute(
                    text("SELECT pg_advisory_xact_lock(hashtextextended(:lane, 0))"),
                    {"lane": f"{tenant_id}:{lane}"},
                )
            row = (
                await session.execute(
                    text("""
                    UPDATE crm.job SET state = 'running', lease_token = :token, lease_until = now() + :lease,
                           attempt = attempt + 1, claims = claims + 1, updated_at = :moment,
                           started_at = coalesce(started_at, :moment)
                    WHERE tenant_id = :tenant AND id = :id
                      AND (state = 'queued' AND run_at <= now() OR state = 'running' AND lease_until < now())
                      AND NOT EXISTS (
                          SELECT 1 FROM crm.job other
                          WHERE other.tenant_id = :tenant AND other.lane = :lane AND other.id <> :id
                            AND other.state = 'running' AND other.lease_until >= now())
                    RETURNING *
                    """),
                    {
                        "token": token,
                        "lease": self._lease,
                        "moment": now(),
                        "tenant": tenant_id,
                        "id": job_id,
                        "lane": lane,
                    },
                )
            ).one_or_none()
        if row is None:
            return None
        return (
            Run(self.resources, row, token, self._lease, self._stopping),
            row.kind,
            row.attempt > row.max_attempts,
        )

    async def _bury(self, run: Run, handler: Handler) -> None:
        async def tell(session: AsyncSession) -> None:
            if handler.dead:
                await handler.dead(session, run)

        logger.error("job_dead", attempts=run.attempt)
        await self._end(run, "dead", Outcome(tell), error={"code": "attempts_used_up", "message": ""})

    async def _apply(self, run: Run, outcome: Outcome) -> None:
        match outcome:
            case Done():
                await self._end(run, "succeeded", outcome, result=dict(outcome.result), error=None)
            case Failed():
                await self._end(run, "failed", outcome, error={"code": outcome.code, "message": outcome.message})
            case Stopped():
                await self._end(run, outcome.state, outcome)
            case Retry():
                error = {"code": "retrying", "message": outcome.reason}
                await self._requeue(run, outcome, outcome.seconds, error=error)
            case Again():
                await self._requeue(run, outcome, outcome.seconds, attempt=0)

    async def _end(self, run: Run, state: str, outcome: Outcome, **values: Any) -> None:
        async with self.resources.db.transaction(run.tenant_id) as session:
            if outcome.effect:
                await outcome.effect(session)
            ended = {} if state in LIVE else {"finished_at": now()}
            await self._release(session, run, state=state, control=None, progress=run.progress, **ended, **values)
            await self._ring_next_in_lane(session, run)

    async def _requeue(self, run: Run, outcome: Outcome, seconds: float, **values: Any) -> None:
        async with self.resources.db.transaction(run.tenant_id) as session:
            if outcome.effect:
                await outcome.effect(session)
            run_at = now() + timedelta(seconds=seconds)
            await self._release(session, run, state="queued", run_at=run_at, progress=run.progress, **values)
            if seconds == 0:
                ring_after_commit(session, run.queue, run.id, run.claims)

    async def _release(self, session: AsyncSession, run: Run, **values: Any) -> None:
        released = await session.scalar(
            update(Job)
            .where(Job.id == run.id, Job.lease_token == run.token, Job.state == "running")
            .values(lease_until=None, lease_token=None, updated_at=now(), version=Job.version + 1, **values)
            .returning(Job.id)
        )
        if released is None:
            raise LeaseLost

    async def _ring_next_in_lane(self, session: AsyncSession, run: Run) -> None:
        if run.lane is None:
            return
        waiting = (
            await session.execute(
                select(Job.id, Job.queue, Job.claims)
                .where(Job.lane == run.lane, Job.state == "queued", Job.id != run.id)
                .order_by(Job.run_at)
                .limit(1)
            )
        ).one_or_none()
        if waiting:
            ring_after_commit(session, waiting.queue, waiting.id, waiting.claims)
