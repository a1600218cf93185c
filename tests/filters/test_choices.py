"""Values of lists by their names: as written first, and without accents only where that is clear."""

from typing import Any

import httpx
import pytest

from tests.factories.people import Workspace
from tests.filters.test_search import API, leaf, names, post


@pytest.fixture
async def alike(workspace: Workspace) -> Workspace:
    """Customers of two sources, groups, tags and choices that differ in their accents alone."""
    for path, name in (("/sources", "Hội thao"), ("/sources", "Hội chợ"), ("/tags", "La"), ("/tags", "Lá"),
                       ("/tags", "Bạn"), ("/tags", "Bàn"), ("/groups", "Đông"), ("/groups", "Dông")):  # fmt: skip
        more = {"description": "để thử"} if path == "/groups" else {}
        await post(workspace, path, name=name, **more)
    await post(workspace, "/attributes", name="Hạng", key="hang", type="choice", choices=["Đồng", "Dòng"])
    rows: list[dict[str, Any]] = [
        {"name": "Một", "source": "Hội thảo", "tags": ["La"], "groups": ["Đông"], "attributes": {"hang": "Đồng"}},
        {"name": "Hai", "source": "Hội thao", "tags": ["Lá"], "groups": ["Dông"], "attributes": {"hang": "Dòng"}},
        {"name": "Ba", "source": "Hội chợ", "tags": ["Bạn", "Bàn"]},
    ]
    for number, row in enumerate(rows):
        await post(workspace, "/customers", phone=f"090000000{number}", **row)
    return workspace


@pytest.mark.parametrize(
    ("field", "one", "two"),
    [
        ("source", "Hội thảo", "Hội thao"),
        ("source", " HỘI  THẢO ", "hội thao"),
        ("tags", "la", "lá"),
        ("groups", "đông", "DÔNG"),
        ("attributes.hang", "đồng", "dòng"),
    ],
)
async def test_a_name_as_written_finds_its_own(alike: Workspace, field: str, one: str, two: str) -> None:
    op = "any_of" if field in ("tags", "groups") else "in"
    assert await names(alike, leaf(field, op, [one])) == {"Một"}
    assert await names(alike, leaf(field, op, [two])) == {"Hai"}
    assert await names(alike, leaf(field, op, [one, two])) == {"Một", "Hai"}


async def test_a_list_is_named_by_id_and_without_accents(alike: Workspace) -> None:
    source = await _of(alike.admin, "/sources", "Hội thảo")
    assert await names(alike, leaf("source", "eq", source["id"].upper())) == {"Một"}
    assert await names(alike, leaf("source", "eq", "hoi cho")) == {"Ba"}
    tag = await _of(alike.admin, "/tags", "Lá")
    assert await names(alike, leaf("tags", "any_of", [tag["id"]])) == {"Hai"}


@pytest.mark.parametrize(
    ("field", "name"),
    [("source", "hội tháo"), ("tags", "lã"), ("tags", "ban"), ("groups", "dong"), ("attributes.hang", "dong")],
)
async def test_what_two_names_share_without_accents_names_neither(alike: Workspace, field: str, name: str) -> None:
    tree = leaf(field, "any_of", [name])
    reply = await alike.admin.post(f"{API}/customers/search", json={"filter": tree})
    assert reply.status_code == 422, reply.text
    assert [(one["field"], one["code"]) for one in reply.json()["errors"]] == [("filter.value[0]", "choice_unknown")]


async def test_a_value_out_of_use_keeps_its_name(alike: Workspace) -> None:
    """Which of the two is still chosen makes no difference to whom a filter finds."""
    source = await _of(alike.admin, "/sources", "Hội thảo")
    reply = await alike.admin.patch(
        f"{API}/sources/{source['id']}", json={"active": False}, headers={"If-Match": f'"{source["version"]}"'}
    )
    assert reply.is_success, reply.text
    assert await names(alike, leaf("source", "eq", "Hội thảo")) == {"Một"}
    assert await names(alike, leaf("source", "eq", "Hội thao")) == {"Hai"}


async def test_a_bulk_action_means_the_same_tag_as_a_filter(alike: Workspace) -> None:
    reply = await alike.admin.post(
        f"{API}/customers/bulk/preview",
        json={"selection": {"filter": leaf("tags", "any_of", ["la"])}, "action": "untag",
              "params": {"tags": ["la"]}},
    )  # fmt: skip
    assert reply.is_success, reply.text
    assert (reply.json()["count"], reply.json()["changed"]) == (1, 1)


async def _of(client: httpx.AsyncClient, path: str, name: str) -> dict[str, Any]:
    items = (await client.get(f"{API}{path}")).json()["items"]
    found: dict[str, Any] = next(one for one in items if one["name"] == name)
    return found
