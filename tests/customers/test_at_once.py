"""Many who change the same thing of the configuration at once: one is first, and the others hear of it."""

import asyncio
from typing import Any

import pytest

from tests.factories.people import Workspace

API = "/api/v1"


@pytest.mark.promise(11)
@pytest.mark.parametrize(
    ("path", "body", "change"),
    [
        ("/tiers", {"name": "Vàng"}, {"benefits": "Quà số {}"}),
        ("/tags", {"name": "Vàng"}, {"name": "Vàng {}"}),
        ("/groups", {"name": "Vàng", "description": "x"}, {"name": "Vàng {}"}),
        ("/sources", {"name": "Vàng"}, {"name": "Vàng {}"}),
        ("/attributes", {"name": "Vàng", "type": "text"}, {"name": "Vàng {}"}),
    ],
)
async def test_ten_at_once_change_one_once(
    workspace: Workspace, path: str, body: dict[str, Any], change: dict[str, str]
) -> None:
    made = await workspace.admin.post(API + path, json=body)
    assert made.status_code == 201, made.text
    one = f"{API}{path}/{made.json()['id']}"
    replies = await asyncio.gather(
        *(
            workspace.admin.patch(
                one, json={key: value.format(n) for key, value in change.items()}, headers={"If-Match": '"1"'}
            )
            for n in range(10)
        )
    )
    assert sorted(reply.status_code for reply in replies) == [200] + [412] * 9
    winner = next(reply.json() for reply in replies if reply.status_code == 200)
    assert (await workspace.admin.get(one)).json() == winner
    assert winner["version"] == 2


async def test_ten_first_choices_of_tabs_make_one(workspace: Workspace) -> None:
    mine = f"{API}/me/tabs/customers"
    each = [["orders"], ["timeline"], ["orders", "timeline"], ["contacts"], ["tasks"]] * 2
    replies = await asyncio.gather(
        *(workspace.admin.put(mine, json={"tabs": tabs}, headers={"If-Match": '"1"'}) for tabs in each)
    )
    assert sorted(reply.status_code for reply in replies) == [200] + [412] * 9
    winner = next(reply.json() for reply in replies if reply.status_code == 200)
    assert (await workspace.admin.get(mine)).json() == winner
