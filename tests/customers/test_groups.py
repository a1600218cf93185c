"""Groups of customers and who is in them."""

import asyncio
import time
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import func, select

from app.core.jobs import Job
from app.customers import groups
from app.customers.models import Customer, GroupMember
from tests.conftest import MakeWorkspace
from tests.customers.test_customers import PATH as CUSTOMERS
from tests.customers.test_customers import add
from tests.factories.people import Workspace
from workers.main import WorkerProcess

PATH = "/api/v1/groups"


async def group(client: httpx.AsyncClient, name: str = "Khách VIP", **fields: Any) -> dict[str, Any]:
    """A group added over HTTP."""
    reply = await client.post(PATH, json={"name": name, **fields})
    assert reply.status_code == 201, reply.text
    body: dict[str, Any] = reply.json()
    return body


async def put_in(client: httpx.AsyncClient, group_id: str, *ids: str, method: str = "POST") -> dict[str, Any]:
    """Puts customers into a group, or takes them out."""
    reply = await client.request(method, f"{PATH}/{group_id}/customers", json={"ids": list(ids)})
    assert reply.status_code == 200, reply.text
    body: dict[str, Any] = reply.json()
    return body


async def three(workspace: Workspace) -> list[str]:
    """The ids of three customers."""
    return [(await add(workspace.admin, phone=f"091234567{n}"))["id"] for n in range(3)]


@pytest.mark.feature("A084", "A085")
async def test_a_group_lives_and_dies(workspace: Workspace) -> None:
    reply = await workspace.admin.post(PATH, json={"name": " Khách  VIP ", "description": "Mua nhiều\nTrả nhanh"})
    assert reply.status_code == 201
    made = reply.json()
    assert (made["name"], made["description"], made["size"]) == ("Khách VIP", "Mua nhiều\nTrả nhanh", 0)
    assert reply.headers["etag"] == '"1"'
    one = reply.headers["location"]
    assert (await workspace.admin.get(one)).json() == made
    assert (await workspace.admin.patch(one, json={"name": "x"})).status_code == 428
    changed = await workspace.admin.patch(one, json={"name": "khách vip"}, headers={"If-Match": '"1"'})
    assert changed.status_code == 200
    assert (changed.json()["name"], changed.json()["description"]) == ("khách vip", made["description"])
    assert changed.headers["etag"] == '"2"'
    assert (await workspace.admin.patch(one, json={"name": "x"}, headers={"If-Match": '"1"'})).status_code == 412
    assert (await workspace.admin.delete(one, headers={"If-Match": '"1"'})).status_code == 412
    assert (await workspace.admin.delete(one, headers={"If-Match": '"2"'})).status_code == 204
    assert (await workspace.admin.get(one)).status_code == 404
    assert (await workspace.admin.get(PATH)).json() == {"items": [], "next_cursor": None, "count": 0}


@pytest.mark.feature("A084")
@pytest.mark.parametrize("name", ["", "   ", "\u200b"])
async def test_a_group_needs_a_name(workspace: Workspace, name: str) -> None:
    made = await group(workspace.admin)
    for reply in (
        await workspace.admin.post(PATH, json={"name": name}),
        await workspace.admin.post(PATH, json={}),
        await workspace.admin.patch(f"{PATH}/{made['id']}", json={"name": name}, headers={"If-Match": '"1"'}),
        await workspace.admin.patch(f"{PATH}/{made['id']}", json={"name": None}, headers={"If-Match": '"1"'}),
    ):
        assert reply.status_code == 422
        assert reply.json()["code"] == "group_name_required"
        assert reply.json()["detail"] == "Vui lòng nhập tên nhóm"
        assert reply.json()["errors"][0]["field"] == "name"


@pytest.mark.feature("A084")
async def test_a_workspace_may_want_a_description(workspace: Workspace) -> None:
    settings = await workspace.admin.get("/api/v1/settings")
    await workspace.admin.patch(
        "/api/v1/settings", json={"group_description_required": True}, headers={"If-Match": settings.headers["etag"]}
    )
    refused = await workspace.admin.post(PATH, json={"name": "Khách VIP"})
    assert (refused.status_code, refused.json()["code"]) == (422, "group_description_required")
    assert refused.json()["detail"] == "Vui lòng nhập mô tả nhóm"
    made = await group(workspace.admin, description="Mua nhiều")
    refused = await workspace.admin.patch(
        f"{PATH}/{made['id']}", json={"description": " "}, headers={"If-Match": '"1"'}
    )
    assert refused.json()["code"] == "group_description_required"


