"""PostgreSQL is killed under load: what was acknowledged is there, and nobody waits long or sees a fault of ours."""

import asyncio
import os
import signal
import time

import httpx
import pytest

from app.doctor import examine
from tests.faults.house import House, Process, until
from tests.faults.load import working

SECONDS = [2.0, pytest.param(20.0, marks=[pytest.mark.long, pytest.mark.timeout(600)])]
WRITERS = 20


@pytest.mark.promise(3)
@pytest.mark.parametrize("seconds", SECONDS)
async def test_no_acknowledged_write_is_lost(
    home: House, api: Process, worker: Process, client: httpx.AsyncClient, seconds: float
) -> None:
    """`kill -9` of the postmaster, after and before so many seconds of load; the first reply comes within 10 s."""
    running = await home.enqueue("test.steps", queue="bulk", steps=int(seconds * 10), pause=0.1)
    async with working(client, people=WRITERS, pause=0.01) as load:
        await asyncio.sleep(seconds)
        os.kill(home.postgres, signal.SIGKILL)
        await asyncio.sleep(0.5)
        await home.revive()
        back, before = time.perf_counter(), len(load.acknowledged)
        async with asyncio.timeout(10):
            while len(load.acknowledged) == before:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        first = time.perf_counter() - back
        await asyncio.sleep(seconds)
    assert before
    assert not load.wrong, "\n".join(api.faults())
    assert not load.cut, "the API itself never went away"
    assert set(load.statuses) == {200, 201, 503}
    kept = await home.ask("SELECT count(*) FROM crm.customer WHERE phone = ANY($1)", load.acknowledged)
    assert kept == len(load.acknowledged) == len(set(load.acknowledged))

    async def done() -> bool:
        return await home.state(running) == "succeeded"

    await until(done, seconds=60)
    assert await home.marks(running) == list(range(int(seconds * 10)))
    assert api.lives
    assert worker.lives
    assert await examine(str(home.settings.database_url)) == []
    print(f"\n{kept} acknowledged, 0 lost, {load.statuses[503]} times 503, first reply after {first:.2f} s")


@pytest.mark.promise(3)
async def test_a_cut_connection_is_replaced_unnoticed_by_others(
    home: House, api: Process, client: httpx.AsyncClient
) -> None:
    """An administrator ends the connections of the API, one by one: at most the request on each of them suffers."""
    async with working(client, people=4) as load:
        for _ in range(10):
            await asyncio.sleep(0.15)
            await home.ask(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'chot api' LIMIT 1"
            )
        await asyncio.sleep(0.5)
    assert not load.wrong, "\n".join(api.faults())
    assert load.statuses[503] <= 20
    assert load.statuses[201] > 20
    kept = await home.ask("SELECT count(*) FROM crm.customer WHERE phone = ANY($1)", load.acknowledged)
    assert kept == len(load.acknowledged)
    connections = await home.ask("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'chot api'")
    assert connections <= 2 * home.settings.pool_size, "what was abandoned must be closed"
