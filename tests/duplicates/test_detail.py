"""Merging from a customer's own page, and what merging is for: nobody counts twice."""

from typing import Any

import httpx
import pytest

from tests.customers.test_scoring import scores
from tests.duplicates.conftest import API, a_phone, add, edit
from tests.duplicates.merges import CUSTOMERS, ask, get, group, merge, undo
from tests.duplicates.test_centre import no_keys
from tests.factories.people import Workspace
from tests.transactions.steps import post, type_id


async def duplicates(client: httpx.AsyncClient, customer: dict[str, Any]) -> list[dict[str, Any]]:
    """The duplicates tab of a customer."""
    found: list[dict[str, Any]] = (await client.get(f"{CUSTOMERS}/{customer['id']}/duplicates")).json()["items"]
    return found


@pytest.mark.feature("E023")
async def test_one_duplicate_is_merged_at_once_and_of_several_one_is_picked(workspace: Workspace) -> None:
    client = workspace.admin
    await no_keys(workspace)
    same = {"name": "Lê Hoa", "email": "hoa@example.com", "birthday": "1990-03-05"}
    shown, other = await add(client, **same), await add(client, **same)
    company = await add(client, **same, kind="company")
    tab = {one["id"]: one for one in await duplicates(client, shown)}
    assert {id_: one["kind"] for id_, one in tab.items()} == {other["id"]: "individual", company["id"]: "company"}
    refused = await ask(client, "merge/preview", shown, company)
    assert (refused.status_code, refused.json()["code"]) == (409, "merge_other_kind")
    of_one_kind = [one for one in tab.values() if one["kind"] == shown["kind"]]
    popup = await ask(client, "merge/preview", shown, *of_one_kind)
    assert (popup.status_code, popup.json()["title"]) == (200, "Confirm merge khách hàng")
    third = await add(client, **same)
    picked = next(one for one in await duplicates(client, shown) if one["id"] == third["id"])
    await merge(client, shown, picked)
    left = {one["id"] for one in await duplicates(client, shown)}
    assert left == {other["id"], company["id"]}


async def sums(client: httpx.AsyncClient) -> list[tuple[str, int]]:
    """Who has signed for 1 or more, with the score, by id."""
    tree = {"related": "contracts", "sum": {"field": "value", "op": "gte", "value": 1}}
    reply = await client.post(f"{CUSTOMERS}/search", json={"filter": tree, "fields": ["score"], "count": "exact"})
    assert reply.status_code == 200, reply.text
    items = reply.json()["items"]
    assert reply.json()["count"] == len(items)
    return sorted((one["id"], one["score"]) for one in items)


@pytest.mark.feature("C032")
async def test_a_phone_is_one_customer_who_counts_once(workspace: Workspace) -> None:
    """No door lets a phone in twice, so nobody is written to twice; and what a doubled person did counts once, in one
    place, when the two are merged."""
    client = workspace.admin
    await group(client, "VIP")
    phone = a_phone()
    first = await add(client, phone=phone, groups=["VIP"])
    second = await add(client, groups=["VIP"])
    again = await client.post(CUSTOMERS, json={"name": "Lần nữa", "phone": phone})
    changed = await edit(client, second, phone=phone)
    inside = await client.post(f"{CUSTOMERS}/{second['id']}/contacts", json={"phones": [{"value": phone}]})
    assert [one.status_code for one in (again, changed, inside)] == [409, 409, 409]
    vip = (await client.get(f"{API}/groups")).json()["items"][0]
    etag = {"If-Match": f'"{vip["version"]}"'}
    assert (await client.patch(f"{API}/groups/{vip['id']}", json={"points": 20}, headers=etag)).status_code == 200
    for number, one in enumerate((first, second)):
        await post(client, "/contracts", customer_id=one["id"], number=f"HD-{number}", value=100)
        kind = await type_id(workspace)
        await post(client, "/transactions", customer_id=one["id"], type_id=kind, name="Gặp", state="completed")
    apart = await sums(client)
    assert [id_ for id_, _ in apart] == sorted((first["id"], second["id"]))
    merged = await merge(client, first, second)
    ((id_, score),) = await sums(client)
    # Two transactions of ten points; the group that both were in counts once.
    assert (id_, score - (await get(client, first["id"]))["score"]) == (first["id"], 0)
    tree = {"related": "contracts", "sum": {"field": "value", "op": "eq", "value": 200}}
    counted = await client.post(f"{CUSTOMERS}/count", json={"filter": tree})
    assert counted.json()["count"] == 1
    await scores(workspace)
    await undo(client, merged["id"])
    assert await sums(client) == apart
