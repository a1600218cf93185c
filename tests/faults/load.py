"""People at work while something breaks."""

import asyncio
import itertools
import os
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

_numbers = itertools.count(os.getpid() % 1000 * 10_000)


@dataclass
class Load:
    """What the requests got. `acknowledged` are the phones whose creation was answered with 201."""

    acknowledged: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    cut: int = 0
    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    stopping: bool = False

    async def add(self, client: httpx.AsyncClient) -> None:
        """Adds a customer with a phone of their own."""
        phone = f"091{next(_numbers) % 10_000_000:07d}"
        reply = await self.send(client, "POST", "/customers", json={"name": "Trần Văn Thử", "phone": phone})
        if reply is not None and reply.status_code == 201:
            self.acknowledged.append(reply.json()["phone"])

    async def send(self, client: httpx.AsyncClient, method: str, path: str, **options: object) -> httpx.Response | None:
        """One request, counted; None when the connection was cut before the reply."""
        began = time.perf_counter()
        try:
            reply = await client.request(method, path, **options)  # type: ignore[arg-type]
        except httpx.TransportError:
            self.cut += 1
            return None
        self.seconds.append(time.perf_counter() - began)
        self.statuses[reply.status_code] += 1
        if reply.status_code == 503:
            if not int(reply.headers.get("retry-after", "0")) or reply.json()["code"] != "unavailable":
                self.wrong.append(reply.text)
        elif not reply.is_success:
            self.wrong.append(reply.text)
        return reply


@asynccontextmanager
async def working(client: httpx.AsyncClient, people: int, pause: float = 0.0) -> AsyncIterator[Load]:
    """`people` who add and list customers until the block ends; the requests in hand are then waited for."""
    load = Load()

    async def person() -> None:
        while not load.stopping:
            await load.add(client)
            if not load.stopping:
                await load.send(client, "GET", "/customers?limit=5")
            await asyncio.sleep(pause)

    async with asyncio.TaskGroup() as group:
        for _ in range(people):
            group.create_task(person())
        try:
            yield load
        finally:
            load.stopping = True
