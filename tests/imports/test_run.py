"""From a file to customers: what is created, updated, skipped and refused."""

from typing import Any

import pytest
from sqlalchemy import text

from tests.factories.people import Workspace
from tests.imports.steps import API, bring, customers, ready, rows_of, run, table

pytestmark = pytest.mark.usefixtures("worker")
HEADERS = ["Họ tên", "SĐT", "Email"]


def counts(**given: int) -> dict[str, int]:
    """Counts of an import: those given, and nothing else."""
    return dict.fromkeys(("rows", "created", "updated", "unchanged", "skipped", "failed"), 0) | given


async def events_of(workspace: Workspace, customer_id: str) -> list[dict[str, Any]]:
    """A customer's timeline, the oldest first."""
    reply = await workspace.admin.get(f"{API}/customers/{customer_id}/events")
    return list(reversed(reply.json()["items"]))


@pytest.mark.feature("A076", "A080", "B026", "B036")
async def test_rows_become_customers(workspace: Workspace) -> None:
    found = await bring(
        workspace.admin,
        [
            ["Họ tên", "SĐT", "Email", "Ngày sinh", "Tỉnh/Thành", "Giới tính", "MST"],
            ["Nguyễn  Thị Hoa", "912345678", "HOA@Example.com", "05/03/1990", "ha noi", "nữ", "0100109106"],
            ["Trần Văn Nam", "0987 654 321", "", "", "", "", ""],
        ],
    )
    assert found["state"] == "succeeded"
    assert found["counts"] == counts(rows=2, created=2)
    made = await customers(workspace)
    hoa = made["+84912345678"]
    assert (hoa["name"], hoa["email"], hoa["birthday"]) == ("Nguyễn Thị Hoa", "hoa@example.com", "1990-03-05")
    assert (hoa["province"], hoa["gender"], hoa["owner"]) == ("Hà Nội", "female", "admin")
    assert (hoa["tax_code"], hoa["phone_typed"], hoa["version"]) == ("0100109106", "912345678", 1)
    nam = made["+84987654321"]
    assert (nam["code"], nam["email"], nam["birthday"]) == ("KH000002", None, None)
    [created] = await events_of(workspace, hoa["id"])
    assert (created["kind"], created["batch_id"], created["actor_name"]) == (
        "customer.created", found["id"], "Quản trị hệ thống",
    )  # fmt: skip
    assert created["changes"]["phone"] == [None, "+84912345678"]
    assert created["changes"]["birthday"] == [None, "1990-03-05"]
    for q in ("nguyen thi hoa", "345678", "hoa@example.com", "kh000001", "0100109106"):
        reply = await workspace.admin.get(f"{API}/customers", params={"q": q})
        assert [one["id"] for one in reply.json()["items"]] == [hoa["id"]], q


async def test_a_created_customer_is_the_same_as_one_made_by_hand(workspace: Workspace) -> None:
    """The importer stores what the API stores for the same values, column by column."""
    values = {
        "name": "Đỗ “Thị” \\ Ngọc", "phone": "+84 24 3825 1234", "email": "N.o'C@Example.com", "birthday": "29/02/2000",
        "province": "Hà Tây", "gender": "Khác", "address": "Số 1\tTràng Tiền", "company_name": 'Cty "A"',
        "tax_code": "0100109106-001", "position": "Kế toán", "note": "dòng 1\ndòng 2\\n",
    }  # fmt: skip
    # The two have one e-mail address, which is a duplicate key unless the workspace says otherwise.
    await workspace.admin.put(f"{API}/duplicate-keys", json={"keys": []}, headers={"If-Match": '"0"'})
    await bring(workspace.admin, [list(values), list(values.values())], mapping=_in_order(values))
    reply = await workspace.admin.post(f"{API}/customers", json={**values, "phone": "024 3825 1235"})
    assert reply.status_code == 201, reply.text
    by_hand, imported = reply.json(), (await customers(workspace))["+842438251234"]
    different = ("id", "code", "phone", "phone_typed", "created_at", "updated_at")
    assert {k: v for k, v in imported.items() if k not in different} == {
        k: v for k, v in by_hand.items() if k not in different
    }
    mine, other = [(await events_of(workspace, one["id"]))[0]["changes"] for one in (imported, by_hand)]
    assert mine.keys() == other.keys()
    assert {k: v for k, v in mine.items() if k != "phone"} == {k: v for k, v in other.items() if k != "phone"}
    async with workspace.resources.db.transaction(workspace.id) as session:
        words = await session.execute(
            text("SELECT tsvector_to_array(words) FROM crm.customer_search WHERE tenant_id = :tenant"),
            {"tenant": workspace.id},
        )
        first, second = (set(row[0]) for row in words)
    assert {one for one in first if not one.startswith("kh")} == {one for one in second if not one.startswith("kh")}


