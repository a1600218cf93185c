"""Exports: the right customers in the right columns, inert, masked, told of, and gone after their time."""

import asyncio
from datetime import date, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update

from app.core.clock import now
from app.core.events import Event
from app.customers import batches
from app.exports import links
from app.exports.child import harmless
from app.exports.models import Export
from tests.bulk.steps import API, add, ask, group, throw, until
from tests.exports.steps import EVERYBODY, cells, download, export, start
from tests.factories.people import Workspace, open_client
from workers.housekeeping import clean
from workers.main import WorkerProcess

NASTY = ["=1+1", "+84912", "-5", "@SUM(A1)", "\t=1", "\r=1", "＝1+1", "＋1", "－1", "＠x", "'=1", "=cmd|' /C calc'!A0"]


async def events(workspace: Workspace, export_id: str) -> list[Event]:
    """What is told of an export."""
    async with workspace.resources.db.transaction(workspace.id) as session:
        found = await session.scalars(select(Event).where(Event.subject_id == UUID(export_id)).order_by(Event.id))
        return list(found)


@pytest.mark.feature("E009")
async def test_the_columns_asked_for_newest_first(workspace: Workspace, worker: WorkerProcess) -> None:
    await group(workspace, "VIP")
    await workspace.admin.post(f"{API}/attributes", json={"name": "Hạn mức", "key": "han_muc", "type": "money"})
    await workspace.admin.post(f"{API}/attributes", json={"name": "Ngày ký", "key": "ngay_ky", "type": "date"})
    await workspace.admin.post(f"{API}/attributes", json={"name": "Đã gặp", "key": "da_gap", "type": "boolean"})
    await add(
        workspace.admin, 1, name="Nguyễn Thị Hoa", phone="0912345678", birthday="1990-03-05", gender="female",
        source="Facebook", province="Hà Nội", groups=["VIP"], tax_code="0101248141",
        attributes={"han_muc": 5_000_000, "ngay_ky": "2026-01-31", "da_gap": True},
    )  # fmt: skip
    await add(workspace.admin, 1, name="Lê Văn Nam", phone="0987654321")
    keys = ["name", "phone", "birthday", "gender", "source", "province", "groups", "owner", "tax_code", "relationship",
            "attributes.han_muc", "attributes.ngay_ky", "attributes.da_gap", "version"]  # fmt: skip
    made = await export(workspace.admin, columns=keys)
    assert (made["total"], made["rows"], made["columns"], made["masked"]) == (2, 2, keys, False)
    header, second, first = await cells(workspace, made)
    assert header[:6] == ["Tên khách hàng", "Số điện thoại", "Ngày sinh", "Giới tính", "Nguồn khách hàng",
                          "Tỉnh/Thành phố"]  # fmt: skip
    owner = (await workspace.admin.get(f"{API}/me")).json()["full_name"]
    assert first[:3] == ["Nguyễn Thị Hoa", "0912345678", first[2]]
    assert first[2].date() == date(1990, 3, 5)
    assert first[3:9] == ["Nữ", "Facebook", "Hà Nội", "VIP", owner, "0101248141"]
    assert (first[10], first[11].date(), first[12], first[13]) == (5_000_000, date(2026, 1, 31), "Có", 1)
    assert second[:2] == ["Lê Văn Nam", "0987654321"]
    assert second[10:13] == [None, None, None]


async def test_the_file_can_be_imported_again(workspace: Workspace, worker: WorkerProcess) -> None:
    await add(workspace.admin, 3, birthday="1990-03-05", gender="male", source="Facebook", note="=1+1")
    keys = ["name", "phone", "email", "birthday", "province", "gender", "source", "note", "relationship", "owner"]
    made = await export(workspace.admin, columns=keys)
    content = (await download(workspace, made)).content
    reply = await workspace.admin.post(f"{API}/imports", files={"file": ("lai.xlsx", content)})
    import_id = reply.json()["id"]
    for state, step in (("ready", "start"), ("succeeded", "")):
        for _ in range(400):
            found = (await workspace.admin.get(f"{API}/imports/{import_id}")).json()
            if found["state"] == state:
                break
            await asyncio.sleep(0.05)
        assert found["state"] == state, found
        if step:
            await workspace.admin.post(f"{API}/imports/{import_id}/{step}", json={})
    assert (found["counts"]["unchanged"], found["counts"]["failed"], found["counts"]["rows"]) == (3, 0, 3)


