"""Permissions, API keys and rate limits at the door of every operation."""

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from sqlalchemy import select, update

from app.core.actor import Actor, ActorKind
from app.core.clock import now
from app.core.errors import Forbidden
from app.core.ratelimit import RateLimiter
from app.core.resources import Resources
from app.core.settings import Settings
from app.identity import tokens
from app.identity.access import Requires, actor_now
from app.identity.models import ApiKey, User
from app.identity.permissions import GRANTABLE, KEYS, PERMISSIONS, ROLES, in_order
from app.main import create_app
from tests.conftest import MakeWorkspace
from tests.factories.people import Workspace, open_client

KEYS_URL = "/api/v1/api-keys"
# Asked before anybody is known, or of interest to nobody in particular.
# The file of an export is opened by its signed, short-lived address.
OPEN = {
    "/api/v1/auth/login",
    "/api/v1/auth/refresh",
    "/api/v1/exports/{export_id}/file",
    "/health/live",
    "/health/ready",
    "/metrics",
}
SIX = {
    "customers.create": "Thêm mới khách hàng",
    "customers.edit": "Sửa khách hàng",
    "customers.delete": "Xóa khách hàng",
    "customers.purge": "Xóa hẳn khách hàng",
    "customers.merge": "Merge khách hàng",
    "settings.crm": "cài đặt CRM",
}


@dataclass(frozen=True)
class Operation:
    """One operation of the contract and what its caller needs."""

    method: str
    path: str
    permissions: tuple[str, ...]
    people_only: bool


def routes(router: object) -> Iterator[APIRoute]:
    """Every route, also where routers are nested."""
    for route in getattr(router, "routes", ()):
        if isinstance(route, APIRoute):
            yield route
        else:
            yield from routes(getattr(route, "original_router", route))


def requirement(dependant: Dependant) -> Requires | None:
    for each in dependant.dependencies:
        if isinstance(each.call, Requires):
            return each.call
        if found := requirement(each):
            return found
    return None


def operations(app: FastAPI) -> list[Operation]:
    """Every operation under /api/v1 that has a caller, from the routes themselves."""
    paths = app.openapi()["paths"]
    needs: dict[str, Requires] = {}
    for route in routes(app):
        if (found := requirement(route.dependant)) is not None:
            needs[route.name] = found
    made = []
    for path, methods in paths.items():
        for method, operation in methods.items():
            if found := needs.get(operation.get("operationId", "")):
                made.append(Operation(method.upper(), path, found.permissions, found.people_only))
    return made


async def call(client: httpx.AsyncClient, operation: Operation) -> httpx.Response:
    """Calls an operation about records that do not exist, with a body that no operation takes."""
    path = re.sub(r"\{[^}]+\}", lambda _: str(uuid4()), operation.path)
    headers = {"If-Match": '"1"', "Idempotency-Key": uuid4().hex}
    return await client.request(operation.method, path, headers=headers, json={"no_such_member": True})


def test_operations_are_found(app: FastAPI) -> None:
    found = {(each.method, each.path): each for each in operations(app)}
    assert found["GET", "/api/v1/users"].permissions == ("users.manage",)
    assert found["POST", "/api/v1/api-keys"].people_only
    assert len(found) >= 20


async def test_every_operation_names_its_caller_in_the_contract(app: FastAPI) -> None:
    document = app.openapi()
    assert document["components"]["securitySchemes"].keys() == {"bearer", "apiKey"}
    for each in operations(app):
        operation = document["paths"][each.path][each.method.lower()]
        assert operation["security"] == [{"bearer": []}, {"apiKey": []}], each
        assert {"401", "403", "429"} <= operation["responses"].keys(), each


def test_no_operation_forgets_its_caller(app: FastAPI) -> None:
    guarded = {(each.method, each.path) for each in operations(app)}
    every = {(method.upper(), path) for path, methods in app.openapi()["paths"].items() for method in methods}
    assert {path for _, path in every - guarded} == OPEN


