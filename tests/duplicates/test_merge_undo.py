"""Taking a merge back when something else happened since."""

import asyncio
import json
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from app.core.actor import Actor
from app.core.db import driver
from app.duplicates import undoing
from tests.duplicates.conftest import API, a_phone, add, edit
from tests.duplicates.merges import CUSTOMERS, ask, get, merge, points, purge, throw, undo
from tests.duplicates.test_merge_checks import contact
from tests.factories.people import Workspace


async def primary(workspace: Workspace, customer: dict[str, Any]) -> list[str]:
    """The ids of a customer's primary contacts."""
    listed = (await workspace.admin.get(f"{CUSTOMERS}/{customer['id']}/contacts")).json()["items"]
    return [one["id"] for one in listed if one.get("is_primary")]


async def promote(workspace: Workspace, customer: dict[str, Any], contact_id: str) -> None:
    """Makes a contact the primary one."""
    url = f"{CUSTOMERS}/{customer['id']}/contacts/{contact_id}"
    listed = (await workspace.admin.get(f"{CUSTOMERS}/{customer['id']}/contacts")).json()["items"]
    version = next(one["version"] for one in listed if one["id"] == contact_id)
    reply = await workspace.admin.patch(url, json={"is_primary": True}, headers={"If-Match": f'"{version}"'})
    assert reply.status_code == 200, reply.text


@pytest.mark.feature("B037")
async def test_another_contact_became_primary_since(workspace: Workspace) -> None:
    client = workspace.admin
    master, source = await add(client, kind="company"), await add(client, kind="company")
    first = (await contact(client, source, is_primary=True))["id"]
    second = (await contact(client, source))["id"]
    merged = await merge(client, master, source)
    assert await primary(workspace, master) == []
    await promote(workspace, master, second)
    assert (await undo(client, merged["id"]))["left"] == []
    assert await primary(workspace, source) == [second]
    assert await primary(workspace, master) == []
    # Nobody promoted anybody: it is who it was.
    merged = await merge(client, master, source)
    await undo(client, merged["id"])
    assert await primary(workspace, source) == [second]
    assert first != second


@pytest.mark.feature("B037", "B038")
async def test_a_source_that_was_kept_got_another_primary_contact(workspace: Workspace) -> None:
    client = workspace.admin
    master, source = await add(client, kind="company"), await add(client, kind="company")
    one = (await contact(client, source, is_primary=True))["id"]
    merged = await merge(client, master, source, sources="keep")
    new = (await contact(client, source, is_primary=True))["id"]
    await promote(workspace, master, one)
    assert (await undo(client, merged["id"]))["left"] == []
    assert await primary(workspace, source) == [new]
    listed = (await client.get(f"{CUSTOMERS}/{source['id']}/contacts")).json()["items"]
    assert {each["id"] for each in listed} >= {one, new}


@pytest.mark.feature("B037", "E002")
async def test_a_lead_keeps_the_phone_that_it_shares_with_a_contact(workspace: Workspace) -> None:
    client = workspace.admin
    number = a_phone()
    master, source = await add(client, kind="lead"), await add(client, kind="lead", phone=number)
    company = await add(client, kind="company")
    await contact(client, company, phones=[{"value": number}])
    merged = await merge(client, master, source)
    assert (await undo(client, merged["id"]))["left"] == []
    assert (await get(client, source["id"]))["phone"] == number


@pytest.mark.feature("B037")
async def test_the_masters_old_phone_is_a_contacts_by_now(workspace: Workspace) -> None:
    client = workspace.admin
    master, source, company = await add(client), await add(client), await add(client, kind="company")
    merged = await merge(client, master, source, choose={"phone": {"customer_id": source["id"]}})
    listed = (await client.get(f"{CUSTOMERS}/{master['id']}/phones")).json()["items"]
    point = next(one for one in listed if one["value"] == master["phone"])
    await client.delete(f"{CUSTOMERS}/{master['id']}/phones/{point['id']}")
    await contact(client, company, phones=[{"value": master["phone"]}])
    left = (await undo(client, merged["id"]))["left"]
    assert [(one["customer_id"], one["field"], one["code"]) for one in left] == [(master["id"], "phone", "taken")]
    assert (await get(client, master["id"]))["phone"] is None
    assert (await get(client, source["id"]))["phone"] == source["phone"]
    assert master["phone"] in await points(client, company, "phones")


