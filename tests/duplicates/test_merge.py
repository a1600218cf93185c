"""Merging customers over HTTP: previewed, done, found again by the old ids, and taken back."""

import asyncio
from typing import Any

import pytest

from tests.duplicates.conftest import API, a_phone, add, edit, set_keys
from tests.duplicates.merges import CUSTOMERS, ask, get, group, merge, plain, points, undo
from tests.factories.people import Workspace


@pytest.mark.feature("B037", "E022", "E025")
async def test_fields_are_the_masters_first_and_else_the_one_that_is_filled(workspace: Workspace) -> None:
    client = workspace.admin
    master = await add(client, name="Lê Hoa", position="Giám đốc", gender="nữ", note="Một")
    source = await add(client, name="Lê Hoà", position="Nhân viên", company_name="Hoa Sen", birthday="1990-03-05",
                       province="Bình Dương", note="Hai")  # fmt: skip
    merged = await merge(client, master, source)
    now = await get(client, master["id"])
    assert now["name"] == "Lê Hoa"
    assert now["position"] == "Giám đốc"
    assert now["gender"] == "female"
    assert (now["company_name"], now["birthday"]) == ("Hoa Sen", "1990-03-05")
    assert (now["province_code"], now["province_typed"]) == ("79", "Bình Dương")
    assert now["note"] == "Một\nHai"
    assert now["code"] == master["code"]
    assert merged["state"] == "done"
    assert merged["fields"]["company_name"] == [None, "Hoa Sen"]
    assert (await client.get(f"{API}/merges/{merged['id']}")).json() == merged


@pytest.mark.feature("E024")
async def test_several_values_are_united(workspace: Workspace) -> None:
    client = workspace.admin
    groups = [await group(client, f"Nhóm {number}") for number in range(3)]
    tags = [(await client.post(f"{API}/tags", json={"name": f"Nhãn {number}"})).json()["name"] for number in range(2)]
    master = await add(client, email="a@example.com", address="1 Lê Lợi", website="https://a.example.com",
                       groups=["Nhóm 0", "Nhóm 1"], tags=tags[:1])  # fmt: skip
    source = await add(client, email="b@example.com", address="2 Lê Lợi", website="https://b.example.com",
                       groups=["Nhóm 1", "Nhóm 2"], tags=tags)  # fmt: skip
    await client.post(f"{CUSTOMERS}/{source['id']}/emails", json={"value": "c@example.com"})
    await client.post(f"{CUSTOMERS}/{source['id']}/emails", json={"value": "a@example.com"})
    await merge(client, master, source)
    now = await get(client, master["id"])
    assert (now["phone"], now["email"]) == (master["phone"], "a@example.com")
    assert [one["name"] for one in now["groups"]] == ["Nhóm 0", "Nhóm 1", "Nhóm 2"]
    assert [one["name"] for one in now["tags"]] == tags
    assert set(await points(client, master, "phones")) == {master["phone"], source["phone"]}
    assert set(await points(client, master, "emails")) >= {"a@example.com", "b@example.com", "c@example.com"}
    assert set(await points(client, master, "addresses")) == {"1 Lê Lợi", "2 Lê Lợi"}
    assert set(await points(client, master, "links")) == {"https://a.example.com", "https://b.example.com"}
    assert (await client.get(f"{API}/groups/{groups[1]}")).json()["size"] == 1


@pytest.mark.feature("B037")
async def test_related_records_come_along(workspace: Workspace) -> None:
    client = workspace.admin
    master, source, third = await add(client), await add(client), await add(client)
    await edit(client, third, referrer=source["code"])
    contact = await client.post(f"{CUSTOMERS}/{source['id']}/contacts",
                                json={"name": "Chị Ba", "phones": [{"value": a_phone()}]})  # fmt: skip
    assert contact.status_code == 201, contact.text
    contract = await client.post(f"{API}/contracts", json={"customer_id": source["id"], "number": "HĐ-1", "value": 5})
    assert contract.status_code == 201, contract.text
    merged = await merge(client, master, source)
    assert merged["moved"] == {"contacts": 1, "contracts": 1, "points": 1, "referred": 1}
    assert (await client.get(f"{API}/contracts/{contract.json()['id']}")).json()["customer_id"] == master["id"]
    assert (await get(client, third["id"]))["referrer"] == master["id"]
    contacts = (await client.get(f"{CUSTOMERS}/{master['id']}/contacts")).json()["items"]
    assert "Chị Ba" in [one["name"] for one in contacts]
    back = await undo(client, merged["id"])
    assert back["left"] == []
    assert (await client.get(f"{API}/contracts/{contract.json()['id']}")).json()["customer_id"] == source["id"]
    assert (await get(client, third["id"]))["referrer"] == source["id"]
    events = (await client.get(f"{CUSTOMERS}/{third['id']}/events")).json()["items"]
    assert [one["changes"]["referrer"] for one in events[:2]] == [
        [master["id"], source["id"]],
        [source["id"], master["id"]],
    ]
    contacts = (await client.get(f"{CUSTOMERS}/{source['id']}/contacts")).json()["items"]
    assert "Chị Ba" in [one["name"] for one in contacts]
    assert len((await client.get(f"{CUSTOMERS}/{master['id']}/contacts")).json()["items"]) == 1


