"""A change by a file does what the same change by hand does."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from tests.bulk.steps import do
from tests.customers.test_customers import add
from tests.duplicates.conftest import edit
from tests.factories.people import Workspace
from tests.imports.steps import API, HEADERS, bring, customers, ready, undo, until
from tests.imports.steps import table as csv
from tests.transactions.steps import post

pytestmark = pytest.mark.usefixtures("worker")


async def newest(workspace: Workspace, customer_id: str) -> dict[str, Any]:
    """The newest event of a customer."""
    found: dict[str, Any] = (await workspace.admin.get(f"{API}/customers/{customer_id}/events")).json()["items"][0]
    return found


async def test_a_customer_has_one_referrer(workspace: Workspace) -> None:
    sale = await workspace.person("sale")
    friend = await add(workspace.admin, phone="0912345670")
    header = ["Họ tên", "SĐT", "Nhân viên giới thiệu"]
    for clear in ("keep", "clear"):
        one = await add(workspace.admin, phone=f"091234567{len(clear)}", referrer=friend["id"], name="Hoa")
        await bring(workspace.admin, [header, ["Hoà", one["phone"], ""]], empty_cells=clear)
        before = (await customers(workspace))[one["phone"]]
        assert (before["referrer"], before["referrer_user"], before["name"]) == (friend["id"], None, "Hoà")
        done = await bring(workspace.admin, [header, ["Hoà", one["phone"], sale.username]], empty_cells=clear)
        after = (await customers(workspace))[one["phone"]]
        assert (after["referrer"], after["referrer_user"]) == (None, sale.username)
        changes = (await newest(workspace, one["id"]))["changes"]
        assert changes["referrer"] == [friend["id"], None]
        assert await undo(workspace, done["id"]) == {"removed": 0, "restored": 1, "kept": 0}
        again = (await customers(workspace))[one["phone"]]
        assert (again["referrer"], again["referrer_user"]) == (friend["id"], None)


@pytest.mark.feature("A071", "A093")
@pytest.mark.parametrize(
    ("changed", "by_hand"),
    [
        ({"relationship": "won"}, "customer.contract_closed"),
        ({"relationship": "lost"}, "customer.refused"),
        ({"relationship": "interested"}, "customer.potential"),
        ({"relationship": "working"}, "customer.classified"),
        ({"relationship": "won", "source": "Zalo"}, "customer.classified"),
        ({"source": "Zalo"}, "customer.classified"),
        ({"relationship": "won", "name": "Hoà"}, "customer.updated"),
        ({"name": "Hoà"}, "customer.updated"),
        ({"relationship": "won", "groups": "Hội thảo"}, "customer.updated"),
    ],
)
async def test_history_says_what_a_change_means(workspace: Workspace, changed: dict[str, str], by_hand: str) -> None:
    await post(workspace.admin, "/groups", name="Hội thảo", description="x")
    items = (await workspace.admin.get(f"{API}/relationships")).json()["items"]
    names = {one["category"]: one["name"] for one in items}
    cells = {key: names.get(value, value) for key, value in changed.items()}
    phones = ("+84912345678", "+84912345679")
    first, second = [await add(workspace.admin, phone=phone, name="Hoa") for phone in phones]
    body = cells | ({"groups": [cells["groups"]]} if "groups" in cells else {})
    assert (await edit(workspace.admin, first, **body)).status_code == 200
    header = ["Họ tên", "SĐT", "MQH", "Nguồn", "Nhóm"]
    row = [cells.get("name", "Hoa"), phones[1], *(cells.get(key, "") for key in ("relationship", "source", "groups"))]
    await bring(workspace.admin, [header, row])
    hand, file = await newest(workspace, first["id"]), await newest(workspace, second["id"])
    assert (hand["kind"], hand["type"]) == (file["kind"], file["type"])
    assert file["kind"] == by_hand
    assert hand["changes"] == file["changes"]


async def test_a_tier_that_a_file_takes_away_is_given_back_by_the_rules(workspace: Workspace) -> None:
    await post(workspace.admin, "/tiers", name="Bạc", automatic=True,
               conditions=[{"metric": "contracts", "at_least": 1}])  # fmt: skip
    await post(workspace.admin, "/tiers", name="Bạn thân")
    one = await add(workspace.admin, phone="0912345678", tier="Bạn thân", name="Hoa")
    await post(workspace.admin, "/contracts", customer_id=one["id"], number="1", value=1)
    header = ["Họ tên", "SĐT", "Hạng khách hàng"]
    done = await bring(workspace.admin, [header, ["Hoa", "0912345678", ""]], empty_cells="clear")
    found = (await customers(workspace))["+84912345678"]
    assert (found["tier"], found["tier_fixed"]) == ("Bạc", False)
    assert await undo(workspace, done["id"]) == {"removed": 0, "restored": 1, "kept": 0}
    found = (await customers(workspace))["+84912345678"]
    assert (found["tier"], found["tier_fixed"]) == ("Bạn thân", True)
    # And the other way: the undo takes away what the file had fixed.
    await bring(workspace.admin, [header, ["Hoa", "0912345678", ""]], empty_cells="clear")
    fixed = await bring(workspace.admin, [header, ["Hoa", "0912345678", "Bạn thân"]])
    await post(workspace.admin, "/contracts", customer_id=one["id"], number="2", value=1)
    assert (await undo(workspace, fixed["id"]))["restored"] == 1
    found = (await customers(workspace))["+84912345678"]
    assert (found["tier"], found["tier_fixed"]) == ("Bạc", False)


@pytest.mark.parametrize("again", [False, True])
async def test_who_gets_an_owner_by_a_file_leaves_the_pool(workspace: Workspace, again: bool) -> None:
    sale = await workspace.person("sale")
    one = await add(workspace.admin, phone="0912345678", name="Hoa", **({"owner": sale.username} if again else {}))
    other = await add(workspace.admin, phone="0912345679", name="Lan")
    await do(workspace.admin, "to_pool", [one["id"], other["id"]])
    rows = [["Hoa", "0912345678", sale.username], ["Lan", "0912345679", ""]]
    done = await bring(workspace.admin, [["Họ tên", "SĐT", "NV phụ trách"], *rows])
    assert (done["counts"]["updated"], done["counts"]["unchanged"]) == (2, 1)
    assert await pooled(workspace) == {"+84912345679"}
    assert (await newest(workspace, one["id"]))["changes"]["in_pool"] == [True, False]
    assert await undo(workspace, done["id"]) == {"removed": 0, "restored": 1, "kept": 0}
    assert await pooled(workspace) == {"+84912345678", "+84912345679"}


async def pooled(workspace: Workspace) -> set[str]:
    """The phones of the customers in the common pool."""
    async with workspace.resources.db.transaction(workspace.id) as session:
        rows = await session.execute(
            text("SELECT phone FROM crm.customer WHERE tenant_id = :tenant AND in_pool"), {"tenant": workspace.id}
        )
        return {row[0] for row in rows}


async def test_a_change_that_commits_while_the_import_waits_is_found_by_its_words(workspace: Workspace) -> None:
    one = await add(workspace.admin, phone="0912345678", name="Hoa", email="cu@example.com")
    found = await ready(workspace.admin, csv([HEADERS[:2], ["Hoà Bình", "0912345678"]]))
    async with workspace.resources.db.transaction(workspace.id) as session:
        await session.execute(
            text("UPDATE crm.customer SET email = 'moi@example.com' WHERE tenant_id = :tenant AND id = :id"),
            {"tenant": workspace.id, "id": one["id"]},
        )
        await workspace.admin.post(f"{API}/imports/{found['id']}/start", json={})
        for _ in range(200):
            waiting = await session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted"))
            if waiting:
                break
            await asyncio.sleep(0.05)
        assert waiting
    await until(workspace.admin, found["id"], ("succeeded",))
    for q in ("moi@example.com", "hoa binh"):
        items = (await workspace.admin.get(f"{API}/customers", params={"q": q})).json()["items"]
        assert [(each["id"], each["email"]) for each in items] == [(one["id"], "moi@example.com")]
