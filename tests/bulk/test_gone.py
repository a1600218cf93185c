"""What is no more when a bulk change is done or taken back: it is neither written nor brought back."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from app.bulk.actions import ACTIONS
from app.bulk.schemas import Action
from tests.bulk.steps import API, add, ask, do, edit, group, history, items, names, read, undo, until
from tests.bulk.test_running import hold
from tests.factories.people import Workspace
from workers.main import WorkerProcess


async def make(client: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    """Something of the configuration."""
    reply = await client.post(f"{API}/{path}", json=body)
    assert reply.status_code == 201, reply.text
    made: dict[str, Any] = reply.json()
    return made


async def change(client: httpx.AsyncClient, path: str, **body: Any) -> None:
    """Changes it, or deletes it when nothing is given."""
    headers = {"If-Match": (await client.get(f"{API}/{path}")).headers["etag"]}
    reply = await (
        client.patch(f"{API}/{path}", json=body, headers=headers)
        if body
        else client.delete(f"{API}/{path}", headers=headers)
    )
    assert reply.status_code in (200, 204), reply.text


def test_every_action_is_known() -> None:
    assert set(Action.__args__) == set(ACTIONS)  # type: ignore[attr-defined]


@pytest.mark.feature("E005")
async def test_an_undo_does_not_bring_a_deleted_source_back(workspace: Workspace, worker: WorkerProcess) -> None:
    old = await make(workspace.admin, "sources", name="Hội chợ")
    first, second = await add(workspace.admin, 1, source="Hội chợ"), await add(workspace.admin, 1, source="Facebook")
    ids = [first[0]["id"], second[0]["id"]]
    job = await do(workspace.admin, "source", ids, value="Zalo")
    await change(workspace.admin, f"sources/{old['id']}")
    assert (await undo(workspace.admin, job["id"]))["result"] == {"restored": 2, "kept": 0}
    assert [(await read(workspace.admin, one) or {})["source"] for one in ids] == [None, "Facebook"]
    empty = await workspace.admin.post(
        f"{API}/customers/search", json={"filter": {"field": "source", "op": "is_empty"}}
    )
    assert [one["id"] for one in empty.json()["items"]] == [ids[0]], empty.text


@pytest.mark.parametrize("type_", ["choice", "choices"])
async def test_an_undo_does_not_bring_a_renamed_choice_back(
    workspace: Workspace, worker: WorkerProcess, type_: str
) -> None:
    field = await make(workspace.admin, "attributes", name="Hạng", key="hang", type=type_, choices=["A", "B", "C"])
    many = type_ == "choices"
    first = await add(workspace.admin, 1, attributes={"hang": ["A", "C"] if many else "A"})
    second = await add(workspace.admin, 1, attributes={"hang": ["C"] if many else "C"})
    ids = [first[0]["id"], second[0]["id"]]
    job = await do(workspace.admin, "set_field", ids, field="attributes.hang", value=["B"] if many else "B")
    await change(workspace.admin, f"attributes/{field['id']}", renamed={"A": "A1"})
    assert (await undo(workspace.admin, job["id"]))["result"] == {"restored": 2, "kept": 0}
    rows = [(await read(workspace.admin, one) or {})["attributes"] for one in ids]
    assert rows == ([{"hang": ["C"]}, {"hang": ["C"]}] if many else [{}, {"hang": "C"}])
    found = await workspace.admin.get(f"{API}/customers", params={"attributes.hang": "C"})
    assert len(found.json()["items"]) == (2 if many else 1), found.text


async def test_an_undo_writes_nothing_into_the_slot_of_another_attribute(
    workspace: Workspace, worker: WorkerProcess
) -> None:
    gone = await make(workspace.admin, "attributes", name="Cũ", key="cu", type="text")
    [one] = await add(workspace.admin, 1, attributes={"cu": "x"})
    job = await do(workspace.admin, "set_field", [one["id"]], field="attributes.cu", value="y")
    await change(workspace.admin, f"attributes/{gone['id']}")
    reply = await workspace.admin.post(f"{API}/jobs/{job['id']}/undo")
    ended = await until(workspace.admin, reply.json()["id"])
    assert (ended["state"], ended["error"]["code"]) == ("failed", "params_gone")
    assert ended["error"]["message"] == "Giá trị cần đặt không còn trong hệ thống"
    assert (await read(workspace.admin, one["id"]) or {})["version"] == 2


@pytest.mark.parametrize(
    ("action", "params"),
    [
        ("groups_add", {"groups": ["VIP"]}),
        ("groups_move", {"groups": ["VIP"]}),
        ("tag", {"tags": ["Nóng"]}),
        ("set_field", {"field": "attributes.hang", "value": "A"}),
        ("set_field", {"field": "attributes.nguoi", "value": "lan"}),
    ],
)
async def test_what_went_while_the_job_waited_is_not_written(
    workspace: Workspace, worker: WorkerProcess, action: str, params: Any
) -> None:
    vip, hot = await group(workspace, "VIP"), await make(workspace.admin, "tags", name="Nóng")
    field = await make(workspace.admin, "attributes", name="Hạng", key="hang", type="choice", choices=["A", "B"])
    await make(workspace.admin, "attributes", name="Người", key="nguoi", type="person")
    person = await workspace.person("sale", username="lan")
    [one] = await add(workspace.admin, 1)
    await hold(workspace)
    reply = await ask(workspace.admin, action, {"filter": {}}, expected_count=1, **params)
    assert reply.status_code == 202, reply.text
    await change(workspace.admin, f"groups/{vip['id']}")
    await change(workspace.admin, f"tags/{hot['id']}")
    await change(workspace.admin, f"attributes/{field['id']}", choices=["B"])
    await workspace.deactivate(person)
    await hold(workspace, free=True)
    job = await until(workspace.admin, reply.json()["id"])
    assert (job["state"], job["error"]["code"]) == ("failed", "params_gone")
    assert (await read(workspace.admin, one["id"]) or {})["version"] == 1


async def test_a_fault_of_ours_is_no_value_that_is_gone(
    workspace: Workspace, worker: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = [KeyError("ours")]
    first = ACTIONS["set_field"].do

    async def failing(*args: Any) -> Any:
        if faults:
            raise faults.pop()
        return await first(*args)

    monkeypatch.setitem(ACTIONS, "set_field", replace(ACTIONS["set_field"], do=failing))
    [one] = await add(workspace.admin, 1)
    job = await do(workspace.admin, "set_field", {"filter": {}}, field="note", value="x", expected_count=1)
    assert (job["state"], job["result"]["changed"]) == ("succeeded", 1)
    assert (await read(workspace.admin, one["id"]) or {})["note"] == "x"


@pytest.mark.feature("A093")
async def test_a_bulk_change_is_told_like_that_of_one_customer(workspace: Workspace, worker: WorkerProcess) -> None:
    sale = await workspace.person("sale")
    [one] = await add(workspace.admin, 1)
    for action, params, kind in (
        ("relationship", {"value": "Chốt"}, "customer.contract_closed"),
        ("relationship", {"value": "Mất"}, "customer.refused"),
        ("set_field", {"field": "relationship", "value": "Tiềm năng"}, "customer.potential"),
        ("source", {"value": "Facebook"}, "customer.classified"),
        ("set_field", {"field": "note", "value": "x"}, "customer.updated"),
        ("owner", {"owner": sale.username}, "customer.assigned"),
    ):
        job = await do(workspace.admin, action, [one["id"]], **params)
        assert job["result"]["changed"] == 1, (action, params)
        assert (await history(workspace.admin, one["id"]))[0]["kind"] == kind, (action, params)


async def test_bulk_keeps_the_rules_of_the_single_edit(workspace: Workspace, worker: WorkerProcess) -> None:
    sale = await workspace.person("sale")
    [friend] = await add(workspace.admin, 1)
    [one] = await add(workspace.admin, 1, referrer=friend["code"])
    job = await do(workspace.admin, "set_field", [one["id"]], field="referrer_user", value=sale.username)
    row = await read(workspace.admin, one["id"]) or {}
    assert (row["referrer"], row["referrer_user"]) == (None, sale.username)
    assert set((await history(workspace.admin, one["id"]))[0]["changes"]) == {"referrer", "referrer_user"}
    await undo(workspace.admin, job["id"])
    row = await read(workspace.admin, one["id"]) or {}
    assert (row["referrer"], row["referrer_user"]) == (friend["id"], None)

    in_pool = {"filter": {"field": "in_pool", "op": "eq", "value": True}}
    for give in ("set_field", "owner", "patch"):
        await do(workspace.admin, "owner", [one["id"]], owner=None)
        await do(workspace.admin, "to_pool", [one["id"]])
        assert (await workspace.admin.post(f"{API}/customers/count", json=in_pool)).json()["count"] == 1
        if give == "patch":
            await edit(workspace.admin, one["id"], owner=sale.username)
        else:
            params = {"owner": sale.username} if give == "owner" else {"field": "owner", "value": sale.username}
            await do(workspace.admin, give, [one["id"]], **params)
        assert (await workspace.admin.post(f"{API}/customers/count", json=in_pool)).json()["count"] == 0, give

    for field, value in (("kind", "company"), ("kind", None), ("referrer", friend["code"])):
        refused = await ask(workspace.admin, "set_field", [one["id"]], field=field, value=value)
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "field_not_bulk"), field


@pytest.mark.feature("D036")
async def test_a_field_that_must_not_repeat_is_not_set_for_many(workspace: Workspace) -> None:
    setting = await workspace.admin.get(f"{API}/duplicate-keys")
    reply = await workspace.admin.put(
        f"{API}/duplicate-keys", json={"keys": [{"fields": ["note"]}]}, headers={"If-Match": setting.headers["etag"]}
    )
    assert reply.status_code == 200, reply.text
    ids = [one["id"] for one in await add(workspace.admin, 2)]
    refused = await ask(workspace.admin, "set_field", ids, field="note", value="giống nhau")
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "field_not_bulk")
    assert (await do(workspace.admin, "set_field", ids, field="note", value=None))["result"]["unchanged"] == 2


async def test_a_tag_is_as_short_for_many_as_for_one(workspace: Workspace) -> None:
    [one] = await add(workspace.admin, 1)
    body = {"action": "tag", "selection": {"ids": [one["id"]]}, "params": {"tags": ["x" * 101]}}
    preview = await workspace.admin.post(f"{API}/customers/bulk/preview", json=body)
    assert preview.status_code == 422
    assert preview.json()["errors"][0]["field"].startswith("params.tags")
    job = await do(workspace.admin, "tag", [one["id"]], tags=["x" * 100])
    assert names(await read(workspace.admin, one["id"]), "tags") == ["x" * 100]
    assert (await items(workspace.admin, job["id"]))[0]["status"] == "changed"
