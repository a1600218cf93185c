"""Signing in: one answer for every failure, the throttle, refresh tokens, signing out."""

import asyncio
import statistics
import time
from datetime import timedelta
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select, update

from app.core.clock import NIL, now
from app.core.events import Event
from app.core.resources import Resources
from app.identity import sessions, throttle
from app.identity.models import LoginSession, LoginThrottle, RefreshToken, User
from tests.factories.people import PASSWORD, Workspace

LOGIN, REFRESH, ME = "/api/v1/auth/login", "/api/v1/auth/refresh", "/api/v1/me"


async def login(client: httpx.AsyncClient, workspace: str, username: str, password: str) -> httpx.Response:
    return await client.post(LOGIN, json={"workspace": workspace, "username": username, "password": password})


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def count_sessions(workspace: Workspace, *, live: bool) -> int:
    async with workspace.resources.db.transaction(workspace.id) as session:
        found = select(func.count(LoginSession.id))
        if live:
            found = found.where(LoginSession.revoked_at.is_(None))
        return await session.scalar(found) or 0


async def event_kinds(workspace: Workspace) -> list[str]:
    async with workspace.resources.db.transaction(workspace.id) as session:
        return list(await session.scalars(select(Event.kind).order_by(Event.id)))


@pytest.mark.feature("A014")
async def test_sign_in_gives_tokens_that_work(client: httpx.AsyncClient, workspace: Workspace) -> None:
    reply = await login(client, workspace.slug.upper() + " ", " ADMIN", PASSWORD)
    assert reply.status_code == 200
    tokens = reply.json()
    assert tokens["token_type"] == "bearer"
    assert 0 < tokens["expires_in"] <= 600
    me = await client.get(ME, headers=bearer(tokens["access_token"]))
    assert me.status_code == 200
    assert me.json()["username"] == "admin"
    assert me.json()["workspace"]["slug"] == workspace.slug
    assert me.json()["last_login_at"] is not None
    assert "user.signed_in" in await event_kinds(workspace)


@pytest.mark.promise(21)
async def test_every_failure_answers_alike(client: httpx.AsyncClient, workspace: Workspace) -> None:
    await workspace.deactivate(await workspace.person(username="gone"))
    tries = [
        ("khong-co-cong-ty-nay", "admin", PASSWORD),
        (workspace.slug, "nobody", PASSWORD),
        (workspace.slug, "admin", "not the password"),
        (workspace.slug, "admin", "x" * 129),
        (workspace.slug, "gone", PASSWORD),
        ("-", "?", "?"),
    ]
    replies = [await login(client, *each) for each in tries]
    bodies = []
    for reply in replies:
        assert reply.status_code == 401
        assert reply.headers["www-authenticate"] == "Bearer"
        body = reply.json()
        body.pop("request_id")
        bodies.append(body)
    assert all(body == bodies[0] for body in bodies)
    assert bodies[0]["code"] == "invalid_credentials"
    assert bodies[0]["detail"] == "Sai tên đăng nhập hoặc mật khẩu"


@pytest.mark.promise(21)
async def test_failures_take_the_same_time(client: httpx.AsyncClient, workspace: Workspace) -> None:
    """Medians of interleaved failures: without the dummy hash an unknown user answers ten times faster."""
    known: list[float] = []
    unknown: list[float] = []
    foreign: list[float] = []
    for n in range(8):
        await workspace.person(username=f"known{n}")
        for times, slug, name in (
            (known, workspace.slug, f"known{n}"),
            (unknown, workspace.slug, f"unknown{n}"),
            (foreign, "khong-co", f"unknown{n}"),
        ):
            started = time.perf_counter()
            assert (await login(client, slug, name, "wrong password")).status_code == 401
            times.append(time.perf_counter() - started)
    middle = statistics.median(known)
    for others in (unknown, foreign):
        assert 0.5 < statistics.median(others) / middle < 2


@pytest.mark.promise(21)
@pytest.mark.parametrize("username", ["admin", "nobody"])
async def test_five_failures_lock_the_account(app: FastAPI, workspace: Workspace, username: str) -> None:
    """Also with the right password, from any address, and for a name that does not exist."""
    for n in range(5):
        async with from_address(app, f"10.0.0.{n}") as client:
            assert (await login(client, workspace.slug, username, "wrong password")).status_code == 401
    async with from_address(app, "10.9.9.9") as client:
        locked = await login(client, workspace.slug, username, PASSWORD)
    assert locked.status_code == 429
    assert locked.json()["code"] == "login_throttled"
    assert 25 <= int(locked.headers["retry-after"]) <= 30


