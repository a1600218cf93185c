"""Fields that a workspace adds while the product runs."""

from typing import Any
from uuid import uuid4

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from app.core.events import Event
from app.core.fields import ATTRIBUTE_TYPES
from app.customers import attributes
from tests.conftest import MakeWorkspace
from tests.customers.test_customers import PATH as CUSTOMERS
from tests.customers.test_customers import add
from tests.customers.test_list import names
from tests.factories.people import Workspace

PATH = "/api/v1/attributes"


async def attribute(client: httpx.AsyncClient, name: str = "Hạn mức", type_: str = "money", **more: Any) -> Any:
    """An attribute added over HTTP."""
    reply = await client.post(PATH, json={"name": name, "type": type_, **more})
    assert reply.status_code == 201, reply.text
    return reply.json()


async def change(client: httpx.AsyncClient, made: dict[str, Any], **fields: Any) -> httpx.Response:
    """A PATCH of the attribute as it was read."""
    return await client.patch(f"{PATH}/{made['id']}", json=fields, headers={"If-Match": f'"{made["version"]}"'})


async def people(workspace: Workspace, key: str, *values: Any) -> list[str]:
    """The ids of customers N0, N1, … with these values of an attribute."""
    return [
        (await add(workspace.admin, name=f"N{n}", phone=f"09123456{n:02}", attributes={key: value}))["id"]
        for n, value in enumerate(values)
    ]


@pytest.mark.feature("A074")
async def test_an_attribute_lives_and_dies(workspace: Workspace) -> None:
    reply = await workspace.admin.post(PATH, json={"name": "  Hạn   mức ", "type": "money"})
    assert reply.status_code == 201
    made = reply.json()
    assert made | {
        "key": "han_muc", "name": "Hạn mức", "type": "money", "position": 14, "required": False, "unique": False,
        "choices": [], "filterable": True, "version": 1,
    } == made  # fmt: skip
    assert reply.headers["etag"] == '"1"'
    one = reply.headers["location"]
    assert (await workspace.admin.get(one)).json() == made
    assert (await workspace.admin.patch(one, json={"name": "x"})).status_code == 428
    changed = await change(workspace.admin, made, name="Hạn mức tín dụng", position=3, required=True)
    assert changed.status_code == 200
    assert changed.headers["etag"] == '"2"'
    assert changed.json() | {"key": "han_muc", "name": "Hạn mức tín dụng", "position": 3, "required": True} == (
        changed.json()
    )
    assert (await change(workspace.admin, made, name="x")).status_code == 412
    assert (await change(workspace.admin, changed.json(), position=3)).headers["etag"] == '"2"'
    assert (await workspace.admin.get(PATH)).json()["items"] == [changed.json()]
    assert (await workspace.admin.delete(one)).status_code == 428
    assert (await workspace.admin.delete(one, headers={"If-Match": '"1"'})).status_code == 412
    assert (await workspace.admin.delete(one, headers={"If-Match": '"2"'})).status_code == 204
    assert (await workspace.admin.get(one)).status_code == 404
    assert (await workspace.admin.get(PATH)).json() == {"items": [], "next_cursor": None, "count": 0}


VALUES: dict[str, tuple[Any, Any, Any]] = {
    "text": (" Kỹ sư  cầu đường ", "Kỹ sư cầu đường", 5),
    "long_text": ("a\nb", "a\nb", None),
    "integer": ("1200", 1200, "1,5"),
    "decimal": ("1,5", 1.5, "một"),
    "money": ("5 triệu", 5_000_000, "nhiều"),
    "date": ("05/03/1990", "1990-03-05", "31/02/1990"),
    "datetime": ("2026-01-02T10:00:00+07:00", "2026-01-02T03:00:00Z", "hôm qua"),
    "boolean": ("Có", True, "có lẽ"),
    "choice": ("cao", "Cao", "Rất cao"),
    "choices": (["cao", "THAP"], ["Cao", "Thấp"], ["Cao", "Trời"]),
    "phone": ("0912 345 678", "+84912345678", "12"),
    "email": ("A@Example.com", "a@example.com", "a@"),
    "link": ("example.com/a", "https://example.com/a", "không"),
}


