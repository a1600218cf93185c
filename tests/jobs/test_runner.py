"""One job: what a claim, a checkpoint, an end and a worker's death may and may not do to it."""

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import jobs
from app.core.actor import Actor
from app.core.run import Again, Done, Failed, LeaseLost, Outcome, Retry, Run, Stopped
from app.core.runner import Handler
from tests.jobs.machine import LEASE, Gate, Machine, at_work, eventually, handled, mark, mark_step, nothing, steps


async def test_a_job_dies_with_its_callers_transaction(jobbing: Machine, actor: Actor) -> None:
    async def fails() -> None:
        async with jobbing.resources.db.transaction(actor.tenant_id) as session:
            await jobs.enqueue(session, actor, "test.work", queue="bulk")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fails()
    assert await jobbing.owner.fetchval("SELECT count(*) FROM crm.job WHERE tenant_id = $1", actor.tenant_id) == 0


async def test_a_run_ends_with_its_result_and_what_it_wrote(jobbing: Machine, actor: Actor) -> None:
    async def work(run: Run) -> Outcome:
        outcome = await steps(run)

        async def effect(session: AsyncSession) -> None:
            await mark(session, run, "end")

        return Done(effect, result={"actor": run.actor.name, "args": run.args, "steps": outcome is not None})

    job_id = await jobbing.enqueue(actor, "test.work", args={"x": 1})
    row = await jobbing.run(jobbing.runner(handled(work)), actor, job_id)
    assert (row.state, row.progress, row.attempt) == ("succeeded", {"next": 3}, 0)
    assert row.result == {"actor": actor.name, "args": {"x": 1}, "steps": True}
    assert row.finished_at
    assert (row.lease_token, row.lease_until) == (None, None)
    assert await jobbing.marks(actor) == [0, 1, 2, "end"]


async def test_a_live_job_of_the_same_key_is_the_same_job(jobbing: Machine, actor: Actor) -> None:
    async def one() -> object:
        return await jobbing.enqueue(actor, "test.work", dedupe_key="k")

    assert len(set(await asyncio.gather(*(one() for _ in range(8))))) == 1
    assert await jobbing.enqueue(actor, "test.other", dedupe_key="k") != await one()
    first = await jobbing.enqueue(actor, "test.work", dedupe_key="k")
    await jobbing.run(jobbing.runner(handled(nothing)), actor, first)
    assert await one() != first, "an ended job must not swallow new work"


async def test_pause_resume_and_cancel_while_queued(jobbing: Machine, actor: Actor) -> None:
    job_id = await jobbing.enqueue(actor, "test.work")
    assert await jobbing.control(actor, "pause", job_id) == "paused"
    runner = jobbing.runner(handled(nothing))
    runner.wake("bulk", actor.tenant_id, job_id)
    await runner.sweep()
    assert (await jobbing.job(actor, job_id)).claims == 0
    await jobbing.control(actor, "resume", job_id)
    assert await jobbing.control(actor, "cancel", job_id) == "queued"
    assert (await jobbing.run(runner, actor, job_id)).state == "cancelled"
    for verb in ("pause", "resume", "cancel"):
        with pytest.raises(jobs.JobNotLive):
            await jobbing.control(actor, verb, job_id)
    assert (await jobbing.job(actor, job_id)).finished_at


@pytest.mark.parametrize(("verb", "ends"), [("pause", "paused"), ("cancel", "cancelled")])
async def test_a_running_job_stops_at_its_checkpoint(jobbing: Machine, actor: Actor, verb: str, ends: str) -> None:
    gate = Gate()

    async def work(run: Run) -> Outcome:
        if run.claims == 1:
            await gate.passing()
        return await steps(run)

    job_id = await jobbing.enqueue(actor, "test.work")
    runner = jobbing.runner(handled(work))
    runner.wake("bulk", actor.tenant_id, job_id)
    await gate.reached.wait()
    assert await jobbing.control(actor, verb, job_id) == "running"
    gate.opened.set()
    row = await jobbing.until(actor, job_id, ends)
    assert (row.progress, row.control) == ({"next": 1}, None)
    if ends == "paused":
        await jobbing.control(actor, "resume", job_id)
        assert (await jobbing.run(runner, actor, job_id)).state == "succeeded"
        assert await jobbing.marks(actor) == [0, 1, 2]


