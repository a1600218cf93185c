"""The list: pages, search, filters and sort."""

from typing import Any

import pytest

from tests.customers.test_customers import PATH, add
from tests.factories.people import Workspace


async def names(workspace: Workspace, **params: Any) -> list[str]:
    """The names that a list answers with, through every page of three."""
    found, cursor = list[str](), None
    while True:
        reply = await workspace.admin.get(PATH, params={"limit": 3, **params, **({"cursor": cursor} if cursor else {})})
        assert reply.status_code == 200, reply.text
        page = reply.json()
        found += [item["name"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


@pytest.fixture
async def people(workspace: Workspace) -> list[dict[str, Any]]:
    """A few customers, oldest first."""
    rows = [
        ("Nguyễn Văn Hòa", "0912345678", {"email": "hoa.nv@example.com", "birthday": "1990-01-02"}),
        ("Nguyen Van Hoa", "0912345679", {"tax_code": "0101248141", "gender": "nam"}),
        ("Trần Thị Đào", "02873001234", {"source": "Zalo"}),
        ("Đặng Hoà Bình", "01629387331", {"source": "Facebook", "birthday": "1985-05-05"}),
        ("Lê Thị Lan", "0977000111", {"source": "Facebook"}),
    ]
    return [await add(workspace.admin, name=name, phone=phone, **more) for name, phone, more in rows]


@pytest.mark.feature("D009")
@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("hoa", ["Đặng Hoà Bình", "Nguyen Van Hoa", "Nguyễn Văn Hòa"]),
        ("nguyen van", ["Nguyen Van Hoa", "Nguyễn Văn Hòa"]),
        ("van hoa nguyen", ["Nguyen Van Hoa", "Nguyễn Văn Hòa"]),
        ("dao", ["Trần Thị Đào"]),
        ("đào", ["Trần Thị Đào"]),
        ("hòa", ["Đặng Hoà Bình", "Nguyễn Văn Hòa", "Nguyen Van Hoa"]),
        ("5678", ["Nguyễn Văn Hòa"]),
        ("0912 345 678", ["Nguyễn Văn Hòa"]),
        ("84912345678", ["Nguyễn Văn Hòa"]),
        ("0329387331", ["Đặng Hoà Bình"]),
        ("01629387331", ["Đặng Hoà Bình"]),
        ("hoa.nv@example.com", ["Nguyễn Văn Hòa"]),
        ("HOA.NV", ["Nguyễn Văn Hòa"]),
        ("0101248141", ["Nguyen Van Hoa"]),
        ("KH000005", ["Lê Thị Lan"]),
        ("kh000005", ["Lê Thị Lan"]),
        ("không có ai", []),
        ("'; drop table", []),
        ("%", []),
    ],
)
async def test_one_box_finds_by_everything(
    workspace: Workspace, people: list[dict[str, Any]], q: str, expected: list[str]
) -> None:
    assert await names(workspace, q=q) == expected


async def test_pages_follow_without_gap_or_repeat(workspace: Workspace, people: list[dict[str, Any]]) -> None:
    newest = [row["name"] for row in reversed(people)]
    assert await names(workspace) == newest
    assert await names(workspace, sort="created_at") == newest[::-1]
    assert await names(workspace, limit=1) == newest
    assert await names(workspace, limit=1, q="hòa") == ["Đặng Hoà Bình", "Nguyễn Văn Hòa", "Nguyen Van Hoa"]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"source": "Facebook"}, ["Lê Thị Lan", "Đặng Hoà Bình"]),
        ({"source": ""}, ["Nguyen Van Hoa", "Nguyễn Văn Hòa"]),
        ({"gender": "nam"}, ["Nguyen Van Hoa"]),
        ({"birthday__from": "1986-01-01"}, ["Nguyễn Văn Hòa"]),
        ({"birthday__from": "1980-01-01", "birthday__to": "05/05/1985"}, ["Đặng Hoà Bình"]),
        ({"relationship": "Mới", "source": "Zalo"}, ["Trần Thị Đào"]),
        ({"phone": "0912345678"}, ["Nguyễn Văn Hòa"]),
    ],
)
async def test_any_field_filters(
    workspace: Workspace, people: list[dict[str, Any]], params: dict[str, str], expected: list[str]
) -> None:
    assert await names(workspace, **params) == expected