@pytest.mark.feature("A074", "A075")
@pytest.mark.parametrize("type_", VALUES)
async def test_every_type_is_at_once_accepted_kept_and_checked(workspace: Workspace, type_: str) -> None:
    sent, kept, bad = VALUES[type_]
    early = await workspace.admin.post(
        CUSTOMERS, json={"name": "A", "phone": "0912345678", "attributes": {"moi": sent}}
    )
    assert early.json()["errors"][0]["code"] == "field_unknown"
    await attribute(workspace.admin, "Mới", type_, choices=["Thấp", "Cao"] if type_.startswith("choice") else [])
    made = await add(workspace.admin, attributes={"moi": sent})
    assert made["attributes"] == {"moi": kept}
    listed = (await workspace.admin.get(CUSTOMERS)).json()["items"]
    assert listed == [made]
    if bad is not None and type_ != "text":
        refused = await workspace.admin.post(
            CUSTOMERS, json={"name": "B", "phone": "0912345679", "attributes": {"moi": bad}}
        )
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["field"] == "attributes.moi"
    cleared = await workspace.admin.patch(
        f"{CUSTOMERS}/{made['id']}", json={"attributes": {"moi": None}}, headers={"If-Match": '"1"'}
    )
    assert cleared.json()["attributes"] == {}


async def test_every_type_of_an_attribute_is_tried_above() -> None:
    assert VALUES.keys() | {"person"} == ATTRIBUTE_TYPES.keys()


async def test_a_person_is_named_by_username_and_kept_by_id(workspace: Workspace) -> None:
    await attribute(workspace.admin, "Người giới thiệu", "person")
    sale = await workspace.person("sale", username="lan.nt", full_name="Nguyễn Thị Lan")
    for typed in ("LAN.NT", "nguyen thi lan", str(sale.id)):
        made = await add(workspace.admin, attributes={"nguoi_gioi_thieu": typed})
        assert made["attributes"] == {"nguoi_gioi_thieu": str(sale.id)}
        await workspace.admin.delete(f"{CUSTOMERS}/{made['id']}", headers={"If-Match": '"1"'})


@pytest.mark.feature("A075")
@pytest.mark.parametrize(
    ("type_", "values", "params", "expected"),
    [
        ("money", [1_000_000, 5_000_000, 9_000_000, None], {"": "5.000.000"}, ["N1"]),
        ("money", [1_000_000, 5_000_000, 9_000_000, None], {"__from": "2000000", "__to": "5 triệu"}, ["N1"]),
        ("money", [1_000_000, None], {"": ""}, ["N1"]),
        ("integer", [3, 20, 100], {"__from": "20"}, ["N2", "N1"]),
        ("decimal", [0.5, 1.25], {"__to": "0,5"}, ["N0"]),
        ("date", ["2026-01-01", "2026-01-02", "2026-01-03"], {"": "02/01/2026"}, ["N1"]),
        ("date", ["2026-01-01", "2026-01-02", "2026-01-03"], {"__from": "2026-01-02"}, ["N2", "N1"]),
        ("datetime", ["2026-01-01T23:30:00+07:00", "2026-01-02T00:30:00+07:00"], {"": "2026-01-02"}, ["N1"]),
        ("datetime", ["2026-01-01T23:30:00+07:00", "2026-01-02T00:30:00+07:00"], {"__to": "01/01/2026"}, ["N0"]),
        ("boolean", [True, False, None], {"": "Không"}, ["N1"]),
        ("text", ["Kỹ sư", "Bác sĩ"], {"": "Bác sĩ"}, ["N1"]),
        ("choice", ["Cao", "Thấp"], {"": "thap"}, ["N1"]),
        ("choices", [["Cao"], ["Cao", "Thấp"], None], {"": "Thấp"}, ["N1"]),
        ("email", ["a@example.com", "b@example.com"], {"": "B@example.com"}, ["N1"]),
        ("phone", ["0912345678", "0912345679"], {"": "+84912345679"}, ["N1"]),
    ],
)
async def test_an_attribute_filters(
    workspace: Workspace, type_: str, values: list[Any], params: dict[str, str], expected: list[str]
) -> None:
    await attribute(workspace.admin, "Mới", type_, choices=["Thấp", "Cao"] if type_.startswith("choice") else [])
    await people(workspace, "moi", *values)
    assert await names(workspace, **{f"attributes.moi{end}": value for end, value in params.items()}) == expected
    assert await names(workspace, **{f"moi{end}": value for end, value in params.items()}) == expected


@pytest.mark.parametrize(
    ("type_", "values"),
    [
        ("money", [5, None, 100, 20, None]),
        ("date", ["2026-01-02", None, "2026-03-01", "2026-02-01", None]),
        ("text", ["a", None, "c", "b", None]),
    ],
)
async def test_an_attribute_sorts_through_every_page(workspace: Workspace, type_: str, values: list[Any]) -> None:
    await attribute(workspace.admin, "Mới", type_)
    await people(workspace, "moi", *values)
    down = await names(workspace, sort="-attributes.moi", limit=2)
    assert down == ["N2", "N3", "N0", "N4", "N1"]
    assert await names(workspace, sort="attributes.moi", limit=2) == down[::-1]


