"""What a merge refuses: values chosen by hand are checked as on a form, and nobody refers themselves."""

from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text

from tests.duplicates.conftest import API, a_phone, add, set_keys
from tests.duplicates.merges import CUSTOMERS, ask, get, merge, purge, throw, undo
from tests.factories.people import Workspace


async def contact(client: httpx.AsyncClient, customer: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A contact of a customer."""
    reply = await client.post(f"{CUSTOMERS}/{customer['id']}/contacts", json={"name": "Chị Ba", **fields})
    assert reply.status_code == 201, reply.text
    body: dict[str, Any] = reply.json()
    return body


async def card(client: httpx.AsyncClient) -> str:
    """The key of a unique attribute."""
    made = await client.post(f"{API}/attributes", json={"name": "Số thẻ", "type": "text", "unique": True})
    assert made.status_code == 201, made.text
    return str(made.json()["key"])


@pytest.mark.feature("B037")
async def test_a_unique_value_chosen_by_hand_must_be_free(workspace: Workspace) -> None:
    client = workspace.admin
    key = await card(client)
    other = await add(client, attributes={key: "T9"})
    master, source = await add(client), await add(client, attributes={key: "T1"})
    choose = {f"attributes.{key}": {"value": "T9"}}
    refused = await ask(client, "merge", master, source, choose=choose)
    assert (refused.status_code, refused.json()["code"]) == (409, "value_taken"), refused.text
    assert refused.json()["field"] == refused.json()["errors"][0]["field"] == f"choose.attributes.{key}"
    kept = await ask(client, "merge", master, source, sources="keep", choose={f"attributes.{key}": {"value": "T1"}})
    assert (kept.status_code, kept.json()["code"]) == (409, "value_taken"), kept.text
    for one in (master, source, other):
        assert await get(client, one["id"]) == one
    # The value of a source that goes is free.
    merged = await merge(client, master, source, choose={f"attributes.{key}": {"value": "T1"}})
    assert (await get(client, master["id"]))["attributes"] == {key: "T1"}
    assert (await undo(client, merged["id"]))["left"] == []


@pytest.mark.feature("B037", "D004")
async def test_a_phone_chosen_by_hand_must_be_nobodys(workspace: Workspace) -> None:
    client = workspace.admin
    other, number = await add(client, kind="company", name="Công ty Hoa"), a_phone()
    await contact(client, other, phones=[{"value": number}])
    master, source = await add(client), await add(client)
    refused = await ask(client, "merge", master, source, choose={"phone": {"value": number}})
    assert (refused.status_code, refused.json()["code"]) == (409, "phone_in_contact"), refused.text
    assert refused.json()["existing_id"] == other["id"]
    assert refused.json()["field"] == refused.json()["errors"][0]["field"] == "choose.phone"
    refused = await ask(client, "merge", master, source, choose={"phone": {"value": other["phone"]}})
    assert (refused.status_code, refused.json()["code"]) == (409, "phone_taken"), refused.text
    assert refused.json()["existing_id"] == other["id"]
    assert refused.json()["field"] == refused.json()["errors"][0]["field"] == "choose.phone"
    kept = await ask(client, "merge", master, source, sources="keep", choose={"phone": {"value": source["phone"]}})
    assert (kept.status_code, kept.json()["existing_id"]) == (409, source["id"])
    # A lead may have it until it is converted (E002), and what a source's own contact had comes along.
    leads = [await add(client, kind="lead") for _ in range(2)]
    await merge(client, *leads, choose={"phone": {"value": number}})
    own = a_phone()
    await contact(client, source, phones=[{"value": own}])
    await merge(client, master, source, choose={"phone": {"value": own}})
    assert (await get(client, master["id"]))["phone"] == own


@pytest.mark.feature("D036")
async def test_a_key_chosen_by_hand_must_be_free(workspace: Workspace) -> None:
    client = workspace.admin
    await set_keys(workspace, {"fields": ["tax_code"]})
    other = await add(client, tax_code="0101248141")
    refused = await ask(
        client, "merge", await add(client), await add(client), choose={"tax_code": {"value": "0101248141"}}
    )
    assert (refused.status_code, refused.json()["code"]) == (409, "duplicate"), refused.text
    assert refused.json()["existing_id"] == other["id"]
    assert refused.json()["field"] == refused.json()["errors"][0]["field"] == "choose.tax_code"


@pytest.mark.feature("E022")
@pytest.mark.parametrize("sources", ["delete", "archive", "keep"])
async def test_nobody_becomes_their_own_referrer(workspace: Workspace, sources: str) -> None:
    client = workspace.admin
    master, stranger = await add(client), await add(client)
    second, third = await add(client, referrer=master["code"]), await add(client, referrer=stranger["code"])
    first = await add(client, referrer=second["code"])
    merged = await merge(client, master, second, first, third, sources=sources)
    assert (await get(client, master["id"]))["referrer"] == stranger["id"]
    assert merged["fields"] == {"referrer": [None, stranger["id"]]} or "note" in merged["fields"]
    await undo(client, merged["id"])
    assert (await get(client, master["id"]))["referrer"] is None
    for one, referrer in ((second, master), (first, second), (third, stranger)):
        assert (await get(client, one["id"]))["referrer"] == referrer["id"]


@pytest.mark.feature("E022")
async def test_a_master_whose_referrer_is_merged_into_it_has_none(workspace: Workspace) -> None:
    client = workspace.admin
    source = await add(client)
    master = await add(client, referrer=source["code"])
    merged = await merge(client, master, source)
    assert (await get(client, master["id"]))["referrer"] is None
    assert (await undo(client, merged["id"]))["left"] == []
    assert (await get(client, master["id"]))["referrer"] == source["id"]
    # Who is kept goes on having referred.
    await merge(client, master, source, sources="keep")
    assert (await get(client, master["id"]))["referrer"] == source["id"]


async def test_a_chosen_referrer_is_nobody_of_the_merge(workspace: Workspace) -> None:
    client = workspace.admin
    master = await add(client)
    source = await add(client, referrer=master["code"])
    for choice in ({"value": source["code"]}, {"value": source["id"]}, {"customer_id": source["id"]}):
        refused = await ask(client, "merge/preview", master, source, choose={"referrer": choice})
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "merge_own_referrer"), refused.text
        assert refused.json()["errors"][0]["field"] == "choose.referrer"


@pytest.mark.feature("E026")
async def test_a_chosen_referrer_comes_before_the_masters(workspace: Workspace) -> None:
    client = workspace.admin
    friend, person = await add(client), await workspace.person("sale")
    employee = str(person.id)
    master, source = await add(client, referrer=friend["code"]), await add(client, referrer_user=employee)
    wanted = {"referrer": (friend["id"], None), "referrer_user": (None, employee)}
    for choose in (
        {"referrer_user": {"customer_id": source["id"]}},
        {"referrer": {"customer_id": source["id"]}},
        {"referrer_user": {"value": employee}},
    ):
        seen = await ask(client, "merge/preview", master, source, choose=choose)
        assert seen.status_code == 200, seen.text
        fields = {one["field"]: (one["before"], one["after"]) for one in seen.json()["fields"]}
        assert fields == wanted, choose
        assert {one["origin"] for one in seen.json()["fields"]} == {"chosen"}
    merged = await merge(client, master, source, choose={"referrer_user": {"customer_id": source["id"]}})
    now = await get(client, master["id"])
    assert (now["referrer"], now["referrer_user"]) == (None, person.username)
    assert (await undo(client, merged["id"]))["left"] == []
    assert (await get(client, master["id"]))["referrer"] == friend["id"]
    # The master has none: what was chosen is not hidden by what would come by itself.
    bare, other = await add(client), await add(client, referrer=friend["code"])
    merged = await merge(client, bare, other, choose={"referrer_user": {"value": employee}})
    assert merged["fields"]["referrer_user"] == [None, employee]
    assert "referrer" not in merged["fields"]
    assert (await get(client, bare["id"]))["referrer"] is None
    other = await add(client, referrer=friend["code"])
    both = {"referrer": {"customer_id": other["id"]}, "referrer_user": {"value": employee}}
    refused = await ask(client, "merge/preview", await add(client), other, choose=both)
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "referrer_twice"), refused.text


@pytest.mark.feature("B038")
async def test_an_archived_source_comes_back_by_undoing_the_merge(workspace: Workspace) -> None:
    client = workspace.admin
    master, source, third = await add(client), await add(client), await add(client)
    merged = await merge(client, master, source, sources="archive")
    refused = await client.post(f"{CUSTOMERS}/{source['id']}/restore")
    assert (refused.status_code, refused.json()["code"]) == (409, "customer_merged"), refused.text
    assert (await client.get(f"{CUSTOMERS}/{source['id']}")).status_code == 308
    assert (await undo(client, merged["id"]))["left"] == []
    later = await merge(client, source, third)
    await undo(client, later["id"])


@pytest.mark.feature("B038")
async def test_an_archived_source_whose_master_was_purged_is_a_customer_again(workspace: Workspace) -> None:
    client = workspace.admin
    master, source, third = await add(client), await add(client), await add(client)
    await merge(client, master, source, sources="archive")
    await throw(client, master)
    await purge(client, master)
    restored = await client.post(f"{CUSTOMERS}/{source['id']}/restore")
    assert restored.status_code == 200, restored.text
    later = await merge(client, source, third)
    assert (await undo(client, later["id"]))["left"] == []


@pytest.mark.feature("B038")
async def test_only_a_user_is_told_to_have_deleted_a_source(workspace: Workspace) -> None:
    client = workspace.admin
    key = await workspace.key("customers.view", "customers.view_all", "customers.merge")
    async with workspace.resources.db.transaction(workspace.id) as session:
        for caller, by in ((key, None), (client, workspace.administrator.id)):
            master, source = await add(client), await add(client)
            await merge(caller, master, source)
            row = await session.scalar(
                text("SELECT deleted_by FROM crm.customer WHERE tenant_id = :t AND id = :i"),
                {"t": workspace.id, "i": UUID(source["id"])},
            )
            assert row == by
    await key.aclose()
