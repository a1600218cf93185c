"""Promise 8: nothing of one tenant's reaches another through a connection that both have used; and nobody who has a
connection waits for another one."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from sqlalchemy import event, text

from app.core.db import Database
from app.core.settings import Settings
from app.customers import registry
from app.main import create_app
from tests.factories.people import Workspace, make_workspace

TENANTS, REQUESTS, POOL = 20, 200, 5
WHO = "SELECT coalesce(current_setting('app.tenant_id', true), ''), current_user"


@pytest.fixture(scope="module")
async def narrow(settings: Settings) -> AsyncIterator[FastAPI]:
    """The application with five connections for everybody."""
    app = create_app(settings.model_copy(update={"pool_size": POOL, "pool_wait": 20}))
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture(scope="module")
async def tenants(settings: Settings, narrow: FastAPI) -> AsyncIterator[list[Workspace]]:
    """Twenty workspaces, each with one customer who is named after it."""
    made = [await make_workspace(settings, narrow) for _ in range(TENANTS)]
    for workspace in made:
        body = {"name": workspace.id.hex, "phone": "0912345678"}
        assert (await workspace.admin.post("/api/v1/customers", json=body)).status_code == 201
    yield made
    for workspace in made:
        await workspace.aclose()


@pytest.mark.promise(8)
async def test_no_tenant_survives_in_a_connection(narrow: FastAPI, tenants: list[Workspace]) -> None:
    db: Database = narrow.state.resources.db
    handed_out: list[str] = []

    @event.listens_for(db.engine.sync_engine, "checkout")
    def look(connection: Any, *_: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(WHO)
        handed_out.append("|".join(cursor.fetchone()))
        cursor.close()
        connection.rollback()

    rolls = random.Random(8)
    try:
        await asyncio.gather(*(one_request(rolls, tenants) for _ in range(REQUESTS)))
    finally:
        event.remove(db.engine.sync_engine, "checkout", look)
    assert len(handed_out) >= REQUESTS // 4
    handed_out += await left_in_readers(db)
    assert set(handed_out) == {"|crm_app"}


async def test_a_full_house_that_knows_no_registry_yet_is_served(settings: Settings) -> None:
    """As after a start: every place is held by somebody who needs what must first be built, in one more transaction."""
    app = create_app(settings.model_copy(update={"pool_size": 3, "pool_wait": 3}))
    built = list[object]()
    async with app.router.lifespan_context(app):
        workspace = await make_workspace(settings, app)
        await names(workspace, {"sort": "name"})
        registry._registries._kept.clear()
        engine = app.state.resources.db.engine.sync_engine
        event.listen(engine, "checkout", lambda connection, *_: built.append(connection))
        paths = ["/api/v1/customers?sort=name", "/api/v1/customers?province=01", "/api/v1/customers?sort=-code"] * 2
        async with asyncio.timeout(2):
            replies = await asyncio.gather(*(workspace.admin.get(path) for path in paths))
        assert [reply.status_code for reply in replies] == [200] * 6, [reply.text for reply in replies]
        await workspace.aclose()
    assert len(built) == 1, "one builds for all"


async def left_in_readers(db: Database) -> list[str]:
    """What the connections of the reading pool still know, once nobody uses them."""
    pool = db._readers
    assert pool is not None
    connections = [await pool.acquire() for _ in range(POOL)]
    left = ["|".join(await connection.fetchrow(WHO)) for connection in connections]
    for connection in connections:
        await pool.release(connection)
    return left


async def one_request(rolls: random.Random, tenants: list[Workspace]) -> None:
    """One tenant's request: read, search, wrong, failing in the database, or given up half-way."""
    mine, theirs = rolls.sample(tenants, 2)
    kind = rolls.choice(["list", "search", "refused", "broken", "cancelled", "cancelled in the door"])
    await asyncio.sleep(rolls.random())
    if kind == "refused":
        reply = await mine.admin.post("/api/v1/customers", json={"name": theirs.id.hex, "phone": "0912345678"})
        assert reply.status_code == 409, reply.text
        assert reply.json()["existing_id"] in await ids(mine)
    elif kind == "broken":
        with pytest.raises(Exception, match="division by zero"):
            async with mine.resources.db.transaction(mine.id) as session:
                await session.execute(text("SELECT 1 / 0"))
    elif kind.startswith("cancelled"):
        params = {"q": theirs.id.hex} if kind.endswith("door") else {}
        task = asyncio.ensure_future(mine.admin.get("/api/v1/customers", params=params))
        await asyncio.sleep(rolls.random() * 0.02)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    else:
        assert await names(mine, {} if kind == "list" else {"q": mine.id.hex}) == [mine.id.hex]
        assert await names(mine, {"q": theirs.id.hex}) == []


async def names(workspace: Workspace, params: dict[str, str]) -> list[str]:
    """The names of the customers that a list shows."""
    reply = await workspace.admin.get("/api/v1/customers", params=params)
    assert reply.status_code == 200, reply.text
    return [item["name"] for item in reply.json()["items"]]


async def ids(workspace: Workspace) -> list[str]:
    """The ids of a workspace's customers, as they are in the database."""
    async with workspace.resources.db.transaction(workspace.id) as session:
        found = await session.scalars(
            text("SELECT id FROM crm.customer WHERE tenant_id = :tenant"), {"tenant": workspace.id}
        )
        return [str(UUID(str(one))) for one in found]