@pytest.mark.parametrize(
    ("type_", "params"),
    [
        ("long_text", {"sort": "attributes.moi"}),
        ("choices", {"attributes.moi__from": "Cao"}),
        ("integer", {"attributes.moi": "nhiều"}),
        ("choice", {"attributes.moi": "Trời"}),
        ("integer", {"attributes.moi__near": "1"}),
    ],
)
async def test_a_question_that_a_type_cannot_answer_is_refused(
    workspace: Workspace, type_: str, params: dict[str, str]
) -> None:
    await attribute(workspace.admin, "Mới", type_, choices=["Thấp", "Cao"] if type_.startswith("choice") else [])
    assert (await workspace.admin.get(CUSTOMERS, params=params)).status_code == 422


@pytest.mark.parametrize(
    ("fields", "field", "code"),
    [
        ({"renamed": {"Trời": "Đất"}}, "renamed", "choice_unknown"),
        ({"renamed": {"Thấp": "Cao"}}, "renamed", "choice_exists"),
        ({"renamed": {"Thấp": "A", "Cao": "A"}}, "renamed", "choice_exists"),
        ({"renamed": {"Thấp": "A"}, "choices": ["Cao"]}, "renamed", "choice_unknown"),
        ({"choices": []}, "choices", "choices_required"),
        ({"choices": ["Cao", "cao"]}, "choices", "choice_repeated"),
        ({"unique": True}, "unique", "unique_not_allowed"),
        ({"type": "text"}, "type", "type_immutable"),
        ({"key": "khac"}, "key", "extra_forbidden"),
        ({"name": None}, "name", "string_type"),
    ],
)
async def test_a_bad_change_is_refused(workspace: Workspace, fields: dict[str, Any], field: str, code: str) -> None:
    made = await attribute(workspace.admin, "Mức", "choice", choices=["Thấp", "Cao"])
    reply = await change(workspace.admin, made, **fields)
    assert reply.status_code == 422, reply.text
    assert [(error["field"], error["code"]) for error in reply.json()["errors"]] == [(field, code)]
    assert (await workspace.admin.get(PATH)).json()["items"] == [made]


async def test_the_refusal_of_another_type_says_what_to_do(workspace: Workspace) -> None:
    made = await attribute(workspace.admin)
    reply = await change(workspace.admin, made, type="text")
    assert reply.json()["errors"][0]["message"] == "Không thể đổi loại của thuộc tính; hãy thêm một thuộc tính mới"
    assert (await change(workspace.admin, made, type="money", position=2)).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "field", "code"),
    [
        ({"name": "", "type": "text"}, 422, "name", "string_too_short"),
        ({"name": "\u200b", "type": "text"}, 422, "name", "missing"),
        ({"name": "x" * 101, "type": "text"}, 422, "name", "string_too_long"),
        ({"type": "text"}, 422, "name", "missing"),
        ({"name": "Mới"}, 422, "type", "missing"),
        ({"name": "Mới", "type": "gender"}, 422, "type", "literal_error"),
        ({"name": "Mới", "type": "choice"}, 422, "choices", "choices_required"),
        ({"name": "Mới", "type": "text", "choices": ["A"]}, 422, "choices", "choices_not_allowed"),
        ({"name": "Mới", "type": "choices", "choices": ["A, B"]}, 422, "choices", "choice_separator"),
        ({"name": "Mới", "type": "date", "unique": True}, 422, "unique", "unique_not_allowed"),
        ({"name": "Mới", "type": "text", "key": "Mới"}, 422, "key", "key_invalid"),
        ({"name": "Mới", "type": "text", "key": "a__b"}, 422, "key", "key_invalid"),
        ({"name": "Mới", "type": "text", "key": "phone"}, 409, "key", "attribute_key_taken"),
        ({"name": "Mới", "type": "text", "key": "limit"}, 409, "key", "attribute_key_taken"),
        ({"name": "Mới", "type": "text", "key": "han_muc"}, 409, "key", "attribute_key_taken"),
        ({"name": "HẠN mức", "type": "text"}, 409, "name", "attribute_name_taken"),
        ({"name": "Số  điện thoại", "type": "text"}, 409, "name", "attribute_name_taken"),
    ],
)
async def test_a_bad_attribute_is_refused(
    workspace: Workspace, body: dict[str, Any], status: int, field: str, code: str
) -> None:
    await attribute(workspace.admin)
    reply = await workspace.admin.post(PATH, json=body)
    assert reply.status_code == status, reply.text
    assert [(error["field"], error["code"]) for error in reply.json()["errors"]] == [(field, code)]
    if code == "attribute_name_taken":
        assert reply.json()["detail"] == "Tên thuộc tính đã tồn tại"


