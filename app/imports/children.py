"""Processes of our own that do what would block the event loop."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from {module} import main; main()"
BUFFER = 8 << 20
PATIENCE = 5.0


@asynccontextmanager
async def child(module: str, **environment: str) -> AsyncIterator[Process]:
    """A process that runs the module's `main` with pipes to its stdin and stdout; it is gone afterwards.

    It gets nothing of our environment: no secrets, no settings, only what an interpreter needs.
    """
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-c", BOOT.format(module=module), str(ROOT), stdin=PIPE, stdout=PIPE, stderr=DEVNULL,
        limit=BUFFER, env={"LANG": "C.UTF-8", "PATH": os.defpath, **kept, **environment},
    )  # fmt: skip
    try:
        yield process
    except BaseException:
        process.kill()
        raise
    finally:
        await _end(process)


async def _end(process: Process) -> None:
    """It ends by itself when its input does; killing one that has ended would confuse asyncio."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        await asyncio.wait_for(process.wait(), PATIENCE)
    except TimeoutError:
        process.kill()
        await process.wait()
