"""One installation for all fault tests; never the suite's own servers, for these are killed."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.faults.house import House, Process, house


@pytest.fixture(scope="session")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """The installation, made once."""
    async with house(tmp_path_factory.mktemp("house")) as made:
        yield made


@pytest.fixture(scope="session")
async def api(home: House) -> Process:
    """An API that must outlive every fault; a test that stops an API starts its own."""
    return await home.api()


@pytest.fixture(scope="module")
async def worker(home: House) -> AsyncIterator[Process]:
    """A worker that must outlive every fault; where a test has its own, this one does not run."""
    made = await home.worker()
    yield made
    await home.stop(made)


@pytest.fixture(scope="session")
async def client(home: House, api: Process) -> AsyncIterator[httpx.AsyncClient]:
    """The administrator, over a real socket."""
    async with home.signed_in(api) as made:
        yield made


@pytest.fixture(autouse=True)
async def unbroken(home: House) -> AsyncIterator[None]:
    """Whatever a test breaks, and whatever it leaves running when it fails, the next one finds whole and at rest."""
    before = list(home.processes)
    yield
    await home.revive()
    await home.stop(*[process for process in home.processes if process not in before])
