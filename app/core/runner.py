"""Runs jobs: claims by lease, fences every effect, and gives way so that one tenant does not starve another."""

import asyncio
import itertools
import random
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import func, select, text, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import new_id, now
from app.core.db import retryable, server_away
from app.core.jobs import LIVE, QUEUES, Job, Queue, ring_after_commit
from app.core.log import fault, logger
from app.core.resources import Resources
from app.core.run import Again, Done, Effect, Failed, LeaseLost, Outcome, Retry, Run, Stopped
from app.core.tasks import end

SWEEP_EVERY = 5.0
CAPACITY: Mapping[str, int] = {"interactive": 6, "bulk": 2, "outbound": 4}
UNKNOWN_KIND_SECONDS = 30.0
LONGEST_WAIT = 300
ASKED = {"paused": "pause", "cancelled": "cancel"}

DUE = "(job.state = 'queued' AND job.run_at <= now() OR job.state = 'running' AND job.lease_until < now())"
# The job that entered a lane first keeps it until it ends or is paused, also while it waits for its next turn or
# for somebody to take it over from a dead worker.
# With `lane IS NULL OR`, the planner asks for each candidate instead of joining all live jobs with all others.
LANE_IS_FREE = """(job.lane IS NULL OR NOT EXISTS (
    SELECT FROM crm.job other
    WHERE other.tenant_id = :tenant AND other.lane = job.lane AND other.id <> job.id
      AND (other.state = 'running'
           OR other.state = 'queued' AND other.started_at < coalesce(job.started_at, 'infinity'))))"""


@dataclass(frozen=True)
class Handler:
    """What to do for a kind of job. `dead` tells its domain that the attempts are used up, `cancelled` that somebody
    has ended it, be it at a checkpoint or before it had begun; both in the transaction that ends the job."""

    run: Callable[["Run"], Awaitable[Outcome]]
    dead: Callable[[AsyncSession, "Run"], Awaitable[None]] | None = None
    cancelled: Callable[[AsyncSession, "Run"], Awaitable[None]] | None = None


