"""The whole customer: its further fields, kinds and referrer."""

from typing import Any

import pytest

from tests.customers.test_customers import PATH, add
from tests.factories.people import Workspace

COMPANY: dict[str, Any] = {
    "name": "Công ty TNHH Hoa Sen",
    "phone": "02873001234",
    "kind": "công ty",
    "tax_code": "0101248141",
    "fax": "028 7300 1235",
    "registered_address": "1 Lê Lợi, Quận 1",
    "office_address": "2 Nguyễn Huệ, Quận 1",
    "country": "Việt Nam",
    "district": "Quận 1",
    "ward": "Bến Nghé",
    "website": "hoasen.example.com",
    "founded_on": "05/03/2001",
    "note": "Khách lâu năm",
}


@pytest.mark.feature("D035", "B004", "E001")
async def test_a_company_keeps_its_further_fields(workspace: Workspace) -> None:
    made = await add(workspace.admin, **COMPANY)
    kept = {
        "kind": "company", "fax": "+842873001235", "registered_address": "1 Lê Lợi, Quận 1",
        "office_address": "2 Nguyễn Huệ, Quận 1", "country": "Việt Nam", "district": "Quận 1", "ward": "Bến Nghé",
        "website": "https://hoasen.example.com", "founded_on": "2001-03-05", "code": "KH000001",
    }  # fmt: skip
    assert {key: made[key] for key in kept} == kept
    assert (await workspace.admin.get(f"{PATH}/{made['id']}")).json() == made
    assert (await workspace.admin.get(PATH)).json()["items"] == [made]
    person = await add(workspace.admin)
    assert person["kind"] == "individual"
    for key, value in {**kept, "kind": "company"}.items():
        page = (await workspace.admin.get(PATH, params={key: value})).json()
        assert [one["id"] for one in page["items"]] == [made["id"]], key
    early = await workspace.admin.get(PATH, params={"founded_on__to": "2001-12-31"})
    assert [one["id"] for one in early.json()["items"]] == [made["id"]]


@pytest.mark.feature("B008", "B009", "C004")
async def test_one_cell_changes_under_the_lock(workspace: Workspace) -> None:
    made = await add(workspace.admin, **COMPANY)
    url = f"{PATH}/{made['id']}"
    changed = await workspace.admin.patch(url, json={"ward": "Bến Thành"}, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.json()["ward"], changed.json()["version"]) == (200, "Bến Thành", 2)
    assert changed.json() | {"ward": "Bến Nghé", "version": 1, "updated_at": made["updated_at"]} == made
    stale = await workspace.admin.patch(url, json={"ward": "Khác"}, headers={"If-Match": '"1"'})
    assert stale.status_code == 412
    cleared = await workspace.admin.patch(
        url, json={"kind": None, "website": None, "founded_on": None}, headers={"If-Match": '"2"'}
    )
    assert [cleared.json()[key] for key in ("kind", "website", "founded_on")] == ["individual", None, None]
    [last, *_] = (await workspace.admin.get(f"{url}/events")).json()["items"]
    assert last["changes"]["founded_on"] == ["2001-03-05", None]
    assert last["changes"]["kind"] == ["company", "individual"]


async def test_the_list_shows_what_was_added_last_first(workspace: Workspace) -> None:
    first = await add(workspace.admin)
    second = await add(workspace.admin, phone="0987654321", kind="lead")
    page = (await workspace.admin.get(PATH, params={"fields": "kind,name"})).json()["items"]
    assert [(one["id"], one["kind"]) for one in page] == [(second["id"], "lead"), (first["id"], "individual")]


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("kind", "mèo", "choice_unknown"),
        ("fax", "12", "phone_invalid"),
        ("website", "không phải", "link_invalid"),
        ("founded_on", "31/02/2001", "date_invalid"),
        ("referrer", "KH999999", "referrer_unknown"),
        ("referrer", "01a00000-0000-7000-8000-000000000000", "referrer_unknown"),
        ("referrer_user", "khong.co", "choice_unknown"),
    ],
)
async def test_wrong_values_are_named(workspace: Workspace, field: str, value: str, code: str) -> None:
    reply = await workspace.admin.post(PATH, json={"name": "A", "phone": "0912345678", field: value})
    assert reply.status_code == 422, reply.text
    assert [(one["field"], one["code"]) for one in reply.json()["errors"]] == [(field, code)]