async def test_a_pause_can_be_taken_back_and_a_cancel_cannot(jobbing: Machine, actor: Actor) -> None:
    gate = Gate()

    async def work(run: Run) -> Outcome:
        await gate.passing()
        return await steps(run)

    job_id = await jobbing.enqueue(actor, "test.work")
    jobbing.runner(handled(work)).wake("bulk", actor.tenant_id, job_id)
    await gate.reached.wait()
    await jobbing.control(actor, "pause", job_id)
    await jobbing.control(actor, "resume", job_id)
    assert (await jobbing.job(actor, job_id)).control is None
    await jobbing.control(actor, "cancel", job_id)
    await jobbing.control(actor, "pause", job_id)
    gate.opened.set()
    await jobbing.until(actor, job_id, "cancelled")


async def test_nothing_of_a_worker_that_lost_its_lease_is_committed(jobbing: Machine, actor: Actor) -> None:
    frozen, lost = Gate(), asyncio.Event()

    async def stale(run: Run) -> Outcome:
        try:
            async with run.transaction() as session:
                await mark(session, run, "stale")
                await frozen.passing()
        except LeaseLost:
            lost.set()
            raise
        return Done()

    async def other(run: Run) -> Outcome:
        await mark_step(run, "other")
        frozen.opened.set()
        await asyncio.wait_for(lost.wait(), 5)
        return Done()

    job_id = await jobbing.enqueue(actor, "test.work")
    jobbing.runner(handled(stale)).wake("bulk", actor.tenant_id, job_id)
    await frozen.reached.wait()
    await jobbing.run_out(job_id)
    row = await jobbing.run(jobbing.runner(handled(other)), actor, job_id)
    assert (row.state, row.claims) == ("succeeded", 2)
    assert await jobbing.marks(actor) == ["other"]


async def test_a_worker_that_lost_its_lease_stops_where_it_stands(jobbing: Machine, actor: Actor) -> None:
    reached, cancelled = asyncio.Event(), asyncio.Event()

    async def outside(_run: Run) -> Outcome:
        reached.set()
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return Done()

    job_id = await jobbing.enqueue(actor, "test.work")
    jobbing.runner(handled(outside)).wake("bulk", actor.tenant_id, job_id)
    await reached.wait()
    await jobbing.run_out(job_id)
    assert (await jobbing.run(jobbing.runner(handled(nothing)), actor, job_id)).state == "succeeded"
    await asyncio.wait_for(cancelled.wait(), LEASE)


async def test_attempts_are_counted_at_the_claim_and_end_dead(jobbing: Machine, actor: Actor) -> None:
    async def broken(run: Run) -> Outcome:
        async with run.transaction() as session:
            await mark(session, run, run.attempt)
        raise ValueError("0912 345 678")

    async def dead(session: AsyncSession, run: Run) -> None:
        await mark(session, run, "dead")

    job_id = await jobbing.enqueue(actor, "test.work", max_attempts=3)
    runner = jobbing.runner({"test.work": Handler(broken, dead)})
    for attempt in (1, 2, 3):
        row = await jobbing.run(runner, actor, job_id)
        assert (row.state, row.attempt) == ("queued", attempt)
        assert row.error == {"code": "retrying", "reason": "ValueError"}, "an error's text may hold a customer's data"
        await jobbing.due(job_id)
    row = await jobbing.run(runner, actor, job_id)
    assert (row.state, row.error) == ("dead", {"code": "attempts_used_up", "reason": "ValueError"})
    assert await jobbing.marks(actor) == [1, 2, 3, "dead"]


async def test_a_dead_job_dies_even_if_its_domain_cannot_be_told(jobbing: Machine, actor: Actor) -> None:
    async def broken(_run: Run) -> Outcome:
        raise ValueError

    async def dead(session: AsyncSession, run: Run) -> None:
        await mark(session, run, "half")
        raise KeyError

    job_id = await jobbing.enqueue(actor, "test.work", max_attempts=1)
    runner = jobbing.runner({"test.work": Handler(broken, dead)})
    await jobbing.run(runner, actor, job_id)
    await jobbing.due(job_id)
    row = await jobbing.run(runner, actor, job_id)
    assert (row.state, row.error) == ("dead", {"code": "attempts_used_up", "reason": "ValueError"})
    assert await jobbing.marks(actor) == []