HOA, PLAIN, DAO, BINH, LAN = "Nguyễn Văn Hòa", "Nguyen Van Hoa", "Trần Thị Đào", "Đặng Hoà Bình", "Lê Thị Lan"


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("name", [BINH, LAN, HOA, PLAIN, DAO]),
        ("code", [HOA, PLAIN, DAO, BINH, LAN]),
        ("birthday", [PLAIN, DAO, LAN, BINH, HOA]),
        ("updated_at", [HOA, PLAIN, DAO, LAN, BINH]),
        ("score", [HOA, PLAIN, BINH, LAN, DAO]),
        ("stars", [HOA, PLAIN, BINH, LAN, DAO]),
    ],
)
async def test_sorts_page_through_everybody(
    workspace: Workspace, people: list[dict[str, Any]], sort: str, expected: list[str]
) -> None:
    group = await workspace.admin.post("/api/v1/groups", json={"name": "VIP", "description": "Khách quý", "points": 40})
    assert group.status_code == 201, group.text
    for one, change in ((people[3], {"note": "mới"}), (people[2], {"groups": ["VIP"]})):
        if sort == "updated_at" and "groups" in change:
            continue
        path, version = f"{PATH}/{one['id']}", {"If-Match": '"1"'}
        assert (await workspace.admin.patch(path, json=change, headers=version)).status_code == 200
    for limit in (1, 2, 200):
        assert await names(workspace, sort=sort, limit=limit) == expected
        assert await names(workspace, sort=f"-{sort}", limit=limit) == expected[::-1]


@pytest.mark.parametrize("q", ["\u200b", "\ufeff", "\u0301", "\ufe0f", "\u200b \u0301"])
@pytest.mark.parametrize("path", [PATH, f"{PATH}/lookup", f"{PATH}/trash"])
async def test_what_nobody_sees_finds_nobody(workspace: Workspace, q: str, path: str) -> None:
    await add(workspace.admin)
    reply = await workspace.admin.get(path, params={"q": q})
    assert (reply.status_code, reply.json().get("items")) == (200, []), reply.text


async def test_no_filter_is_dropped_in_silence(workspace: Workspace) -> None:
    await add(workspace.admin)
    twenty: list[tuple[str, str | int | float | bool | None]] = [("kind", "individual")] * 20
    assert len((await workspace.admin.get(PATH, params=twenty)).json()["items"]) == 1
    reply = await workspace.admin.get(PATH, params=[*twenty, ("kind", "company")])
    assert (reply.status_code, reply.json()["errors"][0]["code"]) == (422, "too_many")


@pytest.mark.parametrize(("count", "expected"), [("exact", 5), ("capped", 5), ("none", None)])
async def test_counts(workspace: Workspace, people: list[dict[str, Any]], count: str, expected: int | None) -> None:
    page = (await workspace.admin.get(PATH, params={"count": count, "limit": 1})).json()
    assert page["count"] == expected


async def test_sparse_rows(workspace: Workspace, people: list[dict[str, Any]]) -> None:
    page = (await workspace.admin.get(PATH, params={"fields": "name,source", "limit": 1})).json()
    assert page["items"] == [{"id": people[-1]["id"], "name": "Lê Thị Lan", "source": "Facebook", "version": 1}]


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"cursor": "x"}, "cursor_invalid"),
        ({"limit": 201}, "invalid"),
        ({"sort": "salary"}, "invalid"),
        ({"fields": "salary"}, "invalid"),
        ({"salary": "1"}, "invalid"),
        ({"source": "Trời"}, "invalid"),
        ({"q": "a\x00b"}, "invalid"),
    ],
)
async def test_bad_questions_are_refused(workspace: Workspace, params: dict[str, Any], code: str) -> None:
    reply = await workspace.admin.get(PATH, params=params)
    assert reply.status_code == 422, reply.text
    assert reply.json()["code"] == code


async def test_a_cursor_belongs_to_its_query(workspace: Workspace, people: list[dict[str, Any]]) -> None:
    cursor = (await workspace.admin.get(PATH, params={"limit": 1})).json()["next_cursor"]
    other = await workspace.admin.get(PATH, params={"limit": 1, "sort": "name", "cursor": cursor})
    assert other.status_code == 422
    forged = await workspace.admin.get(PATH, params={"limit": 1, "cursor": cursor[:-2] + "AA"})
    assert forged.status_code == 422
