"""The rows of an import, one by one and as a file."""

import io
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook
from openpyxl.utils.datetime import CALENDAR_MAC_1904

from app.imports.report import job
from tests.factories.people import Workspace
from tests.imports.steps import API, HEADERS, ROWS, bring, customers, people, ready, result, rows_of, run, table, undo

pytestmark = pytest.mark.usefixtures("worker")


async def test_rows_come_page_by_page(workspace: Workspace) -> None:
    rows = people(7)
    rows[3][1] = rows[5][1] = "sai số"
    found = await bring(workspace.admin, rows)
    pages, cursor = list[list[int]](), None
    while True:
        params = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = (await workspace.admin.get(f"{API}/imports/{found['id']}/rows", params=params)).json()
        pages.append([row["row"] for row in page["items"]])
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert pages == [[2, 3, 4], [5, 6, 7], [8]]
    assert [row["row"] for row in await rows_of(workspace.admin, found["id"], "failed")] == [4, 6]
    for params in ({"status": "lạ"}, {"limit": 0}, {"limit": 201}):
        reply = await workspace.admin.get(f"{API}/imports/{found['id']}/rows", params=params)
        assert reply.status_code == 422, params
    forged = await workspace.admin.get(f"{API}/imports/{found['id']}/rows", params={"cursor": "AAAA"})
    assert 400 <= forged.status_code < 500


@pytest.mark.feature("A082")
async def test_the_rows_come_back_with_their_reasons(workspace: Workspace) -> None:
    found = await bring(
        workspace.admin,
        [["Họ tên", "SĐT", "Email", "SĐT"], ["Hoa", "0912345678", "hoa@example.com", ""],
         ["", "0987654321", "không phải", "x"], ["Hoa 2", "0912345678", "", ""]],
        mapping={"name": 1, "phone": 2, "email": 3},
    )  # fmt: skip
    assert await result(workspace, found["id"]) == [
        ["Họ tên", "SĐT", "Email", "SĐT (D)", "Trạng thái", "Lý do"],
        ["Hoa", "0912345678", "hoa@example.com", None, "Thêm mới", None],
        [None, "0987654321", "không phải", "x", "Lỗi", "Cột A: Tên khách hàng là bắt buộc; Cột C: Email không hợp lệ"],
        ["Hoa 2", "0912345678", None, None, "Cập nhật", "Trùng số điện thoại với dòng 2 của file"],
    ]
    await undo(workspace, found["id"])
    assert (await result(workspace, found["id"]))[1][4] == "Đã gỡ"


