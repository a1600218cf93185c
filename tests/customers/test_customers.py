"""One customer through the door: create, read, change, delete, and what is refused."""

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest

from app.core.db import driver
from app.customers import timeline
from tests.factories.people import Workspace

PATH = "/api/v1/customers"


async def add(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    """A customer added over HTTP."""
    reply = await client.post(PATH, json={"name": "Trần Văn Thử", "phone": "0912345678", **fields})
    assert reply.status_code == 201, reply.text
    body: dict[str, Any] = reply.json()
    return body


@pytest.mark.feature("A064", "A065")
async def test_all_thirteen_fields_are_kept(workspace: Workspace) -> None:
    sent = {
        "name": "  Nguyễn   Thị Hoa ",
        "phone": "0912.345.678",
        "email": "Hoa@Example.com",
        "birthday": "05/03/1990",
        "province": "binh duong",
        "gender": "Nữ",
        "address": "12 Lê Lợi",
        "source": "facebook",
        "customer_type": "doanh nghiệp",
        "company_name": "Công ty Hoa Sen",
        "tax_code": "0101248141",
        "position": "Giám đốc",
        "note": "Dòng 1\nDòng 2",
    }
    reply = await workspace.admin.post(PATH, json=sent)
    assert reply.status_code == 201, reply.text
    made = reply.json()
    assert (
        made
        | {
            "name": "Nguyễn Thị Hoa",
            "phone": "+84912345678",
            "phone_typed": "0912.345.678",
            "email": "hoa@example.com",
            "birthday": "1990-03-05",
            "province": "Thành phố Hồ Chí Minh",
            "province_code": "79",
            "province_typed": "Bình Dương",
            "gender": "female",
            "source": "Facebook",
            "customer_type": "Doanh nghiệp",
            "note": "Dòng 1\nDòng 2",
        }
        == made
    )
    assert reply.headers["etag"] == '"1"'
    assert reply.headers["location"] == f"{PATH}/{made['id']}"
    again = await workspace.admin.get(f"{PATH}/{made['id']}")
    assert again.json() == made


@pytest.mark.feature("A066")
async def test_a_taken_phone_is_refused_in_any_spelling(workspace: Workspace) -> None:
    first = await add(workspace.admin)
    reply = await workspace.admin.post(PATH, json={"name": "Người khác", "phone": "+84 912 345 678"})
    assert reply.status_code == 409
    problem = reply.json()
    assert problem["code"] == "phone_taken"
    assert problem["detail"] == "Số điện thoại đã tồn tại"
    assert problem["existing_id"] == first["id"]


async def test_a_taken_phone_does_not_tell_a_sale_whose_it_is(workspace: Workspace) -> None:
    await add(workspace.admin)
    sale = await workspace.person("sale")
    reply = await sale.client.post(PATH, json={"name": "Người khác", "phone": "0912345678"})
    assert reply.status_code == 409
    assert "existing_id" not in reply.json()


async def test_fifty_at_once_add_a_phone_once(workspace: Workspace) -> None:
    body = {"name": "Cùng lúc", "phone": "0987654321"}
    replies = await asyncio.gather(*(workspace.admin.post(PATH, json=body) for _ in range(50)))
    assert sorted(reply.status_code for reply in replies) == [201] + [409] * 49


@pytest.mark.feature("A065")
async def test_every_wrong_field_is_named(workspace: Workspace) -> None:
    reply = await workspace.admin.post(
        PATH, json={"phone": "12", "email": "không phải", "birthday": "31/02/1990", "source": "Trời ơi"}
    )
    assert reply.status_code == 422
    errors = {error["field"]: error["code"] for error in reply.json()["errors"]}
    assert errors == {
        "name": "required",
        "phone": "phone_invalid",
        "email": "email_invalid",
        "birthday": "date_invalid",
        "source": "choice_unknown",
    }
    assert "Trời ơi" in next(e["message"] for e in reply.json()["errors"] if e["field"] == "source")


@pytest.mark.feature("A068")
async def test_a_change_needs_the_version_and_moves_it(workspace: Workspace) -> None:
    made = await add(workspace.admin)
    path = f"{PATH}/{made['id']}"
    assert (await workspace.admin.patch(path, json={"note": "a"})).status_code == 428
    changed = await workspace.admin.patch(path, json={"note": "a"}, headers={"If-Match": '"1"'})
    assert changed.status_code == 200
    assert changed.json()["note"] == "a"
    assert changed.headers["etag"] == '"2"'
    stale = await workspace.admin.patch(path, json={"note": "b"}, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    assert stale.json()["code"] == "stale"


@pytest.mark.promise(11)
async def test_no_change_is_lost_among_fifty_writers(workspace: Workspace) -> None:
    made = await add(workspace.admin)
    path = f"{PATH}/{made['id']}"
    replies = await asyncio.gather(
        *(workspace.admin.patch(path, json={"note": f"lần {n}"}, headers={"If-Match": '"1"'}) for n in range(50))
    )
    assert sorted(reply.status_code for reply in replies) == [200] + [412] * 49
    winner = next(reply.json() for reply in replies if reply.status_code == 200)
    assert (await workspace.admin.get(path)).json() == winner


@pytest.mark.feature("A069")
async def test_a_deleted_customer_is_gone_and_its_phone_is_free(workspace: Workspace) -> None:
    made = await add(workspace.admin)
    path = f"{PATH}/{made['id']}"
    assert (await workspace.admin.delete(path, headers={"If-Match": '"1"'})).status_code == 204
    assert (await workspace.admin.get(path)).status_code == 404
    assert (await workspace.admin.get(PATH)).json()["items"] == []
    await add(workspace.admin)


@pytest.mark.feature("A071")
async def test_the_timeline_tells_what_happened(workspace: Workspace) -> None:
    made = await add(workspace.admin)
    path = f"{PATH}/{made['id']}"
    await workspace.admin.patch(path, json={"note": "mới", "gender": "nam"}, headers={"If-Match": '"1"'})
    page = (await workspace.admin.get(f"{path}/events")).json()
    assert [(event["kind"], event["label"]) for event in page["items"]] == [
        ("customer.updated", "Chỉnh sửa khách hàng"),
        ("customer.created", "Thêm mới"),
    ]
    assert page["items"][0]["changes"] == {"note": [None, "mới"], "gender": [None, "male"]}
    assert page["items"][0]["actor_id"] == str(workspace.administrator.id)
    only = (await workspace.admin.get(f"{path}/events", params={"type": "created"})).json()
    assert [event["kind"] for event in only["items"]] == ["customer.created"]


@pytest.mark.feature("A071", "A094")
async def test_a_type_finds_every_event_that_is_labelled_so(workspace: Workspace) -> None:
    sale = await workspace.person("sale")
    made = await add(workspace.admin)
    path, admin = f"{PATH}/{made['id']}", workspace.admin
    await admin.post(f"{path}/contacts", json={"name": "Mai", "phones": [{"value": "0987654321"}]})
    for version, change in enumerate(({"note": "mới"}, {"owner": sale.username}, {"relationship": "Chốt"})):
        changed = await admin.patch(path, json=change, headers={"If-Match": f'"{made["version"] + version}"'})
        assert changed.status_code == 200, changed.text
    everything = (await admin.get(f"{path}/events")).json()["items"]
    assert {one["type"] for one in everything} == {"created", "edited", "assigned", "contract_closed"}
    assert {one["kind"] for one in everything if one["type"] == "edited"} == {
        "customer.updated", "customer.contact_added",
    }  # fmt: skip
    [assigned] = [one for one in everything if one["type"] == "assigned"]
    assert (assigned["label"], assigned["changes"]["owner"][1]) == ("Giao sale chăm sóc", str(sale.id))
    for kind in timeline.TYPES:
        page = (await admin.get(f"{path}/events", params={"type": kind})).json()
        assert page["items"] == [one for one in everything if one["type"] == kind], kind


async def test_a_group_that_stays_keeps_its_day(workspace: Workspace) -> None:
    for name in ("VIP", "Mới quen"):
        group = {"name": name, "description": "x"}
        assert (await workspace.admin.post("/api/v1/groups", json=group)).status_code == 201
    made = await add(workspace.admin, groups=["VIP"])
    joined = "SELECT m.added_at FROM crm.group_member m WHERE m.tenant_id = $1 AND m.customer_id = $2 ORDER BY 1"

    async def days() -> list[Any]:
        async with workspace.resources.db.transaction(workspace.id) as session:
            rows = await (await driver(session)).fetch(joined, workspace.id, UUID(made["id"]))
            return [row[0] for row in rows]

    before = await days()
    change = {"groups": ["VIP", "Mới quen"]}
    await workspace.admin.patch(f"{PATH}/{made['id']}", json=change, headers={"If-Match": '"1"'})
    after = await days()
    assert (len(before), len(after)) == (1, 2)
    assert after[0] == before[0]
    gone = await workspace.admin.patch(f"{PATH}/{made['id']}", json={"groups": []}, headers={"If-Match": '"2"'})
    assert (gone.json()["groups"], await days()) == ([], [])


async def test_a_phone_is_a_customers_or_a_contacts_whoever_is_first(workspace: Workspace) -> None:
    other = await add(workspace.admin, phone="0987654321", kind="company")
    one = await add(workspace.admin, phone="0987000111")
    number = iter(range(10))

    async def once() -> list[int]:
        phone = f"091234567{next(number)}"
        replies = await asyncio.gather(
            workspace.admin.post(PATH, json={"name": "Cùng lúc", "phone": phone}),
            workspace.admin.post(f"{PATH}/{other['id']}/contacts", json={"name": "Mai", "phones": [{"value": phone}]}),
        )
        return sorted(reply.status_code for reply in replies)

    assert [await once() for _ in range(8)] == [[201, 409]] * 8
    phone = "0912345679"
    replies = await asyncio.gather(
        workspace.admin.patch(f"{PATH}/{one['id']}", json={"phone": phone}, headers={"If-Match": '"1"'}),
        workspace.admin.post(f"{PATH}/{other['id']}/contacts", json={"name": "Mai", "phones": [{"value": phone}]}),
    )
    assert 409 in [reply.status_code for reply in replies]


async def test_a_sale_sees_only_their_own(workspace: Workspace) -> None:
    made = await add(workspace.admin)
    sale = await workspace.person("sale")
    own = await add(sale.client, phone="0987654321")
    assert [item["id"] for item in (await sale.client.get(PATH)).json()["items"]] == [own["id"]]
    assert (await sale.client.get(f"{PATH}/{made['id']}")).status_code == 404
    assert (await sale.client.get(f"{PATH}/{made['id']}/events")).status_code == 404
    reply = await sale.client.patch(f"{PATH}/{made['id']}", json={"note": "x"}, headers={"If-Match": '"1"'})
    assert reply.status_code == 404


@pytest.mark.feature("B015")
async def test_a_sale_may_not_delete(workspace: Workspace) -> None:
    sale = await workspace.person("sale")
    own = await add(sale.client)
    reply = await sale.client.delete(f"{PATH}/{own['id']}", headers={"If-Match": '"1"'})
    assert reply.status_code == 403
    assert "quản trị hệ thống" in reply.json()["detail"]


async def test_a_lead_with_a_contacts_phone_is_not_made_a_customer_by_an_edit(workspace: Workspace) -> None:
    other = await add(workspace.admin, phone="0987654321", kind="company", owner=None)
    given = {"name": "Mai", "phones": [{"value": "0912345678"}]}
    assert (await workspace.admin.post(f"{PATH}/{other['id']}/contacts", json=given)).status_code == 201
    lead = await add(workspace.admin, kind="lead")
    path, version = f"{PATH}/{lead['id']}", {"If-Match": '"1"'}
    refused = await workspace.admin.patch(path, json={"kind": "individual"}, headers=version)
    assert (refused.status_code, refused.json()["code"]) == (409, "phone_in_contact")
    english = {**version, "Accept-Language": "en"}
    detail = (await workspace.admin.patch(path, json={"kind": "company"}, headers=english)).json()["detail"]
    assert detail.endswith("which has no owner")
    assert (await workspace.admin.patch(path, json={"kind": "lead", "note": "a"}, headers=version)).status_code == 200


@pytest.mark.feature("A067", "A068", "A084")
async def test_the_contract_has_the_words_for_what_succeeds(workspace: Workspace) -> None:
    """A reply that succeeds is the record itself; what a screen says of it stands in the contract."""
    paths = (await workspace.admin.get("/openapi.json")).json()["paths"]
    for path, method, status, words in (
        (PATH, "post", "201", "“Thêm mới thành công”"),
        ("/api/v1/groups", "post", "201", "“Thêm mới thành công”"),
        (PATH + "/{customer_id}", "patch", "200", "“Cập nhật thông tin thành công”"),
    ):
        assert paths[path][method]["responses"][status]["description"].endswith(words), path
