"""Customers that are shared with colleagues, and those of the common pool: who sees them, and how that is told."""

from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.bulk.steps import WARNING, ask, do, items, undo
from tests.customers.test_customers import PATH, add
from tests.duplicates import merges
from tests.exports.steps import cells, export
from tests.factories.people import Person, Workspace
from tests.imports.steps import API, bring
from tests.transactions.steps import post

pytestmark = pytest.mark.usefixtures("worker")
ME = {"field": "shared_with", "op": "any_of", "value": ["me"]}


async def share(client: httpx.AsyncClient, customer: dict[str, Any], *people: Person) -> dict[str, Any]:
    """Shares a customer, and answers with whom it is shared."""
    reply = await client.post(f"{PATH}/{customer['id']}/shares", json={"users": [one.username for one in people]})
    assert reply.status_code == 200, reply.text
    body: dict[str, Any] = reply.json()
    return body


async def seen(person: Person | Workspace, **params: Any) -> list[str]:
    """The names in somebody's list."""
    client = person.client if isinstance(person, Person) else person.admin
    reply = await client.get(PATH, params=params)
    assert reply.status_code == 200, reply.text
    return [one["name"] for one in reply.json()["items"]]


async def search(client: httpx.AsyncClient, tree: Any, **more: Any) -> dict[str, Any]:
    """What a filter finds."""
    reply = await client.post(f"{PATH}/search", json={"filter": tree, "count": "exact", **more})
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


async def history(client: httpx.AsyncClient, customer: dict[str, Any]) -> list[tuple[str, Any]]:
    """The events of a customer, newest first, each with its changes."""
    listed = (await client.get(f"{PATH}/{customer['id']}/events")).json()["items"]
    return [(one["kind"], one["changes"]) for one in listed]


@pytest.mark.feature("D025")
async def test_who_a_customer_is_shared_with_sees_it_everywhere(workspace: Workspace) -> None:
    owner, colleague = await workspace.person(), await workspace.person()
    one = await add(owner.client, name="Lê Thị Chung", relationship="Mới")
    other = await add(owner.client, name="Lê Thị Riêng", phone="0912345679")
    url = f"{PATH}/{one['id']}"
    assert (await colleague.client.get(url)).status_code == 404
    assert await seen(colleague) == []
    shared = await share(owner.client, one, colleague)
    assert [(each["username"], each["active"]) for each in shared["items"]] == [(colleague.username, True)]
    assert (await colleague.client.get(url)).json()["owner"] == owner.username
    assert await seen(colleague) == await seen(colleague, q="chung") == ["Lê Thị Chung"]
    assert await seen(colleague, shared_with="me") == await seen(colleague, sort="name") == ["Lê Thị Chung"]
    assert (await search(colleague.client, ME))["count"] == 1
    assert (await colleague.client.get(f"{API}/customers/stages")).json()["total"] == 1
    changed = await colleague.client.patch(url, json={"note": "đã gọi"}, headers={"If-Match": '"2"'})
    assert changed.status_code == 200
    # The one beside it is nobody else's.
    assert (await colleague.client.get(f"{PATH}/{other['id']}")).status_code == 404
    gone = await owner.client.delete(f"{url}/shares/{colleague.id}")
    assert (gone.status_code, gone.json()) == (200, {"changed": 1})
    assert (await colleague.client.get(url)).status_code == 404
    assert await seen(colleague) == []
    ids = [str(colleague.id)]
    told = [kind for kind in await history(owner.client, one) if "shared" in kind[0]]
    assert told == [
        ("customer.unshared", {"shared_with": [ids, []]}), ("customer.shared", {"shared_with": [[], ids]}),
    ]  # fmt: skip


