"""What stands around every request: CORS outside all refusals, size limits in words, slow and lost databases apart."""

from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from app.core.resources import Resources
from app.core.settings import Settings
from app.main import create_app
from tests.factories.people import Workspace

ORIGIN = "https://crm.example.vn"
LOGIN = "/api/v1/auth/login"
WHO = {"workspace": "demo", "username": "admin", "password": "?"}
# Nothing listens there.
NOWHERE = "postgresql://chot:x@127.0.0.1:1/chot"


@pytest.fixture
async def browser(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A page of another origin, and a database that is away."""
    app = create_app(settings.model_copy(update={"cors_origins": [ORIGIN], "database_url": NOWHERE}))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://chot.test", headers={"Origin": ORIGIN}
        ) as made:
            yield made


async def test_a_browser_sees_that_the_database_is_away(browser: httpx.AsyncClient) -> None:
    reply = await browser.post(LOGIN, json=WHO)
    assert (reply.status_code, reply.json()["code"]) == (503, "unavailable")
    assert reply.headers["access-control-allow-origin"] == ORIGIN
    assert reply.headers["retry-after"] == "2"
    assert "Retry-After" in reply.headers["access-control-expose-headers"]


@pytest.mark.parametrize(
    ("url", "size", "status"), [("/api/v1/customers?q=%00", 1, 422), (LOGIN, 1_000_001, 413), ("/nowhere", 1, 404)]
)
async def test_a_browser_sees_every_refusal(browser: httpx.AsyncClient, url: str, size: int, status: int) -> None:
    reply = await browser.post(url, content=b" " * size, headers={"Content-Type": "application/json"})
    assert reply.status_code == status
    assert reply.headers["access-control-allow-origin"] == ORIGIN
    assert reply.json()["request_id"] == reply.headers["x-request-id"]


async def test_a_browser_may_ask_first(browser: httpx.AsyncClient) -> None:
    asked = {"Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "If-Match,Authorization"}
    reply = await browser.options("/api/v1/me", headers=asked)
    assert reply.status_code == 200
    assert reply.headers["access-control-allow-origin"] == ORIGIN
    assert "PATCH" in reply.headers["access-control-allow-methods"]
    assert "If-Match" in reply.headers["access-control-allow-headers"]
    refused = await browser.options("/api/v1/me", headers={**asked, "Origin": "https://elsewhere.example"})
    assert "access-control-allow-origin" not in refused.headers


async def test_nobody_reads_bytes(client: httpx.AsyncClient, settings: Settings) -> None:
    async def unannounced() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b" " * 500_000

    for content in (b" " * 1_000_001, unannounced()):
        reply = await client.post(LOGIN, content=content, headers={"Content-Type": "application/json"})
        assert (reply.status_code, reply.json()["code"]) == (413, "too_large")
        assert reply.json()["detail"] == "Dữ liệu gửi lên vượt quá 1 MB"
        assert reply.json()["limit"] == settings.max_body


async def test_only_a_route_that_takes_files_takes_more(client: httpx.AsyncClient, settings: Settings) -> None:
    over = {"Content-Length": str(settings.max_upload + 64_001), "Content-Type": "multipart/form-data; boundary=x"}
    upload = await client.post("/api/v1/imports", content=b"", headers=over)
    assert upload.json()["detail"] == "Dữ liệu gửi lên vượt quá 200 MB"
    just = {**over, "Content-Length": str(settings.max_upload)}
    assert (await client.post("/api/v1/imports", content=b"", headers=just)).status_code == 401
    assert (await client.post("/api/v1/customers", content=b"", headers=just)).status_code == 413


async def test_a_slow_statement_is_not_an_outage(workspace: Workspace, app: FastAPI) -> None:
    """Told as one, each good client would send it again after two seconds."""

    async def slow() -> None:
        resources: Resources = app.state.resources
        async with resources.db.transaction(workspace.id) as session:
            await session.execute(text("SET LOCAL statement_timeout = 20"))
            await session.execute(text("SELECT pg_sleep(5)"))

    app.add_api_route("/slow", slow)
    route = app.router.routes[-1]
    try:
        reply = await workspace.admin.get("/slow", headers={"Accept-Language": "en"})
    finally:
        app.router.routes.remove(route)
    assert (reply.status_code, reply.json()["code"]) == (422, "query_too_slow")
    assert reply.json()["detail"] == "This takes too long; please narrow the conditions"
    assert "retry-after" not in reply.headers


async def test_a_list_of_values_is_said_without_english(workspace: Workspace) -> None:
    reply = await workspace.admin.get("/api/v1/customers", params={"count": "all"})
    (error,) = reply.json()["errors"]
    assert error["message"].startswith("Chỉ nhận một trong các giá trị: 'none', '")
    assert " or " not in error["message"]