async def test_nobody_passes_any_door(app: FastAPI, client: httpx.AsyncClient) -> None:
    for each in operations(app):
        reply = await call(client, each)
        assert reply.status_code == 401, each
        assert reply.json()["code"] == "unauthenticated", each


@pytest.mark.promise(23)
async def test_scopes_open_exactly_their_operations(app: FastAPI, workspace: Workspace) -> None:
    """A key with the scopes that an operation needs and no other passes its door; one with all the others does not."""
    keys: dict[frozenset[str], httpx.AsyncClient] = {}
    for each in operations(app):
        if each.path.endswith("/stream"):
            continue
        needs, everything = frozenset(each.permissions), frozenset(GRANTABLE)
        # Some permissions are nobody's but a person's: not even all scopes together open what needs one.
        enough = needs if needs and needs <= everything else everything
        for scopes in (enough, *(everything - {one} for one in needs)):
            if scopes not in keys:
                keys[scopes] = await workspace.key(*in_order(scopes))
            reply = await call(keys[scopes], each)
            opens = needs <= scopes and not each.people_only
            assert (reply.status_code == 403) is not opens, (scopes, each, reply.text)
            assert reply.status_code != 401, (scopes, each)
            assert reply.status_code < 500, (scopes, each, reply.text)
    for key in keys.values():
        await key.aclose()


@pytest.mark.feature("B015")
@pytest.mark.parametrize(("permission", "label"), SIX.items())
async def test_without_a_named_permission_the_system_manager_is_named(
    app: FastAPI, workspace: Workspace, permission: str, label: str
) -> None:
    nobody = Actor(tenant_id=workspace.id, kind="user", id=uuid4(), name="x", permissions=KEYS - {permission})
    with pytest.raises(Forbidden) as refused:
        nobody.require(permission)
    assert label in refused.value.message("vi")
    person = await workspace.person("sale", permissions=in_order(KEYS - {permission, "roles.manage"}))
    for each in (each for each in operations(app) if permission in each.permissions):
        reply = await call(person.client, each)
        assert reply.status_code == 403, each
        problem = reply.json()
        assert problem["code"] == "forbidden"
        assert problem["permission"] == permission
        assert label in problem["detail"]
        assert "Vui lòng liên hệ quản trị hệ thống" in problem["detail"]
        assert (await call(workspace.admin, each)).status_code not in (401, 403), each
    english = next(each.en for each in PERMISSIONS if each.key == permission)
    assert english in refused.value.message("en")


@pytest.mark.feature("B015")
async def test_the_six_permissions_are_listed(workspace: Workspace) -> None:
    listed = {each["key"]: each for each in (await workspace.admin.get("/api/v1/permissions")).json()["items"]}
    assert {key: listed[key]["label"] for key in SIX} == SIX
    assert listed.keys() == KEYS
    english = await workspace.admin.get("/api/v1/permissions", headers={"Accept-Language": "en"})
    assert {each["key"]: each["label"] for each in english.json()["items"]}["customers.purge"] == (
        "Delete customers for good"
    )


def test_a_permission_that_does_not_exist_cannot_be_required() -> None:
    with pytest.raises(ValueError, match="no such permission"):
        Requires("customers.veiw")


