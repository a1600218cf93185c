"""Merges by a rule: a job over all clusters, each merge with its way back."""

import asyncio
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from app.core import configuration
from app.core.actor import Actor
from app.duplicates import rules
from app.duplicates.models import DuplicateSetting
from app.duplicates.schemas import MergeRuleIn
from app.identity.models import User
from tests.duplicates.conftest import API, add, done, edit, scan, set_keys
from tests.duplicates.merges import throw
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


@pytest.mark.feature("B037")
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


async def further_phone(workspace: Workspace, customer: dict[str, Any], number: str) -> None:
    """A phone beside the customer's own."""
    reply = await workspace.admin.post(f"{API}/customers/{customer['id']}/phones", json={"value": number})
    assert reply.status_code == 201, reply.text


async def refused(client: httpx.AsyncClient, **rule: Any) -> tuple[int, str]:
    """How a rule is refused."""
    reply = await client.post(f"{API}/duplicates/merge-rules", json=rule)
    return reply.status_code, reply.json()["code"]


@pytest.mark.parametrize(("fields", "merged"), [(["phone"], 2), (["phone", "name"], 1), (["phone", "email"], 1)])
async def test_a_rule_by_phone_finds_further_phones_too(workspace: Workspace, fields: list[str], merged: int) -> None:
    await set_keys(workspace)
    first = await add(workspace.admin, name="Lê Hoa", kind="lead", phone="0912345678", email="hoa@example.com")
    for name, email in (("le hoa", "hoa@example.com"), ("Trần Nam", "nam@example.com")):
        other = await add(workspace.admin, name=name, kind="lead", email=email)
        await further_phone(workspace, other, "0912345678")
    await scan(workspace)
    _, result = await run(workspace.administrator, fields=fields)
    assert result == {"done": 1, "merged": merged, "skipped": 0}
    assert (await workspace.admin.get(f"{API}/customers/{first['id']}")).status_code == 200
    assert len(await names(workspace)) == 3 - merged


async def test_a_rule_keeps_no_source(workspace: Workspace) -> None:
    # Who stays in use shares the fields again: the rule would never end.
    assert await refused(workspace.admin, fields=["email"], sources="keep") == (422, "invalid")


async def test_a_large_cluster_of_whom_some_are_gone_becomes_one(workspace: Workspace) -> None:
    await set_keys(workspace)
    made = [await add(workspace.admin, name=f"Khách {n}", email="chung@example.com") for n in range(130)]
    await scan(workspace)
    for one in made[:10]:
        await throw(workspace.admin, one)
    await edit(workspace.admin, made[11], email="khac@example.com")
    [cluster] = (await workspace.admin.get(f"{API}/duplicates")).json()["items"]
    assert (len(cluster["customers"]), cluster["more"]) == (100, True)
    tab = (await workspace.admin.get(f"{API}/customers/{made[-1]['id']}/duplicates")).json()["items"]
    assert len(tab) >= 99
    _, result = await run(workspace.administrator, fields=["email"])
    assert result["merged"] == 118
    assert await names(workspace) == ["Khách 10", "Khách 11"]


async def test_those_behind_a_hundred_others_are_found(workspace: Workspace) -> None:
    await set_keys(workspace)
    for number in range(101):
        await add(workspace.admin, name=f"Khách {number}", email="chung@example.com")
    seller = await workspace.person("sale", permissions=["customers.view", "customers.create", "customers.merge"])
    own = [await add(seller.client, name="Hai", email="chung@example.com") for _ in range(2)]
    await scan(workspace)
    [cluster] = (await seller.client.get(f"{API}/duplicates")).json()["items"]
    assert ([one["id"] for one in cluster["customers"]], cluster["more"]) == ([one["id"] for one in own], False)
    tab = (await seller.client.get(f"{API}/customers/{own[0]['id']}/duplicates")).json()["items"]
    assert [one["id"] for one in tab] == [own[1]["id"]]
    # By name too there is nobody among the first hundred.
    assert (await run(workspace.administrator, fields=["email", "name"]))[1]["merged"] == 1


async def test_a_rule_leaves_apart_whom_somebody_told_apart(workspace: Workspace) -> None:
    await set_keys(workspace)
    pair = [(await add(workspace.admin, email="a@example.com"))["id"] for _ in range(2)]
    reply = await workspace.admin.post(f"{API}/duplicates/dismiss", json={"customer_ids": pair})
    assert reply.status_code == 201, reply.text
    third = await add(workspace.admin, email="a@example.com")
    await scan(workspace)
    job_id, result = await run(workspace.administrator, fields=["email"])
    assert result == {"done": 1, "merged": 1, "skipped": 1}
    items = (await workspace.admin.get(f"{API}/jobs/{job_id}/items")).json()["items"]
    assert {one["customer_id"]: (one["status"], one["code"]) for one in items} == {
        pair[1]: ("skipped", "dismissed"), third["id"]: ("changed", None),
    }  # fmt: skip
    [message] = [one["message"] for one in items if one["code"]]
    assert message == "Đã được xác nhận không phải là cùng một khách hàng"


async def test_a_rule_ends_with_the_rights_of_its_author(workspace: Workspace) -> None:
    await set_keys(workspace)
    await add(workspace.admin, name="Một", email="a@example.com")
    await add(workspace.admin, name="Hai", email="a@example.com")
    await scan(workspace)
    manager = await workspace.person("manager")
    async with workspace.resources.db.transaction(workspace.id) as session:
        # In the transaction that asks for it, so that no worker is quicker.
        actor = Actor(workspace.id, "user", manager.id, "Quản lý", frozenset({"customers.merge"}))
        job_id = await rules.start(session, actor, MergeRuleIn(fields=["email"]))
        await session.execute(update(User).where(User.id == manager.id).values(permissions=["customers.view"]))
    for _ in range(200):
        job = (await workspace.admin.get(f"{API}/jobs/{job_id}")).json()
        if job["state"] not in ("queued", "running"):
            break
        await asyncio.sleep(0.05)
    assert (job["state"], job["error"]["code"]) == ("failed", "forbidden")
    assert await names(workspace) == ["Hai", "Một"]


async def test_a_rule_needs_a_key(workspace: Workspace) -> None:
    await set_keys(workspace)
    assert await refused(workspace.admin, fields=["fax"]) == (409, "rule_needs_key")
    async with workspace.resources.db.transaction(workspace.id) as session:
        await configuration.bump(session)
        keys = [{"no": 3, "fields": ["fax"], "imports": True, "ready": False}]
        await session.execute(update(DuplicateSetting).values(keys=keys))
    assert await refused(workspace.admin, fields=["fax", "name"]) == (409, "duplicate_key_not_ready")
