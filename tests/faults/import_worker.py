"""A real worker that reads files in small chunks: `python -m tests.faults.import_worker`.

CHUNK_ROWS is the size of a chunk, so that a file has many checkpoints to die between. CHUNK_SECONDS is how long it
waits before each, so that a quick machine leaves as much time to be killed in as a slow one.
"""

import asyncio
import functools
import os

from app.core.settings import settings_or_exit
from app.imports import reading
from app.imports.normalise.parent import Normaliser
from app.imports.plan import Batch
from workers import main

SECONDS = float(os.environ.get("CHUNK_SECONDS", "0"))
at_once = Normaliser.chunk


async def unhurried(normaliser: Normaliser, data: bytes) -> tuple[Batch, bytes, bytes]:
    """The chunk, after a while."""
    await asyncio.sleep(SECONDS)
    return await at_once(normaliser, data)


if __name__ == "__main__":
    reading.read = functools.partial(reading.read, chunk_rows=int(os.environ["CHUNK_ROWS"]))
    Normaliser.chunk = unhurried  # type: ignore[assignment,method-assign]
    asyncio.run(main.serve(settings_or_exit()))
