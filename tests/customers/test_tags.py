"""Tags: the list, and whom they are on."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import func, select

from app.customers import tags
from app.customers.models import Customer, TagMember
from tests.customers.test_customers import PATH as CUSTOMERS
from tests.customers.test_customers import add
from tests.customers.test_groups import ended
from tests.factories.people import Workspace
from workers.main import WorkerProcess

PATH = "/api/v1/tags"


async def tag(client: httpx.AsyncClient, name: str = "Quan tâm giá", **fields: Any) -> dict[str, Any]:
    """A tag added over HTTP."""
    reply = await client.post(PATH, json={"name": name, **fields})
    assert reply.status_code == 201, reply.text
    body: dict[str, Any] = reply.json()
    return body


async def names_on(client: httpx.AsyncClient, customer_id: str) -> list[str]:
    """The names of a customer's tags."""
    return [one["name"] for one in (await client.get(f"{CUSTOMERS}/{customer_id}")).json()["tags"]]


async def edit(client: httpx.AsyncClient, customer: dict[str, Any], **fields: Any) -> httpx.Response:
    """A change of a customer as it is now."""
    path = f"{CUSTOMERS}/{customer['id']}"
    etag = (await client.get(path)).headers["etag"]
    return await client.patch(path, json=fields, headers={"If-Match": etag})


async def test_a_tag_lives_and_dies(workspace: Workspace) -> None:
    reply = await workspace.admin.post(PATH, json={"name": " Quan  tâm giá ", "color": "#16a34a"})
    made, one = reply.json(), reply.headers["location"]
    assert (reply.status_code, made["name"], made["color"], made["size"]) == (201, "Quan tâm giá", "#16a34a", 0)
    assert (await workspace.admin.get(one)).json() == made
    assert (await tag(workspace.admin, "Khác"))["color"] in tags.COLORS
    again = await workspace.admin.post(PATH, json={"name": "QUAN TÂM GIÁ"})
    assert (again.status_code, again.json()["code"]) == (409, "name_taken")
    changed = await workspace.admin.patch(one, json={"color": "#dc2626"}, headers={"If-Match": '"1"'})
    assert (changed.json()["name"], changed.json()["color"]) == ("Quan tâm giá", "#dc2626")
    taken = await workspace.admin.patch(one, json={"name": "khác"}, headers={"If-Match": '"2"'})
    assert (taken.status_code, taken.json()["code"]) == (409, "name_taken")
    for body in ({"name": ""}, {"name": "x", "color": "red"}, {"name": "x" * 101}, {}):
        assert (await workspace.admin.post(PATH, json=body)).status_code == 422
    assert (await workspace.admin.delete(one, headers={"If-Match": '"1"'})).status_code == 412
    assert (await workspace.admin.delete(one, headers={"If-Match": '"2"'})).status_code == 204
    assert (await workspace.admin.get(one)).status_code == 404


@pytest.mark.feature("E010")
async def test_a_new_customer_gets_tags_that_exist_and_tags_that_are_new(workspace: Workspace) -> None:
    await tag(workspace.admin, "VIP")
    made = await add(workspace.admin, tags=["vip", "Hỏi giá"])
    assert [one["name"] for one in made["tags"]] == ["Hỏi giá", "VIP"]
    listed = (await workspace.admin.get(PATH)).json()
    assert [(one["name"], one["size"]) for one in listed["items"]] == [("Hỏi giá", 1), ("VIP", 1)]
    events = (await workspace.admin.get(f"{CUSTOMERS}/{made['id']}/events")).json()["items"]
    assert events[0]["changes"]["tags"] == [None, ["VIP", "Hỏi giá"]]


@pytest.mark.feature("E011", "E012")
async def test_tags_are_put_on_and_taken_off_by_editing(workspace: Workspace) -> None:
    made = await add(workspace.admin, tags=["Một", "Hai"])
    added = await edit(workspace.admin, made, tags=["Một", "Hai", "Ba"])
    assert [one["name"] for one in added.json()["tags"]] == ["Ba", "Hai", "Một"]
    same = await edit(workspace.admin, made, tags=["Ba", "Hai", "mot"])
    assert same.headers["etag"] == added.headers["etag"]
    fewer = await edit(workspace.admin, made, tags=["Hai"])
    assert [one["name"] for one in fewer.json()["tags"]] == ["Hai"]
    none = await edit(workspace.admin, made, tags=None)
    assert none.json()["tags"] == []
    async with workspace.resources.db.transaction(workspace.id) as session:
        members = select(func.count()).select_from(TagMember).where(TagMember.tenant_id == workspace.id)
        assert await session.scalar(members) == 0
        assert (await session.scalars(select(Customer.tag_nos))).all() == [[]]


@pytest.mark.feature("E012")
async def test_only_who_may_create_tags_creates_them_in_a_form(workspace: Workspace) -> None:
    await tag(workspace.admin, "VIP")
    person = await workspace.person("sale", permissions=["customers.view", "customers.create", "customers.edit"])
    made = await add(person.client, tags=["VIP"])
    refused = await edit(person.client, made, tags=["VIP", "Mới toanh"])
    assert refused.status_code == 422
    assert [(one["field"], one["code"]) for one in refused.json()["errors"]] == [("tags", "choice_unknown")]
    forbidden = await person.client.post(PATH, json={"name": "x"})
    assert (forbidden.status_code, forbidden.json()["permission"]) == (403, "tags.create")
    assert [one["name"] for one in (await workspace.admin.get(PATH)).json()["items"]] == ["VIP"]
    sale = await workspace.person("sale")
    assert (await add(sale.client, phone="0987654321", tags=["Mới toanh"]))["tags"][0]["name"] == "Mới toanh"


