"""Transactions and their types."""

from uuid import uuid4

import pytest

from tests.customers.test_customers import add
from tests.factories.people import Workspace
from tests.transactions.steps import API, customer, history, patch, post, type_id

PATH = "/transactions"


@pytest.mark.feature("D038")
async def test_a_transaction_lives_and_dies(workspace: Workspace) -> None:
    one, meeting = await add(workspace.admin), await type_id(workspace)
    made = await post(
        workspace.admin, PATH, customer_id=one["id"], name=" Gặp  tại văn phòng ", type_id=meeting, description="a\nb"
    )
    assert (made["name"], made["description"], made["type"]) == ("Gặp tại văn phòng", "a\nb", "Gặp mặt")
    assert (made["state"], made["completed_at"], made["customer_name"]) == ("not_started", None, one["name"])
    path = f"{PATH}/{made['id']}"
    assert (await workspace.admin.get(API + path)).json() == made
    started = await patch(workspace.admin, path, 1, state="in_progress")
    assert started["completed_at"] is None
    done = await patch(workspace.admin, path, 2, state="completed", type_id=await type_id(workspace, "Gọi điện"))
    assert (done["state"], done["type"], done["version"]) == ("completed", "Gọi điện", 3)
    assert done["completed_at"] == done["updated_at"]
    assert (await patch(workspace.admin, path, 3, state="completed"))["version"] == 3
    assert (await patch(workspace.admin, path, 3, state="in_progress"))["completed_at"] is None
    assert (await workspace.admin.delete(API + path, headers={"If-Match": '"3"'})).status_code == 412
    assert (await workspace.admin.delete(API + path, headers={"If-Match": '"4"'})).status_code == 204
    assert (await workspace.admin.get(API + path)).status_code == 404
    kinds = [kind for kind, _ in await history(workspace.admin, one["id"])]
    assert kinds.count("customer.transaction_changed") == 3
    assert {"customer.transaction_added", "customer.transaction_removed"} <= set(kinds)


@pytest.mark.feature("D039")
async def test_a_quick_transaction_takes_only_name_description_and_type(workspace: Workspace) -> None:
    one, meeting = await add(workspace.admin), await type_id(workspace)
    quick = f"/customers/{one['id']}/transactions"
    made = await post(workspace.admin, quick, name="Gặp nhanh", type_id=meeting)
    assert (made["customer_id"], made["state"], made["description"]) == (one["id"], "not_started", "")
    for body in (
        {"name": "Gặp"}, {"type_id": meeting}, {"name": " ", "type_id": meeting},
        {"name": "Gặp", "type_id": meeting, "state": "completed"}, {"name": "Gặp", "type_id": str(uuid4())},
    ):  # fmt: skip
        assert (await workspace.admin.post(API + quick, json=body)).status_code == 422
    nobody = f"{API}/customers/{uuid4()}/transactions"
    assert (await workspace.admin.post(nobody, json={"name": "Gặp", "type_id": meeting})).status_code == 404