@pytest.mark.parametrize("before", ["queued", "paused", "waiting in its lane", "after a retry"])
async def test_a_cancelled_job_ends_by_its_domain_though_it_never_asks(
    jobbing: Machine, actor: Actor, before: str
) -> None:
    async def work(run: Run) -> Outcome:
        if run.args:
            await gate.passing()
            return Done()
        return Retry(seconds=60)

    async def cancelled(session: AsyncSession, run: Run) -> None:
        await mark(session, run, "told")

    gate = Gate()
    runner = jobbing.runner({"test.work": Handler(work, cancelled=cancelled)})
    if before == "waiting in its lane":
        holder = await jobbing.enqueue(actor, "test.work", lane="l", args={"holds": True})
        runner.wake("bulk", actor.tenant_id, holder)
        await gate.reached.wait()
    job_id = await jobbing.enqueue(actor, "test.work", lane="l")
    if before == "paused":
        await jobbing.control(actor, "pause", job_id)
    elif before == "after a retry":
        await jobbing.run(runner, actor, job_id)
    assert await jobbing.control(actor, "cancel", job_id) == "queued"
    runner.wake("bulk", actor.tenant_id, job_id)
    row = await jobbing.until(actor, job_id, "cancelled", seconds=3)
    assert (row.control, row.finished_at is not None) == (None, True)
    assert await jobbing.marks(actor) == ["told"]
    gate.opened.set()


@pytest.mark.parametrize(("then", "ends", "told"), [("cancel", "cancelled", ["told"]), ("resume", "succeeded", [])])
async def test_what_is_asked_while_a_job_is_being_paused_is_heard(
    jobbing: Machine, actor: Actor, then: str, ends: str, told: list[str]
) -> None:
    """Between the handler's word that it pauses and the commit of that."""
    pausing = Gate()

    async def work(run: Run) -> Outcome:
        if run.claims > 1:
            return Done()
        while run.control is None:
            async with run.transaction():
                await asyncio.sleep(0.01)

        async def effect(session: AsyncSession) -> None:
            await mark(session, run, "paused")
            await pausing.passing()

        return Stopped(effect, state="paused")

    async def cancelled(session: AsyncSession, run: Run) -> None:
        await mark(session, run, "told")

    job_id = await jobbing.enqueue(actor, "test.work")
    runner = jobbing.runner({"test.work": Handler(work, cancelled=cancelled)})
    runner.wake("bulk", actor.tenant_id, job_id)
    await jobbing.until(actor, job_id, "running")
    await jobbing.control(actor, "pause", job_id)
    await pausing.reached.wait()
    assert await jobbing.control(actor, then, job_id) == "running"
    pausing.opened.set()
    await jobbing.until(actor, job_id, "queued")
    await eventually(lambda: not runner.busy)
    row = await jobbing.run(runner, actor, job_id)
    assert (row.state, row.control) == (ends, None)
    assert await jobbing.marks(actor) == told


async def test_what_people_see_of_a_job_has_a_version(jobbing: Machine, actor: Actor) -> None:
    """A claim, each step and the end; a beat is nobody's business."""
    seen: list[int] = []

    async def work(run: Run) -> Outcome:
        seen.append((await jobbing.job(actor, run.id)).version)
        await mark_step(run, "one")
        seen.append((await jobbing.job(actor, run.id)).version)
        async with run.transaction():
            pass
        seen.append((await jobbing.job(actor, run.id)).version)
        return Done()

    job_id = await jobbing.enqueue(actor, "test.work")
    assert (await jobbing.run(jobbing.runner(handled(work)), actor, job_id)).version == 4
    assert seen == [2, 3, 3]


async def test_later_is_told_by_the_clock_of_the_database(jobbing: Machine, actor: Actor) -> None:
    job_id = await jobbing.enqueue(actor, "test.work", delay=timedelta(seconds=60))
    left = await jobbing.owner.fetchval("SELECT run_at - created_at FROM crm.job WHERE id = $1", job_id)
    assert timedelta(seconds=55) < left < timedelta(seconds=65)
    runner = jobbing.runner(handled(nothing))
    runner.wake("bulk", actor.tenant_id, job_id)
    await runner.sweep()
    await eventually(lambda: not runner.busy)
    assert (await jobbing.job(actor, job_id)).claims == 0


