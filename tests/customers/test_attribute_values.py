"""What a change of an attribute does to customers: required, unique, choices, slots, and after its deletion."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select

from app.core.clock import now
from app.core.jobs import Job
from app.customers import attribute_values, attributes
from app.customers.models import SLOTS, Attribute, Customer, UniqueValue
from tests.customers.test_attributes import PATH, attribute, change, people
from tests.customers.test_customers import PATH as CUSTOMERS
from tests.customers.test_customers import add
from tests.customers.test_groups import ended
from tests.customers.test_list import names
from tests.factories.people import Workspace
from workers import customers as jobs_of_customers
from workers.main import WorkerProcess


async def read(workspace: Workspace, customer_id: str) -> dict[str, Any]:
    """A customer's attributes."""
    found: dict[str, Any] = (await workspace.admin.get(f"{CUSTOMERS}/{customer_id}")).json()["attributes"]
    return found


async def slots(workspace: Workspace) -> dict[str, str | None]:
    """The slot of each attribute, deleted ones included, by key."""
    async with workspace.resources.db.transaction(workspace.id) as session:
        return {row.key: row.slot for row in await session.scalars(select(Attribute))}


async def test_required_binds_what_is_written_from_now_on(workspace: Workspace) -> None:
    old = await add(workspace.admin)
    made = await attribute(workspace.admin, required=True)
    refused = await workspace.admin.post(CUSTOMERS, json={"name": "A", "phone": "0912345679"})
    assert refused.status_code == 422
    assert refused.json()["errors"] == [
        {"field": "attributes.han_muc", "code": "required", "message": "Hạn mức là bắt buộc"}
    ]
    path = f"{CUSTOMERS}/{old['id']}"
    assert (await workspace.admin.patch(path, json={"note": "a"}, headers={"If-Match": '"1"'})).status_code == 200
    cleared = await workspace.admin.patch(path, json={"attributes": {"han_muc": None}}, headers={"If-Match": '"2"'})
    assert cleared.json()["errors"][0]["code"] == "required"
    assert (await change(workspace.admin, made, required=False)).status_code == 200
    await add(workspace.admin, phone="0912345679")


@pytest.mark.parametrize(("type_", "value"), [("email", "a@example.com"), ("integer", 7), ("text", "Kỹ sư")])
async def test_a_unique_value_has_one_holder(workspace: Workspace, type_: str, value: Any) -> None:
    await attribute(workspace.admin, "Mới", type_, unique=True)
    bodies = [{"name": "Cùng lúc", "phone": f"09123456{n:02}", "attributes": {"moi": value}} for n in range(20)]
    replies = await asyncio.gather(*(workspace.admin.post(CUSTOMERS, json=body) for body in bodies))
    assert sorted(reply.status_code for reply in replies) == [201] + [409] * 19
    refused = next(reply.json() for reply in replies if reply.status_code == 409)
    assert (refused["code"], refused["detail"]) == ("value_taken", "Mới đã tồn tại")
    assert refused["errors"][0]["field"] == "attributes.moi"
    winner = next(reply.json() for reply in replies if reply.status_code == 201)
    path = f"{CUSTOMERS}/{winner['id']}"
    assert (await workspace.admin.patch(path, json={"note": "a"}, headers={"If-Match": '"1"'})).status_code == 200
    await workspace.admin.patch(path, json={"attributes": {"moi": None}}, headers={"If-Match": '"2"'})
    await add(workspace.admin, phone="0912345699", attributes={"moi": value})


