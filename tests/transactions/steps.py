"""What tests of transactions, contracts and scores do over HTTP."""

from typing import Any

import httpx

from tests.factories.people import Workspace

API = "/api/v1"


async def post(client: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    """An object added over HTTP."""
    reply = await client.post(f"{API}{path}", json=body)
    assert reply.status_code == 201, reply.text
    made: dict[str, Any] = reply.json()
    return made


async def patch(client: httpx.AsyncClient, path: str, version: int, **body: Any) -> dict[str, Any]:
    """An object changed over HTTP."""
    reply = await client.patch(f"{API}{path}", json=body, headers={"If-Match": f'"{version}"'})
    assert reply.status_code == 200, reply.text
    changed: dict[str, Any] = reply.json()
    return changed


async def customer(client: httpx.AsyncClient, customer_id: str) -> dict[str, Any]:
    """A customer as it is now."""
    found: dict[str, Any] = (await client.get(f"{API}/customers/{customer_id}")).json()
    return found


async def type_id(workspace: Workspace, name: str = "Gặp mặt") -> str:
    """The id of a transaction type of a new workspace."""
    items = (await workspace.admin.get(f"{API}/transaction-types")).json()["items"]
    return str(next(one["id"] for one in items if one["name"] == name))


async def history(client: httpx.AsyncClient, customer_id: str) -> list[tuple[str, str]]:
    """(kind, interaction type) of a customer's events, newest first."""
    events = (await client.get(f"{API}/customers/{customer_id}/events")).json()["items"]
    return [(event["kind"], event["type"]) for event in events]
