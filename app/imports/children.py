"""Processes of our own that do what would block the event loop."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from app.core.log import logger

ROOT = Path(__file__).resolve().parents[2]
BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from {module} import main; main()"
BUFFER = 8 << 20
PATIENCE = 5.0
LAST_WORDS = 16_000
FRAME = re.compile(r'^  File "([^"\n]+\.py)", line (\d+), in ([\w<>.]+)$', re.M)
ERROR = re.compile(r"^([A-Za-z_][\w.]*)(?::|$)", re.M)
Ended = tuple[Process, bool]


@asynccontextmanager
async def child(module: str, *, buffer: int = BUFFER, **environment: str) -> AsyncIterator[Process]:
    """A process that runs the module's `main` with pipes to its stdin and stdout; it is gone afterwards.

    It gets nothing of our environment: no secrets, no settings, only what an interpreter needs. `sys.argv[2]` is our
    own process id, for `sandbox.confine`. If it dies, the log says of what. Of its output at most twice `buffer` bytes
    wait here.
    """
    with TemporaryFile() as said:
        # Cut short, asyncio would ask for the status of what it has begun, and so may reap the child before whoever
        # watches it. Therefore it is begun and ended whole, whenever a cancellation comes.
        starting, failed = asyncio.create_task(_start(module, buffer, said, environment)), True
        try:
            yield await asyncio.shield(starting)
            failed = False
        finally:
            process, killed = await _whole(_end(starting, at_once=failed))
            if process.returncode and not (killed and process.returncode == -signal.SIGKILL):
                logger.error("child_died", module=module, **_ending(process.returncode), **last_words(said))


def last_words(said: BinaryIO) -> dict[str, str]:
    """What may be logged of a process's stderr: the type and place of its last traceback. The rest of the text can
    hold a customer's data."""
    said.seek(max(0, said.seek(0, os.SEEK_END) - LAST_WORDS))
    text = said.read().decode(errors="replace")
    frames = list(FRAME.finditer(text))
    if not frames:
        return {"error": "", "where": ""}
    first = max(text.rfind("Traceback (most recent call last):", 0, frames[-1].start()), 0)
    places = [f"{Path(one[1]).name}:{one[2]} {one[3]}" for one in frames if one.start() > first]
    error = ERROR.search(text, frames[-1].end())
    return {"error": error[1] if error else "", "where": " < ".join(reversed(places[-6:]))}


async def _start(module: str, buffer: int, said: BinaryIO, environment: Mapping[str, str]) -> Process:
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-c", BOOT.format(module=module), str(ROOT), str(os.getpid()),
        stdin=PIPE, stdout=PIPE, stderr=said, limit=buffer, cwd="/", start_new_session=True,
        env={"LANG": "C.UTF-8", "PATH": os.defpath, "RUST_BACKTRACE": "0", **kept, **environment},
    )  # fmt: skip


async def _whole(work: Coroutine[Any, Any, Ended]) -> Ended:
    """Does the work to its end; a cancellation is heard afterwards."""
    task, cancelled = asyncio.create_task(work), None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    return task.result()


async def _end(starting: asyncio.Task[Process], *, at_once: bool) -> Ended:
    """Closes its input, at whose end it ends by itself, or kills it; whether it was killed."""
    process = await starting
    assert process.stdin is not None
    # With its output closed it is about to end by itself, and has something to say.
    killed = at_once and not _silent(process) and _kill(process)
    process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), PATIENCE)
    except TimeoutError:
        killed = _kill(process) or killed
        await process.wait()
    return process, killed


def _ending(status: int) -> dict[str, int | str]:
    return {"signal": signal.Signals(-status).name} if status < 0 else {"exit": status}


def _silent(process: Process) -> bool:
    assert process.stdout is not None
    return process.stdout.at_eof()


def _kill(process: Process) -> bool:
    # Not process.kill(), which asks for the status first and so may reap the child before the event loop does, and
    # which raises for one that has ended.
    with suppress(ProcessLookupError):
        if process.returncode is None:
            os.kill(process.pid, signal.SIGKILL)
            return True
    return False
