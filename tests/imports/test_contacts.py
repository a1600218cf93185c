"""Contacts in a file: the main one beside its customer, each further one on a row of its own."""

from typing import Any

import pytest

from tests.contacts.test_contacts import contacts, values
from tests.factories.people import Workspace
from tests.imports.steps import API, bring, customers, ready, rows_of, run, table, undo

pytestmark = pytest.mark.usefixtures("worker")
HEAD = ["Tên khách hàng", "SĐT", "Kiểu khách hàng", "Người liên hệ", "SĐT người liên hệ", "Email người liên hệ",
        "Chức vụ người liên hệ"]  # fmt: skip
SEN, SUNG = "+842873001234", "+842873009999"
ROWS: list[list[str]] = [
    HEAD,
    ["Công ty Sen", "02873001234", "công ty", "Mai", "0912345678", "mai@example.com", "Kế toán"],
    ["", "", "", "Lan", "0987654321", "", "Giám đốc"],
    ["", "", "", "Cúc", "", "cuc@example.com", ""],
    ["Công ty Súng", "02873009999", "công ty", "", "", "", ""],
    ["Công ty Súng", "02873009999", "công ty", "Đào", "0977000111", "", ""],
    ["Người Lẻ", "0966000111", "", "Người Lẻ", "0966000111", "", ""],
]  # fmt: skip


async def people_of(workspace: Workspace, phone: str) -> list[tuple[str, list[str]]]:
    """Names and phones of a customer's contacts, by the customer's phone."""
    found = await contacts(workspace.admin, (await customers(workspace))[phone])
    return [(one["name"], values(one["phones"])) for one in found]


@pytest.mark.feature("B027")
async def test_each_contact_on_its_own_row_is_of_the_customer_above(workspace: Workspace) -> None:
    read = await ready(workspace.admin, table(ROWS))
    assert read["preview"]["proposal"]["mapping"] == {
        "name": 1, "phone": 2, "kind": 3, "contact_name": 4, "contact_phone": 5, "contact_email": 6,
        "contact_position": 7,
    }  # fmt: skip
    done = await run(workspace.admin, read["id"])
    counts = {key: done["counts"][key] for key in ("rows", "created", "updated", "failed")}
    assert counts == {"rows": 6, "created": 3, "updated": 3, "failed": 0}
    assert await people_of(workspace, SEN) == [
        ("Mai", ["+84912345678"]), ("Lan", ["+84987654321"]), ("Cúc", []),
    ]  # fmt: skip
    assert await people_of(workspace, SUNG) == [("Đào", ["+84977000111"])]
    # A person's own phone is the person.
    assert await people_of(workspace, "+84966000111") == [("Người Lẻ", ["+84966000111"])]
    sen = (await customers(workspace))[SEN]
    mai, lan, cuc = await contacts(workspace.admin, sen)
    assert (mai["is_primary"], mai["position"], values(mai["emails"])) == (True, "Kế toán", ["mai@example.com"])
    assert (lan["is_primary"], lan["position"], values(cuc["emails"])) == (False, "Giám đốc", ["cuc@example.com"])
    told = (await workspace.admin.get(f"{API}/customers/{sen['id']}/events")).json()["items"]
    assert [(one["kind"], one["changes"].get("contacts"), one["batch_id"]) for one in told] == [
        ("customer.contact_added", [None, ["Lan", "Cúc"]], done["id"]), ("customer.created", None, done["id"]),
    ]  # fmt: skip
    assert told[1]["changes"]["contact_name"] == [None, "Mai"]
    page = (await workspace.admin.get(f"{API}/customers", params={"q": "0987654321"})).json()["items"]
    assert [one["id"] for one in page] == [sen["id"]]


@pytest.mark.feature("B027")
async def test_the_same_file_again_adds_nobody(workspace: Workspace) -> None:
    await bring(workspace.admin, ROWS)
    before = {phone: await people_of(workspace, phone) for phone in await customers(workspace)}
    again = await bring(workspace.admin, ROWS)
    assert again["counts"]["created"] == 0
    assert {phone: await people_of(workspace, phone) for phone in await customers(workspace)} == before


@pytest.mark.feature("B027")
async def test_customers_who_exist_get_the_contacts_and_undo_takes_them(workspace: Workspace) -> None:
    await bring(workspace.admin, [HEAD[:3], ["Công ty Sen", "02873001234", "công ty"]])
    done = await bring(workspace.admin, ROWS, on_duplicate="update")
    assert len(await people_of(workspace, SEN)) == 3
    assert len(await people_of(workspace, SUNG)) == 1
    lan = (await contacts(workspace.admin, (await customers(workspace))[SEN]))[1]
    url = f"{API}/customers/{lan['customer_id']}/contacts/{lan['id']}"
    kept = await workspace.admin.patch(url, json={"note": "Gọi sáng"}, headers={"If-Match": '"1"'})
    assert kept.status_code == 200
    await undo(workspace, done["id"])
    assert await people_of(workspace, SEN) == [("Lan", ["+84987654321"])]
    assert list(await customers(workspace)) == [SEN]
    told = (await workspace.admin.get(f"{API}/customers/{lan['customer_id']}/events")).json()["items"]
    assert (told[0]["kind"], told[0]["changes"]) == ("customer.contact_removed", {"contacts": [["Cúc", "Mai"], None]})


