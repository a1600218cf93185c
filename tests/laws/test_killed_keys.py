"""Promise 5 over a killed process: what was sent under a key may be sent again, and happens once."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from app.core.settings import Settings
from tests.factories.people import Workspace
from tests.faults.house import free_port, until
from tests.laws.source import ROOT

AT_ONCE = 20
SEED = 5


@pytest.mark.promise(5)
@pytest.mark.parametrize("kills", [1, pytest.param(60, marks=[pytest.mark.long, pytest.mark.timeout(1800)])])
async def test_a_killed_api_leaves_each_key_one_effect(
    settings: Settings, workspace: Workspace, owner: asyncpg.Connection, kills: int
) -> None:
    rolls, first, acknowledged = random.Random(SEED), 0, 0
    for kill in range(kills):
        bodies = {uuid4().hex: {"name": "Bị ngắt", "phone": f"09{kill:03d}{number:05d}"} for number in range(AT_ONCE)}
        async with served(settings, workspace) as (process, client):
            sent = [asyncio.ensure_future(post(client, key, body)) for key, body in bodies.items()]
            await asyncio.sleep(rolls.uniform(0.01, 0.25))
            process.send_signal(signal.SIGKILL)
            replies = dict(zip(bodies, await asyncio.gather(*sent), strict=True))
        async with served(settings, workspace) as (_, client):
            again = {key: await post(client, key, body) for key, body in bodies.items()}
        for key, reply in again.items():
            assert reply is not None
            assert reply.status_code == 201, reply.text
            before = replies[key]
            if before is not None:
                acknowledged += 1
                assert reply.json() == before.json()
                assert reply.headers["idempotency-replayed"] == "true"
        first += AT_ONCE
        assert await counted(owner, workspace) == (first, first)
    assert acknowledged < first, "every reply came before the kill: it proves nothing"


async def post(client: httpx.AsyncClient, key: str, body: dict[str, Any]) -> httpx.Response | None:
    """Adds a customer under a key; None if no answer came."""
    try:
        return await client.post("/api/v1/customers", json=body, headers={"Idempotency-Key": key})
    except httpx.TransportError:
        return None


async def counted(owner: asyncpg.Connection, workspace: Workspace) -> tuple[int, int]:
    """How many customers the workspace has, and how many events say that one was added."""
    row = await owner.fetchrow(
        """SELECT (SELECT count(*) FROM crm.customer WHERE tenant_id = $1),
                  (SELECT count(*) FROM crm.event WHERE tenant_id = $1 AND kind = 'customer.created')""",
        workspace.id,
    )
    return row[0], row[1]


@asynccontextmanager
async def served(
    settings: Settings, workspace: Workspace
) -> AsyncIterator[tuple[subprocess.Popen[bytes], httpx.AsyncClient]]:
    """An API process over the suite's database, and a client of the administrator's; it is gone at the end."""
    environment = {
        "CHOT_PORT": str(free_port()),
        "CHOT_DATA_DIR": str(settings.data_dir),
        "CHOT_DATABASE_URL": str(settings.database_url),
        "CHOT_REDIS_URL": str(settings.redis_url),
        "CHOT_SECRET_KEY": settings.secret.decode(),
    }
    process = subprocess.Popen(  # noqa: ASYNC220 -- starting it takes no time; nobody waits for its end
        [sys.executable, "-m", "app.cli", "serve"],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    headers = {"Authorization": workspace.admin.headers["Authorization"]}
    url = f"http://127.0.0.1:{environment['CHOT_PORT']}"
    try:
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
            await until(lambda: is_ready(client))
            yield process, client
    finally:
        process.kill()
        process.wait()


async def is_ready(client: httpx.AsyncClient) -> bool:
    """Whether the API answers."""
    try:
        return (await client.get("/health/live")).status_code == 200
    except httpx.TransportError:
        return False
