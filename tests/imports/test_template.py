"""The template: every field in it, and filled in it needs no mapping."""

import io

import pytest
from openpyxl import Workbook, load_workbook
from openpyxl.worksheet.worksheet import Worksheet

from app.customers.registry import EXTRA
from tests.factories.people import Workspace
from tests.imports.steps import API, customers, ready, rows_of, run

pytestmark = pytest.mark.usefixtures("worker")


async def template(workspace: Workspace) -> Workbook:
    """The workspace's template."""
    reply = await workspace.admin.get(f"{API}/imports/template")
    assert reply.status_code == 200
    assert reply.headers["content-type"].endswith("spreadsheetml.sheet")
    assert "mau-nhap-khach-hang.xlsx" in reply.headers["content-disposition"]
    return load_workbook(io.BytesIO(reply.content))


def saved(book: Workbook) -> bytes:
    """The workbook as a file."""
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def headers_of(sheet: Worksheet) -> list[str]:
    """The first row without the stars of required fields."""
    return [str(cell.value).removesuffix(" *") for cell in sheet[1]]


def fill(sheet: Worksheet, row: int, **values: str) -> None:
    """Fills a row by header; `_` stands for a space, two of them for a slash."""
    places = {header: place for place, header in enumerate(headers_of(sheet), start=1)}
    for header, value in values.items():
        sheet.cell(row, places[header.replace("__", "/").replace("_", " ")], value)


async def with_attributes(workspace: Workspace) -> None:
    """Two attributes of the workspace's own, one with choices."""
    for body in (
        {"name": "Hạn mức", "type": "money"},
        {"name": "Hạng thẻ", "type": "choice", "choices": ["Vàng", "Bạc"]},
    ):
        reply = await workspace.admin.post(f"{API}/attributes", json=body)
        assert reply.status_code == 201, reply.text


@pytest.mark.feature("A083", "B025")
async def test_it_has_every_field_in_order(workspace: Workspace) -> None:
    await with_attributes(workspace)
    listed = (await workspace.admin.get(f"{API}/fields")).json()["items"]
    further = {field.key for field in EXTRA}
    importable = [one["label"] for one in listed if one["importable"] and one["key"] not in further]
    sheet = (await template(workspace)).worksheets[0]
    assert headers_of(sheet) == importable
    assert importable[:2] == ["Tên khách hàng", "Số điện thoại"]
    assert importable.index("Hạng thẻ") == importable.index("Hạn mức") + 1
    starred = {str(cell.value) for cell in sheet[1] if str(cell.value).endswith(" *")}
    assert starred == {f"{one['label']} *" for one in listed if one["importable"] and one["required"]}
    assert not further.isdisjoint(one["key"] for one in listed if one["importable"])
    assert all(cell.comment and cell.comment.text for cell in sheet[1])


@pytest.mark.feature("B016")
async def test_a_further_field_is_in_it_once_the_workspace_gave_it_a_place(workspace: Workspace) -> None:
    assert "Website" not in headers_of((await template(workspace)).worksheets[0])
    url = f"{API}/fields/website"
    moved = await workspace.admin.patch(url, json={"position": 3}, headers={"If-Match": '"1"'})
    assert moved.status_code == 200, moved.text
    headers = headers_of((await template(workspace)).worksheets[0])
    assert headers.index("Website") == headers.index("Email") + 1


@pytest.mark.feature("A083")
async def test_choices_drop_down(workspace: Workspace) -> None:
    await with_attributes(workspace)
    await workspace.admin.post(f"{API}/groups", json={"name": "Khách VIP"})
    book = await template(workspace)
    sheet, offered = book.worksheets[0], dict[str, list[str]]()
    for rule in sheet.data_validations.dataValidation:
        name, _, area = str(rule.formula1).partition("!")
        assert rule.type == "list"
        [place] = {one.min_col for one in rule.sqref.ranges}
        cells = book[name.strip("'")][area.replace("$", "")]
        offered[headers_of(sheet)[place - 1]] = [str(row[0].value) for row in cells]
    assert offered["Hạng thẻ"] == ["Vàng", "Bạc"]
    assert offered["Giới tính"] == ["Nam", "Nữ", "Khác"]
    assert [values for values in offered.values() if values == ["Khách VIP"]] == [["Khách VIP"]]
    assert any(len(values) == 34 for values in offered.values()), "the provinces"
    assert "Hạn mức" not in offered
    assert book["_lists"].sheet_state == "hidden"
    notes = [row[0] for row in book["Hướng dẫn"].iter_rows(values_only=True)]
    assert "Dòng ví dụ (dòng 2) không được nhập; có thể để nguyên hoặc xóa." in notes
    assert "Hạng thẻ" in notes


@pytest.mark.promise(19)
async def test_no_name_becomes_a_formula(workspace: Workspace) -> None:
    """Attributes, their choices and groups are named by people; a colleague opens the file."""
    live = '=HYPERLINK("http://example.com","Nhấn")'
    for body in ({"name": live, "type": "text"}, {"name": "Hạng", "type": "choice", "choices": [live, "+1"]}):
        (await workspace.admin.post(f"{API}/attributes", json=body)).raise_for_status()
    (await workspace.admin.post(f"{API}/groups", json={"name": live})).raise_for_status()
    book = await template(workspace)
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row]
    assert {cell.data_type for cell in cells if cell.value is not None} == {"s"}
    assert [cell.value for cell in cells].count(live) >= 3
    found = await ready(workspace.admin, saved(book), "mẫu.xlsx")
    headers = {one["header"] for one in found["preview"]["sheets"][0]["columns"]}
    assert live in {header.removesuffix(" *") for header in headers}