async def test_progress_takes_the_attempts_back(jobbing: Machine, actor: Actor) -> None:
    async def unlucky(run: Run) -> Outcome:
        await mark_step(run, run.attempt)
        if len(run.progress["done"]) < 6:
            raise OSError
        return Done()

    job_id = await jobbing.enqueue(actor, "test.work", max_attempts=2)
    runner = jobbing.runner(handled(unlucky))
    for _ in range(6):
        row = await jobbing.run(runner, actor, job_id)
        await jobbing.due(job_id)
    assert row.state == "succeeded"
    assert await jobbing.marks(actor) == [1] * 6


async def test_what_was_rolled_back_is_no_progress(jobbing: Machine, actor: Actor) -> None:
    async def falls_once(run: Run) -> Outcome:
        while (step := run.progress.get("next", 0)) < 3:
            async with run.transaction() as session:
                await mark(session, run, step)
                run.progress["next"] = step + 1
                if step == 1 and run.claims == 1:
                    raise ValueError
        return Done()

    job_id = await jobbing.enqueue(actor, "test.work")
    runner = jobbing.runner(handled(falls_once))
    assert (await jobbing.run(runner, actor, job_id)).progress == {"next": 1}
    await jobbing.due(job_id)
    assert (await jobbing.run(runner, actor, job_id)).state == "succeeded"
    assert await jobbing.marks(actor) == [0, 1, 2]


async def test_a_step_that_fails_takes_nothing_from_the_one_beside_it(jobbing: Machine, actor: Actor) -> None:
    async def work(run: Run) -> Outcome:
        async def fails() -> None:
            async with run.transaction():
                raise ValueError

        async def commits() -> None:
            async with run.transaction() as session:
                await session.connection()
                run.progress["next"] = 1

        await asyncio.gather(*(step() for _ in range(10) for step in (commits, fails)), return_exceptions=True)
        return Done()

    for _ in range(5):
        job_id = await jobbing.enqueue(actor, "test.work")
        assert (await jobbing.run(jobbing.runner(handled(work)), actor, job_id)).progress == {"next": 1}


async def test_a_retry_waits_and_each_fault_waits_longer(jobbing: Machine, actor: Actor) -> None:
    async def work(run: Run) -> Outcome:
        if run.claims == 1:
            return Retry(reason="busy", seconds=60)
        raise ValueError

    job_id = await jobbing.enqueue(actor, "test.work")
    runner = jobbing.runner(handled(work))
    waits = []
    for _ in range(3):
        row = await jobbing.run(runner, actor, job_id)
        waits.append((row.run_at - datetime.now(UTC)).total_seconds())
        runner.wake("bulk", actor.tenant_id, job_id)
        await runner.sweep()
        await asyncio.sleep(0.05)
        assert (await jobbing.job(actor, job_id)).claims == row.claims, "it is not due yet"
        await jobbing.due(job_id)
    assert waits == pytest.approx([60, 20, 40], abs=5)


async def test_a_short_retry_does_not_wait_for_the_next_sweep(jobbing: Machine, actor: Actor) -> None:
    began = list[float]()

    async def work(run: Run) -> Outcome:
        began.append(time.perf_counter())
        return Done() if run.claims > 1 else Retry(seconds=0.2)

    settings = jobbing.settings.model_copy(update={"job_lease": 30})
    patient = Machine(settings, replace(jobbing.resources, settings=settings), jobbing.owner)
    async with at_work(patient, work):
        job_id = await patient.enqueue(actor, "test.work")
        await patient.until(actor, job_id, "succeeded")
    # With such a lease a sweep comes every four seconds at the earliest. The first turn may have waited for one: a ring
    # that a slow machine loses costs that.
    first, second = began
    assert 0.2 < second - first < 3


async def test_an_effect_that_fails_is_the_handlers_fault(jobbing: Machine, actor: Actor) -> None:
    async def work(run: Run) -> Outcome:
        run.progress["next"] = 7

        async def effect(session: AsyncSession) -> None:
            await mark(session, run, "effect")
            if run.claims == 1:
                raise ValueError

        return Done(effect)

    job_id = await jobbing.enqueue(actor, "test.work")
    runner = jobbing.runner(handled(work))
    row = await jobbing.run(runner, actor, job_id)
    assert (row.state, row.error, row.progress) == ("queued", {"code": "retrying", "reason": "ValueError"}, {})
    await jobbing.due(job_id)
    assert (await jobbing.run(runner, actor, job_id)).progress == {"next": 7}
    assert await jobbing.marks(actor) == ["effect"]


