"""Ending asyncio tasks for certain."""

import asyncio
from typing import Any


async def end(*tasks: asyncio.Future[Any]) -> None:
    """Cancels tasks until they have ended, whatever they end with.

    Once is not enough: on Python 3.11 `asyncio.wait_for`, through which redis-py sends, answers a cancellation with
    its result when both come together, and a loop around it would go on for ever.
    """
    waiting = {task for task in tasks if not task.done()}
    while waiting:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=0.1)
    for task in tasks:
        if not task.cancelled():
            task.exception()
