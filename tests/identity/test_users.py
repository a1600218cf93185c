"""Accounts, roles, one's own profile and password, system parameters."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import select

from app.core.events import Event
from app.identity.parameters import parameters
from app.identity.permissions import KEYS, ROLES, in_order
from tests.factories.people import PASSWORD, Person, Workspace

USERS, ROLES_URL, ME, SETTINGS = "/api/v1/users", "/api/v1/roles", "/api/v1/me", "/api/v1/settings"
NEW_PASSWORD = "trà đá vỉa hè 88"


def new(username: str, **fields: Any) -> dict[str, Any]:
    return {"username": username, "password": PASSWORD, "full_name": "Trần Thị Lan", **fields}


async def patch(client: httpx.AsyncClient, user_id: object, version: int = 1, **changes: Any) -> httpx.Response:
    return await client.patch(f"{USERS}/{user_id}", json=changes, headers={"If-Match": f'"{version}"'})


async def login(client: httpx.AsyncClient, workspace: Workspace, username: str, password: str) -> int:
    body = {"workspace": workspace.slug, "username": username, "password": password}
    return (await client.post("/api/v1/auth/login", json=body)).status_code


async def events(workspace: Workspace, kind: str) -> list[Event]:
    async with workspace.resources.db.transaction(workspace.id) as session:
        return list(await session.scalars(select(Event).where(Event.kind == kind).order_by(Event.id)))


@pytest.mark.feature("A020", "A024")
async def test_a_manager_adds_a_sale_who_can_sign_in(client: httpx.AsyncClient, workspace: Workspace) -> None:
    manager = await workspace.person("manager")
    reply = await manager.client.post(
        USERS, json=new(" Lan.Tran ", email="LAN@congty.vn", phone="0912 345 678", full_name="  Trần   Thị Lan ")
    )
    assert reply.status_code == 201
    made = reply.json()
    assert reply.headers["etag"] == '"1"'
    assert reply.headers["location"] == f"{USERS}/{made['id']}"
    assert made["username"] == "lan.tran"
    assert made["full_name"] == "Trần Thị Lan"
    assert made["email"] == "lan@congty.vn"
    assert made["phone"] == "+84912345678"
    assert made["role"] == "sale"
    assert made["permissions"] == in_order(ROLES["sale"][1])
    assert made["own_permissions"] is None
    assert made["active"] is True
    assert made["version"] == 1
    assert "password" not in reply.text
    assert (await manager.client.get(reply.headers["location"])).json() == made
    assert await login(client, workspace, "lan.tran", PASSWORD) == 200
    (event,) = await events(workspace, "user.created")
    assert event.actor_id == manager.id
    assert event.changes["username"] == [None, "lan.tran"]
    assert PASSWORD not in str(event.changes)


@pytest.mark.feature("A020")
@pytest.mark.parametrize(
    ("fields", "field", "code"),
    [
        ({"username": "có dấu"}, "username", "username_invalid"),
        ({"username": "-lan"}, "username", "username_invalid"),
        ({"password": "ngắn"}, "password", "password_too_short"),
        ({"password": "x1" * 65}, "password", "password_too_long"),
        ({"password": "ơ" * 60 + "x1y2z3w4v5"}, "password", "password_too_long"),
        ({"password": "Matkhau@123456"}, "password", "password_too_common"),
        ({"password": "lan.tran.hcm", "username": "lan.tran.hcm"}, "password", "password_too_common"),
        ({"password": "LAN.TRAN!2026", "username": "lan.tran"}, "password", "password_too_common"),
        ({"password": "1111111111"}, "password", "password_too_common"),
        ({"email": "lan@"}, "email", "email_invalid"),
        ({"phone": "12"}, "phone", "phone_invalid"),
        ({"full_name": " \u200b "}, "full_name", "missing"),
        ({"role": "god"}, "role", "literal_error"),
        ({"permissions": ["customers.fly"]}, "permissions", "permission_unknown"),
        ({"is_admin": True}, "is_admin", "extra_forbidden"),
    ],
)
async def test_bad_values_are_named(workspace: Workspace, fields: dict[str, Any], field: str, code: str) -> None:
    reply = await workspace.admin.post(USERS, json=new("lan") | fields)
    assert reply.status_code == 422
    assert [(error["field"], error["code"]) for error in reply.json()["errors"]] == [(field, code)]


async def test_errors_are_said_in_the_callers_language(workspace: Workspace) -> None:
    said = {}
    for tongue in ("vi", "en"):
        reply = await workspace.admin.post(USERS, json=new("lan", phone="12"), headers={"Accept-Language": tongue})
        said[tongue] = reply.json()["errors"][0]["message"]
    assert said == {"vi": "Số điện thoại không hợp lệ", "en": "This is not a phone number"}


async def test_a_user_name_belongs_to_one_user(workspace: Workspace) -> None:
    replies = await asyncio.gather(*(workspace.admin.post(USERS, json=new("lan")) for _ in range(5)))
    assert sorted(reply.status_code for reply in replies) == [201, 409, 409, 409, 409]
    assert {reply.json()["code"] for reply in replies if reply.status_code == 409} == {"username_taken"}


@pytest.mark.feature("A019", "A022")
async def test_list_of_sales_is_found_filtered_and_paged(workspace: Workspace) -> None:
    for n, name in enumerate(["Nguyễn Văn Đức", "Đỗ Thị Hòa", "Lê Đức Anh"]):
        await workspace.person("sale", username=f"sale-{n}", full_name=name)
    resting = await workspace.person("sale", username="sale-9", full_name="Phạm Nghỉ")
    await workspace.person("manager", username="boss")
    assert (await patch(workspace.admin, resting.id, active=False)).status_code == 200

    async def names(**query: Any) -> list[str]:
        reply = await workspace.admin.get(USERS, params=query)
        assert reply.status_code == 200, reply.text
        return [each["username"] for each in reply.json()["items"]]

    assert await names() == ["admin", "boss", "sale-0", "sale-1", "sale-2", "sale-9"]
    assert await names(role="sale", active=True) == ["sale-0", "sale-1", "sale-2"]
    assert await names(active=False) == ["sale-9"]
    assert await names(q="duc") == ["sale-0", "sale-2"]
    assert await names(q="hoà") == ["sale-1"]
    assert await names(q="SALE-1") == ["sale-1"]
    assert await names(q="%") == []
    assert await names(q="_") == []

    query: dict[str, Any] = {"role": "sale", "limit": 3, "count": "exact"}
    first = (await workspace.admin.get(USERS, params=query)).json()
    assert [each["username"] for each in first["items"]] == ["sale-0", "sale-1", "sale-2"]
    assert first["count"] == 4
    second = (await workspace.admin.get(USERS, params=query | {"cursor": first["next_cursor"]})).json()
    assert [each["username"] for each in second["items"]] == ["sale-9"]
    assert second["next_cursor"] is None
    other = await workspace.admin.get(USERS, params={"role": "manager", "cursor": first["next_cursor"]})
    assert (other.status_code, other.json()["code"]) == (422, "cursor_invalid")


@pytest.mark.feature("A021", "A022")
async def test_changing_an_account(workspace: Workspace) -> None:
    person = await workspace.person("sale", username="lan", full_name="Lan")
    path = f"{USERS}/{person.id}"
    assert (await workspace.admin.patch(path, json={"email": None})).status_code == 428
    changed = await patch(workspace.admin, person.id, full_name="Lan Anh", phone="0987654321")
    assert changed.status_code == 200
    assert changed.headers["etag"] == '"2"'
    assert (changed.json()["full_name"], changed.json()["phone"]) == ("Lan Anh", "+84987654321")
    assert (await patch(workspace.admin, person.id, 1, full_name="X")).status_code == 412
    cleared = await patch(workspace.admin, person.id, 2, phone=None)
    assert (cleared.json()["full_name"], cleared.json()["phone"]) == ("Lan Anh", None)
    assert [each["username"] for each in (await workspace.admin.get(USERS, params={"q": "lan anh"})).json()["items"]]
    for nothing in ({}, {"full_name": "Lan Anh"}):
        same = await patch(workspace.admin, person.id, 3, **nothing)
        assert (same.status_code, same.json()["version"]) == (200, 3), "what changes nothing makes no version"
    for bad in ({"username": "x"}, {"full_name": None}, {"role": None}, {"active": None}):
        assert (await patch(workspace.admin, person.id, 3, **bad)).status_code == 422, bad
    assert (await patch(workspace.admin, uuid4(), 1, full_name="X")).status_code == 404
    first, second = await events(workspace, "user.changed")
    assert first.changes == {"full_name": ["Lan", "Lan Anh"], "phone": [None, "+84987654321"]}
    assert second.changes == {"phone": ["+84987654321", None]}


@pytest.mark.promise(11)
async def test_of_changes_at_once_one_wins(workspace: Workspace) -> None:
    person = await workspace.person()
    replies = await asyncio.gather(
        *(patch(workspace.admin, person.id, 1, full_name=f"Tên {n}") for n in range(10))
    )  # fmt: skip
    assert sorted(reply.status_code for reply in replies) == [200] + [412] * 9


@pytest.mark.feature("A022")
async def test_deactivating_ends_access_at_once(client: httpx.AsyncClient, workspace: Workspace) -> None:
    person = await workspace.person()
    assert (await patch(workspace.admin, person.id, active=False)).status_code == 200
    assert (await person.client.get(ME)).status_code == 401
    refresh = await client.post("/api/v1/auth/refresh", json={"refresh_token": person.refresh_token})
    assert refresh.status_code == 401
    assert await login(client, workspace, person.username, PASSWORD) == 401
    assert (await patch(workspace.admin, person.id, 2, active=True)).status_code == 200
    assert (await person.client.get(ME)).status_code == 401, "old sessions stay ended"
    assert await login(client, workspace, person.username, PASSWORD) == 200


@pytest.mark.feature("A021")
async def test_a_manager_sets_a_sales_password(client: httpx.AsyncClient, workspace: Workspace) -> None:
    manager, person = await workspace.person("manager"), await workspace.person()
    reply = await patch(manager.client, person.id, password=NEW_PASSWORD)
    assert reply.status_code == 200
    assert (await person.client.get(ME)).status_code == 401
    assert await login(client, workspace, person.username, PASSWORD) == 401
    assert await login(client, workspace, person.username, NEW_PASSWORD) == 200
    (event,) = await events(workspace, "user.changed")
    assert event.data == {"password_set": True}
    assert NEW_PASSWORD not in str(event.changes)


@pytest.mark.feature("A014")
async def test_managers_manage_sales_and_nobody_above(workspace: Workspace) -> None:
    manager, sale = await workspace.person("manager"), await workspace.person("sale")
    other = await workspace.person("manager")
    strong = await workspace.person("sale", permissions=["customers.view", "customers.purge"])
    admin_id = workspace.administrator.id
    for role in ("manager", "administrator"):
        reply = await manager.client.post(USERS, json=new("mai", role=role))
        assert (reply.status_code, reply.json()["permission"]) == (403, "roles.manage")
        assert (await patch(manager.client, sale.id, role=role)).status_code == 403
    for user_id in (other.id, admin_id, strong.id, manager.id):
        for change in ({"password": NEW_PASSWORD}, {"active": False}, {"full_name": "X"}):
            assert (await patch(manager.client, user_id, **change)).status_code == 403, (user_id, change)
    over = await patch(manager.client, sale.id, permissions=["customers.view", "customers.purge"])
    assert (over.status_code, over.json()["code"]) == (403, "permission_not_grantable")
    assert (await patch(manager.client, sale.id, permissions=["customers.view_all"])).status_code == 200
    assert (await patch(manager.client, sale.id, 2, active=False)).status_code == 200
    for path in (USERS, f"{USERS}/{sale.id}", ROLES_URL):
        someone = await workspace.person("sale")
        assert (await someone.client.get(path)).status_code == 403


async def test_own_permissions_stand_in_for_the_roles(workspace: Workspace) -> None:
    person = await workspace.person("sale")
    assert (await person.client.get(USERS)).status_code == 403
    given = await patch(workspace.admin, person.id, permissions=["users.manage", "users.manage"])
    assert given.json()["permissions"] == given.json()["own_permissions"] == ["users.manage"]
    assert (await person.client.get(USERS)).status_code == 200
    back = await patch(workspace.admin, person.id, 2, permissions=None)
    assert back.json()["own_permissions"] is None
    assert (await person.client.get(USERS)).status_code == 403


async def test_the_last_administrator_stays(workspace: Workspace) -> None:
    admin_id = workspace.administrator.id
    for change in ({"active": False}, {"role": "sale"}, {"role": "manager", "active": False}):
        reply = await patch(workspace.admin, admin_id, **change)
        assert (reply.status_code, reply.json()["code"]) == (409, "last_administrator")
    limited = await patch(workspace.admin, admin_id, permissions=["customers.view"])
    assert (limited.status_code, limited.json()["errors"][0]["code"]) == (422, "permissions_fixed")
    second = await workspace.person("administrator")
    assert (await patch(workspace.admin, second.id, active=False)).status_code == 200
    assert (await patch(workspace.admin, admin_id, active=False)).status_code == 409, "a resting one does not count"


async def test_two_administrators_cannot_remove_each_other_at_once(workspace: Workspace) -> None:
    first, second = workspace.administrator, await workspace.person("administrator")

    async def demote(by: Person, whom: Person) -> int:
        return (await patch(by.client, whom.id, role="sale")).status_code

    statuses = await asyncio.gather(demote(first, second), demote(second, first))
    assert sorted(statuses) in ([200, 403], [200, 409])
    alive = [each for each in (first, second) if (await each.client.get(ROLES_URL)).status_code == 200]
    assert len(alive) == 1


@pytest.mark.feature("A014")
async def test_roles_are_listed_and_changed(workspace: Workspace) -> None:
    roles = (await workspace.admin.get(ROLES_URL)).json()["items"]
    assert [(role["key"], frozenset(role["permissions"])) for role in roles] == [
        (key, permissions) for key, (_, permissions) in ROLES.items()
    ]
    administrator, manager, sale = roles
    person = await workspace.person("sale")
    path, body = f"{ROLES_URL}/{sale['id']}", {"permissions": ["users.manage", "customers.view"]}
    assert (await workspace.admin.patch(path, json=body)).status_code == 428
    changed = await workspace.admin.patch(path, json=body, headers={"If-Match": '"1"'})
    assert changed.status_code == 200
    assert changed.json()["permissions"] == ["customers.view", "users.manage"]
    assert (changed.json()["version"], changed.headers["etag"]) == (2, '"2"')
    assert (await person.client.get(USERS)).status_code == 200, "with the next request"
    assert (await workspace.admin.patch(path, json=body, headers={"If-Match": '"1"'})).status_code == 412
    (event,) = await events(workspace, "role.changed")
    assert event.changes["permissions"] == [sale["permissions"], ["customers.view", "users.manage"]]

    boss = await workspace.person("manager")
    refused = await boss.client.patch(path, json=body, headers={"If-Match": '"2"'})
    assert (refused.status_code, refused.json()["permission"]) == (403, "roles.manage")
    fixed = await workspace.admin.patch(
        f"{ROLES_URL}/{administrator['id']}", json={"permissions": []}, headers={"If-Match": '"1"'}
    )
    assert (fixed.status_code, fixed.json()["code"]) == (409, "role_fixed")
    renamed = await workspace.admin.patch(
        f"{ROLES_URL}/{manager['id']}", json={"name": "Trưởng nhóm"}, headers={"If-Match": '"1"'}
    )
    assert renamed.json()["name"] == "Trưởng nhóm"
    assert (await workspace.admin.get(f"{ROLES_URL}/{uuid4()}")).status_code == 404


async def test_nobody_grants_what_they_do_not_have(workspace: Workspace) -> None:
    """Somebody who may manage roles, but not everything else."""
    person = await workspace.person("manager", permissions=in_order(KEYS - {"customers.purge"}))
    roles = {role["key"]: role for role in (await person.client.get(ROLES_URL)).json()["items"]}
    reply = await person.client.patch(
        f"{ROLES_URL}/{roles['sale']['id']}", json={"permissions": ["customers.purge"]}, headers={"If-Match": '"1"'}
    )
    assert (reply.status_code, reply.json()["code"]) == (403, "permission_not_grantable")
    above = await person.client.post(USERS, json=new("mai", role="administrator"))
    assert (above.status_code, above.json()["code"]) == (403, "permission_not_grantable")


@pytest.mark.feature("A025")
async def test_people_see_and_change_their_own_profile(workspace: Workspace) -> None:
    person = await workspace.person("sale", full_name="Lan")
    me = await person.client.get(ME)
    assert me.headers["etag"] == '"1"'
    assert me.json()["workspace"] == {
        "id": str(workspace.id), "slug": workspace.slug, "name": "Công ty Thử", "timezone": "Asia/Ho_Chi_Minh",
    }  # fmt: skip
    assert (await person.client.patch(ME, json={"full_name": "X"})).status_code == 428
    changed = await person.client.patch(
        ME, json={"full_name": "Lan Anh", "email": "lan@congty.vn"}, headers={"If-Match": '"1"'}
    )
    assert changed.status_code == 200
    assert (changed.json()["full_name"], changed.json()["email"], changed.json()["version"]) == (
        "Lan Anh", "lan@congty.vn", 2,
    )  # fmt: skip
    for body in ({"role": "administrator"}, {"permissions": ["users.manage"]}, {"active": True}, {"username": "x"}):
        assert (await person.client.patch(ME, json=body, headers={"If-Match": '"2"'})).status_code == 422, body
    (event,) = await events(workspace, "user.changed")
    assert (event.actor_id, event.actor_name) == (person.id, "Lan")


@pytest.mark.feature("A026")
async def test_people_change_their_password(client: httpx.AsyncClient, workspace: Workspace) -> None:
    person = await workspace.person()
    body = {"workspace": workspace.slug, "username": person.username, "password": PASSWORD}
    elsewhere = (await client.post("/api/v1/auth/login", json=body)).json()["access_token"]
    reply = await person.client.post(
        f"{ME}/password", json={"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    )
    assert reply.status_code == 204
    assert (await person.client.get(ME)).status_code == 200, "this session goes on"
    assert (await client.get(ME, headers={"Authorization": f"Bearer {elsewhere}"})).status_code == 401
    assert await login(client, workspace, person.username, PASSWORD) == 401
    assert await login(client, workspace, person.username, NEW_PASSWORD) == 200
    assert len(await events(workspace, "user.password_changed")) == 1


@pytest.mark.feature("A026")
async def test_a_password_is_not_changed_for_nothing(workspace: Workspace) -> None:
    person = await workspace.person()

    async def refused(current: str, chosen: str) -> tuple[int, str]:
        body = {"current_password": current, "new_password": chosen}
        reply = await person.client.post(f"{ME}/password", json=body)
        problem = reply.json()
        return reply.status_code, problem["errors"][0]["code"] if problem["errors"] else problem["code"]

    assert await refused(PASSWORD, PASSWORD) == (422, "password_unchanged")
    assert await refused(PASSWORD, "short") == (422, "password_too_short")
    for _ in range(5):
        assert await refused("not mine at all", NEW_PASSWORD) == (422, "password_wrong")
    assert await refused(PASSWORD, NEW_PASSWORD) == (429, "login_throttled"), "a stolen session guesses five times"
    assert (await person.client.get(ME)).status_code == 200


@pytest.mark.feature("A106")
async def test_system_parameters(workspace: Workspace) -> None:
    person = await workspace.person("sale")
    read = await person.client.get(SETTINGS)
    assert read.status_code == 200
    assert read.json()["group_description_required"] is False
    assert read.headers["etag"] == '"1"'
    change = {"group_description_required": True}
    refused = await person.client.patch(SETTINGS, json=change, headers={"If-Match": '"1"'})
    assert (refused.status_code, refused.json()["permission"]) == (403, "settings.crm")
    assert (await workspace.admin.patch(SETTINGS, json=change)).status_code == 428
    changed = await workspace.admin.patch(SETTINGS, json=change, headers={"If-Match": '"1"'})
    assert changed.status_code == 200
    assert (changed.json()["group_description_required"], changed.json()["version"]) == (True, 2)
    assert (await workspace.admin.patch(SETTINGS, json=change, headers={"If-Match": '"1"'})).status_code == 412
    same = await workspace.admin.patch(SETTINGS, json=change, headers={"If-Match": '"2"'})
    assert (same.status_code, same.json()["version"]) == (200, 2)
    for wrong in ({"no_such": 1}, {"trash_retention_days": 3651}, {"trash_retention_days": None}):
        bad = await workspace.admin.patch(SETTINGS, json=wrong, headers={"If-Match": '"2"'})
        assert [error["field"] for error in bad.json()["errors"]] == list(wrong)
    async with workspace.resources.db.transaction(workspace.id) as session:
        assert (await parameters(session)).group_description_required is True
    (event,) = await events(workspace, "workspace_setting.changed")
    assert event.changes == {"group_description_required": [False, True]}


@pytest.mark.promise(5)
async def test_a_repeated_creation_has_one_effect(workspace: Workspace) -> None:
    header = {"Idempotency-Key": uuid4().hex}
    replies = [await workspace.admin.post(USERS, json=new("lan"), headers=header) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [201, 201, 201]
    assert len({reply.json()["id"] for reply in replies}) == 1
    other = await workspace.admin.post(USERS, json=new("mai"), headers=header)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("body", [b"{", b'{"username": "a\\u0000b"}', b"\xff\xfe", b'{"username": 1e999}', b"[" * 500])
async def test_a_body_that_is_no_good_json_is_named(workspace: Workspace, body: bytes) -> None:
    reply = await workspace.admin.post(USERS, content=body, headers={"Content-Type": "application/json"})
    assert reply.status_code == 422
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["errors"]