async def test_a_lock_ends_and_success_forgets(client: httpx.AsyncClient, workspace: Workspace) -> None:
    for _ in range(5):
        await login(client, workspace.slug, "admin", "wrong password")
    assert (await login(client, workspace.slug, "admin", PASSWORD)).status_code == 429
    await end_locks(workspace.resources)
    assert (await login(client, workspace.slug, "admin", "wrong password")).status_code == 401
    again = await login(client, workspace.slug, "admin", PASSWORD)
    assert again.status_code == 429, "the sixth failure locks again"
    assert 50 <= int(again.headers["retry-after"]) <= 60
    await end_locks(workspace.resources)
    assert (await login(client, workspace.slug, "admin", PASSWORD)).status_code == 200
    for _ in range(4):
        assert (await login(client, workspace.slug, "admin", "wrong password")).status_code == 401
    assert (await login(client, workspace.slug, "admin", PASSWORD)).status_code == 200


@pytest.mark.promise(21)
async def test_guesses_at_once_are_five_guesses(client: httpx.AsyncClient, workspace: Workspace) -> None:
    replies = await asyncio.gather(*(login(client, workspace.slug, "admin", f"wrong guess {n}") for n in range(20)))
    assert sorted(reply.status_code for reply in replies) == [401] * 5 + [429] * 15


@pytest.mark.promise(21)
async def test_throttle_needs_no_valkey(app: FastAPI, workspace: Workspace) -> None:
    """The counts stand in PostgreSQL: emptying Valkey forgets none."""
    async with from_address(app, "10.1.1.1") as client:
        for _ in range(5):
            await login(client, workspace.slug, "admin", "wrong password")
        await workspace.resources.redis.flushall()
        assert (await login(client, workspace.slug, "admin", PASSWORD)).status_code == 429


async def test_an_address_that_fails_everywhere_is_locked(app: FastAPI, workspace: Workspace) -> None:
    db = workspace.resources.db
    for n in range(99):
        await throttle.fail(db, throttle.attempt(workspace.slug, f"guess{n}", "10.77.0.1"), now())
    async with from_address(app, "10.77.0.1") as client:
        assert (await login(client, workspace.slug, "admin", PASSWORD)).status_code == 200
        assert (await login(client, workspace.slug, "guess99", "wrong password")).status_code == 401
        assert (await login(client, workspace.slug, "admin", PASSWORD)).status_code == 429
    async with from_address(app, "10.77.0.2") as client:
        assert (await login(client, workspace.slug, "admin", PASSWORD)).status_code == 200


async def test_an_address_that_rests_starts_anew(app: FastAPI, workspace: Workspace) -> None:
    """Else a large office would lock itself out within days."""
    db, earlier = workspace.resources.db, now() - timedelta(minutes=16)
    for n in range(99):
        await throttle.fail(db, throttle.attempt(workspace.slug, f"typo{n}", "10.78.0.1"), earlier)
    async with from_address(app, "10.78.0.1") as client:
        assert (await login(client, workspace.slug, "nobody", "wrong password")).status_code == 401
        assert (await login(client, workspace.slug, "admin", PASSWORD)).status_code == 200


def test_one_ipv6_network_is_one_address() -> None:
    def place(ip: str) -> UUID:
        return throttle.attempt("demo", "admin", ip).address.id

    assert place("2001:db8:1:2::1") == place("2001:db8:1:2:ffff::9") != place("2001:db8:1:3::1")
    assert place("10.0.0.1") != place("10.0.0.2")
    assert place("fe80::1%eth0") == place("fe80::2")
    assert place("no address") == place("no address")


def test_locks_double_up_to_a_cap() -> None:
    tried = throttle.attempt("demo", "admin", "10.0.0.1")
    spans = [tried.account.lock(failures) for failures in range(4, 12)]
    assert [span and span.total_seconds() for span in spans] == [None, 30, 60, 120, 240, 480, 900, 900]
    assert tried.account.lock(10**9) == timedelta(minutes=15)


