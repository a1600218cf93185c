"""An operation called as the registry says: with objects of its own, a body, a version."""

from copy import deepcopy
from typing import Any
from uuid import uuid4

import httpx

from tests.laws.contract import Operation, Spot
from tests.laws.registry import (
    ACTION_PARAMS,
    BEFORE,
    BODIES,
    BODY_IDS,
    EXPECTING,
    INSTEAD,
    MAKERS,
    QUERIES,
    VERSIONS,
)
from tests.laws.scene import API, Call, Kept, Made, Maker, Scene


def maker_of(operation: Operation, name: str, *, light: bool = False) -> Maker:
    """How to make what a path parameter of the operation names; `light` in any state, not in the one it needs.

    Raises:
        AssertionError: nobody has said how; a line in MAKERS is missing.
    """
    prefix = operation.path[: operation.path.index(f"{{{name}}}")] + f"{{{name}}}"
    maker = (None if light else MAKERS.get(operation.id)) or MAKERS.get(prefix)
    assert maker, f"{operation}: tests/laws/registry.py does not say how {prefix} is made"
    return maker


async def prepare(
    operation: Operation,
    scene: Scene,
    without: Spot | None = None,
    *,
    light: bool = False,
    kept: Kept | None = None,
) -> Call:
    """A call of the operation that should succeed, on fresh objects of the scene's (if it is not `light`), or on those
    that are `kept`.

    What stands at the spot `without` is not made, because the caller will put another id there.
    """
    kept = {} if kept is None else kept
    call = Call(query=dict(QUERIES.get(operation.id, {})))
    for name in operation.names("path"):
        if without == Spot("path", name):
            call.headers["If-Match"] = '"1"'
            continue
        made = await once(kept, maker_of(operation, name, light=light), name, scene)
        call.path[name] = made.id
        call.headers["If-Match"] = made.etag
    if operation.id in VERSIONS:
        call.headers["If-Match"] = (await scene.client.get(f"{API}{VERSIONS[operation.id]}")).headers["etag"]
    if not operation.needs_version:
        call.headers.pop("If-Match", None)
    if operation.body is not None:
        call.body = BODIES[operation.id](scene) if operation.id in BODIES else deepcopy(operation.example)
        asked = without.name if without is not None else ""
        for (owner, place), make in BODY_IDS.items():
            if owner == operation.id and place not in INSTEAD and place not in (asked, INSTEAD.get(asked)):
                put(call.body, place, (await once(kept, make, place, scene)).id)
        if without is not None:
            _lead_to(operation, without, call.body)
    if operation.id in BEFORE and without is None and not light:
        await BEFORE[operation.id](scene, call)
    return call


async def once(kept: Kept, maker: Maker, place: str, scene: Scene) -> Made:
    """What is kept for a place, made if nothing is."""
    if (maker, place) not in kept:
        kept[maker, place] = await maker(scene)
    return kept[maker, place]


async def send(operation: Operation, client: httpx.AsyncClient, call: Call, **headers: str) -> httpx.Response:
    """Sends a call."""
    kind = operation.body[0] if operation.body else ""
    content: dict[str, Any] = {}
    if kind == "multipart/form-data":
        content = {"files": call.body}
    elif call.body is not None:
        content = {"json": call.body}
    url = operation.path.format(**call.path)
    if operation.needs_key:
        headers = {"Idempotency-Key": uuid4().hex, **headers}
    return await client.request(
        operation.method.upper(), url, params=call.query or None, headers={**call.headers, **headers}, **content
    )


def _lead_to(operation: Operation, spot: Spot, body: Any) -> None:
    """Makes a body such that the operation comes to read what stands at the spot."""
    if spot.where == "body" and spot.of:
        body |= {"action": spot.of, "params": dict(ACTION_PARAMS.get(spot.of, {}))}
    if spot.where == "tree" and operation.id in EXPECTING:
        body["expected_count"] = 0


def put(body: Any, place: str, value: Any) -> None:
    """Puts an id or a tree into a body: `owner`, `group.id`, `ids[]`, `selection.filter`."""
    *parents, last = place.split(".")
    for parent in parents:
        body = body.setdefault(parent, {})
    body[last.removesuffix("[]")] = [value] if last.endswith("[]") else value
