"""Processes of our own that do what would block the event loop."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

from app.core.log import logger

ROOT = Path(__file__).resolve().parents[2]
BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from {module} import main; main()"
BUFFER = 8 << 20
PATIENCE = 5.0
LAST_WORDS = 16_000
FRAME = re.compile(r'^  File "([^"\n]+\.py)", line (\d+), in ([\w<>.]+)$', re.M)
ERROR = re.compile(r"^([A-Za-z_][\w.]*)(?::|$)", re.M)


@asynccontextmanager
async def child(module: str, **environment: str) -> AsyncIterator[Process]:
    """A process that runs the module's `main` with pipes to its stdin and stdout; it is gone afterwards.

    It gets nothing of our environment: no secrets, no settings, only what an interpreter needs. If it dies, the log
    says of what.
    """
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    with TemporaryFile() as said:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-c", BOOT.format(module=module), str(ROOT), stdin=PIPE, stdout=PIPE, stderr=said,
            limit=BUFFER, env={"LANG": "C.UTF-8", "PATH": os.defpath, **kept, **environment},
        )  # fmt: skip
        killed = False
        try:
            yield process
        except BaseException:
            # With its output closed it is about to end by itself, and has something to say.
            killed = not _silent(process) and _kill(process)
            raise
        finally:
            killed = await _end(process) or killed
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


async def _end(process: Process) -> bool:
    """Closes its input, at whose end it ends by itself; whether it had to be killed."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), PATIENCE)
    except TimeoutError:
        killed = _kill(process)
        await process.wait()
        return killed
    return False
