"""Taking an import back after fields, lists and other customers have changed."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from app.core import run
from app.core.settings import Settings
from app.customers import attribute_values
from app.customers.models import Attribute
from app.imports import merge as merging
from app.imports import running, undoing
from tests.factories.people import Workspace
from tests.imports.steps import API, bring, customers, ready, result, rows_of, table, undo, until

pytestmark = pytest.mark.usefixtures("worker")


async def attribute(workspace: Workspace, name: str, type_: str, **more: Any) -> dict[str, Any]:
    """A new attribute."""
    reply = await workspace.admin.post(f"{API}/attributes", json={"name": name, "type": type_, **more})
    assert reply.status_code == 201, reply.text
    made: dict[str, Any] = reply.json()
    return made


async def changed(workspace: Workspace, method: str, path: str, version: int = 1, **body: Any) -> None:
    """A record after a PATCH or DELETE."""
    reply = await workspace.admin.request(
        method, f"{API}{path}", json=body or None, headers={"If-Match": f'"{version}"'}
    )
    assert reply.status_code in (200, 204), reply.text


async def until_free(workspace: Workspace, key: str) -> None:
    """Waits until a deleted attribute has given its slot back."""
    for _ in range(200):
        async with workspace.resources.db.transaction(workspace.id) as session:
            if await session.scalar(select(Attribute.slot).where(Attribute.key == key)) is None:
                return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{key} still has its slot")


async def columns(workspace: Workspace, *names: str) -> dict[str, tuple[Any, ...]]:
    """Columns of the customers by phone."""
    async with workspace.resources.db.transaction(workspace.id) as session:
        rows = await session.execute(
            text(
                f"SELECT phone, {', '.join(names)} FROM crm.customer WHERE tenant_id = :tenant AND deleted_at IS NULL"
            ),
            {"tenant": workspace.id},
        )
        return {row[0]: tuple(row[1:]) for row in rows}


async def held(workspace: Workspace) -> dict[str, str]:
    """The values of unique attributes, and the phones of who holds them."""
    async with workspace.resources.db.transaction(workspace.id) as session:
        rows = await session.execute(
            text("""SELECT u.value, c.phone FROM crm.unique_value u
                    JOIN crm.customer c ON c.tenant_id = :tenant AND c.id = u.customer_id
                    WHERE u.tenant_id = :tenant"""),
            {"tenant": workspace.id},
        )
        return {row[0]: row[1] for row in rows}


async def kept(workspace: Workspace, import_id: str) -> list[tuple[int, str, str | None, str | None]]:
    """Row, reason, field and column of what an undo has kept."""
    rows = await rows_of(workspace.admin, import_id, "kept")
    assert all(len(row["errors"]) == 1 and " " in row["errors"][0]["message"] for row in rows)
    return [(row["row"], *(row["errors"][0][key] for key in ("code", "field", "column"))) for row in rows]


async def test_slots_are_those_of_the_attributes_as_they_are_now(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attribute_values, "SETTLE", timedelta(0))
    limit = await attribute(workspace, "Hạn mức", "money")
    await attribute(workspace, "Điểm", "integer")
    rank = await attribute(workspace, "Hạng", "choice", choices=["Vàng", "Bạc"])
    header = ["Họ tên", "SĐT", "Hạn mức", "Điểm"]
    await bring(workspace.admin, [[*header, "Hạng"], ["Hoa", "0912345678", "100k", "5", "Vàng"]])
    found = await bring(workspace.admin, [header, ["Hoà", "0912345678", "200k", "7"]])
    assert (await columns(workspace, "n1", "n2", "t1"))["+84912345678"] == (200_000, 7, "Vàng")
    await changed(workspace, "DELETE", f"/attributes/{limit['id']}")
    await until_free(workspace, "han_muc")
    await attribute(workspace, "Doanh số", "money")
    await changed(workspace, "PATCH", f"/attributes/{rank['id']}", renamed={"Vàng": "Kim cương"})
    assert await undo(workspace, found["id"]) == {"removed": 0, "restored": 1, "kept": 0}
    [hoa] = (await customers(workspace)).values()
    assert (hoa["name"], hoa["attributes"]) == ("Hoa", {"diem": 5, "hang": "Kim cương"})
    assert (await columns(workspace, "n1", "n2", "t1"))["+84912345678"] == (None, 5, "Kim cương")


async def test_an_attribute_that_became_unique_is_claimed_again_as_far_as_that_goes(workspace: Workspace) -> None:
    card = await attribute(workspace, "CCCD", "text")
    header = ["Họ tên", "SĐT", "CCCD"]
    first = [header, ["Hoa", "0912345671", "001"], ["Nam", "0912345672", "001"], ["Lan", "0912345673", "002"]]
    await bring(workspace.admin, first)
    second = [header, ["Hoà", "0912345671", "003"], ["Nam", "0912345672", "004"], ["Làn", "0912345673", "002"]]
    found = await bring(workspace.admin, second)
    await changed(workspace, "PATCH", f"/attributes/{card['id']}", unique=True)
    assert await undo(workspace, found["id"]) == {"removed": 0, "restored": 2, "kept": 1}
    made = await customers(workspace)
    assert made["+84912345673"]["name"] == "Lan"
    cards = {phone: one["attributes"]["cccd"] for phone, one in made.items()}
    assert sorted(cards.values()) in (["001", "002", "004"], ["001", "002", "003"])
    assert await held(workspace) == {value: phone for phone, value in cards.items()}
    [(_, code, field, column)] = await kept(workspace, found["id"])
    assert (code, field, column) == ("value_taken", "attributes.cccd", "C")


async def test_what_others_have_taken_meanwhile_is_theirs(workspace: Workspace) -> None:
    await attribute(workspace, "CCCD", "text", unique=True)
    header = ["Họ tên", "SĐT", "CCCD"]
    await bring(workspace.admin, [header, ["Hoa", "0912345671", "001"], ["Nam", "0912345672", "002"]])
    found = await bring(
        workspace.admin, [header, ["Hoà", "0912345671", "003"], ["Năm", "0912345672", "004"], ["Mới", "0912345673", ""]]
    )
    made = await customers(workspace)
    await changed(workspace, "DELETE", f"/customers/{made['+84912345673']['id']}")
    for phone, card in (("0912345674", "001"), ("0912345673", "")):
        body = {"name": "Khác", "phone": phone, "attributes": {"cccd": card} if card else {}}
        assert (await workspace.admin.post(f"{API}/customers", json=body)).status_code == 201
    assert await undo(workspace, found["id"]) == {"removed": 0, "restored": 1, "kept": 2}
    assert {phone[-1]: (one["name"], one["attributes"]) for phone, one in (await customers(workspace)).items()} == {
        "1": ("Hoà", {"cccd": "003"}), "2": ("Nam", {"cccd": "002"}), "3": ("Khác", {}), "4": ("Khác", {"cccd": "001"}),
    }  # fmt: skip
    assert {value: phone[-1] for value, phone in (await held(workspace)).items()} == {
        "001": "4",
        "002": "2",
        "003": "1",
    }
    assert await kept(workspace, found["id"]) == [
        (2, "value_taken", "attributes.cccd", "C"), (4, "deleted_since", None, None),
    ]  # fmt: skip
    assert [row[-2:] for row in (await result(workspace, found["id"]))[1:]] == [
        ["Giữ nguyên", "Cột C: CCCD đã tồn tại"], ["Đã khôi phục", None],
        ["Giữ nguyên", "Khách hàng đã bị xóa sau khi nhập"],
    ]  # fmt: skip


@pytest.mark.parametrize("step", [10_000, 3])
async def test_values_that_went_from_hand_to_hand_within_the_file_go_back(
    workspace: Workspace, small_chunks: None, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    monkeypatch.setattr(undoing, "STEP", step)
    await attribute(workspace, "CCCD", "text", unique=True)
    header, more = ["Họ tên", "SĐT", "CCCD"], [["x", f"09123456{n}", ""] for n in range(10, 20)]
    await bring(workspace.admin, [header, ["Hoa", "0912345671", "001"], ["Nam", "0912345672", "002"]])
    before = {phone: one["attributes"] for phone, one in (await customers(workspace)).items()}
    found = await bring(
        workspace.admin, [header, ["Hoa", "0912345671", "003"], *more[:5], ["Nam", "0912345672", "001"], *more[5:]]
    )
    assert (found["counts"]["failed"], found["counts"]["updated"]) == (0, 2)
    assert await undo(workspace, found["id"]) == {"removed": 10, "restored": 2, "kept": 0}
    assert {phone: one["attributes"] for phone, one in (await customers(workspace)).items()} == before
    assert {value: phone[-1] for value, phone in (await held(workspace)).items()} == {"001": "1", "002": "2"}


async def test_what_is_no_longer_in_its_list_does_not_come_back(workspace: Workspace) -> None:
    rank = await attribute(workspace, "Hạng", "choice", choices=["Vàng", "Bạc"])
    hobbies = await attribute(workspace, "Sở thích", "choices", choices=["Bơi", "Chạy"])
    header = ["Họ tên", "SĐT", "Nguồn", "Hạng", "Sở thích"]
    before = [["Hoa", "1", "Hội thảo", "", ""], ["Nam", "2", "", "Vàng", ""], ["Lan", "3", "", "", "Bơi, Chạy"],
              ["Mai", "4", "Zalo", "Bạc", "Chạy"]]  # fmt: skip
    await bring(workspace.admin, [header, *([name, f"091234567{n}", *rest] for name, n, *rest in before)])
    after = [[name, f"091234567{n}", "Zalo", "Bạc", "Chạy"] for name, n, *_ in before[:3]]
    after.append(["Mài", "0912345674", "Facebook", "Bạc", "Chạy"])
    found = await bring(workspace.admin, [header, *after])
    sources = (await workspace.admin.get(f"{API}/sources")).json()["items"]
    gone = next(one for one in sources if one["name"] == "Hội thảo")
    await changed(workspace, "DELETE", f"/sources/{gone['id']}", gone["version"])
    await changed(workspace, "PATCH", f"/attributes/{rank['id']}", choices=["Bạc"])
    await changed(workspace, "PATCH", f"/attributes/{hobbies['id']}", choices=["Chạy"])
    assert await undo(workspace, found["id"]) == {"removed": 0, "restored": 1, "kept": 3}
    assert await kept(workspace, found["id"]) == [
        (2, "choice_unknown", "source", "C"), (3, "choice_unknown", "attributes.hang", "D"),
        (4, "choice_unknown", "attributes.so_thich", "E"),
    ]  # fmt: skip
    made = {one["name"]: one for one in (await customers(workspace)).values()}
    assert made.keys() == {"Hoa", "Nam", "Lan", "Mai"}
    assert {one["source"] for one in made.values()} == {"Zalo"}


async def test_an_import_does_not_write_into_a_slot_that_another_attribute_took_over(
    workspace: Workspace, settings: Settings, small_chunks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit, writing, go_on = await attribute(workspace, "Hạn mức", "money"), asyncio.Event(), asyncio.Event()
    merge = merging.merge

    async def gated(*args: Any, **options: Any) -> Mapping[str, int]:
        counts = await merge(*args, **options)
        writing.set()
        await go_on.wait()
        return counts

    monkeypatch.setattr(running, "merge", gated)
    monkeypatch.setattr(running, "MERGES", 1)
    rows = [[f"Khách {n}", f"09123456{n}", "100k"] for n in range(10, 22)]
    found = await ready(workspace.admin, table([["Họ tên", "SĐT", "Hạn mức"], *rows]))
    path = f"{API}/imports/{found['id']}"
    await workspace.admin.post(f"{path}/start", json={})
    await asyncio.wait_for(writing.wait(), 20)
    await workspace.admin.post(f"{path}/pause")
    # Whoever still writes with the old fields has ended before the slot is given away.
    assert run.BUDGET + settings.statement_timeout < attribute_values.SETTLE.total_seconds()
    monkeypatch.setattr(attribute_values, "SETTLE", timedelta(seconds=2))
    await changed(workspace, "DELETE", f"/attributes/{limit['id']}")
    await asyncio.sleep(0.5)
    await attribute(workspace, "Điểm", "integer")
    go_on.set()
    paused = await until(workspace.admin, found["id"], ("paused",))
    assert 0 < paused["counts"]["created"] < 12
    await until_free(workspace, "han_muc")
    await attribute(workspace, "Doanh số", "money")
    assert set((await columns(workspace, "n1", "n2")).values()) == {(None, None)}
    await workspace.admin.post(f"{path}/resume")
    ended = await until(workspace.admin, found["id"], ("failed",))
    assert ended["error"]["code"] == "mapping_changed"
    assert ended["counts"]["created"] == paused["counts"]["created"] == len(await customers(workspace))
    assert set((await columns(workspace, "n1", "n2")).values()) == {(None, None)}
    assert await undo(workspace, found["id"]) == {"removed": ended["counts"]["created"], "restored": 0, "kept": 0}
