"""Promises 6, 7 and 30: every operation of the contract, called with the ids of another workspace."""

import asyncio
import copy
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg
import httpx
import pytest
from fastapi import FastAPI
from redis.asyncio import Redis
from sqlalchemy import Uuid, event

from app.core import db
from app.core.db import TenantSession
from app.core.orm import kind_of
from app.core.settings import Settings
from app.customers import registry as registries
from app.customers.filterable import LINKS, CustomerFields
from app.main import create_app
from app.tables import metadata
from tests.factories.people import make_workspace
from tests.laws.allowed import NO_EVENT, NO_KEY
from tests.laws.audit import audited
from tests.laws.calling import once, prepare, put, send
from tests.laws.contract import Operation, Spot, operations
from tests.laws.guard import GUARD
from tests.laws.registry import ACTION_IDS, BODY_IDS, BULK, MAKERS, QUERY_IDS, SHARED, TREE_IDS
from tests.laws.scene import API, Call, Kept, Scene, nobodys_id
from tests.laws.scratch import scratch_database
from workers.main import WorkerProcess

# What is new in each reply: ids, times, phones, codes and keys.
NEW = re.compile(
    r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|\d{4}-\d\d-\d\dT[\d:.]+(?:Z|\+\d\d:\d\d)|\+?\d{9,}|KH\d{6,}"
)
# A worker's beat is no change of anything.
MENTIONS = [
    (
        table,
        [f't."{column.name}"' for column in table.c if isinstance(column.type, Uuid) and column.name != "tenant_id"],
    )
    for table in metadata.sorted_tables
    if kind_of(table) == "tenant" and table.name != "job"
]
STANDING = (
    " UNION ALL ".join(
        f"SELECT '{table.name}' AS name, t::text AS held FROM {table.fullname} t"
        f" WHERE t.tenant_id = $1 AND $2::uuid IN ({', '.join(columns)})"
        for table, columns in MENTIONS
        if columns
    )
    + " ORDER BY name, held"
)

each_operation = pytest.mark.parametrize("operation", operations(), ids=lambda operation: operation.id)


@dataclass
class Neighbours:
    """Two workspaces that must not know of each other. `theirs_kept` nobody has changed: each call proves it."""

    mine: Scene
    theirs: Scene
    theirs_kept: Kept = field(default_factory=dict)


@pytest.fixture(scope="module")
async def told_to_valkey(settings: Settings) -> AsyncIterator[list[str]]:
    """Every command that Valkey gets during the matrix."""
    redis = Redis.from_url(str(settings.redis_url))
    heard: list[str] = []

    async def listen() -> None:
        async with redis.monitor() as monitor:
            async for command in monitor.listen():
                heard.append(str(command["command"]))  # noqa: PERF401 -- it never ends

    task = asyncio.create_task(listen())
    yield heard
    task.cancel()
    await redis.aclose()


@pytest.fixture(scope="module")
async def neighbours(
    app: FastAPI, settings: Settings, worker: WorkerProcess, told_to_valkey: list[str], talkative: None
) -> AsyncIterator[Neighbours]:
    """Two workspaces with nothing in them yet."""
    made = await make_neighbours(settings, app)
    yield made
    await made.mine.workspace.aclose()
    await made.theirs.workspace.aclose()


async def make_neighbours(settings: Settings, app: FastAPI) -> Neighbours:
    """Two workspaces of an application."""
    mine, theirs = await make_workspace(settings, app), await make_workspace(settings, app)
    return Neighbours(Scene(mine, mine.administrator), Scene(theirs, theirs.administrator))