@pytest.mark.usefixtures("small_chunks")
async def test_a_full_sheet_goes_on_in_the_next(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sheet without a header can have as many rows as a sheet has room for; the result has a header, too."""
    monkeypatch.setattr(job, "SHEET_ROWS", 4)
    rows = people(5)[1:]
    found = await bring(workspace.admin, rows, mapping={"name": 1, "phone": 2}, start_row=1)
    assert found["counts"]["created"] == 5
    reply = await workspace.admin.get(f"{API}/imports/{found['id']}/result", timeout=60)
    sheets = {one.title: list(one.iter_rows(values_only=True)) for one in load_workbook(io.BytesIO(reply.content))}
    assert {name: len(cells) for name, cells in sheets.items()} == {"Kết quả": 5, "Kết quả 2": 2}
    assert sheets["Kết quả"][0] == sheets["Kết quả 2"][0]
    assert [cells[0] for cells in (*sheets["Kết quả"][1:], *sheets["Kết quả 2"][1:])] == [row[0] for row in rows]


@pytest.mark.feature("A082")
async def test_the_result_repeats_the_rows_and_is_inert(workspace: Workspace) -> None:
    names = [
        '=HYPERLINK("https://example.com","x")', "=1+1", "+1+1", "+84912345678", "-2+3", "-5", "@SUM(A1)", "＝1+1",
        "|cmd", "Nguyễn Văn Bình",
    ]  # fmt: skip
    rows = [[name, f"091234567{n}", "", "00123"] for n, name in enumerate(names)]
    rows[0][3] = "\tx"
    rows += [["Sai", "=1+1", "không phải", "1"], ["", "", "", "chỉ ghi chú"]]
    found = await bring(workspace.admin, [[*HEADERS, "Ghi chú"], *rows])
    assert (found["counts"]["created"], found["counts"]["failed"]) == (len(names), 2)
    sheet = await result(workspace, found["id"])
    assert sheet[0] == [*HEADERS, "Ghi chú", "Trạng thái", "Lý do"]
    assert [[value or "" for value in row[:4]] for row in sheet[1:]] == rows
    assert [row[4] for row in sheet[1:]] == ["Thêm mới"] * len(names) + ["Lỗi"] * 2
    assert set(sheet[-2][5].split("; ")) == {"Cột B: Số điện thoại không hợp lệ", "Cột C: Email không hợp lệ"}
    assert sheet[-1][5].count("bắt buộc") == 2


async def test_two_runs_give_the_same_cells(workspace: Workspace, new_workspace: Any, small_chunks: None) -> None:
    rows = [["Họ tên", "SĐT"], *([f"Khách {n}", f"09123456{n % 7:02d}"] for n in range(20)), ["x", "y"]]
    other: Workspace = await new_workspace()
    first = await bring(workspace.admin, rows, on_duplicate="skip")
    second = await bring(other.admin, rows, on_duplicate="skip")
    cells = await result(workspace, first["id"])
    assert cells == await result(other, second["id"])
    assert len(cells) == 22
    await other.aclose()


async def test_there_is_no_result_before_the_end(workspace: Workspace) -> None:
    found = await ready(workspace.admin, table(ROWS))
    reply = await workspace.admin.get(f"{API}/imports/{found['id']}/result")
    assert (reply.status_code, reply.json()["code"]) == (409, "import_state")


async def test_cells_of_every_kind_come_back_as_they_were(workspace: Workspace, tmp_path: Path) -> None:
    book = Workbook()
    sheet = book.worksheets[0]
    sheet.append(["Tên", "SĐT", "Ngày sinh", "Ghi chú"])
    sheet.append(["Hoa", 912345678, date(1990, 3, 5), 1.5])
    sheet.append(["Nam", 987654321, 32937, True])
    book.save(tmp_path / "khach.xlsx")
    found = await ready(workspace.admin, tmp_path / "khach.xlsx")
    done = await run(workspace.admin, found["id"])
    assert done["counts"]["created"] == 2
    made = await customers(workspace)
    assert made["+84912345678"]["birthday"] == "1990-03-05"
    assert made["+84987654321"]["birthday"] == "1990-03-05"
    cells = await result(workspace, found["id"])
    assert cells[1][1] == 912345678
    assert cells[1][2].date() == date(1990, 3, 5)
    assert cells[2][3] is True


async def test_days_that_count_from_1904_are_right(workspace: Workspace, tmp_path: Path) -> None:
    book = Workbook()
    book.epoch = CALENDAR_MAC_1904
    sheet = book.worksheets[0]
    sheet.append(["Tên", "SĐT", "Ngày sinh"])
    sheet.append(["Hoa", "0912345678", date(1990, 3, 5)])
    for warned in (False, True):
        if warned:
            # Without a format: the day, one with an hour, a year, and what is before all days.
            sheet.append(["Nam", "0987654321", 31475])
            sheet.append(["An", "0987654322", 31475.75])
            sheet.append(["Chi", "0987654323", 1990])
            sheet.append(["Lan", "0987654324", -1])
        book.save(tmp_path / "khach.xlsx")
        found = await ready(workspace.admin, tmp_path / "khach.xlsx")
        told = [one["message"] for one in found["preview"]["sheets"][0]["warnings"]]
        assert [message.partition(";")[0] for message in told] == [
            "File tính ngày từ năm 1904: số ở cột C được hiểu là ngày tính từ năm đó"
        ] * warned
    await run(workspace.admin, found["id"])
    born = {one["phone"]: one["birthday"] for one in (await customers(workspace)).values()}
    assert born == dict.fromkeys(["+84912345678", "+84987654321", "+84987654322"], "1990-03-05")
