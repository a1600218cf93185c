"""Tiers: given by hand, or by conditions."""

import asyncio
from typing import Any

import pytest

from app.customers import scoring
from tests.customers.test_customers import add
from tests.customers.test_groups import ended
from tests.factories.people import Workspace
from tests.transactions.steps import API, customer, history, patch, post, type_id
from workers.main import WorkerProcess


async def tier(workspace: Workspace, name: str, metric: str | None = None, at_least: int = 0) -> dict[str, Any]:
    """A tier; with a metric, an automatic one."""
    rule = {"automatic": True, "conditions": [{"metric": metric, "at_least": at_least}]} if metric else {}
    return await post(workspace.admin, "/tiers", name=name, **rule)


async def tier_of(workspace: Workspace, customer_id: str) -> str | None:
    """The name of a customer's tier."""
    found: str | None = (await customer(workspace.admin, customer_id))["tier"]
    return found


@pytest.mark.feature("D016")
async def test_a_tier_lives_and_dies(workspace: Workspace) -> None:
    made = await post(workspace.admin, "/tiers", name="Vàng", discount_percent=7.5, benefits="Giao miễn phí")
    assert (made["discount_percent"], made["benefits"], made["automatic"]) == (7.5, "Giao miễn phí", False)
    path = f"/tiers/{made['id']}"
    assert (await workspace.admin.get(API + path)).json() == made
    assert (await patch(workspace.admin, path, 1, discount_percent=None, position=9))["discount_percent"] is None
    one = await add(workspace.admin, tier="vang")
    assert (one["tier"], one["tier_fixed"]) == ("Vàng", True)
    used = await workspace.admin.delete(API + path, headers={"If-Match": '"2"'})
    assert (used.status_code, used.json()["code"]) == (409, "in_use")
    await patch(workspace.admin, f"/customers/{one['id']}", 1, tier=None)
    assert (await workspace.admin.delete(API + path, headers={"If-Match": '"2"'})).status_code == 204
    for wrong in (
        {"automatic": True}, {"discount_percent": 101}, {"conditions": [{"metric": "luck", "at_least": 1}]},
        {"conditions": [{"metric": "score", "at_least": 0}]}, {"name": ""},
    ):  # fmt: skip
        assert (await workspace.admin.post(f"{API}/tiers", json={"name": "x", **wrong})).status_code == 422


@pytest.mark.feature("D017")
async def test_who_fulfils_the_conditions_gets_the_highest_tier(workspace: Workspace) -> None:
    await tier(workspace, "Bạc", "contracts", 1)
    await tier(workspace, "Vàng", "contract_value", 1_000)
    await tier(workspace, "Bạn thân")
    one = await add(workspace.admin)
    made = await post(workspace.admin, "/contracts", customer_id=one["id"], number="1", value=400)
    assert await tier_of(workspace, one["id"]) == "Bạc"
    await post(workspace.admin, "/contracts", customer_id=one["id"], number="2", value=600)
    assert await tier_of(workspace, one["id"]) == "Vàng"
    newest = (await workspace.admin.get(f"{API}/customers/{one['id']}/events")).json()["items"][0]
    assert (newest["kind"], newest["changes"]) == ("customer.classified", {"tier": ["Bạc", "Vàng"]})
    assert newest["data"] == {"reason": "tier_rule"}
    path = f"/contracts/{made['id']}"
    await patch(workspace.admin, path, 1, state="cancelled")
    assert await tier_of(workspace, one["id"]) == "Bạc"
    await patch(workspace.admin, path, 2, state="active")
    assert await tier_of(workspace, one["id"]) == "Vàng"
    for number in ("1", "2"):
        listed = (await workspace.admin.get(f"{API}/contracts", params={"customer_id": one["id"]})).json()["items"]
        found = next(item for item in listed if item["number"] == number)
        etag = {"If-Match": f'"{found["version"]}"'}
        await workspace.admin.delete(f"{API}/contracts/{found['id']}", headers=etag)
    assert await tier_of(workspace, one["id"]) is None


