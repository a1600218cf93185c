"""Who has a phone or a unique value when a bulk change frees it, and when it would come back."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import delete, insert

from app.core.clock import new_id, now
from app.customers import batches
from app.customers.models import Customer
from app.doctor import examine
from tests.bulk.steps import API, BULK, add, do, items, read, throw, undo
from tests.factories.people import Workspace
from workers.main import WorkerProcess

PHONE, E164 = "0912345678", "+84912345678"


async def unique_attribute(workspace: Workspace) -> None:
    reply = await workspace.admin.post(
        f"{API}/attributes", json={"name": "Số hợp đồng", "key": "so_hd", "type": "text", "unique": True}
    )
    assert reply.status_code == 201, reply.text


async def contact(workspace: Workspace, customer_id: str, phone: str = PHONE) -> None:
    """A contact of the customer, with this phone."""
    reply = await workspace.admin.post(
        f"{API}/customers/{customer_id}/contacts", json={"name": "Vợ", "phones": [{"value": phone}]}
    )
    assert reply.status_code == 201, reply.text


async def sound(workspace: Workspace) -> None:
    """The doctor finds nothing wrong with this workspace."""
    found = await examine(str(workspace.resources.settings.database_url))
    wrong = [one for one in found if str(workspace.id) in " ".join(one.examples)]
    assert wrong == []


@pytest.mark.feature("E005")
async def test_a_cleared_unique_value_is_free_until_the_undo(workspace: Workspace, worker: WorkerProcess) -> None:
    await unique_attribute(workspace)
    first = await add(workspace.admin, 1, attributes={"so_hd": "A1"})
    second = await add(workspace.admin, 1, attributes={"so_hd": "A2"})
    ids = [first[0]["id"], second[0]["id"]]
    job = await do(workspace.admin, "set_field", ids, field="attributes.so_hd", value=None)
    assert job["result"]["changed"] == 2
    await sound(workspace)
    await add(workspace.admin, 1, attributes={"so_hd": "A1"})
    assert (await undo(workspace.admin, job["id"]))["result"] == {"restored": 1, "kept": 1}
    codes = {one["customer_id"]: one["undo_code"] for one in await items(workspace.admin, job["id"])}
    assert codes == {ids[0]: "value_taken", ids[1]: None}
    assert (await read(workspace.admin, ids[1]) or {})["attributes"] == {"so_hd": "A2"}
    refused = await workspace.admin.post(
        f"{API}/customers", json={"name": "Ba", "phone": "0987654321", "attributes": {"so_hd": "A2"}}
    )
    assert (refused.status_code, refused.json()["code"]) == (409, "value_taken")
    await sound(workspace)


async def test_a_cleared_phone_is_free_until_the_undo(workspace: Workspace, worker: WorkerProcess) -> None:
    field = await workspace.admin.get(f"{API}/fields/phone")
    await workspace.admin.patch(
        f"{API}/fields/phone", json={"required": False}, headers={"If-Match": field.headers.get("etag", '"1"')}
    )
    [one] = await add(workspace.admin, 1, phone=PHONE)
    job = await do(workspace.admin, "set_field", [one["id"]], field="phone", value=None)
    assert job["result"]["changed"] == 1
    await add(workspace.admin, 1, phone=PHONE)
    assert (await undo(workspace.admin, job["id"]))["result"] == {"restored": 0, "kept": 1}
    assert (await items(workspace.admin, job["id"]))[0]["undo_code"] == "phone_taken"


@pytest.mark.feature("B013", "D004")
@pytest.mark.parametrize("whose", ["contact", "own"])
async def test_no_phone_belongs_to_two_after_a_restore(workspace: Workspace, worker: WorkerProcess, whose: str) -> None:
    """Once a contact of another has the phone of who was deleted, once another has that of a contact of theirs."""
    if whose == "contact":
        [gone] = await add(workspace.admin, 1, phone=PHONE)
    else:
        [gone] = await add(workspace.admin, 1)
        await contact(workspace, gone["id"])
    deleted = await do(workspace.admin, "delete", [gone["id"]])
    [other] = await add(workspace.admin, 1, **({} if whose == "contact" else {"phone": PHONE}))
    if whose == "contact":
        await contact(workspace, other["id"])
    single = await workspace.admin.post(f"{API}/customers/{gone['id']}/restore")
    assert single.status_code == 409, single.text
    assert single.json()["code"] == ("phone_in_contact" if whose == "contact" else "phone_taken")
    preview = {"action": "restore", "selection": {"ids": [gone["id"]]}}
    reply = await workspace.admin.post(f"{BULK}/preview", json=preview)
    assert [one["code"] for one in reply.json()["skipped"]] == ["phone_taken"], reply.text
    restored = await do(workspace.admin, "restore", [gone["id"]])
    assert [one["code"] for one in await items(workspace.admin, restored["id"])] == ["phone_taken"]
    assert (await undo(workspace.admin, deleted["id"]))["result"] == {"restored": 0, "kept": 1}
    await sound(workspace)


async def test_of_two_who_return_together_one_has_the_phone(workspace: Workspace, worker: WorkerProcess) -> None:
    """Contacts count, leads do not; who cannot return anyway stands in nobody's way."""
    await unique_attribute(workspace)
    [a] = await add(workspace.admin, 1, phone=PHONE)
    await throw(workspace.admin, a["id"])
    [b] = await add(workspace.admin, 1)
    await contact(workspace, b["id"])
    await throw(workspace.admin, b["id"])
    [lead] = await add(workspace.admin, 1, phone=PHONE, kind="lead", attributes={"so_hd": "A1"})
    await throw(workspace.admin, lead["id"])
    [holder] = await add(workspace.admin, 1, attributes={"so_hd": "A1"})
    job = await do(workspace.admin, "restore", [one["id"] for one in (a, b, lead)])
    codes = {one["customer_id"]: one["code"] for one in await items(workspace.admin, job["id"])}
    assert codes == {a["id"]: "phone_taken", b["id"]: None, lead["id"]: "value_taken"}
    await do(workspace.admin, "delete", [b["id"], holder["id"]])
    job = await do(workspace.admin, "restore", [one["id"] for one in (a, b)])
    codes = {one["customer_id"]: one["code"] for one in await items(workspace.admin, job["id"])}
    assert codes == {a["id"]: "phone_taken", b["id"]: None}
    await sound(workspace)


