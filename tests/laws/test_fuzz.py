"""Promise 10: no input gives a 5xx, and every reply is one that the contract announces.

Schemathesis makes the inputs; they are sent to the application of a database of its own, signed in as an administrator
of a workspace whose objects the ids in paths name, so that requests get past the first refusal.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import pytest
import requests
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app.core.settings import Settings
from app.main import create_app
from tests.factories.people import make_workspace
from tests.laws.calling import maker_of
from tests.laws.contract import Operation, document, operations
from tests.laws.scene import Scene
from tests.laws.scratch import scratch_database
from workers.main import WorkerProcess

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
AnyCase = Case[Any]
SEED = 20251
EDGES = 30
PATIENCE = 30.0

pytestmark = pytest.mark.promise(10)
each_operation = pytest.mark.parametrize("operation", operations(), ids=lambda operation: operation.id)


@dataclass
class House:
    """An application with a database of its own, and a workspace for those who only read."""

    settings: Settings
    app: FastAPI
    shared: Scene

    async def stage(self, operation: Operation) -> Scene:
        """A workspace for an operation: one that changes something must not spoil the others'."""
        if not operation.mutates:
            return self.shared
        workspace = await make_workspace(self.settings, self.app)
        return Scene(workspace, workspace.administrator)


@pytest.fixture(scope="module")
async def house(settings: Settings) -> AsyncIterator[House]:
    """What nobody needs afterwards."""
    async with scratch_database(settings) as scratch:
        app = create_app(scratch)
        async with app.router.lifespan_context(app):
            process = WorkerProcess(app.state.resources)
            await process.start()
            workspace = await make_workspace(scratch, app)
            yield House(scratch, app, Scene(workspace, workspace.administrator))
            await process.stop()


@dataclass
class Target:
    """An operation with the ids of real objects for its path."""

    operation: Operation
    scene: Scene
    ids: dict[str, str]

    async def send(self, case: AnyCase) -> None:
        """Sends a case and checks the reply.

        Raises:
            FailureGroup: the reply breaks the contract.
        """
        for name, value in self.ids.items():
            if is_like(case.path_parameters.get(name), value):
                case.path_parameters[name] = value
        headers = {"Authorization": self.scene.client.headers["Authorization"]} if self.operation.secured else {}
        if self.operation.needs_version and "If-Match" in {name.title() for name in case.headers}:
            headers["If-Match"] = await self.version(case)
        try:
            request = prepared(case, headers)
        except (httpx.InvalidURL, requests.exceptions.RequestException, UnicodeError, ValueError):
            return  # No client could send it.
        reply = await asyncio.wait_for(self.scene.client.send(request), PATIENCE)
        if reply.status_code == 401 and self.operation.secured:
            await self.scene.refresh()
            return
        case.validate_response(reply, checks=CHECKS)

    async def version(self, case: AnyCase) -> str:
        """The ETag that the object has now, so that half of the changes are not refused for it."""
        path = self.operation.path
        if set(case.path_parameters) != set(self.ids):
            return '"1"'
        reply = await self.scene.client.get(path.format(**self.ids))
        return str(reply.headers.get("etag", '"1"'))


@each_operation
async def test_no_input_breaks_the_contract(operation: Operation, house: House) -> None:
    """Boundaries that the contract names, at them and beyond them; then inputs at random."""
    target = await aim(operation, house)
    edges = list(edges_of(operation))
    for case in random.Random(SEED).sample(edges, min(len(edges), EDGES)):
        await target.send(case)
    await fuzz(target, {GenerationMode.POSITIVE: 2, GenerationMode.NEGATIVE: 1}, SEED)


@pytest.mark.long
@pytest.mark.timeout(3600)
@each_operation
async def test_every_edge_and_two_thousand_inputs_at_random(operation: Operation, house: House) -> None:
    target = await aim(operation, house)
    for case in edges_of(operation):
        await target.send(case)
    await fuzz(target, {GenerationMode.POSITIVE: 1200, GenerationMode.NEGATIVE: 800}, None)


def edges_of(operation: Operation) -> Iterator[AnyCase]:
    """Every boundary of every parameter, one by one."""
    return SCHEMA.iter_coverage_cases(
        labelled(operation), generation_modes=list(MODES), generation_config=SCHEMA.config.generation
    )


async def aim(operation: Operation, house: House) -> Target:
    """The operation with fresh objects."""
    scene = await house.stage(operation)
    await scene.refresh()
    names = operation.names("path")
    return Target(operation, scene, {name: (await maker_of(operation, name)(scene)).id for name in names})


async def fuzz(target: Target, examples: dict[GenerationMode, int], chosen: int | None) -> None:
    """Sends generated cases, as many of each mode as `examples` says."""
    loop = asyncio.get_running_loop()
    for mode, count in examples.items():
        await asyncio.to_thread(_generate, target, loop, mode, count, chosen)


def _generate(
    target: Target, loop: asyncio.AbstractEventLoop, mode: GenerationMode, count: int, chosen: int | None
) -> None:
    """Hypothesis in a thread of its own: it knows no coroutines, and the application lives in this loop."""

    def attempt(case: AnyCase) -> None:
        asyncio.run_coroutine_threadsafe(target.send(case), loop).result()

    attempt = given(case=labelled(target.operation).as_strategy(generation_mode=mode))(attempt)
    attempt = settings(
        max_examples=count,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate] if chosen is not None else [Phase.generate, Phase.shrink],
    )(attempt)
    if chosen is not None:
        attempt = seed(chosen)(attempt)
    try:
        attempt()
    except Unsatisfiable:
        # An operation without parameters has no wrong input.
        assert mode == GenerationMode.NEGATIVE


SCHEMA = schemathesis.openapi.from_dict(document())
SCHEMA.config.update(base_url="http://chot.test")


def labelled(operation: Operation) -> Any:
    """Schemathesis' own view of an operation."""
    return SCHEMA[operation.path][operation.method.upper()]


def is_like(sent: Any, real: str) -> bool:
    """Whether a generated path parameter is of the form that a real one has."""
    try:
        return str(UUID(str(sent))) == str(sent).lower() and len(real) == 36
    except ValueError:
        return False


def prepared(case: AnyCase, headers: dict[str, str]) -> httpx.Request:
    """The case as Schemathesis would send it, for our client."""
    options = case.as_transport_kwargs(base_url="http://chot.test")
    made = requests.Request(**{name: options[name] for name in sendable(options)}).prepare()
    sent = {name: value for name, value in made.headers.items() if name.title() not in headers}
    body = made.body.encode() if isinstance(made.body, str) else made.body
    assert body is None or isinstance(body, bytes)
    return httpx.Request(
        str(made.method),
        str(made.url),
        headers={**{name: str(value) for name, value in sent.items()}, **headers},
        content=body,
    )


def sendable(options: dict[str, Any]) -> Iterator[str]:
    """The options that a request has; the others are for the session."""
    return (
        name for name in options if name in ("method", "url", "headers", "cookies", "params", "json", "data", "files")
    )
