"""Promise 5: each POST of the contract with an Idempotency-Key: again, twenty times at once, and with another body."""

import asyncio
import copy
from typing import Any
from uuid import uuid4

import asyncpg
import httpx
import pytest

from tests.laws.allowed import NO_EVENT, NO_KEY, OVERTAKEN
from tests.laws.calling import prepare, send
from tests.laws.contract import Operation, operations
from tests.laws.registry import BODIES
from tests.laws.scene import Call, Scene

KEYED = [operation for operation in operations() if operation.takes_key and operation.id not in NO_KEY]
AT_ONCE = 20

pytestmark = pytest.mark.promise(5)
each_keyed = pytest.mark.parametrize("operation", KEYED, ids=lambda operation: operation.id)


def test_every_post_takes_a_key() -> None:
    posts = {operation.id for operation in operations() if operation.method == "post"}
    assert {operation.id for operation in operations() if operation.takes_key} == posts
    assert set(NO_KEY) <= posts


@each_keyed
async def test_again_is_the_first_reply(operation: Operation, scene: Scene, owner: asyncpg.Connection) -> None:
    await scene.refresh()
    call, key = await prepare(operation, scene), uuid4().hex
    first = await once(operation, scene, call, key)
    assert first.is_success, f"{operation}: {first.text}"
    assert "idempotency-replayed" not in first.headers
    if is_signed_out(operation):
        return
    again = await once(operation, scene, call, key)
    assert again.headers.get("idempotency-replayed") == "true"
    assert told(again) == told(first)
    assert await effects(owner, scene, [again]) == set(), "the repetition did something"
    changed = await once(operation, scene, other(operation, scene, call), key)
    assert (changed.status_code, changed.json()["code"]) == (422, "idempotency_key_reused")


@each_keyed
async def test_twenty_at_once_are_one_effect(operation: Operation, scene: Scene, owner: asyncpg.Connection) -> None:
    await scene.refresh()
    call, key = await prepare(operation, scene), uuid4().hex
    replies = await asyncio.gather(*(once(operation, scene, call, key) for _ in range(AT_ONCE)))
    done = [reply for reply in replies if reply.is_success]
    refused = [reply for reply in replies if not reply.is_success]
    assert done
    for reply in refused:
        if is_signed_out(operation) and reply.status_code == 401:
            continue
        assert (reply.status_code, reply.json()["code"]) == (409, "idempotency_in_flight"), reply.text
        assert int(reply.headers["retry-after"]) >= 1
    if operation.id in OVERTAKEN:
        assert len({reply.json()["id"] for reply in done}) == 1
    else:
        assert len({told(reply) for reply in done}) == 1
    assert sum("idempotency-replayed" not in reply.headers for reply in done) == 1
    expected = 0 if operation.id in NO_EVENT else 1
    assert len(await effects(owner, scene, replies)) == expected


async def test_a_key_is_its_callers_own(scene: Scene) -> None:
    (operation,) = (one for one in KEYED if one.id == "create_customer")
    key = uuid4().hex
    first = await once(operation, scene, await prepare(operation, scene), key)
    await scene.refresh()
    second = await once(operation, scene, await prepare(operation, scene), key)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] != second.json()["id"]


async def test_a_refusal_is_not_kept(scene: Scene) -> None:
    """What had no effect may be corrected and sent again under its key."""
    (operation,) = (one for one in KEYED if one.id == "create_customer")
    call, key = await prepare(operation, scene), uuid4().hex
    wrong = copy.deepcopy(call)
    wrong.body["phone"] = "12"
    assert (await once(operation, scene, wrong, key)).status_code == 422
    assert (await once(operation, scene, call, key)).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "khoá"])
async def test_a_bad_key_is_refused(scene: Scene, key: str) -> None:
    (operation,) = (one for one in KEYED if one.id == "create_customer")
    call = await prepare(operation, scene)
    call.headers["Idempotency-Key"] = key.encode()  # type: ignore[assignment]
    assert (await send(operation, scene.client, call)).status_code == 422


async def once(operation: Operation, scene: Scene, call: Call, key: str) -> httpx.Response:
    """Sends the call under a key."""
    headers = {"Idempotency-Key": key, "X-Request-ID": uuid4().hex}
    return await send(operation, scene.client, call, **headers)


def is_signed_out(operation: Operation) -> bool:
    """Whether the operation ends the caller's own session, so that nobody is there to repeat it."""
    return operation.id in ("logout", "logout_everywhere")


def told(reply: httpx.Response) -> tuple[int, bytes, str | None, str | None]:
    """What a reply tells its caller."""
    return reply.status_code, reply.content, reply.headers.get("etag"), reply.headers.get("location")


def other(operation: Operation, scene: Scene, call: Call) -> Call:
    """Another request to the same place."""
    changed = copy.copy(call)
    if isinstance(call.body, dict) and operation.body and operation.body[0] == "application/json":
        changed.body = {**call.body, "other": "x"}
    elif call.body is not None:
        changed.body = BODIES[operation.id](scene)
    else:
        changed.query = {"other": "x"}
    return changed


async def effects(owner: asyncpg.Connection, scene: Scene, replies: list[httpx.Response]) -> set[str]:
    """Which of these requests wrote an event."""
    rows: list[Any] = await owner.fetch(
        "SELECT DISTINCT request_id FROM crm.event WHERE tenant_id = $1 AND request_id = ANY($2)",
        scene.workspace.id,
        [reply.headers["x-request-id"] for reply in replies],
    )
    return {row[0] for row in rows}
