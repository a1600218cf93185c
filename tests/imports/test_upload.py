"""Uploading a file and seeing what is in it."""

import io
import resource
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from openpyxl import Workbook

from app.core.settings import Settings
from app.imports import files
from app.main import create_app
from tests.factories.people import Workspace, open_client
from tests.imports.steps import API, HEADERS, NOBODY, ROWS, paths, people, ready, run, table, upload

pytestmark = pytest.mark.usefixtures("worker")


def suggestions(found: dict[str, Any], sheet: int = 0) -> dict[str, str]:
    """{header: field} of a preview."""
    columns = found["preview"]["sheets"][sheet]["columns"]
    return {one["header"]: one["suggestion"]["field"] for one in columns if one["suggestion"]}


@pytest.mark.feature("B024")
async def test_an_upload_needs_the_permission(workspace: Workspace) -> None:
    sale = await workspace.person("sale")
    reply = await upload(sale.client, table(ROWS))
    assert (reply.status_code, reply.json()["code"], reply.json()["permission"]) == (
        403,
        "forbidden",
        "customers.import",
    )
    assert "Nhập khách hàng từ file" in reply.json()["detail"]
    for method, path in (("GET", ""), ("GET", "/template"), ("GET", f"/{NOBODY}"), ("POST", f"/{NOBODY}/undo")):
        assert (await sale.client.request(method, f"{API}/imports{path}")).status_code == 403, path
    assert (await workspace.admin.get(f"{API}/imports")).json()["items"] == []


@pytest.mark.parametrize(("caller", "status"), [("nobody", 401), ("expired", 401), ("sale", 403), ("limited key", 403)])
async def test_nothing_is_received_from_who_may_not_upload(
    workspace: Workspace, client: httpx.AsyncClient, caller: str, status: int
) -> None:
    headers = {}
    if caller == "expired":
        person = await workspace.person("manager")
        headers["Authorization"] = f"Bearer {person.token}"
        assert (await person.client.post(f"{API}/auth/logout", json={})).status_code < 300
    elif caller == "sale":
        headers["Authorization"] = f"Bearer {(await workspace.person('sale')).token}"
    elif caller == "limited key":
        headers["X-API-Key"] = (await workspace.key("customers.view")).headers["X-API-Key"]
    sent = 0

    async def fifty_megabytes() -> AsyncIterator[bytes]:
        nonlocal sent
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
        for _ in range(50):
            sent += 1
            yield b"Hoa,0912345678\n" * 70_000
        yield b"\r\n--x--\r\n"

    reply = await client.post(
        f"{API}/imports",
        content=fifty_megabytes(),
        headers={**headers, "Content-Type": "multipart/form-data; boundary=x"},
    )
    assert (reply.status_code, sent) == (status, 0), reply.text
    assert (await workspace.admin.get(f"{API}/imports")).json()["items"] == []


async def test_an_upload_counts_once_against_the_limit(workspace: Workspace, settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"rate_limit_per_minute": 2}))
    async with app.router.lifespan_context(app):
        async with open_client(app, {"Authorization": f"Bearer {workspace.administrator.token}"}) as client:
            replies = [await upload(client, table(ROWS)) for _ in range(3)]
    assert [reply.status_code for reply in replies] == [201, 201, 429]
    assert "ratelimit" in replies[0].headers


async def test_a_file_may_be_too_large(workspace: Workspace, settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"max_upload": 100_000}))
    async with app.router.lifespan_context(app):
        async with open_client(app, {"Authorization": f"Bearer {workspace.administrator.token}"}) as client:
            big = await upload(client, table(people(20_000)))
            assert (big.status_code, big.json()["code"]) == (413, "too_large")
            assert (await upload(client, table(ROWS))).status_code == 201
    assert len((await workspace.admin.get(f"{API}/imports")).json()["items"]) == 1


async def test_an_upload_is_a_file(workspace: Workspace) -> None:
    for reply in (
        await workspace.admin.post(f"{API}/imports"),
        await workspace.admin.post(f"{API}/imports", files={"tep": ("a.csv", b"x")}),
        await workspace.admin.post(f"{API}/imports", data={"file": "Họ tên,SĐT"}),
    ):
        assert (reply.status_code, list(paths(reply))) == (422, ["file"]), reply.text
    reply = await workspace.admin.post(f"{API}/imports", json={"file": "x"})
    assert reply.status_code in (415, 422)
    empty = await upload(workspace.admin, b"")
    assert (empty.status_code, empty.json()["code"]) == (422, "file_empty")
    assert empty.json()["detail"] == "File không có dòng dữ liệu nào"