async def test_rows_that_are_skipped_or_wrong_bring_no_contact(workspace: Workspace) -> None:
    await bring(workspace.admin, [HEAD[:3], ["Công ty Sen", "02873001234", "công ty"]])
    rows = [
        HEAD,
        ["", "", "", "Ai Đó", "0911222333", "", ""],
        *ROWS[1:3],
        ["Sai số", "12", "", "Bạn Sai", "0933444555", "", ""],
        ["", "", "", "Bạn Nữa", "0933444556", "", ""],
        ["Công ty Súng", "02873009999", "công ty", "Đào", "abc", "", ""],
        ["", "", "", "Không Có", "", "", ""],
        ["Đúng", "0966000111", "", "", "", "", ""],
        ["", "", "", "Mận", "02873001234", "", ""],
    ]  # fmt: skip
    done = await bring(workspace.admin, rows, on_duplicate="skip", on_duplicate_in_file="update")
    told = {row["row"]: (row["status"], [one["code"] for one in row["errors"]])
            for row in await rows_of(workspace.admin, done["id"])}  # fmt: skip
    assert told == {
        2: ("failed", ["customer_missing"]), 3: ("skipped", ["phone_taken"]), 4: ("skipped", ["phone_taken"]),
        5: ("failed", ["phone_invalid"]), 6: ("failed", ["customer_missing"]), 7: ("failed", ["phone_invalid"]),
        8: ("failed", ["customer_missing"]), 9: ("created", []), 10: ("updated", ["phone_taken"]),
    }  # fmt: skip
    assert await people_of(workspace, SEN) == []
    assert await people_of(workspace, "+84966000111") == [("Đúng", ["+84966000111"])]


@pytest.mark.parametrize("empty_cells", ["keep", "clear"])
async def test_contacts_go_on_over_chunks(workspace: Workspace, empty_cells: str) -> None:
    """More rows than a chunk holds, all contacts of one customer, who keeps what it has."""
    count = 10_500
    head = [*HEAD[:2], "Ghi chú", "Người liên hệ", "SĐT người liên hệ"]
    rows: list[list[Any]] = [head, ["Công ty Sen", "02873001234", "Lâu năm", "Người 0", "0910000000"]]
    rows += [["", "", "", f"Người {n}", f"091{n:07d}"] for n in range(1, count)]
    done = await bring(workspace.admin, rows, empty_cells=empty_cells)
    assert (done["counts"]["created"], done["counts"]["failed"]) == (1, 0)
    sen = (await customers(workspace))[SEN]
    assert sen["note"] == "Lâu năm"
    page = (await workspace.admin.get(f"{API}/customers/{sen['id']}/contacts", params={"limit": 1})).json()
    assert page["count"] == count + 1


async def test_a_dry_run_adds_nobody(workspace: Workspace) -> None:
    done = await bring(workspace.admin, ROWS, dry_run=True)
    assert (done["counts"]["created"], done["counts"]["updated"]) == (3, 3)
    assert await customers(workspace) == {}


async def test_a_list_of_people_needs_no_contacts(workspace: Workspace) -> None:
    read = await ready(workspace.admin, table([["Người liên hệ", "SĐT liên hệ"], ["Hoa", "0912345678"]]))
    mapping = read["preview"]["proposal"]["mapping"]
    assert mapping["name"] == 1
    assert "contact_name" not in mapping


async def test_further_fields_are_imported_and_taken_back(workspace: Workspace) -> None:
    head = ["Họ tên", "SĐT", "Kiểu khách hàng", "Ngày thành lập", "Website", "Số fax", "Nhân viên giới thiệu"]
    sale = await workspace.person("sale")
    first = await bring(workspace.admin, [head, ["Sen", "02873001234", "account", "05/03/2001", "sen.vn", "", ""]])
    assert first["counts"]["created"] == 1
    before = (await customers(workspace))[SEN]
    assert [before[key] for key in ("kind", "founded_on", "website")] == ["company", "2001-03-05", "https://sen.vn"]
    second = await bring(
        workspace.admin,
        [head, ["Sen", "02873001234", "lead", "06/03/2001", "moi.vn", "02873001235", sale.username]],
    )
    after = (await customers(workspace))[SEN]
    assert [after[key] for key in ("kind", "fax", "referrer_user")] == ["lead", "+842873001235", sale.username]
    await undo(workspace, second["id"])
    again = (await customers(workspace))[SEN]
    moving = {"version", "updated_at"}
    assert {k: v for k, v in again.items() if k not in moving} == {k: v for k, v in before.items() if k not in moving}
