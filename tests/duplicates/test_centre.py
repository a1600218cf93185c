"""The duplicate centre: clusters with reasons, dismissed, and a customer's own tab."""

from typing import Any

import pytest

from tests.duplicates.conftest import API, add, edit, scan, set_keys
from tests.factories.people import Person, Workspace


async def clusters(person: Person, **query: Any) -> list[dict[str, Any]]:
    """All clusters, page by page."""
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        params = {**query} | ({"cursor": cursor} if cursor else {})
        reply = await person.client.get(f"{API}/duplicates", params=params)
        assert reply.status_code == 200, reply.text
        found += reply.json()["items"]
        cursor = reply.json()["next_cursor"]
        if cursor is None:
            return found


def ids(cluster: dict[str, Any]) -> list[str]:
    """The customers of a cluster."""
    return [one["id"] for one in cluster["customers"]]


async def no_keys(workspace: Workspace) -> None:
    """Lets duplicates be added: only the phone is a key."""
    await set_keys(workspace)


@pytest.mark.feature("D036")
async def test_clusters_and_their_reasons(workspace: Workspace) -> None:
    await no_keys(workspace)
    first = await add(workspace.admin, name="Lê Hoa", birthday="1990-03-05", email="hoa@example.com")
    second = await add(workspace.admin, name="LE  HOA", birthday="1990-03-05", email="hoa@example.com")
    third = await add(workspace.admin, name="Khác", tax_code="0101248141")
    fourth = await add(workspace.admin, name="Khác hẳn", tax_code="0101248141")
    await add(workspace.admin, name="Một mình", birthday="1990-03-05")
    assert await clusters(workspace.administrator) == []
    await scan(workspace)
    found = await clusters(workspace.administrator, limit=1)
    assert {tuple(ids(one)) for one in found} == {(first["id"], second["id"]), (third["id"], fourth["id"])}
    assert len(found) == 2
    both = next(one for one in found if first["id"] in ids(one))
    assert {reason["label"] for reason in both["reasons"]} == {"Trùng Email", "Trùng Tên khách hàng + Sinh nhật"}
    assert (await workspace.admin.get(f"{API}/duplicates")).json()["scanned_at"] is not None


async def test_what_changed_since_the_scan_is_not_shown(workspace: Workspace) -> None:
    await no_keys(workspace)
    first = await add(workspace.admin, email="a@example.com")
    second = await add(workspace.admin, email="a@example.com")
    third = await add(workspace.admin, email="a@example.com")
    await scan(workspace)
    await edit(workspace.admin, second, email="b@example.com")
    assert [ids(one) for one in await clusters(workspace.administrator)] == [[first["id"], third["id"]]]
    await workspace.admin.delete(f"{API}/customers/{third['id']}", headers={"If-Match": '"1"'})
    assert await clusters(workspace.administrator) == []


async def test_the_workspaces_own_keys_need_no_scan(workspace: Workspace) -> None:
    first = await add(workspace.admin, name="Trùng tên")
    second = await add(workspace.admin, name="trung ten")
    await set_keys(workspace, {"fields": ["name"]})
    assert [ids(one) for one in await clusters(workspace.administrator)] == [[first["id"], second["id"]]]


async def test_a_dismissed_cluster_comes_back_only_with_somebody_new(workspace: Workspace) -> None:
    await no_keys(workspace)
    pair = [(await add(workspace.admin, email="a@example.com"))["id"] for _ in range(2)]
    await scan(workspace)
    reply = await workspace.admin.post(f"{API}/duplicates/dismiss", json={"customer_ids": pair})
    assert reply.status_code == 201, reply.text
    assert await clusters(workspace.administrator) == []
    assert (await workspace.admin.get(f"{API}/customers/{pair[0]}/duplicates")).json()["items"] == []
    third = await add(workspace.admin, email="a@example.com")
    await scan(workspace)
    assert [ids(one) for one in await clusters(workspace.administrator)] == [[*pair, third["id"]]]


@pytest.mark.promise(6)
async def test_a_sale_sees_clusters_of_their_own_customers_only(workspace: Workspace) -> None:
    await no_keys(workspace)
    sale = await workspace.person("sale")
    theirs = await add(workspace.admin, email="a@example.com")
    own = [await add(sale.client, email="a@example.com") for _ in range(2)]
    alone = await add(sale.client, email="b@example.com")
    await add(workspace.admin, email="b@example.com")
    await scan(workspace)
    assert [ids(one) for one in await clusters(sale)] == [[one["id"] for one in own]]
    tab = await sale.client.get(f"{API}/customers/{alone['id']}/duplicates")
    assert tab.json()["items"] == []
    assert (await sale.client.get(f"{API}/customers/{theirs['id']}/duplicates")).status_code == 404
    dismissed = await sale.client.post(f"{API}/duplicates/dismiss", json={"customer_ids": [theirs["id"], own[0]["id"]]})
    assert dismissed.status_code == 404


