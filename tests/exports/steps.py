"""What the tests of exports do over HTTP again and again."""

import csv
import io
from typing import Any
from uuid import uuid4

import httpx
from openpyxl import load_workbook

from tests.bulk.steps import API, until
from tests.factories.people import Workspace, open_client

EVERYBODY: dict[str, Any] = {"filter": {}}


async def start(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    """The reply to a request for an export."""
    return await client.post(f"{API}/exports", json=body, headers={"Idempotency-Key": uuid4().hex})


async def export(client: httpx.AsyncClient, selection: Any = EVERYBODY, **body: Any) -> dict[str, Any]:
    """An export once its job has ended."""
    reply = await start(client, selection=selection, **body)
    assert reply.status_code == 202, reply.text
    job = await until(client, reply.json()["job_id"])
    assert job["state"] == "succeeded", job
    made: dict[str, Any] = (await client.get(reply.headers["location"])).json()
    return made


async def download(workspace: Workspace, made: dict[str, Any]) -> httpx.Response:
    """The reply to the link, followed by nobody in particular."""
    async with open_client(workspace.app) as nobody:
        return await nobody.get(made["file_url"], timeout=60)


async def sheets(workspace: Workspace, made: dict[str, Any]) -> dict[str, list[list[Any]]]:
    """The cells of each sheet of an export's workbook, none of which a spreadsheet program would reckon."""
    reply = await download(workspace, made)
    assert reply.status_code == 200, reply.text
    book = load_workbook(io.BytesIO(reply.content))
    for sheet in book.worksheets:
        for row in sheet.iter_rows():
            for cell in row:
                assert cell.data_type in ("s", "n", "inlineStr", "b", "d"), (cell.coordinate, cell.data_type)
                assert cell.hyperlink is None
    return {sheet.title: [list(row) for row in sheet.iter_rows(values_only=True)] for sheet in book.worksheets}


async def cells(workspace: Workspace, made: dict[str, Any]) -> list[list[Any]]:
    """The cells of an export's file, which has one sheet."""
    if made["format"] == "csv":
        reply = await download(workspace, made)
        assert reply.status_code == 200, reply.text
        return [list(row) for row in csv.reader(io.StringIO(reply.content.decode("utf-8-sig")))]
    [found] = (await sheets(workspace, made)).values()
    return found