async def test_a_failure_is_final_and_says_why(jobbing: Machine, actor: Actor) -> None:
    async def work(_run: Run) -> Outcome:
        return Failed(code="files_deleted")

    job_id = await jobbing.enqueue(actor, "test.work")
    row = await jobbing.run(jobbing.runner(handled(work)), actor, job_id)
    assert (row.state, row.error) == ("failed", {"code": "files_deleted"})
    assert row.finished_at


async def test_a_kind_that_only_a_newer_release_knows_waits_for_it(jobbing: Machine, actor: Actor) -> None:
    job_id = await jobbing.enqueue(actor, "test.work", max_attempts=1)
    for _ in range(3):
        row = await jobbing.run(jobbing.runner({}), actor, job_id)
        assert (row.state, row.attempt) == ("queued", 0)
        await jobbing.due(job_id)
    assert (await jobbing.run(jobbing.runner(handled(nothing)), actor, job_id)).state == "succeeded"


async def test_the_heart_beats_through_a_long_step(jobbing: Machine, actor: Actor) -> None:
    left: list[timedelta] = []

    async def work(run: Run) -> Outcome:
        async with run.transaction() as session:
            await mark(session, run, "long")
            await asyncio.sleep(2.5 * LEASE)
        left.append(
            await jobbing.owner.fetchval("SELECT lease_until - clock_timestamp() FROM crm.job WHERE id = $1", run.id)
        )
        return Done()

    job_id = await jobbing.enqueue(actor, "test.work")
    runner, rival = jobbing.runner(handled(work)), jobbing.runner(handled(work))
    runner.wake("bulk", actor.tenant_id, job_id)
    await asyncio.sleep(0.1)
    while runner.busy:
        await rival.sweep()
        await asyncio.sleep(0.05)
    assert (await jobbing.job(actor, job_id)).claims == 1
    assert await jobbing.marks(actor) == ["long"]
    assert left[0].total_seconds() > LEASE / 2, "a checkpoint must not take back what the heart's beats gave"


async def test_a_stopping_worker_puts_its_job_back_at_once(jobbing: Machine, actor: Actor) -> None:
    async def work(run: Run) -> Outcome:
        if run.claims == 1:
            await asyncio.sleep(0.05)
            return await steps(run, 10_000)
        return await steps(run, run.progress["next"] + 2)

    job_id = await jobbing.enqueue(actor, "test.work")
    runner = jobbing.runner(handled(work))
    runner.wake("bulk", actor.tenant_id, job_id)
    await asyncio.sleep(0.3)
    began = time.perf_counter()
    await runner.stop()
    assert time.perf_counter() - began < 1
    row = await jobbing.job(actor, job_id)
    assert (row.state, row.lease_until, row.attempt) == ("queued", None, 0)
    done = row.progress["next"]
    assert (await jobbing.run(jobbing.runner(handled(work)), actor, job_id)).state == "succeeded"
    assert await jobbing.marks(actor) == list(range(done + 2))


@pytest.mark.promise(28)
@pytest.mark.parametrize("minutes", [-10, 10])
async def test_a_workers_clock_may_lie(
    jobbing: Machine, actor: Actor, minutes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wrong(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime.now(UTC) + timedelta(minutes=minutes)

    gate = Gate()

    async def work(run: Run) -> Outcome:
        if run.claims == 1:
            return Again(seconds=0.01)
        await gate.passing()
        return Done()

    monkeypatch.setattr("app.core.clock.datetime", Wrong)
    job_id = await jobbing.enqueue(actor, "test.work")
    runner, rival = jobbing.runner(handled(work)), jobbing.runner(handled(nothing))
    assert (await jobbing.run(runner, actor, job_id)).claims == 1
    await jobbing.control(actor, "pause", job_id)
    await jobbing.control(actor, "resume", job_id)
    runner.wake("bulk", actor.tenant_id, job_id)
    await asyncio.wait_for(gate.reached.wait(), 2)
    rival.wake("bulk", actor.tenant_id, job_id)
    await asyncio.sleep(0.2)
    gate.opened.set()
    assert (await jobbing.until(actor, job_id, "succeeded")).claims == 2
