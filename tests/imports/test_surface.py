"""The calls of an import one by one: what they answer, and what they refuse."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from openpyxl import Workbook, load_workbook
from sqlalchemy import func, select, update

from app.core.events import Event
from app.core.settings import Settings
from app.imports.models import Import
from app.main import create_app
from tests.conftest import MakeWorkspace
from tests.factories.people import Workspace, open_client
from tests.imports.steps import API, bring, customers, ready, rows_of, run, table, until, upload

pytestmark = pytest.mark.usefixtures("worker")
HEADERS = ["Họ tên", "SĐT", "Email"]
ROWS = [HEADERS, ["Hoa", "0912345678", "hoa@example.com"], ["Nam", "0987654321", ""]]
NOBODY = "01a00000-0000-7000-8000-000000000000"


def people(count: int) -> list[list[str]]:
    """A header and so many rows, each with a phone of its own."""
    return [HEADERS, *([f"Khách {n}", f"09{n:08d}", ""] for n in range(10_000_000, 10_000_000 + count))]


def workbook(**sheets: list[list[Any]]) -> bytes:
    """An .xlsx with these sheets."""
    made, out = Workbook(), io.BytesIO()
    made.remove(made.worksheets[0])
    for name, rows in sheets.items():
        sheet = made.create_sheet(name)
        for row in rows:
            sheet.append(row)
    made.save(out)
    return out.getvalue()


def paths(reply: httpx.Response) -> dict[str, str]:
    """The code of each field that a reply refuses."""
    return {one["field"]: one["code"] for one in reply.json()["errors"]}


async def under_way(workspace: Workspace, count: int = 600) -> str:
    """An import that has written some of its rows, and has many to go."""
    found = await ready(workspace.admin, table(people(count)))
    reply = await workspace.admin.post(f"{API}/imports/{found['id']}/start", json={})
    assert reply.status_code == 202, reply.text
    while not (await workspace.admin.get(f"{API}/imports/{found['id']}")).json()["progress"]["done"]:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    import_id: str = found["id"]
    return import_id


async def asked(workspace: Workspace, import_id: str, verb: str) -> dict[str, Any]:
    """The reply to a pause, a resume or a cancel."""
    reply = await workspace.admin.post(f"{API}/imports/{import_id}/{verb}")
    assert reply.status_code == 202, reply.text
    found: dict[str, Any] = reply.json()
    return found


@pytest.mark.feature("B024")
async def test_an_upload_needs_the_permission(workspace: Workspace) -> None:
    sale = await workspace.person("sale")
    reply = await upload(sale.client, table(ROWS))
    assert (reply.status_code, reply.json()["code"]) == (403, "forbidden")
    assert "Nhập khách hàng từ file" in reply.json()["detail"]
    for method, path in (("GET", ""), ("GET", "/template"), ("GET", f"/{NOBODY}"), ("POST", f"/{NOBODY}/undo")):
        assert (await sale.client.request(method, f"{API}/imports{path}")).status_code == 403, path
    assert (await workspace.admin.get(f"{API}/imports")).json()["items"] == []


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


async def test_a_refused_file_stays_as_a_failed_import(workspace: Workspace) -> None:
    reply = await upload(workspace.admin, b"%PDF-1.7\n" + bytes(range(256)), "khách.xlsx")
    assert (reply.status_code, reply.json()["code"]) == (415, "not_a_table")
    assert reply.headers["content-type"] == "application/problem+json"
    found = (await workspace.admin.get(f"{API}/imports/{reply.json()['import_id']}")).json()
    assert (found["state"], found["error"]["code"], found["file_name"]) == ("failed", "not_a_table", "khách.xlsx")
    assert found["error"]["message"] == reply.json()["detail"]
    refused = await workspace.admin.post(f"{API}/imports/{found['id']}/start", json={})
    assert (refused.status_code, refused.json()["code"]) == (409, "import_state")


async def test_a_file_may_be_too_large(workspace: Workspace, settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"max_upload": 100_000}))
    async with app.router.lifespan_context(app):
        async with open_client(app, {"Authorization": f"Bearer {workspace.administrator.token}"}) as client:
            big = await upload(client, table(people(20_000)))
            assert (big.status_code, big.json()["code"]) == (413, "too_large")
            assert (await upload(client, table(ROWS))).status_code == 201
    assert len((await workspace.admin.get(f"{API}/imports")).json()["items"]) == 1


async def test_the_name_of_a_file_is_only_a_name(workspace: Workspace) -> None:
    for given, kept in (("C:\\Tải về\\khách.csv", "khách.csv"), ("../../etc/khach.csv", "khach.csv")):
        assert (await ready(workspace.admin, table(ROWS), given))["file_name"] == kept


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


@pytest.mark.feature("A077")
async def test_a_new_group_needs_a_name(workspace: Workspace) -> None:
    found = await ready(workspace.admin, table(ROWS))
    for given in ({}, {"name": None}, {"name": ""}, {"name": "  \u200b "}):
        reply = await workspace.admin.post(f"{API}/imports/{found['id']}/start", json={"group": given})
        assert reply.status_code == 422, reply.text
        [error] = reply.json()["errors"]
        assert (error["field"], error["message"]) == ("group.name", "Vui lòng nhập tên nhóm")
    unknown = await workspace.admin.post(f"{API}/imports/{found['id']}/start", json={"group": {"id": NOBODY}})
    assert (unknown.status_code, paths(unknown)) == (422, {"group.id": "group_unknown"})


async def test_every_mistake_of_a_mapping_has_its_path(workspace: Workspace) -> None:
    found = await ready(workspace.admin, table(ROWS))
    start = f"{API}/imports/{found['id']}/start"
    mapping: dict[str, Any] = {
        "name": "A", "khong_co": 1, "email": 4, "phone": "AAAA", "note": 0, "address": "", "created_at": 1,
        "birthday": "C-", "tax_code": "XFD",
    }  # fmt: skip
    reply = await workspace.admin.post(start, json={"mapping": mapping})
    assert reply.status_code == 422
    assert paths(reply) == {
        "mapping.khong_co": "field_unknown", "mapping.email": "column_out_of_range",
        "mapping.phone": "column_invalid", "mapping.note": "column_invalid", "mapping.address": "column_invalid",
        "mapping.created_at": "field_unknown", "mapping.birthday": "column_invalid",
        "mapping.tax_code": "column_out_of_range",
    }  # fmt: skip
    missing = await workspace.admin.post(start, json={"mapping": {"name": 1}})
    assert (missing.status_code, paths(missing)) == (422, {"mapping.phone": "required"})
    for body, path in (
        ({"owner": "khong.co"}, "owner"), ({"sheet": 2}, "sheet"), ({"sheet": "Khác"}, "sheet"),
        ({"start_row": 0}, "start_row"), ({"on_duplicate": "merge"}, "on_duplicate"), ({"thua": 1}, "thua"),
    ):  # fmt: skip
        reply = await workspace.admin.post(start, json=body)
        assert (reply.status_code, list(paths(reply))) == (422, [path]), reply.text
    assert (await workspace.admin.get(f"{API}/imports/{found['id']}")).json()["state"] == "ready"


async def test_without_a_column_for_phones_nothing_starts_by_itself(workspace: Workspace) -> None:
    found = await ready(workspace.admin, table([["Họ tên", "Cột lạ"], ["Hoa", "chữ"]]))
    assert found["preview"]["proposal"]["missing"] == ["phone"]
    reply = await workspace.admin.post(f"{API}/imports/{found['id']}/start", json={})
    assert (reply.status_code, reply.json()["code"]) == (422, "mapping_incomplete")
    assert paths(reply) == {"mapping.phone": "required"}


@pytest.mark.feature("A078", "B032")
async def test_one_of_several_sheets_is_chosen(workspace: Workspace) -> None:
    content = workbook(**{
        "Đợt 1": [HEADERS, ["Hoa", "0912345678", ""]],
        "Đợt 2": [["Ghi chú", "ĐT", "Tên KH"], ["đợt hai", "0987654321", "Nam"], ["", "0987654322", "Lan"]],
    })  # fmt: skip
    for choice, expected in (({}, "Hoa"), ({"sheet": 1}, "Hoa"), ({"sheet": "Đợt 2", "start_row": 3}, "Lan")):
        found = await ready(workspace.admin, content, "hai.xlsx")
        assert "several_sheets" in [one["code"] for one in found["preview"]["warnings"]]
        done = await run(workspace.admin, found["id"], **choice)
        assert done["counts"]["rows"] == 1
        assert expected in {one["name"] for one in (await customers(workspace)).values()}
    found = await ready(workspace.admin, content, "hai.xlsx")
    done = await run(workspace.admin, found["id"], sheet=2, mapping={"phone": "b", "name": "3", "note": 1})
    assert done["counts"] == {"rows": 2, "created": 1, "updated": 1, "unchanged": 1, "skipped": 0, "failed": 0}
    assert (await customers(workspace))["+84987654321"]["note"] == "đợt hai"


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


async def test_progress_is_streamed_to_the_end(workspace: Workspace, small_chunks: None) -> None:
    import_id = await under_way(workspace, 150)
    events = [one async for one in watched(workspace, import_id)]
    assert [kind for kind, _ in events] == ["progress"] * (len(events) - 1) + ["end"]
    done = [data["progress"]["done"] for _, data in events]
    assert done == sorted(done)
    assert done[0] < 150 or len(events) == 2
    last = events[-1][1]
    assert (last["state"], last["counts"]["created"]) == ("succeeded", 150)
    assert last["progress"] == {"done": 150, "total": 150}
    again = [one async for one in watched(workspace, import_id)]
    assert [kind for kind, _ in again] == ["progress", "end"]


async def watched(workspace: Workspace, import_id: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """The events of an import as they come."""
    kind = ""
    async with workspace.admin.stream("GET", f"{API}/imports/{import_id}/events", timeout=30) as reply:
        assert reply.status_code == 200
        assert reply.headers["content-type"].startswith("text/event-stream")
        async for line in reply.aiter_lines():
            name, _, value = line.partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                yield kind, json.loads(value)


async def test_a_run_pauses_and_goes_on(workspace: Workspace, small_chunks: None) -> None:
    import_id = await under_way(workspace)
    await asked(workspace, import_id, "pause")
    paused = await until(workspace.admin, import_id, ("paused",))
    assert 0 < paused["progress"]["done"] < 600
    await asyncio.sleep(0.5)
    still = (await workspace.admin.get(f"{API}/imports/{import_id}")).json()
    assert (still["state"], still["counts"], still["progress"]) == ("paused", paused["counts"], paused["progress"])
    assert len(await customers(workspace)) == paused["counts"]["created"] == paused["progress"]["done"]
    assert (await workspace.admin.post(f"{API}/imports/{import_id}/undo")).status_code == 409
    assert (await asked(workspace, import_id, "resume"))["state"] in ("queued", "running")
    done = await until(workspace.admin, import_id, ("succeeded",))
    assert done["counts"]["created"] == len(await customers(workspace)) == 600


async def test_a_cancel_keeps_what_was_written(workspace: Workspace, small_chunks: None) -> None:
    import_id = await under_way(workspace)
    await asked(workspace, import_id, "cancel")
    ended = await until(workspace.admin, import_id, ("cancelled",))
    counts = ended["counts"]
    assert 0 < counts["rows"] == counts["created"] < 600
    assert len(await customers(workspace)) == counts["created"]
    assert len(await rows_of(workspace.admin, import_id)) == counts["rows"]
    [told] = (await workspace.admin.get(f"{API}/notifications")).json()["items"]
    assert told["message"].startswith("Import đã bị hủy: khach.csv")
    sheet = await result(workspace, import_id)
    statuses = [row[-2] for row in sheet[1:]]
    assert statuses.count("Thêm mới") == counts["created"]
    assert statuses.count("Chưa xử lý") == 600 - counts["created"]
    undone = await asked(workspace, import_id, "undo")
    assert undone["activity"] == "undo"
    assert (await until(workspace.admin, import_id, ("undone",)))["undo_counts"]["removed"] == counts["created"]
    assert await customers(workspace) == {}


async def test_a_paused_run_is_cancelled_at_once(workspace: Workspace, small_chunks: None) -> None:
    import_id = await under_way(workspace)
    await asked(workspace, import_id, "pause")
    await until(workspace.admin, import_id, ("paused",))
    ended = await asked(workspace, import_id, "cancel")
    assert (ended["state"], ended["counts"]["created"]) == ("cancelled", len(await customers(workspace)))
    assert ended["finished_at"] is not None


@pytest.mark.feature("A079", "A083")
async def test_the_end_is_told(workspace: Workspace) -> None:
    sale = await workspace.person(permissions=["customers.view", "customers.import"])
    found = await bring(sale.client, [*ROWS, ["Sai", "12", ""]])
    [told] = (await sale.client.get(f"{API}/notifications")).json()["items"]
    assert told["message"] == "Import kết thúc: khach.csv – 2 thêm mới, 0 cập nhật, 0 bỏ qua, 1 lỗi"
    assert (told["kind"], told["subject_type"], told["subject_id"]) == ("import_finished", "import", found["id"])
    assert told["data"]["counts"] == found["counts"]
    assert (await workspace.admin.get(f"{API}/notifications")).json()["items"] == []


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
async def test_the_result_repeats_the_rows_and_is_inert(workspace: Workspace) -> None:
    names = ['=HYPERLINK("https://example.com","x")', "+1+1", "-2+3", "@SUM(A1)", "＝1+1", "|cmd", "Nguyễn Văn Bình"]
    rows = [[name, f"091234567{n}", "", "00123"] for n, name in enumerate(names)]
    rows += [["Sai", "=1+1", "không phải", "1"], ["", "", "", "chỉ ghi chú"]]
    found = await bring(workspace.admin, [[*HEADERS, "Ghi chú"], *rows])
    assert (found["counts"]["created"], found["counts"]["failed"]) == (len(names), 2)
    sheet = await result(workspace, found["id"])
    assert sheet[0] == [*HEADERS, "Ghi chú", "Trạng thái", "Lý do"]
    assert [[value or "" for value in row[:4]] for row in sheet[1:]] == rows
    assert [row[4] for row in sheet[1:]] == ["Thêm mới"] * len(names) + ["Lỗi"] * 2
    assert sheet[8][5] == ("Cột B: Số điện thoại không hợp lệ; Cột C: Email không hợp lệ") or (
        "Cột B" in sheet[8][5] and "Cột C" in sheet[8][5]
    )
    assert sheet[9][5].count("bắt buộc") == 2
    reply = await workspace.admin.get(f"{API}/imports/{found['id']}/result")
    assert "khach%20-%20k%E1%BA%BFt%20qu%E1%BA%A3.xlsx" in reply.headers["content-disposition"]


async def result(workspace: Workspace, import_id: str) -> list[list[Any]]:
    """The rows of the result file; no cell of it is anything that a spreadsheet program would reckon."""
    reply = await workspace.admin.get(f"{API}/imports/{import_id}/result", timeout=30)
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"].endswith("spreadsheetml.sheet")
    [sheet] = load_workbook(io.BytesIO(reply.content)).worksheets
    for row in sheet.iter_rows():
        for cell in row:
            assert cell.data_type in ("s", "n", "inlineStr", "b", "d"), (cell.coordinate, cell.data_type)
            assert cell.hyperlink is None
    return [list(row) for row in sheet.iter_rows(values_only=True)]


async def test_there_is_no_result_before_the_end(workspace: Workspace) -> None:
    found = await ready(workspace.admin, table(ROWS))
    reply = await workspace.admin.get(f"{API}/imports/{found['id']}/result")
    assert (reply.status_code, reply.json()["code"]) == (409, "import_state")


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


async def test_a_dry_run_writes_nothing(workspace: Workspace) -> None:
    await bring(workspace.admin, [HEADERS, ["Hoa", "0912345678", ""], ["Lan", "0912345679", ""]])
    before = await customers(workspace)
    rows = [
        HEADERS, ["Hoà", "0912345678", ""], ["Lan", "0912345679", ""], ["Mới", "0987654321", ""],
        ["Mới nữa", "0987654321", ""], ["Sai", "12", ""],
    ]  # fmt: skip
    found = await ready(workspace.admin, table(rows))
    tried = await run(workspace.admin, found["id"], dry_run=True, group={"name": "Chưa có"})
    assert (tried["state"], tried["dry_run"]) == ("succeeded", True)
    assert tried["counts"] == {"rows": 5, "created": 1, "updated": 3, "unchanged": 1, "skipped": 0, "failed": 1}
    assert [(row["row"], row["status"]) for row in await rows_of(workspace.admin, found["id"])] == [
        (2, "updated"), (3, "updated"), (4, "created"), (5, "updated"), (6, "failed"),
    ]  # fmt: skip
    assert await customers(workspace) == before
    assert (await workspace.admin.get(f"{API}/groups")).json()["items"] == []
    async with workspace.resources.db.transaction(workspace.id) as session:
        written = await session.scalar(select(func.count()).where(Event.batch_id == UUID(found["id"])))
    assert written == 0
    told = (await workspace.admin.get(f"{API}/notifications")).json()["items"][0]
    assert told["message"].startswith("Kiểm tra thử import kết thúc: khach.csv")
    done = await run(workspace.admin, found["id"])
    assert (done["dry_run"], done["counts"]) == (False, tried["counts"])


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
async def test_a_file_may_have_more_than_two_thousand_rows(workspace: Workspace) -> None:
    found = await bring(workspace.admin, people(2_500))
    assert found["counts"]["created"] == 2_500
