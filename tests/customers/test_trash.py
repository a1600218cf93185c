"""The trash: what is in it, the way back, and the end."""

import asyncio
import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select, text, update

from app.core.clock import now
from app.core.events import Event
from app.core.jobs import Job
from app.customers.models import Customer
from tests.customers.test_customers import PATH, add
from tests.factories.people import Workspace
from workers.housekeeping import clean
from workers.main import WorkerProcess

WARNING = "Khách hàng bị xóa sẽ không thể khôi phục lại"
TRASH = f"{PATH}/trash"


async def trashed(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    """A customer of the trash, as the trash shows it."""
    made = await add(client, **fields)
    await throw(client, made["id"])
    found = (await client.get(TRASH)).json()["items"]
    return next(one for one in found if one["id"] == made["id"])


async def throw(client: httpx.AsyncClient, customer_id: str) -> None:
    """Deletes a customer into the trash."""
    etag = (await client.get(f"{PATH}/{customer_id}")).headers["etag"]
    reply = await client.delete(f"{PATH}/{customer_id}", headers={"If-Match": etag})
    assert reply.status_code == 204, reply.text


async def purge(client: httpx.AsyncClient, row: dict[str, Any], confirm: str | None = WARNING) -> httpx.Response:
    """Deletes a customer of the trash for good."""
    params = {} if confirm is None else {"confirm": confirm}
    return await client.delete(f"{PATH}/{row['id']}/purge", params=params, headers={"If-Match": f'"{row["version"]}"'})


async def events(workspace: Workspace, customer_id: str) -> list[Event]:
    """Everything that is told of a customer."""
    async with workspace.resources.db.transaction(workspace.id) as session:
        found = await session.scalars(select(Event).where(Event.subject_id == UUID(customer_id)).order_by(Event.id))
        return list(found)


@pytest.mark.feature("B010", "E006", "B012")
async def test_a_deleted_customer_is_in_the_trash_and_nowhere_else(workspace: Workspace) -> None:
    row = await trashed(workspace.admin, email="thu@example.com")
    assert row["deleted_reason"] == "trash"
    assert row["deleted_by"] == str(workspace.administrator.id)
    assert (row["name"], row["phone"], row["merged_into"]) == ("Trần Văn Thử", "+84912345678", None)
    assert (await workspace.admin.get(f"{PATH}/{row['id']}")).status_code == 404
    assert (await workspace.admin.get(PATH)).json()["items"] == []


@pytest.mark.feature("B012")
async def test_the_trash_is_paged_and_searched(workspace: Workspace) -> None:
    for n in range(5):
        await trashed(workspace.admin, phone=f"091234567{n}", name=f"Lê Thị {'Hoa' if n % 2 else 'Lan'} {n}")
    seen, params = list[str](), dict[str, Any]({"limit": 2})
    while True:
        reply = (await workspace.admin.get(TRASH, params=params)).json()
        seen += [one["name"][-1] for one in reply["items"]]
        if reply["next_cursor"] is None:
            break
        params["cursor"] = reply["next_cursor"]
    assert seen == ["4", "3", "2", "1", "0"]
    found = (await workspace.admin.get(TRASH, params={"q": "le thi hoa", "count": "exact"})).json()
    assert [one["name"][-1] for one in found["items"]] == ["3", "1"]
    assert found["count"] == 2
    by_phone = (await workspace.admin.get(TRASH, params={"q": "5673"})).json()["items"]
    assert [one["phone"] for one in by_phone] == ["+84912345673"]
    assert (await workspace.admin.get(TRASH, params={"cursor": "xyz"})).status_code == 422


@pytest.mark.feature("B012", "B014")
async def test_the_trash_has_its_own_rights(workspace: Workspace) -> None:
    row = await trashed(workspace.admin)
    sale = await workspace.person("sale")
    assert (await sale.client.get(TRASH)).status_code == 403
    assert (await sale.client.post(f"{PATH}/{row['id']}/restore")).status_code == 403
    manager = await workspace.person("manager")
    assert len((await manager.client.get(TRASH)).json()["items"]) == 1
    assert (await purge(manager.client, row)).status_code == 403
    own = await workspace.person("sale", permissions=["customers.view", "customers.delete", "customers.purge"])
    assert (await own.client.get(TRASH)).json()["items"] == []
    assert (await own.client.post(f"{PATH}/{row['id']}/restore")).status_code == 404
    assert (await purge(own.client, row)).status_code == 404


@pytest.mark.feature("B013", "B039")
async def test_a_restored_customer_is_as_it_was(workspace: Workspace) -> None:
    made = await add(workspace.admin, note="như cũ")
    await throw(workspace.admin, made["id"])
    reply = await workspace.admin.post(f"{PATH}/{made['id']}/restore")
    assert reply.status_code == 200, reply.text
    body = reply.json()
    assert body == made | {"version": 3, "updated_at": body["updated_at"]}
    assert reply.headers["etag"] == '"3"'
    assert (await workspace.admin.get(TRASH)).json()["items"] == []
    assert [one["id"] for one in (await workspace.admin.get(PATH, params={"q": "0912345678"})).json()["items"]]
    assert [one.kind for one in await events(workspace, made["id"])][-1] == "customer.restored"
    again = await workspace.admin.post(f"{PATH}/{made['id']}/restore")
    assert (again.status_code, again.json()["code"]) == (409, "not_in_trash")


@pytest.mark.feature("B013")
async def test_a_phone_that_was_taken_meanwhile_refuses_the_restore(workspace: Workspace) -> None:
    row = await trashed(workspace.admin)
    other = await add(workspace.admin, name="Người khác")
    reply = await workspace.admin.post(f"{PATH}/{row['id']}/restore")
    assert (reply.status_code, reply.json()["code"]) == (409, "phone_taken")
    assert reply.json()["detail"] == "Số điện thoại đã tồn tại"
    assert reply.json()["existing_id"] == other["id"]
    manager = await workspace.person("sale", permissions=["customers.view", "customers.create", "customers.delete"])
    mine = await add(manager.client, phone="0987654321")
    await throw(manager.client, mine["id"])
    await add(workspace.admin, phone="0987654321")
    reply = await manager.client.post(f"{PATH}/{mine['id']}/restore")
    assert (reply.status_code, reply.json()["code"]) == (409, "phone_taken")
    assert "existing_id" not in reply.json()


@pytest.mark.feature("B013")
async def test_a_unique_value_is_claimed_again_or_refuses(workspace: Workspace) -> None:
    field = await workspace.admin.post(
        "/api/v1/attributes", json={"name": "Số thẻ", "key": "so_the", "type": "text", "unique": True}
    )
    assert field.status_code == 201, field.text
    first = await add(workspace.admin, attributes={"so_the": "A1"})
    await throw(workspace.admin, first["id"])
    assert (await workspace.admin.post(f"{PATH}/{first['id']}/restore")).status_code == 200
    taken = await workspace.admin.post(
        PATH, json={"name": "Hai", "phone": "0912345670", "attributes": {"so_the": "A1"}}
    )
    assert (taken.status_code, taken.json()["code"]) == (409, "value_taken")
    await throw(workspace.admin, first["id"])
    await add(workspace.admin, phone="0912345671", attributes={"so_the": "A1"})
    refused = await workspace.admin.post(f"{PATH}/{first['id']}/restore")
    assert (refused.status_code, refused.json()["code"]) == (409, "value_taken")
    assert refused.json()["detail"] == "Số thẻ đã tồn tại"


async def test_two_restores_at_once_take_a_phone_once(workspace: Workspace) -> None:
    for number in range(3):
        rows = [await trashed(workspace.admin, phone=f"091234567{number}") for _ in range(8)]
        replies = await asyncio.gather(*(workspace.admin.post(f"{PATH}/{row['id']}/restore") for row in rows))
        assert sorted(reply.status_code for reply in replies) == [200] + [409] * 7


@pytest.mark.feature("B014", "B039")
async def test_a_purge_repeats_the_warning_and_forgets(workspace: Workspace) -> None:
    made = await add(workspace.admin, note="bí mật riêng tư")
    refused = await purge(workspace.admin, made)
    assert (refused.status_code, refused.json()["code"]) == (409, "not_in_trash")
    await throw(workspace.admin, made["id"])
    [row] = (await workspace.admin.get(TRASH)).json()["items"]
    for confirm in (None, "", "vâng"):
        refused = await purge(workspace.admin, row, confirm)
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["code"] == "purge_unconfirmed"
        assert WARNING in refused.json()["errors"][0]["message"]
    assert (await purge(workspace.admin, row | {"version": 1})).status_code == 412
    assert (await purge(workspace.admin, row)).status_code == 204
    assert (await purge(workspace.admin, row)).status_code == 404
    assert (await workspace.admin.post(f"{PATH}/{row['id']}/restore")).status_code == 404
    told = await events(workspace, made["id"])
    assert [one.kind for one in told] == ["customer.created", "customer.deleted", "customer.purged"]
    assert told[-1].data == {"code": made["code"]}
    assert "bí mật" not in json.dumps([[one.changes, one.data] for one in told], ensure_ascii=False)
    assert all(one.changes == {} for one in told)
    async with workspace.resources.db.transaction(workspace.id) as session:
        left = await session.execute(
            text("SELECT id FROM crm.customer_search WHERE tenant_id = :t AND id = :i"),
            {"t": workspace.id, "i": UUID(made["id"])},
        )
        assert left.all() == []


@pytest.mark.promise(30)
async def test_history_is_emptied_only_of_who_is_gone_and_only_in_ones_own_workspace(
    workspace: Workspace, new_workspace: Any
) -> None:
    made = await add(workspace.admin)
    async with workspace.resources.db.transaction(workspace.id) as session:
        await session.execute(
            text("SELECT crm.forget_customers(:t, CAST(:i AS uuid[]))"), {"t": workspace.id, "i": [UUID(made["id"])]}
        )
    assert (await events(workspace, made["id"]))[0].changes["name"] == [None, "Trần Văn Thử"]
    group = (await workspace.admin.post("/api/v1/groups", json={"name": "Khách cũ"})).json()["id"]
    async with workspace.resources.db.transaction(workspace.id) as session:
        await session.execute(
            text("SELECT crm.forget_customers(:t, CAST(:i AS uuid[]))"), {"t": workspace.id, "i": [UUID(group)]}
        )
    assert (await events(workspace, group))[0].data == {"name": "Khách cũ"}, "no customer, and no history to empty"
    other = await new_workspace()
    with pytest.raises(Exception, match="another tenant"):
        async with other.resources.db.transaction(other.id) as session:
            await session.execute(
                text("SELECT crm.forget_customers(:t, CAST(:i AS uuid[]))"),
                {"t": workspace.id, "i": [UUID(made["id"])]},
            )
    await other.aclose()


@pytest.mark.feature("B039")
async def test_who_was_merged_is_shown_and_only_the_merge_brings_it_back(workspace: Workspace) -> None:
    master, row = await add(workspace.admin, phone="0912345670"), await add(workspace.admin)
    versions = {one["id"]: one["version"] for one in (master, row)}
    merge = {"master_id": master["id"], "source_ids": [row["id"]], "versions": versions, "sources": "delete"}
    assert (await workspace.admin.post(f"{PATH}/merge", json=merge)).status_code == 201
    [shown] = (await workspace.admin.get(TRASH)).json()["items"]
    assert (shown["deleted_reason"], shown["merged_into"]) == ("merge", master["id"])
    reply = await workspace.admin.post(f"{PATH}/{row['id']}/restore")
    assert (reply.status_code, reply.json()["code"]) == (409, "customer_merged")
    assert (await purge(workspace.admin, shown)).json()["code"] == "customer_merged"
    await throw(workspace.admin, master["id"])
    [gone] = [one for one in (await workspace.admin.get(TRASH)).json()["items"] if one["id"] == master["id"]]
    assert (await purge(workspace.admin, gone)).status_code == 204
    assert (await workspace.admin.get(TRASH)).json()["items"] == []
    assert (await events(workspace, row["id"]))[-1].kind == "customer.purged"


@pytest.mark.feature("B014")
async def test_the_trash_is_emptied_after_its_time(workspace: Workspace, worker: WorkerProcess) -> None:
    old = [await trashed(workspace.admin, phone=f"091234567{n}") for n in range(3)]
    fresh = await trashed(workspace.admin, phone="0912345679")
    merged = await trashed(workspace.admin, phone="0912345678")
    for row in (*old, merged):
        await _set(workspace, row["id"], deleted_at=now() - timedelta(days=31))
    await _set(workspace, merged["id"], deleted_reason="merge", merged_into=UUID(fresh["id"]))
    settings = await workspace.admin.get("/api/v1/settings")
    assert settings.json()["trash_retention_days"] == 30
    headers = {"If-Match": settings.headers["etag"]}
    changed = await workspace.admin.patch("/api/v1/settings", json={"trash_retention_days": 0}, headers=headers)
    await clean(workspace.resources, workspace.id)
    assert len((await workspace.admin.get(TRASH)).json()["items"]) == 5
    headers = {"If-Match": changed.headers["etag"]}
    await workspace.admin.patch("/api/v1/settings", json={"trash_retention_days": 30}, headers=headers)
    await clean(workspace.resources, workspace.id)
    for _ in range(200):
        left = (await workspace.admin.get(TRASH)).json()["items"]
        if len(left) == 2:
            break
        await asyncio.sleep(0.05)
    assert {one["id"] for one in left} == {fresh["id"], merged["id"]}
    async with workspace.resources.db.transaction(workspace.id) as session:
        [job] = list(await session.scalars(select(Job).where(Job.kind == "customers.purge_old")))
    told = (await events(workspace, old[0]["id"]))[-1]
    assert (told.kind, told.actor_kind, told.batch_id) == ("customer.purged", "system", job.id)


async def _set(workspace: Workspace, customer_id: str, **values: Any) -> None:
    async with workspace.resources.db.transaction(workspace.id) as session:
        await session.execute(update(Customer).where(Customer.id == UUID(customer_id)).values(**values))
