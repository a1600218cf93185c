"""A real worker that reads files in small chunks: `python -m tests.faults.import_worker`.

CHUNK_ROWS is the size of a chunk, so that a file of a minute's work has many checkpoints to die between.
"""

import asyncio
import functools
import os

from app.core.settings import settings_or_exit
from app.imports import reading
from workers import main

if __name__ == "__main__":
    reading.read = functools.partial(reading.read, chunk_rows=int(os.environ["CHUNK_ROWS"]))
    asyncio.run(main.serve(settings_or_exit()))
