"""Uploading a file and seeing what is in it."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from openpyxl import Workbook

from tests.factories.people import Workspace
from tests.imports.steps import API, ready, run, table, upload

pytestmark = pytest.mark.usefixtures("worker")


def suggestions(found: dict[str, Any], sheet: int = 0) -> dict[str, str]:
    """{header: field} of a preview."""
    columns = found["preview"]["sheets"][sheet]["columns"]
    return {one["header"]: one["suggestion"]["field"] for one in columns if one["suggestion"]}


@pytest.mark.feature("B034")
async def test_the_preview_tells_what_the_file_holds(workspace: Workspace) -> None:
    found = await ready(
        workspace.admin,
        table([["DANH SÁCH KHÁCH"], [], ["Họ và tên", "ĐT", "NV phụ trách"], ["Hoa", "912345678", "admin"]]),
        "Danh sách.csv",
    )
    assert (found["state"], found["file_name"], found["activity"]) == ("ready", "Danh sách.csv", "read")
    [sheet] = found["preview"]["sheets"]
    assert (sheet["header_row"], sheet["first_data_row"], sheet["rows"]) == (3, 4, 3)
    phone = sheet["columns"][1]
    assert (phone["number"], phone["letter"], phone["header"], phone["samples"]) == (2, "B", "ĐT", ["912345678"])
    assert suggestions(found) == {"Họ và tên": "name", "ĐT": "phone", "NV phụ trách": "owner"}
    assert found["preview"]["proposal"] == {
        "sheet": 1, "start_row": 4, "mapping": {"name": 1, "phone": 2, "owner": 3}, "missing": [],
    }  # fmt: skip
    [lost] = [one for one in sheet["warnings"] if one["code"] == "lost_zero_phones"]
    assert lost["message"] == "Có 1 số điện thoại bị mất số 0 ở đầu; số 0 sẽ được tự động thêm"


@pytest.mark.feature("B025", "B035")
async def test_headers_are_known_in_many_spellings_and_own_fields_by_their_names(workspace: Workspace) -> None:
    await workspace.admin.post(f"{API}/attributes", json={"name": "Hạng thẻ", "type": "text"})
    headers = {
        "HO TEN KHACH HANG": "name", "Số ĐT *": "phone", "E-mail": "email", "Sinh nhật": "birthday", "GT": "gender",
        "Tỉnh/TP": "province", "Đ/c": None, "Nguồn data": "source", "Loại KH": "customer_type", "Cty": "company_name",
        "MST": "tax_code", "Chức danh": "position", "Ghi chú thêm": "note", "Nhóm KH": "groups",
        "Hạng thẻ": "attributes.hang_the", "Mã tham chiếu": None,
    }  # fmt: skip
    found = await ready(workspace.admin, table([list(headers), ["x"] * len(headers)]))
    assert suggestions(found) == {header: field for header, field in headers.items() if field}


@pytest.mark.feature("B032")
async def test_the_sheet_with_customers_is_proposed(workspace: Workspace, tmp_path: Path) -> None:
    book = Workbook()
    first = book.worksheets[0]
    first.title = "Ghi chú"
    first.append(["Đây là file khách hàng"])
    sheet = book.create_sheet("Dữ liệu")
    sheet.append(["Tên", "SĐT"])
    sheet.append(["Hoa", 912345678])
    sheet.append(["Nam", "0987654321"])
    book.create_sheet("Ẩn").sheet_state = "hidden"
    book.save(tmp_path / "nhieu-sheet.xlsx")
    found = await ready(workspace.admin, tmp_path / "nhieu-sheet.xlsx")
    assert [(one["name"], one["visible"]) for one in found["preview"]["sheets"]] == [
        ("Ghi chú", True), ("Dữ liệu", True), ("Ẩn", False),
    ]  # fmt: skip
    assert found["preview"]["proposal"]["sheet"] == 2
    done = await run(workspace.admin, found["id"], sheet="Dữ liệu")
    assert done["counts"]["created"] == 2


@pytest.mark.parametrize(
    ("name", "content", "status", "code"),
    [
        ("trống.csv", b"", 422, "file_empty"),
        ("chỉ tiêu đề.csv", "Họ tên,SĐT\r\n".encode(), 422, "file_empty"),
        ("ảnh.xlsx", b"\x89PNG\r\n\x1a\n" + bytes(100), 415, "not_a_table"),
        ("hỏng.xlsx", b"PK\x03\x04" + bytes(100), 422, "file_corrupt"),
        ("cũ.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(1000), 415, "file_legacy_format"),
    ],
)
async def test_what_is_no_table_is_refused_with_a_sentence(
    workspace: Workspace, name: str, content: bytes, status: int, code: str
) -> None:
    reply = await upload(workspace.admin, content, name)
    assert (reply.status_code, reply.json()["code"]) == (status, code)
    assert reply.headers["content-type"] == "application/problem+json"
    if content:
        stayed = (await workspace.admin.get(f"{API}/imports/{reply.json()['import_id']}")).json()
        assert (stayed["state"], stayed["error"]["code"]) == ("failed", code)
        assert stayed["error"]["message"] == reply.json()["detail"]
        refused = await workspace.admin.post(f"{API}/imports/{stayed['id']}/start", json={})
        assert refused.json()["code"] == "import_state"


async def test_a_name_is_only_data(workspace: Workspace) -> None:
    found = await ready(workspace.admin, table([["Tên", "SĐT"], ["Hoa", "0912345678"]]), "../../etc/\u202epasswd.csv")
    assert found["file_name"] == "passwd.csv"


@pytest.mark.feature("B024")
async def test_importing_needs_its_permission(workspace: Workspace) -> None:
    sale = await workspace.person("sale")
    reply = await upload(sale.client, table([["Tên", "SĐT"], ["Hoa", "0912345678"]]))
    assert (reply.status_code, reply.json()["permission"]) == (403, "customers.import")
    assert (await sale.client.get(f"{API}/imports")).status_code == 403


async def test_the_same_key_uploads_once(workspace: Workspace) -> None:
    headers, files = {"Idempotency-Key": "một lần".encode().hex()}, {"file": ("a.csv", b"ten,sdt\nHoa,0912345678\n")}
    first = await workspace.admin.post(f"{API}/imports", files=files, headers=headers)
    again = await workspace.admin.post(f"{API}/imports", files=files, headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["id"] == again.json()["id"]
    assert again.headers["Idempotency-Replayed"] == "true"
    assert len((await workspace.admin.get(f"{API}/imports")).json()["items"]) == 1


async def test_lists_are_paged(workspace: Workspace) -> None:
    ids = [
        (await ready(workspace.admin, table([["Tên", "SĐT"], ["Hoa", "0912345678"]]), f"{n}.csv"))["id"]
        for n in range(3)
    ]
    seen, cursor = list[str](), None
    while True:
        reply = await workspace.admin.get(
            f"{API}/imports", params={"limit": 2} | ({"cursor": cursor} if cursor else {})
        )
        seen += [one["id"] for one in reply.json()["items"]]
        cursor = reply.json()["next_cursor"]
        if cursor is None:
            break
    assert seen == list(reversed(ids))


@pytest.mark.parametrize(
    ("choices", "errors"),
    [
        ({"mapping": {"name": 1}}, {"mapping.phone": "required"}),
        ({"mapping": {"name": 1, "phone": 9}}, {"mapping.phone": "column_out_of_range"}),
        ({"mapping": {"name": 1, "phone": "0"}}, {"mapping.phone": "column_invalid"}),
        ({"mapping": {"name": 1, "phone": 2, "không_có": 1}}, {"mapping.không_có": "field_unknown"}),
        ({"mapping": {"name": 1, "phone": 2, "code": 1}}, {"mapping.code": "field_unknown"}),
        ({"sheet": 7}, {"sheet": "sheet_unknown"}),
        ({"group": {"name": " "}}, {"group.name": "group_name_required"}),
        ({"group": {"id": "01a20000-0000-7000-8000-000000000000"}}, {"group.id": "group_unknown"}),
        ({"owner": "không.có"}, {"owner": "choice_unknown"}),
    ],
)
async def test_wrong_choices_are_named_by_their_path(
    workspace: Workspace, choices: dict[str, Any], errors: dict[str, str]
) -> None:
    found = await ready(workspace.admin, table([["Tên", "SĐT"], ["Hoa", "0912345678"]]))
    reply = await workspace.admin.post(f"{API}/imports/{found['id']}/start", json=choices)
    assert reply.status_code == 422
    assert {one["field"]: one["code"] for one in reply.json()["errors"]} == errors
    if "group.name" in errors:
        assert reply.json()["detail"] == "Vui lòng nhập tên nhóm"


async def test_without_a_mapping_the_required_fields_must_be_found(workspace: Workspace) -> None:
    found = await ready(workspace.admin, table([["Tên", "Cột lạ"], ["Hoa", "abc"], ["Nam", "xyz"]]))
    assert found["preview"]["proposal"]["missing"] == ["phone"]
    reply = await workspace.admin.post(f"{API}/imports/{found['id']}/start", json={})
    assert (reply.status_code, reply.json()["code"]) == (422, "mapping_incomplete")
    assert reply.json()["detail"] == "Chưa chọn cột cho: Số điện thoại"


async def test_a_foreign_import_is_not_there(workspace: Workspace, new_workspace: Any) -> None:
    found = await ready(workspace.admin, table([["Tên", "SĐT"], ["Hoa", "0912345678"]]))
    other: Workspace = await new_workspace()
    for method, path in (("GET", ""), ("POST", "/start"), ("POST", "/undo"), ("GET", "/rows"), ("GET", "/result"),
                         ("GET", "/events"), ("POST", "/cancel")):  # fmt: skip
        reply: httpx.Response = await other.admin.request(
            method, f"{API}/imports/{found['id']}{path}", json={} if method == "POST" else None
        )
        assert reply.status_code == 404, path
    await other.aclose()
