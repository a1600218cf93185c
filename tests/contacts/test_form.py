"""The form that adds a customer: its three columns in one call, the short form, and one after another."""

import asyncio
from typing import Any

import pytest

from tests.contacts.test_contacts import contacts, events, values
from tests.customers.test_customers import PATH, add
from tests.factories.people import Workspace

PEOPLE: list[dict[str, Any]] = [
    {"name": "Trần Thị Mai", "position": "Kế toán", "phones": [{"value": "0912.345.678", "label": "Di động"}]},
    {"name": "Lê Văn Nam", "phones": [{"value": "0987654321"}], "emails": [{"value": "Nam@Example.com"}]},
]
COMPANY: dict[str, Any] = {
    "name": "Công ty Hoa Sen", "phone": "02873001234", "kind": "company", "relationship": "Tiềm năng",
    "source": "Facebook", "customer_type": "Doanh nghiệp", "tags": ["Hội thảo"],
}  # fmt: skip


async def names(workspace: Workspace) -> list[str]:
    """The names of all customers, newest first."""
    return [one["name"] for one in (await workspace.admin.get(PATH)).json()["items"]]


@pytest.mark.feature("B002", "B004")
async def test_a_company_is_added_with_its_people_and_its_classification(workspace: Workspace) -> None:
    made = await add(workspace.admin, **COMPANY, contacts=PEOPLE)
    classified = {key: made[key] for key in ("relationship", "source", "customer_type")}
    assert classified == {"relationship": "Tiềm năng", "source": "Facebook", "customer_type": "Doanh nghiệp"}
    assert [tag["name"] for tag in made["tags"]] == ["Hội thảo"]
    first, second = await contacts(workspace.admin, made)
    assert (first["name"], first["position"], values(first["phones"])) == ("Trần Thị Mai", "Kế toán", ["+84912345678"])
    assert (second["name"], values(second["emails"])) == ("Lê Văn Nam", ["nam@example.com"])
    assert (first["is_primary"], second["is_primary"]) == (True, False)
    kinds = [event["kind"] for event in await events(workspace.admin, made["id"])]
    assert kinds == ["customer.contact_added", "customer.contact_added", "customer.created"]
    taken = await workspace.admin.post(PATH, json={"name": "Người khác", "phone": "0987 654 321"})
    assert (taken.status_code, taken.json()["code"]) == (409, "phone_in_contact")


async def test_one_of_the_people_is_whom_to_ask_for(workspace: Workspace) -> None:
    chosen = [PEOPLE[0], {**PEOPLE[1], "is_primary": True}]
    made = await add(workspace.admin, **COMPANY, contacts=chosen)
    found = [(one["name"], one["is_primary"], one["version"]) for one in await contacts(workspace.admin, made)]
    assert found == [("Trần Thị Mai", False, 1), ("Lê Văn Nam", True, 1)]


async def test_a_person_has_further_contacts_behind_itself(workspace: Workspace) -> None:
    made = await add(workspace.admin, contacts=[{"phones": [{"value": "0987654321"}]}])
    itself, other = await contacts(workspace.admin, made)
    assert (itself["mirror"], itself["is_primary"]) == (True, True)
    assert (other["name"], other["is_primary"], values(other["phones"])) == ("Trần Văn Thử", False, ["+84987654321"])


async def test_all_that_is_wrong_is_named_and_nothing_is_kept(workspace: Workspace) -> None:
    wrong = [
        {"name": "Một", "birthday": "31/02/1990", "is_primary": True},
        {"name": "Hai", "phones": [{"value": "0912345678"}, {"value": "12"}], "is_primary": True},
    ]
    reply = await workspace.admin.post(PATH, json={"phone": "không", "contacts": wrong})
    assert reply.status_code == 422
    assert {error["field"]: error["code"] for error in reply.json()["errors"]} == {
        "name": "required", "phone": "phone_invalid", "contacts": "too_many",
        "contacts.0.birthday": "date_invalid", "contacts.1.phones.1.value": "phone_invalid",
    }  # fmt: skip
    only = await workspace.admin.post(PATH, json={"name": "Đúng", "phone": "0909090909", "contacts": wrong[1:]})
    assert [error["field"] for error in only.json()["errors"]] == ["contacts.0.phones.1.value"]
    crowd = await workspace.admin.post(PATH, json={"name": "Đông", "contacts": [{"name": "Ai"}] * 51})
    assert (crowd.status_code, crowd.json()["errors"][0]["field"]) == (422, "contacts")
    assert await names(workspace) == []


