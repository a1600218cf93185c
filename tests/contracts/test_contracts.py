"""Contracts."""

import asyncio
from uuid import uuid4

import pytest

from tests.customers.test_customers import add
from tests.factories.people import Workspace
from tests.transactions.steps import API, customer, history, patch, post

PATH = "/contracts"


async def test_a_contract_lives_and_dies(workspace: Workspace) -> None:
    one = await add(workspace.admin)
    made = await post(
        workspace.admin, PATH, customer_id=one["id"], number=" HD-01 ", value=120_000_000, signed_on="2026-11-20",
        starts_on="2026-12-01", ends_on="2027-11-30", note="Trả góp",
    )  # fmt: skip
    assert (made["number"], made["value"], made["state"]) == ("HD-01", 120_000_000, "active")
    assert (made["signed_on"], made["move_to_signed"], made["customer_name"]) == ("2026-11-20", False, one["name"])
    path = f"{PATH}/{made['id']}"
    assert (await workspace.admin.get(API + path)).json() == made
    changed = await patch(workspace.admin, path, 1, value=5, ends_on=None, state="finished")
    assert (changed["value"], changed["ends_on"], changed["starts_on"]) == (5, None, "2026-12-01")
    assert (await patch(workspace.admin, path, 2, value=5))["version"] == 2
    assert (await workspace.admin.delete(API + path, headers={"If-Match": '"1"'})).status_code == 412
    assert (await workspace.admin.delete(API + path, headers={"If-Match": '"2"'})).status_code == 204
    assert (await workspace.admin.get(API + path)).status_code == 404
    kinds = [kind for kind, _ in await history(workspace.admin, one["id"])]
    assert kinds[:2] == ["customer.contract_removed", "customer.contract_changed"]


async def test_a_number_belongs_to_one_contract(workspace: Workspace) -> None:
    one = await add(workspace.admin)
    body = {"customer_id": one["id"], "number": "HD-01", "value": 1}
    replies = await asyncio.gather(*(workspace.admin.post(API + PATH, json=body) for _ in range(4)))
    assert sorted(reply.status_code for reply in replies) == [201, 409, 409, 409]
    taken = await workspace.admin.post(API + PATH, json=body | {"number": "hd-01"})
    assert (taken.json()["code"], taken.json()["detail"]) == ("contract_number_taken", "Số hợp đồng đã tồn tại")
    other = await post(workspace.admin, PATH, customer_id=one["id"], number="HD-02", value=1)
    again = await workspace.admin.patch(
        f"{API}{PATH}/{other['id']}", json={"number": "hd-01"}, headers={"If-Match": '"1"'}
    )
    assert (again.status_code, again.json()["errors"][0]["field"]) == (409, "number")


@pytest.mark.parametrize(
    "wrong",
    [
        {"value": -1}, {"value": 1.5}, {"number": " "}, {"state": "signed"}, {"customer_id": str(uuid4())},
        {"starts_on": "2026-02-02", "ends_on": "2026-02-01"}, {"signed_on": "0001-01-01"},
    ],
)  # fmt: skip
async def test_a_wrong_contract_is_refused(workspace: Workspace, wrong: dict[str, object]) -> None:
    one = await add(workspace.admin)
    body = {"customer_id": one["id"], "number": "1", "value": 1, **wrong}
    reply = await workspace.admin.post(API + PATH, json=body)
    assert reply.status_code == 422
    assert (await customer(workspace.admin, one["id"]))["version"] == 1


@pytest.mark.feature("D021", "D046")
async def test_the_tick_moves_the_customer_to_signed(workspace: Workspace) -> None:
    one = await add(workspace.admin)
    made = await post(workspace.admin, PATH, customer_id=one["id"], number="1", value=1, move_to_signed=True)
    assert (await customer(workspace.admin, one["id"]))["relationship"] == "Chốt"
    assert (await history(workspace.admin, one["id"]))[:2] == [
        ("customer.classified", "classified"), ("customer.contract_signed", "contract_closed"),
    ]  # fmt: skip
    # Nobody who has signed goes back: neither for another contract nor when the tick is taken off.
    await post(workspace.admin, PATH, customer_id=one["id"], number="2", value=1)
    await patch(workspace.admin, f"{PATH}/{made['id']}", 1, move_to_signed=False)
    assert (await customer(workspace.admin, one["id"]))["relationship"] == "Chốt"


@pytest.mark.feature("D023", "D046")
async def test_without_the_tick_the_customer_is_approached_until_it_is_ticked(workspace: Workspace) -> None:
    one = await add(workspace.admin)
    made = await post(workspace.admin, PATH, customer_id=one["id"], number="1", value=1)
    assert (await customer(workspace.admin, one["id"]))["relationship"] == "Tiếp cận"
    await patch(workspace.admin, f"{PATH}/{made['id']}", 1, move_to_signed=True)
    assert (await customer(workspace.admin, one["id"]))["relationship"] == "Chốt"


async def test_contracts_are_listed_as_their_customers_are_seen(workspace: Workspace) -> None:
    one = await add(workspace.admin)
    sale = await workspace.person("sale")
    own = await add(sale.client, phone="0987654321")
    states = ("draft", "active", "cancelled")
    for number, state in enumerate(states):
        await post(workspace.admin, PATH, customer_id=one["id"], number=f"A{number}", value=1, state=state)
    mine = await post(sale.client, PATH, customer_id=own["id"], number="B", value=1)
    first = (await workspace.admin.get(API + PATH, params={"limit": 3})).json()
    rest = await workspace.admin.get(API + PATH, params={"limit": 3, "cursor": first["next_cursor"]})
    assert [item["number"] for item in first["items"] + rest.json()["items"]] == ["B", "A2", "A1", "A0"]
    of_one = (await workspace.admin.get(API + PATH, params={"customer_id": one["id"], "state": "draft"})).json()
    assert [item["number"] for item in of_one["items"]] == ["A0"]
    assert [item["id"] for item in (await sale.client.get(API + PATH)).json()["items"]] == [mine["id"]]
    hidden = f"{API}{PATH}/{of_one['items'][0]['id']}"
    assert (await sale.client.get(hidden)).status_code == 404
    assert (await sale.client.delete(hidden, headers={"If-Match": '"1"'})).status_code == 404
