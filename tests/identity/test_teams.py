"""Teams of staff: who is in them, which stand below which, and whom that makes colleagues."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI
from sqlalchemy import func, select

from app.core.actor import Actor, ActorKind
from app.core.events import Event
from app.core.settings import Settings
from app.core.work import Route
from app.customers import registry as registries
from app.identity import team_tree, teams
from app.identity.access import Requires, actor_now
from app.identity.models import Team, TeamMember
from app.identity.permissions import ROLES
from app.main import create_app
from tests.conftest import MakeWorkspace
from tests.factories.people import Person, Workspace, open_client

PATH, ME = "/api/v1/teams", "/api/v1/me"


async def team(client: httpx.AsyncClient, name: str, *members: Person, below: dict[str, Any] | None = None) -> Any:
    """A team added over HTTP."""
    body = {"name": name, "parent_id": below and below["id"], "members": [str(one.id) for one in members]}
    reply = await client.post(PATH, json=body)
    assert reply.status_code == 201, reply.text
    return reply.json()


async def change(client: httpx.AsyncClient, made: dict[str, Any], **given: Any) -> httpx.Response:
    """A change of a team as it is now."""
    url = f"{PATH}/{made['id']}"
    etag = (await client.get(url)).headers["etag"]
    return await client.patch(url, json=given, headers={"If-Match": etag})


def refusal(reply: httpx.Response) -> tuple[int, str, list[tuple[str, str]]]:
    """What a reply refuses, and where."""
    told = reply.json()
    return reply.status_code, told["code"], [(one["field"], one["code"]) for one in told["errors"]]


def usernames(made: dict[str, Any]) -> list[str]:
    """Who is in a team."""
    return [one["username"] for one in made["members"]]


@pytest.mark.feature("E019")
async def test_a_team_lives_and_dies(workspace: Workspace) -> None:
    mai, binh = await workspace.person(username="mai", full_name="Phạm Mai"), await workspace.person(username="binh")
    reply = await workspace.admin.post(PATH, json={"name": "  Miền   Bắc ", "members": [str(mai.id), str(binh.id)] * 2})
    made, one = reply.json(), reply.headers["location"]
    assert (reply.status_code, reply.headers["etag"], one) == (201, '"1"', f"{PATH}/{made['id']}")
    assert (made["name"], made["parent_id"], made["version"]) == ("Miền Bắc", None, 1)
    assert usernames(made) == ["binh", "mai"]
    assert made["members"][1] == {"id": str(mai.id), "username": "mai", "full_name": "Phạm Mai", "active": True}
    read = await workspace.admin.get(one)
    assert (read.json(), read.headers["etag"]) == (made, '"1"')
    hanoi = await team(workspace.admin, "Hà Nội", below=made)
    assert hanoi["parent_id"] == made["id"]

    changed = await workspace.admin.patch(one, json={"name": "Bắc bộ"}, headers={"If-Match": '"1"'})
    assert (changed.json()["name"], usernames(changed.json())) == ("Bắc bộ", ["binh", "mai"])
    same = await workspace.admin.patch(one, json={"name": "Bắc bộ", "members": [str(mai.id), str(binh.id)]},
                                       headers={"If-Match": '"2"'})  # fmt: skip
    assert same.headers["etag"] == '"2"'
    fewer = await workspace.admin.patch(one, json={"members": [str(mai.id)]}, headers={"If-Match": '"2"'})
    assert (usernames(fewer.json()), fewer.json()["version"]) == (["mai"], 3)
    assert (await workspace.admin.patch(one, json={}, headers={"If-Match": '"2"'})).status_code == 412
    assert (await workspace.admin.delete(one)).status_code == 428
    assert (await workspace.admin.delete(one, headers={"If-Match": '"2"'})).status_code == 412

    busy = await workspace.admin.delete(one, headers={"If-Match": '"3"'})
    assert refusal(busy) == (409, "team_has_teams", [])
    assert (await change(workspace.admin, hanoi, parent_id=None)).json()["parent_id"] is None
    assert (await workspace.admin.delete(one, headers={"If-Match": '"3"'})).status_code == 204
    assert (await workspace.admin.get(one)).status_code == 404
    async with workspace.resources.db.transaction(workspace.id) as session:
        assert await session.scalar(select(func.count()).where(TeamMember.tenant_id == workspace.id)) == 0
    assert (await workspace.admin.get(f"/api/v1/users/{mai.id}")).status_code == 200


async def test_every_change_is_told(workspace: Workspace) -> None:
    mai = await workspace.person()
    made = await team(workspace.admin, "Bắc", mai)
    south = await team(workspace.admin, "Nam")
    await change(workspace.admin, made, name="Nam Bắc", parent_id=south["id"], members=[])
    assert (await change(workspace.admin, made, name="Nam Bắc")).json()["version"] == 2
    await workspace.admin.delete(f"{PATH}/{made['id']}", headers={"If-Match": '"2"'})
    async with workspace.resources.db.transaction(workspace.id) as session:
        found = select(Event).where(Event.subject_id == UUID(made["id"])).order_by(Event.id)
        told = [(event.kind, event.actor_id, event.changes) for event in await session.scalars(found)]
    who, members = workspace.administrator.id, [str(mai.id)]
    assert told == [
        ("team.created", who, {"name": [None, "Bắc"], "parent_id": [None, None], "members": [None, members]}),
        ("team.updated", who, {"name": ["Bắc", "Nam Bắc"], "parent_id": [None, south["id"]], "members": [members, []]}),
        ("team.deleted", who, {"name": ["Nam Bắc", None], "parent_id": [south["id"], None], "members": [[], None]}),
    ]


async def test_teams_are_listed_by_name(workspace: Workspace) -> None:
    sale = await workspace.person()
    for name in ("Đà Nẵng", "an giang", "Hà Nội", "Da Nang"):
        await team(workspace.admin, name, sale)

    async def listed(**query: Any) -> list[str]:
        names, cursor = [], None
        while True:
            page = (await sale.client.get(PATH, params={**query, **({"cursor": cursor} if cursor else {})})).json()
            names += [one["name"] for one in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                assert page["count"] == len(names)
                return names

    assert await listed() == await listed(limit=1) == ["an giang", "Da Nang", "Đà Nẵng", "Hà Nội"]
    assert await listed(q="da nang", limit=1) == ["Da Nang", "Đà Nẵng"]
    assert await listed(q="NỘI") == ["Hà Nội"]
    assert await listed(q="huế") == []
    strange = await sale.client.get(PATH, params={"q": "x", "cursor": "x"})
    assert (strange.status_code, strange.json()["code"]) == (422, "cursor_invalid")


async def test_a_name_is_one_teams(workspace: Workspace) -> None:
    made, other = await team(workspace.admin, "Miền Bắc"), await team(workspace.admin, "Mien Bac")
    taken = (409, "name_taken", [("name", "name_taken")])
    assert refusal(await workspace.admin.post(PATH, json={"name": " MIỀN  BẮC "})) == taken
    assert refusal(await change(workspace.admin, other, name="miền bắc")) == taken
    assert (await change(workspace.admin, made, name="MIỀN BẮC")).json()["name"] == "MIỀN BẮC"
    english = await workspace.admin.post(PATH, json={"name": "Mien bac"}, headers={"Accept-Language": "en"})
    assert english.json()["errors"][0]["message"] == "This name already exists"
    for body in ({}, {"name": " "}, {"name": "x" * 121}, {"name": None}, {"name": "x", "parent": None}):
        assert (await workspace.admin.post(PATH, json=body)).status_code == 422


async def test_parents_and_members_must_be_there(workspace: Workspace, new_workspace: MakeWorkspace) -> None:
    """Those of another workspace are nobody here."""
    mai, nobody = await workspace.person(), str(uuid4())
    elsewhere = await new_workspace()
    theirs = await team(elsewhere.admin, "Bắc", elsewhere.administrator)
    made = await team(workspace.admin, "Bắc")
    for unknown in (nobody, theirs["id"]):
        expected = (422, "invalid", [("parent_id", "id_unknown")])
        assert refusal(await workspace.admin.post(PATH, json={"name": "x", "parent_id": unknown})) == expected
        assert refusal(await change(workspace.admin, made, parent_id=unknown)) == expected
    for unknown in (nobody, str(elsewhere.administrator.id)):
        expected = (422, "invalid", [("members[2]", "id_unknown")])
        given = [str(mai.id), str(mai.id), unknown]
        assert refusal(await workspace.admin.post(PATH, json={"name": "x", "members": given})) == expected
        assert refusal(await change(workspace.admin, made, members=given)) == expected
    assert (await workspace.admin.get(f"{PATH}/{theirs['id']}")).status_code == 404
    assert (await workspace.admin.get(PATH)).json()["count"] == 1
    crowd = await workspace.admin.post(PATH, json={"name": "x", "members": [str(mai.id)] * 1001})
    assert refusal(crowd) == (422, "invalid", [("members", "too_long")])
    await elsewhere.aclose()


async def test_who_was_deactivated_may_stay_but_not_come(workspace: Workspace) -> None:
    mai, binh = await workspace.person(username="mai"), await workspace.person(username="binh")
    made = await team(workspace.admin, "Bắc", mai)
    for one in (mai, binh):
        await workspace.deactivate(one)
    inactive = (422, "invalid", [("members[1]", "member_inactive")])
    assert refusal(await change(workspace.admin, made, members=[str(mai.id), str(binh.id)])) == inactive
    admin = str(workspace.administrator.id)
    kept = (await change(workspace.admin, made, members=[str(mai.id), admin])).json()
    assert [(one["username"], one["active"]) for one in kept["members"]] == [("admin", True), ("mai", False)]
    assert usernames((await change(workspace.admin, made, members=[admin])).json()) == ["admin"]
    back = await change(workspace.admin, made, members=[admin, str(mai.id)])
    assert refusal(back) == inactive
    reply = await workspace.admin.post(PATH, json={"name": "Nam", "members": [str(mai.id)]})
    assert refusal(reply) == (422, "invalid", [("members[0]", "member_inactive")])


async def test_no_team_stands_below_itself(workspace: Workspace) -> None:
    top = await team(workspace.admin, "Một")
    middle = await team(workspace.admin, "Hai", below=top)
    low = await team(workspace.admin, "Ba", below=middle)
    for below in (top, middle, low):
        refused = await change(workspace.admin, top, parent_id=below["id"], name="Không")
        assert refusal(refused) == (409, "team_circle", [("parent_id", "team_circle")])
    assert (await workspace.admin.get(f"{PATH}/{top['id']}")).json() == top
    assert (await change(workspace.admin, low, parent_id=top["id"])).status_code == 200
    assert (await change(workspace.admin, middle, parent_id=low["id"])).status_code == 200


async def test_two_moves_at_once_make_no_circle(workspace: Workspace) -> None:
    """Each alone would be right."""
    for number in range(5):
        one, other = [await team(workspace.admin, f"{name} {number}") for name in ("Bắc", "Nam")]
        replies = await asyncio.gather(
            change(workspace.admin, one, parent_id=other["id"]), change(workspace.admin, other, parent_id=one["id"])
        )
        assert sorted(reply.status_code for reply in replies) == [200, 409]
        assert "team_circle" in {reply.json().get("code") for reply in replies}
    async with workspace.resources.db.transaction(workspace.id) as session:
        parents = {row.id: row.parent_id for row in await session.scalars(select(Team))}
    for id_ in parents:
        assert len(list(zip(team_tree.upwards(parents, id_), range(3), strict=False))) <= 2


async def test_there_are_not_too_many_teams(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teams, "MAX_TEAMS", 2)
    for name in ("Một", "Hai"):
        await team(workspace.admin, name)
    refused = await workspace.admin.post(PATH, json={"name": "Ba"})
    assert refusal(refused) == (409, "too_many_teams", [])
    assert "2" in refused.json()["detail"]


async def test_who_reads_and_who_changes_teams(workspace: Workspace) -> None:
    sale, manager = await workspace.person("sale"), await workspace.person("manager")
    made = await team(manager.client, "Bắc", sale)
    assert (await sale.client.get(f"{PATH}/{made['id']}")).json() == made
    key = await workspace.key("customers.view")
    assert (await key.get(PATH)).json()["items"] == [made]
    version = {"If-Match": '"1"'}
    for client in (sale.client, key):
        for refused in (
            await client.post(PATH, json={"name": "Nam"}),
            await client.patch(f"{PATH}/{made['id']}", json={"name": "Nam"}, headers=version),
            await client.delete(f"{PATH}/{made['id']}", headers=version),
        ):
            assert (refused.status_code, refused.json()["permission"]) == (403, "users.manage")
    await key.aclose()


async def test_one_sees_ones_own_teams(workspace: Workspace) -> None:
    sale = await workspace.person()
    assert (await sale.client.get(ME)).json()["teams"] == []
    top = await team(workspace.admin, "Trên")
    low, other = await team(workspace.admin, "Nam", sale, below=top), await team(workspace.admin, "bắc", sale)
    own = [{"id": one["id"], "name": one["name"]} for one in (other, low)]
    assert (await sale.client.get(ME)).json()["teams"] == own
    changed = await sale.client.patch(ME, json={"full_name": "Mai"}, headers={"If-Match": '"1"'})
    assert changed.json()["teams"] == own
    await change(workspace.admin, low, members=[])
    assert (await sale.client.get(ME)).json()["teams"] == own[:1]


async def test_the_registry_knows_who_is_in_a_team_or_below_it(workspace: Workspace) -> None:
    an, binh, chi, gone = [await workspace.person() for _ in range(4)]
    top = await team(workspace.admin, "Cả nước", an)
    north = await team(workspace.admin, "Bắc", binh, gone, below=top)
    await team(workspace.admin, "Hà Nội", chi, an, below=north)
    await team(workspace.admin, "Trống")
    await workspace.deactivate(gone)

    async def known() -> dict[str, team_tree.Team]:
        async with workspace.resources.db.transaction(workspace.id) as session:
            return (await registries.load(session)).teams

    found = await known()
    assert {name: one.people for name, one in found.items()} == {
        "Cả nước": {an.id, binh.id, chi.id, gone.id},
        "Bắc": {an.id, binh.id, chi.id, gone.id},
        "Hà Nội": {an.id, chi.id},
        "Trống": set(),
    }
    assert found["Cả nước"].members == {an.id}
    assert (found["Bắc"].id, found["Bắc"].parent) == (UUID(north["id"]), UUID(top["id"]))
    assert (await change(workspace.admin, north, parent_id=None)).is_success
    assert (await known())["Cả nước"].people == {an.id}
    await workspace.admin.delete(f"{PATH}/{top['id']}", headers={"If-Match": '"1"'})
    assert list(await known()) == ["Bắc", "Hà Nội", "Trống"]


@pytest.fixture(scope="module")
async def probing(settings: Settings) -> AsyncIterator[FastAPI]:
    """The application with two routes that say who calls, one for each way to open a transaction."""
    router = APIRouter(prefix="/probe", route_class=Route)

    @router.get("/writing")
    async def writing(actor: Annotated[Actor, Depends(Requires())]) -> list[str]:
        return [str(one) for one in actor.colleagues]

    @router.get("/reading")
    async def reading(actor: Annotated[Actor, Depends(Requires(reading=True))]) -> list[str]:
        return [str(one) for one in actor.colleagues]

    app = create_app(settings)
    app.router.routes[:0] = router.routes
    async with app.router.lifespan_context(app):
        yield app


async def test_colleagues_are_those_of_ones_teams_and_below(workspace: Workspace, probing: FastAPI) -> None:
    """Known only where they decide what somebody sees: with the team's customers, without everybody's."""
    rights = [*ROLES["sale"][1], "customers.view_team"]
    lead = await workspace.person(permissions=rights)
    sale, overseer = await workspace.person("sale"), await workspace.person("manager")
    beside, below, above, gone = [await workspace.person() for _ in range(4)]
    top = await team(workspace.admin, "Trên", above)
    own = await team(workspace.admin, "Giữa", lead, sale, overseer, beside, gone, below=top)
    await team(workspace.admin, "Dưới", below, beside, below=own)
    await team(workspace.admin, "Nhóm khác", above)
    await workspace.deactivate(gone)
    everybody = {one.id for one in (lead, sale, overseer, beside, below, gone)}

    async def colleagues(kind: ActorKind, actor_id: UUID, **credentials: str) -> set[UUID]:
        """In the background, and in a request of either kind: the same."""
        async with workspace.resources.db.transaction(workspace.id) as session:
            actor = await actor_now(session, kind, actor_id)
        assert actor is not None
        async with open_client(probing, credentials) as client:
            for path in ("/probe/writing", "/probe/reading"):
                assert set(map(UUID, (await client.get(path)).json())) == actor.colleagues
        return set(actor.colleagues)

    async def of_person(person: Person) -> set[UUID]:
        return await colleagues("user", person.id, Authorization=f"Bearer {person.token}")

    assert {name for name, (_, held) in ROLES.items() if "customers.view_team" in held} == {"administrator", "manager"}
    assert await of_person(lead) == everybody
    assert await of_person(sale) == set()
    assert await of_person(overseer) == set()

    administrators = {workspace.administrator.id, beside.id}
    await team(workspace.admin, "Quản trị", workspace.administrator, beside)
    keys = "/api/v1/api-keys"
    for scopes, expected in (
        (["customers.view", "customers.view_team"], administrators),
        (["customers.view"], set()),
        (["customers.view_team", "customers.view_all"], set()),
    ):
        key = (await workspace.admin.post(keys, json={"name": "thử", "scopes": scopes})).json()
        assert await colleagues("api_key", UUID(key["id"]), **{"X-API-Key": key["key"]}) == expected

    assert (await change(workspace.admin, own, members=[str(beside.id)])).is_success
    assert await of_person(lead) == set()
