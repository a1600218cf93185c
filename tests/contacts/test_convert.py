"""Conversion: kinds change with their history, and a lead that is known already is attached."""

from typing import Any

import pytest

from tests.contacts.test_contacts import company, contact, contacts, events, values
from tests.customers.test_customers import PATH, add
from tests.duplicates.conftest import set_keys
from tests.factories.people import Workspace
from workers.main import WorkerProcess


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
    none = {"attached": False, "contact_id": None, "merge_id": None}
    assert done == {"id": lead["id"], "kind": "individual", "version": 2, **none}
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


async def test_the_new_name_is_a_duplicate_key_as_any_other(workspace: Workspace, worker: WorkerProcess) -> None:
    assert worker
    await set_keys(workspace, {"fields": ["name"]})
    await company(workspace, name="Công ty A")
    person = await add(workspace.admin, name="Mai")
    url = f"{PATH}/{person['id']}"
    refused = await workspace.admin.post(f"{url}/convert", json={"kind": "company", "name": "CÔNG TY A"})
    assert (refused.status_code, refused.json()["code"]) == (409, "duplicate")
    assert [one["name"] for one in await contacts(workspace.admin, person)] == ["Mai"]
    made = await convert(workspace, person, kind="company", name="Công ty B")
    assert made["version"] == (await workspace.admin.get(url)).json()["version"] == 2
    body = {"name": "cong ty b", "phone": "0977000111"}
    later = await workspace.admin.post(PATH, json=body)
    assert (later.status_code, later.json()["existing_id"]) == (409, person["id"])


@pytest.mark.parametrize("attach", [True, False])
async def test_a_lead_whose_phones_are_of_two_customers_is_not_attached_to_one(
    workspace: Workspace, attach: bool
) -> None:
    first, second = await company(workspace), await company(workspace, name="Công ty Khác", phone="02873009999")
    await contact(workspace.admin, first, name="Mai", phones=[{"value": "0912345678"}])
    await contact(workspace.admin, second, name="Lan", phones=[{"value": "0977000111"}])
    lead = await add(workspace.admin, kind="lead")
    await workspace.admin.post(f"{PATH}/{lead['id']}/phones", json={"value": "0977000111"})
    body = {"kind": "individual"} | ({"attach_to": first["id"]} if attach else {})
    refused = await workspace.admin.post(f"{PATH}/{lead['id']}/convert", json=body)
    assert (refused.status_code, refused.json()["code"]) == (409, "phone_in_contact")
    assert refused.json()["existing_id"] == second["id"]
    assert (await workspace.admin.get(f"{PATH}/{lead['id']}")).json()["kind"] == "lead"


async def test_the_contacts_of_a_lead_change_with_it(workspace: Workspace) -> None:
    account = await company(workspace)
    lead = await add(workspace.admin, kind="lead", name="Chị Mai")
    made = await contact(workspace.admin, lead, name="Lan")
    await convert(workspace, lead, kind="individual", attach_to=account["id"])
    url = f"{PATH}/{account['id']}/contacts/{made['id']}"
    assert (await workspace.admin.patch(url, json={"note": "A"}, headers={"If-Match": '"1"'})).status_code == 412
    restored = await workspace.admin.post(f"{PATH}/{lead['id']}/restore")
    assert (restored.status_code, restored.json()["code"]) == (409, "customer_merged")
    assert "gắn vào" in restored.json()["detail"]


@pytest.mark.parametrize("holder", ["customer", "contact"])
@pytest.mark.parametrize("further", [True, False])
async def test_an_edit_of_the_kind_looks_at_every_phone_of_the_lead(
    workspace: Workspace, holder: str, further: bool
) -> None:
    lead = await add(workspace.admin, kind="lead", name="Chị Mai")
    if further:
        await workspace.admin.post(f"{PATH}/{lead['id']}/phones", json={"value": "0977000111"})
    else:
        await contact(workspace.admin, lead, name="Lan", phones=[{"value": "0977000111"}])
    other = await company(workspace, **({"phone": "0977000111"} if holder == "customer" else {}))
    if holder == "contact":
        await contact(workspace.admin, other, name="Lan", phones=[{"value": "0977000111"}])
    url, version = f"{PATH}/{lead['id']}", {"If-Match": '"1"'}
    for body in ({"kind": "company"}, {"kind": "individual", "phone": "0977000222"}):
        refused = await workspace.admin.patch(url, json=body, headers=version)
        code = "phone_taken" if holder == "customer" else "phone_in_contact"
        assert (refused.status_code, refused.json()["code"]) == (409, code), refused.text
        assert refused.json()["existing_id"] == other["id"]
    # A lead may have them; and who is rid of them may become a customer.
    assert (await workspace.admin.patch(url, json={"name": "Mai"}, headers=version)).status_code == 200
    for one in (await workspace.admin.get(f"{url}/phones")).json()["items"]:
        if one["value"] == "+84977000111":
            await workspace.admin.delete(f"{url}/phones/{one['id']}")
    changed = await workspace.admin.patch(url, json={"kind": "company"}, headers={"If-Match": '"2"'})
    assert (changed.status_code, changed.json()["kind"]) == (200, "company"), changed.text
