"""Processes come and go: asked to stop, frozen, killed, and with clocks that lie."""

import asyncio
import signal
import time
from uuid import UUID

import httpx
import pytest

from app.doctor import examine
from tests.faults.house import House, until
from tests.faults.load import Load, working

KILLS = [1, pytest.param(20, marks=[pytest.mark.long, pytest.mark.timeout(900)])]
# uvicorn ends by the signal that stopped it.
STOPPED = (0, -signal.SIGTERM)


@pytest.mark.promise(26)
async def test_an_api_that_stops_finishes_what_it_began(home: House) -> None:
    """SIGTERM while writes wait for a lock: each of them is answered and there, and no new connection is taken."""
    api = await home.api()
    async with home.signed_in(api) as client:
        load, owner = Load(), await home.owner()
        try:
            async with owner.transaction():
                await owner.execute("LOCK TABLE crm.customer IN SHARE MODE")
                writers = [asyncio.create_task(load.add(client)) for _ in range(8)]
                await until(lambda: waiting(home, 8))
                api.signal(signal.SIGTERM)
                await until(lambda: refuses(api.url))
                await asyncio.sleep(0.5)
                assert api.lives
                assert not any(writer.done() for writer in writers)
            await asyncio.gather(*writers)
        finally:
            await owner.close()
    assert await api.ended(10) in STOPPED
    assert (len(load.acknowledged), load.cut, dict(load.statuses)) == (8, 0, {201: 8})
    assert await kept(home, load) == 8
    home.processes.remove(api)


async def test_an_idle_connection_is_not_cut(home: House) -> None:
    """An app that waits for its person goes on over the same connection; uvicorn itself would cut it after 5 s."""
    api = await home.api()
    port = int(api.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(2):
        writer.write(b"GET /health/live HTTP/1.1\r\nHost: chot.test\r\n\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        await asyncio.sleep(6)
        await reader.read(1000)
        assert not reader.at_eof()
    began = time.monotonic()
    await home.stop(api)
    assert time.monotonic() - began < 5, "and nobody waits for those who are idle"
    writer.close()


@pytest.mark.promise(26)
async def test_a_stop_under_load_breaks_no_promise(home: House) -> None:
    """What was answered is there, and nobody gets a fault: a reply is either right or does not come."""
    api = await home.api()
    async with home.signed_in(api) as client:
        async with working(client, people=10) as load:
            await asyncio.sleep(1.5)
            api.signal(signal.SIGTERM)
            began = time.perf_counter()
            assert await api.ended(30) in STOPPED
            took = time.perf_counter() - began
    assert set(load.statuses) == {200, 201}
    assert load.statuses[201] > 10
    assert await kept(home, load) == len(load.acknowledged)
    assert took < 10
    home.processes.remove(api)


@pytest.mark.promise(26)
async def test_a_worker_that_stops_hands_its_job_over(home: House) -> None:
    """SIGTERM in the middle of a job: back in its queue at its checkpoint, at once, and the next worker goes on."""
    first = await home.worker()
    job_id = await home.enqueue("test.steps", steps=40, pause=0.05)
    await until(lambda: stepped(home, job_id, 3))
    first.signal(signal.SIGTERM)
    assert await first.ended(5) in STOPPED
    home.processes.remove(first)
    assert await home.state(job_id) == "queued"
    second = await home.worker()
    await until(lambda: ended(home, job_id))
    assert await home.marks(job_id) == list(range(40))
    await home.stop(second)


@pytest.mark.promise(1)
@pytest.mark.promise(28)
async def test_a_worker_that_wakes_up_too_late_writes_nothing(home: House) -> None:
    """A worker whose clock is ten minutes fast is frozen past its lease; one that is ten minutes slow takes over."""
    fast = await home.worker(CLOCK_MINUTES="10")
    job_id = await home.enqueue("test.steps", steps=60, pause=0.05)
    await until(lambda: stepped(home, job_id, 5))
    fast.signal(signal.SIGSTOP)
    slow = await home.worker(CLOCK_MINUTES="-10")
    reached = len(await home.marks(job_id))
    await until(lambda: stepped(home, job_id, reached + 5))
    fast.signal(signal.SIGCONT)
    await until(lambda: ended(home, job_id))
    assert await home.marks(job_id) == list(range(60))
    assert await home.ask("SELECT (result->>'pid')::int FROM crm.job WHERE id = $1", job_id) == slow.pid
    await home.stop(slow)
    another = await home.enqueue("test.steps", steps=1)
    await until(lambda: ended(home, another))
    assert fast.lives, "it has lost a lease, nothing else"
    await home.stop(fast)


@pytest.mark.promise(1)
@pytest.mark.parametrize("kills", KILLS)
async def test_a_killed_workers_job_goes_on_at_its_checkpoint(home: House, kills: int) -> None:
    """`kill -9` loses the step in hand and nothing else, and the job is taken over when the lease has run out."""
    steps = 10 * (kills + 1)
    job_id = await home.enqueue("test.steps", steps=steps, pause=0.05)
    for reached in range(4, 10 * kills, 10):
        doomed = await home.worker()
        await until(lambda: stepped(home, job_id, reached))  # noqa: B023
        doomed.signal(signal.SIGKILL)
        await doomed.ended(5)
        home.processes.remove(doomed)
    heir = await home.worker()
    await until(lambda: ended(home, job_id))
    assert await home.marks(job_id) == list(range(steps))
    await home.stop(heir)
    assert await examine(str(home.settings.database_url)) == []


async def waiting(home: House, count: int) -> bool:
    """Whether so many statements of an API wait for a lock."""
    found: int = await home.ask(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'chot api' AND wait_event_type = 'Lock'"
    )
    return found == count


async def refuses(url: str) -> bool:
    """Whether nobody listens there any more."""
    async with httpx.AsyncClient() as client:
        try:
            await client.get(f"{url}/health/live")
        except httpx.ConnectError:
            return True
    return False


async def kept(home: House, load: Load) -> int:
    """How many of the acknowledged customers are there."""
    found: int = await home.ask("SELECT count(*) FROM crm.customer WHERE phone = ANY($1)", load.acknowledged)
    return found


async def stepped(home: House, job_id: UUID, count: int) -> bool:
    """Whether the job has committed so many steps."""
    return len(await home.marks(job_id)) >= count


async def ended(home: House, job_id: UUID) -> bool:
    """Whether the job is done."""
    return await home.state(job_id) == "succeeded"