@pytest.mark.promise(19)
@pytest.mark.parametrize("kind", ["xlsx", "csv"])
async def test_no_cell_is_a_formula(workspace: Workspace, worker: WorkerProcess, kind: str) -> None:
    for one in NASTY:
        await add(workspace.admin, 1, address=one, note=f"x\n{one}")
    kept = {row["address"] for row in (await workspace.admin.get(f"{API}/customers?limit=200")).json()["items"]}
    found = await cells(workspace, await export(workspace.admin, columns=["address", "note"], format=kind))
    shown = {row[0] for row in found[1:]}
    if kind == "xlsx":
        assert shown == kept
    else:
        assert {one.removeprefix("'") for one in shown} >= {one for one in kept if not one.startswith("'")}
        assert not any(one[0] in "=+-@\t\r＝＋－＠" for one in shown)


@pytest.mark.promise(19)
@pytest.mark.parametrize("text", [*NASTY, " =1", "\x00=1", "\n+1"])
def test_dangerous_text_begins_with_an_apostrophe(text: str) -> None:
    assert harmless(text).removeprefix("'") in (text, text.removeprefix("'"))
    assert harmless(text).startswith("'")


@pytest.mark.parametrize("text", ["", "Hoa", "a=b", "1-2", "0912345678"])
def test_harmless_text_stays(text: str) -> None:
    assert harmless(text) == text


async def test_phones_are_masked_without_the_right(workspace: Workspace, worker: WorkerProcess) -> None:
    await workspace.admin.post(f"{API}/attributes", json={"name": "SĐT phụ", "key": "sdt_phu", "type": "phone"})
    await add(workspace.admin, 1, phone="0912345678", attributes={"sdt_phu": "0987654321"})
    rights = ["customers.view", "customers.view_all", "customers.export"]
    blind = await workspace.person("sale", permissions=rights)
    made = await export(blind.client, columns=["phone", "attributes.sdt_phu"])
    assert made["masked"] is True
    assert (await cells(workspace, made))[1] == ["0912***678", "0987***321"]
    content = (await download(workspace, await export(blind.client, format="csv"))).content
    assert b"912345678" not in content
    assert b"987654321" not in content


async def test_only_whom_the_caller_sees_and_who_lives(
    workspace: Workspace, worker: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "PART", 2)
    rights = ["customers.view", "customers.create", "customers.export", "customers.reveal_phone"]
    sale = await workspace.person("sale", permissions=rights)
    mine, theirs = await add(sale.client, 5), await add(workspace.admin, 2)
    made = await export(sale.client, columns=["code"])
    assert [row[0] for row in await cells(workspace, made)][1:] == [one["code"] for one in reversed(mine)]
    ids = [one["id"] for one in (*mine, *theirs)]
    await throw(workspace.admin, mine[0]["id"])
    made = await export(sale.client, {"ids": ids}, columns=["code"])
    assert (made["total"], made["rows"]) == (4, 4), "two of a colleague, one in the trash"
    # The same as a bulk action, which expects what its preview has counted.
    for chosen in ({"ids": ids}, EVERYBODY):
        body = {"action": "export", "selection": chosen}
        preview = await sale.client.post(f"{API}/customers/bulk/preview", json=body)
        assert (preview.status_code, preview.json()["count"]) == (200, 4), preview.text
        reply = await ask(sale.client, "export", chosen, expected_count=preview.json()["count"], columns=["code"])
        assert reply.status_code == 202, reply.text
        assert (await until(sale.client, reply.json()["id"]))["state"] == "succeeded"
    either = [{"field": "deleted", "op": "eq", "value": value} for value in (True, False)]
    made = await export(workspace.admin, {"filter": {"or": either}}, columns=["code"])
    assert (made["total"], made["rows"]) == (6, 6)
    for kind in ("xlsx", "csv"):
        nobody = await export(sale.client, {"ids": []}, columns=["code", "name"], format=kind)
        assert (nobody["total"], nobody["rows"]) == (0, 0)
        assert await cells(workspace, nobody) == [["Mã khách hàng", "Tên khách hàng"]]


