"""A job machine for the tests that need one."""

from collections.abc import AsyncIterator

import pytest

from app.core.actor import Actor
from tests.jobs.machine import Machine, machine, somebody


@pytest.fixture(scope="session")
async def kept_machine() -> AsyncIterator[Machine]:
    """The machine, made once."""
    async with machine() as made:
        yield made


@pytest.fixture
async def jobbing(kept_machine: Machine) -> AsyncIterator[Machine]:
    """The machine, with nothing left of the tests before."""
    yield kept_machine
    await kept_machine.clear()


@pytest.fixture
def actor() -> Actor:
    """A user of a workspace of its own."""
    return somebody()