@pytest.mark.feature("B037")
async def test_a_phone_that_is_taken_while_the_merge_is_undone(workspace: Workspace) -> None:
    """Somebody adds a customer with the phone after undo has looked: it looks again."""
    client = workspace.admin
    master, source = await add(client), await add(client)
    merged = await merge(client, master, source)
    listed = (await client.get(f"{CUSTOMERS}/{master['id']}/phones")).json()["items"]
    point = next(one for one in listed if one["value"] == source["phone"])
    await client.delete(f"{CUSTOMERS}/{master['id']}/phones/{point['id']}")
    newcomer = await add(client)
    actor = Actor(workspace.id, "user", workspace.administrator.id, "Quản trị", frozenset(("customers.view_all",)))
    async with (
        workspace.resources.db.transaction(workspace.id) as taking,
        workspace.resources.db.transaction(workspace.id) as undone,
    ):
        # Not committed yet: the look finds nothing, and restoring waits at the index.
        await (await driver(taking)).execute(
            "UPDATE crm.customer SET phone = $3 WHERE tenant_id = $1 AND id = $2",
            workspace.id, UUID(newcomer["id"]), source["phone"],
        )  # fmt: skip
        task = asyncio.create_task(undoing.undo(undone, actor, UUID(merged["id"])))
        for _ in range(200):
            waiting = await (await driver(taking)).fetchval(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'transactionid' "
                "AND transactionid = pg_current_xact_id()::xid"
            )
            if waiting:
                break
            await asyncio.sleep(0.02)
        assert waiting
        await taking.commit()
        told = await asyncio.wait_for(task, 20)
    assert [(one.field, one.code, str(one.taken_by)) for one in told.left] == [("phone", "taken", newcomer["id"])]
    assert (await get(client, source["id"]))["phone"] is None
    assert (await get(client, newcomer["id"]))["phone"] == source["phone"]
    # What finds the newcomer was not written above.
    assert (await edit(client, newcomer, phone=a_phone())).status_code == 200


@pytest.mark.feature("B037")
@pytest.mark.promise(6)
async def test_a_merge_and_its_undo_may_take_the_master_out_of_sight(workspace: Workspace) -> None:
    permissions = ["customers.view", "customers.create", "customers.merge", "customers.edit"]
    merger = await workspace.person("sale", permissions=permissions)
    other = await workspace.person("sale")
    # The owner is another one's after the merge.
    mine, too = await add(merger.client), await add(merger.client)
    given = await ask(merger.client, "merge", mine, too, choose={"owner": {"value": other.username}})
    assert given.status_code == 201, given.text
    assert (await merger.client.get(f"{CUSTOMERS}/{mine['id']}")).status_code == 404
    assert (await merger.client.get(f"{API}/merges/{given.json()['id']}")).status_code == 404
    # And before it: what the administrator gave to the merger goes back.
    theirs = await add(workspace.admin, owner=other.username)
    own = await add(workspace.admin, owner=merger.username)
    merged = await merge(workspace.admin, theirs, own, choose={"owner": {"customer_id": own["id"]}})
    back = await merger.client.post(f"{API}/merges/{merged['id']}/undo")
    assert back.status_code == 200, back.text
    assert back.json()["state"] == "undone"
    assert (await get(workspace.admin, theirs["id"]))["owner_id"] == str(other.id)


@pytest.mark.feature("A069")
@pytest.mark.parametrize("which", ["master", "source", "undone source"])
async def test_a_purge_forgets_whom_a_merge_names(workspace: Workspace, which: str) -> None:
    client = workspace.admin
    secret = {"name": "Tên Bí Mật", "phone": a_phone(), "email": "bimat@example.com", "company_name": "Công ty Bí Mật"}
    plain = {"name": "Người Khác", "phone": a_phone()}
    master = await add(client, **(secret if which == "master" else plain))
    source = await add(client, **(plain | {"phone": a_phone()} if which == "master" else secret))
    merged = await merge(client, master, source, sources="keep" if which == "master" else "archive")
    gone = master if which == "master" else source
    if which == "undone source":
        await edit(client, master, company_name="Hoa Mai")
        listed = (await client.get(f"{CUSTOMERS}/{master['id']}/phones")).json()["items"]
        point = next(one for one in listed if one["value"] == source["phone"])
        await client.delete(f"{CUSTOMERS}/{master['id']}/phones/{point['id']}")
        newcomer = await add(client, phone=source["phone"])
        assert [one["field"] for one in (await undo(client, merged["id"]))["left"]] == ["company_name", "phone"]
        await edit(client, newcomer, phone=a_phone())
        await throw(client, source)
    elif which == "master":
        await throw(client, master)
    await purge(client, gone)
    assert (await client.get(f"{API}/merges/{merged['id']}")).status_code == (404 if which == "master" else 200)
    found = await told(workspace, [master["id"], source["id"]], merged["id"])
    assert "Tên Bí Mật" not in found
    if which != "source":
        # What the master has of an archived source is the master's own.
        for value in (secret["phone"], secret["email"], secret["company_name"]):
            assert value not in found, found
    if which == "undone source":
        assert (await get(client, master["id"]))["company_name"] == "Hoa Mai"


async def told(workspace: Workspace, customers: list[str], merge_id: str) -> str:
    """All that merges, and the history of merges, say of customers."""
    async with workspace.resources.db.transaction(workspace.id) as session:
        rows = await session.execute(
            text(
                "SELECT to_jsonb(e) FROM crm.event e WHERE e.tenant_id = :t AND e.kind LIKE 'customer.%merged%' "
                "AND e.subject_id = ANY(CAST(:ids AS uuid[])) "
                "UNION ALL SELECT to_jsonb(m) FROM crm.customer_merge m WHERE m.tenant_id = :t AND m.id = :m "
                "UNION ALL SELECT to_jsonb(i) FROM crm.merge_item i WHERE i.tenant_id = :t AND i.merge_id = :m"
            ),
            {"t": workspace.id, "ids": [UUID(one) for one in customers], "m": UUID(merge_id)},
        )
        return json.dumps([row[0] for row in rows], ensure_ascii=False)