async def test_an_attribute_becomes_unique_once_no_value_repeats(workspace: Workspace, worker: WorkerProcess) -> None:
    made = await attribute(workspace.admin, "Số hợp đồng", "text")
    ids = await people(workspace, "so_hop_dong", "A1", "A1", "A2", "A2", "A3", None, None)
    refused = await change(workspace.admin, made, unique=True)
    assert refused.status_code == 409
    assert (refused.json()["code"], refused.json()["count"]) == ("attribute_not_unique", 2)
    assert refused.json()["detail"] == "Có 2 giá trị đang bị trùng, chưa thể đặt là duy nhất"
    for one in (ids[1], ids[3]):
        await workspace.admin.delete(f"{CUSTOMERS}/{one}", headers={"If-Match": '"1"'})
    unique = await change(workspace.admin, made, unique=True)
    assert unique.status_code == 200
    assert unique.json()["unique"] is True
    body = {"name": "B", "phone": "0912345699", "attributes": {"so_hop_dong": "A3"}}
    assert (await workspace.admin.post(CUSTOMERS, json=body)).json()["code"] == "value_taken"
    off = await change(workspace.admin, unique.json(), unique=False)
    assert off.status_code == 200
    assert (await workspace.admin.post(CUSTOMERS, json=body)).status_code == 201
    assert (await change(workspace.admin, off.json(), unique=True)).json()["count"] == 1


@pytest.mark.parametrize("letter", ["\u6f22", "\U0001f4a1", "ậ", "a"])
async def test_a_text_of_any_script_is_kept_found_and_sorted(workspace: Workspace, letter: str) -> None:
    made = await attribute(workspace.admin, "Ghi nhớ", "text")
    texts = [letter * 900 + end for end in "ab"]
    ids = [
        (await add(workspace.admin, name=f"{n}", phone=f"091234567{n}", attributes={made["key"]: one}))["id"]
        for n, one in enumerate(texts)
    ]
    assert [await read(workspace, one) for one in ids] == [{made["key"]: one} for one in texts]
    assert await names(workspace, sort=f"attributes.{made['key']}", limit=1) == ["0", "1"]


async def test_a_unique_text_has_an_end(workspace: Workspace) -> None:
    made = await attribute(workspace.admin, "Ghi nhớ", "text")
    long = await add(workspace.admin, attributes={made["key"]: "\U0001f4a1" * 501})
    refused = await change(workspace.admin, made, unique=True)
    assert [(one["field"], one["code"]) for one in refused.json()["errors"]] == [("unique", "too_long")]
    path = f"{CUSTOMERS}/{long['id']}"
    shorter = {"attributes": {made["key"]: "\U0001f4a1" * 500}}
    assert (await workspace.admin.patch(path, json=shorter, headers={"If-Match": '"1"'})).status_code == 200
    assert (await change(workspace.admin, made, unique=True)).status_code == 200
    link = await attribute(workspace.admin, "Trang", "link", unique=True)
    for key, value in ((made["key"], "a" * 501), (link["key"], "https://a.vn/" + "a" * 600)):
        body = {"name": "A", "phone": "0987000333", "attributes": {key: value}}
        errors = (await workspace.admin.post(CUSTOMERS, json=body)).json()["errors"]
        assert [one["code"] for one in errors] == ["too_long"]


async def test_a_value_written_while_it_became_unique_is_taken_later(
    workspace: Workspace, worker: WorkerProcess
) -> None:
    made = await attribute(workspace.admin, "Số hợp đồng", "text")
    ids = await people(workspace, "so_hop_dong", "A1", "A2")
    assert (await change(workspace.admin, made, unique=True)).status_code == 200
    async with workspace.resources.db.transaction(workspace.id) as session:
        job = (await session.scalars(select(Job).where(Job.kind == attributes.CLAIM_REST))).one()
        assert job.run_at > now() + timedelta(seconds=30)
        job.run_at = now()
        # What a writer leaves who did not know yet.
        await session.execute(
            delete(UniqueValue).where(UniqueValue.tenant_id == workspace.id, UniqueValue.value == "A2")
        )
    worker.runner.wake("bulk", workspace.id, job.id)
    await ended(workspace, attributes.CLAIM_REST)
    async with workspace.resources.db.transaction(workspace.id) as session:
        held = await session.execute(
            select(UniqueValue.value, UniqueValue.customer_id).where(UniqueValue.tenant_id == workspace.id)
        )
        assert {value: str(holder) for value, holder in held} == {"A1": ids[0], "A2": ids[1]}


