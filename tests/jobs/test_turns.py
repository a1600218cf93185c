"""Many jobs: lanes, queues, the turns that workspaces take, and the bell."""

import asyncio
import statistics
import time

import pytest

from app.core import jobs
from app.core.actor import Actor
from app.core.resources import open_resources
from app.core.run import Again, Done, Outcome, Run
from app.core.runner import CAPACITY
from tests.jobs.machine import (
    Gate,
    Machine,
    at_work,
    eventually,
    handled,
    mark_step,
    nothing,
    somebody,
    steps,
    swept,
)
from workers.main import WorkerProcess


async def test_a_lane_runs_one_job_at_a_time_and_rings_the_next(jobbing: Machine, actor: Actor) -> None:
    gates = [Gate(), Gate()]

    async def work(run: Run) -> Outcome:
        await gates[run.args["n"]].passing()
        return Done()

    first, second = [await jobbing.enqueue(actor, "test.work", lane="l", args={"n": n}) for n in range(2)]
    runner = jobbing.runner(handled(work))
    runner.wake("bulk", actor.tenant_id, first)
    await gates[0].reached.wait()
    runner.wake("bulk", actor.tenant_id, second)
    await asyncio.sleep(0.2)
    assert not gates[1].reached.is_set()
    await jobbing.resources.redis.flushdb()
    gates[0].opened.set()
    await jobbing.until(actor, first, "succeeded")

    async def rung() -> bool:
        names = await jobbing.resources.redis.zrange(jobs.queue_name("bulk"), 0, -1)
        return list(names) == [f"{second}:0".encode()]

    await eventually(rung)
    gates[1].opened.set()
    assert (await jobbing.run(runner, actor, second)).state == "succeeded"


async def test_a_job_that_gives_way_keeps_its_lane(jobbing: Machine, actor: Actor) -> None:
    async def work(run: Run) -> Outcome:
        await mark_step(run, run.args["n"])
        return Done() if run.claims > 1 else Again()

    first, second = [await jobbing.enqueue(actor, "test.work", lane="l", args={"n": n}) for n in range(2)]
    runner = jobbing.runner(handled(work))
    await jobbing.run(runner, actor, first)
    await swept(runner)
    await swept(runner)
    await swept(runner)
    assert (await jobbing.job(actor, second)).state == "succeeded"
    assert await jobbing.marks(actor) == [0, 0, 1, 1]


async def test_a_blocked_lane_holds_up_nobody_else(jobbing: Machine) -> None:
    gate, busy, other = Gate(), somebody(), somebody()

    async def work(run: Run) -> Outcome:
        if run.args:
            await gate.passing()
        return Done()

    for _ in range(4):
        await jobbing.enqueue(busy, "test.work", lane="l", args={"wait": True})
    runner = jobbing.runner(handled(work))
    await runner.sweep()
    await gate.reached.wait()
    later = [await jobbing.enqueue(other, "test.work") for _ in range(3)]
    later += [await jobbing.enqueue(busy, "test.work") for _ in range(3)]
    sweeping = asyncio.create_task(runner.sweep_forever())
    for job_id in later[:3]:
        await jobbing.until(other, job_id, "succeeded", seconds=3)
    for job_id in later[3:]:
        await jobbing.until(busy, job_id, "succeeded", seconds=3)
    gate.opened.set()
    await runner.stop()
    await sweeping


async def test_a_new_worker_passes_by_whom_lanes_hold_back(jobbing: Machine) -> None:
    """It has served nobody yet, so that those whose due work is oldest come first, though none of it can start."""
    held, other = Gate(), somebody()

    async def work(run: Run) -> Outcome:
        if run.args:
            await held.passing()
        return Done()

    first = jobbing.runner(handled(work))
    blocked = [somebody() for _ in range(CAPACITY["bulk"])]
    for one in blocked:
        job_id = await jobbing.enqueue(one, "test.work", lane="l", args={"wait": True})
        first.wake("bulk", one.tenant_id, job_id)
        await jobbing.until(one, job_id, "running")
        await jobbing.enqueue(one, "test.work", lane="l")
    wanted = await jobbing.enqueue(other, "test.work")
    second = jobbing.runner(handled(work))
    await second.sweep()
    assert (await jobbing.until(other, wanted, "succeeded", seconds=3)).claims == 1
    rung = await jobbing.enqueue(other, "test.work")
    second.wake("bulk", other.tenant_id, rung)
    await jobbing.until(other, rung, "succeeded", seconds=3)
    held.opened.set()