async def test_a_name_is_taken_whatever_its_case(workspace: Workspace) -> None:
    await group(workspace.admin, "Khách VIP")
    other = await group(workspace.admin, "Khách lẻ")
    reply = await workspace.admin.post(PATH, json={"name": "KHÁCH vip"})
    assert (reply.status_code, reply.json()["code"]) == (409, "group_name_taken")
    assert reply.json()["detail"] == "Tên nhóm đã tồn tại"
    reply = await workspace.admin.patch(
        f"{PATH}/{other['id']}", json={"name": "khách VIP"}, headers={"If-Match": '"1"'}
    )
    assert (reply.status_code, reply.json()["code"]) == (409, "group_name_taken")


async def test_twenty_at_once_add_a_name_once_and_numbers_differ(workspace: Workspace) -> None:
    same = await asyncio.gather(*(workspace.admin.post(PATH, json={"name": "Cùng lúc"}) for _ in range(20)))
    assert sorted(reply.status_code for reply in same) == [201] + [409] * 19
    others = await asyncio.gather(*(workspace.admin.post(PATH, json={"name": f"Nhóm {n}"}) for n in range(20)))
    assert {reply.status_code for reply in others} == {201}


@pytest.mark.feature("B022")
async def test_members_count_and_are_found(workspace: Workspace) -> None:
    ids = await three(workspace)
    vip = await group(workspace.admin)
    assert await put_in(workspace.admin, vip["id"], *ids[:2]) == {"changed": 2, "unchanged": 0, "missing": []}
    stranger = str(uuid4())
    assert await put_in(workspace.admin, vip["id"], *ids, ids[0], stranger) == {
        "changed": 1, "unchanged": 2, "missing": [stranger],
    }  # fmt: skip
    assert (await workspace.admin.get(f"{PATH}/{vip['id']}")).json()["size"] == 3
    customer = (await workspace.admin.get(f"{CUSTOMERS}/{ids[0]}")).json()
    assert customer["groups"] == [{"id": vip["id"], "name": "Khách VIP"}]
    assert customer["version"] == 2
    found = (await workspace.admin.get(CUSTOMERS, params={"groups": "khach vip", "count": "exact"})).json()
    assert found["count"] == 3

    assert await put_in(workspace.admin, vip["id"], *ids[:1], stranger, method="DELETE") == {
        "changed": 1, "unchanged": 0, "missing": [stranger],
    }  # fmt: skip
    assert await put_in(workspace.admin, vip["id"], ids[0], method="DELETE") == {
        "changed": 0, "unchanged": 1, "missing": [],
    }  # fmt: skip
    await workspace.admin.delete(f"{CUSTOMERS}/{ids[1]}", headers={"If-Match": '"2"'})
    assert (await workspace.admin.get(f"{PATH}/{vip['id']}")).json()["size"] == 1
    assert (await workspace.admin.get(PATH)).json()["items"][0]["size"] == 1
    none = (await workspace.admin.get(CUSTOMERS, params={"groups": ""})).json()["items"]
    assert [item["id"] for item in none] == [ids[0]]


async def test_the_order_of_groups_is_no_change(workspace: Workspace) -> None:
    await group(workspace.admin, "Zalo")
    await group(workspace.admin, "An")
    made = await add(workspace.admin, groups=["zalo", "an"])
    assert [found["name"] for found in made["groups"]] == ["An", "Zalo"]
    path = f"{CUSTOMERS}/{made['id']}"
    same = await workspace.admin.patch(path, json={"groups": ["An", "Zalo"]}, headers={"If-Match": '"1"'})
    assert same.headers["etag"] == '"1"'
    fewer = await workspace.admin.patch(path, json={"groups": ["An"]}, headers={"If-Match": '"1"'})
    assert [found["name"] for found in fewer.json()["groups"]] == ["An"]