@pytest.mark.feature("D025")
async def test_sharing_twice_tells_once_and_bad_asks_are_refused(workspace: Workspace) -> None:
    owner, colleague, gone = await workspace.person(), await workspace.person(), await workspace.person()
    one = await add(owner.client)
    url = f"{PATH}/{one['id']}/shares"
    await share(owner.client, one, colleague)
    assert (await share(owner.client, one, colleague, colleague))["count"] == 1
    assert [kind for kind, _ in await history(owner.client, one)] == ["customer.shared", "customer.created"]
    await workspace.deactivate(gone)
    for users in ([colleague.username, "khong.co"], [colleague.username, gone.username], [str(colleague.id), "  "]):
        reply = await owner.client.post(url, json={"users": users})
        (error,) = reply.json()["errors"]
        assert (reply.status_code, error["field"]) == (422, "users[1]"), users
        assert error["code"] == "missing" or error["message"].startswith("Chia sẻ với: không có giá trị"), error
    bodies: list[dict[str, Any]] = [{"users": []}, {"users": "x"}, {}, {"users": [colleague.username], "more": 1}]
    for body in bodies:
        assert (await owner.client.post(url, json=body)).status_code == 422
    assert (await owner.client.delete(f"{url}/{gone.id}")).json() == {"changed": 0}
    assert (await gone.client.get(url)).status_code == 401
    stranger = await workspace.person()
    assert (await stranger.client.get(url)).status_code == 404
    assert (await stranger.client.post(url, json={"users": [stranger.username]})).status_code == 404
    assert (await stranger.client.delete(f"{url}/{colleague.id}")).status_code == 404
    reader = await workspace.person(permissions=["customers.view", "customers.view_all"])
    assert (await reader.client.get(url)).status_code == 200
    assert (await reader.client.post(url, json={"users": [reader.username]})).status_code == 403


@pytest.mark.feature("D029", "D031", "D032", "D033")
async def test_the_common_pool_is_everybodys_until_somebody_takes_a_customer(workspace: Workspace) -> None:
    sale, other = await workspace.person(), await workspace.person()
    one, two = await add(workspace.admin, name="Một"), await add(workspace.admin, name="Hai", phone="0912345679")
    assert await seen(sale) == []
    await do(workspace.admin, "to_pool", [one["id"], two["id"]])
    assert await seen(sale) == await seen(other) == ["Hai", "Một"]
    pool = {"field": "in_pool", "op": "eq", "value": True}
    assert (await search(sale.client, pool))["count"] == 2
    version = (await sale.client.get(f"{PATH}/{one['id']}")).headers["etag"]
    taken = await sale.client.patch(
        f"{PATH}/{one['id']}", json={"owner": sale.username}, headers={"If-Match": version}
    )  # fmt: skip
    assert taken.status_code == 200, taken.text
    assert await seen(sale) == ["Hai", "Một"]
    assert await seen(other) == ["Hai"]
    # Whoever comes late finds it gone, as if it had never been there.
    late = await other.client.patch(
        f"{PATH}/{one['id']}", json={"owner": other.username}, headers={"If-Match": version}
    )  # fmt: skip
    assert late.status_code == 404


async def test_a_list_of_three_sorts_of_customers_is_one_list(workspace: Workspace) -> None:
    """A sale's own, shared ones and the pool's, newest first, each once, over pages."""
    sale = await workspace.person()
    names = []
    for number in range(23):
        made = await add(
            workspace.admin, name=f"Khách {number}", phone=f"09123450{number:02d}",
            owner=sale.username if number % 3 == 0 else None,
        )  # fmt: skip
        if number % 3 == 1 or number % 6 == 0:
            await share(workspace.admin, made, sale)
        if number % 5 == 0:
            await do(workspace.admin, "to_pool", [made["id"]])
        if number % 3 < 2 or number % 5 == 0:
            names.append(made["name"])
    for sort, wanted in (("-created_at", names[::-1]), ("created_at", names)):
        found, cursor = list[str](), None
        while True:
            params: dict[str, Any] = {"limit": 4, "sort": sort} | ({"cursor": cursor} if cursor else {})
            reply = (await sale.client.get(PATH, params=params)).json()
            found += [one["name"] for one in reply["items"]]
            cursor = reply["next_cursor"]
            if cursor is None:
                break
        assert found == wanted
    counted = await sale.client.get(PATH, params={"count": "exact", "limit": 1})
    assert counted.json()["count"] == len(names)