@pytest.mark.promise(6, 24, 30)
@each_operation
async def test_foreign_ids_answer_as_ids_of_nobody(
    operation: Operation, neighbours: Neighbours, owner: asyncpg.Connection, log: Callable[[], str]
) -> None:
    """At the end the owner's own call succeeds, so the refusals came from the wall alone. It writes its event, and
    nothing of anybody's stands in the log."""
    foreign = await cross(operation, neighbours)
    theirs = neighbours.theirs
    if operation.secured:
        reply = await told(operation, neighbours.mine, await prepare(operation, neighbours.mine))
        keeps_secrets(reply, theirs, "")
    theirs.spent = operation.mutates
    control = await audited(operation, theirs, foreign, owner)
    assert control.status_code < 400, f"{operation}: the owner's own call must succeed: {control.text}"
    written = log()
    assert '"event":"request"' in written
    assert not secrets_in(written, neighbours)


@pytest.mark.promise(24)
async def test_valkey_was_told_no_secret(neighbours: Neighbours, told_to_valkey: list[str]) -> None:
    assert any(neighbours.theirs.workspace.id.hex in command or "chot:" in command for command in told_to_valkey)
    assert not secrets_in("\n".join(told_to_valkey), neighbours)


def secrets_in(text: str, neighbours: Neighbours) -> list[str]:
    """The personal data and credentials that stand in a text."""
    return [secret for secret in neighbours.mine.personal | neighbours.theirs.personal if secret in text]


async def cross(operation: Operation, neighbours: Neighbours, *, light: bool = False) -> Call:
    """Calls an operation from `mine` with each id of `theirs`, and with ids of nobody: the replies must be the same.

    Returns the call that `theirs` could make. `light` leaves out what has nothing to do with the two walls: the states
    of objects, and cursors, which are signed.
    """
    mine, theirs = neighbours.mine, neighbours.theirs
    for scene in (mine, theirs):
        if scene.spent:
            await scene.refresh()
    mine_kept: Kept = {}
    # The owner's own call at the end may use up what a call that is not light is prepared with.
    theirs_kept = neighbours.theirs_kept if light else {}
    foreign = await prepare(operation, theirs, light=light, kept=theirs_kept)
    for spot in spots_of(operation):
        if light and spot.name == "cursor":
            continue
        own = await prepare(operation, mine, without=spot, light=light, kept=mine_kept)
        foreign_id = await id_at(operation, spot, foreign, theirs, theirs_kept)
        nobodys = id_like(foreign_id)
        nobody = await told(operation, mine, at(own, spot, nobodys), mine_kept)
        if nobody.is_success and operation.mutates:
            own = await prepare(operation, mine, without=spot, light=light, kept=mine_kept)
        before = await standing(theirs, foreign_id)
        assert before or len(foreign_id) != 36 or await is_job(theirs, foreign_id), f"{operation} {spot}: not there"
        reply = await told(operation, mine, at(own, spot, foreign_id), mine_kept)
        assert reply.status_code not in (401, 403) or not operation.secured, f"{operation} {spot}: {reply.text}"
        assert shape(reply, foreign_id, mine) == shape(nobody, nobodys, mine), f"{operation} {spot}"
        keeps_secrets(reply, theirs, foreign_id)
        assert await standing(theirs, foreign_id) == before, f"{operation} {spot}: theirs was changed"
    if operation.method == "get" and operation.secured and "{" not in operation.path:
        keeps_secrets(await send(operation, mine.client, Call()), theirs, "")
    return foreign


def spots_of(operation: Operation) -> list[Spot]:
    """The places for foreign ids, those that the contract shows and those that the registry knows."""
    shown = [spot for spot in operation.spots() if not (spot.where == "path" and operation.path in SHARED)]
    if operation.id in BULK:
        read = [Spot("body", place, action) for action, (place, _) in ACTION_IDS.items()]
        unread = {spot.name for spot in shown if spot.name.startswith("params.")} - {spot.name for spot in read}
        assert not unread, f"no action of ACTION_IDS reads {unread}"
        shown = [spot for spot in shown if not spot.name.startswith("params.")] + read
    trees = [Spot("tree", place, field) for place in operation.trees() for field in TREE_IDS]
    return shown + trees + [Spot("query", name) for owner, name in QUERY_IDS if owner == operation.id]


