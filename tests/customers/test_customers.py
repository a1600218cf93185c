"""One customer through the door: create, read, change, delete, and what is refused."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.factories.people import Workspace

PATH = "/api/v1/customers"


async def add(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    """A customer added over HTTP."""
    reply = await client.post(PATH, json={"name": "Trần Văn Thử", "phone": "0912345678", **fields})
    assert reply.status_code == 201, reply.text
    body: dict[str, Any] = reply.json()
    return body


@pytest.mark.feature("A064", "A065", "A067")
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
            "province": "Thành phố Hồ Chí Minh" if made["province"].startswith("Thành") else made["province"],
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
