"""A child that hangs is given up, and none may take more than its share."""

import asyncio
import os
import signal
from collections.abc import Iterator
from uuid import UUID

import psutil
import pytest

from app.core.clock import new_id
from app.core.fields import Field
from app.imports.children import child
from app.imports.normalise import parent
from app.imports.normalise.child import LIMITS
from app.imports.normalise.parent import NormaliserDied, normaliser
from app.imports.plan import Plan, Target
from app.imports.reading.wire import encode_rows

TENANT: UUID = new_id()


def children(module: str) -> Iterator[psutil.Process]:
    """Our processes that run a module."""
    return (one for one in psutil.Process().children() if module in " ".join(one.cmdline()))


def plan() -> Plan:
    """Names only."""
    return Plan(
        tenant_id=str(TENANT), import_id=str(TENANT), vietnamese=True, start_row=1,
        targets=[Target(Field("name", "Tên", "Name", "text", 1, column="name"), 0)], ids={}, groups={},
        add_to_group=None, in_file="update", clear=False,
    )  # fmt: skip


@pytest.mark.promise(17)
async def test_a_normaliser_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parent, "PATIENCE", 2.0)
    async with asyncio.timeout(20), normaliser(plan()) as running:
        batch, _, _ = await running.chunk(encode_rows([(1, ["Hoa"])]))
        assert batch.written == 1
        [process] = children("normalise.child")
        os.kill(process.pid, signal.SIGSTOP)
        with pytest.raises(NormaliserDied):
            await running.chunk(encode_rows([(2, ["Nam"])]))
        # As it does in a run, which lets the failure pass on.
        os.kill(process.pid, signal.SIGKILL)
    assert list(children("normalise.child")) == []


@pytest.mark.promise(17)
async def test_a_normaliser_has_walls() -> None:
    async with normaliser(plan()) as running:
        await running.chunk(encode_rows([(1, ["Hoa"])]))
        [process] = children("normalise.child")
        assert process.rlimit(psutil.RLIMIT_AS) == (LIMITS.memory_bytes, LIMITS.memory_bytes)
        assert process.rlimit(psutil.RLIMIT_CPU)[0] == LIMITS.cpu_seconds


async def test_a_child_that_was_begun_ends_whenever_a_cancellation_comes() -> None:
    async def run() -> None:
        async with child("tests.laws.doomed"):
            await asyncio.sleep(60)

    for seconds in (0.0, 0.001, 0.004, 0.1):
        task = asyncio.create_task(run())
        await asyncio.sleep(seconds)
        while not task.done():
            task.cancel()
            await asyncio.sleep(0)
        assert task.cancelled()
        assert list(children("tests.laws.doomed")) == []