@pytest.mark.feature("D025")
async def test_many_are_shared_at_once_and_taken_back(workspace: Workspace) -> None:
    colleague, early = await workspace.person(), await workspace.person()
    made = [await add(workspace.admin, phone=f"091234567{number}") for number in range(4)]
    ids = [one["id"] for one in made]
    await share(workspace.admin, made[0], colleague, early)
    body = {"action": "share", "selection": {"ids": ids}, "params": {"users": [colleague.username]}}
    preview = await workspace.admin.post(f"{PATH}/bulk/preview", json=body)
    assert (preview.json()["changed"], preview.json()["unchanged"]) == (3, 1)
    job = await do(workspace.admin, "share", ids, users=[str(colleague.id)])
    assert job["result"] == {"changed": 3, "unchanged": 1, "skipped": 0}
    assert len(await seen(colleague)) == 4
    assert (await history(workspace.admin, made[1]))[0][0] == "customer.shared"
    # Who was shared with once more since is told, and stays as it is.
    await share(workspace.admin, made[3], early)
    back = await undo(workspace.admin, job["id"])
    assert (back["result"]["restored"], back["result"]["kept"]) == (2, 1)
    found = {one["customer_id"]: one["undo_code"] for one in await items(workspace.admin, job["id"])}
    assert found[ids[3]] == "changed_since"
    assert len(await seen(colleague)) == 2
    taken = await do(workspace.admin, "unshare", ids, users=[colleague.username])
    assert taken["result"]["changed"] == 2
    assert await seen(colleague) == []
    assert len(await seen(early)) == 2
    again = await undo(workspace.admin, taken["id"])
    assert again["result"]["restored"] == 2
    assert len(await seen(colleague)) == 2
    for params in ({}, {"users": ["khong.co"]}):
        refused = await ask(workspace.admin, "share", ids, **params)
        assert refused.status_code == 422, refused.text
        assert refused.json()["errors"][0]["field"].startswith("params.users")


async def test_a_filter_says_with_whom(workspace: Workspace) -> None:
    first = await workspace.person(full_name="Lê Thị Lan")
    second = await workspace.person(full_name="Trần Văn Nam")
    both, one, none = [await add(workspace.admin, name=name, phone=f"091234567{number}")
                       for number, name in enumerate(("Cả hai", "Một", "Không"))]  # fmt: skip
    await share(workspace.admin, both, first, second)
    await share(workspace.admin, one, first)
    names = [first.username, str(second.id)]
    for op, value, wanted in (
        ("any_of", names, {both["name"], one["name"]}),
        ("all_of", names, {both["name"]}),
        ("none_of", [second.username], {one["name"], none["name"]}),
        ("is_empty", None, {none["name"]}),
        ("is_not_empty", None, {both["name"], one["name"]}),
    ):
        tree = {"field": "shared_with", "op": op} | ({"value": value} if value else {})
        assert {each["name"] for each in (await search(workspace.admin, tree))["items"]} == wanted, op
    tree = {"field": "shared_with", "op": "all_of", "value": names}
    said = await workspace.admin.post(f"{API}/filters/validate", json={"filter": tree})
    assert said.json()["sentence"] == "Chia sẻ với có đủ “Lê Thị Lan”, “Trần Văn Nam”"
    facets = (await search(workspace.admin, None, facets=["shared_with"]))["facets"]["shared_with"]
    assert {each["label"]: each["count"] for each in facets} == {"Lê Thị Lan": 2, "Trần Văn Nam": 1, "Chưa có": 1}
    wrong = await workspace.admin.post(
        f"{PATH}/search", json={"filter": {"field": "shared_with", "op": "any_of", "value": ["lan", "ai do"]}}
    )
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "filter.value[0]")