@pytest.mark.promise(23)
@pytest.mark.feature("A109")
async def test_a_key_is_shown_once_and_only_its_hash_is_kept(client: httpx.AsyncClient, workspace: Workspace) -> None:
    made = await workspace.admin.post(KEYS_URL, json={"name": "Tổng đài", "scopes": ["customers.view"]})
    assert made.status_code == 201
    key = made.json()["key"]
    assert re.fullmatch(rf"chot_{workspace.id.hex}_[0-9a-f]{{32}}_[A-Za-z0-9_-]{{43}}", key)
    shown = tokens.read_api_key(key).secret
    for path in (KEYS_URL, made.headers["location"]):
        reply = await workspace.admin.get(path)
        assert reply.status_code == 200
        assert shown not in reply.text
        assert '"key"' not in reply.text
    async with workspace.resources.db.transaction(workspace.id) as session:
        stored = (await session.execute(select(ApiKey.secret_hash))).scalar_one()
        assert len(stored) == 32
        every = select(*ApiKey.__table__.columns).where(ApiKey.tenant_id == workspace.id)
        row = (await session.execute(every)).one()
        assert shown not in str(row)
        assert shown.encode() not in stored
    assert (await client.get("/api/v1/settings", headers={"X-API-Key": key})).status_code == 200
    wrong = key[:-1] + ("A" if key[-1] != "A" else "B")
    assert (await client.get("/api/v1/settings", headers={"X-API-Key": wrong})).status_code == 401


@pytest.mark.promise(23)
async def test_a_revoked_key_is_refused_at_once_everywhere(
    app: FastAPI, settings: Settings, workspace: Workspace
) -> None:
    made = (await workspace.admin.post(KEYS_URL, json={"name": "x", "scopes": ["customers.view"]})).json()
    other = create_app(settings)
    async with other.router.lifespan_context(other):
        async with (
            open_client(app, {"X-API-Key": made["key"]}) as here,
            open_client(other, {"X-API-Key": made["key"]}) as there,
        ):
            for client in (here, there):
                assert (await client.get("/api/v1/settings")).status_code == 200
            path = f"{KEYS_URL}/{made['id']}"
            assert (await workspace.admin.delete(path)).status_code == 428
            assert (await workspace.admin.delete(path, headers={"If-Match": '"7"'})).status_code == 412
            revoked = await workspace.admin.delete(path, headers={"If-Match": f'"{made["version"]}"'})
            assert revoked.status_code == 204
            for client in (here, there):
                assert (await client.get("/api/v1/settings")).status_code == 401
    again = await workspace.admin.delete(path, headers={"If-Match": '"2"'})
    assert (again.status_code, again.json()["code"]) == (409, "api_key_revoked")
    listed = (await workspace.admin.get(KEYS_URL, params={"count": "exact"})).json()
    assert listed["count"] == 1
    assert listed["items"][0]["revoked_at"] is not None


async def test_an_expired_key_is_refused(workspace: Workspace) -> None:
    async with await workspace.key("customers.view", expires_at=(now() + timedelta(hours=1)).isoformat()) as key:
        assert (await key.get("/api/v1/settings")).status_code == 200
        async with workspace.resources.db.transaction(workspace.id) as session:
            await session.execute(update(ApiKey).values(expires_at=now() - timedelta(seconds=1)))
        assert (await key.get("/api/v1/settings")).status_code == 401
    past = {"name": "x", "scopes": ["customers.view"], "expires_at": "2020-01-01T00:00:00Z"}
    reply = await workspace.admin.post(KEYS_URL, json=past)
    assert (reply.status_code, reply.json()["errors"][0]["code"]) == (422, "expires_in_past")


@pytest.mark.parametrize("expiry", ["9999-12-31T23:59:59-12:00", "2200-01-01T00:00:01Z", "0001-01-01T00:00:00+14:00"])
async def test_an_expiry_that_no_driver_can_send_is_refused(workspace: Workspace, expiry: str) -> None:
    reply = await workspace.admin.post(KEYS_URL, json={"name": "x", "scopes": ["customers.view"], "expires_at": expiry})
    assert (reply.status_code, reply.json()["errors"][0]["field"]) == (422, "expires_at")


async def test_what_cannot_be_granted_is_named_in_the_callers_language(workspace: Workspace) -> None:
    manager, body = await workspace.person("manager"), {"name": "x", "scopes": ["customers.purge"]}
    (purge,) = [one for one in PERMISSIONS if one.key == "customers.purge"]
    for tongue, label in (("vi", purge.vi), ("en", purge.en)):
        reply = await manager.client.post(KEYS_URL, json=body, headers={"Accept-Language": tongue})
        assert reply.json()["detail"].endswith(f": {label}")


