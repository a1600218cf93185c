"""Customers by a filter, over HTTP, feature by feature."""

import operator
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import asyncpg
import pytest

from app.core.clock import today
from app.core.settings import Settings
from tests.factories.people import Workspace

API = "/api/v1"


async def post(workspace: Workspace, path: str, **body: Any) -> dict[str, Any]:
    """A POST of the administrator's that succeeds."""
    reply = await workspace.admin.post(f"{API}{path}", json=body)
    assert reply.is_success, reply.text
    made: dict[str, Any] = reply.json()
    return made


async def names(workspace: Workspace, tree: Any, **more: Any) -> set[str]:
    """The names of those whom a filter finds, page by page; the count says the same."""
    found, cursor = list[str](), None
    while True:
        page = await post(workspace, "/customers/search", filter=tree, limit=2, cursor=cursor, **more)
        found += [one["name"] for one in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(found) == len(set(found))
    counted = await post(workspace, "/customers/count", filter=tree, exact=True, q=more.get("q"))
    assert counted == {"count": len(found), "capped": False}
    return set(found)


def leaf(field: str, op: str, value: Any = None) -> dict[str, Any]:
    """One condition."""
    return {"field": field, "op": op, "value": value}


@pytest.fixture
async def crowd(workspace: Workspace) -> dict[str, str]:
    """Five customers; their ids by name."""
    for name in ("15-25", "Miền Bắc"):
        await post(workspace, "/groups", name=name, description="nhóm để thử")
    await workspace.person("sale", username="mai", full_name="Phạm Thị Mai")
    rows: list[dict[str, Any]] = [
        {"name": "Nguyễn Văn Hòa", "phone": "0912345678", "email": "hoa@example.com", "owner": "mai",
         "groups": ["15-25", "Miền Bắc"], "province": "Hà Nội", "tax_code": "0101248141"},
        {"name": "Nguyen Van Hoa", "phone": "0912345679", "groups": ["15-25"], "birthday": "1990-05-17"},
        {"name": "Trần Thị Đào", "phone": "02873001234", "groups": ["Miền Bắc"], "source": "Zalo"},
        {"name": "Đặng Hoà Bình", "phone": "01629387331", "source": "Facebook", "office_address": "1 Lê Lợi",
         "country": "Việt Nam", "district": "Quận 1", "ward": "Bến Nghé", "website": "hoabinh.example.com"},
        {"name": "Lê Thị Lan", "phone": "0977000111", "source": "Facebook", "tags": ["Nóng"]},
    ]  # fmt: skip
    return {row["name"]: (await post(workspace, "/customers", **row))["id"] for row in rows}


@pytest.mark.feature("A086")
async def test_any_combination_of_fields(workspace: Workspace, crowd: dict[str, str]) -> None:
    tree = {"or": [leaf("source", "eq", "zalo"), {"and": [leaf("source", "eq", "Facebook"), leaf("tags", "is_empty")]}]}
    assert await names(workspace, tree) == {"Trần Thị Đào", "Đặng Hoà Bình"}
    assert await names(workspace, {"not": tree}) == {"Nguyễn Văn Hòa", "Nguyen Van Hoa", "Lê Thị Lan"}
    assert await names(workspace, None) == await names(workspace, {"and": []}) == set(crowd)
    assert await names(workspace, tree, q="dao") == {"Trần Thị Đào"}


@pytest.mark.feature("D001")
async def test_the_advanced_filter(workspace: Workspace, crowd: dict[str, str]) -> None:
    """By code or name, owner, phone, e-mail, and a criterion that holds within a period."""
    either = {"or": [leaf("code", "starts_with", "KH000003"), leaf("name", "contains", "hoa nguyen")]}
    assert await names(workspace, either) == {"Trần Thị Đào", "Nguyễn Văn Hòa", "Nguyen Van Hoa"}
    assert await names(workspace, leaf("owner", "eq", "mai")) == {"Nguyễn Văn Hòa"}
    assert await names(workspace, leaf("owner", "eq", "Phạm Thị Mai")) == {"Nguyễn Văn Hòa"}
    assert await names(workspace, leaf("owner", "ne", "me")) == {"Nguyễn Văn Hòa"}
    for typed in ("0912 345 678", "+84912345678", "84.912.345.678"):
        assert await names(workspace, leaf("phone", "eq", typed)) == {"Nguyễn Văn Hòa"}
    assert await names(workspace, leaf("phone", "ends_with", "5678")) == {"Nguyễn Văn Hòa"}
    assert await names(workspace, leaf("phone", "starts_with", "0912")) == {"Nguyễn Văn Hòa", "Nguyen Van Hoa"}
    assert await names(workspace, leaf("email", "eq", "HOA@example.com")) == {"Nguyễn Văn Hòa"}
    await contract(workspace, crowd["Lê Thị Lan"], value=10, signed_on="2026-03-15")
    in_march = {"op": "between", "value": ["2026-03-01", "31/03/2026"]}
    in_april = {"op": "between", "value": ["2026-04-01", "2026-04-30"]}
    assert await names(workspace, {"related": "contracts", "period": in_march}) == {"Lê Thị Lan"}
    assert await names(workspace, {"related": "contracts", "period": in_april}) == set()


async def contract(workspace: Workspace, customer_id: str, **more: Any) -> None:
    """A contract with a customer."""
    body = {"customer_id": customer_id, "number": f"HD {customer_id} {more}", "value": 0, **more}
    await post(workspace, "/contracts", **body)


@pytest.mark.feature("D002")
async def test_by_contracts(workspace: Workspace, crowd: dict[str, str]) -> None:
    await contract(workspace, crowd["Lê Thị Lan"], value=20_000_000)
    await contract(workspace, crowd["Lê Thị Lan"], value=30_000_000, state="cancelled")
    await contract(workspace, crowd["Trần Thị Đào"], value=5_000_000)
    others = set(crowd) - {"Lê Thị Lan", "Trần Thị Đào"}
    fact = {"related": "contracts"}
    assert await names(workspace, {**fact, "exists": False}) == others
    assert await names(workspace, {**fact, "sum": {"field": "value", "op": "between", "value": [1, "20.000.000"]}}) == {
        "Trần Thị Đào"
    }
    live = {"where": leaf("state", "ne", "cancelled")}
    big = {"field": "value", "op": "gte", "value": 20_000_000}
    assert await names(workspace, {**fact, **live, "sum": big}) == {"Lê Thị Lan"}
    assert await names(workspace, {**fact, "count": {"op": "eq", "value": 2}}) == {"Lê Thị Lan"}
    assert await names(workspace, {**fact, **live, "count": {"op": "lt", "value": 1}}) == others
    assert await names(workspace, {**fact, "last": {"op": "eq", "value": "today"}}) == {"Lê Thị Lan", "Trần Thị Đào"}


HOLDS: dict[str, Callable[[int, int], bool]] = {
    "eq": operator.eq, "ne": operator.ne, "gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le,
}  # fmt: skip


@pytest.mark.parametrize("op", HOLDS)
async def test_any_number_of_contracts(workspace: Workspace, crowd: dict[str, str], op: str) -> None:
    """Every comparison with every small number, counted as well as listed, and its complement."""
    had = dict.fromkeys(crowd, 0)
    for name in ("Lê Thị Lan", "Lê Thị Lan", "Trần Thị Đào"):
        await contract(workspace, crowd[name], value=1, note=str(had[name]))
        had[name] += 1
    for wanted in (0, 1, 2, 3):
        fact = {"related": "contracts", "count": {"op": op, "value": wanted}}
        expected = {name for name, count in had.items() if HOLDS[op](count, wanted)}
        assert await names(workspace, fact) == expected
        assert await names(workspace, {"not": fact}) == set(crowd) - expected
        said = await workspace.admin.post("/api/v1/filters/validate", json={"filter": {"and": [fact]}})
        assert (said.status_code, said.json()["count"]) == (200, len(expected)), said.text


@pytest.mark.feature("D003")
async def test_by_transactions(workspace: Workspace, crowd: dict[str, str]) -> None:
    kind = await post(workspace, "/transaction-types", name="Gặp ở quán", points=1)
    for name in ("Lê Thị Lan", "Lê Thị Lan", "Lê Thị Lan", "Trần Thị Đào"):
        await post(workspace, "/transactions", customer_id=crowd[name], type_id=kind["id"], name="Gặp")
    fact = {"related": "transactions"}
    assert await names(workspace, {**fact, "exists": False}) == set(crowd) - {"Lê Thị Lan", "Trần Thị Đào"}
    assert await names(workspace, fact) == {"Lê Thị Lan", "Trần Thị Đào"}
    assert await names(workspace, {**fact, "count": {"op": "lt", "value": 3}}) == set(crowd) - {"Lê Thị Lan"}
    for said in (kind["id"], "Gặp ở quán", "gap o quan"):
        typed = {**fact, "where": leaf("type", "eq", said), "count": {"op": "gte", "value": 2}}
        assert await names(workspace, typed) == {"Lê Thị Lan"}
        checked = await post(workspace, "/filters/validate", filter=typed)
        assert checked["sentence"] == "Số giao dịch có Loại giao dịch là “Gặp ở quán” từ 2"
    related = (await workspace.admin.get(f"{API}/filters/fields")).json()["related"]
    fields = next(one["fields"] for one in related if one["key"] == "transactions")
    choices = next(one["choices"] for one in fields if one["key"] == "type")
    assert {"value": "Gặp ở quán", "label": "Gặp ở quán"} in choices
    reply = await workspace.admin.patch(
        f"{API}/transaction-types/{kind['id']}", json={"name": "Cà phê"}, headers={"If-Match": '"1"'}
    )
    assert reply.is_success, reply.text
    assert await names(workspace, {**typed, "where": leaf("type", "eq", "ca phe")}) == {"Lê Thị Lan"}


@pytest.mark.feature("D005")
async def test_by_group_and_profile(workspace: Workspace, crowd: dict[str, str], settings: Settings) -> None:
    """Period of creation, addresses, group, birthday."""
    binh = {"Đặng Hoà Bình"}
    assert await names(workspace, leaf("office_address", "contains", "le loi")) == binh
    assert await names(workspace, leaf("website", "contains", "hoabinh")) == binh
    assert await names(workspace, leaf("country", "contains", "viet nam")) == binh
    assert await names(workspace, leaf("district", "contains", "quan 1")) == binh
    assert await names(workspace, leaf("ward", "starts_with", "ben")) == binh
    assert await names(workspace, leaf("province", "eq", "ha noi")) == {"Nguyễn Văn Hòa"}
    assert await names(workspace, leaf("groups", "any_of", ["Miền Bắc"])) == {"Nguyễn Văn Hòa", "Trần Thị Đào"}
    assert await names(workspace, leaf("birthday", "on_day", "17/05")) == {"Nguyen Van Hoa"}
    assert await names(workspace, leaf("birthday", "in_month", 5)) == {"Nguyen Van Hoa"}
    owner = await asyncpg.connect(settings.database_url)
    await owner.execute(
        "UPDATE crm.customer SET created_at = '2026-01-31T17:30:00Z' WHERE tenant_id = $1 AND name = 'Lê Thị Lan'",
        workspace.id,
    )
    await owner.close()
    # Half past midnight of 1 February in Vietnam.
    assert await names(workspace, leaf("created_at", "between", ["2026-02-01", "2026-02-28"])) == {"Lê Thị Lan"}
    assert await names(workspace, leaf("created_at", "lte", "2026-01-31")) == set()
    assert await names(workspace, leaf("created_at", "eq", "today")) == set(crowd) - {"Lê Thị Lan"}


@pytest.mark.feature("D005")
@pytest.mark.parametrize("days", [0, 6])
async def test_birthdays_of_the_next_days(workspace: Workspace, crowd: dict[str, str], days: int) -> None:
    born = today() + timedelta(days=days)
    # A year with a 29 February, so that every day of the year is there.
    await post(workspace, "/customers", name="Sắp Sinh Nhật", phone="0909000001", birthday=f"1988-{born:%m-%d}")
    assert await names(workspace, leaf("birthday", "in_next_days", days)) == {"Sắp Sinh Nhật"}
    if days:
        assert await names(workspace, leaf("birthday", "in_next_days", days - 1)) == set()
    assert await names(workspace, leaf("birthday", "eq", "today")) == set()
    assert born >= date.today() - timedelta(days=1)


@pytest.mark.feature("D006")
async def test_groups_and(workspace: Workspace, crowd: dict[str, str]) -> None:
    assert await names(workspace, leaf("groups", "all_of", ["15-25", "Miền Bắc"])) == {"Nguyễn Văn Hòa"}


@pytest.mark.feature("D007")
async def test_groups_or(workspace: Workspace, crowd: dict[str, str]) -> None:
    found = await names(workspace, leaf("groups", "any_of", ["15-25", "Miền Bắc"]))
    assert found == {"Nguyễn Văn Hòa", "Nguyen Van Hoa", "Trần Thị Đào"}


@pytest.mark.feature("D008")
async def test_groups_not(workspace: Workspace, crowd: dict[str, str]) -> None:
    """The guide's NOT: not in the one or not in the other; and what most people mean by it: in neither."""
    both = [leaf("groups", "any_of", ["15-25"]), leaf("groups", "any_of", ["Miền Bắc"])]
    assert await names(workspace, {"not_all_of": both}) == set(crowd) - {"Nguyễn Văn Hòa"}
    neither = {"Đặng Hoà Bình", "Lê Thị Lan"}
    assert await names(workspace, {"none_of": both}) == neither
    assert await names(workspace, leaf("groups", "none_of", ["15-25", "Miền Bắc"])) == neither


@pytest.mark.feature("D009")
async def test_the_basic_search(workspace: Workspace, crowd: dict[str, str]) -> None:
    """One or more of code, name, owner, tax code, e-mail, phone; exact accents first."""
    hoa = {"Nguyễn Văn Hòa"}
    assert await names(workspace, leaf("tax_code", "eq", "0101248141")) == hoa
    several = {
        "and": [leaf("name", "contains", "hoa"), leaf("email", "starts_with", "HOA@"), leaf("code", "eq", "KH000001")]
    }
    assert await names(workspace, several) == hoa
    page = await post(workspace, "/customers/search", filter=leaf("name", "contains", "hòa"), fields=["name"])
    assert [one["name"] for one in page["items"]] == ["Đặng Hoà Bình", "Nguyễn Văn Hòa", "Nguyen Van Hoa"]


@pytest.mark.feature("D010")
async def test_by_tier(workspace: Workspace, crowd: dict[str, str]) -> None:
    fields = (await workspace.admin.get(f"{API}/filters/fields")).json()["fields"]
    tier = next(field for field in fields if field["key"] == "tier")
    known = (await workspace.admin.get(f"{API}/tiers")).json()["items"]
    assert [choice["value"] for choice in tier["choices"]] == [one["name"] for one in known]
    gold = await post(workspace, "/tiers", name="Kim cương", benefits="Ưu tiên")
    reply = await workspace.admin.patch(
        f"{API}/customers/{crowd['Lê Thị Lan']}", json={"tier": gold["name"]}, headers={"If-Match": '"1"'}
    )
    assert reply.is_success, reply.text
    assert await names(workspace, leaf("tier", "eq", gold["name"])) == {"Lê Thị Lan"}
    assert await names(workspace, leaf("tier", "in", [gold["id"]])) == {"Lê Thị Lan"}


@pytest.mark.feature("D011")
async def test_by_stars(workspace: Workspace, crowd: dict[str, str]) -> None:
    """Stars follow from points, here from those of groups; the customer itself shows them too."""
    for name, points, stars in (("Lê Thị Lan", 50, 3), ("Trần Thị Đào", 95, 5)):
        made = await post(workspace, "/groups", name=f"{points} điểm", description="để thử", points=points)
        await workspace.admin.post(f"{API}/groups/{made['id']}/customers", json={"ids": [crowd[name]]})
        assert (await workspace.admin.get(f"{API}/customers/{crowd[name]}")).json()["stars"] == stars
    assert await names(workspace, leaf("stars", "eq", 3)) == {"Lê Thị Lan"}
    assert await names(workspace, leaf("stars", "gte", 3)) == {"Lê Thị Lan", "Trần Thị Đào"}
    assert await names(workspace, leaf("stars", "lte", 3)) == set(crowd) - {"Trần Thị Đào"}


@pytest.mark.feature("E009")
async def test_count_before_acting_on_all(workspace: Workspace, crowd: dict[str, str]) -> None:
    """A selection: all that a filter finds but for some, or some by their ids."""
    lan, dao = crowd["Lê Thị Lan"], crowd["Trần Thị Đào"]
    assert (await post(workspace, "/customers/count", filter=leaf("tags", "any_of", ["nong"])))["count"] == 1
    assert (await post(workspace, "/customers/count", exclude=[lan]))["count"] == len(crowd) - 1
    assert (await post(workspace, "/customers/count", ids=[lan, dao], exclude=[dao]))["count"] == 1
    both = await workspace.admin.post(f"{API}/customers/count", json={"ids": [lan], "filter": leaf("code", "is_empty")})
    assert both.status_code == 422
    assert both.json()["errors"][0]["code"] == "selection_ambiguous"


@pytest.mark.parametrize(
    ("tree", "sentence"),
    [
        ({"related": "contracts", "count": {"op": "gte", "value": "1.000.000"}}, "Số hợp đồng từ 1.000.000"),
        ({"related": "contracts", "count": {"op": "eq", "value": "(5)"}}, "Số hợp đồng là -5"),
        ({"related": "contracts", "count": {"op": "between", "value": ["1", 2]}}, "Số hợp đồng từ 1 đến 2"),
        ({"related": "contracts", "sum": {"field": "value", "op": "lt", "value": "5.000.000"}},
         "Tổng giá trị hợp đồng của hợp đồng nhỏ hơn 5.000.000"),
        (leaf("created_at", "on_day", "this_month"), "Ngày tạo trong tháng này"),
        (leaf("created_at", "eq", "today-7"), "Ngày tạo vào 7 ngày trước"),
        (leaf("birthday", "on_day", "17/05"), "Ngày sinh vào ngày 17/05"),
        (leaf("created_at", "eq", "2026-03-05"), "Ngày tạo vào ngày 05/03/2026"),
        (leaf("gender", "eq", "female"), "Giới tính là “Nữ”"),
        (leaf("in_pool", "eq", True), "Trong kho chung là Có"),
    ],
)  # fmt: skip
async def test_sentences(workspace: Workspace, tree: Any, sentence: str) -> None:
    assert (await post(workspace, "/filters/validate", filter=tree))["sentence"] == sentence


async def test_validate_says_what_the_filter_means(workspace: Workspace, crowd: dict[str, str]) -> None:
    tree = {
        "and": [
            leaf("source", "in", ["Facebook", "Zalo"]),
            {"or": [leaf("birthday", "in_next_days", 7), leaf("owner", "is_empty")]},
            {"related": "contracts", "exists": False},
        ]
    }
    said = await post(workspace, "/filters/validate", filter=tree)
    assert said["sentence"] == (
        "Nguồn khách hàng là một trong “Facebook”, “Zalo” và (Ngày sinh trong 7 ngày tới hoặc Người phụ trách chưa có) "
        "và chưa có hợp đồng"
    )
    assert said["count"] == 0
    assert await post(workspace, "/filters/validate") == {
        "count": len(crowd), "capped": False, "sentence": "Tất cả khách hàng",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("tree", "path", "code"),
    [
        ({"and": [{}, leaf("salary", "eq", 1)]}, "filter.and[1].field", "field_unknown"),
        ({"and": [{}, leaf("source", "gt", 1)]}, "filter.and[1].op", "operator_unknown"),
        ({"and": [{}, leaf("source", "eq", "Trời")]}, "filter.and[1].value", "choice_unknown"),
        (leaf("source", "in", ["Zalo", "Trời"]), "filter.value[1]", "choice_unknown"),
        ({"not": {"or": [5]}}, "filter.not.or[0]", "node_invalid"),
        ({"or": 5}, "filter.or", "list_expected"),
        ({"or": [], "and": []}, "filter", "node_invalid"),
        ({"field": "name", "op": "eq", "vaule": 1}, "filter.vaule", "extra_forbidden"),
        (leaf("birthday", "gte", "31/02/2026"), "filter.value", "date_invalid"),
        (leaf("birthday", "between", ["2026-01-01", "x"]), "filter.value[1]", "date_invalid"),
        (leaf("stars", "between", [5, 1]), "filter.value", "range_reversed"),
        (leaf("created_at", "between", ["31/12/2026", "01/01/2026"]), "filter.value", "range_reversed"),
        (
            leaf("created_at", "between", ["2026-11-22T10:00:00Z", "2026-11-22T09:59:59Z"]),
            "filter.value",
            "range_reversed",
        ),
        (leaf("created_at", "between", ["2026-11-23", "2026-11-22T16:59:59Z"]), "filter.value", "range_reversed"),
        (leaf("birthday", "between", ["today", "yesterday"]), "filter.value", "range_reversed"),
        (leaf("note", "contains", "\u0301"), "filter.value", "value_empty"),
        (leaf("company_name", "not_contains", " \u0301\u0309"), "filter.value", "value_empty"),
        (leaf("name", "contains", "\u0301"), "filter.value", "value_empty"),
        (leaf("birthday", "in_month", 13), "filter.value", "month_invalid"),
        (leaf("birthday", "in_next_days", -1), "filter.value", "days_invalid"),
        ({"related": "pets"}, "filter.related", "related_unknown"),
        ({"related": "contracts", "where": leaf("x", "eq", 1)}, "filter.where.field", "field_unknown"),
        ({"related": "contracts", "count": {"op": "gte", "value": "x"}}, "filter.count.value", "number_invalid"),
        (
            {"related": "contracts", "sum": {"field": "name", "op": "eq", "value": 1}},
            "filter.sum.field",
            "field_unknown",
        ),
        ({"related": "contracts", "period": {"op": "eq", "value": "x"}}, "filter.period.value", "date_invalid"),
        ([leaf("name", "eq", "x")], "filter", "node_invalid"),
    ],
)
async def test_a_wrong_tree_is_told_where(workspace: Workspace, tree: Any, path: str, code: str) -> None:
    reply = await workspace.admin.post(f"{API}/customers/search", json={"filter": tree})
    assert reply.status_code == 422, reply.text
    assert [(error["field"], error["code"]) for error in reply.json()["errors"]] == [(path, code)]


async def test_many_conditions_and_depth(workspace: Workspace, crowd: dict[str, str]) -> None:
    """Two hundred conditions and eight levels are answered; what is beyond the guard is refused with its reason."""
    many = {"or": [leaf("note", "contains", f"lan {number}") for number in range(199)] + [leaf("tags", "is_not_empty")]}
    assert await names(workspace, many) == {"Lê Thị Lan"}
    deep: dict[str, Any] = leaf("tags", "is_not_empty")
    for _ in range(7):
        deep = {"and": [deep]}
    assert await names(workspace, deep) == {"Lê Thị Lan"}
    for _ in range(4):
        deep = {"or": [deep]}
    facts = {"or": [{"related": "contracts"}] * 41}
    for tree, code in (
        ({"or": many["or"] * 2}, "filter_too_large"),
        (deep, "filter_too_deep"),
        (facts, "filter_too_costly"),
    ):
        reply = await workspace.admin.post(f"{API}/customers/search", json={"filter": tree})
        assert reply.status_code == 422
        assert code in {error["code"] for error in reply.json()["errors"]}, reply.text


@pytest.mark.feature("B020")
async def test_facets_count_what_is_found(workspace: Workspace, crowd: dict[str, str]) -> None:
    page = await post(workspace, "/customers/search", limit=1, facets=["source", "groups", "in_pool"], count="exact")
    assert page["count"] == len(crowd)
    source = {one["label"]: one["count"] for one in page["facets"]["source"]}
    assert source == {"Facebook": 2, "Chưa có": 2, "Zalo": 1}
    assert {one["value"]: one["count"] for one in page["facets"]["groups"]} == {"15-25": 2, "Miền Bắc": 2, None: 2}
    assert page["facets"]["in_pool"] == [{"value": "false", "label": "Không", "count": 5}]
    for one in page["facets"]["source"]:
        tree = leaf("source", "eq", one["value"]) if one["value"] else leaf("source", "is_empty")
        assert (await post(workspace, "/customers/count", filter=tree))["count"] == one["count"]
    refused = await workspace.admin.post(f"{API}/customers/search", json={"facets": ["note"]})
    assert refused.status_code == 422


async def test_an_english_caller_reads_english(workspace: Workspace, crowd: dict[str, str]) -> None:
    english = {"Accept-Language": "en"}
    reply = await workspace.admin.post(
        f"{API}/customers/search", json={"facets": ["source", "kind", "in_pool"]}, headers=english
    )
    facets = reply.json()["facets"]
    assert {one["label"] for one in facets["source"]} == {"Facebook", "Zalo", "None"}
    assert {one["value"]: one["label"] for one in facets["in_pool"]} == {"false": "No"}
    assert {one["value"]: one["label"] for one in facets["kind"]} == {"individual": "Individual"}
    fields = (await workspace.admin.get(f"{API}/filters/fields", headers=english)).json()
    own = {one["key"]: one for one in fields["fields"]}
    assert own["gender"]["choices"][1] == {"value": "female", "label": "Female"}
    assert own["deleted_reason"]["choices"] == [
        {"value": "trash", "label": "Deleted"},
        {"value": "merge", "label": "Merged"},
    ]
    assert [one["label"] for one in own["in_pool"]["choices"]] == ["Yes", "No"]
    contracts = next(one for one in fields["related"] if one["key"] == "contracts")
    states = next(one for one in contracts["fields"] if one["key"] == "state")
    assert [one["label"] for one in states["choices"]] == ["Draft", "Active", "Finished", "Cancelled"]
    assert await names(workspace, leaf("gender", "is_empty")) == set(crowd)


async def test_choices_beyond_the_first_are_told(workspace: Workspace) -> None:
    """Any of them can be given, whether it is shown or not."""
    provinces = await fields_of_filter(workspace, "province")
    assert (provinces["more_choices"], len(provinces["choices"])) == (False, 34)
    tags = [f"Nhãn {number}" for number in range(501)]
    for number in range(0, 501, 100):
        some = tags[number : number + 100]
        await post(workspace, "/customers", name=f"Khách {number}", phone=f"0900000{number:03d}", tags=some)
    many = await fields_of_filter(workspace, "tags")
    assert (many["more_choices"], len(many["choices"])) == (True, 500)
    for tag, name in ((tags[0], "Khách 0"), (tags[-1], "Khách 500")):
        assert await names(workspace, leaf("tags", "any_of", [tag])) == {name}


async def fields_of_filter(workspace: Workspace, key: str) -> dict[str, Any]:
    """A field as GET /filters/fields tells it."""
    fields = (await workspace.admin.get(f"{API}/filters/fields")).json()["fields"]
    found: dict[str, Any] = next(one for one in fields if one["key"] == key)
    return found


async def test_one_filters_only_what_one_sees(workspace: Workspace, crowd: dict[str, str]) -> None:
    """A sale finds their own; deleted customers only who may delete; contracts only who may see contracts."""
    mai = await workspace.person("sale", username="binh2", permissions=["customers.view"])
    reply = await mai.client.post(f"{API}/customers/search", json={"filter": {}, "count": "exact"})
    assert reply.json()["count"] == 0
    for tree, status in ((leaf("deleted", "eq", True), 403), ({"related": "contracts"}, 422)):
        reply = await mai.client.post(f"{API}/customers/search", json={"filter": tree})
        assert reply.status_code == status, reply.text
    gone = await workspace.admin.delete(f"{API}/customers/{crowd['Lê Thị Lan']}", headers={"If-Match": '"1"'})
    assert gone.status_code == 204, gone.text
    assert "Lê Thị Lan" not in await names(workspace, None)
    assert await names(workspace, leaf("deleted", "eq", True)) == {"Lê Thị Lan"}
    assert await names(workspace, leaf("deleted_at", "eq", "today")) == {"Lê Thị Lan"}


async def test_a_new_attribute_is_a_filter_at_once(workspace: Workspace, crowd: dict[str, str]) -> None:
    await post(workspace, "/attributes", name="Hạn mức", key="han_muc", type="money")
    url = f"{API}/customers/{crowd['Lê Thị Lan']}"
    changed = await workspace.admin.patch(
        url, json={"attributes": {"han_muc": "5.000.000"}}, headers={"If-Match": '"1"'}
    )
    assert changed.is_success, changed.text
    fields = (await workspace.admin.get(f"{API}/filters/fields")).json()
    assert next(one for one in fields["fields"] if one["key"] == "attributes.han_muc")["is_attribute"]
    for field in ("attributes.han_muc", "han_muc"):
        assert await names(workspace, leaf(field, "between", [1, "6 triệu"])) == {"Lê Thị Lan"}
