"""Customers by the team of their owner, over HTTP."""

from typing import Any

from tests.factories.people import Workspace
from tests.filters.test_search import API, crowd, fields_of_filter, leaf, names, post

__all__ = ["crowd"]


async def put_in_team(workspace: Workspace, name: str, *people: Any, below: str | None = None) -> str:
    """A team of these people; its id."""
    made = await post(workspace, "/teams", name=name, parent_id=below, members=[str(one) for one in people])
    return str(made["id"])


async def test_by_the_owners_team(workspace: Workspace, crowd: dict[str, str]) -> None:
    """Teams by name or id, with those below them; somebody who has left still owns what they owned."""
    owners = {one["username"]: one["id"] for one in (await workspace.admin.get(f"{API}/users")).json()["items"]}
    hoa, others = {"Nguyễn Văn Hòa"}, set(crowd) - {"Nguyễn Văn Hòa", "Lê Thị Lan"}
    await give(workspace, crowd["Lê Thị Lan"], None)
    whole = await put_in_team(workspace, "Cả nước")
    south = await put_in_team(workspace, "Miền Nam", owners["mai"], below=whole)
    north = await put_in_team(workspace, "Miền Bắc", owners["admin"], below=whole)
    await put_in_team(workspace, "Trống")
    for team in ("Miền Nam", "mien nam", " MIỀN  NAM ", south, south.upper()):
        assert await names(workspace, leaf("team", "eq", team)) == hoa
    assert await names(workspace, leaf("team", "eq", "Cả nước")) == hoa | others
    assert await names(workspace, leaf("team", "in", [north, "Miền Nam"])) == hoa | others
    assert await names(workspace, leaf("team", "any_of", [north, "Trống"])) == others
    assert await names(workspace, leaf("team", "eq", "Trống")) == set()
    assert await names(workspace, leaf("team", "ne", "Miền Nam")) == set(crowd) - hoa
    assert await names(workspace, leaf("team", "not_in", ["Miền Nam", "Trống"])) == set(crowd) - hoa
    assert await names(workspace, leaf("team", "none_of", ["Cả nước"])) == {"Lê Thị Lan"}
    assert await names(workspace, {"not": leaf("team", "is_empty")}) == hoa | others
    assert await names(workspace, leaf("team", "is_not_empty")) == hoa | others
    assert await names(workspace, leaf("team", "is_empty")) == {"Lê Thị Lan"}
    listed = await workspace.admin.get(f"{API}/customers", params={"team": "mien nam"})
    assert [one["name"] for one in listed.json()["items"]] == list(hoa)

    mai = next(one for one in workspace.people if one.username == "mai")
    await workspace.deactivate(mai)
    assert await names(workspace, leaf("team", "eq", "Miền Nam")) == hoa
    left = await workspace.admin.patch(f"{API}/teams/{south}", json={"members": []}, headers={"If-Match": '"1"'})
    assert left.is_success, left.text
    assert await names(workspace, leaf("team", "eq", "Miền Nam")) == set()
    assert await names(workspace, leaf("team", "is_empty")) == {"Lê Thị Lan"} | hoa


async def give(workspace: Workspace, customer_id: str, owner: str | None) -> None:
    """Makes somebody the owner of a new customer, or nobody."""
    reply = await workspace.admin.patch(
        f"{API}/customers/{customer_id}", json={"owner": owner}, headers={"If-Match": '"1"'}
    )
    assert reply.is_success, reply.text


async def test_my_teams_are_those_of_who_asks(workspace: Workspace, crowd: dict[str, str]) -> None:
    """With those below them; a key's are its maker's."""
    admin, mai = workspace.administrator.id, next(one.id for one in workspace.people if one.username == "mai")
    own, all_others = leaf("team", "eq", "me"), set(crowd) - {"Nguyễn Văn Hòa"}
    assert await names(workspace, own) == set()
    assert await names(workspace, leaf("team", "ne", "ME")) == set(crowd)
    top = await put_in_team(workspace, "Cả nước")
    await put_in_team(workspace, "Miền Nam", mai, below=top)
    await put_in_team(workspace, "Miền Bắc", admin, below=top)
    assert await names(workspace, own) == all_others
    overseer = await workspace.person("manager")
    for client, expected in ((overseer.client, 0), (await workspace.key("customers.view", "customers.view_all"), 4)):
        reply = await client.post(f"{API}/customers/count", json={"filter": own, "exact": True})
        assert reply.json()["count"] == expected
    joined = {"members": [str(overseer.id)]}
    reply = await workspace.admin.patch(f"{API}/teams/{top}", json=joined, headers={"If-Match": '"1"'})
    assert reply.is_success, reply.text
    reply = await overseer.client.post(f"{API}/customers/count", json={"filter": own, "exact": True})
    assert reply.json()["count"] == 5


async def test_the_team_is_a_field_like_others(workspace: Workspace, crowd: dict[str, str]) -> None:
    """Listed with its choices, said in sentences; an unknown team is told where. It has no facet."""
    for name in ("Miền Nam", "Miền Bắc"):
        await put_in_team(workspace, name)
    field = await fields_of_filter(workspace, "team")
    assert (field["kind"], field["labels"]) == ("choice", {"vi": "Nhóm của người phụ trách", "en": "Owner's team"})
    assert [one["value"] for one in field["choices"]] == ["Miền Bắc", "Miền Nam"]
    for value, said in (("mien nam", "Miền Nam"), ("me", "nhóm của tôi")):
        told = await post(workspace, "/filters/validate", filter=leaf("team", "eq", value))
        assert told["sentence"] == f"Nhóm của người phụ trách là “{said}”"
    told = await post(workspace, "/filters/validate", filter=leaf("team", "in", ["Miền Bắc", "Miền Nam"]))
    assert told["sentence"] == "Nhóm của người phụ trách là một trong “Miền Bắc”, “Miền Nam”"
    for tree, path in (
        (leaf("team", "eq", "Miền Tây"), "filter.value"),
        (leaf("team", "in", ["me", "Miền Tây"]), "filter.value[1]"),
    ):
        reply = await workspace.admin.post(f"{API}/customers/search", json={"filter": tree})
        assert [(one["field"], one["code"]) for one in reply.json()["errors"]] == [(path, "choice_unknown")]
    facet = await workspace.admin.post(f"{API}/customers/search", json={"facets": ["team"]})
    assert (facet.status_code, facet.json()["errors"][0]["code"]) == (422, "field_unknown")
    shadow = await workspace.admin.post(f"{API}/attributes", json={"name": "Đội", "key": "team", "type": "text"})
    assert (shadow.status_code, shadow.json()["code"]) == (409, "attribute_key_taken")