@pytest.mark.parametrize(
    ("name", "content", "status", "code"),
    [
        ("trống.csv", b"", 422, "file_empty"),
        ("chỉ tiêu đề.csv", "Họ tên,SĐT\r\n".encode(), 422, "file_empty"),
        ("ảnh.xlsx", b"\x89PNG\r\n\x1a\n" + bytes(100), 415, "not_a_table"),
        ("khách.xlsx", b"%PDF-1.7\n" + bytes(range(256)), 415, "not_a_table"),
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
        assert (stayed["state"], stayed["error"]["code"], stayed["file_name"]) == ("failed", code, name)
        assert stayed["error"]["message"] == reply.json()["detail"]
        refused = await workspace.admin.post(f"{API}/imports/{stayed['id']}/start", json={})
        assert (refused.status_code, refused.json()["code"]) == (409, "import_state")


async def test_the_name_of_a_file_is_only_a_name(workspace: Workspace) -> None:
    for given, kept in (
        ("C:\\Tải về\\khách.csv", "khách.csv"),
        ("../../etc/khach.csv", "khach.csv"),
        ("../../etc/\u202epasswd.csv", "passwd.csv"),
    ):
        assert (await ready(workspace.admin, table(ROWS), given))["file_name"] == kept


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


@pytest.mark.feature("A076", "B025", "B034")
async def test_the_preview_shows_what_will_happen(workspace: Workspace) -> None:
    made, out = Workbook(), io.BytesIO()
    sheet = made.active
    assert sheet is not None
    rows: list[list[Any]] = [["Danh sách khách hàng"], [], ["STT", *HEADERS, "Ghi chú"]]
    for row in (*rows, [1, "Hoa", 912345678, "hoa@example.com", "a"], [2, "Nam", 987654321, "", "b"]):
        sheet.append(row)
    sheet.merge_cells("A1:E1")
    made.create_sheet("Ẩn").sheet_state = "hidden"
    made.save(out)
    found = await ready(workspace.admin, out.getvalue(), "khách.xlsx")
    preview = found["preview"]
    assert preview["format"] == "xlsx"
    [seen, hidden] = preview["sheets"]
    assert (seen["number"], seen["header_row"], seen["first_data_row"], seen["visible"]) == (1, 3, 4, True)
    assert hidden["visible"] is False
    assert [(one["letter"], one["header"]) for one in seen["columns"]] == [
        ("A", "STT"), ("B", "Họ tên"), ("C", "SĐT"), ("D", "Email"), ("E", "Ghi chú"),
    ]  # fmt: skip
    assert seen["columns"][2]["suggestion"]["field"] == "phone"
    assert seen["columns"][0]["suggestion"] is None
    assert preview["proposal"] == {
        "sheet": 1, "start_row": 4, "mapping": {"name": 2, "phone": 3, "email": 4, "note": 5}, "missing": [],
    }  # fmt: skip
    warned = {one["code"]: one["message"] for one in (*preview["warnings"], *seen["warnings"])}
    assert {"merged_cells", "hidden_sheets", "lost_zero_phones"} <= warned.keys()
    assert warned["hidden_sheets"] == "Sheet ẩn không được đọc: Ẩn"
    assert all(" " in message for message in warned.values()), "a sentence, and not its code"
    assert warned["lost_zero_phones"].startswith("Có 2 số điện thoại bị mất số 0 ở đầu")
    done = await run(workspace.admin, found["id"])
    assert done["counts"]["created"] == 2


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


async def test_one_key_is_one_import(workspace: Workspace) -> None:
    headers = {"Idempotency-Key": "tai-len-1"}
    replies = [
        await workspace.admin.post(f"{API}/imports", files={"file": ("khach.csv", table(rows))}, headers=headers)
        for rows in (ROWS, ROWS, people(3))
    ]
    assert [reply.status_code for reply in replies] == [201, 201, 422]
    assert replies[0].json()["id"] == replies[1].json()["id"]
    assert replies[1].headers["idempotency-replayed"] == "true"
    assert len((await workspace.admin.get(f"{API}/imports")).json()["items"]) == 1


@pytest.mark.usefixtures("small_chunks")
async def test_of_a_refused_file_no_rows_stay(workspace: Workspace) -> None:
    reply = await upload(workspace.admin, table(people(9)) + b"x," * 200 + b"x\n")
    assert (reply.status_code, reply.json()["code"]) == (422, "file_too_many_columns")
    kept, blobs = UUID(reply.json()["import_id"]), workspace.resources.blobs
    assert await blobs.exists(files.source(workspace.id, kept))
    assert not await blobs.exists(files.chunk(workspace.id, kept, 0, 0))


async def test_one_key_of_a_refused_file_has_one_reply(workspace: Workspace) -> None:
    headers = {"Idempotency-Key": "tai-len-2"}
    replies = [
        await workspace.admin.post(
            f"{API}/imports", files={"file": ("a.csv", "Họ tên,SĐT\n".encode())}, headers=headers
        )
        for _ in range(2)
    ]  # fmt: skip
    assert [(one.status_code, one.json()["code"]) for one in replies] == [(422, "file_empty")] * 2


@pytest.mark.parametrize("room", [200_000, 2_000_000], ids=["stored", "received"])
async def test_a_disk_without_room_is_told(workspace: Workspace, room: int) -> None:
    """Small bodies are received in memory; larger ones need the disk twice. A file too large for the process to write
    is what stands for a full disk."""
    content = table(people(room // 15))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        reply = await upload(workspace.admin, content)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (reply.status_code, reply.json()["code"]) == (507, "storage_full"), reply.text
    assert (await workspace.admin.get(f"{API}/imports")).json()["items"] == []
    assert (await upload(workspace.admin, content)).status_code == 201


async def test_imports_are_listed_the_newest_first(workspace: Workspace) -> None:
    person = await workspace.person(permissions=["customers.import"])
    mine = [(await ready(workspace.admin, table(ROWS), f"{n}.csv"))["id"] for n in range(3)]
    theirs = (await ready(person.client, table(ROWS), "khác.csv"))["id"]
    assert await listed(workspace.admin) == [theirs, *reversed(mine)]
    assert await listed(person.client) == [theirs]
    assert (await person.client.get(f"{API}/imports/{mine[0]}")).status_code == 404


async def listed(client: httpx.AsyncClient) -> list[str]:
    """The ids of the imports that a caller sees, two a page."""
    found, params = list[str](), dict[str, Any](limit=2)
    while True:
        page = (await client.get(f"{API}/imports", params=params)).json()
        assert len(page["items"]) <= 2
        found += [one["id"] for one in page["items"]]
        if page["next_cursor"] is None:
            return found
        params["cursor"] = page["next_cursor"]