@pytest.mark.feature("B006")
async def test_a_customer_or_an_employee_refers(workspace: Workspace) -> None:
    friend = await add(workspace.admin, name="Bạn cũ")
    sale = await workspace.person("sale", username="lan.nt", full_name="Nguyễn Thị Lan")
    made = await add(workspace.admin, phone="0987654321", referrer=friend["code"])
    assert (made["referrer"], made["referrer_name"], made["referrer_user"]) == (friend["id"], "Bạn cũ", None)
    url = f"{PATH}/{made['id']}"
    moved = await workspace.admin.patch(url, json={"referrer_user": "lan.nt"}, headers={"If-Match": '"1"'})
    shown = moved.json()
    assert (shown["referrer"], shown["referrer_name"], shown["referrer_user"]) == (None, "Nguyễn Thị Lan", "lan.nt")
    found = await workspace.admin.get(PATH, params={"referrer_user": str(sale.id)})
    assert [one["id"] for one in found.json()["items"]] == [made["id"]]
    itself = await workspace.admin.patch(url, json={"referrer": made["id"]}, headers={"If-Match": '"2"'})
    assert itself.json()["errors"][0]["code"] == "referrer_unknown"
    both = await workspace.admin.patch(
        url, json={"referrer": friend["id"], "referrer_user": "lan.nt"}, headers={"If-Match": '"2"'}
    )
    assert both.json()["errors"][0]["code"] == "referrer_twice"


@pytest.mark.feature("B016")
async def test_a_further_field_joins_the_form_once_it_has_a_place(workspace: Workspace) -> None:
    fields = (await workspace.admin.get("/api/v1/fields")).json()["items"]
    keys = [one["key"] for one in fields]
    assert keys.index("note") < keys.index("kind") < keys.index("founded_on") < keys.index("owner")
    assert next(one for one in fields if one["key"] == "kind")["choices"] == [
        {"value": "lead", "label": "Khách hàng tiềm năng"}, {"value": "individual", "label": "Cá nhân"},
        {"value": "company", "label": "Công ty"},
    ]  # fmt: skip
    moved = await workspace.admin.patch(
        "/api/v1/fields/website", json={"position": 3, "required": True}, headers={"If-Match": '"1"'}
    )
    assert moved.status_code == 200, moved.text
    fields = (await workspace.admin.get("/api/v1/fields")).json()["items"]
    assert [one["key"] for one in fields][:4] == ["name", "phone", "email", "website"]
    refused = await workspace.admin.post(PATH, json={"name": "A", "phone": "0912345678"})
    assert [(one["field"], one["code"]) for one in refused.json()["errors"]] == [("website", "required")]


@pytest.mark.feature("C001")
async def test_tabs_are_the_guides_the_workspaces_or_ones_own(workspace: Workspace) -> None:
    sale = await workspace.person("sale")
    mine, ours = "/api/v1/me/tabs/customers", "/api/v1/tabs/customers"
    first = (await sale.client.get(mine)).json()
    assert first["source"] == "default"
    assert [one["label"] for one in first["items"]][:10] == [
        "Liên hệ khách hàng", "Công việc", "Phản hồi", "Loyalty", "Đơn hàng", "Marketing", "Mã khuyến mãi",
        "Cơ hội KD", "Khách hàng trùng SĐT", "Đơn hàng trùng SĐT",
    ]  # fmt: skip
    tabs = {"tabs": ["orders", "contacts"]}
    assert (await sale.client.put(ours, json=tabs, headers={"If-Match": '"1"'})).status_code == 403
    assert (await workspace.admin.put(ours, json=tabs, headers={"If-Match": '"1"'})).status_code == 200
    seen = (await sale.client.get(mine)).json()
    assert (seen["source"], [one["key"] for one in seen["items"] if one["shown"]]) == ("workspace", tabs["tabs"])
    own = await sale.client.put(mine, json={"tabs": ["timeline"]}, headers={"If-Match": '"1"'})
    assert (own.json()["source"], own.headers["etag"]) == ("mine", '"2"')
    assert (await sale.client.put(mine, json=tabs, headers={"If-Match": '"1"'})).status_code == 412
    assert (await workspace.admin.get(mine)).json()["source"] == "workspace"
    for wrong in (["sao"], ["orders", "orders"], []):
        assert (await sale.client.put(mine, json={"tabs": wrong}, headers={"If-Match": '"2"'})).status_code == 422