async def test_an_export_names_the_colleagues(workspace: Workspace) -> None:
    colleague = await workspace.person(full_name="Lê Thị Lan")
    one = await add(workspace.admin, name="Hoa")
    await share(workspace.admin, one, colleague)
    made = await export(workspace.admin, columns=["name", "shared_with"])
    assert await cells(workspace, made) == [["Tên khách hàng", "Chia sẻ với"], ["Hoa", "Lê Thị Lan"]]


async def test_a_file_changes_what_its_sale_sees(workspace: Workspace) -> None:
    sale = await workspace.person(permissions=[
        "customers.view", "customers.create", "customers.edit", "customers.import", "customers.reveal_phone",
    ])  # fmt: skip
    mine = await add(sale.client, phone="0912345671")
    shared, pooled, hidden = [await add(workspace.admin, phone=f"091234567{number}") for number in (2, 3, 4)]
    await share(workspace.admin, shared, sale)
    await do(workspace.admin, "to_pool", [pooled["id"]])
    rows = [[f"Hoa {number}", f"091234567{number}"] for number in (1, 2, 3, 4)]
    done = await bring(sale.client, [["Họ tên", "SĐT"], *rows])
    assert (done["counts"]["updated"], done["counts"]["failed"]) == (3, 1)
    names = {one["id"]: one["name"] for one in (await workspace.admin.get(PATH)).json()["items"]}
    changed = [names[one["id"]] for one in (mine, shared, pooled, hidden)]
    assert changed == ["Hoa 1", "Hoa 2", "Hoa 3", "Trần Văn Thử"]


@pytest.mark.feature("B037", "D036")
async def test_whoever_saw_one_of_the_merged_sees_the_master(workspace: Workspace) -> None:
    first, second, third = [await workspace.person() for _ in range(3)]
    master, source = await add(workspace.admin), await add(workspace.admin, phone="0912345679")
    await share(workspace.admin, master, first)
    await share(workspace.admin, source, first, second)
    made = await merges.merge(workspace.admin, master, source)
    assert (await seen(first), await seen(second)) == ([master["name"]], [master["name"]])
    assert (await merges.undo(workspace.admin, made["id"]))["left"] == []
    assert len(await seen(first)) == 2
    assert (await second.client.get(f"{PATH}/{master['id']}")).status_code == 404
    # What was changed since stays, and is told.
    made = await merges.merge(workspace.admin, master, source)
    await share(workspace.admin, master, third)
    left = (await merges.undo(workspace.admin, made["id"]))["left"]
    assert [(one["field"], one["code"]) for one in left] == [("shared_with", "edited")]
    assert len(await seen(third)) == 1


async def test_nobody_changes_an_ownerless_customer_that_they_do_not_see(workspace: Workspace) -> None:
    sale = await workspace.person()
    nobodys = await add(workspace.admin, owner=None)
    for chosen in ([nobodys["id"]], [nobodys["id"], str(uuid4())]):
        job = await do(sale.client, "set_field", chosen, field="note", value="x")
        assert job["result"]["changed"] == 0, job
    assert (await workspace.admin.get(f"{PATH}/{nobodys['id']}")).json()["note"] is None
    keeper = await workspace.person(permissions=["customers.view", "customers.delete", "customers.purge"])
    etag = (await workspace.admin.get(f"{PATH}/{nobodys['id']}")).headers["etag"]
    await workspace.admin.delete(f"{PATH}/{nobodys['id']}", headers={"If-Match": etag})
    job = await do(keeper.client, "purge", [nobodys["id"]], confirm=WARNING)
    assert job["result"] == {"changed": 0, "unchanged": 0, "skipped": 1}
    assert len((await workspace.admin.get(f"{PATH}/trash")).json()["items"]) == 1


