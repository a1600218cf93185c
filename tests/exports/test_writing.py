"""How an export's file is written: page by page, in columns decided once, and stopped or given up for certain."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select

from app.core.vietnam import phone
from app.customers import batches
from app.customers.batches import ChosenPart
from app.exports import writing
from tests.bulk.steps import API, add, group, until
from tests.exports.steps import EVERYBODY, cells, export, sheets, start
from tests.factories.people import Workspace
from workers.main import WorkerProcess

Do = Callable[[], Awaitable[Any]]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of three customers and pages of two."""
    monkeypatch.setattr(batches, "PART", 3)
    monkeypatch.setattr(writing, "PAGE", 2)


def before_part(monkeypatch: pytest.MonkeyPatch, number: int, do: Do) -> None:
    """Has something happen, once, when that part's customers are about to be read."""
    part, done = batches.part, list[int]()

    async def later(session: Any, batch_id: UUID, n: int) -> list[UUID]:
        if n == number and not done:
            done.append(n)
            await do()
        return await part(session, batch_id, n)

    monkeypatch.setattr(batches, "part", later)


async def chosen_parts(workspace: Workspace) -> int:
    """How many parts of choices are kept."""
    async with workspace.resources.db.transaction(workspace.id) as session:
        kept = select(func.count()).select_from(ChosenPart).where(ChosenPart.tenant_id == workspace.id)
        return await session.scalar(kept) or 0


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("kind", ["xlsx", "csv"])
async def test_many_pages_keep_their_order(workspace: Workspace, worker: WorkerProcess, kind: str) -> None:
    made = await add(workspace.admin, 11)
    done = await export(workspace.admin, columns=["code", "version"], format=kind)
    version = 1 if kind == "xlsx" else "1"
    assert (await cells(workspace, done))[1:] == [[one["code"], version] for one in reversed(made)]
    job = (await workspace.admin.get(f"{API}/jobs/{done['job_id']}")).json()
    assert (job["progress"]["done"], job["result"]) == (11, {"rows": 11})


@pytest.mark.usefixtures("small")
async def test_a_full_sheet_is_followed_by_another(
    workspace: Workspace, worker: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "SHEET_ROWS", 4)
    codes = [[one["code"]] for one in reversed(await add(workspace.admin, 9))]
    found = await sheets(workspace, await export(workspace.admin, columns=["code"]))
    head = [["Mã khách hàng"]]
    assert found == {
        "Khách hàng": head + codes[:4], "Khách hàng 2": head + codes[4:8], "Khách hàng 3": head + codes[8:],
    }  # fmt: skip


async def test_a_writer_that_always_dies_is_given_up(
    workspace: Workspace, worker: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "PAGE", 1)
    monkeypatch.setattr(writing, "WRITER", "tests.exports.dying_writer")
    await add(workspace.admin, 3)
    reply = await start(workspace.admin, selection=EVERYBODY)
    job = await until(workspace.admin, reply.json()["job_id"])
    assert (job["state"], job["error"]["code"]) == ("dead", "attempts_used_up")
    assert await chosen_parts(workspace) == 0
    shown = (await workspace.admin.get(reply.headers["location"])).json()
    assert (shown["state"], shown["rows"], shown["file_url"]) == ("dead", None, None)


