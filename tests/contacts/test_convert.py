"""Conversion: kinds change with their history, and a lead that is known already is attached."""

from typing import Any

import pytest

from tests.contacts.test_contacts import company, contact, contacts, events, values
from tests.customers.test_customers import PATH, add
from tests.factories.people import Workspace


async def convert(workspace: Workspace, customer: dict[str, Any], **body: Any) -> dict[str, Any]:
    """What came of a conversion."""
    reply = await workspace.admin.post(f"{PATH}/{customer['id']}/convert", json=body)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


@pytest.mark.feature("E001", "E002")
async def test_a_lead_becomes_a_person_or_a_company_with_its_history(workspace: Workspace) -> None:
    lead = await add(workspace.admin, kind="lead", company_name="Công ty Hoa Sen", position="Giám đốc")
    done = await convert(workspace, lead, kind="individual")
    assert done == {"id": lead["id"], "kind": "individual", "attached": False, "contact_id": None, "version": 2}
    again = await workspace.admin.post(f"{PATH}/{lead['id']}/convert", json={"kind": "individual"})
    assert (again.status_code, again.json()["code"]) == (409, "same_kind")
    made = await convert(workspace, lead, kind="company")
    whole = (await workspace.admin.get(f"{PATH}/{lead['id']}")).json()
    assert (whole["kind"], whole["name"], whole["version"]) == ("company", "Công ty Hoa Sen", 3)
    # Who stood for the company is now a person of it.
    [person] = await contacts(workspace.admin, lead)
    assert (person["id"], person["name"], person["position"]) == (made["contact_id"], lead["name"], "Giám đốc")
    assert (person["is_primary"], values(person["phones"])) == (True, ["+84912345678"])
    assert [(one["kind"], one["changes"].get("kind")) for one in await events(workspace.admin, lead["id"])] == [
        ("customer.converted", ["individual", "company"]), ("customer.converted", ["lead", "individual"]),
        ("customer.created", [None, "lead"]),
    ]  # fmt: skip
    found = await workspace.admin.get(PATH, params={"q": "hoa sen"})
    assert [one["id"] for one in found.json()["items"]] == [lead["id"]]


@pytest.mark.feature("E002")
async def test_a_lead_with_a_contacts_phone_becomes_that_contact(workspace: Workspace) -> None:
    account = await company(workspace)
    known = await contact(workspace.admin, account, name="Mai", phones=[{"value": "0912345678"}])
    lead = await add(workspace.admin, kind="lead", name="Chị Mai", email="mai@example.com", position="Kế toán")
    await workspace.admin.post(f"{PATH}/{lead['id']}/phones", json={"value": "0977000111"})
    done = await convert(workspace, lead, kind="individual")
    assert (done["id"], done["attached"], done["contact_id"]) == (account["id"], True, known["id"])
    found = {one["id"]: one for one in await contacts(workspace.admin, account)}
    mai = found[known["id"]]
    assert (mai["name"], mai["position"], values(mai["emails"])) == ("Mai", "Kế toán", ["mai@example.com"])
    assert sorted(number for one in found.values() for number in values(one["phones"])) == [
        "+84912345678", "+84977000111",
    ]  # fmt: skip
    former = await workspace.admin.get(f"{PATH}/{lead['id']}")
    assert (former.status_code, former.headers["location"]) == (308, f"{PATH}/{account['id']}")
    told = (await events(workspace.admin, account["id"]))[0]
    assert (told["kind"], told["data"]["lead_id"]) == ("customer.contact_added", lead["id"])
    page = (await workspace.admin.get(PATH, params={"q": "0977000111"})).json()["items"]
    assert [one["id"] for one in page] == [account["id"]]


async def test_a_lead_is_attached_where_it_is_said(workspace: Workspace) -> None:
    account = await company(workspace)
    lead = await add(workspace.admin, kind="lead", name="Chị Mai")
    done = await convert(workspace, lead, kind="individual", attach_to=account["id"])
    assert (done["id"], done["attached"]) == (account["id"], True)
    [mai] = await contacts(workspace.admin, account)
    assert (mai["id"], mai["name"], values(mai["phones"])) == (done["contact_id"], "Chị Mai", ["+84912345678"])
    unknown = await add(workspace.admin, kind="lead", phone="0987654321")
    for wrong in (lead["id"], unknown["id"], "01a00000-0000-7000-8000-000000000000"):
        reply = await workspace.admin.post(
            f"{PATH}/{unknown['id']}/convert", json={"kind": "individual", "attach_to": wrong}
        )
        assert (reply.status_code, reply.json()["errors"][0]["code"]) == (422, "customer_unknown"), wrong
    person = await add(workspace.admin, phone="0977000111")
    reply = await workspace.admin.post(
        f"{PATH}/{person['id']}/convert", json={"kind": "company", "attach_to": account["id"]}
    )
    assert (reply.status_code, reply.json()["code"]) == (409, "not_a_lead")


async def test_a_lead_of_somebody_elses_customer_is_not_doubled(workspace: Workspace) -> None:
    account = await company(workspace)
    await contact(workspace.admin, account, name="Mai", phones=[{"value": "0912345678"}])
    sale = await workspace.person("sale")
    lead = await add(sale.client, kind="lead")
    reply = await sale.client.post(f"{PATH}/{lead['id']}/convert", json={"kind": "individual"})
    assert (reply.status_code, reply.json()["code"]) == (409, "phone_in_contact")
    assert "existing_id" not in reply.json()
    assert (await sale.client.get(f"{PATH}/{lead['id']}")).json()["kind"] == "lead"
