"""Asking for merges and looking at what became of customers."""

from typing import Any

import httpx

from tests.duplicates.conftest import API

CUSTOMERS = f"{API}/customers"


async def get(client: httpx.AsyncClient, customer_id: str) -> dict[str, Any]:
    """A customer as it is now."""
    reply = await client.get(f"{CUSTOMERS}/{customer_id}")
    assert reply.status_code == 200, reply.text
    body: dict[str, Any] = reply.json()
    return body


async def ask(
    client: httpx.AsyncClient, path: str, master: dict[str, Any], *sources: dict[str, Any], **more: Any
) -> Any:
    """A request about a merge, with the versions of now."""
    ids = [master["id"], *(one["id"] for one in sources)]
    versions = {one: (await get(client, one))["version"] for one in ids}
    body = {"master_id": ids[0], "source_ids": ids[1:], "versions": versions, **more}
    return await client.post(f"{CUSTOMERS}/{path}", json=body)


async def merge(
    client: httpx.AsyncClient, master: dict[str, Any], *sources: dict[str, Any], **more: Any
) -> dict[str, Any]:
    """A merge that succeeds."""
    reply = await ask(client, "merge", master, *sources, **more)
    assert reply.status_code == 201, reply.text
    body: dict[str, Any] = reply.json()
    return body


async def undo(client: httpx.AsyncClient, merge_id: str) -> dict[str, Any]:
    """An undo that succeeds."""
    reply = await client.post(f"{API}/merges/{merge_id}/undo")
    assert reply.status_code == 200, reply.text
    body: dict[str, Any] = reply.json()
    return body


def plain(customer: dict[str, Any]) -> dict[str, Any]:
    """A customer without what any change moves."""
    return {key: value for key, value in customer.items() if key not in ("version", "updated_at")}


async def points(client: httpx.AsyncClient, customer: dict[str, Any], kind: str) -> list[str]:
    """All phones, e-mails, addresses or links of a customer."""
    reply = await client.get(f"{CUSTOMERS}/{customer['id']}/{kind}")
    assert reply.status_code == 200, reply.text
    return [one["value"] for one in reply.json()["items"]]


async def group(client: httpx.AsyncClient, name: str) -> str:
    """A group."""
    reply = await client.post(f"{API}/groups", json={"name": name})
    assert reply.status_code == 201, reply.text
    return str(reply.json()["id"])


async def throw(client: httpx.AsyncClient, customer: dict[str, Any]) -> None:
    """Deletes a customer into the trash."""
    etag = (await client.get(f"{CUSTOMERS}/{customer['id']}")).headers["etag"]
    reply = await client.delete(f"{CUSTOMERS}/{customer['id']}", headers={"If-Match": etag})
    assert reply.status_code == 204, reply.text


async def purge(client: httpx.AsyncClient, customer: dict[str, Any]) -> None:
    """Deletes a customer of the trash for good."""
    listed = (await client.get(f"{CUSTOMERS}/trash")).json()["items"]
    version = next(one["version"] for one in listed if one["id"] == customer["id"])
    reply = await client.delete(
        f"{CUSTOMERS}/{customer['id']}/purge",
        params={"confirm": "Khách hàng bị xóa sẽ không thể khôi phục lại"},
        headers={"If-Match": f'"{version}"'},
    )
    assert reply.status_code == 204, reply.text
