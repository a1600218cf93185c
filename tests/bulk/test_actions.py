"""Every action on many customers: what it does, what it tells, whom it skips, and that it can be taken back."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from tests.bulk.steps import (
    API,
    BULK,
    WARNING,
    add,
    ask,
    do,
    edit,
    group,
    history,
    items,
    names,
    read,
    size_of,
    throw,
    undo,
    until,
)
from tests.factories.people import Workspace, open_client
from workers.main import WorkerProcess

NOBODY = "01a00000-0000-7000-8000-000000000000"
SAME = ("version", "updated_at")


def without(row: dict[str, Any] | None) -> dict[str, Any]:
    """A customer but for what every change moves."""
    assert row is not None
    return {key: value for key, value in row.items() if key not in SAME}


@pytest.mark.feature("E003", "E005")
async def test_a_few_ids_change_at_once_with_one_event_each(workspace: Workspace) -> None:
    made = await add(workspace.admin, 3)
    ids = [one["id"] for one in made]
    reply = await ask(workspace.admin, "relationship", [*ids, NOBODY], value="Tiềm năng")
    assert reply.status_code == 200, reply.text
    job = reply.json()
    assert (job["state"], job["kind"]) == ("succeeded", "bulk.run")
    assert job["result"] == {"changed": 3, "unchanged": 0, "skipped": 1}
    for one in made:
        row = await read(workspace.admin, one["id"])
        assert row is not None
        assert (row["relationship"], row["version"]) == ("Tiềm năng", 2)
        told = (await history(workspace.admin, one["id"]))[0]
        assert (told["kind"], told["batch_id"]) == ("customer.potential", job["id"])
        assert told["changes"] == {"relationship": [one["relationship"], "Tiềm năng"]}
    found = {one["customer_id"]: one for one in await items(workspace.admin, job["id"])}
    assert {one["status"] for one in found.values()} == {"changed", "skipped"}
    assert (found[NOBODY]["code"], found[NOBODY]["customer_name"]) == ("not_found", None)
    assert found[ids[0]]["customer_name"] == made[0]["name"]
    skipped = await items(workspace.admin, job["id"], status="skipped")
    assert [one["customer_id"] for one in skipped] == [NOBODY]
    again = await do(workspace.admin, "relationship", ids, value="Tiềm năng")
    assert again["result"] == {"changed": 0, "unchanged": 3, "skipped": 0}
    assert len(await history(workspace.admin, ids[0])) == 2


@pytest.mark.feature("E009", "A070", "E005")
async def test_everybody_whom_a_filter_finds_is_changed_by_a_job(workspace: Workspace, worker: WorkerProcess) -> None:
    asked = [one["id"] for one in await add(workspace.admin, 4, address="Hà Nội")]
    others = [one["id"] for one in await add(workspace.admin, 2, address="Huế")]
    chosen = {"filter": {"field": "address", "op": "eq", "value": "Hà Nội"}, "exclude": [asked[0]]}
    missing = await ask(workspace.admin, "set_field", chosen, field="note", value="mới")
    assert (missing.status_code, missing.json()["errors"][0]["field"]) == (422, "expected_count")
    moved = await ask(workspace.admin, "set_field", chosen, field="note", value="mới", expected_count=7)
    assert (moved.status_code, moved.json()["code"], moved.json()["count"]) == (409, "count_moved", 3)
    reply = await ask(workspace.admin, "set_field", chosen, field="note", value="mới", expected_count=3)
    assert reply.status_code == 202, reply.text
    job = await until(workspace.admin, reply.json()["id"])
    assert (job["state"], job["result"]["changed"], job["progress"]["done"]) == ("succeeded", 3, 3)
    for one in asked[1:]:
        assert (await read(workspace.admin, one) or {})["note"] == "mới"
    for one in (asked[0], *others):
        assert (await read(workspace.admin, one) or {})["note"] is None
    everybody = await do(workspace.admin, "set_field", {"filter": {}}, field="note", value="hết", expected_count=6)
    assert everybody["result"]["changed"] == 6
    await undo(workspace.admin, everybody["id"])
    assert (await read(workspace.admin, asked[1]) or {})["note"] == "mới"


@pytest.mark.feature("E005")
async def test_lists_owners_and_any_field_are_set_and_restored(workspace: Workspace, worker: WorkerProcess) -> None:
    sale = await workspace.person("sale", full_name="Lê Văn Bán")
    await workspace.admin.post(f"{API}/attributes", json={"name": "Hạn mức", "key": "han_muc", "type": "money"})
    made = await add(workspace.admin, 2, source="Facebook", attributes={"han_muc": 5})
    ids = [one["id"] for one in made]
    for action, params, member, value in (
        ("source", {"value": None}, "source", None),
        ("customer_type", {"value": "Doanh nghiệp"}, "customer_type", "Doanh nghiệp"),
        ("owner", {"owner": sale.username}, "owner", sale.username),
        ("owner", {"owner": None}, "owner", None),
        ("set_field", {"field": "birthday", "value": "05/03/1990"}, "birthday", "1990-03-05"),
        ("set_field", {"field": "province", "value": "Hà Nội"}, "province_code", "01"),
        ("set_field", {"field": "attributes.han_muc", "value": "7 triệu"}, "attributes", {"han_muc": 7_000_000}),
        ("set_field", {"field": "attributes.han_muc", "value": None}, "attributes", {}),
        ("set_field", {"field": "email", "value": None}, "email", None),
    ):
        job = await do(workspace.admin, action, ids, **params)
        assert job["state"] == "succeeded", job
        row = await read(workspace.admin, ids[0])
        assert row is not None
        assert row[member] == value, (action, params)
        await undo(workspace.admin, job["id"])
        assert without(await read(workspace.admin, ids[0])) == without(made[0])
    filtered = await workspace.admin.get(f"{API}/customers", params={"attributes.han_muc": "5"})
    assert len(filtered.json()["items"]) == 2, filtered.text


@pytest.mark.feature("D013", "D014", "D015")
async def test_groups_are_moved_added_and_left(workspace: Workspace, worker: WorkerProcess) -> None:
    old, vip, new = [await group(workspace, name) for name in ("Cũ", "VIP", "Mới")]
    first, second = await add(workspace.admin, 1, groups=["Cũ"]), await add(workspace.admin, 1, groups=["Cũ", "VIP"])
    ids = [first[0]["id"], second[0]["id"]]
    added = await do(workspace.admin, "groups_add", ids, groups=["VIP", new["id"]])
    assert added["result"]["changed"] == 2
    assert names(await read(workspace.admin, ids[0])) == ["Cũ", "Mới", "VIP"]
    told = (await history(workspace.admin, ids[0]))[0]
    assert [sorted(one) for one in told["changes"]["groups"]] == [["Cũ"], ["Cũ", "Mới", "VIP"]]
    left = await do(workspace.admin, "groups_remove", ids, groups=["Cũ"])
    assert names(await read(workspace.admin, ids[1])) == ["Mới", "VIP"]
    assert await size_of(workspace, old["id"]) == 0
    await undo(workspace.admin, left["id"])
    assert await size_of(workspace, old["id"]) == 2
    moved = await do(workspace.admin, "groups_move", ids, groups=["Mới"])
    assert [names(await read(workspace.admin, one)) for one in ids] == [["Mới"], ["Mới"]]
    assert [await size_of(workspace, one["id"]) for one in (old, vip, new)] == [0, 0, 2]
    await undo(workspace.admin, moved["id"])
    assert names(await read(workspace.admin, ids[0])) == ["Cũ", "Mới", "VIP"]
    again = await ask(workspace.admin, "groups_add", ids, groups=["Không có"])
    assert (again.status_code, again.json()["errors"][0]["code"]) == (422, "choice_unknown")


@pytest.mark.feature("D013")
async def test_an_undo_does_not_bring_a_deleted_group_back(workspace: Workspace, worker: WorkerProcess) -> None:
    old, _ = [await group(workspace, name) for name in ("Cũ", "Mới")]
    [one] = await add(workspace.admin, 1, groups=["Cũ"])
    moved = await do(workspace.admin, "groups_move", [one["id"]], groups=["Mới"])
    etag = (await workspace.admin.get(f"{API}/groups/{old['id']}")).headers["etag"]
    await workspace.admin.delete(f"{API}/groups/{old['id']}", headers={"If-Match": etag})
    await undo(workspace.admin, moved["id"])
    assert names(await read(workspace.admin, one["id"])) == []


@pytest.mark.feature("E013", "E014")
async def test_tags_are_added_new_ones_too_and_taken_off(workspace: Workspace, worker: WorkerProcess) -> None:
    ids = [one["id"] for one in await add(workspace.admin, 2)]
    tagged = await do(workspace.admin, "tag", ids, tags=["Nóng", "Gọi lại"])
    assert tagged["result"]["changed"] == 2
    assert names(await read(workspace.admin, ids[0]), "tags") == ["Gọi lại", "Nóng"]
    more = await do(workspace.admin, "tag", [ids[0]], tags=["nóng", "Ưu tiên"])
    assert names(await read(workspace.admin, ids[0]), "tags") == ["Gọi lại", "Nóng", "Ưu tiên"]
    known = {tag["name"]: tag["id"] for tag in (await workspace.admin.get(f"{API}/tags")).json()["items"]}
    await do(workspace.admin, "tag", [ids[1]], tags=[known["Ưu tiên"]])
    assert names(await read(workspace.admin, ids[1]), "tags") == ["Gọi lại", "Nóng", "Ưu tiên"]
    assert len((await workspace.admin.get(f"{API}/tags")).json()["items"]) == 3
    untagged = await do(workspace.admin, "untag", ids, tags=["Nóng"])
    assert names(await read(workspace.admin, ids[1]), "tags") == ["Gọi lại", "Ưu tiên"]
    await undo(workspace.admin, untagged["id"])
    assert names(await read(workspace.admin, ids[1]), "tags") == ["Gọi lại", "Nóng", "Ưu tiên"]
    kept = await undo(workspace.admin, more["id"])
    assert kept["result"] == {"restored": 0, "kept": 1}
    sale = await workspace.person("sale", permissions=["customers.view", "customers.view_all", "customers.edit"])
    refused = await ask(sale.client, "tag", ids, tags=["Chưa có"])
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "choice_unknown")


@pytest.mark.feature("B011", "E007", "B013")
async def test_many_are_deleted_restored_and_each_undone(workspace: Workspace, worker: WorkerProcess) -> None:
    made = await add(workspace.admin, 3)
    ids = [one["id"] for one in made]
    deleted = await do(workspace.admin, "delete", ids)
    assert deleted["result"]["changed"] == 3
    assert await read(workspace.admin, ids[0]) is None
    trash = (await workspace.admin.get(f"{API}/customers/trash")).json()["items"]
    assert {one["deleted_by"] for one in trash} == {str(workspace.administrator.id)}
    assert {one["id"] for one in trash} == set(ids)
    again = await do(workspace.admin, "delete", ids)
    assert [one["code"] for one in await items(workspace.admin, again["id"])] == ["in_trash"] * 3
    restored = await do(workspace.admin, "restore", ids[:2])
    assert restored["result"]["changed"] == 2
    back = await undo(workspace.admin, deleted["id"])
    assert back["result"] == {"restored": 1, "kept": 2}
    kept = await items(workspace.admin, deleted["id"], undone="kept")
    assert {one["undo_code"] for one in kept} == {"changed_since"}
    assert (await undo(workspace.admin, restored["id"]))["result"] == {"restored": 2, "kept": 0}
    assert await read(workspace.admin, ids[0]) is None
    assert without(await read(workspace.admin, ids[2])) == without(made[2])
    filtered = await do(workspace.admin, "restore", {"filter": {}}, expected_count=2)
    assert filtered["result"]["changed"] == 2
    assert without(await read(workspace.admin, ids[0])) == without(made[0])


@pytest.mark.feature("B013")
async def test_a_restore_skips_whose_phone_somebody_has(workspace: Workspace, worker: WorkerProcess) -> None:
    [one] = await add(workspace.admin, 1, phone="0912345678")
    await throw(workspace.admin, one["id"])
    [twin] = await add(workspace.admin, 1, phone="0912345678")
    await throw(workspace.admin, twin["id"])
    [third] = await add(workspace.admin, 1)
    deleted = await do(workspace.admin, "delete", [third["id"]])
    both = await do(workspace.admin, "restore", [one["id"], twin["id"], third["id"]])
    assert both["result"] == {"changed": 2, "unchanged": 0, "skipped": 1}
    codes = {item["customer_id"]: item["code"] for item in await items(workspace.admin, both["id"])}
    assert codes == {one["id"]: "phone_taken", twin["id"]: None, third["id"]: None}
    assert (await undo(workspace.admin, deleted["id"]))["result"] == {"restored": 0, "kept": 1}
    gone = await do(workspace.admin, "delete", [twin["id"]])
    await add(workspace.admin, 1, phone="0912345678")
    await undo(workspace.admin, gone["id"])
    assert (await items(workspace.admin, gone["id"]))[0]["undo_code"] == "phone_taken"


@pytest.mark.feature("B014")
async def test_a_purge_of_many_repeats_the_warning_and_has_no_undo(workspace: Workspace) -> None:
    made = await add(workspace.admin, 3, note="riêng tư")
    ids = [one["id"] for one in made]
    await do(workspace.admin, "delete", ids[:2])
    refused = await ask(workspace.admin, "purge", ids)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "purge_unconfirmed")
    manager = await workspace.person("manager")
    assert (await ask(manager.client, "purge", ids, confirm=WARNING)).status_code == 403
    purged = await do(workspace.admin, "purge", ids, confirm=WARNING)
    assert purged["result"] == {"changed": 2, "unchanged": 0, "skipped": 1}
    assert (await workspace.admin.get(f"{API}/customers/trash")).json()["items"] == []
    found = await items(workspace.admin, purged["id"])
    assert [(one["customer_name"], one["code"]) for one in found if one["customer_id"] != ids[2]] == [(None, None)] * 2
    again = await workspace.admin.post(f"{API}/jobs/{purged['id']}/undo")
    assert (again.status_code, again.json()["code"]) == (409, "job_not_undoable")


async def test_the_pool_takes_many(workspace: Workspace, worker: WorkerProcess) -> None:
    [one] = await add(workspace.admin, 1)
    job = await do(workspace.admin, "to_pool", [one["id"]])
    assert job["result"]["changed"] == 1
    assert (await history(workspace.admin, one["id"]))[0]["changes"] == {"in_pool": [False, True]}
    assert (await undo(workspace.admin, job["id"]))["result"]["restored"] == 1


@pytest.mark.feature("E009")
async def test_a_preview_says_who_would_be_skipped_and_writes_nothing(workspace: Workspace) -> None:
    made = await add(workspace.admin, 3, note="a")
    ids = [one["id"] for one in made]
    await edit(workspace.admin, ids[0], note="b")
    await throw(workspace.admin, ids[2])
    body = {
        "action": "set_field", "selection": {"ids": [*ids, NOBODY]}, "params": {"field": "note", "value": "b"},
    }  # fmt: skip
    reply = await workspace.admin.post(f"{BULK}/preview", json=body)
    assert reply.status_code == 200, reply.text
    found = reply.json()
    assert (found["count"], found["examined"], found["changed"], found["unchanged"]) == (4, 4, 1, 1)
    assert [(one["code"], one["count"]) for one in found["skipped"]] == [("in_trash", 1), ("not_found", 1)]
    assert (await read(workspace.admin, ids[1]) or {})["note"] == "a"
    tags = await workspace.admin.post(
        f"{BULK}/preview", json={"action": "tag", "selection": {"filter": {}}, "params": {"tags": ["Chưa có"]}}
    )
    assert (tags.json()["count"], tags.json()["changed"]) == (2, 2)
    assert (await workspace.admin.get(f"{API}/tags")).json()["items"] == []
    assert (await workspace.admin.get(f"{API}/jobs")).json()["items"] == []


async def test_each_action_needs_its_own_right_and_reaches_only_whom_the_caller_sees(workspace: Workspace) -> None:
    sale = await workspace.person("sale")
    [mine], [theirs] = await add(sale.client, 1), await add(workspace.admin, 1)
    for action in ("delete", "restore", "purge", "export"):
        refused = await ask(sale.client, action, [mine["id"]])
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden"), action
    job = await do(sale.client, "set_field", [mine["id"], theirs["id"]], field="note", value="x")
    assert job["result"] == {"changed": 1, "unchanged": 0, "skipped": 1}
    found = {one["customer_id"]: one for one in await items(sale.client, job["id"])}
    assert (found[theirs["id"]]["code"], found[theirs["id"]]["customer_name"]) == ("not_found", None)
    assert (await read(workspace.admin, theirs["id"]) or {})["note"] is None
    other = await workspace.person("sale")
    assert (await other.client.get(f"{API}/jobs/{job['id']}/items")).status_code == 404
    assert (await other.client.post(f"{API}/jobs/{job['id']}/undo")).status_code == 404
    everybody = await ask(sale.client, "set_field", {"filter": {}}, field="note", value="y", expected_count=2)
    assert (everybody.status_code, everybody.json()["count"]) == (409, 1)


async def test_a_repetition_with_the_same_key_is_one_change(workspace: Workspace) -> None:
    [one] = await add(workspace.admin, 1)
    body = {"action": "set_field", "selection": {"ids": [one["id"]]}, "params": {"field": "note", "value": "x"}}
    missing = await workspace.admin.post(BULK, json=body)
    assert (missing.status_code, missing.json()["code"]) == (400, "idempotency_key_required")
    async with open_client(workspace.app) as nobody:
        assert (await nobody.post(BULK, json=body)).status_code == 401
    headers = {"Idempotency-Key": uuid4().hex}
    replies = [await workspace.admin.post(BULK, json=body, headers=headers) for _ in range(2)]
    assert replies[0].json() == replies[1].json()
    assert replies[1].headers["idempotency-replayed"] == "true"
    assert (await read(workspace.admin, one["id"]) or {})["version"] == 2


@pytest.mark.parametrize(
    ("action", "params", "code"),
    [
        ("set_field", {"field": "không có", "value": "x"}, "field_unknown"),
        ("set_field", {"field": "code", "value": "x"}, "field_unknown"),
        ("set_field", {"field": "phone", "value": "0912345678"}, "field_not_bulk"),
        ("set_field", {"field": "name", "value": None}, "required"),
        ("set_field", {}, "field_unknown"),
        ("relationship", {"value": "Trời ơi"}, "choice_unknown"),
        ("owner", {"owner": "khong.co"}, "choice_unknown"),
        ("groups_add", {}, "required"),
        ("untag", {"tags": ["Không có"]}, "choice_unknown"),
    ],
)
async def test_wrong_parameters_are_refused(workspace: Workspace, action: str, params: Any, code: str) -> None:
    [one] = await add(workspace.admin, 1)
    reply = await ask(workspace.admin, action, [one["id"]], **params)
    assert reply.status_code == 422, reply.text
    assert reply.json()["errors"][0]["code"] == code


@pytest.mark.promise(11)
async def test_bulk_changes_at_once_lose_nothing(workspace: Workspace) -> None:
    ids = [one["id"] for one in await add(workspace.admin, 10)]
    await group(workspace, "Một")
    replies = await asyncio.gather(
        *(ask(workspace.admin, "groups_add", ids[n:] + ids[:n], groups=["Một"]) for n in range(5)),
        *(ask(workspace.admin, "tag", list(reversed(ids)), tags=[f"T{n}"]) for n in range(5)),
    )
    assert {reply.status_code for reply in replies} == {200}, [reply.text for reply in replies]
    for one in ids:
        row = await read(workspace.admin, one)
        assert row is not None
        assert (len(row["tags"]), len(row["groups"]), row["version"]) == (5, 1, 7)
