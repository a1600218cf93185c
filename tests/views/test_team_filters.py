"""Saved filters that teams see."""

from typing import Any
from uuid import uuid4

import pytest

from tests.factories.people import Workspace
from tests.identity.test_teams import change, refusal, team
from tests.views.test_filters import API, PATH, ZALO, names, save


async def test_a_teams_filter_is_seen_in_the_makers_teams_and_below(workspace: Workspace) -> None:
    lead, beside, below, above, aside = [await workspace.person("manager") for _ in range(5)]
    top = await team(workspace.admin, "Trên", above)
    own = await team(workspace.admin, "Giữa", lead, beside, below=top)
    low = await team(workspace.admin, "Dưới", below=own)
    await team(workspace.admin, "Thấp", below, below=low)
    await team(workspace.admin, "Bên cạnh", aside, below=top)
    made = await save(lead.client, "Của nhóm", ZALO, visibility="team")
    assert (made["visibility"], made["mine"], made["teams"]) == ("team", True, [])
    url = f"{PATH}/{made['id']}"
    for one in (lead, beside, below):
        assert await names(one.client) == ["Của nhóm"]
        assert (await one.client.get(url)).json()["sentence"] == "Nguồn khách hàng là “Zalo”"
        assert [counted["id"] for counted in (await counts(one.client))] == [made["id"]]
    for one in (above, aside, workspace.administrator):
        assert await names(one.client) == []
        assert (await one.client.get(url)).status_code == 404
        assert await counts(one.client) == []

    # A second team of the maker's counts too, and nobody sees what a team saw once it is not the maker's any more.
    far = await team(workspace.admin, "Xa", lead, aside)
    assert await names(aside.client) == ["Của nhóm"]
    await change(workspace.admin, own, members=[str(beside.id)])
    assert await names(beside.client) == await names(below.client) == []
    assert await names(aside.client) == ["Của nhóm"]
    await change(workspace.admin, far, members=[str(lead.id)])
    assert await names(aside.client) == []
    assert await names(lead.client) == ["Của nhóm"]


async def counts(client: Any) -> list[dict[str, Any]]:
    """The saved filters that somebody may count."""
    found: list[dict[str, Any]] = (await client.post(f"{PATH}/counts", json={})).json()["counts"]
    return found


async def test_a_filter_is_shared_with_teams(workspace: Workspace) -> None:
    """With those below them too; a team that is no more is not shown, and what is sent back is what was shown."""
    mai, binh, an = [await workspace.person() for _ in range(3)]
    north = await team(workspace.admin, "Bắc", mai)
    hanoi = await team(workspace.admin, "Hà Nội", binh, below=north)
    south = await team(workspace.admin, "Nam", an)
    made = await save(workspace.admin, "Chung", visibility="shared", teams=[hanoi["id"]])
    assert made["teams"] == [hanoi["id"]]
    url = f"{PATH}/{made['id']}"
    assert [await names(one.client) for one in (mai, binh, an)] == [[], ["Chung"], []]
    both = {"teams": [north["id"], south["id"], north["id"]]}
    changed = await workspace.admin.patch(url, json=both, headers={"If-Match": '"1"'})
    assert changed.json()["teams"] == [north["id"], south["id"]]
    assert [await names(one.client) for one in (mai, binh, an)] == [["Chung"]] * 3
    assert (await workspace.admin.delete(f"{API}/teams/{south['id']}", headers={"If-Match": '"1"'})).status_code == 204
    shown = (await workspace.admin.get(url)).json()
    assert shown["teams"] == [north["id"]]
    again = await workspace.admin.patch(url, json={"teams": shown["teams"]}, headers={"If-Match": '"2"'})
    assert again.status_code == 200, again.text
    assert [await names(one.client) for one in (mai, binh, an)] == [["Chung"], ["Chung"], []]
    await change(workspace.admin, hanoi, members=[])
    assert await names(binh.client) == []
    private = await workspace.admin.patch(url, json={"visibility": "private"}, headers={"If-Match": '"3"'})
    assert private.json()["teams"] == [north["id"]]
    assert await names(mai.client) == []


async def test_an_unknown_team_is_told_where(workspace: Workspace) -> None:
    made = await team(workspace.admin, "Bắc")
    body = {"name": "x", "visibility": "shared", "teams": [made["id"], made["id"], str(uuid4())]}
    reply = await workspace.admin.post(PATH, json=body)
    assert refusal(reply) == (422, "invalid", [("teams[2]", "id_unknown")])


@pytest.mark.parametrize("more", [{"visibility": "team"}, {"visibility": "shared", "teams": []}])
async def test_sharing_with_a_team_needs_the_permission(workspace: Workspace, more: dict[str, Any]) -> None:
    sale = await workspace.person("sale")
    refused = await sale.client.post(PATH, json={"name": "Chung", **more})
    assert (refused.status_code, refused.json()["permission"]) == (403, "filters.share")
    made = await save(sale.client, "Riêng")
    reply = await sale.client.patch(f"{PATH}/{made['id']}", json=more, headers={"If-Match": '"1"'})
    assert reply.status_code == 403


async def test_who_sees_a_teams_filter_and_may_share_changes_it(workspace: Workspace) -> None:
    """It is the team's, as one of the workspace's is everybody's; one that is shared with a team stays its maker's."""
    lead, other, outside = [await workspace.person("manager") for _ in range(3)]
    sale = await workspace.person("sale")
    own = await team(workspace.admin, "Bắc", lead, other, sale)
    made = await save(lead.client, "Của nhóm", visibility="team")
    shared = await save(lead.client, "Chia sẻ", visibility="shared", teams=[own["id"]])
    url, version = f"{PATH}/{made['id']}", {"If-Match": '"1"'}
    for client, status in ((outside.client, 404), (sale.client, 403)):
        assert (await client.patch(url, json={"name": "x"}, headers=version)).status_code == status
        assert (await client.delete(url, headers=version)).status_code == status
    theirs = await other.client.patch(f"{PATH}/{shared['id']}", json={"name": "x"}, headers=version)
    assert (theirs.status_code, theirs.json()["permission"]) == (403, "filters.share")
    renamed = await other.client.patch(url, json={"name": "Chung"}, headers=version)
    assert (renamed.status_code, renamed.json()["name"], renamed.json()["mine"]) == (200, "Chung", False)
    taken = await other.client.patch(url, json={"visibility": "private"}, headers={"If-Match": '"2"'})
    assert (taken.status_code, taken.json()["visibility"]) == (200, "private")
    assert (await other.client.get(url)).status_code == 404
    assert sorted(await names(lead.client)) == ["Chia sẻ", "Chung"]


async def test_a_filter_by_a_team_that_is_no_more_says_so(workspace: Workspace) -> None:
    gone, kept = await team(workspace.admin, "Bắc"), await team(workspace.admin, "Nam")
    tree = {"field": "team", "op": "in", "value": [kept["id"], gone["id"]]}
    made = await save(workspace.admin, "Hai miền", tree)
    assert made["sentence"] == "Nhóm của người phụ trách là một trong “Nam”, “Bắc”"
    assert (await workspace.admin.delete(f"{API}/teams/{gone['id']}", headers={"If-Match": '"1"'})).status_code == 204
    problems = (await workspace.admin.get(f"{PATH}/{made['id']}")).json()["problems"]
    assert [(one["field"], one["code"]) for one in problems] == [("filter.value[1]", "choice_unknown")]
    assert (await counts(workspace.admin))[0]["problem"]["code"] == "choice_unknown"
