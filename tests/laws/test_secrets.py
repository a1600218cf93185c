"""Promise 24: when things go wrong, what people typed stands neither in the log nor in a reply's problem.

The matrix of test_tenants.py watches the log and Valkey while every operation works; here they fail.
"""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from sqlalchemy import insert, text

from app.core.clock import new_id, now
from app.core.settings import Settings
from app.core.work import CurrentWork, Session
from app.customers.models import CustomerGroup
from app.identity.access import SignedIn
from app.main import create_app
from tests.factories.people import make_workspace
from tests.laws.calling import prepare, send
from tests.laws.contract import Operation, operations
from tests.laws.scene import Scene
from workers.main import WorkerProcess

pytestmark = pytest.mark.promise(24)
WITH_BODY = [operation for operation in operations() if operation.body and operation.body[0] == "application/json"]


@pytest.fixture(scope="module")
async def broken(settings: Settings, worker: WorkerProcess, talkative: None) -> AsyncIterator[FastAPI]:
    """The application with three routes that fail on what they are given."""
    app = create_app(settings)
    app.router.routes[:0] = _broken_routes().routes
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture(scope="module")
async def victim(settings: Settings, broken: FastAPI) -> AsyncIterator[Scene]:
    """A workspace of the failing application."""
    workspace = await make_workspace(settings, broken)
    yield Scene(workspace, workspace.administrator)
    await workspace.aclose()


def _broken_routes() -> Any:
    from fastapi import APIRouter

    from app.core.work import Route

    router = APIRouter(prefix="/law", route_class=Route)

    @router.post("/fault")
    async def fault(actor: SignedIn, request: Request) -> None:
        """A fault of ours, with the body in its text and in that of its cause."""
        body = (await request.body()).decode()
        try:
            raise ValueError(body)
        except ValueError as error:
            raise RuntimeError(f"cannot digest {body}") from error

    @router.post("/statement")
    async def statement(actor: SignedIn, session: Session, request: Request) -> None:
        """A statement that PostgreSQL refuses, quoting its arguments."""
        body = (await request.body()).decode()
        await session.execute(text("SELECT CAST(:given AS integer)"), {"given": body})

    @router.post("/conflict")
    async def conflict(actor: SignedIn, session: Session, work: CurrentWork, request: Request) -> None:
        """A violated constraint that nobody maps, whose DETAIL quotes the row."""
        body = (await request.body()).decode()
        born = {"version": 1, "created_at": now(), "updated_at": now(), "description": body}
        for number in (1, 2):
            await session.execute(
                insert(CustomerGroup).values(
                    tenant_id=actor.tenant_id, id=new_id(), no=-number, name=body, name_key=body, **born
                )
            )

    return router


@pytest.mark.parametrize("fault", ["fault", "statement", "conflict"])
async def test_a_fault_of_ours_quotes_nobody(victim: Scene, log: Any, fault: str) -> None:
    body = f"{victim.text()} {victim.phone()}"
    reply = await victim.client.post(f"/law/{fault}", content=body)
    assert reply.status_code == 500, reply.text
    assert reply.json()["code"] == "internal_error"
    written = log()
    assert '"event": "unhandled"' in written
    assert reply.json()["request_id"] in written
    assert not told(victim, reply.text + written)


@pytest.mark.parametrize("operation", WITH_BODY, ids=lambda operation: operation.id)
async def test_refused_values_are_not_logged(operation: Operation, victim: Scene, log: Any) -> None:
    """The caller may read his own words in a problem; the log may not."""
    await victim.refresh()
    call = await prepare(operation, victim)
    wrong = {name: [victim.text(), victim.phone()] for name in (call.body or {"x": 1})} | {victim.text(): victim.text()}
    call.body = wrong
    reply = await send(operation, victim.client, call)
    assert 400 <= reply.status_code < 500, reply.text
    assert not told(victim, log())


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer {canary}"},
        {"X-API-Key": "{canary}"},
        {
            "Authorization": "Bearer x",
            "Idempotency-Key": "{canary}",
            "User-Agent": "{canary}",
            "X-Request-ID": "{canary}é",
        },
    ],
)
async def test_credentials_and_queries_are_not_logged(
    broken: FastAPI, victim: Scene, log: Any, headers: dict[str, str]
) -> None:
    sent = {name.encode(): value.format(canary=victim.canary).encode() for name, value in headers.items()}
    transport = httpx.ASGITransport(broken, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://chot.test") as stranger:
        url = f"/api/v1/customers?q={victim.canary}"
        assert (await stranger.get(url, headers=sent)).status_code == 401
        assert (await stranger.get(f"/api/v1/{victim.canary}")).status_code == 404
        assert (await stranger.post("/api/v1/auth/login", content=f"{{{victim.canary}")).status_code == 422
        wrong = {"workspace": victim.workspace.slug, "username": victim.canary, "password": victim.canary}
        assert (await stranger.post("/api/v1/auth/login", json=wrong)).status_code == 401
    assert not told(victim, log())


async def test_what_works_is_not_logged_either(victim: Scene, log: Any) -> None:
    made = await victim.make("/customers", {"name": victim.text(), "phone": victim.phone()})
    assert (await victim.client.get("/api/v1/customers", params={"q": victim.canary})).json()["items"]
    assert (await victim.client.get(f"/api/v1/customers/{made.id}")).status_code == 200
    written = log()
    assert '"event":"request"' in written
    assert not told(victim, written)


def told(scene: Scene, text_: str) -> list[str]:
    """The personal data and credentials that stand in a text."""
    return [secret for secret in scene.personal if secret in text_]