@pytest.mark.feature("A081")
async def test_a_known_phone_updates_the_customer(workspace: Workspace) -> None:
    await bring(workspace.admin, [HEADERS, ["Nguyễn Thị Hoa", "0912345678", "hoa@example.com"]])
    again = await bring(workspace.admin, [HEADERS, ["Nguyễn Thị Hoà", "+84912345678", ""]])
    assert again["counts"] == counts(rows=1, updated=1)
    [hoa] = (await customers(workspace)).values()
    assert (hoa["name"], hoa["email"], hoa["version"]) == ("Nguyễn Thị Hoà", "hoa@example.com", 2)
    assert hoa["phone_typed"] == "0912345678"
    [_, updated] = await events_of(workspace, hoa["id"])
    assert (updated["kind"], updated["batch_id"]) == ("customer.updated", again["id"])
    assert updated["changes"] == {"name": ["Nguyễn Thị Hoa", "Nguyễn Thị Hoà"]}
    reply = await workspace.admin.get(f"{API}/customers", params={"q": "nguyen thi hoa"})
    assert len(reply.json()["items"]) == 1


async def test_the_same_file_again_changes_nothing(workspace: Workspace) -> None:
    rows = [HEADERS, ["Nguyễn Thị Hoa", "0912345678", "hoa@example.com"], ["Trần Nam", "0987654321", ""]]
    await bring(workspace.admin, rows)
    again = await bring(workspace.admin, rows)
    assert again["counts"] == counts(rows=2, updated=2, unchanged=2)
    for one in (await customers(workspace)).values():
        assert one["version"] == 1
        assert len(await events_of(workspace, one["id"])) == 1


@pytest.mark.parametrize(("policy", "expected"), [("skip", "skipped"), ("reject", "failed")])
async def test_a_known_phone_may_be_skipped_or_refused(workspace: Workspace, policy: str, expected: str) -> None:
    await bring(workspace.admin, [HEADERS, ["Nguyễn Thị Hoa", "0912345678", ""]])
    found = await bring(
        workspace.admin, [HEADERS, ["Người khác", "0912345678", ""], ["Trần Nam", "0987654321", ""]],
        on_duplicate=policy,
    )  # fmt: skip
    assert found["counts"] == counts(rows=2, created=1) | {expected: 1}
    [row] = await rows_of(workspace.admin, found["id"], expected)
    assert (row["row"], row["errors"][0]["code"], row["errors"][0]["message"]) == (
        2, "phone_taken", "Số điện thoại đã tồn tại",
    )  # fmt: skip
    assert (await customers(workspace))["+84912345678"]["name"] == "Nguyễn Thị Hoa"


async def test_the_last_row_of_a_phone_wins_within_a_file(workspace: Workspace) -> None:
    found = await bring(
        workspace.admin,
        [HEADERS, ["Một", "0912345678", "mot@example.com"], ["Hai", "912345678", ""], ["Hai", "0912 345 678", ""]],
    )
    assert found["counts"] == counts(rows=3, created=1, updated=2, unchanged=1)
    [one] = (await customers(workspace)).values()
    assert (one["name"], one["email"], one["version"]) == ("Hai", "mot@example.com", 1)
    rows = await rows_of(workspace.admin, found["id"])
    assert [(row["status"], row["same_phone_as_row"]) for row in rows] == [
        ("created", None), ("updated", 2), ("updated", 2),
    ]  # fmt: skip
    assert {row["customer_id"] for row in rows} == {one["id"]}


