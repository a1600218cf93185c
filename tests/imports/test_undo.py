"""Taking an import back."""

import pytest
from sqlalchemy import text

from tests.factories.people import Workspace
from tests.imports.steps import API, bring, customers, ready, rows_of, run, table, undo

pytestmark = pytest.mark.usefixtures("worker")


async def test_created_customers_go_into_the_trash(workspace: Workspace) -> None:
    found = await bring(
        workspace.admin, [["Họ tên", "SĐT"], ["Hoa", "0912345678"], ["Nam", "0987654321"]], group={"name": "Mới"}
    )
    assert await undo(workspace, found["id"]) == {"removed": 2, "restored": 0, "kept": 0}
    assert await customers(workspace) == {}
    rows = await rows_of(workspace.admin, found["id"], "removed")
    assert [(row["row"], row["status"], row["undone"]) for row in rows] == [
        (2, "created", "removed"), (3, "created", "removed"),
    ]  # fmt: skip
    [group] = (await workspace.admin.get(f"{API}/groups")).json()["items"]
    assert (group["name"], group["size"]) == ("Mới", 0)
    # The phone is free again, and the import may be started anew.
    again = await run(workspace.admin, found["id"])
    assert again["counts"]["created"] == 2
    assert again["undo_counts"] is None


async def test_changed_customers_are_as_before(workspace: Workspace) -> None:
    await workspace.admin.post(f"{API}/attributes", json={"name": "Hạn mức", "type": "money"})
    await workspace.admin.post(f"{API}/attributes", json={"name": "CCCD", "type": "text", "unique": True})
    first = [
        ["Họ tên", "SĐT", "Email", "Ngày sinh", "Tỉnh", "Hạn mức", "CCCD"],
        ["Hoa", "0912345678", "hoa@example.com", "05/03/1990", "Hà Tây", "1.500.000", "001"],
        ["Nam", "0987654321", "", "", "", "", "002"],
    ]
    await bring(workspace.admin, first)
    before = await customers(workspace)
    second = [
        first[0],
        ["Hoà", "0912345678", "moi@example.com", "06/03/1990", "Đà Nẵng", "2 triệu", "003"],
        ["Nam", "0987654321", "nam@example.com", "", "", "", ""],
        ["Nam Mới", "0987654321", "", "", "", "100k", ""],
    ]
    done = await bring(workspace.admin, second, group={"name": "Đợt 2"})
    changed = await customers(workspace)
    assert changed["+84912345678"]["attributes"] == {"han_muc": 2_000_000, "cccd": "003"}
    assert done["counts"]["updated"] == 3
    assert await undo(workspace, done["id"]) == {"removed": 0, "restored": 2, "kept": 0}
    after = await customers(workspace)
    moving = ("version", "updated_at")
    for phone, customer in after.items():
        assert {k: v for k, v in customer.items() if k not in moving} == {
            k: v for k, v in before[phone].items() if k not in moving
        }
    hoa = after["+84912345678"]
    events = (await workspace.admin.get(f"{API}/customers/{hoa['id']}/events")).json()["items"]
    assert (events[0]["kind"], events[0]["batch_id"]) == ("customer.reverted", done["id"])
    assert events[0]["changes"]["name"] == ["Hoà", "Hoa"]
    assert events[0]["changes"]["attributes.han_muc"] == [2_000_000, 1_500_000]
    assert events[0]["changes"]["groups"] == [["Đợt 2"], None]
    reply = await workspace.admin.get(f"{API}/customers", params={"q": "hoa@example.com"})
    assert [one["id"] for one in reply.json()["items"]] == [hoa["id"]]
    async with workspace.resources.db.transaction(workspace.id) as session:
        found = {"tenant": workspace.id}
        values = await session.execute(
            text("SELECT value FROM crm.unique_value WHERE tenant_id = :tenant ORDER BY value"), found
        )
        assert [row[0] for row in values] == ["001", "002"]
        slots = await session.execute(
            text("SELECT n1 FROM crm.customer WHERE tenant_id = :tenant AND phone = '+84912345678'"), found
        )
        assert slots.scalar_one() == 1_500_000