@pytest.mark.feature("E026")
async def test_the_preview_shows_what_the_merge_does(workspace: Workspace) -> None:
    client = workspace.admin
    master = await add(client, name="Một", email="mot@example.com")
    second = await add(client, name="Hai", company_name="Hoa Sen", groups=[])
    third = await add(client, name="Ba", company_name="Hoa Mai", tax_code="0101248141")
    choose = {"name": {"customer_id": third["id"]}, "position": {"value": "Kế toán"}}
    before = [await get(client, one["id"]) for one in (master, second, third)]
    seen = await ask(client, "merge/preview", master, second, third, choose=choose)
    assert seen.status_code == 200, seen.text
    plan = seen.json()
    assert plan["title"] == "Confirm merge khách hàng"
    assert [await get(client, one["id"]) for one in (master, second, third)] == before
    assert {one["field"]: (one["after"], one["origin"]) for one in plan["fields"]} == {
        "name": ("Ba", "chosen"),
        "company_name": ("Hoa Sen", "source"),
        "tax_code": ("0101248141", "source"),
        "position": ("Kế toán", "chosen"),
    }
    swapped = await ask(client, "merge/preview", second, master)
    assert swapped.json()["master"]["id"] == second["id"]
    merged = await merge(client, master, second, third, choose=choose, versions=plan["versions"])
    now = await get(client, master["id"])
    for one in plan["fields"]:
        assert now[one["field"]] == one["after"]
        assert merged["fields"][one["field"]] == [one["before"], one["after"]]
    assert merged["moved"] == {one["what"]: one["count"] for one in plan["moves"]}


@pytest.mark.feature("E021")
async def test_only_customers_of_one_kind_are_merged(workspace: Workspace) -> None:
    person, company = await add(workspace.admin), await add(workspace.admin, kind="company")
    reply = await ask(workspace.admin, "merge", person, company)
    assert (reply.status_code, reply.json()["code"]) == (409, "merge_other_kind")
    itself = await ask(workspace.admin, "merge", person, person)
    assert (itself.status_code, itself.json()["errors"][0]["code"]) == (422, "merge_with_itself")


@pytest.mark.feature("B037")
async def test_an_old_id_leads_to_the_master_through_all_merges(workspace: Workspace) -> None:
    client = workspace.admin
    first, second, third = [await add(client) for _ in range(3)]
    await merge(client, second, first)
    last = await merge(client, third, second)
    reply = await client.get(f"{CUSTOMERS}/{first['id']}")
    assert reply.status_code == 308
    assert reply.headers["location"] == f"{CUSTOMERS}/{third['id']}"
    assert reply.headers["cache-control"] == "no-store"
    assert (reply.json()["code"], reply.json()["merged_into"]) == ("merged", third["id"])
    followed = await client.get(f"{CUSTOMERS}/{first['id']}", follow_redirects=True)
    assert followed.json()["id"] == third["id"]
    changed = await client.patch(f"{CUSTOMERS}/{first['id']}", json={"note": "x"}, headers={"If-Match": '"2"'})
    assert changed.status_code == 404
    sale = await workspace.person("sale")
    assert (await sale.client.get(f"{CUSTOMERS}/{first['id']}")).status_code == 404
    await undo(client, last["id"])
    assert (await client.get(f"{CUSTOMERS}/{first['id']}")).headers["location"] == f"{CUSTOMERS}/{second['id']}"


@pytest.mark.feature("B038")
@pytest.mark.parametrize("sources", ["delete", "archive", "keep"])
async def test_what_becomes_of_the_source(workspace: Workspace, sources: str) -> None:
    client = workspace.admin
    master, source = await add(client, phone=a_phone()), await add(client, email="b@example.com", position="Kế toán")
    before = await get(client, source["id"])
    merged = await merge(client, master, source, sources=sources)
    assert (await get(client, master["id"]))["position"] == "Kế toán"
    status = {"delete": 308, "archive": 308, "keep": 200}[sources]
    assert (await client.get(f"{CUSTOMERS}/{source['id']}")).status_code == status
    listed = [one["id"] for one in (await client.get(CUSTOMERS)).json()["items"]]
    assert (source["id"] in listed) == (sources == "keep")
    phones = await points(client, master, "phones")
    assert (source["phone"] in phones) == (sources != "keep")
    assert (await undo(client, merged["id"]))["left"] == []
    assert plain(await get(client, source["id"])) == plain(before)
    assert plain(await get(client, master["id"])) == plain(master)


