"""What the tests of imports do over HTTP again and again."""

import asyncio
import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
from openpyxl import Workbook, load_workbook

from tests.factories.people import Workspace

API = "/api/v1"
ENDED = ("succeeded", "failed", "cancelled", "undone")
HEADERS = ["Họ tên", "SĐT", "Email"]
ROWS = [HEADERS, ["Hoa", "0912345678", "hoa@example.com"], ["Nam", "0987654321", ""]]
NOBODY = "01a00000-0000-7000-8000-000000000000"


async def upload(client: httpx.AsyncClient, content: bytes | Path, name: str = "khach.csv") -> httpx.Response:
    """The reply to an upload."""
    data = content.read_bytes() if isinstance(content, Path) else content
    if isinstance(content, Path):
        name = content.name
    return await client.post(f"{API}/imports", files={"file": (name, data, "application/octet-stream")}, timeout=60)


async def ready(client: httpx.AsyncClient, content: bytes | Path, name: str = "khach.csv") -> dict[str, Any]:
    """An uploaded import, once it is read."""
    reply = await upload(client, content, name)
    assert reply.status_code == 201, reply.text
    return await until(client, reply.json()["id"], ("ready",))


async def until(
    client: httpx.AsyncClient, import_id: str, states: Sequence[str], seconds: float = 60
) -> dict[str, Any]:
    """The import once it is in one of the states."""
    for _ in range(int(seconds / 0.05)):
        reply = await client.get(f"{API}/imports/{import_id}")
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        if found["state"] in states:
            return found
        assert found["state"] not in ENDED, found
        await asyncio.sleep(0.05)
    raise AssertionError(found)


async def run(client: httpx.AsyncClient, import_id: str, **choices: Any) -> dict[str, Any]:
    """The import after a start with these choices has ended."""
    reply = await client.post(f"{API}/imports/{import_id}/start", json=choices)
    assert reply.status_code == 202, reply.text
    return await until(client, import_id, ENDED)


async def bring(client: httpx.AsyncClient, rows: Sequence[Sequence[Any]], **choices: Any) -> dict[str, Any]:
    """Uploads a list of rows, the header first, and imports it."""
    found = await ready(client, table(rows))
    return await run(client, found["id"], **choices)


async def undo(workspace: Workspace, import_id: str) -> dict[str, int]:
    """The counts of an import's undo."""
    reply = await workspace.admin.post(f"{API}/imports/{import_id}/undo")
    assert reply.status_code == 202, reply.text
    assert reply.json()["activity"] == "undo"
    found = await until(workspace.admin, import_id, ("undone",))
    counts: dict[str, int] = found["undo_counts"]
    return counts


async def result(workspace: Workspace, import_id: str) -> list[list[Any]]:
    """The cells of an import's result file; none of them is anything that a spreadsheet program would reckon."""
    reply = await workspace.admin.get(f"{API}/imports/{import_id}/result", timeout=60)
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"].endswith("spreadsheetml.sheet")
    assert "filename*=UTF-8''khach%20-%20k%E1%BA%BFt%20qu%E1%BA%A3.xlsx" in reply.headers["content-disposition"]
    [sheet] = load_workbook(io.BytesIO(reply.content)).worksheets
    for row in sheet.iter_rows():
        for cell in row:
            assert cell.data_type in ("s", "n", "inlineStr", "b", "d"), (cell.coordinate, cell.data_type)
            assert cell.hyperlink is None
    return [list(row) for row in sheet.iter_rows(values_only=True)]


async def rows_of(client: httpx.AsyncClient, import_id: str, status: str | None = None) -> list[dict[str, Any]]:
    """All rows of an import with a status, over as many pages as that takes."""
    found: list[dict[str, Any]] = []
    params: dict[str, Any] = {"limit": 200} | ({"status": status} if status else {})
    while True:
        reply = await client.get(f"{API}/imports/{import_id}/rows", params=params)
        assert reply.status_code == 200, reply.text
        found += reply.json()["items"]
        if reply.json()["next_cursor"] is None:
            return found
        params["cursor"] = reply.json()["next_cursor"]


async def customers(workspace: Workspace) -> dict[str, dict[str, Any]]:
    """The workspace's customers by phone."""
    found: dict[str, dict[str, Any]] = {}
    params: dict[str, Any] = {"limit": 200}
    while True:
        reply = await workspace.admin.get(f"{API}/customers", params=params)
        assert reply.status_code == 200, reply.text
        found |= {one["phone"]: one for one in reply.json()["items"]}
        if reply.json()["next_cursor"] is None:
            return found
        params["cursor"] = reply.json()["next_cursor"]


def table(rows: Sequence[Sequence[Any]]) -> bytes:
    """Rows as .csv."""
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode("utf-8-sig")


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
