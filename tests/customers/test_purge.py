"""What goes with who is deleted for good, and what time alone never deletes."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select, update

from app.core.clock import now
from app.core.jobs import Job
from app.customers.models import Customer
from tests.bulk.steps import API, BULK, WARNING, add, do
from tests.customers.test_trash import TRASH, events, purge, throw
from tests.factories.people import Workspace
from workers.housekeeping import clean
from workers.main import WorkerProcess


async def make(client: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    """A fact about a customer."""
    reply = await client.post(f"{API}/{path}", json=body)
    assert reply.status_code == 201, reply.text
    made: dict[str, Any] = reply.json()
    return made


async def contract(workspace: Workspace, customer_id: str, number: str = "HD-01") -> dict[str, Any]:
    """An active contract of 500 million."""
    return await make(
        workspace.admin, "contracts", customer_id=customer_id, number=number, name="Cung cấp", value=500_000_000,
        state="active",
    )  # fmt: skip


async def transaction(workspace: Workspace, customer_id: str, state: str) -> dict[str, Any]:
    """A transaction in a state."""
    types = (await workspace.admin.get(f"{API}/transaction-types")).json()["items"]
    return await make(
        workspace.admin, "transactions", customer_id=customer_id, type_id=types[0]["id"], name="Gọi", state=state
    )


async def thrown(workspace: Workspace, customer_id: str, days: int = 31) -> dict[str, Any]:
    """The customer, in the trash for so many days, as the trash shows it."""
    await throw(workspace.admin, customer_id)
    async with workspace.resources.db.transaction(workspace.id) as session:
        await session.execute(
            update(Customer).where(Customer.id == UUID(customer_id)).values(deleted_at=now() - timedelta(days=days))
        )
    rows = (await workspace.admin.get(TRASH)).json()["items"]
    found: dict[str, Any] = next(one for one in rows if one["id"] == customer_id)
    return found


@pytest.mark.feature("B014")
async def test_time_alone_deletes_no_contract_and_no_completed_transaction(
    workspace: Workspace, worker: WorkerProcess
) -> None:
    signed, served, planned, master, plain = await add(workspace.admin, 5)
    await contract(workspace, signed["id"])
    await transaction(workspace, served["id"], "completed")
    await transaction(workspace, planned["id"], "not_started")
    [source] = await add(workspace.admin, 1)
    await contract(workspace, source["id"], "HD-02")
    for one in (signed, served, planned, master, plain, source):
        await thrown(workspace, one["id"])
    async with workspace.resources.db.transaction(workspace.id) as session:
        await session.execute(
            update(Customer)
            .where(Customer.id == UUID(source["id"]))
            .values(deleted_reason="merge", merged_into=UUID(master["id"]))
        )
    await clean(workspace.resources, workspace.id)
    kept = {one["id"] for one in (signed, served, master, source)}
    for _ in range(200):
        left = {one["id"] for one in (await workspace.admin.get(TRASH)).json()["items"]}
        if left == kept:
            break
        await asyncio.sleep(0.05)
    assert left == kept
    # Who stays is no reason to look again.
    await clean(workspace.resources, workspace.id)
    async with workspace.resources.db.transaction(workspace.id) as session:
        found = list(await session.scalars(select(Job).where(Job.kind == "customers.purge_old")))
    assert len(found) == 1


@pytest.mark.feature("A069", "B014")
async def test_a_purge_by_hand_tells_of_what_went_with_it(workspace: Workspace) -> None:
    made, other, plain = await add(workspace.admin, 3)
    signed = await contract(workspace, made["id"])
    await transaction(workspace, made["id"], "completed")
    await contract(workspace, other["id"], "HD-02")
    rows = [await thrown(workspace, one["id"], 0) for one in (made, other, plain)]
    body = {"action": "purge", "selection": {"ids": [one["id"] for one in rows]}}
    found = (await workspace.admin.post(f"{BULK}/preview", json=body)).json()
    assert (found["changed"], found["contracts"], found["transactions"]) == (3, 2, 1)
    assert (await purge(workspace.admin, rows[0])).status_code == 204
    told = (await events(workspace, made["id"]))[-1]
    fact = {"id": signed["id"], "number": "HD-01", "value": 500_000_000, "state": "active", "signed_on": None}
    assert (told.kind, told.data) == (
        "customer.purged", {"code": made["code"], "contracts": [fact], "transactions": 1},
    )  # fmt: skip
    job = await do(workspace.admin, "purge", [one["id"] for one in rows[1:]], confirm=WARNING)
    assert job["result"]["changed"] == 2
    assert [one["number"] for one in (await events(workspace, other["id"]))[-1].data["contracts"]] == ["HD-02"]
    assert (await events(workspace, plain["id"]))[-1].data == {"code": plain["code"]}
    assert (await workspace.admin.get(f"{API}/contracts")).json()["items"] == []