async def test_each_customer_remembers_its_groups(workspace: Workspace) -> None:
    ids = await three(workspace)
    vip = await group(workspace.admin)
    await put_in(workspace.admin, vip["id"], *ids)
    await put_in(workspace.admin, vip["id"], ids[0], method="DELETE")
    events = (await workspace.admin.get(f"{CUSTOMERS}/{ids[0]}/events")).json()["items"]
    assert [(event["kind"], event["changes"]) for event in events[:2]] == [
        ("customer.group_removed", {"groups": ["Khách VIP", None]}),
        ("customer.group_added", {"groups": [None, "Khách VIP"]}),
    ]
    assert events[0]["actor_id"] == str(workspace.administrator.id)
    assert events[0]["actor_name"] == "Quản trị hệ thống"


async def test_a_person_changes_the_groups_of_their_own_customers_only(workspace: Workspace) -> None:
    ids = await three(workspace)
    vip = await group(workspace.admin)
    sale = await workspace.person("sale")
    own = (await add(sale.client, phone="0987654321"))["id"]
    assert await put_in(sale.client, vip["id"], own, ids[0]) == {"changed": 1, "unchanged": 0, "missing": [ids[0]]}
    assert (await workspace.admin.get(f"{CUSTOMERS}/{ids[0]}")).json()["groups"] == []
    assert (await sale.client.get(PATH)).json()["items"][0]["size"] == 1
    for reply in (
        await sale.client.post(PATH, json={"name": "x"}),
        await sale.client.patch(f"{PATH}/{vip['id']}", json={"name": "x"}, headers={"If-Match": '"1"'}),
        await sale.client.delete(f"{PATH}/{vip['id']}", headers={"If-Match": '"1"'}),
    ):
        assert reply.status_code == 403
        assert "Quản lý nhóm khách hàng" in reply.json()["detail"]


async def test_deleting_a_group_while_customers_join_it_is_no_fault(workspace: Workspace) -> None:
    ids = await three(workspace)
    for turn in range(5):
        made = await group(workspace.admin, f"Nhóm {turn}")
        replies = await asyncio.gather(
            *(
                workspace.admin.post(
                    CUSTOMERS, json={"name": "A", "phone": f"09{turn}77000{n:02}", "groups": [made["name"]]}
                )
                for n in range(4)
            ),
            workspace.admin.post(f"{PATH}/{made['id']}/customers", json={"ids": ids}),
            workspace.admin.delete(f"{PATH}/{made['id']}", headers={"If-Match": '"1"'}),
            *(
                workspace.admin.post(
                    CUSTOMERS, json={"name": "B", "phone": f"09{turn}88000{n:02}", "groups": [made["name"]]}
                )
                for n in range(4)
            ),
        )
        assert {reply.status_code for reply in replies} <= {200, 201, 204, 404, 409, 422}
        assert replies[5].status_code == 204
    async with workspace.resources.db.transaction(workspace.id) as session:
        members = select(func.count()).select_from(GroupMember).where(GroupMember.tenant_id == workspace.id)
        assert await session.scalar(members) == 0


async def test_the_same_customers_at_once_join_once(workspace: Workspace) -> None:
    ids = await three(workspace)
    vip, lan = await group(workspace.admin), await group(workspace.admin, "Nhóm Lan")
    replies = await asyncio.gather(
        *(put_in(workspace.admin, one["id"], *order) for one in (vip, lan) for order in (ids, ids[::-1]) * 4)
    )
    assert sum(reply["changed"] for reply in replies) == 6
    for one in ids:
        customer = (await workspace.admin.get(f"{CUSTOMERS}/{one}")).json()
        assert [found["name"] for found in customer["groups"]] == ["Khách VIP", "Nhóm Lan"]
        assert customer["version"] == 3
    async with workspace.resources.db.transaction(workspace.id) as session:
        kept = (await session.scalars(select(Customer.group_nos))).all()
    assert kept == [[1, 2]] * 3


