"""One run of a job, as its handler sees it: its transactions, its progress, and how it may end."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.clock import now
from app.core.jobs import Job, Queue
from app.core.log import logger
from app.core.resources import Resources

BUDGET = 25.0
# How many parts of one job are done at a time: one connection keeps one core of the database busy.
ABREAST = 2

Effect = Callable[[AsyncSession], Awaitable[None]]
# Does the part of a number; answers its size, and what it adds to each of the progress's counts.
Part = Callable[[AsyncSession, int], Awaitable[tuple[int, Mapping[str, int]]]]


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
    """Cannot succeed; trying again would not help. `jobs.REASONS` has the sentence of the code."""

    code: str = "failed"


@dataclass(frozen=True)
class Retry(Outcome):
    """Went wrong in a way that may pass. Keeps the progress of the last checkpoint, not what was tried since."""

    reason: str = ""
    seconds: float = 5


class Run:
    """One claim of one job, as its handler sees it."""

    def __init__(self, resources: Resources, row: Any, token: UUID, lease: timedelta, stopping: asyncio.Event) -> None:
        self.resources = resources
        self.tenant_id: UUID = row.tenant_id
        self.id: UUID = row.id
        self.kind: str = row.kind
        self.args: dict[str, Any] = row.args
        self.subject_id: UUID | None = row.subject_id
        self.progress: dict[str, Any] = row.progress
        self.attempt: int = row.attempt
        self.max_attempts: int = row.max_attempts
        self.queue: Queue = row.queue
        self.lane: str | None = row.lane
        self.claims: int = row.claims
        self.control: str | None = row.control
        self.error: dict[str, Any] | None = row.error
        self.actor = Actor(row.tenant_id, row.created_by_kind, row.created_by, row.created_by_name)
        self.token, self._lease, self._stopping = token, lease, stopping
        self._saved, self._turn = deepcopy(self.progress), asyncio.Lock()
        self._until = time.monotonic() + BUDGET

    @asynccontextmanager
    async def transaction(self, *, checkpoint: bool = True) -> AsyncIterator[AsyncSession]:
        """A transaction whose commit proves that the job is still ours; `progress` is saved in it.

        When it fails, `progress` is what it was at the last commit that is known. Without `checkpoint` it is for people
        to see: the next run starts over, and no attempt is taken back.

        Raises:
            LeaseLost: instead of committing.
        """
        saved = self._saved
        try:
            async with self.resources.db.transaction(self.tenant_id) as session:
                yield session
                saved = deepcopy(self.progress)
                await self._fence(session, **self.unsaved(checkpoint=checkpoint))
        except BaseException:
            self.progress = deepcopy(self._saved)
            raise
        if saved != self._saved:
            self.attempt, self._saved = 0 if checkpoint else self.attempt, saved
        # Another transaction of the same run may have failed meanwhile, and taken back what this one has committed.
        self.progress = deepcopy(saved)

    async def parts(self, count: int, do: Part) -> Outcome | None:
        """Does the parts 0 to `count` - 1 that are not done yet, two at a time, each in a transaction that is its
        checkpoint. Answers why it gave way before the end, or None. The parts may not depend on each other.

        Raises:
            LeaseLost, and what a part raises; the other one comes to its end first.
        """
        ahead = set(self.progress.get("ahead", ()))
        left = iter([number for number in range(self.progress.get("next", 0), count) if number not in ahead])
        failed: list[Exception] = []

        async def work() -> Outcome | None:
            while not failed:
                if (outcome := self.interrupted()) is not None:
                    return outcome
                if (number := next(left, None)) is None:
                    return None
                try:
                    await self._part(number, do)
                except Exception as error:  # noqa: BLE001 -- raised below
                    failed.append(error)
            return None

        ends = await asyncio.gather(*(work() for _ in range(ABREAST)))
        if failed:
            raise failed[0]
        return next((end for end in ends if end is not None), None)

    async def _part(self, number: int, do: Part) -> None:
        async with AsyncExitStack() as turn:
            async with self.resources.db.transaction(self.tenant_id) as session:
                size, counts = await do(session, number)
                # One commits at a time, so that each counts on from what is known to be done.
                await turn.enter_async_context(self._turn)
                progress = _advanced(self.progress, number, size, counts)
                await self._fence(session, progress=progress, attempt=0)
            self.attempt, self.progress, self._saved = 0, progress, deepcopy(progress)

    def unsaved(self, *, checkpoint: bool = True) -> dict[str, Any]:
        """What a transaction must write: new progress, which at a checkpoint also takes the attempts back."""
        if self.progress == self._saved:
            return {}
        return {"progress": self.progress} | ({"attempt": 0} if checkpoint else {})

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
        """Extends the lease, and returns only when it is lost."""
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 4)
            try:
                async with self.resources.db.transaction(self.tenant_id) as session:
                    await self._fence(session)
            except LeaseLost:
                return
            except Exception as error:  # noqa: BLE001 -- the database may be back before the lease runs out
                logger.info("beat_missed", error=type(error).__name__)

    async def _fence(self, session: AsyncSession, **values: Any) -> None:
        if values:
            values["version"] = Job.version + 1
        # statement_timestamp(), because now() is when the step began: it would take back what the beats gave.
        row = (
            await session.execute(
                update(Job)
                .where(Job.id == self.id, Job.lease_token == self.token, Job.state == "running")
                .values(lease_until=func.statement_timestamp() + self._lease, updated_at=now(), **values)
                .returning(Job.control)
                .execution_options(synchronize_session=False)
            )
        ).one_or_none()
        if row is None:
            raise LeaseLost
        self.control = row.control


def _advanced(progress: Mapping[str, Any], number: int, size: int, counts: Mapping[str, int]) -> dict[str, Any]:
    summed = {key: value + counts.get(key, 0) for key, value in progress["counts"].items()}
    return {**progress, **passed(progress, number), "done": progress["done"] + size, "counts": summed}


def passed(progress: Mapping[str, Any], number: int) -> dict[str, Any]:
    """What a progress says of its numbered parts once one more is done: `next` is the first that is not, `ahead` are
    those behind it that are."""
    first, ahead = progress.get("next", 0), {number, *progress.get("ahead", ())}
    while first in ahead:
        ahead.remove(first)
        first += 1
    return {"next": first, "ahead": sorted(ahead)}
