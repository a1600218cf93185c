"""The caller's side: starts the reading process, passes its chunks on, and turns any death into a code."""

from __future__ import annotations

import asyncio
import signal
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from app.imports.children import child
from app.imports.reading.model import Limits, Unreadable, Workbook
from app.imports.reading.wire import CHUNK, DONE, FRAME, MAX_FRAME_BYTES, Request

OnChunk = Callable[[int, int, bytes], Awaitable[None]]

# Little, so that a slow caller holds the process back.
_BUFFER = 1 << 16
_DEFAULT_LIMITS = Limits()


async def read(
    path: Path,
    *,
    filename: str,
    on_chunk: OnChunk,
    limits: Limits = _DEFAULT_LIMITS,
    chunk_rows: int = 10_000,
) -> Workbook:
    """Read an uploaded .xlsx or .csv in a process of its own.

    Awaits `on_chunk(sheet_index, chunk_number, data)` for each chunk of at most `chunk_rows` rows before it
    takes the next, so one chunk is in memory at a time; `decode_chunk` opens one. Raises `Unreadable` for a
    file that cannot be read, also after chunks were handed over. Whatever `on_chunk` raises ends the process
    and is passed on.
    """
    request = Request(str(path.resolve()), filename, limits, chunk_rows)
    async with child("app.imports.reading.child", buffer=_BUFFER) as process:
        return await _converse(process, request, on_chunk)


async def _converse(process: Process, request: Request, on_chunk: OnChunk) -> Workbook:
    assert process.stdin is not None
    process.stdin.write(msgspec.msgpack.encode(request))
    process.stdin.close()
    clock = asyncio.get_running_loop().time
    patience = request.limits.wall_seconds
    while True:
        started = clock()
        kind, sheet, chunk, data = await _next_frame(process, patience)
        patience -= clock() - started
        if kind == CHUNK:
            await on_chunk(sheet, chunk, data)
        elif kind == DONE:
            return msgspec.msgpack.decode(data, type=Workbook)
        else:
            code, details = msgspec.msgpack.decode(data)
            raise Unreadable(code, **details)


async def _next_frame(process: Process, patience: float) -> tuple[bytes, int, int, bytes]:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(patience):
            kind, sheet, chunk, size = FRAME.unpack(await process.stdout.readexactly(FRAME.size))
            if size > MAX_FRAME_BYTES:
                raise Unreadable("file_too_complex", reason="chunk_too_big")
            return kind, sheet, chunk, await process.stdout.readexactly(size)
    except TimeoutError:
        raise Unreadable("file_too_complex", reason="time") from None
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    raise _cause_of_death(await process.wait())


def _cause_of_death(status: int) -> Unreadable:
    if status >= 0:
        return Unreadable("file_crashed_parser", exit=status)
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        # Out of processor time, or taken by the kernel for want of memory.
        return Unreadable("file_too_complex", reason="cpu" if status == -signal.SIGXCPU else "killed")
    return Unreadable("file_crashed_parser", signal=signal.Signals(-status).name)