async def told(operation: Operation, scene: Scene, call: Call, kept: Kept | None = None) -> httpx.Response:
    """Sends a call of a scene's. What was `kept` for it serves no more once the call has changed something."""
    reply = await send(operation, scene.client, call)
    if reply.is_success and operation.mutates and operation.id not in NO_EVENT.keys() - {"refresh_tokens"}:
        scene.spent = True
        if kept is not None:
            kept.clear()
    return reply


async def id_at(operation: Operation, spot: Spot, foreign: Call, theirs: Scene, kept: Kept) -> str:
    """An id of `theirs` for a spot."""
    if spot.where == "path":
        return foreign.path[spot.name]
    if spot.name == "cursor":
        return await cursor_of(operation, foreign, theirs)
    if spot.where == "tree":
        maker = TREE_IDS[spot.of]
    elif spot.of:
        maker = ACTION_IDS[spot.of][1]
    else:
        maker = (BODY_IDS if spot.where == "body" else QUERY_IDS)[operation.id, spot.name]
    # In a place of its own: what the owner's own call names stays theirs alone.
    return (await once(kept, maker, "another's", theirs)).id


async def cursor_of(operation: Operation, foreign: Call, theirs: Scene) -> str:
    """The cursor of a list of `theirs`: two of what it lists are made first, if it does not list parts of something."""
    listed = operation.path.removesuffix("/search")
    below = [maker for path, maker in MAKERS.items() if path.rpartition("/{")[0] == listed]
    for maker in below:
        await maker(theirs)
        await maker(theirs)
    url = operation.path.format(**foreign.path)
    if operation.method == "get":
        page = await theirs.client.get(url, params={"limit": 1})
    else:
        page = await theirs.client.post(url, json={**foreign.body, "limit": 1})
    cursor = page.json()["next_cursor"]
    assert cursor, f"{operation}: no second page: {page.text}"
    return str(cursor)


def id_like(foreign_id: str) -> str:
    """What nobody ever made, in the form of `foreign_id`."""
    if len(foreign_id) == 36:
        return nobodys_id()
    middle = len(foreign_id) // 2
    return foreign_id[:middle] + ("A" if foreign_id[middle] != "A" else "B") + foreign_id[middle + 1 :]


def at(call: Call, spot: Spot, value: str) -> Call:
    """The call with an id at a spot."""
    changed = copy.deepcopy(call)
    if spot.where == "path":
        changed.path[spot.name] = value
    elif spot.where == "query":
        changed.query[spot.name] = value
    elif spot.where == "tree":
        put(changed.body, spot.name, {"field": spot.of, "op": "any_of", "value": [value]})
    else:
        put(changed.body, spot.name, value)
    return changed


def shape(reply: httpx.Response, sent: str, mine: Scene) -> tuple[int, str, list[str]]:
    """A reply without what may differ: the id that was sent, the request's own id, and of a success that made or
    changed something, whatever is new each time."""
    text = reply.text.replace(sent, "…").replace(reply.headers["x-request-id"], "…")
    if reply.is_success and reply.request.method != "GET":
        text = re.sub(rf"{mine.canary} ?\d*", "…", text)
        return reply.status_code, NEW.sub("…", text), sorted(set(reply.headers) - {"etag", "location"})
    return reply.status_code, text, sorted(reply.headers)


async def standing(theirs: Scene, id_: str) -> list[tuple[str, str]]:
    """Every row of theirs that names an id, as the database holds it."""
    if len(id_) != 36:
        return []
    async with theirs.workspace.resources.db.reading(theirs.workspace.id) as connection:
        return [tuple(row) for row in await connection.fetch(STANDING, theirs.workspace.id, UUID(id_))]


async def is_job(theirs: Scene, id_: str) -> bool:
    """Whether a job of theirs has an id."""
    async with theirs.workspace.resources.db.reading(theirs.workspace.id) as connection:
        sql = "SELECT EXISTS (SELECT FROM crm.job WHERE tenant_id = $1 AND id = $2)"
        return bool(await connection.fetchval(sql, theirs.workspace.id, UUID(id_)))