async def test_a_key_never_holds_more_than_its_maker(workspace: Workspace) -> None:
    manager = await workspace.person("manager")
    over = await manager.client.post(KEYS_URL, json={"name": "x", "scopes": ["customers.purge"]})
    assert (over.status_code, over.json()["code"]) == (403, "permission_not_grantable")
    assert over.json()["permissions"] == ["customers.purge"]
    for scope in ("roles.manage", "api_keys.manage"):
        never = await workspace.admin.post(KEYS_URL, json={"name": "x", "scopes": [scope]})
        assert (never.status_code, never.json()["errors"][0]["code"]) == (422, "scope_not_grantable")
    for bad in ([], ["customers.fly"], ["customers.view"] * 51):
        assert (await workspace.admin.post(KEYS_URL, json={"name": "x", "scopes": bad})).status_code == 422

    made = (await manager.client.post(KEYS_URL, json={"name": "x", "scopes": ["users.manage"]})).json()
    async with open_client(workspace.app, {"X-API-Key": made["key"]}) as key:
        assert (await key.get("/api/v1/users")).status_code == 200
        await set_user(workspace, manager.username, permissions=["customers.view"])
        assert (await key.get("/api/v1/users")).status_code == 403, "what the maker loses, the key loses"
        await workspace.deactivate(manager)
        assert (await key.get("/api/v1/settings")).status_code == 401


async def test_use_of_a_key_is_noted_once_a_minute(workspace: Workspace) -> None:
    async with await workspace.key("customers.view") as key:
        assert await last_used(workspace) is None
        assert (await key.get("/api/v1/settings")).status_code == 200
        first = await last_used(workspace)
        assert first is not None
        assert (await key.get("/api/v1/settings")).status_code == 200
        assert await last_used(workspace) == first
        async with workspace.resources.db.transaction(workspace.id) as session:
            await session.execute(update(ApiKey).values(last_used_at=first - timedelta(minutes=2)))
        await asyncio.gather(*(key.get("/api/v1/settings") for _ in range(5)))
        again = await last_used(workspace)
        assert again is not None
        assert again > first


async def test_a_person_is_asked_for_what_concerns_a_person(workspace: Workspace) -> None:
    async with await workspace.key(*in_order(GRANTABLE)) as key:
        for method, path in (("GET", "/api/v1/me"), ("POST", "/api/v1/auth/logout"), ("GET", KEYS_URL)):
            reply = await key.request(method, path)
            assert (reply.status_code, reply.json()["code"]) == (403, "user_only"), path


async def test_a_deactivated_user_is_nobody_at_once(workspace: Workspace) -> None:
    person = await workspace.person()
    assert (await person.client.get("/api/v1/me")).status_code == 200
    # Written directly, so that the session goes on: the account alone decides.
    await set_user(workspace, person.username, active=False)
    assert (await person.client.get("/api/v1/me")).status_code == 401
    await set_user(workspace, person.username, active=True)
    assert (await person.client.get("/api/v1/me")).status_code == 200
    await workspace.deactivate(person)
    assert (await person.client.get("/api/v1/me")).status_code == 401