async def test_whoever_was_changed_since_is_kept_and_listed(workspace: Workspace) -> None:
    await bring(workspace.admin, [["Họ tên", "SĐT"], ["Cũ", "0912345670"]])
    found = await bring(
        workspace.admin, [["Họ tên", "SĐT"], ["Hoa", "0912345678"], ["Nam", "0987654321"], ["Mới", "0912345670"]]
    )
    made = await customers(workspace)
    for phone in ("+84912345678", "+84912345670"):
        reply = await workspace.admin.patch(
            f"{API}/customers/{made[phone]['id']}", json={"note": "đã gọi"},
            headers={"If-Match": f'"{made[phone]["version"]}"'},
        )  # fmt: skip
        assert reply.status_code == 200, reply.text
    assert await undo(workspace, found["id"]) == {"removed": 1, "restored": 0, "kept": 2}
    rows = await rows_of(workspace.admin, found["id"], "kept")
    assert [(row["row"], row["errors"][0]["code"]) for row in rows] == [(2, "changed_since"), (4, "changed_since")]
    assert rows[0]["errors"][0]["message"] == "Khách hàng đã được sửa sau khi nhập"
    assert sorted((await customers(workspace)).values(), key=lambda one: one["phone"])[0]["name"] == "Mới"


async def test_rows_of_one_customer_over_several_chunks_are_undone_together(
    workspace: Workspace, small_chunks: None
) -> None:
    header, names = ["Họ tên", "SĐT"], ["Một", "Hai", "Ba", "Bốn", "Năm", "Sáu", "Bảy"]
    await bring(workspace.admin, [header, ["Đầu", "0912345671"]])
    rows = [[name, f"091234567{place % 3}"] for place, name in enumerate(names)]
    found = await bring(workspace.admin, [header, *rows])
    assert found["counts"] == {"rows": 7, "created": 2, "updated": 5, "unchanged": 0, "skipped": 0, "failed": 0}
    made = await customers(workspace)
    assert {phone[-1]: (one["name"], one["version"]) for phone, one in made.items()} == {
        "0": ("Bảy", 3), "1": ("Năm", 3), "2": ("Sáu", 2),
    }  # fmt: skip
    assert await undo(workspace, found["id"]) == {"removed": 2, "restored": 1, "kept": 0}
    [left] = (await customers(workspace)).values()
    assert (left["name"], left["phone"]) == ("Đầu", "+84912345671")


async def test_only_what_was_written_can_be_undone(workspace: Workspace) -> None:
    found = await ready(workspace.admin, table([["Họ tên", "SĐT"], ["Hoa", "0912345678"]]))
    assert (await workspace.admin.post(f"{API}/imports/{found['id']}/undo")).json()["code"] == "import_state"
    await run(workspace.admin, found["id"], dry_run=True)
    assert (await workspace.admin.post(f"{API}/imports/{found['id']}/undo")).status_code == 409
    await run(workspace.admin, found["id"])
    reply = await workspace.admin.post(f"{API}/imports/{found['id']}/start", json={})
    assert (reply.status_code, reply.json()["code"]) == (409, "import_written")
    nothing = await bring(workspace.admin, [["Họ tên", "SĐT"], ["Sai", "1"]])
    reply = await workspace.admin.post(f"{API}/imports/{nothing['id']}/undo")
    assert (reply.json()["code"], reply.json()["detail"]) == (
        "import_not_written", "Lần nhập này chưa ghi dữ liệu nào",
    )  # fmt: skip
    await undo(workspace, found["id"])
    assert (await workspace.admin.post(f"{API}/imports/{found['id']}/undo")).status_code == 409
