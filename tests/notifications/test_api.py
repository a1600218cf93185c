"""Notifications over HTTP."""

from uuid import uuid4

from app.notifications.service import notify
from tests.factories.people import Person, Workspace

API = "/api/v1/notifications"


async def tell(workspace: Workspace, person: Person, text: str) -> None:
    """Leaves a notification."""
    async with workspace.resources.db.transaction(workspace.id) as session:
        await notify(session, person.id, "thử", vi=text, en=f"{text} in English", subject_type="import")


async def test_each_user_has_their_own(workspace: Workspace) -> None:
    sale = await workspace.person("sale")
    for text in ("một", "hai", "ba"):
        await tell(workspace, sale, text)
    await tell(workspace, workspace.administrator, "của quản trị")
    page = (await sale.client.get(API, params={"limit": 2})).json()
    assert ([one["message"] for one in page["items"]], page["unread"]) == (["ba", "hai"], 3)
    rest = (await sale.client.get(API, params={"limit": 2, "cursor": page["next_cursor"]})).json()
    assert ([one["message"] for one in rest["items"]], rest["next_cursor"]) == (["một"], None)
    english = (await sale.client.get(API, headers={"Accept-Language": "en"})).json()
    assert english["items"][0]["message"] == "ba in English"


async def test_reading_is_remembered(workspace: Workspace) -> None:
    sale = await workspace.person("sale")
    for text in ("một", "hai", "ba"):
        await tell(workspace, sale, text)
    first = (await sale.client.get(API)).json()["items"][0]
    read = (await sale.client.post(f"{API}/{first['id']}/read")).json()
    assert read["read_at"] is not None
    assert (await sale.client.post(f"{API}/{first['id']}/read")).json()["read_at"] == read["read_at"]
    unread = (await sale.client.get(API, params={"unread": True})).json()
    assert ([one["message"] for one in unread["items"]], unread["unread"]) == (["hai", "một"], 2)
    assert (await sale.client.post(f"{API}/read-all")).json() == {"marked": 2}
    assert (await sale.client.get(API)).json()["unread"] == 0


async def test_nobody_reads_for_another(workspace: Workspace) -> None:
    await tell(workspace, workspace.administrator, "riêng")
    [mine] = (await workspace.admin.get(API)).json()["items"]
    sale = await workspace.person("sale")
    assert (await sale.client.post(f"{API}/{mine['id']}/read")).status_code == 404
    assert (await sale.client.post(f"{API}/{uuid4()}/read")).status_code == 404
    assert (await workspace.admin.get(API)).json()["unread"] == 1
