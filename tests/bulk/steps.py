"""What the tests of bulk work do over HTTP again and again."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx

from tests.factories.people import Workspace

API = "/api/v1"
BULK = f"{API}/customers/bulk"
ENDED = ("succeeded", "failed", "dead", "cancelled")
WARNING = "Khách hàng bị xóa sẽ không thể khôi phục lại"


async def add(client: httpx.AsyncClient, count: int, **fields: Any) -> list[dict[str, Any]]:
    """So many customers, with phones that nobody else of the test has."""
    made = []
    for _ in range(count):
        number = uuid4().int % 10**8
        reply = await client.post(
            f"{API}/customers", json={"name": f"Khách {number}", "phone": f"09{number:08d}", **fields}
        )
        assert reply.status_code == 201, reply.text
        made.append(reply.json())
    return made


async def ask(client: httpx.AsyncClient, action: str, selection: Any, **more: Any) -> httpx.Response:
    """The reply to a bulk action; `selection` is ids, or a filter's selection."""
    chosen = {"ids": selection} if isinstance(selection, list) else selection
    expected = {"expected_count": more.pop("expected_count")} if "expected_count" in more else {}
    body = {"action": action, "selection": chosen, "params": more} | expected
    return await client.post(BULK, json=body, headers={"Idempotency-Key": uuid4().hex}, timeout=60)


async def do(client: httpx.AsyncClient, action: str, selection: Any, **more: Any) -> dict[str, Any]:
    """The job of a bulk action, once it has ended."""
    reply = await ask(client, action, selection, **more)
    assert reply.status_code in (200, 202), reply.text
    return await until(client, reply.json()["id"])


async def until(client: httpx.AsyncClient, job_id: str, *states: str) -> dict[str, Any]:
    """The job once it is in one of the states, or has ended."""
    for _ in range(600):
        reply = await client.get(f"{API}/jobs/{job_id}")
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        if found["state"] in (states or ENDED):
            return found
        assert found["state"] not in ENDED, found
        await asyncio.sleep(0.05)
    raise AssertionError(found)


async def undo(client: httpx.AsyncClient, job_id: str) -> dict[str, Any]:
    """The undo's job, once it has ended."""
    reply = await client.post(f"{API}/jobs/{job_id}/undo")
    assert reply.status_code == 202, reply.text
    ended = await until(client, reply.json()["id"])
    assert ended["state"] == "succeeded", ended
    return ended


async def items(client: httpx.AsyncClient, job_id: str, **params: str) -> list[dict[str, Any]]:
    """All items of a job, over as many pages as that takes."""
    found: list[dict[str, Any]] = []
    query: dict[str, Any] = {"limit": 3, **params}
    while True:
        reply = await client.get(f"{API}/jobs/{job_id}/items", params=query)
        assert reply.status_code == 200, reply.text
        found += reply.json()["items"]
        if reply.json()["next_cursor"] is None:
            return found
        query["cursor"] = reply.json()["next_cursor"]


async def read(client: httpx.AsyncClient, customer_id: str) -> dict[str, Any] | None:
    """A customer; None if it is not found."""
    reply = await client.get(f"{API}/customers/{customer_id}")
    assert reply.status_code in (200, 404), reply.text
    return reply.json() if reply.status_code == 200 else None


async def edit(client: httpx.AsyncClient, customer_id: str, **fields: Any) -> dict[str, Any]:
    """A customer after a change by hand."""
    url = f"{API}/customers/{customer_id}"
    reply = await client.patch(url, json=fields, headers={"If-Match": (await client.get(url)).headers["etag"]})
    assert reply.status_code == 200, reply.text
    body: dict[str, Any] = reply.json()
    return body


async def throw(client: httpx.AsyncClient, customer_id: str) -> None:
    """Deletes a customer into the trash."""
    url = f"{API}/customers/{customer_id}"
    reply = await client.delete(url, headers={"If-Match": (await client.get(url)).headers["etag"]})
    assert reply.status_code == 204, reply.text


async def history(client: httpx.AsyncClient, customer_id: str) -> list[dict[str, Any]]:
    """A customer's events, the newest first."""
    reply = await client.get(f"{API}/customers/{customer_id}/events")
    assert reply.status_code == 200, reply.text
    found: list[dict[str, Any]] = reply.json()["items"]
    return found


async def group(workspace: Workspace, name: str) -> dict[str, Any]:
    """A group."""
    reply = await workspace.admin.post(f"{API}/groups", json={"name": name})
    assert reply.status_code == 201, reply.text
    body: dict[str, Any] = reply.json()
    return body


async def size_of(workspace: Workspace, group_id: str) -> int:
    """How many customers a group has."""
    size: int = (await workspace.admin.get(f"{API}/groups/{group_id}")).json()["size"]
    return size


def names(row: dict[str, Any] | None, of: str = "groups") -> list[str]:
    """The names of a customer's groups or tags."""
    assert row is not None
    return sorted(one["name"] if isinstance(one, dict) else one for one in row[of])
