"""A real worker that works in small parts: `python -m tests.faults.small_worker`.

PART is the size of an import's chunk and of a bulk change's part, so that few rows have many checkpoints to die
between. PART_SECONDS is how long it waits in each, so that a quick machine leaves as much time to be killed in as a
slow one; a merge of one cluster waits a tenth of that.
"""

import asyncio
import functools
import os
from collections.abc import Awaitable, Callable
from typing import Any

from app.bulk import running
from app.core.settings import settings_or_exit
from app.customers import batches
from app.duplicates import rules
from app.imports import reading
from app.imports.normalise.parent import Normaliser
from workers import main

SECONDS = float(os.environ.get("PART_SECONDS", "0"))


def unhurried(of: Any, name: str, seconds: float) -> None:
    """Lets a function of a module or class wait before it begins."""
    at_once: Callable[..., Awaitable[Any]] = getattr(of, name)

    async def after_a_while(*args: Any, **options: Any) -> Any:
        await asyncio.sleep(seconds)
        return await at_once(*args, **options)

    setattr(of, name, after_a_while)


if __name__ == "__main__":
    batches.PART = int(os.environ["PART"])
    reading.read = functools.partial(reading.read, chunk_rows=batches.PART)
    unhurried(Normaliser, "chunk", SECONDS)
    unhurried(running, "apply", SECONDS)
    unhurried(running, "revert_many", SECONDS)
    unhurried(rules, "_merge", SECONDS / 10)
    asyncio.run(main.serve(settings_or_exit()))
