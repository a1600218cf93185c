"""Progress over Server-Sent Events: a row is read again and again, in short transactions of its own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from fastapi.sse import ServerSentEvent
from pydantic import BaseModel

EVERY = 0.3


async def watch(read: Callable[[], Awaitable[tuple[BaseModel, bool]]]) -> AsyncIterator[ServerSentEvent]:
    """An event at once and whenever what `read` gives has changed, until it says that the end is reached.

    `read` answers what to send, and whether nothing follows it.
    """
    sent, number = "", 0
    while True:
        value, ended = await read()
        body = value.model_dump_json()
        if body != sent:
            sent, number = body, number + 1
            yield ServerSentEvent(raw_data=body, event="progress", id=str(number))
        if ended:
            yield ServerSentEvent(raw_data=body, event="end", id=str(number + 1))
            return
        await asyncio.sleep(EVERY)