async def test_workspaces_take_turns(jobbing: Machine) -> None:
    """Two workspaces fill both places of the queue with older work, and more of it; a third one is not starved."""
    served: list[str] = []
    names = {(one := somebody()).tenant_id: (name, one) for name in "ABC"}

    async def work(run: Run) -> Outcome:
        served.append(names[run.tenant_id][0])
        await asyncio.sleep(0.01)
        return Done()

    for name, one in names.values():
        for _ in range(12 if name != "C" else 4):
            last = await jobbing.enqueue(one, "test.work")
    runner = jobbing.runner(handled(work))
    sweeping = asyncio.create_task(runner.sweep_forever())
    await jobbing.until(one, last, "succeeded")
    assert served[:14].count("C") == 4, served
    await eventually(lambda: len(served) == 28)
    await runner.stop()
    await sweeping


async def test_a_long_job_gives_way_to_another_workspace(jobbing: Machine) -> None:
    served: list[str] = []
    long, short = somebody(), somebody()

    async def work(run: Run) -> Outcome:
        served.append(run.args["n"])
        await asyncio.sleep(0.02)
        return Done() if run.args["n"] == "short" or run.claims == 6 else Again()

    held = [await jobbing.enqueue(long, "test.work", args={"n": "long"}) for _ in range(CAPACITY["bulk"])]
    runner = jobbing.runner(handled(work))
    sweeping = asyncio.create_task(runner.sweep_forever())
    await eventually(lambda: bool(served))
    waiting = await jobbing.enqueue(short, "test.work", args={"n": "short"})
    runner.wake("bulk", short.tenant_id, waiting)
    for job_id in held:
        await jobbing.until(long, job_id, "succeeded")
    await runner.stop()
    await sweeping
    assert served.index("short") <= 2 * CAPACITY["bulk"], served


@pytest.mark.parametrize("queue", list(CAPACITY))
async def test_a_queue_runs_no_more_than_its_capacity(jobbing: Machine, actor: Actor, queue: jobs.Queue) -> None:
    running, most = 0, 0

    async def work(_run: Run) -> Outcome:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await full.wait()
        await asyncio.sleep(0.02)
        running -= 1
        return Done()

    full = asyncio.Event()
    async with at_work(jobbing, work):
        made = [await jobbing.enqueue(actor, "test.work", queue=queue) for _ in range(3 * CAPACITY[queue])]
        try:
            await eventually(lambda: running == CAPACITY[queue], seconds=3)
            await asyncio.sleep(0.2)
        finally:
            full.set()
        for job_id in made:
            await jobbing.until(actor, job_id, "succeeded")
    assert most == CAPACITY[queue]


async def test_a_fault_in_one_job_leaves_the_others_alone(jobbing: Machine, actor: Actor) -> None:
    async def work(run: Run) -> Outcome:
        if run.args["n"] % 2:
            raise RecursionError
        return await steps(run)

    async with at_work(jobbing, work):
        made = [await jobbing.enqueue(actor, "test.work", args={"n": n}) for n in range(8)]
        for job_id in made[::2]:
            await jobbing.until(actor, job_id, "succeeded")
        assert {(await jobbing.until(actor, job_id, "queued")).state for job_id in made[1::2]} == {"queued"}


async def test_the_bell_is_heard_at_once(jobbing: Machine, actor: Actor) -> None:
    started: dict[str, float] = {}

    async def work(run: Run) -> Outcome:
        started[str(run.id)] = time.perf_counter()
        return Done()

    async with at_work(jobbing, work):
        await jobbing.until(actor, await jobbing.enqueue(actor, "test.work"), "succeeded")
        waits = []
        for _ in range(50):
            began = time.perf_counter()
            job_id = str(await jobbing.enqueue(actor, "test.work", queue="interactive"))
            await eventually(lambda: job_id in started)  # noqa: B023
            waits.append((started[job_id] - began) * 1000)
    median, p95 = statistics.median(waits), statistics.quantiles(waits, n=20)[-1]
    print(f"\nfrom enqueue to the handler: median {median:.0f} ms, p95 {p95:.0f} ms")
    assert median < 250


@pytest.mark.promise(2)
async def test_the_sweeper_works_while_the_bell_is_silent(jobbing: Machine, actor: Actor) -> None:
    silent = jobbing.settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"})
    resources = open_resources(silent, name="chot jobs test")
    process = WorkerProcess(resources, handled(nothing))
    await process.start()
    try:
        await asyncio.sleep(0.2)
        began = time.perf_counter()
        async with resources.db.transaction(actor.tenant_id) as session:
            job_id = await jobs.enqueue(session, actor, "test.work", queue="bulk")
        assert time.perf_counter() - began < 0.3, "whoever enqueues does not wait for Valkey"
        await jobbing.until(actor, job_id, "succeeded")
    finally:
        await process.stop()
        await resources.close()