async def test_who_took_what_is_told(workspace: Workspace, worker: WorkerProcess) -> None:
    await add(workspace.admin, 2, address="Hà Nội")
    chosen = {"filter": {"field": "address", "op": "eq", "value": "Hà Nội"}}
    made = await export(workspace.admin, chosen, columns=["name"], format="csv")
    await download(workspace, made)
    created, downloaded = await events(workspace, made["id"])
    assert (created.kind, created.actor_id) == ("export.created", workspace.administrator.id)
    assert created.data == {
        "count": 2, "columns": ["name"], "format": "csv", "selection": chosen, "masked": False,
    }  # fmt: skip
    assert (downloaded.kind, downloaded.data) == ("export.downloaded", {"rows": 2})
    ids = [one["id"] for one in (await workspace.admin.get(f"{API}/customers")).json()["items"]]
    reply = await ask(workspace.admin, "export", ids, columns=["name"])
    assert reply.status_code == 202, reply.text
    job = await until(workspace.admin, reply.json()["id"])
    assert (job["kind"], job["result"]) == ("exports.write", {"rows": 2})
    assert (await events(workspace, job["subject_id"]))[0].data["selection"] == {"ids": 2}


async def test_a_link_is_for_one_file_and_for_a_while(
    workspace: Workspace, worker: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add(workspace.admin, 1)
    made, other = await export(workspace.admin), await export(workspace.admin)
    token = made["file_url"].partition("token=")[2]
    async with open_client(workspace.app) as nobody:
        for wrong in ("", "x", token[:-2] + ("AA" if token[-2:] != "AA" else "BB"), "%00", "é"):
            reply = await nobody.get(f"{API}/exports/{made['id']}/file", params={"token": wrong})
            assert reply.status_code == 404, wrong
        assert (await nobody.get(f"{API}/exports/{other['id']}/file", params={"token": token})).status_code == 404
        assert (await nobody.get(f"{API}/exports/{made['id']}")).status_code == 401
    monkeypatch.setattr(links, "LIFETIME", -1)
    late = (await workspace.admin.get(f"{API}/exports/{made['id']}")).json()
    assert (await download(workspace, late)).status_code == 404
    manager = await workspace.person("manager")
    seen = await manager.client.get(f"{API}/exports/{made['id']}")
    assert (seen.status_code, seen.json()["file_url"]) == (200, None)
    sale = await workspace.person("sale", permissions=["customers.view", "customers.export"])
    assert (await sale.client.get(f"{API}/exports/{made['id']}")).status_code == 404
    plain = await workspace.person("sale")
    assert (await start(plain.client, selection=EVERYBODY)).status_code == 403


async def test_the_file_goes_after_its_time(workspace: Workspace, worker: WorkerProcess) -> None:
    await add(workspace.admin, 1)
    made = await export(workspace.admin)
    async with workspace.resources.db.transaction(workspace.id) as session:
        await session.execute(update(Export).values(expires_at=now() - timedelta(seconds=1)))
    assert (await download(workspace, made)).json()["code"] == "export_expired"
    await clean(workspace.resources, workspace.id)
    shown = (await workspace.admin.get(f"{API}/exports/{made['id']}")).json()
    assert shown["file_url"] is None
    name = f"exports/{workspace.id}/{made['id']}/customers.xlsx"
    assert not await workspace.resources.blobs.exists(name)


async def test_without_columns_it_is_what_the_caller_sees(workspace: Workspace, worker: WorkerProcess) -> None:
    view = await workspace.admin.get(f"{API}/me/views/customers")
    made = await export(workspace.admin)
    assert made["columns"] == [one["key"] for one in view.json()["columns"]["shown"]]
    changed = await workspace.admin.put(
        f"{API}/me/views/customers", json={"columns": ["email", "name"]}, headers={"If-Match": view.headers["etag"]}
    )
    assert changed.status_code == 200, changed.text
    assert (await export(workspace.admin))["columns"] == ["email", "name"]


async def test_an_unknown_column_is_refused(workspace: Workspace) -> None:
    reply = await start(workspace.admin, selection=EVERYBODY, columns=["khong_co"])
    assert (reply.status_code, reply.json()["errors"][0]["code"]) == (422, "field_unknown")


async def test_an_export_needs_a_key(workspace: Workspace) -> None:
    """Of the same key there is one; who calls is asked first."""
    body = {"selection": EVERYBODY}
    missing = await workspace.admin.post(f"{API}/exports", json=body)
    assert (missing.status_code, missing.json()["code"]) == (400, "idempotency_key_required")
    async with open_client(workspace.app) as nobody:
        assert (await nobody.post(f"{API}/exports", json=body)).status_code == 401
    headers = {"Idempotency-Key": uuid4().hex}
    first, again = [await workspace.admin.post(f"{API}/exports", json=body, headers=headers) for _ in range(2)]
    assert first.json()["id"] == again.json()["id"]
    async with workspace.resources.db.transaction(workspace.id) as session:
        assert len(list(await session.scalars(select(Export.id)))) == 1
