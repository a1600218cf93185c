"""Duplicate keys in imports: rows that are somebody already are refused, skipped or change that customer."""

from typing import Any

import pytest

from tests.duplicates.conftest import API, a_phone, add, set_keys
from tests.factories.people import Workspace
from tests.imports.steps import bring, undo

HEADER = ["Họ tên", "SĐT", "Email", "Mã số thuế"]


async def rows_of(workspace: Workspace, import_id: str) -> list[dict[str, Any]]:
    """What became of each row."""
    reply = await workspace.admin.get(f"{API}/imports/{import_id}/rows", params={"limit": 200})
    assert reply.status_code == 200, reply.text
    items: list[dict[str, Any]] = reply.json()["items"]
    return items


async def customers(workspace: Workspace) -> dict[str, dict[str, Any]]:
    """All customers by name."""
    items = (await workspace.admin.get(f"{API}/customers", params={"limit": 200})).json()["items"]
    return {one["name"]: one for one in items}


@pytest.mark.feature("D036", "D037")
async def test_rows_that_are_somebody_already_are_refused(workspace: Workspace) -> None:
    await set_keys(workspace, {"fields": ["email"]}, {"fields": ["tax_code"]})
    first = await add(workspace.admin, name="Cũ", email="cu@example.com", tax_code="0101248141")
    await add(workspace.admin, name="Của chung", email="chung@example.com", owner=None)
    made = await bring(
        workspace.admin,
        [
            HEADER,
            ["Mới", a_phone(), "moi@example.com", ""],
            ["Trùng email", a_phone(), "CU@example.com", ""],
            ["Trùng mã số thuế", a_phone(), "", "0101248141"],
            ["Trùng dòng trên", a_phone(), "moi@example.com", ""],
            ["Cũ, đổi tên", first["phone"], "cu@example.com", ""],
            ["Trùng của chung", a_phone(), "chung@example.com", ""],
        ],
        on_duplicate="reject",
    )
    assert made["state"] == "succeeded", made
    found = {row["row"]: row for row in await rows_of(workspace, made["id"])}
    assert [found[number]["status"] for number in range(2, 8)] == ["created", *["failed"] * 5]
    errors = [found[number]["errors"][0] for number in (3, 4, 5, 6, 7)]
    assert [one["code"] for one in errors] == ["duplicate", "duplicate", "duplicate", "phone_taken", "duplicate"]
    owner = (await workspace.admin.get(f"{API}/me")).json()["full_name"]
    assert errors[0]["message"] == f"Email đã tồn tại trong khách hàng Cũ thuộc chủ sở hữu {owner}"
    assert errors[1]["message"] == f"Mã số thuế đã tồn tại trong khách hàng Cũ thuộc chủ sở hữu {owner}"
    assert errors[2]["message"] == "Email đã tồn tại"
    assert errors[4]["message"] == "Email đã tồn tại trong khách hàng Của chung (chưa có chủ sở hữu)"
    assert set(await customers(workspace)) == {"Cũ", "Mới", "Của chung"}


@pytest.mark.feature("D036", "A081")
@pytest.mark.parametrize("mode", ["update", "skip"])
async def test_rows_change_or_skip_the_customer_whose_values_they_have(workspace: Workspace, mode: str) -> None:
    await set_keys(workspace, {"fields": ["email"]})
    first = await add(workspace.admin, name="Cũ", email="cu@example.com")
    phone = a_phone()
    made = await bring(
        workspace.admin,
        [HEADER, ["Tên mới", phone, "cu@example.com", ""], ["Nữa", a_phone(), "cu@example.com", ""]],
        on_duplicate=mode,
    )
    assert made["state"] == "succeeded", made
    statuses = [row["status"] for row in await rows_of(workspace, made["id"])]
    now = (await workspace.admin.get(f"{API}/customers/{first['id']}")).json()
    assert len(await customers(workspace)) == 1
    assert now["phone"] == first["phone"]
    if mode == "update":
        assert sorted(statuses) == ["failed", "updated"]
        assert now["name"] == "Tên mới"
        [told] = (await rows_of(workspace, made["id"]))[0]["errors"]
        assert (told["field"], told["code"], told["column"]) == ("phone", "phone_not_taken", "B")
        assert told["value"] == "+84" + phone.removeprefix("+84").removeprefix("0")
        assert told["message"].startswith("Số điện thoại của dòng này không được lấy")
    else:
        assert statuses == ["skipped", "skipped"]
        assert now["name"] == "Cũ"


