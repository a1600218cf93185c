"""A phone that a contact has is not given to another customer by an import either."""

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from app.contacts import service
from app.contacts.schemas import ContactIn, PointIn
from app.core.actor import Actor
from app.core.db import driver
from app.customers import phones
from app.customers.visibility import reach
from app.imports.merge_phones import HELD
from app.imports.planning import avoid_nested_loops
from tests.contacts.test_contacts import company, contact
from tests.customers.test_customers import PATH, add
from tests.duplicates.conftest import edit
from tests.factories.people import Workspace
from tests.imports.steps import HEADERS, bring, customers, rows_of
from tests.imports.test_rights import IMPORTER

pytestmark = pytest.mark.usefixtures("worker")
KIND = [*HEADERS, "Kiểu khách hàng"]


async def held(workspace: Workspace, number: str = "0912345678") -> dict[str, Any]:
    """A company whose contact has the phone."""
    account = await company(workspace)
    await contact(workspace.admin, account, name="Mai", phones=[{"value": number}])
    return account


@pytest.mark.feature("D004")
@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize(("mode", "status"), [("update", "failed"), ("skip", "skipped")])
async def test_a_new_customer_does_not_get_a_contacts_phone(
    workspace: Workspace, mode: str, status: str, dry_run: bool
) -> None:
    await held(workspace)
    rows = [["Mới", "0912345678", ""], ["Khác", "0912345679", ""]]
    made = await bring(workspace.admin, [HEADERS, *rows], on_duplicate=mode, dry_run=dry_run)
    found = await rows_of(workspace.admin, made["id"])
    assert [row["status"] for row in found] == [status, "created"]
    owner = (await workspace.admin.get("/api/v1/me")).json()["full_name"]
    [told] = found[0]["errors"]
    assert (told["field"], told["code"], told["value"]) == ("phone", "phone_in_contact", "0912345678")
    assert told["message"] == (
        f"Số điện thoại 0912345678 đã tồn tại trong liên hệ của khách hàng Công ty Hoa Sen/ chủ sở hữu {owner}"
    )
    assert "+84912345678" not in await customers(workspace)


@pytest.mark.feature("D004", "E002")
async def test_a_lead_may_have_it_until_it_is_no_lead_any_more(workspace: Workspace) -> None:
    await held(workspace)
    lead = await add(workspace.admin, kind="lead", name="L", phone="0977000111")
    await workspace.admin.post(f"{PATH}/{lead['id']}/phones", json={"value": "0912345678"})
    rows = [["L2", "0912345678", "", "lead"], ["L3", "0977000111", "", ""]]
    made = await bring(workspace.admin, [KIND, *rows])
    assert [row["status"] for row in await rows_of(workspace.admin, made["id"])] == ["created", "updated"]
    for phone in ("0912345678", "0977000111"):
        made = await bring(workspace.admin, [KIND, ["L4", phone, "", "individual"]])
        [row] = await rows_of(workspace.admin, made["id"])
        assert (row["status"], row["errors"][0]["code"]) == ("failed", "phone_in_contact")
    assert {one["kind"] for one in (await customers(workspace)).values()} == {"lead", "company"}


async def test_who_may_not_know_whose_it_is_is_not_told(workspace: Workspace) -> None:
    await held(workspace)
    person = await workspace.person(permissions=[*IMPORTER, "customers.edit"])
    made = await bring(person.client, [HEADERS, ["Mới", "0912345678", ""]])
    [row] = await rows_of(person.client, made["id"])
    assert (row["status"], row["errors"][0]["code"]) == ("failed", "phone_taken")
    assert "Hoa Sen" not in row["errors"][0]["message"]


async def test_a_contact_of_the_same_file_has_its_phone_first(workspace: Workspace) -> None:
    header = [*HEADERS, "Người liên hệ", "SĐT người liên hệ", "Kiểu khách hàng"]
    rows = [["Công ty", "0912345670", "", "Mai", "0912345678", "company"]]
    await bring(workspace.admin, [header, *rows])
    made = await bring(workspace.admin, [header, *rows, ["Mai", "0912345678", "", "", "", ""]])
    assert [row["status"] for row in await rows_of(workspace.admin, made["id"])] == ["updated", "failed"]


async def somebody_waits(raw: asyncpg.Connection) -> None:
    """Returns when another transaction waits for an advisory lock that this one holds."""
    for _ in range(500):
        if await raw.fetchval(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND locktype = 'advisory' "
            "AND pg_backend_pid() = ANY(pg_blocking_pids(pid)))"
        ):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("nobody waits")


@pytest.mark.feature("D004")
async def test_an_import_waits_for_who_is_giving_a_contact_the_phone(workspace: Workspace) -> None:
    account = await company(workspace)
    actor = Actor(workspace.id, "user", workspace.administrator.id, "Quản trị", frozenset(("customers.view_all",)))
    async with workspace.resources.db.transaction(workspace.id) as session:
        given = ContactIn(name="Mai", phones=[PointIn(value="0912345678")]).given()
        await service.create(session, actor, UUID(account["id"]), given)
        rows = [HEADERS, ["Mới", "0912345678", ""], ["Khác", "0912345679", ""]]
        importing = asyncio.create_task(bring(workspace.admin, rows))
        await somebody_waits(await driver(session))
    found = await rows_of(workspace.admin, (await importing)["id"])
    assert [row["status"] for row in found] == ["failed", "created"]
    assert [one["code"] for one in found[0]["errors"]] == ["phone_in_contact"]


@pytest.mark.feature("D004")
async def test_who_gives_a_contact_a_phone_waits_for_the_chunk_that_brings_it(workspace: Workspace) -> None:
    account, other = await company(workspace), await add(workspace.admin, name="Khác", phone="0977000111")
    async with workspace.resources.db.transaction(workspace.id) as session:
        raw = await driver(session)
        # As a chunk does.
        await phones.share_with_imports(raw, workspace.id)
        await raw.execute(
            "UPDATE crm.customer SET phone = '+84912345678' WHERE tenant_id = $1 AND id = $2",
            workspace.id, UUID(other["id"]),
        )  # fmt: skip
        body = {"name": "Mai", "phones": [{"value": "0912345678"}]}
        adding = asyncio.create_task(workspace.admin.post(f"{PATH}/{account['id']}/contacts", json=body))
        await somebody_waits(raw)
    reply = await adding
    assert (reply.status_code, reply.json()["code"]) == (409, "phone_taken")
    # What finds the other was not written above.
    assert (await edit(workspace.admin, other, phone="0977000111")).status_code == 200


async def test_the_look_compares_no_row_with_each(workspace: Workspace) -> None:
    """In a workspace that the planner has not met, what it cannot hash took minutes for a chunk (see planning.py)."""
    async with workspace.resources.db.transaction(workspace.id) as session:
        await avoid_nested_loops(session)
        statement = HELD.format(kind="coalesce(s.kind, c.kind, 'individual')", seen=reach("held", "$6", "$7"))
        args: tuple[Any, ...] = (workspace.id, workspace.id, 0, 9_999, True, [], None)
        plan = await (await driver(session)).fetch(f"EXPLAIN (COSTS OFF) {statement}", *args)
    assert plan
    assert not [row[0] for row in plan if "Nested Loop" in row[0]]
