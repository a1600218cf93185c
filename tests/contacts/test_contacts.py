"""Contacts of customers, and their further phones, addresses and links, over HTTP."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.customers.test_customers import PATH, add
from tests.factories.people import Workspace


async def company(workspace: Workspace, **fields: Any) -> dict[str, Any]:
    """A company that has no contacts yet."""
    return await add(workspace.admin, **{"name": "Công ty Hoa Sen", "phone": "02873001234", "kind": "company"} | fields)


async def contact(client: httpx.AsyncClient, customer: dict[str, Any], **body: Any) -> dict[str, Any]:
    """A contact added over HTTP."""
    reply = await client.post(f"{PATH}/{customer['id']}/contacts", json=body)
    assert reply.status_code == 201, reply.text
    made: dict[str, Any] = reply.json()
    return made


async def contacts(client: httpx.AsyncClient, customer: dict[str, Any]) -> list[dict[str, Any]]:
    """All contacts of a customer, by pages of two."""
    found, params = list[dict[str, Any]](), {"limit": 2}
    while True:
        reply = await client.get(f"{PATH}/{customer['id']}/contacts", params=params)
        assert reply.status_code == 200, reply.text
        page = reply.json()
        found += page["items"]
        if page["next_cursor"] is None:
            assert len(found) == page["count"]
            return found
        params["cursor"] = page["next_cursor"]


async def events(client: httpx.AsyncClient, customer_id: str) -> list[dict[str, Any]]:
    """The timeline, newest first."""
    reply = await client.get(f"{PATH}/{customer_id}/events")
    found: list[dict[str, Any]] = reply.json()["items"]
    return found


def values(points: list[dict[str, Any]]) -> list[str]:
    """The values of phones, e-mails, addresses or links."""
    return [one["value"] for one in points]


@pytest.mark.feature("B004", "B017", "E008")
async def test_a_company_has_any_number_of_contacts(workspace: Workspace) -> None:
    customer = await company(workspace)
    made = await contact(
        workspace.admin, customer, name="  Trần   Thị Mai ", position="Kế toán", birthday="05/03/1990", gender="nữ",
        phones=[{"value": "0912.345.678", "label": "Di động"}, {"value": "02838251234"}],
        emails=[{"value": "Mai@Example.com"}, {"value": "ketoan@example.com"}],
        addresses=[{"value": "12 Lê Lợi", "label": "Kho"}],
        links=[{"value": "facebook.com/mai", "label": "Facebook"}, {"value": "https://mai.example.com"}],
    )  # fmt: skip
    assert (made["name"], made["birthday"], made["gender"], made["is_primary"], made["mirror"]) == (
        "Trần Thị Mai", "1990-03-05", "female", True, False,
    )  # fmt: skip
    assert [(one["value"], one["typed"], one["label"]) for one in made["phones"]] == [
        ("+84912345678", "0912.345.678", "Di động"), ("+842838251234", "02838251234", None),
    ]  # fmt: skip
    assert values(made["emails"]) == ["mai@example.com", "ketoan@example.com"]
    assert values(made["links"]) == ["https://facebook.com/mai", "https://mai.example.com"]
    others = [await contact(workspace.admin, customer, name=f"Người {n}") for n in range(4)]
    assert [one["is_primary"] for one in others] == [False] * 4
    assert await contacts(workspace.admin, customer) == [made, *others]
    [last, *_] = await events(workspace.admin, customer["id"])
    assert (last["kind"], last["changes"]) == ("customer.contact_added", {"contacts": [None, "Người 3"]})


async def test_a_contact_changes_under_its_version(workspace: Workspace) -> None:
    customer = await company(workspace)
    made = await contact(workspace.admin, customer, name="Mai", phones=[{"value": "0912345678"}])
    url = f"{PATH}/{customer['id']}/contacts/{made['id']}"
    assert (await workspace.admin.patch(url, json={"name": "Mai Anh"})).status_code == 428
    body = {"name": "Mai Anh", "note": "Gọi sáng", "phones": [{"value": "0987654321", "label": "Mới"}]}
    changed = await workspace.admin.patch(url, json=body, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    assert values(changed.json()["phones"]) == ["+84987654321"]
    assert (await workspace.admin.patch(url, json=body, headers={"If-Match": '"1"'})).status_code == 412
    [last, *_] = await events(workspace.admin, customer["id"])
    assert last["changes"] == {
        "name": ["Mai", "Mai Anh"], "note": [None, "Gọi sáng"], "phones": [["+84912345678"], ["+84987654321"]],
    }  # fmt: skip
    assert (await workspace.admin.get(url)).json() == changed.json()
    assert (await workspace.admin.delete(url, headers={"If-Match": '"1"'})).status_code == 412
    assert (await workspace.admin.delete(url, headers={"If-Match": '"2"'})).status_code == 204
    assert await contacts(workspace.admin, customer) == []
    assert (await events(workspace.admin, customer["id"]))[0]["kind"] == "customer.contact_removed"
    # The phones are free again.
    await add(workspace.admin, phone="0987654321")


async def test_one_contact_at_most_is_primary(workspace: Workspace) -> None:
    customer = await company(workspace)
    made = [await contact(workspace.admin, customer, name=f"Người {n}") for n in range(3)]
    url = f"{PATH}/{customer['id']}/contacts"
    replies = await asyncio.gather(
        *(workspace.admin.patch(f"{url}/{one['id']}", json={"is_primary": True}, headers={"If-Match": '"1"'})
          for one in made[1:])
    )  # fmt: skip
    assert {reply.status_code for reply in replies} == {200} or sorted(r.status_code for r in replies) == [200, 412]
    assert sum(one["is_primary"] for one in await contacts(workspace.admin, customer)) == 1


@pytest.mark.feature("B005")
async def test_a_person_is_their_own_contact_and_stays_in_step(workspace: Workspace) -> None:
    customer = await add(workspace.admin, email="hoa@example.com", position="Giám đốc", address="1 Lê Lợi")
    [mirror] = await contacts(workspace.admin, customer)
    assert (mirror["id"], mirror["mirror"], mirror["is_primary"]) == (customer["id"], True, True)
    assert {key: mirror[key] for key in ("name", "position", "version")} == {
        "name": customer["name"], "position": "Giám đốc", "version": 1,
    }  # fmt: skip
    assert [values(mirror[key]) for key in ("phones", "emails", "addresses", "links")] == [
        ["+84912345678"], ["hoa@example.com"], ["1 Lê Lợi"], [],
    ]  # fmt: skip
    url = f"{PATH}/{customer['id']}"
    await workspace.admin.patch(url, json={"name": "Tên Mới"}, headers={"If-Match": '"1"'})
    assert (await contacts(workspace.admin, customer))[0]["name"] == "Tên Mới"
    body = {"position": "Chủ tịch", "phones": [{"value": "0987654321"}]}
    through = await workspace.admin.patch(f"{url}/contacts/{customer['id']}", json=body, headers={"If-Match": '"2"'})
    assert (through.status_code, through.json()["position"], through.json()["version"]) == (200, "Chủ tịch", 3)
    whole = (await workspace.admin.get(url)).json()
    assert (whole["position"], whole["phone"]) == ("Chủ tịch", "+84987654321")
    gone = await workspace.admin.delete(f"{url}/contacts/{customer['id']}", headers={"If-Match": '"3"'})
    assert (gone.status_code, gone.json()["code"]) == (409, "contact_is_customer")


@pytest.mark.feature("B018")
async def test_each_further_phone_of_a_person_is_a_contact(workspace: Workspace) -> None:
    customer = await add(workspace.admin)
    url = f"{PATH}/{customer['id']}/phones"
    for number in ("0987654321", "0977000111", "0987 654 321", "0912345678"):
        assert (await workspace.admin.post(url, json={"value": number})).status_code == 201
    found = await contacts(workspace.admin, customer)
    assert [(one["name"], values(one["phones"])) for one in found] == [
        (customer["name"], [number]) for number in ("+84912345678", "+84987654321", "+84977000111")
    ]  # fmt: skip
    listed = (await workspace.admin.get(url)).json()["items"]
    assert [(one["value"], one["is_main"]) for one in listed] == [
        ("+84912345678", True), ("+84987654321", False), ("+84977000111", False),
    ]  # fmt: skip
    assert (await workspace.admin.delete(f"{url}/{listed[1]['id']}")).json() == {"changed": 1}
    assert len(await contacts(workspace.admin, customer)) == 2
    kinds = [one["kind"] for one in await events(workspace.admin, customer["id"])]
    assert kinds == ["customer.phone_removed", "customer.phone_added", "customer.phone_added", "customer.created"]


@pytest.mark.feature("E008")
@pytest.mark.parametrize(
    ("path", "value", "kept"),
    [
        ("phones", "028 7300 9999", "+842873009999"),
        ("emails", "Sale@Example.com", "sale@example.com"),
        ("addresses", "  5  Hai Bà Trưng ", "5 Hai Bà Trưng"),
        ("links", "zalo.me/hoasen", "https://zalo.me/hoasen"),
    ],
)
async def test_a_company_has_several_of_each(workspace: Workspace, path: str, value: str, kept: str) -> None:
    customer = await company(workspace)
    url = f"{PATH}/{customer['id']}/{path}"
    made = await workspace.admin.post(url, json={"value": value, "label": "Chính"})
    assert made.status_code == 201, made.text
    assert (made.json()["value"], made.json()["label"], made.json()["contact_id"]) == (kept, "Chính", None)
    assert kept in values((await workspace.admin.get(url)).json()["items"])
    assert await contacts(workspace.admin, customer) == []
    wrong = await workspace.admin.post(url, json={"value": " "})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "value")
    assert wrong.json()["errors"][0]["message"].endswith(" là bắt buộc")
    assert (await workspace.admin.delete(f"{url}/{made.json()['id']}")).json() == {"changed": 1}
    assert (await workspace.admin.delete(f"{url}/{made.json()['id']}")).json() == {"changed": 0}


async def test_every_wrong_value_is_named(workspace: Workspace) -> None:
    customer = await company(workspace)
    body = {
        "name": "A", "birthday": "31/02/1990", "phones": [{"value": "0912345678"}, {"value": "12"}],
        "emails": [{"value": "không"}], "links": [{"value": "http://"}],
    }  # fmt: skip
    reply = await workspace.admin.post(f"{PATH}/{customer['id']}/contacts", json=body)
    assert reply.status_code == 422
    assert {one["field"]: one["code"] for one in reply.json()["errors"]} == {
        "birthday": "date_invalid", "phones.1.value": "phone_invalid", "emails.0.value": "email_invalid",
        "links.0.value": "link_invalid",
    }  # fmt: skip


@pytest.mark.feature("D004")
async def test_a_phone_of_a_contact_is_refused_with_the_guides_words(workspace: Workspace) -> None:
    owner = await workspace.person("sale", full_name="Nguyễn Thị Lan")
    customer = await company(workspace, owner=owner.username)
    await contact(workspace.admin, customer, name="Mai", phones=[{"value": "0912345678"}])
    words = (
        "Số điện thoại 0912345678 đã tồn tại trong liên hệ của khách hàng Công ty Hoa Sen/ chủ sở hữu Nguyễn Thị Lan"
    )
    refused = await workspace.admin.post(PATH, json={"name": "Khác", "phone": "+84 912 345 678"})
    assert (refused.status_code, refused.json()["code"], refused.json()["detail"]) == (409, "phone_in_contact", words)
    assert refused.json()["existing_id"] == customer["id"]
    other = await add(workspace.admin, phone="0987654321")
    url = f"{PATH}/{other['id']}"
    changed = await workspace.admin.patch(url, json={"phone": "0912345678"}, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.json()["detail"]) == (409, words)
    reply = await workspace.admin.post(f"{url}/contacts", json={"name": "B", "phones": [{"value": "0912345678"}]})
    assert (reply.status_code, reply.json()["detail"]) == (409, words)
    main = await workspace.admin.post(f"{url}/contacts", json={"name": "B", "phones": [{"value": "02873001234"}]})
    assert (main.status_code, main.json()["code"]) == (409, "phone_taken")
    # Whoever may not look up is told no more than that the phone is taken.
    blind = await workspace.person("sale", permissions=["customers.view", "customers.create"])
    told = (await blind.client.post(PATH, json={"name": "Khác", "phone": "0912345678"})).json()
    assert (told["code"], told["detail"]) == ("phone_taken", "Số điện thoại đã tồn tại")
    assert "existing_id" not in told
    # A customer in the trash holds no phone.
    await workspace.admin.delete(f"{PATH}/{customer['id']}", headers={"If-Match": '"1"'})
    await add(workspace.admin, phone="0912345678")


async def test_ten_at_once_give_a_phone_to_one_customer(workspace: Workspace) -> None:
    made = [await company(workspace, phone=f"0287300{n:04d}") for n in range(10)]
    body = {"name": "Mai", "phones": [{"value": "0912345678"}]}
    replies = await asyncio.gather(*(workspace.admin.post(f"{PATH}/{one['id']}/contacts", json=body) for one in made))
    assert sorted(reply.status_code for reply in replies) == [201] + [409] * 9


@pytest.mark.feature("D004")
@pytest.mark.parametrize("q", ["0912345678", "84912345678", "0912 345 678", "45678"])
async def test_the_search_box_finds_by_a_contacts_phone(workspace: Workspace, q: str) -> None:
    customer = await company(workspace)
    await add(workspace.admin, phone="0987654321")
    await contact(workspace.admin, customer, name="Mai", phones=[{"value": "0912345678"}])
    page = (await workspace.admin.get(PATH, params={"q": q, "count": "exact"})).json()
    assert ([one["id"] for one in page["items"]], page["count"]) == ([customer["id"]], 1)
    sale = await workspace.person("sale")
    assert (await sale.client.get(PATH, params={"q": q})).json()["items"] == []


async def test_contacts_are_seen_with_their_customer(workspace: Workspace) -> None:
    customer = await company(workspace)
    made = await contact(workspace.admin, customer, name="Mai")
    sale = await workspace.person("sale")
    url = f"{PATH}/{customer['id']}/contacts"
    assert (await sale.client.get(url)).status_code == 404
    assert (await sale.client.post(url, json={"name": "B"})).status_code == 404
    assert (await sale.client.get(f"{url}/{made['id']}")).status_code == 404
    other = await company(workspace, phone="02873009999")
    assert (await workspace.admin.get(f"{PATH}/{other['id']}/contacts/{made['id']}")).status_code == 404
    assert (await workspace.admin.get(f"{url}/{customer['id']}")).status_code == 404


async def test_the_primary_contact_stays_so_when_it_is_said_again(workspace: Workspace) -> None:
    customer = await company(workspace)
    made = await contact(workspace.admin, customer, name="Mai")
    url = f"{PATH}/{customer['id']}/contacts/{made['id']}"
    again = await workspace.admin.patch(url, json={"is_primary": True}, headers={"If-Match": '"1"'})
    assert (again.status_code, again.json()) == (200, made)
    assert (await workspace.admin.get(url)).json() == made


async def test_what_happens_to_its_phones_is_a_change_of_the_contact(workspace: Workspace) -> None:
    customer = await company(workspace)
    numbers = [{"value": "0912345678", "label": "Nhà"}, {"value": "0987654321"}, {"value": "0977000111"}]
    made = await contact(workspace.admin, customer, name="Mai", phones=numbers)
    url = f"{PATH}/{customer['id']}/contacts/{made['id']}"
    # The same list again is no change.
    same = await workspace.admin.patch(url, json={"phones": numbers}, headers={"If-Match": '"1"'})
    assert (same.status_code, same.json()) == (200, made)
    gone = await workspace.admin.delete(f"{PATH}/{customer['id']}/phones/{made['phones'][1]['id']}")
    assert gone.json() == {"changed": 1}
    late = await workspace.admin.patch(url, json={"phones": numbers}, headers={"If-Match": '"1"'})
    assert late.status_code == 412
    renamed = [{"value": "0912345678", "label": "Kho"}, {"value": "0977000111"}]
    changed = await workspace.admin.patch(url, json={"phones": renamed}, headers={"If-Match": '"2"'})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"3"')
    assert [(one["id"], one["label"]) for one in changed.json()["phones"]] == [
        (made["phones"][0]["id"], "Kho"), (made["phones"][2]["id"], None),
    ]  # fmt: skip
    [last, *_] = await events(workspace.admin, customer["id"])
    assert last["changes"] == {
        "phones": [["+84912345678 (Nhà)", "+84977000111"], ["+84912345678 (Kho)", "+84977000111"]]
    }
    turned = await workspace.admin.patch(url, json={"phones": renamed[::-1]}, headers={"If-Match": '"3"'})
    assert values(turned.json()["phones"]) == ["+84977000111", "+84912345678"]
    assert turned.json()["phones"][0]["id"] == made["phones"][2]["id"]


async def test_phones_and_contacts_are_read_by_pages(workspace: Workspace) -> None:
    customer = await add(workspace.admin)
    url = f"{PATH}/{customer['id']}/phones"
    for number in ("0987654321", "0977000111", "0977000112"):
        assert (await workspace.admin.post(url, json={"value": number})).status_code == 201
    for limit in (1, 2, 3, 4):
        for path in ("phones", "contacts"):
            pages, params = list[int](), {"limit": limit}
            while True:
                reply = await workspace.admin.get(f"{PATH}/{customer['id']}/{path}", params=params)
                page = reply.json()
                pages.append(len(page["items"]))
                assert page["count"] == 4
                if page["next_cursor"] is None:
                    break
                params["cursor"] = page["next_cursor"]
            assert pages == [limit] * (4 // limit) + ([4 % limit] if 4 % limit else [])


@pytest.mark.feature("D004")
async def test_a_phone_of_a_customer_without_owner_is_refused_in_plain_words(workspace: Workspace) -> None:
    customer = await company(workspace, owner=None)
    await contact(workspace.admin, customer, name="Mai", phones=[{"value": "0912345678"}])
    body = {"name": "Khác", "phone": "0912345678"}
    for spoken, words in {
        "vi": "Số điện thoại 0912345678 đã tồn tại trong liên hệ của khách hàng Công ty Hoa Sen (chưa có chủ sở hữu)",
        "en": "The phone 0912345678 belongs to a contact of the customer Công ty Hoa Sen, which has no owner",
    }.items():
        refused = await workspace.admin.post(PATH, json=body, headers={"Accept-Language": spoken})
        assert (refused.status_code, refused.json()["detail"]) == (409, words)