@pytest.mark.promise(11)
async def test_a_merge_needs_the_versions_that_were_looked_at(workspace: Workspace) -> None:
    client = workspace.admin
    master, source = await add(client), await add(client)
    ids = {"master_id": master["id"], "source_ids": [source["id"]]}
    some = await client.post(f"{CUSTOMERS}/merge", json={**ids, "versions": {master["id"]: 1}})
    assert some.status_code == 428
    await edit(client, source, note="mới hơn")
    stale = await client.post(f"{CUSTOMERS}/merge", json={**ids, "versions": {master["id"]: 1, source["id"]: 1}})
    assert (stale.status_code, stale.json()["versions"]) == (412, {source["id"]: 2})
    both = await asyncio.gather(ask(client, "merge", master, source), ask(client, "merge", source, master))
    assert sorted(reply.status_code for reply in both)[0] == 201
    assert sorted(reply.status_code for reply in both)[1] in (404, 412)


@pytest.mark.promise(6)
async def test_who_may_merge_whom(workspace: Workspace, new_workspace: Any) -> None:
    sale = await workspace.person("sale")
    own = [await add(sale.client) for _ in range(2)]
    assert (await ask(sale.client, "merge", *own)).status_code == 403
    merger = await workspace.person("sale", permissions=["customers.view", "customers.create", "customers.merge"])
    mine, others = await add(merger.client), own[0]
    body = {"master_id": mine["id"], "source_ids": [others["id"]], "versions": {mine["id"]: 1, others["id"]: 1}}
    assert (await merger.client.post(f"{CUSTOMERS}/merge", json=body)).status_code == 404
    made = await merge(workspace.admin, own[0], own[1])
    assert (await merger.client.get(f"{API}/merges/{made['id']}")).status_code == 404
    assert (await merger.client.post(f"{API}/merges/{made['id']}/undo")).status_code == 404
    assert (await merger.client.get(f"{API}/merges")).json()["items"] == []
    foreign = await new_workspace()
    assert (await foreign.admin.get(f"{API}/merges/{made['id']}")).status_code == 404
    await foreign.aclose()


async def test_choices_are_checked(workspace: Workspace) -> None:
    client = workspace.admin
    master, source, stranger = [await add(client) for _ in range(3)]
    for choose, code in (
        ({"email": {"value": "không phải"}}, "email_invalid"),
        ({"name": {"value": ""}}, "required"),
        ({"no_such": {"value": 1}}, "field_unknown"),
        ({"groups": {"value": ["a"]}}, "field_unknown"),
        ({"name": {"customer_id": stranger["id"]}}, "merge_stranger"),
    ):
        reply = await ask(client, "merge", master, source, choose=choose)
        assert (reply.status_code, reply.json()["errors"][0]["code"]) == (422, code), reply.text
    taken = await ask(client, "merge", master, source, choose={"phone": {"value": stranger["phone"]}})
    assert (taken.status_code, taken.json()["code"]) == (409, "phone_taken")
    assert (await get(client, source["id"]))["version"] == 1


@pytest.mark.feature("B037")
async def test_the_master_may_take_the_sources_phone(workspace: Workspace) -> None:
    client = workspace.admin
    master, source = await add(client), await add(client)
    merged = await merge(client, master, source, choose={"phone": {"customer_id": source["id"]}})
    assert (await get(client, master["id"]))["phone"] == source["phone"]
    assert set(await points(client, master, "phones")) == {master["phone"], source["phone"]}
    found = (await client.get(CUSTOMERS, params={"q": source["phone"]})).json()["items"]
    assert [one["id"] for one in found] == [master["id"]]
    assert (await undo(client, merged["id"]))["left"] == []
    assert (await get(client, master["id"]))["phone"] == master["phone"]
    assert (await get(client, source["id"]))["phone"] == source["phone"]


@pytest.mark.feature("B037")
async def test_edits_since_the_merge_stay(workspace: Workspace) -> None:
    client = workspace.admin
    master = await add(client, name="Một")
    source = await add(client, name="Hai", company_name="Hoa Sen", position="Kế toán", email="hai@example.com")
    merged = await merge(client, master, source)
    await edit(client, master, company_name="Hoa Mai", address="1 Lê Lợi")
    left = (await undo(client, merged["id"]))["left"]
    assert [(one["field"], one["code"], one["now"]) for one in left] == [("company_name", "edited", "Hoa Mai")]
    now = await get(client, master["id"])
    assert (now["company_name"], now["address"]) == ("Hoa Mai", "1 Lê Lợi")
    assert (now["position"], now["email"]) == (None, None)
    assert plain(await get(client, source["id"])) == plain(source)
    again = await client.post(f"{API}/merges/{merged['id']}/undo")
    assert (again.status_code, again.json()["code"]) == (409, "merge_undone")
    assert (await client.get(f"{API}/merges/{merged['id']}")).json()["state"] == "undone"


