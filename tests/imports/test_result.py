"""The result file and the template."""

import io
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook, load_workbook

from tests.factories.people import Workspace
from tests.imports.steps import API, bring, customers, ready, run, table

pytestmark = pytest.mark.usefixtures("worker")
DANGEROUS = ["=1+1", "+84912345678", "-5", "@SUM(A1)", "\tx", '=HYPERLINK("http://x")', "＝1+1"]


async def result(workspace: Workspace, import_id: str) -> list[list[Any]]:
    """The cells of an import's result file."""
    reply = await workspace.admin.get(f"{API}/imports/{import_id}/result", timeout=60)
    assert reply.status_code == 200, reply.text
    assert "filename*=UTF-8''khach%20-%20k%E1%BA%BFt%20qu%E1%BA%A3.xlsx" in reply.headers["content-disposition"]
    book = load_workbook(io.BytesIO(reply.content))
    cells = list(book.worksheets[0].iter_rows())
    assert all(cell.data_type != "f" for row in cells for cell in row)
    return [[cell.value for cell in row] for row in cells]


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
    await workspace.admin.post(f"{API}/imports/{found['id']}/undo")
    for _ in range(200):
        if (await workspace.admin.get(f"{API}/imports/{found['id']}")).json()["state"] == "undone":
            break
    assert (await result(workspace, found["id"]))[1][4] == "Đã gỡ"


async def test_no_cell_becomes_a_formula(workspace: Workspace) -> None:
    rows = [["Họ tên", "SĐT", "Ghi chú"], *([f"Khách {text}", "1", text] for text in DANGEROUS)]
    found = await bring(workspace.admin, rows)
    cells = await result(workspace, found["id"])
    assert [row[2] for row in cells[1:]] == DANGEROUS


async def test_two_runs_give_the_same_cells(workspace: Workspace, new_workspace: Any, small_chunks: None) -> None:
    rows = [["Họ tên", "SĐT"], *([f"Khách {n}", f"09123456{n % 7:02d}"] for n in range(20)), ["x", "y"]]
    other: Workspace = await new_workspace()
    first = await bring(workspace.admin, rows, on_duplicate="skip")
    second = await bring(other.admin, rows, on_duplicate="skip")
    cells = await result(workspace, first["id"])
    assert cells == await result(other, second["id"])
    assert len(cells) == 22
    await other.aclose()


async def test_an_unfinished_import_has_no_result(workspace: Workspace) -> None:
    found = await ready(workspace.admin, table([["Tên", "SĐT"], ["Hoa", "0912345678"]]))
    reply = await workspace.admin.get(f"{API}/imports/{found['id']}/result")
    assert (reply.status_code, reply.json()["code"]) == (409, "import_state")


@pytest.mark.feature("A083", "B025")
async def test_the_template_imports_without_a_mapping(workspace: Workspace, tmp_path: Path) -> None:
    for fields in (
        {"name": "Hạng thẻ", "type": "choice", "choices": ["Vàng", "Bạc"]},
        {"name": "Hạn mức", "type": "money"},
    ):
        assert (await workspace.admin.post(f"{API}/attributes", json=fields)).status_code == 201
    reply = await workspace.admin.get(f"{API}/imports/template")
    assert reply.status_code == 200
    book = load_workbook(io.BytesIO(reply.content))
    sheet = book["Khách hàng"]
    headers = [cell.value for cell in sheet[1]]
    assert headers[:3] == ["Tên khách hàng *", "Số điện thoại *", "Email"]
    assert {"Hạng thẻ", "Hạn mức", "Nhóm khách hàng", "Người phụ trách"} < set(headers)
    lists = {str(rule.sqref).split("2")[0]: rule.formula1 for rule in sheet.data_validations.dataValidation}
    assert len(lists) >= 6
    untouched = tmp_path / "mau.xlsx"
    book.save(untouched)
    found = await ready(workspace.admin, untouched)
    assert found["preview"]["proposal"]["missing"] == []
    assert len(found["preview"]["proposal"]["mapping"]) == len(headers)
    told = await run(workspace.admin, found["id"])
    assert told["counts"] == {"rows": 1, "created": 0, "updated": 0, "unchanged": 0, "skipped": 1, "failed": 0}
    row = {"Tên khách hàng *": "Hoa", "Số điện thoại *": "912345678", "Hạng thẻ": "vang", "Hạn mức": "2 triệu"}
    for place, header in enumerate(headers, start=1):
        sheet.cell(3, place, row.get(str(header)))
    book.save(untouched)
    done = await run(workspace.admin, (await ready(workspace.admin, untouched))["id"])
    assert (done["counts"]["created"], done["counts"]["skipped"]) == (1, 1)
    hoa = (await customers(workspace))["+84912345678"]
    assert hoa["attributes"] == {"hang_the": "Vàng", "han_muc": 2_000_000}


async def test_the_template_speaks_english_too(workspace: Workspace) -> None:
    workspace.admin.headers["Accept-Language"] = "en"
    book = load_workbook(io.BytesIO((await workspace.admin.get(f"{API}/imports/template")).content))
    assert [cell.value for cell in book["Customers"][1]][:2] == ["Name *", "Phone *"]


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