async def test_transactions_are_listed_by_customer_type_and_state(workspace: Workspace) -> None:
    one, other = await add(workspace.admin), await add(workspace.admin, phone="0987654321")
    meeting, call = await type_id(workspace), await type_id(workspace, "Gọi điện")
    for n in range(5):
        await post(
            workspace.admin, PATH, customer_id=(one, other)[n % 2]["id"], name=f"T{n}", type_id=(meeting, call)[n // 3],
            state=("completed", "not_started")[n % 2],
        )  # fmt: skip

    async def names(**params: str | int) -> list[str]:
        found, cursor = list[str](), None
        while True:
            page = await workspace.admin.get(API + PATH, params={**params, **({"cursor": cursor} if cursor else {})})
            assert page.status_code == 200, page.text
            found += [item["name"] for item in page.json()["items"]]
            cursor = page.json()["next_cursor"]
            if cursor is None:
                return found

    assert await names() == await names(limit=2) == ["T4", "T3", "T2", "T1", "T0"]
    assert await names(customer_id=one["id"], limit=1) == ["T4", "T2", "T0"]
    assert await names(type_id=call) == ["T4", "T3"]
    assert await names(state="completed") == ["T4", "T2", "T0"]
    assert await names(customer_id=str(uuid4())) == []
    await workspace.admin.delete(f"{API}/customers/{other['id']}", headers={"If-Match": '"2"'})
    assert await names() == ["T4", "T2", "T0"]


async def test_who_does_not_see_the_customer_sees_no_transaction(workspace: Workspace) -> None:
    one, meeting = await add(workspace.admin), await type_id(workspace)
    made = await post(workspace.admin, PATH, customer_id=one["id"], name="Kín", type_id=meeting)
    sale = await workspace.person("sale")
    own = await add(sale.client, phone="0987654321")
    seen = await post(sale.client, PATH, customer_id=own["id"], name="Của tôi", type_id=meeting)
    assert [item["id"] for item in (await sale.client.get(API + PATH)).json()["items"]] == [seen["id"]]
    path, version = f"{API}{PATH}/{made['id']}", {"If-Match": '"1"'}
    assert (await sale.client.get(path)).status_code == 404
    assert (await sale.client.patch(path, json={"name": "x"}, headers=version)).status_code == 404
    assert (await sale.client.delete(path, headers=version)).status_code == 404
    body = {"customer_id": one["id"], "name": "x", "type_id": meeting}
    refused = await sale.client.post(API + PATH, json=body)
    unknown = await sale.client.post(API + PATH, json=body | {"customer_id": str(uuid4())})
    assert (refused.status_code, refused.json()["errors"]) == (422, unknown.json()["errors"])
    assert refused.json()["errors"][0]["code"] == "customer_unknown"
    viewer = await workspace.person("sale", permissions=["customers.view", "customers.view_all", "transactions.view"])
    assert len((await viewer.client.get(API + PATH)).json()["items"]) == 2
    assert (await viewer.client.post(API + PATH, json=body)).json()["permission"] == "transactions.edit"


@pytest.mark.feature("D023")
async def test_a_transaction_makes_a_new_customer_approached(workspace: Workspace) -> None:
    one = await add(workspace.admin)
    assert one["relationship"] == "Mới"
    await post(workspace.admin, PATH, customer_id=one["id"], name="Gặp", type_id=await type_id(workspace))
    after = await customer(workspace.admin, one["id"])
    assert (after["relationship"], after["version"]) == ("Tiếp cận", 2)
    assert (await history(workspace.admin, one["id"]))[:2] == [
        ("customer.classified", "classified"), ("customer.transaction_added", "edited"),
    ]  # fmt: skip
    event = (await workspace.admin.get(f"{API}/customers/{one['id']}/events")).json()["items"][0]
    assert event["changes"] == {"relationship": ["Mới", "Tiếp cận"]}
    assert (event["data"]["reason"], event["data"]["name"]) == ("transaction", "Gặp")


async def test_types_of_transactions_are_a_list(workspace: Workspace) -> None:
    made = await post(workspace.admin, "/transaction-types", name="Ăn trưa", points=7)
    path = f"/transaction-types/{made['id']}"
    taken = await workspace.admin.post(f"{API}/transaction-types", json={"name": "ăn trưa"})
    assert (taken.status_code, taken.json()["code"]) == (409, "name_taken")
    one = await add(workspace.admin)
    kept = await post(workspace.admin, PATH, customer_id=one["id"], name="A", type_id=made["id"])
    used = await workspace.admin.delete(API + path, headers={"If-Match": '"1"'})
    assert (used.status_code, used.json()["code"], used.json()["count"]) == (409, "transaction_type_in_use", 1)
    off = await patch(workspace.admin, path, 1, active=False, name="Ăn tối")
    assert (off["name"], off["active"]) == ("Ăn tối", False)
    body = {"customer_id": one["id"], "name": "B", "type_id": made["id"]}
    assert (await workspace.admin.post(API + PATH, json=body)).status_code == 422
    assert (await patch(workspace.admin, f"{PATH}/{kept['id']}", 1, name="C"))["type"] == "Ăn tối"
    await workspace.admin.delete(f"{API}{PATH}/{kept['id']}", headers={"If-Match": '"2"'})
    assert (await workspace.admin.delete(API + path, headers={"If-Match": '"2"'})).status_code == 204
    names = [item["name"] for item in (await workspace.admin.get(f"{API}/transaction-types")).json()["items"]]
    assert names == ["Gặp mặt", "Gọi điện", "Gửi email", "Gửi báo giá", "Giới thiệu sản phẩm"]
    sale = await workspace.person("sale")
    assert (await sale.client.post(f"{API}/transaction-types", json={"name": "x"})).status_code == 403
