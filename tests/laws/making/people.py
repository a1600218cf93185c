"""How users, roles, teams, keys and what concerns them are made."""

from typing import Any

from app.notifications.service import notify
from tests.factories.people import PASSWORD
from tests.laws.scene import API, Call, Made, Scene


async def user(scene: Scene) -> Made:
    """An account; made without the cost of a hash."""
    body = user_body(scene)
    made = str(await scene.workspace.account(body["username"], full_name=body["full_name"]))
    scene.others.add(made)
    return Made(made)


def user_body(scene: Scene) -> dict[str, Any]:
    """An account that is not there yet."""
    return {"username": f"u{scene.number()}.{scene.canary[3:]}", "password": PASSWORD, "full_name": scene.text()}


async def role(scene: Scene) -> Made:
    """The workspace's role `sale`: roles are born with it."""
    roles = (await scene.client.get(f"{API}/roles")).json()["items"]
    found = next(one for one in roles if one["key"] == "sale")
    scene.others.add(found["id"])
    return Made(found["id"], f'"{found["version"]}"', found)


async def team(scene: Scene) -> Made:
    """A team with nobody in it."""
    return await scene.make("/teams", team_body(scene))


def team_body(scene: Scene) -> dict[str, Any]:
    """A team that is not there yet."""
    return {"name": scene.text()}


async def api_key(scene: Scene) -> Made:
    """A key of the caller's."""
    made = await scene.make("/api-keys", key_body(scene))
    scene.personal.add(made.reply["key"])
    return made


def key_body(scene: Scene) -> dict[str, Any]:
    """A key that is not there yet."""
    return {"name": scene.text(), "scopes": ["customers.view"]}


async def other_settings(scene: Scene, call: Call) -> None:
    """A change of the settings is one only if they were not so before."""
    now_ = (await scene.client.get(f"{API}/settings")).json()
    call.body = {"group_description_required": not now_["group_description_required"]}


async def notification(scene: Scene) -> Made:
    """Something that the caller should know."""
    async with scene.workspace.resources.db.transaction(scene.workspace.id) as session:
        made = await notify(session, scene.person.id, "law", vi=scene.text(), en=scene.text(), subject_type="workspace")
    scene.others.add(str(made))
    return Made(str(made))