@pytest.mark.feature("E019")
async def test_who_sees_the_team_sees_its_customers_everywhere(workspace: Workspace) -> None:
    """Of the teams that they are in and of those below, not of those above or beside; and only by the permission."""
    rights = [
        "customers.view", "customers.edit", "customers.create", "customers.import", "customers.reveal_phone",
        "customers.lookup",
    ]  # fmt: skip
    leader = await workspace.person(permissions=[*rights, "customers.view_team"])
    member, below, beside = [await workspace.person(permissions=rights) for _ in range(3)]
    top = await post(workspace.admin, "/teams", name="Miền Bắc", members=[str(leader.id), str(member.id)])
    await post(workspace.admin, "/teams", name="Hà Nội", parent_id=top["id"], members=[str(below.id)])
    await post(workspace.admin, "/teams", name="Miền Nam", members=[str(beside.id)])
    made = {}
    for number, person in enumerate((leader, member, below, beside)):
        made[person.username] = await add(person.client, name=f"Khách {number}", phone=f"091234567{number}")
    assert await seen(leader) == ["Khách 2", "Khách 1", "Khách 0"]
    assert await seen(leader, q="khach") == await seen(leader, sort="-name") == await seen(leader)
    assert await seen(member) == ["Khách 1"]
    assert (await search(leader.client, {"field": "team", "op": "eq", "value": "me"}))["count"] == 3
    assert (await leader.client.get(f"{API}/customers/stages")).json()["total"] == 3
    one, other = made[below.username], made[beside.username]
    for customer, status in ((one, 200), (other, 404)):
        assert (await leader.client.get(f"{PATH}/{customer['id']}")).status_code == status
        patched = await leader.client.patch(
            f"{PATH}/{customer['id']}", json={"note": "x"}, headers={"If-Match": '"1"'}
        )  # fmt: skip
        assert patched.status_code == status
    job = await do(leader.client, "set_field", [one["id"], other["id"]], field="note", value="y")
    assert job["result"]["changed"] == 1
    done = await bring(leader.client, [["Họ tên", "SĐT"], *[[f"Hoa {n}", f"091234567{n}"] for n in range(4)]])
    assert (done["counts"]["updated"], done["counts"]["failed"]) == (3, 1)
    # A key of the administrator's, who is in no team, sees what they own themselves.
    async with await workspace.key("customers.view", "customers.view_team") as key:
        assert (await key.get(PATH)).json()["items"] == []
    await post(
        workspace.admin, "/teams", name="Ban giám đốc", members=[str(workspace.administrator.id), str(member.id)]
    )
    async with await workspace.key("customers.view", "customers.view_team", "customers.reveal_phone") as key:
        assert [each["name"] for each in (await key.get(PATH)).json()["items"]] == ["Hoa 1"]


@pytest.mark.feature("D025", "D033")
async def test_what_is_shared_is_not_handed_on(workspace: Workspace) -> None:
    """Who sees a customer only because it is shared with them neither takes it nor decides who else sees it."""
    owner, colleague, third = await workspace.person(), await workspace.person(), await workspace.person()
    one = await add(owner.client)
    url = f"{PATH}/{one['id']}"
    await share(owner.client, one, colleague, third)
    refused = [
        await colleague.client.patch(url, json={"owner": colleague.username}, headers={"If-Match": '"2"'}),
        await colleague.client.patch(url, json={"owner": None}, headers={"If-Match": '"2"'}),
        await colleague.client.post(f"{url}/shares", json={"users": [owner.username]}),
        await colleague.client.delete(f"{url}/shares/{third.id}"),
    ]
    assert {(each.status_code, each.json()["code"]) for each in refused} == {(403, "not_entrusted")}
    asked: tuple[dict[str, Any], ...] = ({"users": [owner.username]}, {"owner": colleague.username}, {})
    for action, params in zip(("share", "owner", "to_pool"), asked, strict=True):
        job = await do(colleague.client, action, [one["id"]], **params)
        assert job["result"] == {"changed": 0, "unchanged": 0, "skipped": 1}, action
        [item] = await items(colleague.client, job["id"])
        assert (item["code"], "người phụ trách" in item["message"]) == ("not_entrusted", True)
    # The same owner again is no handing over, and anything else is theirs to change.
    kept = {"owner": owner.username, "note": "x"}
    assert (await colleague.client.patch(url, json=kept, headers={"If-Match": '"2"'})).status_code == 200
    handed = await owner.client.patch(url, json={"owner": third.username}, headers={"If-Match": '"3"'})
    assert handed.status_code == 200


