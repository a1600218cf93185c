"""Notifications: everybody's own, newest first, read one by one or all at once."""

from typing import Any
from uuid import UUID

import httpx
import pytest

from app.core.clock import new_id
from app.notifications.service import notify
from tests.conftest import MakeWorkspace
from tests.factories.people import Person, Workspace

API = "/api/v1/notifications"


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


@pytest.mark.feature("A079")
async def test_the_newest_comes_first(workspace: Workspace) -> None:
    await told(workspace, workspace.administrator, "một", "hai", "ba")
    page = await seen(workspace.admin)
    assert [one["message"] for one in page["items"]] == ["ba", "hai", "một"]
    assert (page["unread"], page["next_cursor"]) == (3, None)
    assert page["items"][0]["data"] == {"state": "succeeded"}
    assert page["items"][0]["read_at"] is None
    first = await seen(workspace.admin, limit=2)
    second = await seen(workspace.admin, limit=2, cursor=first["next_cursor"])
    assert [one["message"] for one in first["items"] + second["items"]] == ["ba", "hai", "một"]
    assert (second["next_cursor"], second["unread"]) == (None, 3)
    english = await workspace.admin.get(API, headers={"Accept-Language": "en"})
    assert english.json()["items"][0]["message"] == "ba (en)"


async def test_one_is_read(workspace: Workspace) -> None:
    first, second = await told(workspace, workspace.administrator, "một", "hai")
    read = await workspace.admin.post(f"{API}/{first}/read")
    assert read.status_code == 200
    at = read.json()["read_at"]
    assert at is not None
    again = await workspace.admin.post(f"{API}/{first}/read")
    assert (again.status_code, again.json()["read_at"]) == (200, at)
    page = await seen(workspace.admin, unread=True)
    assert ([one["id"] for one in page["items"]], page["unread"]) == ([second], 1)
    assert len((await seen(workspace.admin))["items"]) == 2


async def test_all_are_read(workspace: Workspace) -> None:
    other = await workspace.person()
    await told(workspace, workspace.administrator, "một", "hai")
    await told(workspace, other, "của người khác")
    assert (await workspace.admin.post(f"{API}/read-all")).json() == {"marked": 2}
    assert (await workspace.admin.post(f"{API}/read-all")).json() == {"marked": 0}
    assert await seen(workspace.admin, unread=True) == {"items": [], "next_cursor": None, "unread": 0}
    assert (await seen(other.client))["unread"] == 1


async def test_others_are_not_seen(workspace: Workspace, new_workspace: MakeWorkspace) -> None:
    """Not by the administrator either, and a foreign id answers as one that does not exist."""
    sale, stranger = await workspace.person(), await new_workspace()
    [mine] = await told(workspace, sale, "riêng")
    for client in (workspace.admin, stranger.admin):
        assert (await seen(client))["items"] == []
        reply = await client.post(f"{API}/{mine}/read")
        missing = await client.post(f"{API}/{new_id()}/read")
        assert (reply.status_code, reply.json()["code"]) == (404, "not_found")
        assert reply.json()["detail"] == missing.json()["detail"]
    assert (await seen(sale.client))["unread"] == 1
    await stranger.aclose()


async def test_only_people_have_notifications(workspace: Workspace, client: httpx.AsyncClient) -> None:
    assert (await client.get(API)).status_code == 401
    key = await workspace.key("customers.view")
    assert (await key.get(API)).status_code == 403
    await key.aclose()
    forged = await workspace.admin.get(API, params={"cursor": "AAAA"})
    assert 400 <= forged.status_code < 500