class Runner:
    """All running jobs of a worker process."""

    def __init__(self, resources: Resources, handlers: Mapping[str, Handler]) -> None:
        self.resources, self.handlers = resources, handlers
        self._lease = timedelta(seconds=resources.settings.job_lease)
        self._sweep_every = min(SWEEP_EVERY, resources.settings.job_lease)
        self._stopping = asyncio.Event()
        self._look = asyncio.Event()
        self._running: dict[UUID, tuple[Queue, asyncio.Task[None]]] = {}
        self._turned_away: set[Queue] = set()
        self._turns = itertools.count(1)
        self._last_turn: dict[tuple[Queue, UUID], int] = {}

    @property
    def busy(self) -> bool:
        """Whether any job runs here."""
        return bool(self._running)

    def wake(self, queue: Queue, tenant_id: UUID, job_id: UUID) -> None:
        """Starts a job if its queue has room and nobody waits; else the sweep after the next end finds it."""
        if self._stopping.is_set():
            return
        if job_id in self._running or queue in self._turned_away or self._room(queue) <= 0:
            self._turned_away.add(queue)
        else:
            self._start(queue, tenant_id, job_id)

    async def sweep_forever(self) -> None:
        """Finds due work that nobody rang for and leases that ran out, until stopped."""
        while not self._stopping.is_set():
            self._look.clear()
            try:
                await self.sweep()
            except Exception as error:  # noqa: BLE001 -- the database may be away for a while
                logger.warning("sweep_failed", exc_info=error)
                await asyncio.sleep(0.5)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), self._sweep_every * random.uniform(0.8, 1.2))  # noqa: S311

    async def sweep(self) -> None:
        """One look at the due jobs. The workspaces take turns, and who was served longest ago comes first."""
        wanted = [queue for queue in QUEUES if self._room(queue) > 0]
        self._turned_away.difference_update(wanted)
        async with self.resources.db.dispatching() as connection:
            due = (
                await connection.execute(
                    text(f"""
                    SELECT queue, tenant_id, min(run_at) AS since FROM crm.job
                    WHERE queue = ANY(:queues) AND {DUE} GROUP BY queue, tenant_id
                    """),
                    {"queues": wanted},
                )
            ).all()
        due = sorted(due, key=lambda row: (self._last_turn.get((row.queue, row.tenant_id), 0), row.since))
        for queue in wanted:
            await self._fill(queue, deque(row.tenant_id for row in due if row.queue == queue))

    async def stop(self, grace: float = 25) -> None:
        """Asks every job to give way at its next checkpoint and waits for that."""
        self._stopping.set()
        self._look.set()
        tasks = [task for _, task in self._running.values()]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _room(self, queue: Queue) -> int:
        return CAPACITY[queue] - sum(1 for name, _ in self._running.values() if name == queue)

    def _start(self, queue: Queue, tenant_id: UUID, job_id: UUID) -> None:
        task = asyncio.create_task(self._run(tenant_id, job_id), name=f"job {job_id}")
        self._running[job_id] = (queue, task)
        self._last_turn[queue, tenant_id] = next(self._turns)
        task.add_done_callback(lambda _: self._ended(job_id))

    def _ended(self, job_id: UUID) -> None:
        self._running.pop(job_id, None)
        if self._turned_away:
            self._look.set()

    async def _fill(self, queue: Queue, tenants: deque[UUID]) -> None:
        turns = self._room(queue)
        while tenants and turns > 0 and not self._stopping.is_set():
            tenant_id = tenants.popleft()
            job_id = await self._next(queue, tenant_id)
            if job_id is None:
                # All that it has waits for its lane: it drops out, and that was nobody's turn.
                continue
            tenants.append(tenant_id)
            turns -= 1
            # While we asked, the bell may have taken the room, or this very job.
            if job_id not in self._running and self._room(queue) > 0:
                self._start(queue, tenant_id, job_id)
        if tenants:
            self._turned_away.add(queue)

    async def _next(self, queue: Queue, tenant_id: UUID) -> UUID | None:
        """The workspace's due job that waits longest and that no lane holds back."""
        async with self.resources.db.transaction(tenant_id) as session:
            found: UUID | None = await session.scalar(
                text(f"""
                SELECT id FROM crm.job
                WHERE tenant_id = :tenant AND queue = :queue AND id <> ALL(:running) AND {DUE} AND {LANE_IS_FREE}
                ORDER BY run_at, id LIMIT 1
                """),
                {"tenant": tenant_id, "queue": queue, "running": list(self._running)},
            )
        return found

    async def _run(self, tenant_id: UUID, job_id: UUID) -> None:
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(job_id=str(job_id), workspace=str(tenant_id))
        try:
            run = await self._claim(tenant_id, job_id)
            if run is None:
                return
            handler = self.handlers.get(run.kind)
            if handler is None:
                # A newer release enqueued it: its own workers will know.
                logger.error("job_kind_unknown", kind=run.kind)
                await self._finish(run, Again(seconds=UNKNOWN_KIND_SECONDS))
            elif run.control == "cancel":
                await self._finish(run, _cancelled(run, handler))
            elif run.attempt > run.max_attempts:
                reason = (run.error or {}).get("reason", "")
                logger.error("job_dead", kind=run.kind, attempts=run.max_attempts, reason=reason)
                await self._finish(run, _Dead(_telling(run, handler.dead), reason=reason))
            else:
                outcome = await self._handle(run, handler)
                if isinstance(outcome, Stopped) and outcome.state == "cancelled":
                    outcome = _cancelled(run, handler)
                await self._finish(run, outcome)
        except LeaseLost:
            logger.info("lease_lost")
        except Exception as error:  # noqa: BLE001 -- the lease runs out and the job is tried again
            logger.warning("job_interrupted", exc_info=error)

    async def _handle(self, run: Run, handler: Handler) -> Outcome:
        """Runs the handler while the lease is kept; a lost one ends it where it stands."""
        work, beat = asyncio.ensure_future(handler.run(run)), asyncio.create_task(run.beat())
        try:
            await asyncio.wait((work, beat), return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                raise LeaseLost
            return work.result()
        except LeaseLost:
            raise
        except Exception as error:  # noqa: BLE001 -- a handler's fault is counted, and ends in `dead`
            return _fault(run, error)
        finally:
            await end(work, beat)

    async def _claim(self, tenant_id: UUID, job_id: UUID) -> Run | None:
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
                    text(f"""
                    UPDATE crm.job SET state = 'running', lease_token = :token,
                           lease_until = statement_timestamp() + :lease,
                           attempt = attempt + 1, claims = claims + 1, version = version + 1, updated_at = :moment,
                           started_at = coalesce(started_at, :moment)
                    WHERE tenant_id = :tenant AND id = :id AND {DUE} AND {LANE_IS_FREE}
                    RETURNING *
                    """),
                    {"token": token, "lease": self._lease, "moment": now(), "tenant": tenant_id, "id": job_id},
                )
            ).one_or_none()
        return None if row is None else Run(self.resources, row, token, self._lease, self._stopping)

    async def _finish(self, run: Run, outcome: Outcome) -> None:
        """Writes how it ended, again if that may help; an effect that fails is the handler's fault."""
        for pause in (0.05, 0.5):
            try:
                await self._apply(run, outcome)
                return
            except LeaseLost:
                raise
            except Exception as error:  # noqa: BLE001
                if not _passing(error):
                    outcome = _undone(run, outcome, error)
                await asyncio.sleep(pause)
        await self._apply(run, outcome)

    async def _apply(self, run: Run, outcome: Outcome) -> None:
        match outcome:
            case Done():
                await self._end(run, "succeeded", outcome, result=dict(outcome.result), error=None)
            case Failed():
                await self._end(run, "failed", outcome, error={"code": outcome.code})
            case _Dead():
                await self._end(run, "dead", outcome, error={"code": "attempts_used_up", "reason": outcome.reason})
            case Stopped():
                try:
                    await self._end(run, outcome.state, outcome, asked=ASKED[outcome.state])
                except _AskedOtherwise:
                    await self._apply(run, Again())
            case Retry():
                error = {"code": "retrying", "reason": outcome.reason}
                await self._requeue(run, outcome, outcome.seconds, error=error)
            case Again():
                await self._requeue(run, outcome, outcome.seconds, **(run.unsaved() | {"attempt": 0}))

    async def _end(self, run: Run, state: str, outcome: Outcome, *, asked: str | None = None, **values: Any) -> None:
        async with self.resources.db.transaction(run.tenant_id) as session:
            if outcome.effect:
                await outcome.effect(session)
            ended = {} if state in LIVE else {"finished_at": now()}
            values |= run.unsaved() | ended
            await self._release(session, run, asked=asked, state=state, control=None, **values)
            await self._ring_next_in_lane(session, run)

    async def _requeue(self, run: Run, outcome: Outcome, seconds: float, **values: Any) -> None:
        async with self.resources.db.transaction(run.tenant_id) as session:
            if outcome.effect:
                await outcome.effect(session)
            run_at = func.now() + timedelta(seconds=seconds)
            await self._release(session, run, state="queued", run_at=run_at, **values)
            if seconds <= 0:
                ring_after_commit(session, run.queue, run.id, run.claims)
        if 0 < seconds < self._sweep_every:
            asyncio.get_running_loop().call_later(seconds, self._look.set)

    async def _release(self, session: AsyncSession, run: Run, *, asked: str | None = None, **values: Any) -> None:
        mine = (Job.id == run.id, Job.lease_token == run.token, Job.state == "running")
        released = await session.scalar(
            update(Job)
            .where(*mine, Job.control == asked if asked else true())
            .values(lease_until=None, lease_token=None, updated_at=now(), version=Job.version + 1, **values)
            .returning(Job.id)
            .execution_options(synchronize_session=False)
        )
        if released is None:
            # Whoever has lost the lease as well hears of that when the job is put back.
            raise _AskedOtherwise if asked else LeaseLost

    async def _ring_next_in_lane(self, session: AsyncSession, run: Run) -> None:
        if run.lane is None:
            return
        waiting = (
            await session.execute(
                select(Job.id, Job.queue, Job.claims)
                .where(Job.lane == run.lane, Job.state == "queued", Job.id != run.id)
                .order_by(Job.started_at.nulls_last(), Job.run_at, Job.id)
                .limit(1)
            )
        ).one_or_none()
        if waiting:
            ring_after_commit(session, waiting.queue, waiting.id, waiting.claims)


