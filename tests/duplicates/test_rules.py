"""Merges by a rule: a job over all clusters, each merge with its way back."""

from typing import Any

import pytest

from tests.duplicates.conftest import API, add, done, scan, set_keys
from tests.factories.people import Person, Workspace


async def run(person: Person, **rule: Any) -> tuple[str, dict[str, Any]]:
    """A run of a rule to its end: the job's id and result."""
    reply = await person.client.post(f"{API}/duplicates/merge-rules", json=rule)
    assert reply.status_code == 202, reply.text
    job_id = reply.json()["job_id"]
    result: dict[str, Any] = (await done(person.client, job_id))["result"]
    return job_id, result


async def names(workspace: Workspace) -> list[str]:
    """The names of all customers."""
    items = (await workspace.admin.get(f"{API}/customers", params={"limit": 200})).json()["items"]
    return sorted(one["name"] for one in items)


@pytest.mark.feature("B037", "C032")
async def test_who_shares_all_the_fields_becomes_one(workspace: Workspace) -> None:
    await set_keys(workspace)
    client = workspace.admin
    first = await add(client, name="Lê Hoa", email="hoa@example.com")
    await add(client, name="LE HOA", email="hoa@example.com", position="Kế toán")
    await add(client, name="lê hòa", email="hoa@example.com", kind="company")
    await add(client, name="Trần Nam", email="hoa@example.com")
    await add(client, name="Lê Hoa", email="khac@example.com")
    needed = await client.post(f"{API}/duplicates/merge-rules", json={"fields": ["email", "name"]})
    assert (needed.status_code, needed.json()["code"]) == (409, "scan_needed")
    await scan(workspace)
    job_id, result = await run(workspace.administrator, fields=["email", "name"])
    assert result == {"done": 1, "merged": 1, "skipped": 1}
    assert await names(workspace) == sorted(["Lê Hoa", "Lê Hoa", "Trần Nam", "lê hòa"])
    assert (await client.get(f"{API}/customers/{first['id']}")).json()["position"] == "Kế toán"
    items = (await client.get(f"{API}/jobs/{job_id}/items")).json()["items"]
    assert sorted((one["status"], one["code"]) for one in items) == [("changed", None), ("skipped", "merge_other_kind")]
    merges = (await client.get(f"{API}/merges", params={"batch_id": job_id})).json()["items"]
    assert [one["master_id"] for one in merges] == [first["id"]]
    assert (await client.post(f"{API}/merges/{merges[0]['id']}/undo")).json()["left"] == []
    assert len(await names(workspace)) == 5
    assert (await run(workspace.administrator, fields=["email", "name"]))[1]["merged"] == 1


async def test_the_newest_can_be_the_master(workspace: Workspace) -> None:
    await add(workspace.admin, name="Trùng", note="cũ")
    await add(workspace.admin, name="Trùng", note="giữa")
    last = await add(workspace.admin, name="trung", note="mới")
    await set_keys(workspace, {"fields": ["name"]})
    _, result = await run(workspace.administrator, fields=["name"], master="newest")
    assert result == {"done": 1, "merged": 2, "skipped": 0}
    left = (await workspace.admin.get(f"{API}/customers")).json()["items"]
    assert [(one["id"], one["note"]) for one in left] == [(last["id"], "mới\ngiữa\ncũ")]


@pytest.mark.promise(6)
async def test_a_rule_touches_only_whom_its_author_sees(workspace: Workspace) -> None:
    await set_keys(workspace)
    seller = await workspace.person("sale", permissions=["customers.view", "customers.create", "customers.merge"])
    await add(workspace.admin, name="Một", email="a@example.com")
    await add(workspace.admin, name="Hai", email="a@example.com")
    for name in ("Ba", "Bốn"):
        await add(seller.client, name=name, email="a@example.com")
    await scan(workspace)
    _, result = await run(seller, fields=["email"])
    assert result["merged"] == 1
    assert await names(workspace) == ["Ba", "Hai", "Một"]


async def test_a_large_cluster_becomes_one_as_well(workspace: Workspace) -> None:
    await set_keys(workspace)
    for number in range(120):
        await add(workspace.admin, name=f"Khách {number}", email="chung@example.com")
    await scan(workspace)
    _, result = await run(workspace.administrator, fields=["email"])
    assert result["merged"] == 119
    assert await names(workspace) == ["Khách 0"]
