"""A master goes to the stage that its sources' contracts and transactions mean, and back when the merge is undone."""

from typing import Any

import httpx
import pytest

from tests.duplicates.conftest import API, add, done, edit, scan, set_keys
from tests.duplicates.merges import CUSTOMERS, ask, get, merge, undo
from tests.factories.people import Workspace
from tests.transactions.steps import post, type_id


async def sign(client: httpx.AsyncClient, customer: dict[str, Any], number: str, *, signed: bool = True) -> None:
    """A contract; with `signed` the customer is “Chốt” by it."""
    await post(client, "/contracts", customer_id=customer["id"], number=number, value=5, move_to_signed=signed)


async def stage(client: httpx.AsyncClient, customer: dict[str, Any]) -> str:
    """Where the customer stands."""
    return str((await get(client, customer["id"]))["relationship"])


@pytest.mark.feature("B037", "D021", "D023")
@pytest.mark.parametrize(
    ("fact", "means"), [("signed", "Chốt"), ("contract", "Tiếp cận"), ("transaction", "Tiếp cận"), ("none", "Mới")]
)
@pytest.mark.parametrize("action", ["delete", "archive", "keep"])
async def test_a_merge_moves_the_master_and_its_undo_moves_it_back(
    workspace: Workspace, fact: str, means: str, action: str
) -> None:
    client = workspace.admin
    master, source = await add(client), await add(client)
    if fact == "transaction":
        kind = await type_id(workspace)
        await post(client, "/transactions", customer_id=source["id"], type_id=kind, name="A", state="completed")
    elif fact != "none":
        await sign(client, source, "HD-01", signed=fact == "signed")
    assert await stage(client, source) == means
    plan = (await ask(client, "merge/preview", master, source, sources=action)).json()
    planned = [one for one in plan["fields"] if one["field"] == "relationship"]
    moves = fact != "none"
    assert [(one["before"], one["after"], one["origin"]) for one in planned] == [("Mới", means, "facts")] * moves
    merged = await merge(client, master, source, sources=action)
    assert await stage(client, master) == means
    [told] = [
        one for one in (await client.get(f"{CUSTOMERS}/{master['id']}/events")).json()["items"]
        if one["kind"] == "customer.merged"
    ]  # fmt: skip
    assert told["changes"].get("relationship") == (["Mới", means] if moves else None)
    assert (await undo(client, merged["id"]))["left"] == []
    assert (await stage(client, master), await stage(client, source)) == ("Mới", means)


@pytest.mark.feature("B037", "D023")
async def test_who_has_signed_stays_signed(workspace: Workspace) -> None:
    client = workspace.admin
    master, source = await add(client), await add(client)
    await sign(client, master, "HD-01")
    await sign(client, source, "HD-02", signed=False)
    merged = await merge(client, master, source)
    assert "relationship" not in merged["fields"]
    assert await stage(client, master) == "Chốt"
    await undo(client, merged["id"])
    assert await stage(client, master) == "Chốt"


@pytest.mark.feature("B037")
@pytest.mark.parametrize("choice", ["value", "master"])
async def test_a_stage_that_was_chosen_is_kept(workspace: Workspace, choice: str) -> None:
    client = workspace.admin
    master, source = await add(client), await add(client)
    await sign(client, source, "HD-01")
    chosen = {"value": "Tạm ngừng"} if choice == "value" else {"customer_id": master["id"]}
    wanted = "Tạm ngừng" if choice == "value" else "Mới"
    reply = await ask(client, "merge", master, source, choose={"relationship": chosen})
    assert reply.status_code == 201, reply.text
    assert await stage(client, master) == wanted


@pytest.mark.feature("B037")
async def test_a_stage_that_was_changed_since_stays_and_is_told(workspace: Workspace) -> None:
    client = workspace.admin
    master, source = await add(client), await add(client)
    await sign(client, source, "HD-01", signed=False)
    merged = await merge(client, master, source)
    assert (await edit(client, master, relationship="Tiềm năng")).status_code == 200
    [line] = (await undo(client, merged["id"]))["left"]
    assert (line["field"], line["code"], line["before"], line["now"]) == ("relationship", "edited", "Mới", "Tiềm năng")
    assert await stage(client, master) == "Tiềm năng"


@pytest.mark.feature("B037", "D023")
@pytest.mark.parametrize("since", ["own", "another merge"])
async def test_what_happened_with_the_master_since_keeps_its_stage(workspace: Workspace, since: str) -> None:
    client = workspace.admin
    master, source, other = await add(client), await add(client), await add(client)
    await sign(client, source, "HD-01")
    merged = await merge(client, master, source)
    later = None
    if since == "own":
        await sign(client, master, "HD-02", signed=False)
    else:
        await sign(client, other, "HD-02", signed=False)
        later = await merge(client, master, other)
    assert await stage(client, master) == "Chốt"
    assert (await undo(client, merged["id"]))["left"] == []
    # Of a merge that stands, the stage goes with it, as its other fields do.
    assert await stage(client, master) == ("Tiếp cận" if since == "own" else "Mới")
    if later:
        await undo(client, later["id"])
        assert await stage(client, master) == "Mới"


@pytest.mark.feature("B037", "B039")
async def test_a_rule_moves_masters_too(workspace: Workspace) -> None:
    await set_keys(workspace)
    client = workspace.admin
    master = await add(client, email="chung@example.com")
    source = await add(client, email="chung@example.com")
    await sign(client, source, "HD-01")
    await scan(workspace)
    reply = await client.post(f"{API}/duplicates/merge-rules", json={"fields": ["email"]})
    assert reply.status_code == 202, reply.text
    await done(client, reply.json()["job_id"])
    assert await stage(client, master) == "Chốt"
    [merged] = (await client.get(f"{API}/merges", params={"customer_id": master["id"]})).json()["items"]
    await undo(client, merged["id"])
    assert (await stage(client, master), await stage(client, source)) == ("Mới", "Chốt")