@dataclass(frozen=True)
class _Dead(Outcome):
    """The attempts are used up; `reason` is why the last one failed."""

    reason: str = ""


class _AskedOtherwise(Exception):
    """Since the handler looked, somebody has taken the pause back, or cancelled."""


def _cancelled(run: Run, handler: Handler) -> Stopped:
    return Stopped(_telling(run, handler.cancelled), state="cancelled")


def _telling(run: Run, told: Callable[[AsyncSession, Run], Awaitable[None]] | None) -> Effect:
    async def tell(session: AsyncSession) -> None:
        if told:
            await told(session, run)

    return tell


def _undone(run: Run, outcome: Outcome, error: Exception) -> Outcome:
    """What becomes of a job whose end could not be written. A dead one dies, whatever its domain says to that."""
    retry = _fault(run, error)
    return _Dead(reason=outcome.reason or retry.reason) if isinstance(outcome, _Dead) else retry


def _fault(run: Run, error: Exception) -> Retry:
    passing = _passing(error)
    logger.log(20 if passing else 40, "job_failed", kind=run.kind, **fault(error))
    seconds = (0.2 if passing else 5) * 2 ** min(run.attempt, 20)
    return Retry(reason=type(error).__name__, seconds=min(seconds, LONGEST_WAIT))


def _passing(error: Exception) -> bool:
    return retryable(error) or server_away(error)