@pytest.mark.parametrize("type_", ["choice", "choices"])
async def test_choices_come_and_go_and_are_renamed(workspace: Workspace, type_: str) -> None:
    made = await attribute(workspace.admin, "Mức", type_, choices=["Thấp", "Vừa", "Cao"])
    value = "Vừa" if type_ == "choice" else ["Thấp", "Vừa"]
    (one,) = await people(workspace, "muc", value)
    refused = await change(workspace.admin, made, choices=["Thấp", "Cao"])
    assert refused.status_code == 409
    assert refused.json() | {"code": "choice_in_use", "count": 1, "choices": {"Vừa": 1}} == refused.json()
    assert "1 khách hàng dùng giá trị “Vừa”" in refused.json()["detail"]

    changed = await change(
        workspace.admin, made, choices=["Thấp", "Trung bình", "Rất cao"], renamed={"Vừa": "Trung bình"}
    )
    assert changed.status_code == 200, changed.text
    assert changed.json()["choices"] == ["Thấp", "Trung bình", "Rất cao"]
    after = "Trung bình" if type_ == "choice" else ["Thấp", "Trung bình"]
    assert (await read(workspace, one)) == {"muc": after}
    assert await names(workspace, **{"attributes.muc": "trung binh"}) == ["N0"]
    gone = await workspace.admin.post(
        CUSTOMERS, json={"name": "B", "phone": "0912345699", "attributes": {"muc": "Vừa"}}
    )
    assert gone.json()["errors"][0]["message"] == "Mức: không có giá trị “Vừa” trong hệ thống"
    await add(workspace.admin, phone="0912345699", attributes={"muc": "rat cao"})

    renamed = await change(workspace.admin, changed.json(), renamed={"Thấp": "thấp"})
    assert renamed.json()["choices"] == ["thấp", "Trung bình", "Rất cao"]


async def test_many_renamed_values_go_in_a_job(
    workspace: Workspace, worker: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attributes, "AT_ONCE", 1)
    monkeypatch.setattr(jobs_of_customers, "CHUNK", 2)
    made = await attribute(workspace.admin, "Mức", "choice", choices=["Thấp", "Cao"])
    ids = await people(workspace, "muc", "Cao", "Thấp", "Cao", "Cao", None)
    await workspace.admin.delete(f"{CUSTOMERS}/{ids[3]}", headers={"If-Match": '"1"'})
    assert (await change(workspace.admin, made, renamed={"Cao": "Nóng"})).status_code == 200
    await ended(workspace, attributes.RENAME_CHOICES)
    assert [(await read(workspace, one)).get("muc") for one in (*ids[:3], ids[4])] == ["Nóng", "Thấp", "Nóng", None]
    assert await names(workspace, **{"attributes.muc": "Nóng"}) == ["N2", "N0"]
    async with workspace.resources.db.transaction(workspace.id) as session:
        trashed = await session.scalar(select(Customer.attributes).where(Customer.id == ids[3]))
    assert trashed == {"muc": "Nóng"}


async def test_slots_are_given_once_and_run_out(workspace: Workspace) -> None:
    bodies = [{"name": f"Thuộc tính {n}", "type": "text"} for n in range(12)]
    replies = await asyncio.gather(*(workspace.admin.post(PATH, json=body) for body in bodies))
    assert {reply.status_code for reply in replies} == {201}
    given_out = [slot for slot in (await slots(workspace)).values() if slot]
    assert sorted(given_out) == sorted(slot for slot in SLOTS if slot[0] == "t")
    without = next(reply.json() for reply in replies if not reply.json()["filterable"])
    (one, _) = await people(workspace, without["key"], "Kỹ sư", "Bác sĩ")
    assert await read(workspace, one) == {without["key"]: "Kỹ sư"}
    assert await names(workspace, **{f"attributes.{without['key']}": "Bác sĩ"}) == ["N1"]
    for type_, slot in (("long_text", None), ("choices", None), ("date", "d1"), ("boolean", None), ("integer", "n1")):
        choices = ["A"] if type_ == "choices" else []
        key = (await attribute(workspace.admin, f"Loại {type_}", type_, choices=choices))["key"]
        assert (await slots(workspace))[key] == slot


