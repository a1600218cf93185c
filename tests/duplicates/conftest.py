"""What the tests of duplicates share."""

import asyncio
import itertools
from typing import Any

import httpx
import pytest

from tests.factories.people import Workspace
from workers.main import WorkerProcess

API = "/api/v1"
_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def working(worker: WorkerProcess) -> WorkerProcess:
    """Jobs that the tests start are done."""
    return worker


def a_phone() -> str:
    """A phone that no other test has."""
    return f"+8497{next(_numbers):07d}"


async def add(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    """A customer added over HTTP."""
    reply = await client.post(f"{API}/customers", json={"name": "Trần Văn Thử", "phone": a_phone(), **fields})
    assert reply.status_code == 201, reply.text
    body: dict[str, Any] = reply.json()
    return body


async def edit(client: httpx.AsyncClient, customer: dict[str, Any], **fields: Any) -> httpx.Response:
    """A change of a customer as it is now."""
    url = f"{API}/customers/{customer['id']}"
    etag = (await client.get(url)).headers["etag"]
    return await client.patch(url, json=fields, headers={"If-Match": etag})


async def done(client: httpx.AsyncClient, job_id: str) -> dict[str, Any]:
    """A job once it has succeeded."""
    for _ in range(400):
        job: dict[str, Any] = (await client.get(f"{API}/jobs/{job_id}")).json()
        if job["state"] == "succeeded":
            return job
        assert job["state"] in ("queued", "running"), job
        await asyncio.sleep(0.05)
    raise AssertionError(f"the job did not end: {job}")


async def set_keys(workspace: Workspace, *keys: dict[str, Any]) -> dict[str, Any]:
    """Sets the duplicate keys and waits until they are ready."""
    url = f"{API}/duplicate-keys"
    etag = (await workspace.admin.get(url)).headers["etag"]
    reply = await workspace.admin.put(url, json={"keys": list(keys)}, headers={"If-Match": etag})
    assert reply.status_code == 200, reply.text
    body: dict[str, Any] = reply.json()
    if body["job_id"]:
        await done(workspace.admin, body["job_id"])
    return body


async def scan(workspace: Workspace) -> None:
    """Looks for duplicates in all customers."""
    reply = await workspace.admin.post(f"{API}/duplicates/scan")
    assert reply.status_code == 202, reply.text
    await done(workspace.admin, reply.json()["job_id"])