@pytest.mark.promise(6)
async def test_credentials_open_no_other_workspace(
    app: FastAPI, new_workspace: MakeWorkspace, workspace: Workspace
) -> None:
    other = await new_workspace()
    person = await workspace.person()
    made = (await workspace.admin.post(KEYS_URL, json={"name": "x", "scopes": ["users.manage"]})).json()
    key = tokens.read_api_key(made["key"])
    foreign = tokens.Opaque(other.id, key.id, key.secret)
    async with open_client(app, {"X-API-Key": foreign.api_key}) as client:
        assert (await client.get("/api/v1/settings")).status_code == 401
    for path in (f"/api/v1/users/{person.id}", f"{KEYS_URL}/{made['id']}"):
        theirs, nobodys = await other.admin.get(path), await other.admin.get(re.sub(r"[^/]+$", str(uuid4()), path))
        assert theirs.status_code == nobodys.status_code == 404
        assert {**theirs.json(), "request_id": ""} == {**nobodys.json(), "request_id": ""}
    listed = (await other.admin.get("/api/v1/users")).json()["items"]
    assert [each["username"] for each in listed] == ["admin"]
    await other.aclose()


async def test_work_in_the_background_has_the_rights_of_the_moment(workspace: Workspace) -> None:
    person = await workspace.person("sale")
    made = (await workspace.admin.post(KEYS_URL, json={"name": "Máy", "scopes": ["customers.view"]})).json()
    key_id = UUID(made["id"])

    async def now_may(kind: ActorKind, actor_id: UUID) -> frozenset[str] | None:
        async with workspace.resources.db.transaction(workspace.id) as session:
            actor = await actor_now(session, kind, actor_id)
        return None if actor is None else actor.permissions

    assert await now_may("user", person.id) == ROLES["sale"][1]
    assert await now_may("api_key", key_id) == frozenset({"customers.view"})
    assert await now_may("user", uuid4()) is None
    assert await now_may("system", person.id) is None
    await workspace.deactivate(person)
    assert await now_may("user", person.id) is None
    await workspace.admin.delete(f"{KEYS_URL}/{key_id}", headers={"If-Match": '"1"'})
    assert await now_may("api_key", key_id) is None


def test_default_permissions_of_the_roles() -> None:
    """A014 and A015: managers manage; sales work with customers and see only their own."""
    sale, manager = ROLES["sale"][1], ROLES["manager"][1]
    assert ROLES["administrator"][1] == KEYS
    assert sale < manager < KEYS
    assert not sale & {"customers.view_all", "customers.delete", "customers.import", "users.manage"}
    assert KEYS - manager == {"roles.manage", "customers.purge"}


async def test_replies_tell_what_is_left_and_then_refuse(
    app: FastAPI, resources: Resources, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources.settings, "rate_limit_per_minute", 5)
    monkeypatch.setattr(resources.settings, "rate_limit_workspace_per_minute", 8)
    left = []
    for _ in range(5):
        reply = await workspace.admin.get("/api/v1/settings")
        assert reply.status_code == 200
        assert reply.headers["ratelimit-policy"] == '"user";q=5;w=60, "workspace";q=8;w=60'
        found = re.fullmatch(r'"user";r=(\d+);t=(\d+), "workspace";r=(\d+);t=(\d+)', reply.headers["ratelimit"])
        assert found
        left.append((int(found[1]), int(found[3])))
    assert left == [(4, 7), (3, 6), (2, 5), (1, 4), (0, 3)]
    refused = await workspace.admin.get("/api/v1/settings")
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert refused.headers["ratelimit"].startswith('"user";r=0;t=')
    assert 1 <= int(refused.headers["retry-after"]) <= 72

    person = await workspace.person()
    for _ in range(3):
        assert (await person.client.get("/api/v1/settings")).status_code == 200
    full = await person.client.get("/api/v1/settings")
    assert (full.status_code, full.json()["limit"]) == (429, "workspace")
    assert isinstance(resources.limits, RateLimiter)


async def last_used(workspace: Workspace) -> datetime | None:
    async with workspace.resources.db.transaction(workspace.id) as session:
        found: datetime | None = (await session.execute(select(ApiKey.last_used_at))).scalar_one()
        return found


async def set_user(workspace: Workspace, username: str, **values: object) -> None:
    async with workspace.resources.db.transaction(workspace.id) as session:
        await session.execute(update(User).where(User.username == username).values(**values))
