"""Whatever two workers do in whatever order, and whenever a lease ends: no step of a job is committed twice."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.actor import Actor
from app.core.run import LeaseLost, Run
from app.core.runner import Runner
from tests.jobs.machine import Machine, mark, somebody

WORKERS = st.integers(0, 1)
VERBS = st.sampled_from(["claim", "open", "close", "close", "expire", "both"])
MOVES = st.lists(st.tuples(VERBS, WORKERS), max_size=24)


class Worker:
    """A worker that claims and steps when it is told to, and may sleep for ever in between."""

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self.run: Run | None = None
        self.step: AsyncExitStack | None = None

    async def claim(self, job: tuple[Actor, object]) -> None:
        if self.step is None:
            actor, job_id = job
            self.run = await self.runner._claim(actor.tenant_id, job_id) or self.run  # type: ignore[arg-type]

    async def open(self) -> None:
        """Begins the next step and writes its trace."""
        if self.run and self.step is None:
            self.step = AsyncExitStack()
            session = await self.step.enter_async_context(self.run.transaction())
            step = self.run.progress.get("next", 0)
            await mark(session, self.run, step)
            self.run.progress["next"] = step + 1

    async def close(self) -> bool:
        """Ends the step; whether it was committed."""
        if self.step is None:
            return False
        ending, self.step = self.step, None
        try:
            await ending.aclose()
        except LeaseLost:
            self.run = None
            return False
        return True


@pytest.mark.promise(1)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=MOVES)
async def test_no_step_is_committed_twice(jobbing: Machine, moves: list[tuple[str, int]]) -> None:
    actor = somebody()
    job_id = await jobbing.enqueue(actor, "test.work", max_attempts=1000)
    workers = [Worker(jobbing.runner({})) for _ in range(2)]
    committed = 0
    for move, number in moves:
        worker = workers[number]
        if move == "claim":
            await worker.claim((actor, job_id))
        elif move == "open":
            await worker.open()
        elif move == "close":
            committed += await worker.close()
        elif move == "expire":
            await jobbing.run_out(job_id)
        else:
            ends = await asyncio.gather(*(one.close() for one in workers))
            assert sum(ends) <= 1, "both workers committed in one moment"
            committed += sum(ends)
    for worker in workers:
        committed += await worker.close()
    assert await jobbing.marks(actor) == list(range(committed))
    assert (await jobbing.job(actor, job_id)).progress == ({"next": committed} if committed else {})


@pytest.mark.promise(1)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rivals=st.integers(2, 6))
async def test_of_rival_claims_one_wins(jobbing: Machine, rivals: int) -> None:
    actor = somebody()
    job_id = await jobbing.enqueue(actor, "test.work")
    runners = [jobbing.runner({}) for _ in range(rivals)]
    for claims in (1, 2):
        runs = await asyncio.gather(*(runner._claim(actor.tenant_id, job_id) for runner in runners))
        assert [run.claims for run in runs if run] == [claims]
        await jobbing.run_out(job_id)