@pytest.mark.feature("A074")
async def test_a_choice_cannot_take_anothers_name_in_another_case(workspace: Workspace) -> None:
    made = await attribute(workspace.admin, "Mức", "choice", choices=["Cao", "Thấp"])
    refused = await change(workspace.admin, made, renamed={"Thấp": "cao"})
    assert [(one["field"], one["code"]) for one in refused.json()["errors"]] == [("renamed", "choice_exists")]
    swapped = await change(workspace.admin, made, renamed={"Thấp": "THẤP"})
    assert swapped.json()["choices"] == ["Cao", "THẤP"]


async def test_keys_are_made_from_names_and_never_given_twice(workspace: Workspace) -> None:
    made = await attribute(workspace.admin, "Đơn hàng – 2026 (triệu)")
    assert made["key"] == "don_hang_2026_trieu"
    await workspace.admin.delete(f"{PATH}/{made['id']}", headers={"If-Match": '"1"'})
    assert (await attribute(workspace.admin, "Đơn hàng – 2026 (triệu)"))["key"] == "don_hang_2026_trieu_2"
    assert (await attribute(workspace.admin, "Ghi chú 2", key="ghi_chu"))["key"] == "ghi_chu"
    assert (await attribute(workspace.admin, "客户"))["key"] == "thuoc_tinh"
    assert (await attribute(workspace.admin, "Position 1", key=None))["key"] == "position_1"


@given(st.text(max_size=100), st.frozensets(st.sampled_from(["ten", "ten_2", "thuoc_tinh", "a" * 40]), max_size=4))
def test_a_key_is_always_new_and_well_formed(name: str, taken: frozenset[str]) -> None:
    for one in (name, "Tên", "a" * 100):
        key = attributes.key_from(one, taken)
        assert attributes.KEY.fullmatch(key)
        assert len(key) <= attributes.MAX_KEY
        assert key not in taken


async def test_every_change_is_an_event(workspace: Workspace) -> None:
    made = await attribute(workspace.admin, "Mức", "text")
    changed = (await change(workspace.admin, made, name="Mức độ", unique=True)).json()
    await workspace.admin.delete(f"{PATH}/{made['id']}", headers={"If-Match": f'"{changed["version"]}"'})
    async with workspace.resources.db.transaction(workspace.id) as session:
        events = await session.scalars(select(Event).where(Event.subject_id == made["id"]).order_by(Event.id))
        told = [(event.kind, event.changes, event.data) for event in events]
    assert told == [
        ("attribute.created", {}, {"key": "muc", "name": "Mức", "type": "text"}),
        ("attribute.updated", {"name": ["Mức", "Mức độ"], "is_unique": [False, True]}, {}),
        ("attribute.deleted", {}, {"key": "muc", "name": "Mức độ"}),
    ]


async def test_only_who_configures_changes_attributes(workspace: Workspace) -> None:
    made = await attribute(workspace.admin)
    sale = await workspace.person("sale")
    assert (await sale.client.get(PATH)).json()["items"] == [made]
    assert (await sale.client.get(f"{PATH}/{made['id']}")).status_code == 200
    for reply in (
        await sale.client.post(PATH, json={"name": "x", "type": "text"}),
        await change(sale.client, made, name="x"),
        await sale.client.delete(f"{PATH}/{made['id']}", headers={"If-Match": '"1"'}),
    ):
        assert reply.status_code == 403
        assert "cài đặt CRM" in reply.json()["detail"]


async def test_another_workspaces_attribute_does_not_exist(workspace: Workspace, new_workspace: MakeWorkspace) -> None:
    other = await new_workspace()
    foreign = await attribute(other.admin)
    for made in (foreign, foreign | {"id": str(uuid4())}):
        for reply in (
            await workspace.admin.get(f"{PATH}/{made['id']}"),
            await change(workspace.admin, made, name="x"),
            await workspace.admin.delete(f"{PATH}/{made['id']}", headers={"If-Match": '"1"'}),
        ):
            assert (reply.status_code, reply.json()["code"]) == (404, "not_found")
    refused = await workspace.admin.post(
        CUSTOMERS, json={"name": "A", "phone": "0912345678", "attributes": {"han_muc": 1}}
    )
    assert refused.json()["errors"][0]["code"] == "field_unknown"
    assert (await attribute(workspace.admin))["key"] == "han_muc"
    await other.aclose()


async def test_there_is_an_end_to_attributes(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attributes, "LIMIT", 2)
    await attribute(workspace.admin, "Một")
    await attribute(workspace.admin, "Hai")
    reply = await workspace.admin.post(PATH, json={"name": "Ba", "type": "text"})
    assert (reply.status_code, reply.json()["code"]) == (409, "too_many_attributes")