async def test_a_phone_that_another_has_is_told_with_its_place(workspace: Workspace) -> None:
    first = await add(workspace.admin, phone="0987654321")
    reply = await workspace.admin.post(PATH, json={**COMPANY, "contacts": PEOPLE})
    assert reply.status_code == 409
    problem = reply.json()
    assert (problem["code"], problem["detail"]) == ("phone_taken", "Số điện thoại đã tồn tại")
    assert (problem["field"], problem["existing_id"]) == ("contacts.1.phone", first["id"])
    assert [error["field"] for error in problem["errors"]] == ["contacts.1.phone"]
    assert await names(workspace) == [first["name"]]


async def test_ten_at_once_add_each_phone_once(workspace: Workspace) -> None:
    """Each form's own phone is a contact's in the next one."""
    numbers = [f"091234560{n}" for n in range(10)]
    forms = [
        {"name": "Cùng lúc", "phone": own, "contacts": [{"phones": [{"value": other}]}]}
        for own, other in zip(numbers, numbers[1:] + numbers[:1], strict=True)
    ]
    replies = await asyncio.gather(*(workspace.admin.post(PATH, json=form) for form in forms))
    added = [reply.json() for reply in replies if reply.status_code == 201]
    assert all(reply.status_code in (201, 409) for reply in replies), [reply.text for reply in replies]
    assert added
    kept = [phone for one in added for each in await contacts(workspace.admin, one) for phone in values(each["phones"])]
    assert len(kept) == len(set(kept)) == 2 * len(added)


async def test_who_adds_for_a_colleague_adds_the_people_too(workspace: Workspace) -> None:
    sale, colleague = await workspace.person("sale"), await workspace.person("sale")
    made = await add(sale.client, **COMPANY, owner=colleague.username, contacts=PEOPLE)
    assert (await sale.client.get(f"{PATH}/{made['id']}")).status_code == 404
    assert [one["name"] for one in await contacts(colleague.client, made)] == ["Trần Thị Mai", "Lê Văn Nam"]


async def test_the_form_needs_no_other_permission(workspace: Workspace) -> None:
    key = await workspace.key("customers.create")
    reply = await key.post(PATH, json={**COMPANY, "tags": [], "contacts": PEOPLE})
    assert reply.status_code == 201, reply.text
    assert len(await contacts(workspace.admin, reply.json())) == 2
    await key.aclose()


@pytest.mark.feature("B003")
async def test_save_and_add_new(workspace: Workspace) -> None:
    """What is saved answers whole, for the list to show it; the next form begins empty and takes nothing over."""
    first = await workspace.admin.post(PATH, json={**COMPANY, "contacts": PEOPLE})
    assert first.status_code == 201
    listed = (await workspace.admin.get(PATH)).json()["items"]
    assert listed == [first.json()]
    assert (await workspace.admin.get(first.headers["location"])).json() == first.json()
    second = await add(workspace.admin, name="Người sau", phone="0909090909")
    assert [second[key] for key in ("source", "customer_type", "tags", "kind")] == [None, None, [], "individual"]
    assert second["relationship"] == "Mới"
    assert await names(workspace) == ["Người sau", "Công ty Hoa Sen"]


@pytest.mark.feature("B007")
async def test_the_short_form_is_filled_up_later(workspace: Workspace) -> None:
    sale = await workspace.person("sale")
    short = await sale.client.post(PATH, json={"name": "Khách gọi đến", "phone": "0909 090 909"})
    assert short.status_code == 201, short.text
    made = short.json()
    assert (made["owner"], made["relationship"], made["kind"]) == (sale.username, "Mới", "individual")
    full = {key: value for key, value in COMPANY.items() if key != "phone"}
    whole = await sale.client.patch(short.headers["location"], json=full, headers={"If-Match": short.headers["etag"]})
    assert whole.status_code == 200, whole.text
    assert [whole.json()[key] for key in ("id", "name", "phone", "kind")] == [
        made["id"], "Công ty Hoa Sen", "+84909090909", "company",
    ]  # fmt: skip
    reply = await sale.client.post(f"{PATH}/{made['id']}/contacts", json=PEOPLE[0])
    assert reply.status_code == 201, reply.text