async def test_old_failures_are_purged(resources: Resources) -> None:
    tried = throttle.attempt("demo", "long ago", "10.0.0.1")
    await throttle.fail(resources.db, tried, now() - timedelta(hours=25))
    await throttle.purge(resources.db)
    async with resources.db.transaction(NIL) as session:
        assert await session.scalar(select(LoginThrottle.id).where(LoginThrottle.id == tried.account.id)) is None


async def test_a_weak_hash_is_renewed_at_sign_in(client: httpx.AsyncClient, workspace: Workspace) -> None:
    from pwdlib.hashers.argon2 import Argon2Hasher

    weak = Argon2Hasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    assert await stored_hash(workspace, set_to=weak) == weak
    assert (await login(client, workspace.slug, "admin", PASSWORD)).status_code == 200
    renewed = await stored_hash(workspace)
    assert "m=19456,t=2,p=1" in renewed
    assert (await login(client, workspace.slug, "admin", PASSWORD)).status_code == 200
    assert await stored_hash(workspace) == renewed


@pytest.mark.promise(20)
async def test_refresh_rotates_and_reuse_ends_the_session(client: httpx.AsyncClient, workspace: Workspace) -> None:
    first = (await login(client, workspace.slug, "admin", PASSWORD)).json()
    reply = await client.post(REFRESH, json={"refresh_token": first["refresh_token"]})
    assert reply.status_code == 200
    second = reply.json()
    assert second["refresh_token"] != first["refresh_token"]
    assert (await client.get(ME, headers=bearer(second["access_token"]))).status_code == 200

    stolen = await client.post(REFRESH, json={"refresh_token": first["refresh_token"]})
    assert stolen.status_code == 401
    assert (await client.get(ME, headers=bearer(second["access_token"]))).status_code == 401
    assert (await client.get(ME, headers=bearer(first["access_token"]))).status_code == 401
    assert (await client.post(REFRESH, json={"refresh_token": second["refresh_token"]})).status_code == 401
    assert (await event_kinds(workspace)).count("user.refresh_token_reused") == 1


@pytest.mark.promise(20)
async def test_refreshes_at_once_never_make_two_families(client: httpx.AsyncClient, workspace: Workspace) -> None:
    first = (await login(client, workspace.slug, "admin", PASSWORD)).json()
    before = await count_sessions(workspace, live=False)
    replies = await asyncio.gather(
        *(client.post(REFRESH, json={"refresh_token": first["refresh_token"]}) for _ in range(20))
    )
    granted = [reply.json() for reply in replies if reply.status_code == 200]
    assert len(granted) == 1
    assert {reply.status_code for reply in replies} == {200, 401}
    assert await count_sessions(workspace, live=False) == before, "a refresh opens no session"
    assert (await client.get(ME, headers=bearer(granted[0]["access_token"]))).status_code == 401
    assert (await client.post(REFRESH, json={"refresh_token": granted[0]["refresh_token"]})).status_code == 401


@pytest.mark.promise(20)
async def test_only_a_hash_of_a_refresh_token_is_kept(client: httpx.AsyncClient, workspace: Workspace) -> None:
    token = (await login(client, workspace.slug, "admin", PASSWORD)).json()["refresh_token"]
    async with workspace.resources.db.transaction(workspace.id) as session:
        hashes = list(await session.scalars(select(RefreshToken.token_hash)))
    assert hashes
    assert all(len(digest) == 32 and token.encode() not in digest for digest in hashes)


async def test_bad_refresh_tokens_are_refused_and_end_nothing(client: httpx.AsyncClient, workspace: Workspace) -> None:
    good = (await login(client, workspace.slug, "admin", PASSWORD)).json()
    tenant, token_id, secret = good["refresh_token"].split(".")
    for bad in (
        "",
        "x",
        good["access_token"][:200],
        f"{tenant}.{token_id}.{'A' * 43}",
        f"{UUID(int=0).hex}.{token_id}.{secret}",
        f"{tenant}.{UUID(int=1).hex}.{secret}",
        f"{tenant}.{token_id}.{secret}x",
        f"{tenant.upper()}.{token_id}.{secret}",
    ):
        reply = await client.post(REFRESH, json={"refresh_token": bad})
        assert reply.status_code == 401, bad
        assert reply.json()["code"] == "unauthenticated"
    assert (await client.post(REFRESH, json={"refresh_token": good["refresh_token"]})).status_code == 200