async def test_the_pool_is_not_kept_in_sight_by_sharing_it(workspace: Workspace) -> None:
    sale, other = await workspace.person(), await workspace.person()
    one = await add(workspace.admin, owner=None)
    await do(workspace.admin, "to_pool", [one["id"]])
    own = await sale.client.post(f"{PATH}/{one['id']}/shares", json={"users": [sale.username]})
    assert (own.status_code, own.json()["code"]) == (403, "not_entrusted")
    job = await do(sale.client, "share", [one["id"]], users=[sale.username])
    assert job["result"]["skipped"] == 1
    taken = await do(other.client, "owner", [one["id"]], owner=other.username)
    assert taken["result"]["changed"] == 1
    assert (await seen(sale), await seen(other)) == ([], [one["name"]])


async def test_who_has_left_is_taken_out_and_is_not_forgotten(workspace: Workspace) -> None:
    stays, left = await workspace.person(), await workspace.person()
    one, two = await add(workspace.admin), await add(workspace.admin, phone="0912345679")
    for customer in (one, two):
        await share(workspace.admin, customer, left)
    await workspace.deactivate(left)
    job = await do(workspace.admin, "share", [one["id"]], users=[stays.username])
    await undo(workspace.admin, job["id"])
    found = (await workspace.admin.get(f"{PATH}/{one['id']}/shares")).json()["items"]
    assert [(each["username"], each["active"]) for each in found] == [(left.username, False)]
    job = await do(workspace.admin, "unshare", [one["id"], two["id"]], users=[str(left.id)])
    assert job["result"]["changed"] == 2
    assert (await workspace.admin.get(f"{PATH}/{two['id']}/shares")).json()["items"] == []


async def test_a_file_hands_on_only_what_is_its_sales(workspace: Workspace) -> None:
    sale = await workspace.person(permissions=[
        "customers.view", "customers.create", "customers.edit", "customers.import", "customers.reveal_phone",
    ])  # fmt: skip
    mine = await add(sale.client, phone="0912345671")
    shared, pooled = [await add(workspace.admin, phone=f"091234567{number}") for number in (2, 3)]
    await share(workspace.admin, shared, sale)
    await do(workspace.admin, "to_pool", [pooled["id"]])
    rows = [[f"Hoa {number}", f"091234567{number}", sale.username] for number in (1, 2, 3)]
    done = await bring(sale.client, [["Họ tên", "SĐT", "NV phụ trách"], *rows])
    assert (done["counts"]["updated"], done["counts"]["failed"]) == (2, 1)
    owners = {one["id"]: one["owner"] for one in (await workspace.admin.get(PATH)).json()["items"]}
    assert [owners[one["id"]] for one in (mine, shared, pooled)] == [sale.username, "admin", sale.username]


@pytest.mark.feature("E002")
async def test_a_shared_lead_that_becomes_a_contact_takes_its_colleagues_along(workspace: Workspace) -> None:
    colleague = await workspace.person()
    company = await add(workspace.admin, kind="company", name="Công ty Hoa Sen")
    lead = await add(workspace.admin, kind="lead", phone="0912345679")
    await share(workspace.admin, lead, colleague)
    version = (await workspace.admin.get(f"{PATH}/{lead['id']}")).headers["etag"]
    reply = await workspace.admin.post(
        f"{PATH}/{lead['id']}/convert", json={"kind": "individual", "attach_to": company["id"]},
        headers={"If-Match": version},
    )  # fmt: skip
    assert reply.status_code == 200, reply.text
    assert await seen(colleague) == ["Công ty Hoa Sen"]
    assert (await merges.undo(workspace.admin, reply.json()["merge_id"]))["left"] == []
    assert await seen(colleague) == [lead["name"]]