async def test_a_twin_whom_the_caller_cannot_see_stands_in_nobodys_way(workspace: Workspace) -> None:
    rights = ["customers.view", "customers.create", "customers.edit", "customers.delete", "customers.reveal_phone"]
    sale = await workspace.person("sale", permissions=rights)
    [mine] = await add(sale.client, 1, phone=PHONE)
    await throw(sale.client, mine["id"])
    [theirs] = await add(workspace.admin, 1, phone=PHONE)
    await throw(workspace.admin, theirs["id"])
    job = await do(sale.client, "restore", [mine["id"], theirs["id"]])
    assert job["result"] == {"changed": 1, "unchanged": 0, "skipped": 1}
    assert (await read(sale.client, mine["id"]) or {})["phone"] == E164


@pytest.mark.feature("B013", "E009")
async def test_thousands_are_deleted_and_come_back(workspace: Workspace, worker: WorkerProcess, many: int) -> None:
    """Parts as large as they are: whatever is quadratic in a part takes minutes here."""
    assert many <= batches.PART
    job = await do(workspace.admin, "delete", {"filter": {}}, expected_count=many)
    assert (job["state"], job["result"]["changed"]) == ("succeeded", many)
    preview = {"action": "restore", "selection": {"filter": {}}}
    reply = await workspace.admin.post(f"{BULK}/preview", json=preview, timeout=30)
    assert reply.json()["changed"] == many, reply.text
    assert (await undo(workspace.admin, job["id"]))["result"] == {"restored": many, "kept": 0}


@pytest.fixture
async def many(workspace: Workspace) -> AsyncIterator[int]:
    """So many customers, of whom there is no more than their rows; gone afterwards."""
    count, moment = 5_000, now()
    rows = [
        {
            "tenant_id": workspace.id, "id": new_id(), "code": f"KH{n:06d}", "name": f"Khách {n}",
            "phone": f"+8491{n:07d}", "group_nos": [], "attributes": {}, "version": 1, "created_at": moment,
            "updated_at": moment,
        }
        for n in range(count)
    ]  # fmt: skip
    async with workspace.resources.db.transaction(workspace.id) as session:
        await session.execute(insert(Customer), rows)
    yield count
    async with workspace.resources.db.transaction(workspace.id) as session:
        await session.execute(delete(Customer).where(Customer.tenant_id == workspace.id))