@pytest.mark.feature("D036")
async def test_what_an_import_brings_is_known_to_the_keys(workspace: Workspace) -> None:
    await set_keys(workspace, {"fields": ["name"]})
    made = await bring(workspace.admin, [HEADER, ["Lê Hoa", a_phone(), "", ""], ["le  hoa", a_phone(), "", ""]])
    assert [row["status"] for row in await rows_of(workspace, made["id"])].count("failed") == 1
    reply = await workspace.admin.post(f"{API}/customers", json={"name": "LÊ HOA", "phone": a_phone()})
    assert (reply.status_code, reply.json()["code"]) == (409, "duplicate")
    again = await bring(workspace.admin, [HEADER, ["Lê Hòa", a_phone(), "", ""]])
    assert [row["status"] for row in await rows_of(workspace, again["id"])] == ["updated"]


async def test_an_undone_import_gives_its_values_back(workspace: Workspace) -> None:
    await set_keys(workspace, {"fields": ["name"]})
    first = await add(workspace.admin, name="Tên cũ")
    made = await bring(
        workspace.admin, [HEADER, ["Tên mới", first["phone"], "", ""], ["Người thêm", a_phone(), "", ""]]
    )
    await add(workspace.admin, name="Tên cũ hơn")
    await undo(workspace, made["id"])
    for name, status in (("Tên cũ", 409), ("Tên mới", 201), ("Người thêm", 201)):
        reply = await workspace.admin.post(f"{API}/customers", json={"name": name, "phone": a_phone()})
        assert reply.status_code == status, reply.text


async def test_a_change_by_import_is_checked_like_one_by_hand(workspace: Workspace) -> None:
    await set_keys(workspace, {"fields": ["email"]})
    await add(workspace.admin, name="Một", email="mot@example.com")
    second = await add(workspace.admin, name="Hai")
    made = await bring(workspace.admin, [HEADER, ["Hai", second["phone"], "mot@example.com", ""]])
    assert [row["status"] for row in await rows_of(workspace, made["id"])] == ["failed"]
    assert (await customers(workspace))["Hai"]["email"] is None


@pytest.mark.parametrize("dry_run", [True, False])
async def test_a_phone_that_a_row_could_not_give_is_told(workspace: Workspace, dry_run: bool) -> None:
    await set_keys(workspace, {"fields": ["email"]})
    first, second = [await add(workspace.admin, name=name, email=f"{name}@example.com") for name in ("mot", "hai")]
    rows = [["Một", first["phone"], "mot@example.com", ""], ["Hai", a_phone(), "hai@example.com", ""]]
    made = await bring(workspace.admin, [HEADER, *rows], dry_run=dry_run)
    found = await rows_of(workspace, made["id"])
    assert [row["status"] for row in found] == ["updated"] * 2
    assert [row["customer_id"] for row in found] == [first["id"], second["id"]]
    assert [[one["code"] for one in row["errors"]] for row in found] == [[], ["phone_not_taken"]]


async def test_the_default_keys_check_nothing_in_an_import(workspace: Workspace) -> None:
    rows = [HEADER, *(["Trùng", a_phone(), "chung@example.com", ""] for _ in range(3))]
    made = await bring(workspace.admin, rows)
    assert [row["status"] for row in await rows_of(workspace, made["id"])] == ["created"] * 3