@pytest.mark.feature("B037")
async def test_a_phone_that_was_taken_meanwhile_is_told_and_not_taken_away(workspace: Workspace) -> None:
    client = workspace.admin
    source = await add(client)
    merged = await merge(client, await add(client), source)
    phones = (await client.get(f"{CUSTOMERS}/{merged['master_id']}/phones")).json()["items"]
    point = next(one for one in phones if one["value"] == source["phone"])
    await client.delete(f"{CUSTOMERS}/{merged['master_id']}/phones/{point['id']}")
    newcomer = await add(client, phone=source["phone"])
    left = (await undo(client, merged["id"]))["left"]
    assert [(one["field"], one["code"], one["before"], one["taken_by"]) for one in left] == [
        ("phone", "taken", source["phone"], newcomer["id"])
    ]
    assert (await get(client, source["id"]))["phone"] is None
    assert (await client.get(f"{API}/merges/{merged['id']}")).json()["left"] == left


async def test_a_merge_whose_master_was_merged_on_waits_for_that_one(workspace: Workspace) -> None:
    client = workspace.admin
    first, second, third = [await add(client) for _ in range(3)]
    earlier = await merge(client, second, first)
    later = await merge(client, third, second)
    refused = await client.post(f"{API}/merges/{earlier['id']}/undo")
    assert (refused.status_code, refused.json()["customer_id"]) == (409, second["id"])
    await undo(client, later["id"])
    await undo(client, earlier["id"])
    for one in (first, second, third):
        assert plain(await get(client, one["id"])) == plain(one)


async def test_values_of_unique_attributes_have_one_holder_all_the_time(workspace: Workspace) -> None:
    client = workspace.admin
    made = await client.post(f"{API}/attributes", json={"name": "Số thẻ", "type": "text", "unique": True})
    key = made.json()["key"]
    master = await add(client)
    source = await add(client, attributes={key: "T1"})
    merged = await merge(client, master, source)
    assert (await get(client, master["id"]))["attributes"] == {key: "T1"}
    taken = await client.post(CUSTOMERS, json={"name": "X", "phone": a_phone(), "attributes": {key: "T1"}})
    assert taken.status_code == 409
    await edit(client, master, attributes={key: "T2"})
    other = await add(client, attributes={key: "T1"})
    left = (await undo(client, merged["id"]))["left"]
    assert {(one["customer_id"], one["code"]) for one in left} == {(master["id"], "edited"), (source["id"], "taken")}
    assert (await get(client, source["id"]))["attributes"] == {}
    assert (await get(client, other["id"]))["attributes"] == {key: "T1"}


@pytest.mark.promise(30)
async def test_both_histories_tell_of_it(workspace: Workspace) -> None:
    client = workspace.admin
    master, source = await add(client), await add(client, company_name="Hoa Sen")
    merged = await merge(client, master, source)
    events = (await client.get(f"{CUSTOMERS}/{master['id']}/events")).json()["items"]
    told = next(one for one in events if one["kind"] == "customer.merged")
    assert told["changes"] == {"company_name": [None, "Hoa Sen"]}
    assert told["data"]["merge_id"] == merged["id"]
    assert [one["code"] for one in told["data"]["sources"]] == [source["code"]]
    # The source's history is the master's, as long as it lives on there.
    assert [one["kind"] for one in events] == [
        "customer.merged_away", "customer.merged", "customer.created", "customer.created"
    ]  # fmt: skip
    await undo(client, merged["id"])
    events = (await client.get(f"{CUSTOMERS}/{source['id']}/events")).json()["items"]
    assert [one["kind"] for one in events] == ["customer.restored", "customer.merged_away", "customer.created"]


async def test_duplicate_keys_follow_a_merge(workspace: Workspace) -> None:
    client = workspace.admin
    await set_keys(workspace, {"fields": ["tax_code"]})
    master, source = await add(client), await add(client, tax_code="0101248141")
    merged = await merge(client, master, source)
    reply = await client.post(CUSTOMERS, json={"name": "X", "phone": a_phone(), "tax_code": "0101248141"})
    assert (reply.status_code, reply.json()["existing_id"]) == (409, master["id"])
    await undo(client, merged["id"])
    reply = await client.post(CUSTOMERS, json={"name": "X", "phone": a_phone(), "tax_code": "0101248141"})
    assert reply.json()["existing_id"] == source["id"]
