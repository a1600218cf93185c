"""Sources, customer types and relationships: the lists that customers are classified by."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import delete

from app.core import jobs
from app.core.actor import Actor
from app.imports.service import RUN
from tests.conftest import MakeWorkspace
from tests.customers.test_customers import PATH as CUSTOMERS
from tests.customers.test_customers import add
from tests.factories.people import Workspace

LISTS = ("/api/v1/sources", "/api/v1/customer-types", "/api/v1/relationships")
FIELDS = {LISTS[0]: "source", LISTS[1]: "customer_type", LISTS[2]: "relationship"}


async def values(workspace: Workspace, path: str) -> list[dict[str, Any]]:
    """The values of a list."""
    reply = await workspace.admin.get(path)
    assert reply.status_code == 200, reply.text
    items: list[dict[str, Any]] = reply.json()["items"]
    return items


@pytest.mark.feature("B019")
async def test_a_workspace_starts_with_lists(workspace: Workspace) -> None:
    assert [value["name"] for value in await values(workspace, LISTS[0])] == [
        "Facebook", "Zalo", "Website", "Giới thiệu", "Hội thảo", "Quảng cáo Google", "Khác",
    ]  # fmt: skip
    assert [value["name"] for value in await values(workspace, LISTS[1])] == ["Cá nhân", "Doanh nghiệp", "Đại lý"]
    assert [(value["name"], value["category"]) for value in await values(workspace, LISTS[2])] == [
        ("Mới", "new"), ("Tiếp cận", "working"), ("Tiềm năng", "interested"), ("Nóng", "interested"), ("Chốt", "won"),
        ("Tạm ngừng", "suspended"), ("Mất", "lost"),
    ]  # fmt: skip


@pytest.mark.feature("D019", "B030")
async def test_a_new_customer_has_the_first_active_relationship(workspace: Workspace) -> None:
    assert (await add(workspace.admin))["relationship"] == "Mới"
    first, second, *_ = await values(workspace, LISTS[2])
    off = await workspace.admin.patch(f"{LISTS[2]}/{first['id']}", json={"active": False}, headers={"If-Match": '"1"'})
    assert off.status_code == 200
    assert (await add(workspace.admin, phone="0912345679"))["relationship"] == second["name"] == "Tiếp cận"


@pytest.mark.parametrize("path", LISTS)
async def test_a_value_lives_and_dies(workspace: Workspace, path: str) -> None:
    before = await values(workspace, path)
    reply = await workspace.admin.post(path, json={"name": "  TikTok   Ads "})
    assert reply.status_code == 201, reply.text
    made = reply.json()
    assert made["name"] == "TikTok Ads"
    assert made["position"] == len(before) + 1
    assert made["category"] == ("other" if path == LISTS[2] else None)
    assert reply.headers["etag"] == '"1"'
    assert reply.headers["location"] == f"{path}/{made['id']}"
    assert (await workspace.admin.get(reply.headers["location"])).json() == made

    one = f"{path}/{made['id']}"
    assert (await workspace.admin.patch(one, json={"name": "x"})).status_code == 428
    moved = await workspace.admin.patch(one, json={"name": "tiktok ads", "position": 0}, headers={"If-Match": '"1"'})
    assert moved.status_code == 200
    assert moved.headers["etag"] == '"2"'
    assert (await values(workspace, path))[0]["name"] == "tiktok ads"
    same = await workspace.admin.patch(one, json={"position": 0}, headers={"If-Match": '"2"'})
    assert same.headers["etag"] == '"2"'
    assert (await workspace.admin.patch(one, json={"name": "y"}, headers={"If-Match": '"1"'})).status_code == 412

    assert (await workspace.admin.delete(one)).status_code == 428
    assert (await workspace.admin.delete(one, headers={"If-Match": '"1"'})).status_code == 412
    assert (await workspace.admin.delete(one, headers={"If-Match": '"2"'})).status_code == 204
    assert (await workspace.admin.get(one)).status_code == 404
    assert await values(workspace, path) == before


@pytest.mark.parametrize("path", LISTS)
async def test_a_name_stands_once_in_a_list_whatever_its_case(workspace: Workspace, path: str) -> None:
    first, second, *_ = await values(workspace, path)
    reply = await workspace.admin.post(path, json={"name": first["name"].upper()})
    assert reply.status_code == 409
    assert reply.json()["code"] == "name_taken"
    assert reply.json()["detail"] == "Tên đã tồn tại"
    assert reply.json()["errors"][0]["field"] == "name"
    renamed = await workspace.admin.patch(
        f"{path}/{second['id']}", json={"name": first["name"].lower()}, headers={"If-Match": '"1"'}
    )
    assert (renamed.status_code, renamed.json()["code"]) == (409, "name_taken")


async def test_the_same_name_may_stand_in_two_lists(workspace: Workspace) -> None:
    for path in LISTS:
        assert (await workspace.admin.post(path, json={"name": "Hội chợ"})).status_code == 201


async def test_twenty_at_once_add_a_name_once(workspace: Workspace) -> None:
    replies = await asyncio.gather(*(workspace.admin.post(LISTS[0], json={"name": "Hội chợ"}) for _ in range(20)))
    assert sorted(reply.status_code for reply in replies) == [201] + [409] * 19


@pytest.mark.feature("A075", "B029")
@pytest.mark.parametrize("path", LISTS)
async def test_a_value_is_at_once_accepted_and_shown_by_its_new_name(workspace: Workspace, path: str) -> None:
    field = FIELDS[path]
    refused = await workspace.admin.post(CUSTOMERS, json={"name": "A", "phone": "0912345678", field: "Hội chợ"})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["code"] == "choice_unknown"
    assert "“Hội chợ”" in refused.json()["errors"][0]["message"]
    made = (await workspace.admin.post(path, json={"name": "Hội chợ"})).json()
    customer = await add(workspace.admin, **{field: "hoi cho"})
    assert customer[field] == "Hội chợ"
    await workspace.admin.patch(f"{path}/{made['id']}", json={"name": "Triển lãm"}, headers={"If-Match": '"1"'})
    assert (await workspace.admin.get(f"{CUSTOMERS}/{customer['id']}")).json()[field] == "Triển lãm"
    found = await workspace.admin.get(CUSTOMERS, params={field: "Triển lãm"})
    assert [item["id"] for item in found.json()["items"]] == [customer["id"]]


@pytest.mark.parametrize("path", LISTS)
async def test_a_value_in_use_stays_even_for_the_trash(workspace: Workspace, path: str) -> None:
    value = (await values(workspace, path))[1]
    customer = await add(workspace.admin, **{FIELDS[path]: value["name"]})
    await workspace.admin.delete(f"{CUSTOMERS}/{customer['id']}", headers={"If-Match": '"1"'})
    reply = await workspace.admin.delete(f"{path}/{value['id']}", headers={"If-Match": '"1"'})
    assert reply.status_code == 409
    assert (reply.json()["code"], reply.json()["count"]) == ("in_use", 1)
    assert "1 khách hàng" in reply.json()["detail"]
    assert "ngừng sử dụng" in reply.json()["detail"]


@pytest.mark.parametrize("path", LISTS)
async def test_an_inactive_value_cannot_be_chosen_and_stays_where_it_is(workspace: Workspace, path: str) -> None:
    value = (await values(workspace, path))[2]
    customer = await add(workspace.admin, **{FIELDS[path]: value["name"]})
    await workspace.admin.patch(f"{path}/{value['id']}", json={"active": False}, headers={"If-Match": '"1"'})
    refused = await workspace.admin.post(
        CUSTOMERS, json={"name": "B", "phone": "0912345679", FIELDS[path]: value["name"]}
    )
    assert refused.status_code == 422
    assert (await workspace.admin.get(f"{CUSTOMERS}/{customer['id']}")).json()[FIELDS[path]] == value["name"]
    assert [item["id"] for item in (await workspace.admin.get(path, params={"active": False})).json()["items"]] == [
        value["id"]
    ]


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (LISTS[0], {"name": ""}, "name"),
        (LISTS[0], {"name": "\u200b"}, "name"),
        (LISTS[0], {}, "name"),
        (LISTS[0], {"name": "x" * 101}, "name"),
        (LISTS[0], {"name": "Hội chợ", "category": "won"}, "category"),
        (LISTS[2], {"name": "Hội chợ", "category": "khác"}, "category"),
        (LISTS[1], {"name": "Hội chợ", "position": -1}, "position"),
        (LISTS[1], {"name": "Hội chợ", "kind": "source"}, "kind"),
    ],
)
async def test_a_bad_value_is_refused(workspace: Workspace, path: str, body: dict[str, Any], field: str) -> None:
    reply = await workspace.admin.post(path, json=body)
    assert reply.status_code == 422, reply.text
    assert [error["field"] for error in reply.json()["errors"]] == [field]


async def test_a_list_answers_for_its_own_values_only(workspace: Workspace) -> None:
    source = (await values(workspace, LISTS[0]))[0]
    assert (await workspace.admin.get(f"{LISTS[2]}/{source['id']}")).status_code == 404
    gone = await workspace.admin.delete(f"{LISTS[2]}/{source['id']}", headers={"If-Match": '"1"'})
    assert gone.status_code == 404


@pytest.mark.feature("B021")
async def test_a_sale_reads_the_lists_and_changes_nothing(workspace: Workspace) -> None:
    sale = await workspace.person("sale")
    for path in LISTS:
        value = (await sale.client.get(path)).json()["items"][0]
        assert (await sale.client.post(path, json={"name": "x"})).status_code == 403
        one = f"{path}/{value['id']}"
        assert (await sale.client.patch(one, json={"name": "x"}, headers={"If-Match": '"1"'})).status_code == 403
        refused = await sale.client.delete(one, headers={"If-Match": '"1"'})
        assert refused.status_code == 403
        assert "cài đặt CRM" in refused.json()["detail"]


async def test_another_workspaces_value_does_not_exist(workspace: Workspace, new_workspace: MakeWorkspace) -> None:
    other = await new_workspace()
    for path in LISTS:
        one = f"{path}/{(await values(other, path))[0]['id']}"
        unknown = f"{path}/{workspace.id}"
        for address in (one, unknown):
            assert (await workspace.admin.get(address)).status_code == 404
            changed = await workspace.admin.patch(address, json={"name": "x"}, headers={"If-Match": '"1"'})
            assert changed.status_code == 404
            assert (await workspace.admin.delete(address, headers={"If-Match": '"1"'})).status_code == 404
    await other.aclose()


async def test_a_value_is_not_deleted_while_somebody_is_given_it(workspace: Workspace) -> None:
    outcomes = set[tuple[int, int]]()
    for n in range(8):
        made = await workspace.admin.post("/api/v1/sources", json={"name": f"Nguồn {n}"})
        body = {"name": "Cùng lúc", "phone": f"091234500{n}", "source": f"Nguồn {n}"}
        path = f"/api/v1/sources/{made.json()['id']}"
        added, gone = await asyncio.gather(
            workspace.admin.post("/api/v1/customers", json=body),
            workspace.admin.delete(path, headers={"If-Match": '"1"'}),
        )
        outcomes.add((added.status_code, gone.status_code))
        if added.status_code == 201:
            assert (await workspace.admin.get(f"/api/v1/customers/{added.json()['id']}")).json()["source"] is not None
    assert outcomes <= {(201, 409), (409, 204), (422, 204)}


async def test_no_value_goes_while_an_import_is_live(workspace: Workspace) -> None:
    made = (await workspace.admin.post("/api/v1/sources", json={"name": "Hội chợ"})).json()
    path, version = f"/api/v1/sources/{made['id']}", {"If-Match": '"1"'}
    actor = Actor(workspace.id, "user", workspace.administrator.id, "A")
    async with workspace.resources.db.transaction(workspace.id) as session:
        job = await jobs.enqueue(session, actor, RUN, queue="bulk")
    refused = await workspace.admin.delete(path, headers=version)
    assert (refused.status_code, refused.json()["code"]) == (409, "import_running")
    async with workspace.resources.db.transaction(workspace.id) as session:
        await session.execute(delete(jobs.Job).where(jobs.Job.tenant_id == workspace.id, jobs.Job.id == job))
    assert (await workspace.admin.delete(path, headers=version)).status_code == 204