async def test_the_list_pages_by_name_and_is_searched_without_accents(workspace: Workspace) -> None:
    names = ["Ấm áp", "an toàn", "Bán lẻ", "Đà Nẵng", "Đại lý", "Hà Nội", "hà nam", "Zalo"]
    for name in names[::-1]:
        await group(workspace.admin, name)
    found, cursor = list[str](), None
    while True:
        params = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = (await workspace.admin.get(PATH, params=params)).json()
        assert page["count"] == len(names)
        found += [item["name"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert found == ["Ấm áp", "an toàn", "Bán lẻ", "Đà Nẵng", "Đại lý", "hà nam", "Hà Nội", "Zalo"]
    page = (await workspace.admin.get(PATH, params={"q": "HA n"})).json()
    assert [item["name"] for item in page["items"]] == ["hà nam", "Hà Nội"]
    first = (await workspace.admin.get(PATH, params={"q": "a", "limit": 1})).json()["next_cursor"]
    foreign = await workspace.admin.get(PATH, params={"q": "b", "limit": 1, "cursor": first})
    assert (foreign.status_code, foreign.json()["code"]) == (422, "cursor_invalid")


async def test_a_deleted_group_leaves_its_customers_and_never_comes_back(workspace: Workspace) -> None:
    ids = await three(workspace)
    vip, lan = await group(workspace.admin), await group(workspace.admin, "Nhóm Lan")
    await put_in(workspace.admin, vip["id"], *ids)
    await put_in(workspace.admin, lan["id"], ids[0])
    assert (await workspace.admin.delete(f"{PATH}/{vip['id']}", headers={"If-Match": '"1"'})).status_code == 204
    customers = [(await workspace.admin.get(f"{CUSTOMERS}/{one}")).json()["groups"] for one in ids]
    assert customers == [[{"id": lan["id"], "name": "Nhóm Lan"}], [], []]
    async with workspace.resources.db.transaction(workspace.id) as session:
        kept = (await session.scalars(select(Customer.group_nos))).all()
    assert sorted(kept) == [[], [], [2]]
    again = await group(workspace.admin, "Khách VIP")
    assert again["size"] == 0
    assert (await workspace.admin.get(CUSTOMERS, params={"groups": "Khách VIP"})).json()["items"] == []


async def test_the_numbers_of_a_large_group_go_in_a_job(
    workspace: Workspace, worker: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(groups, "AT_ONCE", 2)
    ids = await three(workspace)
    vip = await group(workspace.admin)
    await put_in(workspace.admin, vip["id"], *ids)
    await workspace.admin.delete(f"{CUSTOMERS}/{ids[2]}", headers={"If-Match": '"2"'})
    await workspace.admin.delete(f"{PATH}/{vip['id']}", headers={"If-Match": '"1"'})
    assert (await workspace.admin.get(f"{CUSTOMERS}/{ids[0]}")).json()["groups"] == []
    await ended(workspace, groups.FORGET)
    async with workspace.resources.db.transaction(workspace.id) as session:
        assert (await session.scalars(select(Customer.group_nos))).all() == [[], [], []]


async def ended(workspace: Workspace, kind: str) -> Job:
    """The only job of this kind, once it has succeeded."""
    until = time.monotonic() + 20
    while True:
        async with workspace.resources.db.transaction(workspace.id) as session:
            job = (await session.scalars(select(Job).where(Job.kind == kind))).one()
        if job.state == "succeeded":
            return job
        assert time.monotonic() < until, (job.state, job.error)
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("ids", [[], ["x"], [str(uuid4()) for _ in range(1001)], None])
async def test_bad_members_are_refused(workspace: Workspace, ids: Any) -> None:
    vip = await group(workspace.admin)
    reply = await workspace.admin.post(f"{PATH}/{vip['id']}/customers", json={"ids": ids})
    assert reply.status_code == 422


async def test_another_workspaces_group_does_not_exist(workspace: Workspace, new_workspace: MakeWorkspace) -> None:
    other = await new_workspace()
    foreign = (await group(other.admin))["id"]
    mine = (await add(workspace.admin))["id"]
    theirs = (await add(other.admin))["id"]
    for group_id in (foreign, str(uuid4())):
        one = f"{PATH}/{group_id}"
        for reply in (
            await workspace.admin.get(one),
            await workspace.admin.patch(one, json={"name": "x"}, headers={"If-Match": '"1"'}),
            await workspace.admin.delete(one, headers={"If-Match": '"1"'}),
            await workspace.admin.post(f"{one}/customers", json={"ids": [mine]}),
            await workspace.admin.request("DELETE", f"{one}/customers", json={"ids": [mine]}),
        ):
            assert (reply.status_code, reply.json()["code"]) == (404, "not_found")
    own = (await group(workspace.admin))["id"]
    assert (await put_in(workspace.admin, own, theirs))["missing"] == [theirs]
    assert (await workspace.admin.get(PATH)).json()["count"] == 1
    await other.aclose()
