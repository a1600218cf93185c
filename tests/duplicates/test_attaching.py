"""A lead that is attached brings along whatever belongs to it, as a merge does, and goes back as one."""

from typing import Any

import pytest

from tests.contacts.test_contacts import company, contact, contacts, events, values
from tests.contacts.test_convert import convert
from tests.customers.test_customers import PATH, add
from tests.customers.test_stages import counted
from tests.duplicates.merges import get, merge, points, undo
from tests.duplicates.test_merge_undo import told
from tests.factories.people import Workspace
from tests.transactions.steps import API, post, type_id

PHONE = "+84912345678"


async def belongings(workspace: Workspace, customer: dict[str, Any]) -> dict[str, list[str]]:
    """The ids of what a customer has in other tables."""
    found = {}
    for path in ("contracts", "transactions"):
        reply = await workspace.admin.get(f"{API}/{path}", params={"customer_id": customer["id"]})
        assert reply.status_code == 200, reply.text
        found[path] = [one["id"] for one in reply.json()["items"]]
    return found


@pytest.mark.feature("E002")
async def test_whatever_belongs_to_a_lead_comes_along_and_goes_back(workspace: Workspace) -> None:
    client = workspace.admin
    account = await company(workspace)
    await post(client, "/groups", name="Hội thảo", points=15)
    lead = await add(client, kind="lead", name="Chị Mai", groups=["Hội thảo"], tags=["gấp"], note="Gọi buổi sáng")
    child = await add(client, name="Được giới thiệu", phone="0987654321", referrer=lead["id"])
    address = {"value": "12 Lê Lợi", "label": "Kho"}
    await client.post(f"{PATH}/{lead['id']}/addresses", json=address)
    other = await contact(client, lead, name="Lan", phones=[{"value": "0977000111"}])
    contract = await post(client, "/contracts", customer_id=lead["id"], number="HD-01", value=5, move_to_signed=True)
    deal = await post(
        client, "/transactions", customer_id=lead["id"], type_id=await type_id(workspace), name="A", state="completed"
    )
    before = {one["id"]: await get(client, one["id"]) for one in (lead, account)}
    assert before[lead["id"]]["relationship"] == "Chốt"
    scored = before[lead["id"]]["score"]
    assert scored > 15
    total, stages = await counted(client)

    done = await convert(workspace, lead, kind="individual", attach_to=account["id"])
    now = await get(client, account["id"])
    assert now["version"] == done["version"] > before[account["id"]]["version"]
    assert [one["name"] for key in ("groups", "tags") for one in now[key]] == ["Hội thảo", "gấp"]
    assert (now["score"], now["relationship"]) == (scored, "Chốt")
    assert await belongings(workspace, account) == {"contracts": [contract["id"]], "transactions": [deal["id"]]}
    assert await belongings(workspace, lead) == {"contracts": [], "transactions": []}
    assert (await get(client, child["id"]))["referrer"] == account["id"]
    people = {one["id"]: one for one in await contacts(client, account)}
    assert set(people) == {done["contact_id"], other["id"]}
    mai = people[done["contact_id"]]
    assert (mai["note"], values(mai["phones"]), values(mai["addresses"])) == ("Gọi buổi sáng", [PHONE], ["12 Lê Lợi"])
    assert mai["addresses"][0]["label"] == "Kho"
    # One customer less, who was signed; the account is signed in its place, and was new.
    assert await counted(client) == (total - 1, stages | {"Mới": stages["Mới"] - 1})
    ledger = (await client.get(f"{PATH}/{account['id']}/score")).json()
    assert sum(one["points"] for one in ledger["entries"]) == scored
    # Its history is read with the account's.
    kinds = [one["kind"] for one in await events(client, account["id"])]
    assert {"customer.contract_signed", "customer.transaction_added", "customer.converted"} <= set(kinds)

    undone = await undo(client, done["merge_id"])
    assert undone["left"] == []
    back = await get(client, lead["id"])
    for key in ("kind", "phone", "groups", "tags", "score", "note", "relationship"):
        assert back[key] == before[lead["id"]][key], key
    assert await belongings(workspace, lead) == {"contracts": [contract["id"]], "transactions": [deal["id"]]}
    assert await points(client, lead, "addresses") == ["12 Lê Lợi"]
    assert [one["id"] for one in await contacts(client, lead) if not one["mirror"]] == [other["id"]]
    assert await contacts(client, account) == []
    account_now = await get(client, account["id"])
    assert (account_now["groups"], account_now["tags"], account_now["score"]) == ([], [], 0)
    assert (await get(client, child["id"]))["referrer"] == lead["id"]