@pytest.mark.feature("A076", "A083", "B025")
async def test_filled_in_it_needs_no_mapping(workspace: Workspace) -> None:
    await with_attributes(workspace)
    book = await template(workspace)
    sheet = book.worksheets[0]
    assert "ví dụ" in str(sheet.cell(2, 1).value)
    fill(sheet, 3, Tên_khách_hàng="Nguyễn Thị Hoa", Số_điện_thoại="0912345678", Giới_tính="Nữ", Hạng_thẻ="Vàng",
         Hạn_mức="1.500.000")  # fmt: skip
    fill(sheet, 4, Tên_khách_hàng="Trần Nam", Số_điện_thoại="0987654321")
    found = await ready(workspace.admin, saved(book), "mẫu.xlsx")
    assert found["preview"]["proposal"]["missing"] == []
    # The notes have rows too, and nobody would take them for customers.
    assert "several_sheets" not in [one["code"] for one in found["preview"]["warnings"]]
    assert len(found["preview"]["proposal"]["mapping"]) == len(headers_of(sheet))
    done = await run(workspace.admin, found["id"])
    assert (done["counts"]["created"], done["counts"]["failed"]) == (2, 0)
    made = await customers(workspace)
    assert {one["name"] for one in made.values()} == {"Nguyễn Thị Hoa", "Trần Nam"}
    assert made["+84912345678"]["attributes"] == {"han_muc": 1_500_000, "hang_the": "Vàng"}
    assert made["+84912345678"]["gender"] == "female"
    rows = await rows_of(workspace.admin, found["id"])
    assert [(row["row"], row["status"]) for row in rows] == [(2, "skipped"), (3, "created"), (4, "created")]
    assert [(one["code"], one["message"]) for one in rows[0]["errors"]] == [("example_row", "Dòng ví dụ của file mẫu")]


async def test_the_example_alone_is_nothing_to_import(workspace: Workspace) -> None:
    found = await ready(workspace.admin, saved(await template(workspace)), "mẫu.xlsx")
    done = await run(workspace.admin, found["id"])
    assert done["counts"] == {"rows": 1, "created": 0, "updated": 0, "unchanged": 0, "skipped": 1, "failed": 0}
    assert await customers(workspace) == {}


async def test_the_example_is_known_where_no_phone_is_taken(workspace: Workspace) -> None:
    reply = await workspace.admin.patch(f"{API}/fields/phone", json={"required": False}, headers={"If-Match": '"1"'})
    assert reply.status_code == 200, reply.text
    book = await template(workspace)
    sheet = book.worksheets[0]
    fill(sheet, 3, Tên_khách_hàng="Nguyễn Thị Hoa")
    found = await ready(workspace.admin, saved(book), "mẫu.xlsx")
    done = await run(workspace.admin, found["id"], mapping={"name": 1, "note": headers_of(sheet).index("Ghi chú") + 1})
    assert done["counts"] == {"rows": 2, "created": 1, "updated": 0, "unchanged": 0, "skipped": 1, "failed": 0}
    [hoa] = (await customers(workspace)).values()
    assert (hoa["name"], hoa["note"]) == ("Nguyễn Thị Hoa", None)


@pytest.mark.feature("B035")
async def test_columns_that_are_not_used_may_be_deleted(workspace: Workspace) -> None:
    book = await template(workspace)
    sheet = book.worksheets[0]
    wanted = {"Tên khách hàng", "Số điện thoại", "Ghi chú"}
    for place in range(len(headers_of(sheet)), 0, -1):
        if headers_of(sheet)[place - 1] not in wanted:
            sheet.delete_cols(place)
    assert set(headers_of(sheet)) == wanted
    fill(sheet, 3, Tên_khách_hàng="Hoa", Số_điện_thoại="912345678", Ghi_chú="gọi sáng")
    found = await ready(workspace.admin, saved(book), "mẫu.xlsx")
    done = await run(workspace.admin, found["id"])
    assert done["counts"] == {"rows": 2, "created": 1, "updated": 0, "unchanged": 0, "skipped": 1, "failed": 0}
    assert (await customers(workspace))["+84912345678"]["note"] == "gọi sáng"


async def test_it_speaks_the_callers_language(workspace: Workspace) -> None:
    workspace.admin.headers["Accept-Language"] = "en"
    reply = await workspace.admin.get(f"{API}/imports/template")
    sheet = load_workbook(io.BytesIO(reply.content)).worksheets[0]
    assert [cell.value for cell in sheet[1]][:2] == ["Name *", "Phone *"]
    fill(sheet, 3, Name="Hoa", Phone="0912345678", Gender="female")
    assert sheet.title == "Customers"
    assert "customer-import-template.xlsx" in reply.headers["content-disposition"]
    example = dict(zip(headers_of(sheet), (cell.value for cell in sheet[2]), strict=True))
    assert (example["Gender"], example["Position"], example["Note"]) == ("Male", "Director", "Call in the morning")
    assert sheet.parent is not None
    found = await ready(workspace.admin, saved(sheet.parent), "template.xlsx")
    done = await run(workspace.admin, found["id"])
    assert (done["counts"]["created"], done["counts"]["skipped"], done["counts"]["failed"]) == (1, 1, 0)