async def test_an_expired_session_is_over(client: httpx.AsyncClient, workspace: Workspace) -> None:
    good = (await login(client, workspace.slug, "admin", PASSWORD)).json()
    past = now() - timedelta(seconds=1)
    async with workspace.resources.db.transaction(workspace.id) as session:
        await session.execute(update(LoginSession).values(expires_at=past))
        await session.execute(update(RefreshToken).values(expires_at=past))
    assert (await client.get(ME, headers=bearer(good["access_token"]))).status_code == 401
    assert (await client.post(REFRESH, json={"refresh_token": good["refresh_token"]})).status_code == 401
    async with workspace.resources.db.transaction(workspace.id) as session:
        assert await sessions.purge(session, 10) > 0
        assert await session.scalar(select(func.count(RefreshToken.id))) == 0


@pytest.mark.feature("A027")
async def test_log_out_ends_this_session_only(client: httpx.AsyncClient, workspace: Workspace) -> None:
    here = (await login(client, workspace.slug, "admin", PASSWORD)).json()
    there = (await login(client, workspace.slug, "admin", PASSWORD)).json()
    reply = await client.post("/api/v1/auth/logout", headers=bearer(here["access_token"]))
    assert reply.status_code == 204
    assert (await client.get(ME, headers=bearer(here["access_token"]))).status_code == 401
    assert (await client.post(REFRESH, json={"refresh_token": here["refresh_token"]})).status_code == 401
    assert (await client.get(ME, headers=bearer(there["access_token"]))).status_code == 200
    assert "user.signed_out" in await event_kinds(workspace)


@pytest.mark.feature("A027")
async def test_log_out_everywhere(client: httpx.AsyncClient, workspace: Workspace) -> None:
    here = (await login(client, workspace.slug, "admin", PASSWORD)).json()
    there = (await login(client, workspace.slug, "admin", PASSWORD)).json()
    reply = await client.post("/api/v1/auth/logout-all", headers=bearer(here["access_token"]))
    assert reply.status_code == 204
    for tokens in (here, there):
        assert (await client.get(ME, headers=bearer(tokens["access_token"]))).status_code == 401
        assert (await client.post(REFRESH, json={"refresh_token": tokens["refresh_token"]})).status_code == 401
    assert await count_sessions(workspace, live=True) == 0


async def test_login_ignores_an_idempotency_key(client: httpx.AsyncClient, workspace: Workspace) -> None:
    body = {"workspace": workspace.slug, "username": "admin", "password": PASSWORD}
    replies = [await client.post(LOGIN, json=body, headers={"Idempotency-Key": "same-key"}) for _ in range(2)]
    assert [reply.status_code for reply in replies] == [200, 200]
    assert replies[0].json()["refresh_token"] != replies[1].json()["refresh_token"]


async def test_login_wants_known_members_only(client: httpx.AsyncClient) -> None:
    reply = await client.post(LOGIN, json={"workspace": "x", "username": "y", "password": "z", "admin": True})
    assert reply.status_code == 422
    assert [error["field"] for error in reply.json()["errors"]] == ["admin"]
    missing = await client.post(LOGIN, json={"workspace": "x"})
    assert {error["field"] for error in missing.json()["errors"]} == {"username", "password"}


def from_address(app: FastAPI, ip: str) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(ip, 50_000))
    return httpx.AsyncClient(transport=transport, base_url="http://chot.test")


async def end_locks(resources: Resources) -> None:
    async with resources.db.transaction(NIL) as session:
        await session.execute(
            update(LoginThrottle)
            .where(LoginThrottle.locked_until.is_not(None))
            .values(locked_until=now() - timedelta(1))
        )


async def stored_hash(workspace: Workspace, set_to: str | None = None) -> str:
    async with workspace.resources.db.transaction(workspace.id) as session:
        if set_to:
            await session.execute(update(User).where(User.username == "admin").values(password_hash=set_to))
        found: str = (await session.execute(select(User.password_hash).where(User.username == "admin"))).scalar_one()
        return found
