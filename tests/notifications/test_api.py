"""Notifications over HTTP: everybody's own, newest first, read one by one or all at once."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import update

from app.core.clock import id_at, new_id, now
from app.notifications.models import Notification
from app.notifications.service import READ_KEPT, UNREAD_KEPT, notify, purge
from tests.conftest import MakeWorkspace
from tests.factories.people import Person, Workspace

API = "/api/v1/notifications"
DAY = timedelta(days=1)


async def told(workspace: Workspace, who: Person, *messages: str) -> list[str]:
    """Leaves notifications for somebody, the first one first; their ids."""
    left = list[UUID]()
    for message in messages:
        async with workspace.resources.db.transaction(workspace.id) as session:
            left.append(
                await notify(
                    session, who.id, "import_finished", vi=message, en=f"{message} (en)", subject_type="import",
                    subject_id=new_id(), data={"state": "succeeded"},
                )
            )  # fmt: skip
    return [str(one) for one in left]


async def seen(client: httpx.AsyncClient, **params: Any) -> dict[str, Any]:
    """A page of the caller's notifications."""
    reply = await client.get(API, params=params)
    assert reply.status_code == 200, reply.text
    found: dict[str, Any] = reply.json()
    return found


def messages(page: dict[str, Any]) -> list[str]:
    """The messages of a page, in its order."""
    return [one["message"] for one in page["items"]]


@pytest.mark.feature("A079")
async def test_each_user_has_their_own_and_the_newest_comes_first(workspace: Workspace) -> None:
    sale = await workspace.person("sale")
    await told(workspace, sale, "một", "hai", "ba")
    await told(workspace, workspace.administrator, "của quản trị")
    page = await seen(sale.client)
    assert messages(page) == ["ba", "hai", "một"]
    assert (page["unread"], page["next_cursor"]) == (3, None)
    assert page["items"][0]["data"] == {"state": "succeeded"}
    assert page["items"][0]["read_at"] is None
    assert messages(await seen(workspace.admin)) == ["của quản trị"]
    first = await seen(sale.client, limit=2)
    assert (messages(first), first["unread"]) == (["ba", "hai"], 3)
    second = await seen(sale.client, limit=2, cursor=first["next_cursor"])
    assert (messages(second), second["next_cursor"], second["unread"]) == (["một"], None, 3)
    english = await sale.client.get(API, headers={"Accept-Language": "en"})
    assert messages(english.json())[0] == "ba (en)"


@pytest.mark.parametrize("role", ["administrator", "sale"])
async def test_reading_is_remembered(workspace: Workspace, role: str) -> None:
    person = await workspace.person(role)
    first, second, third = await told(workspace, person, "một", "hai", "ba")
    read = await person.client.post(f"{API}/{first}/read")
    assert read.status_code == 200
    at = read.json()["read_at"]
    assert at is not None
    again = await person.client.post(f"{API}/{first}/read")
    assert (again.status_code, again.json()["read_at"]) == (200, at)
    page = await seen(person.client, unread=True)
    assert ([one["id"] for one in page["items"]], page["unread"]) == ([third, second], 2)
    assert len((await seen(person.client))["items"]) == 3
    assert (await person.client.post(f"{API}/read-all")).json() == {"marked": 2}
    assert (await seen(person.client))["unread"] == 0


async def test_all_are_read(workspace: Workspace) -> None:
    other = await workspace.person()
    await told(workspace, workspace.administrator, "một", "hai")
    await told(workspace, other, "của người khác")
    assert (await workspace.admin.post(f"{API}/read-all")).json() == {"marked": 2}
    assert (await workspace.admin.post(f"{API}/read-all")).json() == {"marked": 0}
    assert await seen(workspace.admin, unread=True) == {"items": [], "next_cursor": None, "unread": 0}
    assert (await seen(other.client))["unread"] == 1


async def test_nobody_sees_or_reads_for_another(workspace: Workspace, new_workspace: MakeWorkspace) -> None:
    """Not an administrator either, nor a colleague; a foreign id answers as one that does not exist."""
    sale, stranger = await workspace.person("sale"), await new_workspace()
    [mine] = await told(workspace, sale, "riêng")
    [theirs] = await told(workspace, workspace.administrator, "của quản trị")
    for client, foreign, own in (
        (workspace.admin, mine, ["của quản trị"]),
        (sale.client, theirs, ["riêng"]),
        (stranger.admin, mine, []),
    ):
        assert messages(await seen(client)) == own
        reply = await client.post(f"{API}/{foreign}/read")
        missing = await client.post(f"{API}/{new_id()}/read")
        assert (reply.status_code, reply.json()["code"], missing.status_code) == (404, "not_found", 404)
        assert reply.json()["detail"] == missing.json()["detail"]
    for client in (workspace.admin, sale.client):
        assert (await seen(client))["unread"] == 1
    await stranger.aclose()


async def test_only_people_have_notifications(workspace: Workspace, client: httpx.AsyncClient) -> None:
    assert (await client.get(API)).status_code == 401
    key = await workspace.key("customers.view")
    assert (await key.get(API)).status_code == 403
    await key.aclose()
    forged = await workspace.admin.get(API, params={"cursor": "AAAA"})
    assert 400 <= forged.status_code < 500


async def test_old_notifications_go(workspace: Workspace) -> None:
    person, moment = workspace.administrator, now()
    ages = {"read": READ_KEPT + DAY, "unread": READ_KEPT + DAY, "recent": READ_KEPT - DAY, "ancient": UNREAD_KEPT + DAY}
    kept = dict(zip(ages, await told(workspace, person, *ages), strict=True))
    async with workspace.resources.db.transaction(workspace.id) as session:
        for number, (name, age) in enumerate(ages.items()):
            born = moment - age
            values = {"id": UUID(int=id_at(born).int + number), "created_at": born}
            values |= {"read_at": born} if name in ("read", "recent") else {}
            await session.execute(update(Notification).where(Notification.id == UUID(kept[name])).values(**values))
        # Read yesterday, it stays for another while.
        late = {"id": UUID(int=id_at(moment - READ_KEPT - DAY).int + len(ages)), "read_at": moment - DAY}
    [late_id] = await told(workspace, person, "late")
    async with workspace.resources.db.transaction(workspace.id) as session:
        await session.execute(update(Notification).where(Notification.id == UUID(late_id)).values(**late))
        assert [await purge(session, 1) for _ in range(3)] == [1, 1, 0]
    assert {one["message"] for one in (await seen(workspace.admin))["items"]} == {"unread", "recent", "late"}
