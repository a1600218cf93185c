"""What a start asks for: sheet, columns, group, owner; and when it may."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import update

from app.imports.models import Import
from tests.conftest import MakeWorkspace
from tests.factories.people import Workspace
from tests.imports.steps import (
    API,
    HEADERS,
    NOBODY,
    ROWS,
    bring,
    customers,
    paths,
    people,
    ready,
    rows_of,
    run,
    table,
    until,
    workbook,
)

pytestmark = pytest.mark.usefixtures("worker")


@pytest.mark.feature("A077")
async def test_a_new_group_needs_a_name(workspace: Workspace) -> None:
    found = await ready(workspace.admin, table(ROWS))
    for given in ({}, {"name": None}, {"name": ""}, {"name": "  \u200b "}):
        reply = await workspace.admin.post(f"{API}/imports/{found['id']}/start", json={"group": given})
        assert reply.status_code == 422, reply.text
        [error] = reply.json()["errors"]
        assert (error["field"], error["code"]) == ("group.name", "group_name_required")
        assert error["message"] == reply.json()["detail"] == "Vui lòng nhập tên nhóm"
    unknown = await workspace.admin.post(f"{API}/imports/{found['id']}/start", json={"group": {"id": NOBODY}})
    assert (unknown.status_code, paths(unknown)) == (422, {"group.id": "group_unknown"})


async def test_every_mistake_of_a_mapping_has_its_path(workspace: Workspace) -> None:
    found = await ready(workspace.admin, table(ROWS))
    start = f"{API}/imports/{found['id']}/start"
    mapping: dict[str, Any] = {
        "name": "A", "khong_co": 1, "email": 4, "phone": "AAAA", "note": 0, "address": "", "created_at": 1,
        "birthday": "C-", "tax_code": "XFD",
        "không_có": 1, "code": 1, "position": "0",
    }  # fmt: skip
    reply = await workspace.admin.post(start, json={"mapping": mapping})
    assert reply.status_code == 422
    assert paths(reply) == {
        "mapping.khong_co": "field_unknown", "mapping.email": "column_out_of_range",
        "mapping.phone": "column_invalid", "mapping.note": "column_invalid", "mapping.address": "column_invalid",
        "mapping.created_at": "field_unknown", "mapping.birthday": "column_invalid",
        "mapping.tax_code": "column_out_of_range", "mapping.không_có": "field_unknown", "mapping.code": "field_unknown",
        "mapping.position": "column_invalid",
    }  # fmt: skip
    missing = await workspace.admin.post(start, json={"mapping": {"name": 1}})
    assert (missing.status_code, paths(missing)) == (422, {"mapping.phone": "required"})
    for body, path, code in (
        ({"owner": "khong.co"}, "owner", "choice_unknown"), ({"sheet": 2}, "sheet", "sheet_unknown"),
        ({"sheet": "Khác"}, "sheet", "sheet_unknown"), ({"start_row": 0}, "start_row", "greater_than_equal"),
        ({"on_duplicate": "merge"}, "on_duplicate", "literal_error"), ({"thua": 1}, "thua", "extra_forbidden"),
    ):  # fmt: skip
        reply = await workspace.admin.post(start, json=body)
        assert (reply.status_code, paths(reply)) == (422, {path: code}), reply.text
    assert (await workspace.admin.get(f"{API}/imports/{found['id']}")).json()["state"] == "ready"


async def test_without_a_column_for_phones_nothing_starts_by_itself(workspace: Workspace) -> None:
    found = await ready(workspace.admin, table([["Họ tên", "Cột lạ"], ["Hoa", "chữ"]]))
    assert found["preview"]["proposal"]["missing"] == ["phone"]
    reply = await workspace.admin.post(f"{API}/imports/{found['id']}/start", json={})
    assert (reply.status_code, reply.json()["code"]) == (422, "mapping_incomplete")
    assert paths(reply) == {"mapping.phone": "required"}
    assert reply.json()["detail"] == "Chưa chọn cột cho: Số điện thoại"


@pytest.mark.feature("A078", "B032")
async def test_one_of_several_sheets_is_chosen(workspace: Workspace) -> None:
    content = workbook(**{
        "Đợt 1": [HEADERS, ["Hoa", "0912345678", ""]],
        "Đợt 2": [["Ghi chú", "ĐT", "Tên KH"], ["đợt hai", "0987654321", "Nam"], ["", "0987654322", "Lan"]],
    })  # fmt: skip
    for choice, expected in (({"sheet": 1}, "Hoa"), ({"sheet": "Đợt 2", "start_row": 3}, "Lan")):
        found = await ready(workspace.admin, content, "hai.xlsx")
        assert "several_sheets" in [one["code"] for one in found["preview"]["warnings"]]
        done = await run(workspace.admin, found["id"], **choice)
        assert done["counts"]["rows"] == 1
        assert expected in {one["name"] for one in (await customers(workspace)).values()}
    found = await ready(workspace.admin, content, "hai.xlsx")
    done = await run(workspace.admin, found["id"], sheet=2, mapping={"phone": "b", "name": "3", "note": 1})
    assert done["counts"] == {"rows": 2, "created": 1, "updated": 1, "unchanged": 1, "skipped": 0, "failed": 0}
    assert (await customers(workspace))["+84987654321"]["note"] == "đợt hai"


@pytest.mark.feature("B032")
async def test_a_start_does_not_guess_between_sheets(workspace: Workspace) -> None:
    people, more = [HEADERS, ["Hoa", "0912345678", ""]], [HEADERS, ["Nam", "0987654321", ""]]
    notes, odd = [["Ghi chú của nhóm"], ["gọi lại sau"]], [["Cột lạ", "x"], ["Lan", "0987654322"]]
    for sheets, named in (
        ({"Đợt 1": people, "Đợt 2": more, "Ghi chú": notes}, {1: "Đợt 1", 2: "Đợt 2"}),
        ({"Một": odd, "Hai": odd, "Trống": [HEADERS]}, {1: "Một", 2: "Hai"}),
    ):
        found = await ready(workspace.admin, workbook(**sheets), "hai.xlsx")
        for body in ({}, {"dry_run": True}, {"mapping": {"name": 1, "phone": 2}}):
            reply = await workspace.admin.post(f"{API}/imports/{found['id']}/start", json=body)
            assert (reply.status_code, reply.json()["code"]) == (422, "sheet_ambiguous"), reply.text
            assert paths(reply) == {"sheet": "sheet_ambiguous"}
            assert {one["number"]: one["name"] for one in reply.json()["sheets"]} == named
            names = ", ".join(f"“{name}”" for name in named.values())
            assert reply.json()["detail"] == f"File có nhiều sheet có dữ liệu ({names}); hãy chọn một sheet để nhập"
        assert (await workspace.admin.get(f"{API}/imports/{found['id']}")).json()["state"] == "ready"
    for number, sheets in enumerate(
        ({"Ghi chú": notes, "Khách": people}, {"Trống": [HEADERS], "Khách": people}), start=1
    ):
        found = await ready(workspace.admin, workbook(**sheets), "một.xlsx")
        assert found["preview"]["proposal"]["sheet"] == 2
        done = await run(workspace.admin, found["id"])
        assert done["choices"]["sheet"] == 2
        assert done["counts"]["created" if number == 1 else "unchanged"] == 1


async def test_a_start_has_its_time(workspace: Workspace, new_workspace: MakeWorkspace) -> None:
    found = await ready(workspace.admin, table(people(500)))
    start = f"{API}/imports/{found['id']}/start"
    async with workspace.resources.db.transaction(workspace.id) as session:
        await session.execute(update(Import).where(Import.state == "ready").values(state="reading"))
    early = await workspace.admin.post(start, json={})
    assert (early.status_code, early.json()["code"]) == (409, "import_state")
    async with workspace.resources.db.transaction(workspace.id) as session:
        await session.execute(update(Import).where(Import.state == "reading").values(state="ready"))
    replies = await asyncio.gather(*(workspace.admin.post(start, json={}) for _ in range(5)))
    assert sorted(reply.status_code for reply in replies) == [202, 409, 409, 409, 409]
    assert (await until(workspace.admin, found["id"], ("succeeded",)))["counts"]["created"] == 500
    assert len(await customers(workspace)) == 500
    for verb in ("pause", "resume", "cancel"):
        late = await workspace.admin.post(f"{API}/imports/{found['id']}/{verb}")
        assert (late.status_code, late.json()["code"]) == (409, "import_state")
    stranger = await new_workspace()
    for verb in ("start", "pause", "resume", "cancel", "undo"):
        reply = await stranger.admin.post(f"{API}/imports/{found['id']}/{verb}", json={})
        assert (reply.status_code, reply.json()["code"]) == (404, "not_found")
    for part in ("", "/rows", "/result", "/events"):
        assert (await stranger.admin.get(f"{API}/imports/{found['id']}{part}")).status_code == 404, part
    await stranger.aclose()


@pytest.mark.feature("B029", "B031")
async def test_sources_and_groups_must_be_set_up(workspace: Workspace) -> None:
    found = await bring(
        workspace.admin,
        [["Họ tên", "SĐT", "Nguồn", "Nhóm"], ["Hoa", "0912345678", "Nguồn lạ", "Nhóm một, Nhóm hai"]],
    )
    [row] = await rows_of(workspace.admin, found["id"], "failed")
    assert {one["field"]: one["code"] for one in row["errors"]} == {
        "source": "choice_unknown",
        "groups": "choice_unknown",
    }
    assert {one["field"]: one["value"] for one in row["errors"]}["source"] == "Nguồn lạ"
    assert await customers(workspace) == {}


@pytest.mark.feature("B033")
async def test_a_file_may_have_more_than_two_thousand_rows_and_five_megabytes(workspace: Workspace) -> None:
    rows = [[*row, "gọi lại " * 300] for row in people(2_500)]
    rows[0][-1] = "Ghi chú"
    assert len(table(rows)) > 5_000_000
    found = await bring(workspace.admin, rows)
    assert found["counts"]["created"] == 2_500
