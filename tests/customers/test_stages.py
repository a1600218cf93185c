"""Stages: moved by hand, moved by what happens, and counted."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from app.core.actor import Actor
from app.customers import stages
from tests.customers.test_customers import add
from tests.factories.people import Workspace
from tests.transactions.steps import API, customer, history, patch, post, type_id

Counted = tuple[int, dict[str, int]]


async def counted(client: Any) -> Counted:
    """The total and the counts by label; that they add up is checked."""
    reply = await client.get(f"{API}/customers/stages")
    assert reply.status_code == 200, reply.text
    body = reply.json()
    sizes = {stage["label"]: stage["count"] for stage in body["stages"]}
    assert list(sizes) == ["Mới", "Quan tâm", "Đã ký", "Tạm ngừng", "Khác"]
    assert sum(sizes.values()) == body["total"]
    assert sum(one["count"] for one in body["relationships"]) + body["without"] == body["total"]
    return body["total"], sizes


async def move(workspace: Workspace, customer_id: str, relationship: str) -> dict[str, Any]:
    """A click on a stage."""
    reply = await workspace.admin.post(
        f"{API}/customers/{customer_id}/relationship", json={"relationship": relationship}
    )
    assert reply.status_code == 200, reply.text
    assert reply.headers["etag"] == f'"{reply.json()["version"]}"'
    moved: dict[str, Any] = reply.json()
    return moved


@pytest.mark.feature("D019", "D024")
async def test_the_counts_of_stages_add_up(workspace: Workspace) -> None:
    assert await counted(workspace.admin) == (0, dict.fromkeys(("Mới", "Quan tâm", "Đã ký", "Tạm ngừng", "Khác"), 0))
    given = ["Mới", None, "Tiếp cận", "Tiềm năng", "Nóng", "Chốt", "Tạm ngừng", "Mất"]
    ids = [
        (await add(workspace.admin, phone=f"098765{n:04d}", **({"relationship": name} if name else {})))["id"]
        for n, name in enumerate(given)
    ]
    expected = {"Mới": 2, "Quan tâm": 2, "Đã ký": 1, "Tạm ngừng": 1, "Khác": 2}
    assert await counted(workspace.admin) == (8, expected)
    await patch(workspace.admin, f"/customers/{ids[0]}", 1, relationship=None)
    assert await counted(workspace.admin) == (8, expected | {"Mới": 1, "Khác": 3})
    await workspace.admin.delete(f"{API}/customers/{ids[5]}", headers={"If-Match": '"1"'})
    assert await counted(workspace.admin) == (7, expected | {"Mới": 1, "Khác": 3, "Đã ký": 0})
    english = await workspace.admin.get(f"{API}/customers/stages", headers={"Accept-Language": "en"})
    assert [one["label"] for one in english.json()["stages"]] == ["New", "Interested", "Signed", "Suspended", "Other"]
    sale = await workspace.person("sale")
    await add(sale.client, phone="0912000999")
    assert (await counted(sale.client))[0] == 1


@pytest.mark.feature("E004", "D020", "D022")
async def test_one_click_moves_a_customer(workspace: Workspace) -> None:
    one = await add(workspace.admin)
    assert (await move(workspace, one["id"], "tiem nang"))["relationship"] == "Tiềm năng"
    assert (await move(workspace, one["id"], "Tiềm năng"))["version"] == 2
    assert (await move(workspace, one["id"], "Tạm ngừng"))["version"] == 3
    path = f"{API}/customers/{one['id']}/relationship"
    unknown = await workspace.admin.post(path, json={"relationship": "Chưa có"})
    assert (unknown.status_code, unknown.json()["errors"][0]["code"]) == (422, "choice_unknown")
    assert (await workspace.admin.post(path, json={"relationship": " "})).status_code == 422
    sale = await workspace.person("sale")
    foreign = await sale.client.post(path, json={"relationship": "Mới"})
    nobody = await sale.client.post(f"{API}/customers/{uuid4()}/relationship", json={"relationship": "Mới"})
    assert (foreign.status_code, nobody.status_code) == (404, 404)


@pytest.mark.feature("A093", "A094", "E003")
async def test_outcomes_and_classifications_are_in_the_history(workspace: Workspace) -> None:
    one = await add(workspace.admin)
    await move(workspace, one["id"], "Tiềm năng")
    await patch(workspace.admin, f"/customers/{one['id']}", 2, relationship="Chốt")
    await move(workspace, one["id"], "Mất")
    await patch(workspace.admin, f"/customers/{one['id']}", 4, relationship="Mới", source="Zalo")
    await patch(workspace.admin, f"/customers/{one['id']}", 5, relationship="Tiếp cận", note="đã gọi")
    assert await history(workspace.admin, one["id"]) == [
        ("customer.updated", "edited"),
        ("customer.classified", "classified"),
        ("customer.refused", "refused"),
        ("customer.contract_closed", "contract_closed"),
        ("customer.potential", "potential"),
        ("customer.created", "created"),
    ]
    refused = await workspace.admin.get(f"{API}/customers/{one['id']}/events", params={"type": "refused"})
    assert [event["changes"] for event in refused.json()["items"]] == [{"relationship": ["Chốt", "Mất"]}]


@pytest.mark.feature("B019", "D023")
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Mới", "Tiếp cận"), (None, "Tiếp cận"), ("Mất", "Tiếp cận"), ("Tạm ngừng", "Tiếp cận"), ("Nóng", "Nóng"),
        ("Tiếp cận", "Tiếp cận"), ("Chốt", "Chốt"),
    ],
)  # fmt: skip
async def test_a_fact_moves_forward_in_the_workspaces_order(
    workspace: Workspace, before: str | None, after: str
) -> None:
    one = await add(workspace.admin)
    if before != "Mới":
        await patch(workspace.admin, f"/customers/{one['id']}", 1, relationship=before)
    await post(
        workspace.admin, "/transactions", customer_id=one["id"], name="Gặp", type_id=await type_id(workspace)
    )  # fmt: skip
    assert (await customer(workspace.admin, one["id"]))["relationship"] == after


@pytest.mark.feature("D023")
async def test_the_order_is_the_workspaces_own(workspace: Workspace) -> None:
    lists = (await workspace.admin.get(f"{API}/relationships")).json()["items"]
    hot = next(item for item in lists if item["name"] == "Nóng")
    await patch(workspace.admin, f"/relationships/{hot['id']}", 1, position=0)
    one = await add(workspace.admin, relationship="Nóng")
    await post(
        workspace.admin, "/transactions", customer_id=one["id"], name="Gặp", type_id=await type_id(workspace)
    )  # fmt: skip
    assert (await customer(workspace.admin, one["id"]))["relationship"] == "Tiếp cận"


@pytest.mark.feature("D021", "D023")
@pytest.mark.parametrize("fact", sorted(stages.FACTS))
async def test_many_move_at_once_and_each_is_told(workspace: Workspace, fact: str) -> None:
    ids = [(await add(workspace.admin, phone=f"098765{n:04d}"))["id"] for n in range(4)]
    await move(workspace, ids[3], "Chốt")
    actor = Actor(workspace.id, "rule", workspace.administrator.id, "Quy tắc")
    async with workspace.resources.db.transaction(workspace.id) as session:
        moved = await stages.fact_happened(
            session, actor, [*map(UUID, ids), UUID(ids[0]), uuid4()], fact, {"order": "1"}
        )
    assert sorted(map(str, moved)) == sorted(ids[:3])
    expected = "Chốt" if stages.FACTS[fact] == "won" else "Tiếp cận"
    for one in ids[:3]:
        assert (await customer(workspace.admin, one))["relationship"] == expected
        event = (await workspace.admin.get(f"{API}/customers/{one}/events")).json()["items"][0]
        assert (event["kind"], event["actor_kind"]) == ("customer.classified", "rule")
        assert event["data"] == {"reason": fact, "order": "1"}


async def test_without_a_relationship_of_the_category_nobody_moves(workspace: Workspace) -> None:
    for item in (await workspace.admin.get(f"{API}/relationships")).json()["items"]:
        if item["category"] == "working":
            await patch(workspace.admin, f"/relationships/{item['id']}", 1, active=False)
    one = await add(workspace.admin)
    await post(workspace.admin, "/contracts", customer_id=one["id"], number="1", value=1)
    assert (await customer(workspace.admin, one["id"]))["relationship"] == "Mới"


@pytest.mark.feature("B019")
@pytest.mark.parametrize("path", ["/sources", "/relationships", "/customer-types", "/tiers", "/transaction-types"])
async def test_a_value_is_added_from_the_form_with_its_permission(workspace: Workspace, path: str) -> None:
    sale = await workspace.person("sale")
    refused = await sale.client.post(API + path, json={"name": "Mới thêm"})
    assert (refused.status_code, refused.json()["permission"]) == (403, "lists.create")
    allowed = await workspace.person("sale", permissions=["customers.view", "lists.create", "transactions.view"])
    made = await post(allowed.client, path, name="Mới thêm")
    assert "Mới thêm" in [item["name"] for item in (await allowed.client.get(API + path)).json()["items"]]
    changed = await allowed.client.patch(f"{API}{path}/{made['id']}", json={"name": "x"}, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.json()["permission"]) == (403, "settings.crm")
