"""Valkey is disposable: whatever becomes of it, no job is lost and nobody at the API notices."""

import asyncio
import os
import signal
import statistics
from uuid import UUID

import httpx
import pytest

from app.core import jobs
from app.doctor import examine
from tests.faults.house import PASSWORD, SLUG, House, Process, until
from tests.faults.load import Load, working

JOBS = [500, pytest.param(5_000, marks=[pytest.mark.long, pytest.mark.timeout(600)])]


@pytest.mark.promise(2)
@pytest.mark.parametrize("count", JOBS)
async def test_no_job_is_lost(
    home: House, api: Process, worker: Process, client: httpx.AsyncClient, count: int
) -> None:
    """Flushed, killed and started without its memory, several times while jobs are enqueued."""

    async def enqueue() -> None:
        while len(made) < count:
            async with home.resources.db.transaction(home.tenant_id) as session:
                for _ in range(count // 250):
                    job = await jobs.enqueue(session, home.actor, "test.steps", queue="interactive", args={"steps": 1})
                    made.append(job)

    async def harm() -> None:
        while len(made) < count:
            await home.flush_valkey()
            await asyncio.sleep(0.5)
            home.kill_valkey()
            await asyncio.sleep(0.7)
            await home.revive()
            await asyncio.sleep(0.5)

    async def all_ended() -> bool:
        left: int = await home.ask("SELECT count(*) FROM crm.job WHERE state IN ('queued', 'running')")
        return left == 0

    made: list[UUID] = []
    others = [await home.worker() for _ in range(count // 2_500 - 1)]
    async with working(client, people=2, pause=0.05) as load:
        await asyncio.gather(enqueue(), harm())
        took = await until(all_ended, seconds=60)
    done = await home.ask("SELECT count(*) FROM crm.job WHERE id = ANY($1) AND state = 'succeeded'", made)
    steps = await home.ask("SELECT count(*) FROM crm.event WHERE subject_id = ANY($1)", made)
    assert (done, steps) == (count, count)
    assert_unnoticed(load)
    assert api.lives
    assert all(one.lives for one in (worker, *others))
    await home.stop(*others)
    assert await examine(str(home.settings.database_url)) == []
    slowest = max(load.seconds) * 1000
    print(f"\n{count} jobs done {took:.1f} s after the last was enqueued; slowest request {slowest:.0f} ms")


@pytest.mark.promise(2)
async def test_a_frozen_valkey_slows_nobody(home: House, worker: Process, client: httpx.AsyncClient) -> None:
    """It takes every connection and answers none: the worst that it can do to those who wait for it."""
    held = [await home.enqueue("test.steps", steps=1, queue="bulk", hold=True) for _ in range(12)]

    async def done() -> bool:
        found: int = await home.ask("SELECT count(*) FROM crm.job WHERE id = ANY($1) AND state = 'succeeded'", held)
        return found == len(held)

    os.kill(home.valkey, signal.SIGSTOP)
    try:
        ringing = Load()
        for job_id in held:
            await ringing.send(client, "POST", f"/jobs/{job_id}/resume")
        assert set(ringing.statuses) == {202}
        assert statistics.median(ringing.seconds) < 0.3, "a ring is not waited for"
        async with working(client, people=4) as load:
            await asyncio.sleep(2)
        assert_unnoticed(load)
        assert statistics.median(load.seconds) < 0.3
        await until(done)
        ready = await client.get(f"{client.base_url.copy_with(path='/')}health/ready")
        assert (ready.status_code, ready.json()["parts"]) == (200, {"database": "ok", "valkey": "away"})
    finally:
        os.kill(home.valkey, signal.SIGCONT)


@pytest.mark.promise(2)
@pytest.mark.promise(21)
async def test_limits_hold_without_valkey(home: House) -> None:
    """Each process holds the rate limit by itself, and failed sign-ins are counted in the database."""
    api = await home.api(CHOT_RATE_LIMIT_PER_MINUTE="40")
    async with home.signed_in(api) as client:
        home.kill_valkey()
        statuses = [(await client.get("/customers?limit=1")).status_code for _ in range(50)]
        assert statuses[:40] == [200] * 40
        assert statuses[-5:] == [429] * 5
        who = {"workspace": SLUG, "username": "nobody", "password": "x" * 20}
        tries = [(await client.post("/auth/login", json=who)).status_code for _ in range(8)]
        assert tries[:5] == [401] * 5
        assert tries[-1] == 429
        reply = await client.post("/auth/login", json={**who, "username": "admin", "password": PASSWORD})
        assert reply.status_code == 200, "a stranger's failures lock nobody else out"
    await home.stop(api)


def assert_unnoticed(load: Load) -> None:
    """Every request got what it asked for."""
    assert not load.wrong, load.wrong[:3]
    assert not load.cut
    assert set(load.statuses) == {200, 201}
