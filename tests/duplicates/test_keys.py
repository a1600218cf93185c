"""Duplicate keys: set per workspace, checked when a customer is added or changed."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, update

from app.core.actor import Actor
from app.core.jobs import Job
from app.duplicates import settings
from app.duplicates.models import DuplicateValue
from app.duplicates.schemas import DuplicateKeyIn
from tests.duplicates.conftest import API, a_phone, add, done, edit, set_keys
from tests.factories.people import Workspace

CUSTOMERS = f"{API}/customers"


async def refused(workspace: Workspace, **fields: Any) -> dict[str, Any]:
    """The refusal of a customer who is somebody already."""
    reply = await workspace.admin.post(CUSTOMERS, json={"name": "Người mới", "phone": a_phone(), **fields})
    assert reply.status_code == 409, reply.text
    problem: dict[str, Any] = reply.json()
    assert problem["code"] == "duplicate"
    return problem


@pytest.mark.feature("B023", "D037")
async def test_phone_and_email_are_keys_from_the_first_day(workspace: Workspace) -> None:
    first = await add(workspace.admin, name="A", email="hoa@example.com")
    problem = await refused(workspace, email="Hoa@Example.com ")
    owner = (await workspace.admin.get(f"{API}/me")).json()["full_name"]
    assert problem["detail"] == f"Email đã tồn tại trong khách hàng A thuộc chủ sở hữu {owner}"
    assert problem["existing_id"] == first["id"]
    assert problem["existing_owner_id"] == first["owner_id"]
    assert [error["field"] for error in problem["errors"]] == ["email"]
    phone = await workspace.admin.post(CUSTOMERS, json={"name": "B", "phone": first["phone"]})
    assert phone.json()["detail"] == "Số điện thoại đã tồn tại"


@pytest.mark.feature("D037")
async def test_who_may_not_see_the_other_customer_is_not_told_of_it(workspace: Workspace) -> None:
    await add(workspace.admin, name="Bí mật", email="bi.mat@example.com")
    sale = await workspace.person("sale", permissions=["customers.view", "customers.create"])
    reply = await sale.client.post(
        CUSTOMERS, json={"name": "Người mới", "phone": a_phone(), "email": "bi.mat@example.com"}
    )
    assert reply.status_code == 409
    problem = reply.json()
    assert problem["detail"] == "Email đã tồn tại"
    assert "existing_id" not in problem
    assert "Bí mật" not in reply.text


@pytest.mark.feature("D034", "D037")
async def test_who_may_look_up_everybodys_customers_is_told_the_name_and_not_the_id(workspace: Workspace) -> None:
    first = await add(workspace.admin, name="Của người khác", email="a@example.com")
    sale = await workspace.person("sale")
    reply = await sale.client.post(CUSTOMERS, json={"name": "Mới", "phone": a_phone(), "email": "a@example.com"})
    assert reply.json()["detail"].startswith("Email đã tồn tại trong khách hàng Của người khác thuộc chủ sở hữu ")
    assert first["id"] not in reply.text


async def test_in_english(workspace: Workspace) -> None:
    await add(workspace.admin, name="A", email="en@example.com")
    reply = await workspace.admin.post(
        CUSTOMERS,
        json={"name": "B", "phone": a_phone(), "email": "en@example.com"},
        headers={"Accept-Language": "en"},
    )
    assert reply.json()["detail"].startswith("E-mail already exists in the customer A, whose owner is ")


@pytest.mark.feature("D036")
@pytest.mark.parametrize(
    ("field", "value", "same", "label"),
    [
        ("name", "Nguyễn Thị Đào", "nguyen  thi dao", "Tên khách hàng"),
        ("tax_code", "0101248141", "0101248141", "Mã số thuế"),
        ("note", "Khách quen", "KHÁCH QUEN", "Mô tả"),
        ("birthday", "1990-03-05", "05/03/1990", "Sinh nhật"),
        ("office_address", "12 Lê Lợi", "12 lê lợi", "Địa chỉ văn phòng"),
        ("fax", "02838221234", "028 3822 1234", "Số fax"),
    ],
)
async def test_each_field_can_be_a_key(workspace: Workspace, field: str, value: str, same: str, label: str) -> None:
    first = await add(workspace.admin, **{"name": "Người cũ", field: value})
    await set_keys(workspace, {"fields": [field]})
    problem = await refused(workspace, **{field: same})
    assert problem["detail"].startswith(f"{label} đã tồn tại trong khách hàng {first['name']} thuộc chủ sở hữu ")
    assert problem["existing_id"] == first["id"]


@pytest.mark.feature("D036")
async def test_fields_can_be_a_key_together(workspace: Workspace) -> None:
    set_to = await set_keys(workspace, {"fields": ["birthday", "name"]})
    assert [key["label"] for key in set_to["keys"]] == ["Số điện thoại", "Tên khách hàng + Sinh nhật"]
    await add(workspace.admin, name="Lê Văn Tám", birthday="1990-03-05")
    await add(workspace.admin, name="Lê Văn Tám", birthday="1991-03-05")
    await add(workspace.admin, name="Lê Văn Tám")
    problem = await refused(workspace, name="le van tam", birthday="1990-03-05")
    assert problem["detail"].startswith("Tên khách hàng + Sinh nhật đã tồn tại trong khách hàng Lê Văn Tám")
    assert {error["field"] for error in problem["errors"]} == {"name", "birthday"}
    # The e-mail is no key any more.
    await add(workspace.admin, email="a@example.com")
    await add(workspace.admin, email="a@example.com")


@pytest.mark.feature("D037")
async def test_a_change_is_checked_as_well(workspace: Workspace) -> None:
    await set_keys(workspace, {"fields": ["email"]}, {"fields": ["name"]})
    first = await add(workspace.admin, name="Một", email="mot@example.com")
    second = await add(workspace.admin, name="Hai")
    for fields in ({"email": "mot@example.com"}, {"name": "mót"}):
        reply = await edit(workspace.admin, second, **fields)
        assert (reply.status_code, reply.json()["code"]) == (409, "duplicate")
    assert (await edit(workspace.admin, first, name="Ba")).status_code == 200
    assert (await edit(workspace.admin, second, name="Một")).status_code == 200


async def test_a_duplicate_that_was_there_before_can_still_be_changed(workspace: Workspace) -> None:
    first = await add(workspace.admin, name="Trùng tên")
    await add(workspace.admin, name="Trùng tên")
    await set_keys(workspace, {"fields": ["name"]})
    assert (await edit(workspace.admin, first, note="vẫn sửa được")).status_code == 200


async def test_a_deleted_customer_frees_its_values(workspace: Workspace) -> None:
    await set_keys(workspace, {"fields": ["email"]}, {"fields": ["name"]})
    first = await add(workspace.admin, name="Sẽ xóa", email="xoa@example.com")
    path = f"{CUSTOMERS}/{first['id']}"
    assert (await workspace.admin.delete(path, headers={"If-Match": '"1"'})).status_code == 204
    await add(workspace.admin, name="Sẽ xóa", email="xoa@example.com")


async def test_bulk_changes_and_restored_customers_are_known_to_the_keys(workspace: Workspace) -> None:
    await set_keys(workspace, {"fields": ["name", "note"]})
    first = await add(workspace.admin, name="Người mới", note="cũ")
    change = {"action": "set_field", "params": {"field": "note", "value": "mới"}, "selection": {"ids": [first["id"]]}}
    reply = await workspace.admin.post(f"{CUSTOMERS}/bulk", json=change, headers={"Idempotency-Key": "mot"})
    assert reply.status_code == 200, reply.text
    assert (await refused(workspace, note="mới"))["existing_id"] == first["id"]
    await add(workspace.admin, name="Người mới", note="cũ")
    path = f"{CUSTOMERS}/{first['id']}"
    etag = (await workspace.admin.get(path)).headers["etag"]
    assert (await workspace.admin.delete(path, headers={"If-Match": etag})).status_code == 204
    restored = await workspace.admin.post(f"{path}/restore")
    assert restored.status_code == 200, restored.text
    assert (await refused(workspace, note="mới"))["existing_id"] == first["id"]


@pytest.mark.promise(11)
@pytest.mark.parametrize("field", ["email", "name"])
async def test_of_twenty_at_once_one_gets_the_value(workspace: Workspace, field: str) -> None:
    await set_keys(workspace, {"fields": ["email"], "imports": False}, {"fields": ["name"]})
    names = [f"Người số {number}" for number in range(20)]
    bodies = [
        {"name": name, "phone": a_phone()} | ({"email": "mot@example.com"} if field == "email" else {"name": "Một"})
        for name in names
    ]
    replies = await asyncio.gather(*(workspace.admin.post(CUSTOMERS, json=body) for body in bodies))
    assert sorted(reply.status_code for reply in replies) == [201] + [409] * 19


@pytest.mark.feature("D036")
async def test_who_may_set_the_keys_and_how(workspace: Workspace) -> None:
    url = f"{API}/duplicate-keys"
    first = await workspace.admin.get(url)
    assert [key["fields"] for key in first.json()["keys"]] == [["phone"], ["email"]]
    sale = await workspace.person("sale")
    body = {"keys": [{"fields": ["name"]}]}
    assert (await sale.client.put(url, json=body, headers={"If-Match": '"0"'})).status_code == 403
    assert (await workspace.admin.put(url, json=body)).status_code == 428
    twice = {"keys": [{"fields": ["name", "email"]}, {"fields": ["email", "name"]}]}
    assert (await workspace.admin.put(url, json=twice, headers={"If-Match": '"0"'})).status_code == 422
    changed = await workspace.admin.put(url, json=body, headers={"If-Match": '"0"'})
    assert changed.status_code == 200
    assert changed.headers["etag"] == '"1"'
    assert (await workspace.admin.put(url, json=body, headers={"If-Match": '"0"'})).status_code == 412


async def test_a_field_stands_in_a_key_once(workspace: Workspace) -> None:
    body = {"keys": [{"fields": ["name", "name"]}]}
    reply = await workspace.admin.put(f"{API}/duplicate-keys", json=body, headers={"If-Match": '"0"'})
    assert (reply.status_code, reply.json()["errors"][0]["code"]) == (422, "field_twice")


async def test_keys_that_change_while_a_job_makes_them_ready_get_everybody(workspace: Workspace) -> None:
    first = await add(workspace.admin, name="Trùng tên")
    administrator = Actor(workspace.id, "user", workspace.administrator.id, "Quản trị")
    async with workspace.resources.db.transaction(workspace.id) as session:
        made = await settings.change(session, administrator, [DuplicateKeyIn(fields=["name"])], version=0)
        # A turn for other keys has got to the end already.
        progress = {"keys": [], "done": 1, "next": str(UUID(int=2**128 - 1))}
        await session.execute(update(Job).where(Job.id == made.job_id).values(progress=progress))
    await done(workspace.admin, str(made.job_id))
    assert (await refused(workspace, name="trung ten"))["existing_id"] == first["id"]


async def test_the_values_of_a_key_that_is_no_more_go(workspace: Workspace) -> None:
    async def kept() -> int | None:
        async with workspace.resources.db.transaction(workspace.id) as session:
            return await session.scalar(select(func.count()).where(DuplicateValue.tenant_id == workspace.id))

    await set_keys(workspace, {"fields": ["name"]})
    await add(workspace.admin)
    assert await kept() == 1
    await set_keys(workspace)
    assert await kept() == 0