@pytest.mark.feature("D018")
async def test_a_tier_chosen_by_hand_stays(workspace: Workspace) -> None:
    await tier(workspace, "Bạc", "contracts", 1)
    await tier(workspace, "Bạn thân")
    one = await add(workspace.admin, tier="Bạn thân")
    await post(workspace.admin, "/contracts", customer_id=one["id"], number="1", value=1)
    assert await tier_of(workspace, one["id"]) == "Bạn thân"
    version = (await customer(workspace.admin, one["id"]))["version"]
    given_back = await patch(workspace.admin, f"/customers/{one['id']}", version, tier=None)
    assert (given_back["tier"], given_back["tier_fixed"]) == ("Bạc", False)
    by_hand = await patch(workspace.admin, f"/customers/{one['id']}", given_back["version"], tier="Bạn thân")
    assert (by_hand["tier"], by_hand["tier_fixed"]) == ("Bạn thân", True)
    assert ("customer.classified", "classified") in await history(workspace.admin, one["id"])


@pytest.mark.feature("D018")
async def test_a_tier_that_a_rule_gave_can_be_pinned(workspace: Workspace) -> None:
    await tier(workspace, "Bạc", "contracts", 1)
    one = await add(workspace.admin)
    made = await post(workspace.admin, "/contracts", customer_id=one["id"], number="1", value=1)
    ruled = await customer(workspace.admin, one["id"])
    assert (ruled["tier"], ruled["tier_fixed"]) == ("Bạc", False)
    path = f"/customers/{one['id']}"
    pinned = await patch(workspace.admin, path, ruled["version"], tier="bac")
    assert (pinned["tier"], pinned["tier_fixed"], pinned["version"]) == ("Bạc", True, ruled["version"] + 1)
    assert (await patch(workspace.admin, path, pinned["version"], tier="Bạc"))["version"] == pinned["version"]
    await patch(workspace.admin, f"/contracts/{made['id']}", 1, state="cancelled")
    assert await tier_of(workspace, one["id"]) == "Bạc"


async def test_the_same_discount_changes_nothing(workspace: Workspace) -> None:
    made = await post(workspace.admin, "/tiers", name="Vàng", discount_percent=7.1)
    again = await patch(workspace.admin, f"/tiers/{made['id']}", 1, discount_percent=7.1)
    assert (again["discount_percent"], again["version"]) == (7.1, 1)


@pytest.mark.feature("D017")
async def test_a_new_or_changed_rule_reaches_everybody_in_a_job(workspace: Workspace, worker: WorkerProcess) -> None:
    ids = [(await add(workspace.admin, phone=f"098765{n:04d}"))["id"] for n in range(3)]
    meeting = await type_id(workspace)
    for place, one in enumerate(ids):
        for _ in range(place):
            await post(workspace.admin, "/transactions", customer_id=one, name="A", type_id=meeting, state="completed")
    made = await tier(workspace, "Thường xuyên", "transactions", 2)
    job = await ended(workspace, scoring.RESCORE)
    assert job.progress["done"] == job.progress["total"] == 3
    assert [await tier_of(workspace, one) for one in ids] == [None, None, "Thường xuyên"]
    conditions = [{"metric": "transactions", "at_least": 1}, {"metric": "score", "at_least": 10}]
    await patch(workspace.admin, f"/tiers/{made['id']}", 1, conditions=conditions)
    await all_ended(workspace)
    assert [await tier_of(workspace, one) for one in ids] == [None, "Thường xuyên", "Thường xuyên"]
    await patch(workspace.admin, f"/tiers/{made['id']}", 2, automatic=False)
    await all_ended(workspace)
    assert [await tier_of(workspace, one) for one in ids] == [None, "Thường xuyên", "Thường xuyên"]


async def all_ended(workspace: Workspace) -> None:
    """Waits until no rescoring is left to do."""
    for _ in range(400):
        jobs = (await workspace.admin.get(f"{API}/jobs", params={"kind": scoring.RESCORE})).json()["items"]
        if all(job["state"] == "succeeded" for job in jobs):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(jobs)
