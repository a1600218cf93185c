"""Saved filters: keeping, sharing, changing, and counting many at once."""

from typing import Any

import asyncpg
import httpx
import pytest

from app.core.settings import Settings
from tests.factories.people import Workspace
from tests.laws.guard import GUARD

API = "/api/v1"
PATH = f"{API}/filters"
ZALO = {"field": "source", "op": "eq", "value": "Zalo"}
MINE = {"field": "owner", "op": "eq", "value": "me"}


async def save(client: httpx.AsyncClient, name: str, tree: Any = None, **more: Any) -> dict[str, Any]:
    """A saved filter of the client's."""
    reply = await client.post(PATH, json={"name": name, "filter": tree, **more})
    assert reply.status_code == 201, reply.text
    made: dict[str, Any] = reply.json()
    return made


async def names(client: httpx.AsyncClient) -> list[str]:
    """The names of the saved filters that somebody sees, page by page."""
    found, cursor = list[str](), None
    while True:
        page = (await client.get(PATH, params={"limit": 1, **({"cursor": cursor} if cursor else {})})).json()
        found += [one["name"] for one in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


@pytest.mark.feature("A086")
async def test_a_filter_is_kept_changed_and_deleted(workspace: Workspace) -> None:
    made = await save(workspace.admin, "Khách Zalo", ZALO, sort="name")
    assert made["sentence"] == "Nguồn khách hàng là “Zalo”"
    assert (made["visibility"], made["mine"], made["problems"], made["sort"]) == ("private", True, [], "name")
    url = f"{PATH}/{made['id']}"
    changed = await workspace.admin.patch(url, json={"filter": MINE}, headers={"If-Match": '"1"'})
    assert changed.status_code == 200, changed.text
    assert changed.json()["name"] == "Khách Zalo"
    assert changed.json()["filter"] == MINE
    stale = await workspace.admin.patch(url, json={"name": "x"}, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    assert (await workspace.admin.delete(url, headers={"If-Match": changed.headers["etag"]})).status_code == 204
    assert (await workspace.admin.get(url)).status_code == 404


async def test_who_sees_and_changes_what(workspace: Workspace) -> None:
    """Private: oneself; shared: those people and roles; the workspace's: everybody."""
    mai, binh = await workspace.person("sale"), await workspace.person("manager")
    managers = next(
        one for one in (await workspace.admin.get(f"{API}/roles")).json()["items"] if one["key"] == "manager"
    )
    await save(workspace.admin, "Riêng")
    await save(workspace.admin, "Cho Mai", visibility="shared", users=[str(mai.id)])
    await save(workspace.admin, "Cho quản lý", visibility="shared", roles=[managers["id"]])
    everybodys = await save(workspace.admin, "Mọi người", visibility="workspace")
    assert await names(workspace.admin) == ["Cho Mai", "Cho quản lý", "Mọi người", "Riêng"]
    assert await names(mai.client) == ["Cho Mai", "Mọi người"]
    assert await names(binh.client) == ["Cho quản lý", "Mọi người"]
    url, version = f"{PATH}/{everybodys['id']}", {"If-Match": '"1"'}
    assert (await mai.client.patch(url, json={"name": "Của Mai"}, headers=version)).status_code == 403
    assert (await mai.client.post(PATH, json={"name": "Chung", "visibility": "workspace"})).status_code == 403
    assert (await binh.client.patch(url, json={"name": "Của chung"}, headers=version)).status_code == 200


async def test_what_others_see_needs_the_permission_to_share(workspace: Workspace) -> None:
    """Whoever may share takes a colleague's filter back from the workspace; whoever lost the right may only do that."""
    mai, binh = await workspace.person("manager"), await workspace.person("manager")
    for back in ({"visibility": "private"}, {"visibility": "shared", "users": [str(workspace.administrator.id)]}):
        made = await save(mai.client, f"Chung {back}", visibility="workspace")
        url = f"{PATH}/{made['id']}"
        taken = await binh.client.patch(url, json=back, headers={"If-Match": '"1"'})
        assert taken.status_code == 200, taken.text
        assert (taken.json()["visibility"], taken.json()["mine"]) == (back["visibility"], False)
        assert (await binh.client.get(url)).status_code == 404
        assert (await mai.client.get(url)).json()["visibility"] == back["visibility"]
    kept = await save(mai.client, "Của chung", visibility="workspace")
    url, version = f"{PATH}/{kept['id']}", {"If-Match": '"1"'}
    person = (await workspace.admin.get(f"{API}/users/{mai.id}")).json()
    reply = await workspace.admin.patch(
        f"{API}/users/{mai.id}",
        json={"permissions": ["customers.view"]},
        headers={"If-Match": f'"{person["version"]}"'},
    )
    assert reply.is_success, reply.text
    changes: list[dict[str, Any]] = [{"filter": ZALO}, {"name": "Khác"}, {"users": []}, {"visibility": "shared"}]
    for change in changes:
        refused = await mai.client.patch(url, json=change, headers=version)
        assert refused.status_code == 403, f"{change}: {refused.text}"
    own = await mai.client.patch(url, json={"visibility": "private", "filter": ZALO}, headers=version)
    assert (own.status_code, own.json()["filter"]) == (200, ZALO), own.text


async def test_names_are_ones_own(workspace: Workspace) -> None:
    mai = await workspace.person("sale")
    await save(workspace.admin, "Khách VIP")
    await save(mai.client, "Khách VIP")
    again = await workspace.admin.post(PATH, json={"name": " khách  vip "})
    assert (again.status_code, again.json()["code"]) == (409, "filter_name_taken")
    other = await save(workspace.admin, "Khác")
    renamed = await workspace.admin.patch(
        f"{PATH}/{other['id']}", json={"name": "KHÁCH VIP"}, headers={"If-Match": '"1"'}
    )
    assert (renamed.status_code, renamed.json()["code"]) == (409, "filter_name_taken")


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"name": "x", "filter": {"and": [{"field": "nothing", "op": "eq"}]}}, "filter.and[0].field"),
        ({"name": "x", "sort": "nothing"}, "sort"),
        ({"name": "", "filter": None}, "name"),
        ({"name": "x", "visibility": "shared", "users": ["01a201d5-4bd6-720a-ac95-3ee821c9d87d"]}, "users[0]"),
    ],
)
async def test_a_wrong_filter_is_not_kept(workspace: Workspace, body: dict[str, Any], path: str) -> None:
    reply = await workspace.admin.post(PATH, json=body)
    assert reply.status_code == 422
    assert reply.json()["errors"][0]["field"] == path