@pytest.mark.usefixtures("small")
async def test_a_field_deleted_midway_stays_in_the_file(
    workspace: Workspace, worker: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = f"{API}/attributes"
    made = await workspace.admin.post(fields, json={"name": "Hạng", "key": "hang", "type": "text"})
    assert made.status_code == 201, made.text

    async def delete() -> None:
        gone = await workspace.admin.delete(
            f"{fields}/{made.json()['id']}", headers={"If-Match": f'"{made.json()["version"]}"'}
        )
        assert gone.status_code == 204, gone.text

    customers = await add(workspace.admin, 6, attributes={"hang": "A"}, address="Huế")
    before_part(monkeypatch, 0, delete)
    done = await export(workspace.admin, columns=["attributes.hang", "code", "address"], format="csv")
    assert await cells(workspace, done) == [
        ["Hạng", "Mã khách hàng", "Địa chỉ"],
        *(["A", one["code"], "Huế"] for one in reversed(customers)),
    ]


@pytest.mark.usefixtures("small")
async def test_paused_resumed_and_cancelled(
    workspace: Workspace, worker: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    customers = await add(workspace.admin, 8)
    unheard, loop = list[dict[str, Any]](), asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: unheard.append(context))
    for control, state in (("pause", "paused"), ("cancel", "cancelled")):
        known: asyncio.Future[str] = loop.create_future()

        async def ask(control: str = control, known: asyncio.Future[str] = known) -> None:
            reply = await workspace.admin.post(f"{API}/jobs/{await known}/{control}")
            assert reply.status_code == 202, reply.text

        with monkeypatch.context() as patch:
            before_part(patch, 1, ask)
            reply = await start(workspace.admin, selection=EVERYBODY, columns=["code"])
            job_id = reply.json()["job_id"]
            known.set_result(job_id)
            job = await until(workspace.admin, job_id, state)
        assert (job["state"], job["progress"]["done"] < 8) == (state, True)
        if control == "pause":
            assert (await workspace.admin.post(f"{API}/jobs/{job_id}/resume")).status_code == 202
            job = await until(workspace.admin, job_id)
            assert (job["state"], job["progress"]["done"]) == ("succeeded", 8)
            made = (await workspace.admin.get(reply.headers["location"])).json()
            assert [row[0] for row in await cells(workspace, made)][1:] == [one["code"] for one in reversed(customers)]
        assert await chosen_parts(workspace) == 0
    gc.collect()
    loop.set_exception_handler(None)
    # That the driver rolls back what was cancelled in the middle, and says so, is as it should be.
    assert not [one for one in unheard if not one["message"].startswith("Resetting connection")]


async def test_phones_as_they_are_dialled(workspace: Workspace, worker: WorkerProcess) -> None:
    numbers = ["19001234", "069123456", "0912345678", "02438251234", "+6591234567"]
    for one in numbers:
        await add(workspace.admin, 1, phone=one)
    rows = await cells(workspace, await export(workspace.admin, columns=["phone"]))
    assert [row[0] for row in rows[1:]] == numbers[::-1]
    blind = await workspace.person("sale", permissions=["customers.view", "customers.view_all", "customers.export"])
    rows = await cells(workspace, await export(blind.client, columns=["phone"]))
    assert [row[0] for row in rows[1:]] == ["+659***567", "0243***234", "0912***678", "069***56", "190***34"]


async def test_the_database_shows_phones_as_we_do(workspace: Workspace) -> None:
    stored = ["+84912345678", "+8419001234", "+841800123456", "+8469123456", "+842438251234", "+6591234567", "", None]
    statement = f"SELECT one, {phone.national_sql('one')}, {phone.mask_sql('one')} FROM unnest($1::text[]) AS one"
    async with workspace.resources.db.reading(workspace.id) as connection:
        rows = await connection.fetch(statement, stored)
    assert len(rows) == len(stored)
    for one, national, mask in rows:
        assert (national, mask) == ((phone.national(one), phone.mask(one)) if one is not None else (None, None))


async def test_values_are_shown_by_their_names(workspace: Workspace, worker: WorkerProcess) -> None:
    await group(workspace, "VIP")
    await group(workspace, "Đại lý")
    for key, type_, more in (
        ("quan_ly", "person", {}), ("kenh", "choices", {"choices": ["Zalo", "Gọi"]}), ("gap", "datetime", {}),
        ("ty_le", "decimal", {}), ("hop_tac", "boolean", {}),
    ):  # fmt: skip
        reply = await workspace.admin.post(f"{API}/attributes", json={"name": key, "key": key, "type": type_, **more})
        assert reply.status_code == 201, reply.text
    former = await workspace.person("sale", username="nguoi.cu")
    name = (await former.client.get(f"{API}/me")).json()["full_name"]
    [friend] = await add(workspace.admin, 1)
    values = {
        "quan_ly": "nguoi.cu", "kenh": ["Zalo", "Gọi"], "gap": "2026-01-31T17:30:00Z", "ty_le": 0.5, "hop_tac": False,
    }  # fmt: skip
    await add(
        workspace.admin, 1, owner="nguoi.cu", groups=["VIP", "Đại lý"], kind="company", referrer=friend["id"],
        gender="female", attributes=values,
    )  # fmt: skip
    await workspace.deactivate(former)
    keys = ["owner", "groups", "kind", "referrer", "gender", *(f"attributes.{key}" for key in values)]
    first = (await cells(workspace, await export(workspace.admin, columns=keys)))[1]
    assert (first[0], sorted(first[1].split(", ")), *first[2:]) == (
        name, ["VIP", "Đại lý"], "Công ty", friend["code"], "Nữ",
        name, "Zalo, Gọi", "01/02/2026 00:30:00", 0.5, "Không",
    )  # fmt: skip
