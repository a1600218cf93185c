"""Many people at once: passwords wait without a connection, and one's failures lock nobody else out."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from app.core.clock import NIL
from app.core.resources import Resources
from app.core.settings import Settings
from app.identity import throttle
from app.identity.models import LoginThrottle
from app.main import create_app
from tests.factories.people import PASSWORD, Person, Workspace, make_workspace

NEW_PASSWORD = "trà đá vỉa hè 88"
PROXY, OUTSIDER = "10.1.0.2", "198.51.100.9"


@pytest.fixture
async def narrow(settings: Settings) -> AsyncIterator[FastAPI]:
    """The application with two connections for everybody, behind a proxy."""
    changed = {"pool_size": 2, "pool_wait": 3, "trusted_proxies": ["10.1.0.0/16"]}
    app = create_app(settings.model_copy(update=changed))
    async with app.router.lifespan_context(app):
        yield app


async def test_passwords_wait_without_a_connection(settings: Settings, narrow: FastAPI) -> None:
    """Each held one once while it waited for a second: as many at once as the pool is wide stopped everybody."""
    workspace = await make_workspace(settings, narrow)
    people = [await workspace.person() for _ in range(5)]

    async def change(person: Person) -> httpx.Response:
        body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
        return await person.client.post("/api/v1/me/password", json=body)

    async def add(n: int) -> httpx.Response:
        body = {"username": f"moi{n}", "password": NEW_PASSWORD, "full_name": "Lê Thị Mới"}
        return await workspace.admin.post("/api/v1/users", json=body)

    async def set_password(person: Person) -> httpx.Response:
        url, match = f"/api/v1/users/{person.id}", {"If-Match": '"1"'}
        return await workspace.admin.patch(url, json={"password": NEW_PASSWORD}, headers=match)

    replies = await asyncio.gather(*map(change, people[:3]), *map(add, range(3)), *map(set_password, people[3:]))
    assert [reply.status_code for reply in replies] == [204] * 3 + [201] * 3 + [200] * 2
    await workspace.aclose()


async def test_of_two_changes_of_a_password_at_once_one_counts(workspace: Workspace) -> None:
    person = await workspace.person()
    bodies = [{"current_password": PASSWORD, "new_password": f"{NEW_PASSWORD} {n}"} for n in range(2)]
    replies = await asyncio.gather(*(person.client.post("/api/v1/me/password", json=body) for body in bodies))
    assert sorted(reply.status_code for reply in replies) == [204, 422]


async def test_guesses_of_ones_own_password_are_counted_by_person(resources: Resources, workspace: Workspace) -> None:
    """One counter for all people of all workspaces would lock them all out after a hundred typing errors."""

    async def counters() -> int:
        async with resources.db.transaction(NIL) as session:
            return await session.scalar(select(func.count()).select_from(LoginThrottle)) or 0

    before = await counters()
    for person in (await workspace.person(), await workspace.person()):
        body = {"current_password": "not mine at all", "new_password": NEW_PASSWORD}
        assert (await person.client.post("/api/v1/me/password", json=body)).status_code == 422
    assert await counters() == before + 2 * 3


@pytest.mark.parametrize(
    ("peer", "counted"), [(PROXY, "203.0.113.7"), (OUTSIDER, OUTSIDER)], ids=["a proxy is believed", "others are not"]
)
async def test_failures_are_counted_by_the_callers_address(
    narrow: FastAPI, resources: Resources, peer: str, counted: str
) -> None:
    """Behind a proxy that is not believed, all companies of an installation would be one address."""
    transport = httpx.ASGITransport(narrow, raise_app_exceptions=False, client=(peer, 50_000))
    async with httpx.AsyncClient(transport=transport, base_url="http://chot.test") as client:
        reply = await client.post(
            "/api/v1/auth/login",
            json={"workspace": "khong-co", "username": f"nobody at {peer}", "password": "?"},
            headers={"X-Forwarded-For": "192.0.2.66, 203.0.113.7"},
        )
    assert reply.status_code == 401
    addresses = {ip: throttle.attempt("", "", ip).address.id for ip in ("192.0.2.66", "203.0.113.7", PROXY, OUTSIDER)}
    pairs = {ip: throttle.attempt("khong-co", f"nobody at {peer}", ip).pair.id for ip in addresses}
    async with resources.db.transaction(NIL) as session:
        found = set(await session.scalars(select(LoginThrottle.id)))
    assert addresses[counted] in found
    assert [ip for ip, id_ in pairs.items() if id_ in found] == [counted]