@pytest.mark.parametrize(("policy", "expected"), [("skip", "skipped"), ("reject", "failed")])
async def test_a_phone_that_comes_twice_may_be_skipped_or_refused(
    workspace: Workspace, policy: str, expected: str
) -> None:
    found = await bring(
        workspace.admin, [HEADERS, ["Một", "0912345678", ""], ["Hai", "0912345678", ""]], on_duplicate_in_file=policy
    )
    assert found["counts"] == counts(rows=2, created=1) | {expected: 1}
    [row] = await rows_of(workspace.admin, found["id"], expected)
    assert row["errors"][0]["code"] == "duplicate_in_file"
    assert "dòng 2" in row["errors"][0]["message"]


@pytest.mark.feature("A082", "B029")
async def test_a_bad_row_names_all_its_fields_and_stops_nobody(workspace: Workspace) -> None:
    found = await bring(
        workspace.admin,
        [
            ["Họ tên", "SĐT", "Email", "Ngày sinh", "Giới tính"],
            ["", "12", "không phải email", "31/02/2000", "robot"],
            ["Tốt", "0912345678", "", "", ""],
            ["Không có số", "", "", "", ""],
        ],
    )
    assert found["counts"] == counts(rows=3, created=1, failed=2)
    bad, empty = await rows_of(workspace.admin, found["id"], "failed")
    assert {one["field"]: one["code"] for one in bad["errors"]} == {
        "name": "required", "phone": "phone_invalid", "email": "email_invalid", "birthday": "date_invalid",
        "gender": "choice_unknown",
    }  # fmt: skip
    assert {one["field"]: (one["column"], one["value"]) for one in bad["errors"]}["email"] == ("C", "không phải email")
    assert [(one["code"], one["message"]) for one in empty["errors"]] == [("required", "Số điện thoại là bắt buộc")]
    assert (bad["row"], empty["row"]) == (2, 4)


async def test_messages_are_in_the_language_of_who_starts(workspace: Workspace) -> None:
    workspace.admin.headers["Accept-Language"] = "en"
    found = await bring(workspace.admin, [HEADERS, ["Hoa", "12", ""]])
    [row] = await rows_of(workspace.admin, found["id"], "failed")
    assert row["errors"][0]["message"] == "Phone is not a phone number"


async def test_empty_cells_keep_or_clear(workspace: Workspace) -> None:
    rows = [["Họ tên", "SĐT", "Email", "Tỉnh"], ["Hoa", "0912345678", "hoa@example.com", "Hà Tây"]]
    await bring(workspace.admin, rows)
    rows[1] = ["Hoa", "0912345678", "", ""]
    kept = await bring(workspace.admin, rows)
    assert kept["counts"] == counts(rows=1, updated=1, unchanged=1)
    cleared = await bring(workspace.admin, rows, empty_cells="clear")
    assert cleared["counts"] == counts(rows=1, updated=1)
    [hoa] = (await customers(workspace)).values()
    assert (hoa["email"], hoa["province"], hoa["province_typed"], hoa["version"]) == (None, None, None, 2)
    reply = await workspace.admin.get(f"{API}/customers", params={"q": "hoa@example.com"})
    assert reply.json()["items"] == []


@pytest.mark.feature("A078")
async def test_columns_are_chosen_by_number_or_letter(workspace: Workspace) -> None:
    found = await ready(
        workspace.admin,
        table([["rác"], ["a", "x", "b", "y", "c"], ["Hoa", "?", "0912345678", "?", "hoa@example.com"]]),
    )
    done = await run(workspace.admin, found["id"], start_row=3, mapping={"name": 1, "phone": "C", "email": "5"})
    assert done["counts"] == counts(rows=1, created=1)
    assert done["choices"]["mapping"] == {"name": 1, "phone": 3, "email": 5}
    [hoa] = (await customers(workspace)).values()
    assert (hoa["name"], hoa["email"]) == ("Hoa", "hoa@example.com")