async def test_many_are_counted_in_one_statement(workspace: Workspace) -> None:
    """Each for whoever asks; a filter that names what is no more says so and hinders no other."""
    mai = await workspace.person("sale", username="mai")
    for number, more in enumerate(({"source": "Zalo"}, {"source": "Zalo", "owner": "mai"}, {})):
        body = {"name": f"Khách {number}", "phone": f"090000000{number}", **more}
        assert (await workspace.admin.post(f"{API}/customers", json=body)).status_code == 201
    zalo = await save(workspace.admin, "Zalo", ZALO, visibility="workspace")
    mine = await save(workspace.admin, "Của tôi", MINE, visibility="workspace")
    attribute = await workspace.admin.post(f"{API}/attributes", json={"name": "Hạng", "key": "hang", "type": "text"})
    lost = await save(workspace.admin, "Mất", {"field": "hang", "op": "eq", "value": "A"}, visibility="workspace")
    gone = await workspace.admin.delete(f"{API}/attributes/{attribute.json()['id']}", headers={"If-Match": '"1"'})
    assert gone.status_code in (200, 204), gone.text
    for client, expected in (
        (workspace.admin, {zalo["id"]: 2, mine["id"]: 2, lost["id"]: None}),
        (mai.client, {zalo["id"]: 1, mine["id"]: 1, lost["id"]: None}),
    ):
        with GUARD.recording() as statements:
            reply = await client.post(f"{PATH}/counts", json={})
        assert reply.status_code == 200, reply.text
        assert {one["id"]: one["count"] for one in reply.json()["counts"]} == expected
        counting = [one.statement for one in statements if one.statement.startswith("SELECT (SELECT count(*)")]
        assert len(counting) == 1, statements
    problem = next(one["problem"] for one in reply.json()["counts"] if one["id"] == lost["id"])
    assert problem["code"] == "field_unknown"
    assert (await workspace.admin.get(f"{PATH}/{lost['id']}")).json()["problems"][0]["code"] == "field_unknown"
    some = await workspace.admin.post(f"{PATH}/counts", json={"ids": [zalo["id"]], "cap": 1})
    assert some.json()["counts"] == [{"id": zalo["id"], "count": 1, "capped": True, "problem": None}]


async def test_a_costly_filter_hinders_no_other(workspace: Workspace, settings: Settings) -> None:
    """What does not answer in time says so; here, because somebody else keeps the facts that it asks for."""
    body = {"name": "Khách", "phone": "0900000000", "source": "Zalo"}
    assert (await workspace.admin.post(f"{API}/customers", json=body)).status_code == 201
    slow = await save(workspace.admin, "Có hợp đồng", {"related": "contracts"})
    zalo = await save(workspace.admin, "Zalo", ZALO)
    none = await save(workspace.admin, "Không nguồn", {"field": "source", "op": "is_empty"})
    owner = await asyncpg.connect(settings.database_url)
    async with owner.transaction():
        await owner.execute("LOCK TABLE crm.contract IN ACCESS EXCLUSIVE MODE")
        reply = await workspace.admin.post(f"{PATH}/counts", json={})
    await owner.close()
    assert reply.status_code == 200, reply.text
    found = {one["id"]: one for one in reply.json()["counts"]}
    assert {id_: one["count"] for id_, one in found.items()} == {slow["id"]: None, zalo["id"]: 1, none["id"]: 0}
    assert found[slow["id"]]["problem"]["code"] == "filter_too_costly"
    assert found[zalo["id"]]["problem"] is None


async def test_more_than_one_statement_may_hold(workspace: Workspace) -> None:
    """Filters that fit one by one, though not together."""
    name = " ".join(f"a{number}" for number in range(40))
    many = {"or": [{"field": "name", "op": "contains", "value": f"{name} {number}"} for number in range(70)]}
    made = [await save(workspace.admin, f"Nhiều {number}", many) for number in range(13)]
    reply = await workspace.admin.post(f"{PATH}/counts", json={})
    assert reply.status_code == 200, reply.text
    assert {one["id"]: one["count"] for one in reply.json()["counts"]} == {one["id"]: 0 for one in made}


async def test_a_sort_that_is_no_more_is_told(workspace: Workspace) -> None:
    attribute = await workspace.admin.post(f"{API}/attributes", json={"name": "Hạng", "key": "hang", "type": "text"})
    made = await save(workspace.admin, "Theo hạng", ZALO, sort="-attributes.hang")
    assert made["problems"] == []
    gone = await workspace.admin.delete(f"{API}/attributes/{attribute.json()['id']}", headers={"If-Match": '"1"'})
    assert gone.is_success, gone.text
    read = (await workspace.admin.get(f"{PATH}/{made['id']}")).json()
    assert [(one["field"], one["code"]) for one in read["problems"]] == [("sort", "sort_unknown")]
    assert read["sentence"] == "Nguồn khách hàng là “Zalo”"