def keeps_secrets(reply: httpx.Response, theirs: Scene, sent: str) -> None:
    """No byte of another workspace stands in a reply, but for the id that the caller sent."""
    served = f"{reply.headers}{reply.text}".replace(sent or "\x00", "")
    leaked = [secret for secret in theirs.secrets if secret in served]
    assert not leaked, f"{reply.request.method} {reply.request.url}: {leaked}"


@pytest.fixture
def forgetful() -> Iterator[None]:
    """The product without its second wall: no ORM statement names the tenant."""
    with forgetting():
        yield


@contextmanager
def forgetting() -> Iterator[None]:
    """Meanwhile the ORM does not name the tenant by itself, and the guard lets that pass."""
    event.remove(TenantSession, "do_orm_execute", db._name_the_tenant_again)
    try:
        with GUARD.suspended():
            yield
    finally:
        event.listen(TenantSession, "do_orm_execute", db._name_the_tenant_again)


@pytest.mark.promise(7)
@pytest.mark.usefixtures("forgetful")
@each_operation
async def test_the_wall_holds_when_the_code_forgets_the_tenant(operation: Operation, neighbours: Neighbours) -> None:
    await cross(operation, neighbours, light=True)


@pytest.fixture(scope="module")
async def unwalled(settings: Settings) -> AsyncIterator[Neighbours]:
    """Two workspaces in a database without row-level security: only the statements themselves keep them apart."""
    async with scratch_database(settings) as scratch:
        owner = await asyncpg.connect(scratch.database_url)
        for table in metadata.sorted_tables:
            await owner.execute(f"ALTER TABLE {table.fullname} DISABLE ROW LEVEL SECURITY")
        await owner.close()
        app = create_app(scratch)
        async with app.router.lifespan_context(app):
            process = WorkerProcess(app.state.resources)
            await process.start()
            made = await make_neighbours(scratch, app)
            yield made
            await made.mine.workspace.aclose()
            await made.theirs.workspace.aclose()
            await process.stop()


@pytest.mark.promise(7)
@each_operation
async def test_statements_keep_tenants_apart_without_the_wall(operation: Operation, unwalled: Neighbours) -> None:
    await cross(operation, unwalled, light=True)


@pytest.mark.promise(7)
async def test_the_matrix_has_teeth(unwalled: Neighbours) -> None:
    """With both walls down a foreign record is served, and the matrix would see it."""
    (operation,) = (one for one in operations() if one.id == "get_user")
    foreign = await prepare(operation, unwalled.theirs)
    with forgetting():
        reply = await send(operation, unwalled.mine.client, foreign)
    assert reply.status_code == 200
    with pytest.raises(AssertionError):
        keeps_secrets(reply, unwalled.theirs, foreign.path["user_id"])


async def test_a_tree_reads_the_ids_that_the_matrix_puts_there(neighbours: Neighbours) -> None:
    """Every field whose values are ids is one of the matrix, and its owner's own id finds somebody or nobody, but is
    refused by none."""
    scene = neighbours.theirs
    async with scene.workspace.resources.db.transaction(scene.workspace.id) as session:
        fields = CustomerFields(await registries.load(session), scene.actor)
    named = {field.key for field in fields.all() if field.cast in ("uuid", "uuid[]") or field.key in LINKS}
    assert named == set(TREE_IDS)
    for key, maker in TREE_IDS.items():
        tree = {"field": key, "op": "any_of", "value": [(await maker(scene)).id]}
        reply = await scene.client.post(f"{API}/customers/count", json={"filter": tree})
        assert reply.status_code == 200, reply.text
        assert reply.json()["count"] == (1 if key == "id" else 0)


def test_exceptions_are_still_needed() -> None:
    assert set(NO_EVENT) | set(NO_KEY) <= {operation.id for operation in operations() if operation.mutates}
