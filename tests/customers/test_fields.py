"""The fields of a customer, as forms, lists and imports are told of them."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from app.core.fields import Field
from app.customers.registry import ASSIGNABLE, BUILT_IN, EXTRA, SYSTEM
from tests.customers.test_attributes import attribute
from tests.customers.test_customers import PATH as CUSTOMERS
from tests.customers.test_customers import add
from tests.factories.people import Workspace

PATH = "/api/v1/fields"


async def fields(workspace: Workspace, **headers: str) -> dict[str, dict[str, Any]]:
    """All fields by key, in order."""
    reply = await workspace.admin.get(PATH, headers=headers)
    assert reply.status_code == 200, reply.text
    return {field["key"]: field for field in reply.json()["items"]}


async def change(workspace: Workspace, key: str, version: int, **given: Any) -> Any:
    """The reply to a PATCH of a field."""
    return await workspace.admin.patch(f"{PATH}/{key}", json=given, headers={"If-Match": f'"{version}"'})


def in_order(field: Field) -> int:
    """Where forms and lists show a field."""
    return field.position


@pytest.mark.feature("A064", "A075")
async def test_every_field_is_told_in_order(workspace: Workspace) -> None:
    await attribute(workspace.admin, "Hạn mức", "money")
    found = await fields(workspace)
    assert list(found) == [
        *(field.key for field in BUILT_IN), "attributes.han_muc",
        *(field.key for field in EXTRA + ASSIGNABLE), *(field.key for field in sorted(SYSTEM, key=in_order)),
    ]  # fmt: skip
    assert found["phone"] == {
        "key": "phone", "label": "Số điện thoại", "labels": {"vi": "Số điện thoại", "en": "Phone"}, "type": "phone",
        "position": 2, "required": True, "unique": True, "writable": True, "importable": True, "filterable": True,
        "sortable": False, "choices": None, "is_attribute": False, "attribute_id": None, "version": 1,
    }  # fmt: skip
    made = (await workspace.admin.get("/api/v1/attributes")).json()["items"][0]
    assert found["attributes.han_muc"] | {
        "label": "Hạn mức", "type": "money", "position": 14, "required": False, "filterable": True, "sortable": True,
        "is_attribute": True, "attribute_id": made["id"], "version": 1,
    } == found["attributes.han_muc"]  # fmt: skip
    assert [key for key, field in found.items() if field["sortable"] and not field["is_attribute"]] == [
        "name", "birthday", "code", "created_at", "updated_at", "score", "stars",
    ]  # fmt: skip
    assert [key for key, field in found.items() if not field["writable"]] == [
        field.key for field in sorted(SYSTEM, key=in_order)
    ]
    assert (await fields(workspace, **{"Accept-Language": "en"}))["phone"]["label"] == "Phone"


async def test_what_a_list_filters_and_sorts_by_is_what_the_fields_say(workspace: Workspace) -> None:
    await attribute(workspace.admin, "Hạn mức", "money")
    await attribute(workspace.admin, "Tiểu sử", "long_text")
    for key, field in (await fields(workspace)).items():
        sorted_by = await workspace.admin.get(CUSTOMERS, params={"sort": key})
        assert (sorted_by.status_code == 200) == field["sortable"], key
        if field["filterable"]:
            assert (await workspace.admin.get(CUSTOMERS, params={key: ""})).status_code == 200, key


async def test_no_filter_of_any_field_is_a_fault(workspace: Workspace) -> None:
    await attribute(workspace.admin, "Hạn mức", "money")
    await attribute(workspace.admin, "Tiểu sử", "long_text")
    await add(workspace.admin, attributes={"han_muc": 5})
    for key, field in (await fields(workspace)).items():
        choice = field["choices"][0]["value"] if field["choices"] else "2026-01-01"
        for end in ("", "__from", "__to"):
            for value in (" ", "\u200b", "x", "1", choice):
                reply = await workspace.admin.get(CUSTOMERS, params={key + end: value})
                assert reply.status_code in (200, 422), (key, end, value, reply.text)


async def test_a_day_is_vietnams(workspace: Workspace) -> None:
    made = await add(workspace.admin)
    day = (datetime.fromisoformat(made["created_at"]) + timedelta(hours=7)).date()
    for params, count in (
        ({"created_at": day}, 1),
        ({"created_at__from": day}, 1),
        ({"created_at__to": day}, 1),
        ({"created_at__from": day + timedelta(days=1)}, 0),
        ({"created_at__to": day - timedelta(days=1)}, 0),
    ):
        told = {key: value.isoformat() for key, value in params.items()}
        reply = await workspace.admin.get(CUSTOMERS, params=told)
        assert len(reply.json()["items"]) == count, (params, reply.text)


async def test_choices_are_values_with_labels(workspace: Workspace) -> None:
    sale = await workspace.person("sale", username="lan.nt", full_name="Nguyễn Thị Lan")
    await attribute(workspace.admin, "Mức", "choice", choices=["Thấp", "Cao"])
    await attribute(workspace.admin, "Người giới thiệu", "person")
    await workspace.admin.post("/api/v1/groups", json={"name": "Khách VIP"})
    found = await fields(workspace)
    assert found["gender"]["choices"] == [
        {"value": "male", "label": "Nam"}, {"value": "female", "label": "Nữ"}, {"value": "other", "label": "Khác"},
    ]  # fmt: skip
    assert found["customer_type"]["choices"][1] == {"value": "Doanh nghiệp", "label": "Doanh nghiệp"}
    assert found["relationship"]["choices"][0]["value"] == "Mới"
    assert found["groups"]["choices"] == [{"value": "Khách VIP", "label": "Khách VIP"}]
    assert found["attributes.muc"]["choices"] == [{"value": "Thấp", "label": "Thấp"}, {"value": "Cao", "label": "Cao"}]
    assert {"value": "lan.nt", "label": "Nguyễn Thị Lan"} in found["owner"]["choices"]
    assert {"value": str(sale.id), "label": "Nguyễn Thị Lan"} in found["attributes.nguoi_gioi_thieu"]["choices"]
    assert len(found["province"]["choices"]) == 34
    assert found["note"]["choices"] is None
    english = await fields(workspace, **{"Accept-Language": "en"})
    assert [choice["label"] for choice in english["gender"]["choices"]] == ["Male", "Female", "Other"]


async def test_every_choice_is_accepted_as_it_is_told(workspace: Workspace) -> None:
    await attribute(workspace.admin, "Người giới thiệu", "person")
    body: dict[str, Any] = {}
    for key, field in (await fields(workspace)).items():
        if field["choices"] and field["writable"] and not field["is_attribute"]:
            body[key] = field["choices"][-1]["value"]
    person = (await fields(workspace))["attributes.nguoi_gioi_thieu"]["choices"][0]["value"]
    made = await add(workspace.admin, attributes={"nguoi_gioi_thieu": person}, **body)
    assert {key: made[key] for key in body} == body
    assert made["attributes"] == {"nguoi_gioi_thieu": person}


@pytest.mark.feature("B016", "A075")
async def test_a_workspace_orders_its_fields_and_says_which_it_needs(workspace: Workspace) -> None:
    made = await attribute(workspace.admin, "Hạn mức", "money", position=2)
    assert (await workspace.admin.patch(f"{PATH}/birthday", json={"required": True})).status_code == 428
    first = await change(workspace, "birthday", 1, required=True)
    assert first.status_code == 200, first.text
    assert first.headers["etag"] == '"2"'
    assert (first.json()["required"], first.json()["position"], first.json()["version"]) == (True, 4, 2)
    second = await change(workspace, "birthday", 2, position=0)
    assert (second.json()["required"], second.json()["position"], second.json()["version"]) == (True, 0, 3)
    assert (await change(workspace, "birthday", 2, position=1)).status_code == 412
    assert (await change(workspace, "email", 2, position=1)).status_code == 412
    assert (await change(workspace, "birthday", 3, position=0)).headers["etag"] == '"3"'
    found = await fields(workspace)
    assert list(found)[:4] == ["birthday", "name", "attributes.han_muc", "phone"]
    assert found["birthday"] == second.json()

    refused = await workspace.admin.post(CUSTOMERS, json={"name": "A", "phone": "0912345678"})
    assert [(error["field"], error["message"]) for error in refused.json()["errors"]] == [
        ("birthday", "Ngày sinh là bắt buộc")
    ]
    await add(workspace.admin, birthday="1990-01-02")

    moved = await change(workspace, "attributes.han_muc", made["version"], position=50, required=True)
    assert (moved.json()["position"], moved.json()["required"], moved.json()["version"]) == (50, True, 2)
    assert (await workspace.admin.get(f"/api/v1/attributes/{made['id']}")).json()["position"] == 50


async def test_name_or_phone_stays_required(workspace: Workspace) -> None:
    assert (await change(workspace, "phone", 1, required=False)).status_code == 200
    refused = await change(workspace, "name", 1, required=False)
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["code"] == "identity_required"
    nameless = await workspace.admin.post(CUSTOMERS, json={"phone": "0912345678"})
    assert nameless.json()["errors"][0]["field"] == "name"
    for _ in range(2):
        made = await workspace.admin.post(CUSTOMERS, json={"name": "Không số"})
        assert made.status_code == 201, made.text
        assert made.json()["phone"] is None
    assert (await change(workspace, "phone", 2, required=True)).status_code == 200
    assert (await change(workspace, "name", 1, required=False)).status_code == 200
    assert (await workspace.admin.post(CUSTOMERS, json={"phone": "0912345678"})).json()["name"] == ""


async def test_two_at_once_cannot_free_both(workspace: Workspace) -> None:
    replies = await asyncio.gather(*(change(workspace, key, 1, required=False) for key in ("name", "phone")))
    assert sorted(reply.status_code for reply in replies) == [200, 422]


async def test_ten_at_once_change_a_field_once(workspace: Workspace) -> None:
    replies = await asyncio.gather(*(change(workspace, "email", 1, position=n) for n in range(20, 30)))
    assert sorted(reply.status_code for reply in replies) == [200] + [412] * 9


@pytest.mark.parametrize(
    ("key", "given", "status", "code"),
    [
        ("code", {"position": 1}, 404, "not_found"),
        ("luong", {"position": 1}, 404, "not_found"),
        ("attributes.luong", {"position": 1}, 404, "not_found"),
        ("owner", {"required": True}, 422, "required_fixed"),
        ("groups", {"required": True}, 422, "required_fixed"),
        ("email", {"required": None}, 422, "bool_type"),
        ("email", {"position": -1}, 422, "greater_than_equal"),
        ("email", {"label": "Thư"}, 422, "extra_forbidden"),
    ],
)
async def test_a_bad_change_is_refused(
    workspace: Workspace, key: str, given: dict[str, Any], status: int, code: str
) -> None:
    reply = await change(workspace, key, 1, **given)
    assert reply.status_code == status, reply.text
    problem = reply.json()
    assert code in (problem["code"], *(error["code"] for error in problem["errors"]))


async def test_assignable_fields_may_move(workspace: Workspace) -> None:
    assert (await change(workspace, "owner", 1, position=0)).status_code == 200
    assert next(iter(await fields(workspace))) == "owner"


async def test_everybody_reads_the_fields_and_few_change_them(workspace: Workspace) -> None:
    sale = await workspace.person("sale")
    assert (await sale.client.get(PATH)).json() == (await workspace.admin.get(PATH)).json()
    reply = await sale.client.patch(f"{PATH}/email", json={"required": True}, headers={"If-Match": '"1"'})
    assert reply.status_code == 403