@pytest.mark.feature("C031")
async def test_the_tab_of_a_customer_shows_who_has_its_phone_through_a_contact(workspace: Workspace) -> None:
    company = await add(workspace.admin, name="Công ty Hoa Sen", kind="company")
    contact = {"name": "Chị Ba", "phones": [{"value": "0912345678"}]}
    reply = await workspace.admin.post(f"{API}/customers/{company['id']}/contacts", json=contact)
    assert reply.status_code == 201, reply.text
    lead = await add(workspace.admin, name="Chị Ba", phone="0912 345 678", kind="lead")
    for one, other in ((company, lead), (lead, company)):
        tab = (await workspace.admin.get(f"{API}/customers/{one['id']}/duplicates")).json()["items"]
        assert [(each["id"], each["reasons"]) for each in tab] == [
            (other["id"], [{"fields": ["phone"], "label": "Trùng Số điện thoại", "value": "+84912345678"}])
        ]
    await scan(workspace)
    assert [set(ids(one)) for one in await clusters(workspace.administrator)] == [{company["id"], lead["id"]}]


@pytest.mark.feature("C031")
async def test_the_tab_of_a_customer_shows_who_has_its_email_or_name(workspace: Workspace) -> None:
    await no_keys(workspace)
    first = await add(workspace.admin, name="Lê Hoa", email="hoa@example.com", birthday="1990-03-05")
    by_email = await add(workspace.admin, email="hoa@example.com")
    by_name = await add(workspace.admin, name="le hoa", birthday="1990-03-05")
    await add(workspace.admin, name="Khác", birthday="1990-03-05")
    tab = (await workspace.admin.get(f"{API}/customers/{first['id']}/duplicates")).json()["items"]
    assert {one["id"]: [reason["fields"] for reason in one["reasons"]] for one in tab} == {
        by_email["id"]: [["email"]],
        by_name["id"]: [["name", "birthday"]],
    }


async def test_a_dismissal_is_read_and_taken_back(workspace: Workspace) -> None:
    await no_keys(workspace)
    sale = await workspace.person("sale")
    url = f"{API}/duplicates/dismissals"
    theirs, own = (await add(workspace.admin))["id"], (await add(sale.client))["id"]
    pair = [(await add(workspace.admin, email="a@example.com"))["id"] for _ in range(2)]
    await scan(workspace)
    made = [
        (await workspace.admin.post(f"{API}/duplicates/dismiss", json={"customer_ids": one})).json()["id"]
        for one in (pair, [theirs, own])
    ]
    listed = (await workspace.admin.get(url)).json()["items"]
    assert [(one["id"], one["customer_ids"]) for one in listed] == [(made[1], [theirs, own]), (made[0], pair)]
    assert listed[0]["dismissed_by_name"] == (await workspace.admin.get(f"{API}/me")).json()["full_name"]
    first = (await workspace.admin.get(url, params={"limit": 1})).json()
    rest = (await workspace.admin.get(url, params={"limit": 1, "cursor": first["next_cursor"]})).json()
    assert (first["items"] + rest["items"], rest["next_cursor"]) == (listed, None)
    of_one = (await workspace.admin.get(url, params={"customer_id": pair[0]})).json()["items"]
    assert [one["id"] for one in of_one] == [made[0]]
    # Of what a sale does not see there is nothing to read and nothing to take back.
    assert (await sale.client.get(url)).json()["items"] == []
    assert (await sale.client.delete(f"{url}/{made[1]}")).json() == {"changed": 0}
    assert await clusters(workspace.administrator) == []
    assert (await workspace.admin.delete(f"{url}/{made[0]}")).json() == {"changed": 1}
    assert [ids(one) for one in await clusters(workspace.administrator)] == [pair]
    assert (await workspace.admin.delete(f"{url}/{made[0]}")).json() == {"changed": 0}
    [last, *_] = (await workspace.admin.get(f"{API}/customers/{pair[0]}/events")).json()["items"]
    assert (last["kind"], last["data"]) == ("customer.duplicate_undismissed", {"not_same_as": [pair[1]]})