@pytest.mark.feature("A077", "A085", "B031")
async def test_groups_of_the_file_and_of_each_row(workspace: Workspace) -> None:
    for name in ("Khách VIP", "Hội thảo"):
        assert (await workspace.admin.post(f"{API}/groups", json={"name": name})).status_code == 201
    found = await bring(
        workspace.admin,
        [["Họ tên", "SĐT", "Nhóm"], ["Hoa", "0912345678", "khach vip, Hội thảo"], ["Nam", "0987654321", ""],
         ["Sai", "0987654322", "Không có"]],
        group={"name": "Tháng 11"},
    )  # fmt: skip
    assert found["counts"] == counts(rows=3, created=2, failed=1)
    made = await customers(workspace)
    assert [one["name"] for one in made["+84912345678"]["groups"]] == ["Hội thảo", "Khách VIP", "Tháng 11"]
    assert [one["name"] for one in made["+84987654321"]["groups"]] == ["Tháng 11"]
    groups = {one["name"]: one for one in (await workspace.admin.get(f"{API}/groups")).json()["items"]}
    assert {name: one["size"] for name, one in groups.items()} == {"Khách VIP": 1, "Hội thảo": 1, "Tháng 11": 2}
    again = await bring(workspace.admin, [HEADERS, ["Nam", "0987654321", ""]], group={"id": groups["Khách VIP"]["id"]})
    assert again["counts"] == counts(rows=1, updated=1)
    nam = (await customers(workspace))["+84987654321"]
    assert [one["name"] for one in nam["groups"]] == ["Khách VIP", "Tháng 11"]
    assert (await events_of(workspace, nam["id"]))[-1]["changes"] == {
        "groups": [["Tháng 11"], ["Khách VIP", "Tháng 11"]]
    }


@pytest.mark.feature("B028", "B030")
async def test_owner_and_relationship(workspace: Workspace) -> None:
    sale = await workspace.person("sale")
    reply = await workspace.admin.get(f"{API}/relationships")
    statuses = [one["name"] for one in reply.json()["items"]]
    found = await bring(
        workspace.admin,
        [["Họ tên", "SĐT", "NV phụ trách", "MQH"], ["Hoa", "0912345678", sale.username, statuses[1]],
         ["Nam", "0987654321", "", ""], ["Sai", "0987654322", "không.có.ai", ""]],
    )  # fmt: skip
    assert found["counts"] == counts(rows=3, created=2, failed=1)
    made = await customers(workspace)
    assert (made["+84912345678"]["owner"], made["+84912345678"]["relationship"]) == (sale.username, statuses[1])
    assert (made["+84987654321"]["owner"], made["+84987654321"]["relationship"]) == ("admin", statuses[0])
    given = await bring(workspace.admin, [HEADERS, ["Lan", "0987654323", ""]], owner=sale.username)
    assert given["counts"]["created"] == 1
    assert (await customers(workspace))["+84987654323"]["owner"] == sale.username


async def test_who_cannot_see_a_customer_cannot_change_it(workspace: Workspace) -> None:
    await bring(workspace.admin, [HEADERS, ["Của quản trị", "0912345678", ""]])
    sale = await workspace.person(permissions=["customers.view", "customers.edit", "customers.import"])
    found = await bring(
        sale.client, [HEADERS, ["Chiếm", "0912345678", ""], ["Mới", "0987654321", ""], ["Mới 2", "0987654321", ""]]
    )
    assert found["counts"] == counts(rows=3, created=1, updated=1, failed=1)
    [row] = await rows_of(sale.client, found["id"], "failed")
    assert row["errors"][0]["code"] == "phone_taken"
    assert row["customer_id"] is None
    assert (await customers(workspace))["+84912345678"]["name"] == "Của quản trị"
    assert (await workspace.admin.get(f"{API}/imports/{found['id']}")).status_code == 200
    other = await workspace.person(permissions=["customers.import"])
    assert (await other.client.get(f"{API}/imports/{found['id']}")).status_code == 404


def _in_order(values: dict[str, Any]) -> dict[str, int]:
    return {key: place for place, key in enumerate(values, start=1)}
