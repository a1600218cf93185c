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


class NormaliserDied(Exception):
    """The process ended without an answer: out of memory, or killed."""


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
        try:
            sizes = REPLY.unpack(await self._process.stdout.readexactly(REPLY.size))
            batch, seen, copy = [await self._process.stdout.readexactly(size) for size in sizes]
        except asyncio.IncompleteReadError as error:
            raise NormaliserDied(await self._process.wait()) from error
        return msgspec.msgpack.decode(batch, type=Batch), seen, copy

    async def _send(self, kind: bytes, data: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(HEAD.pack(kind, len(data)))
            self._process.stdin.write(data)
            await self._process.stdin.drain()
        except ConnectionError as error:
            raise NormaliserDied(await self._process.wait()) from error


@asynccontextmanager
async def normaliser(plan: Plan) -> AsyncIterator[Normaliser]:
    """Starts the process for one run, and ends it."""
    async with child("app.imports.normalise.child") as process:
        running = Normaliser(process)
        await running.begin(plan)
        yield running