async def test_a_lead_that_is_a_contact_already_adds_to_it(workspace: Workspace) -> None:
    client = workspace.admin
    account = await company(workspace)
    body = {"name": "Mai", "note": "Kế toán", "phones": [{"value": "0912345678"}]}
    known = await contact(client, account, **body)
    lead = await add(client, kind="lead", name="Chị Mai", note="Gọi buổi sáng", email="mai@example.com")
    contract = await post(client, "/contracts", customer_id=lead["id"], number="HD-01", value=5)
    done = await convert(workspace, lead, kind="individual")
    [mai] = await contacts(client, account)
    assert (mai["id"], mai["note"]) == (known["id"], "Kế toán\nGọi buổi sáng")
    assert (values(mai["phones"]), values(mai["emails"])) == ([PHONE], ["mai@example.com"])
    assert (await belongings(workspace, account))["contracts"] == [contract["id"]]
    assert (await get(client, account["id"]))["relationship"] == "Tiếp cận"
    merge = (await client.get(f"{API}/merges/{done['merge_id']}")).json()
    assert (merge["sources"], merge["moved"]) == ("delete", {"contracts": 1, "points": 1})
    await undo(client, done["merge_id"])
    [mai] = await contacts(client, account)
    assert (mai["id"], values(mai["phones"]), values(mai["emails"])) == (known["id"], [PHONE], [])
    assert mai["note"] == "Kế toán"
    assert (await get(client, account["id"]))["relationship"] == "Mới"
    assert (await get(client, lead["id"]))["email"] == "mai@example.com"


async def test_a_customer_whom_the_lead_had_referred_has_no_referrer_then(workspace: Workspace) -> None:
    client = workspace.admin
    lead = await add(client, kind="lead", name="Chị Mai")
    account = await company(workspace, referrer=lead["id"])
    done = await convert(workspace, lead, kind="individual", attach_to=account["id"])
    assert (await get(client, account["id"]))["referrer"] is None
    assert (await events(client, account["id"]))[0]["changes"]["referrer"] == [lead["id"], None]
    assert (await undo(client, done["merge_id"]))["left"] == []
    assert (await get(client, account["id"]))["referrer"] == lead["id"]


FILLED = {"position": "Giám đốc", "birthday": "1990-03-05", "gender": "female", "note": "Gọi buổi sáng"}


@pytest.mark.feature("E002", "B037")
async def test_a_contact_is_what_it_was_before_a_lead_filled_it(workspace: Workspace) -> None:
    client = workspace.admin
    account = await company(workspace)
    known = await contact(client, account, name="Mai", phones=[{"value": PHONE}])
    lead = await add(client, kind="lead", name="Chị Mai", **FILLED)
    done = await convert(workspace, lead, kind="individual")
    [mai] = await contacts(client, account)
    assert {key: mai[key] for key in FILLED} == FILLED
    assert (await undo(client, done["merge_id"]))["left"] == []
    [mai] = await contacts(client, account)
    assert mai == known | {"version": mai["version"], "updated_at": mai["updated_at"]}
    assert mai["version"] == known["version"] + 2
    back = await get(client, lead["id"])
    assert {key: back[key] for key in FILLED} == FILLED


@pytest.mark.feature("E002", "B037")
async def test_what_was_edited_in_a_filled_contact_stays_and_is_told(workspace: Workspace) -> None:
    client = workspace.admin
    account = await company(workspace)
    known = await contact(client, account, name="Mai", phones=[{"value": PHONE}])
    lead = await add(client, kind="lead", name="Chị Mai", **FILLED)
    done = await convert(workspace, lead, kind="individual")
    [mai] = await contacts(client, account)
    url, etag = f"{PATH}/{account['id']}/contacts/{known['id']}", {"If-Match": f'"{mai["version"]}"'}
    reply = await client.patch(url, json={"position": "Kế toán", "gender": None}, headers=etag)
    assert reply.status_code == 200, reply.text
    [line] = (await undo(client, done["merge_id"]))["left"]
    assert (line["customer_id"], line["field"], line["code"]) == (account["id"], "contacts.position", "edited")
    assert (line["before"], line["now"]) == (None, "Kế toán")
    [mai] = await contacts(client, account)
    assert [mai[key] for key in FILLED] == ["Kế toán", None, None, None]


@pytest.mark.feature("E002", "B037")
@pytest.mark.parametrize("stands", [True, False])
async def test_a_contact_that_a_merge_made_and_a_lead_filled(workspace: Workspace, stands: bool) -> None:
    """Undoing that merge takes the contact with it, unless it holds what a lead knew."""
    client = workspace.admin
    master = await add(client, name="Hoa", phone="0911000111")
    source = await add(client, name="Mai", phone="0911000222")
    merged = await merge(client, master, source)
    lead = await add(client, kind="lead", name="Chị Mai", phone="0911000222", note="Gọi buổi sáng")
    done = await convert(workspace, lead, kind="individual")
    if not stands:
        await undo(client, done["merge_id"])
    await undo(client, merged["id"])
    left = [one["note"] for one in await contacts(client, master) if not one["mirror"]]
    assert left == (["Gọi buổi sáng"] if stands else [])


@pytest.mark.feature("E002", "A069")
async def test_an_undone_merge_keeps_nothing_that_a_lead_had_told(workspace: Workspace) -> None:
    client = workspace.admin
    account = await company(workspace)
    await contact(client, account, name="Mai", phones=[{"value": PHONE}])
    lead = await add(client, kind="lead", name="Chị Mai", note="Bí mật")
    done = await convert(workspace, lead, kind="individual")
    assert "Bí mật" in await told(workspace, [], done["merge_id"])
    await undo(client, done["merge_id"])
    assert "Bí mật" not in await told(workspace, [], done["merge_id"])
