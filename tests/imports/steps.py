"""What the tests of imports do over HTTP again and again."""

import asyncio
import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.factories.people import Workspace

API = "/api/v1"
ENDED = ("succeeded", "failed", "cancelled", "undone")


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
