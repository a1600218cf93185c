"""The worker's side of the normalising process."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from app.imports.children import child
from app.imports.normalise.wire import CHUNK, HEAD, PLAN, REPLY, SEEN
from app.imports.plan import Batch, Plan

# A chunk takes about a second.
PATIENCE = 120.0


class NormaliserDied(Exception):
    """The process gave no answer: out of memory, killed, or too slow."""


class Normaliser:
    """A running process. Chunks must come in the order of the file, one at a time."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def begin(self, plan: Plan) -> None:
        """Says what the run is about."""
        await self._send(PLAN, msgspec.msgpack.encode(plan))

    async def remember(self, seen: bytes) -> None:
        """Tells what an earlier claim of the job had seen of a chunk (see `chunk`)."""
        await self._send(SEEN, seen)

    async def chunk(self, data: bytes) -> tuple[Batch, bytes, bytes]:
        """A chunk's batch, what it adds to the memory of the file, and its COPY text.

        Raises:
            NormaliserDied
        """
        await self._send(CHUNK, data)
        assert self._process.stdout is not None
        async with _patience(self._process):
            sizes = REPLY.unpack(await self._process.stdout.readexactly(REPLY.size))
            batch, seen, copy = [await self._process.stdout.readexactly(size) for size in sizes]
        return msgspec.msgpack.decode(batch, type=Batch), seen, copy

    async def _send(self, kind: bytes, data: bytes) -> None:
        assert self._process.stdin is not None
        async with _patience(self._process):
            self._process.stdin.write(HEAD.pack(kind, len(data)))
            self._process.stdin.write(data)
            await self._process.stdin.drain()


@asynccontextmanager
async def _patience(process: Process) -> AsyncIterator[None]:
    """Ends in NormaliserDied what the process does not go along with, be it dead or too slow."""
    try:
        async with asyncio.timeout(PATIENCE):
            yield
    except TimeoutError as error:
        raise NormaliserDied("time") from error
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise NormaliserDied(await process.wait()) from error


@asynccontextmanager
async def normaliser(plan: Plan) -> AsyncIterator[Normaliser]:
    """Starts the process for one run, and ends it."""
    async with child("app.imports.normalise.child") as process:
        running = Normaliser(process)
        await running.begin(plan)
        yield running