@pytest.mark.feature("A075")
async def test_a_deleted_attribute_is_gone_and_its_values_stay_unseen(workspace: Workspace) -> None:
    made = await attribute(workspace.admin)
    kept = await attribute(workspace.admin, "Ghi nợ")
    one = await add(workspace.admin, attributes={"han_muc": 5, "ghi_no": 6})
    assert one["attributes"] == {"han_muc": 5, "ghi_no": 6}
    await workspace.admin.delete(f"{PATH}/{made['id']}", headers={"If-Match": '"1"'})
    assert await read(workspace, one["id"]) == {"ghi_no": 6}
    assert (await workspace.admin.get(CUSTOMERS)).json()["items"][0]["attributes"] == {"ghi_no": 6}
    found = await workspace.admin.get(CUSTOMERS, params={"q": "Thử", "fields": "attributes"})
    assert found.json()["items"] == [{"id": one["id"], "attributes": {"ghi_no": 6}, "version": 1}]
    for params in ({"attributes.han_muc": "5"}, {"sort": "attributes.han_muc"}):
        assert (await workspace.admin.get(CUSTOMERS, params=params)).status_code == 422
    path = f"{CUSTOMERS}/{one['id']}"
    refused = await workspace.admin.patch(path, json={"attributes": {"han_muc": 1}}, headers={"If-Match": '"1"'})
    assert refused.json()["errors"][0]["code"] == "field_unknown"
    changed = await workspace.admin.patch(path, json={"attributes": {"ghi_no": 7}}, headers={"If-Match": '"1"'})
    assert changed.json()["attributes"] == {"ghi_no": 7}
    async with workspace.resources.db.transaction(workspace.id) as session:
        stored = await session.scalar(select(Customer.attributes).where(Customer.id == one["id"]))
    assert stored == {"han_muc": 5, "ghi_no": 7}
    keys = [field["key"] for field in (await workspace.admin.get("/api/v1/fields")).json()["items"]]
    assert "attributes.ghi_no" in keys
    assert "attributes.han_muc" not in keys
    assert (await workspace.admin.get(PATH)).json()["items"] == [kept]


async def test_a_slot_is_given_again_only_when_it_is_empty(
    workspace: Workspace, worker: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attribute_values, "SETTLE", timedelta(0))
    monkeypatch.setattr(jobs_of_customers, "CHUNK", 2)
    made = await attribute(workspace.admin, "Hạn mức", "text", unique=True)
    ids = await people(workspace, "han_muc", "1", "2", "3", None, "5")
    await workspace.admin.delete(f"{CUSTOMERS}/{ids[4]}", headers={"If-Match": '"1"'})
    await workspace.admin.delete(f"{PATH}/{made['id']}", headers={"If-Match": '"1"'})
    job = await ended(workspace, attributes.FREE_SLOT)
    assert job.progress == {"settled": True, "after": ids[4]}
    assert await slots(workspace) == {"han_muc": None}
    async with workspace.resources.db.transaction(workspace.id) as session:
        assert (await session.scalars(select(Customer.t1))).all() == [None] * 5
        claims = select(UniqueValue.value).where(UniqueValue.tenant_id == workspace.id)
        assert (await session.scalars(claims)).all() == []
    await attribute(workspace.admin, "Nghề", "text")
    assert (await slots(workspace))["nghe"] == "t1"
    assert await names(workspace, **{"attributes.nghe": "1"}) == []


async def test_until_it_is_empty_a_slot_stays_taken(workspace: Workspace) -> None:
    made = await attribute(workspace.admin, "Hạn mức", "text")
    await people(workspace, "han_muc", "1")
    await workspace.admin.delete(f"{PATH}/{made['id']}", headers={"If-Match": '"1"'})
    await attribute(workspace.admin, "Nghề", "text")
    assert await slots(workspace) == {"han_muc": "t1", "nghe": "t2"}
    assert await names(workspace, **{"attributes.nghe": ""}) == ["N0"]