async def test_a_refused_customer_leaves_no_new_tag(workspace: Workspace) -> None:
    reply = await workspace.admin.post(CUSTOMERS, json={"name": "A", "phone": "1", "tags": ["Thừa"]})
    assert reply.status_code == 422
    assert (await workspace.admin.get(PATH)).json()["items"] == []


async def test_customers_are_filtered_by_tags(workspace: Workspace) -> None:
    one = await add(workspace.admin, tags=["VIP"])
    other = await add(workspace.admin, phone="0987654321", tags=["Lạnh"])
    bare = await add(workspace.admin, phone="0987654322")
    vip = (await workspace.admin.get(PATH, params={"q": "vi"})).json()["items"][0]

    async def found(value: str) -> list[str]:
        page = await workspace.admin.get(CUSTOMERS, params={"tags": value})
        assert page.status_code == 200, page.text
        return [item["id"] for item in page.json()["items"]]

    assert await found("vip") == await found(vip["id"]) == [one["id"]]
    assert await found("VIP, Lạnh") == [other["id"], one["id"]]
    assert await found("") == [bare["id"]]
    assert (await workspace.admin.get(CUSTOMERS, params={"tags": str(uuid4())})).status_code == 422


@pytest.mark.parametrize("at_once", [1, 5_000])
async def test_a_deleted_tag_is_off_everybody_and_never_comes_back(
    workspace: Workspace, worker: WorkerProcess, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(tags, "AT_ONCE", at_once)
    made = [await add(workspace.admin, phone=f"098765432{n}", tags=["VIP", "Ở lại"][n % 2 :]) for n in range(4)]
    await workspace.admin.delete(f"{CUSTOMERS}/{made[2]['id']}", headers={"If-Match": '"1"'})
    vip = (await workspace.admin.get(PATH, params={"q": "VIP"})).json()["items"][0]
    assert vip["size"] == 1
    await workspace.admin.delete(f"{PATH}/{vip['id']}", headers={"If-Match": '"1"'})
    assert await names_on(workspace.admin, made[0]["id"]) == ["Ở lại"]
    if at_once == 1:
        await ended(workspace, tags.FORGET)
    async with workspace.resources.db.transaction(workspace.id) as session:
        kept = {tuple(nos) for nos in await session.scalars(select(Customer.tag_nos))}
    assert len(kept) == 1
    await tag(workspace.admin, "VIP")
    assert await names_on(workspace.admin, made[0]["id"]) == ["Ở lại"]


@pytest.mark.feature("D012", "B022")
async def test_groups_come_in_dimensions(workspace: Workspace) -> None:
    for name, dimension in (("15-25", "Độ tuổi"), ("20-30", "độ  tuổi"), ("Miền Bắc", "Vùng miền"), ("Riêng", None)):
        body = {"name": name, "description": "x", "dimension": dimension}
        assert (await workspace.admin.post("/api/v1/groups", json=body)).status_code == 201

    async def of(dimension: str) -> list[str]:
        page = await workspace.admin.get("/api/v1/groups", params={"dimension": dimension})
        return [item["name"] for item in page.json()["items"]]

    assert await of("do tuoi") == ["15-25", "20-30"]
    assert await of("") == ["Riêng"]
    moved = (await workspace.admin.get("/api/v1/groups", params={"q": "riêng"})).json()["items"][0]
    path = f"/api/v1/groups/{moved['id']}"
    changed = await workspace.admin.patch(path, json={"dimension": "Vùng miền"}, headers={"If-Match": '"1"'})
    assert changed.json()["dimension"] == "Vùng miền"
    assert await of("Vùng miền") == ["Miền Bắc", "Riêng"]
    both = await add(workspace.admin, groups=["15-25", "Miền Bắc"])
    assert [one["name"] for one in both["groups"]] == ["15-25", "Miền Bắc"]


async def test_accents_that_are_typed_are_meant(workspace: Workspace) -> None:
    await tag(workspace.admin, "Bận")
    one = await add(workspace.admin, tags=["Bán"])
    assert await names_on(workspace.admin, one["id"]) == ["Bán"]
    assert (await workspace.admin.get(PATH)).json()["count"] == 2
    await tag(workspace.admin, "Đã hoà giải")
    for typed in ("da hoa giai", "Đã Hòa giải", "ĐÃ HOÀ GIẢI", "Đã hoa giai"):
        assert (await edit(workspace.admin, one, tags=[typed])).status_code == 200
        assert await names_on(workspace.admin, one["id"]) == ["Đã hoà giải"]
    assert (await workspace.admin.get(PATH)).json()["count"] == 3
    sources = "/api/v1/sources"
    assert (await workspace.admin.post(sources, json={"name": "Khách lẻ"})).status_code == 201
    refused = await workspace.admin.post(CUSTOMERS, json={"name": "A", "phone": "0987000222", "source": "Khách lè"})
    assert [(error["field"], error["code"]) for error in refused.json()["errors"]] == [("source", "choice_unknown")]
    assert (await workspace.admin.post(sources, json={"name": "Khách lè"})).status_code == 201
    other = await add(workspace.admin, phone="0987000222", source="khách lè")
    assert other["source"] == "Khách lè"
