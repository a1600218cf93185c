"""Parts of one job, two at a time: each is done once, whatever happens to the other."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.run import Done, Outcome, Run
from app.core.runner import Handler
from tests.jobs.machine import Gate, Machine, handled, mark

COUNT = 7


Do = Callable[[Run, AsyncSession, int], Awaitable[int]]


def counting(do: Do) -> dict[str, Handler]:
    """A job of seven parts; `do` answers how many customers one has changed."""

    async def work(run: Run) -> Outcome:
        run.progress = {"done": 0, "counts": {"changed": 0}, **run.progress}

        async def part(session: AsyncSession, number: int) -> tuple[int, dict[str, int]]:
            await mark(session, run, [run.claims, number])
            return 1, {"changed": await do(run, session, number)}

        return await run.parts(COUNT, part) or Done(result=run.progress["counts"])

    return handled(work)


async def done(jobbing: Machine, actor: Actor) -> list[int]:
    """The parts whose trace is there, sorted."""
    return sorted(number for _, number in await jobbing.marks(actor))


async def test_every_part_is_done_once_and_counted(jobbing: Machine, actor: Actor) -> None:
    at_once, most = 0, 0

    async def do(_run: Run, _session: AsyncSession, number: int) -> int:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.01)
        at_once -= 1
        return number

    row = await jobbing.run(jobbing.runner(counting(do)), actor, await jobbing.enqueue(actor, "test.work"))
    assert (row.state, row.result, most) == ("succeeded", {"changed": sum(range(COUNT))}, 2)
    assert row.progress == {"done": 7, "counts": {"changed": 21}, "next": COUNT, "ahead": []}
    assert await done(jobbing, actor) == list(range(COUNT))


async def test_a_part_that_fails_leaves_the_other_one_done(jobbing: Machine, actor: Actor) -> None:
    """The next run does it again, and nothing else."""
    begun, tried = Gate(), Counter[int]()

    async def do(run: Run, _session: AsyncSession, number: int) -> int:
        tried[number] += 1
        if run.claims == 1 and number == 0:
            # Its neighbour has done two parts and is at the third.
            await begun.passing()
            raise ValueError
        if run.claims == 1 and number == 3:
            begun.opened.set()
            await asyncio.sleep(0.05)
        return 1

    job_id = await jobbing.enqueue(actor, "test.work")
    runner = jobbing.runner(counting(do))
    row = await jobbing.run(runner, actor, job_id)
    assert (row.state, row.error) == ("queued", {"code": "retrying", "reason": "ValueError"})
    assert row.progress == {"done": 3, "counts": {"changed": 3}, "next": 0, "ahead": [1, 2, 3]}
    await jobbing.due(job_id)
    row = await jobbing.run(runner, actor, job_id)
    assert (row.state, row.result) == ("succeeded", {"changed": COUNT})
    assert await done(jobbing, actor) == list(range(COUNT))
    assert tried == Counter({0: 2, **dict.fromkeys(range(1, COUNT), 1)})


async def test_a_pause_lets_both_parts_end(jobbing: Machine, actor: Actor) -> None:
    gate = Gate()

    async def do(_run: Run, _session: AsyncSession, number: int) -> int:
        if number == 1:
            await gate.passing()
        return 1

    job_id = await jobbing.enqueue(actor, "test.work")
    runner = jobbing.runner(counting(do))
    runner.wake("bulk", actor.tenant_id, job_id)
    await gate.reached.wait()
    assert await jobbing.control(actor, "pause", job_id) == "running"
    gate.opened.set()
    row = await jobbing.until(actor, job_id, "paused")
    assert 1 in await done(jobbing, actor)
    assert len(await done(jobbing, actor)) == row.progress["done"] == row.progress["counts"]["changed"]
    await jobbing.control(actor, "resume", job_id)
    if row.progress["next"] < COUNT:
        assert (await jobbing.run(runner, actor, job_id)).state == "succeeded"
    assert await done(jobbing, actor) == list(range(COUNT))


async def test_a_lost_lease_commits_nothing(jobbing: Machine, actor: Actor) -> None:
    gate = Gate()

    async def do(run: Run, _session: AsyncSession, _number: int) -> int:
        if run.claims == 1:
            await gate.passing()
        return 1

    job_id = await jobbing.enqueue(actor, "test.work")
    first, second = jobbing.runner(counting(do)), jobbing.runner(counting(do))
    first.wake("bulk", actor.tenant_id, job_id)
    await gate.reached.wait()
    await jobbing.run_out(job_id)
    row = await jobbing.run(second, actor, job_id)
    gate.opened.set()
    await first.stop()
    assert (row.state, row.result) == ("succeeded", {"changed": COUNT})
    assert sorted(await jobbing.marks(actor)) == [[2, number] for number in range(COUNT)]
