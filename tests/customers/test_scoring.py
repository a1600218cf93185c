"""Scores and stars: the ledger's sum, whatever happens."""

import random
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from app.core.actor import Actor
from app.customers import scoring
from app.customers.models import Customer, CustomerGroup, GroupMember, ScoreEntry
from app.transactions.models import Transaction, TransactionType
from tests.customers.test_customers import add
from tests.customers.test_groups import ended, put_in
from tests.customers.test_tiers import all_ended
from tests.factories.people import Workspace
from tests.transactions.steps import API, customer, patch, post, type_id
from workers.main import WorkerProcess


async def scores(workspace: Workspace) -> dict[UUID, int]:
    """The stored scores; that the ledger adds up to them, and they to the naive sum, is checked."""
    async with workspace.resources.db.transaction(workspace.id) as session:
        kept = {row.id: row for row in await session.scalars(select(Customer))}
        naive = dict.fromkeys(kept, 0)
        groups = {row.id: row.points for row in await session.scalars(select(CustomerGroup))}
        types = {row.id: row.points for row in await session.scalars(select(TransactionType))}
        member = select(GroupMember.customer_id, GroupMember.group_id).where(GroupMember.tenant_id == workspace.id)
        for customer_id, group_id in await session.execute(member):
            naive[customer_id] += groups[group_id]
        for one in await session.scalars(select(Transaction).where(Transaction.state == "completed")):
            naive[one.customer_id] += types[one.type_id]
        entries = select(ScoreEntry.customer_id, ScoreEntry.points).where(ScoreEntry.tenant_id == workspace.id)
        ledger = dict.fromkeys(kept, 0)
        for customer_id, points in await session.execute(entries):
            ledger[customer_id] += points
    stored = {id_: row.score for id_, row in kept.items()}
    assert stored == ledger == naive
    for row in kept.values():
        assert row.stars == sum(row.score >= least for least in scoring.THRESHOLDS)
    return stored


@pytest.mark.feature("D040", "D041")
async def test_a_score_is_the_points_of_groups_and_completed_transactions(workspace: Workspace) -> None:
    vip = await post(workspace.admin, "/groups", name="VIP", description="x", points=20)
    await post(workspace.admin, "/groups", name="Thành phố", description="x", points=5)
    one = await add(workspace.admin, groups=["VIP", "Thành phố"])
    assert (one["score"], one["stars"]) == (25, 1)
    meeting = await type_id(workspace)
    made = [
        await post(workspace.admin, "/transactions", customer_id=one["id"], name=f"T{n}", type_id=meeting, state=state)
        for n, state in enumerate(("completed", "completed", "in_progress"))
    ]
    found = await customer(workspace.admin, one["id"])
    # A score follows from other facts: the customer's version tells only of the stage that the first one moved.
    assert (found["score"], found["stars"], found["version"]) == (45, 2, 2)
    await patch(workspace.admin, f"/transactions/{made[2]['id']}", 1, state="completed")
    assert (await customer(workspace.admin, one["id"]))["score"] == 55
    told = (await workspace.admin.get(f"{API}/customers/{one['id']}/score")).json()
    assert (told["score"], told["stars"]) == (55, 3)
    assert sorted((entry["source_kind"], entry["name"], entry["points"]) for entry in told["entries"]) == [
        ("group", "Thành phố", 5), ("group", "VIP", 20), ("transaction", "T0", 10), ("transaction", "T1", 10),
        ("transaction", "T2", 10),
    ]  # fmt: skip
    await patch(workspace.admin, f"/transactions/{made[0]['id']}", 1, type_id=await type_id(workspace, "Gửi email"))
    await workspace.admin.delete(f"{API}/transactions/{made[1]['id']}", headers={"If-Match": '"1"'})
    assert (await customer(workspace.admin, one["id"]))["score"] == 37
    await put_in(workspace.admin, vip["id"], one["id"], method="DELETE")
    assert (await customer(workspace.admin, one["id"]))["score"] == 17
    await patch(workspace.admin, f"/customers/{one['id']}", 3, groups=["VIP"])
    assert (await customer(workspace.admin, one["id"]))["score"] == 32
    await workspace.admin.delete(f"{API}/groups/{vip['id']}", headers={"If-Match": '"1"'})
    assert (await customer(workspace.admin, one["id"]))["score"] == 12
    await scores(workspace)


@pytest.mark.feature("D041")
async def test_customers_are_filtered_and_sorted_by_stars_and_score(workspace: Workspace) -> None:
    for name, points in (("A", 10), ("B", 40), ("C", 95)):
        await post(workspace.admin, "/groups", name=name, description="x", points=points)
    for n, names in enumerate((["C"], [], ["A"], ["B"], ["A", "B"])):
        await add(workspace.admin, name=f"K{n}", phone=f"098765{n:04d}", groups=names)

    async def found(**params: Any) -> list[str]:
        page = await workspace.admin.get(f"{API}/customers", params=params)
        assert page.status_code == 200, page.text
        names = [item["name"] for item in page.json()["items"]]
        if page.json()["next_cursor"]:
            names += await found(**(params | {"cursor": page.json()["next_cursor"]}))
        return names

    assert await found(sort="-stars", limit=2) == ["K0", "K4", "K3", "K2", "K1"]
    assert await found(sort="score", limit=2) == ["K1", "K2", "K3", "K4", "K0"]
    assert await found(stars__from=2) == ["K4", "K3", "K0"]
    assert await found(score=50) == ["K4"]


@pytest.mark.feature("D041")
async def test_thresholds_are_the_workspaces_own(workspace: Workspace, worker: WorkerProcess) -> None:
    await post(workspace.admin, "/groups", name="A", description="x", points=40)
    one = await add(workspace.admin, groups=["A"])
    rules = await workspace.admin.get(f"{API}/score-rules")
    assert (rules.json()["thresholds"], rules.headers["etag"]) == ([10, 30, 50, 70, 90], '"1"')
    path, wanted = f"{API}/score-rules", {"thresholds": [1, 2, 3, 40, 41]}
    assert (await workspace.admin.put(path, json=wanted)).status_code == 428
    changed = await workspace.admin.put(path, json=wanted, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    assert (await workspace.admin.get(f"{API}/jobs/{changed.json()['job_id']}")).status_code == 200
    await ended(workspace, scoring.RESCORE)
    found = await customer(workspace.admin, one["id"])
    assert (found["stars"], found["version"]) == (4, 1)
    same = await workspace.admin.put(path, json=wanted, headers={"If-Match": '"2"'})
    assert (same.json()["job_id"], same.headers["etag"]) == (None, '"2"')
    assert (await workspace.admin.put(path, json=wanted, headers={"If-Match": '"1"'})).status_code == 412
    for wrong in ([1, 2, 3, 4], [1, 2, 3, 4, 4], [0, 1, 2, 3, 4], "x"):
        reply = await workspace.admin.put(path, json={"thresholds": wrong}, headers={"If-Match": '"2"'})
        assert reply.status_code == 422
    sale = await workspace.person("sale")
    assert (await sale.client.put(path, json=wanted, headers={"If-Match": '"2"'})).status_code == 403
    assert (await sale.client.get(f"{API}/customers/{one['id']}/score")).status_code == 404


@pytest.mark.feature("D040")
async def test_other_points_reach_everybody_in_a_job(workspace: Workspace, worker: WorkerProcess) -> None:
    group = await post(workspace.admin, "/groups", name="A", description="x")
    ids = [(await add(workspace.admin, phone=f"098765{n:04d}", groups=["A"][n % 2 :]))["id"] for n in range(4)]
    meeting = await type_id(workspace)
    await post(workspace.admin, "/transactions", customer_id=ids[1], name="T", type_id=meeting, state="completed")
    await patch(workspace.admin, f"/groups/{group['id']}", 1, points=33)
    await patch(workspace.admin, f"/transaction-types/{meeting}", 1, points=-4)
    await all_ended(workspace)
    stored = await scores(workspace)
    assert [stored[UUID(one)] for one in ids] == [33, -4, 33, 0]
    jobs = (await workspace.admin.get(f"{API}/jobs", params={"kind": scoring.RESCORE})).json()["items"]
    assert sorted((job["progress"]["done"], job["progress"]["total"]) for job in jobs) == [(1, 1), (2, 2)]


async def test_a_long_change_of_points_goes_step_by_step(
    workspace: Workspace, worker: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.customers.PART", 2)
    group = await post(workspace.admin, "/groups", name="A", description="x")
    ids = [(await add(workspace.admin, phone=f"098765{n:04d}", groups=["A"]))["id"] for n in range(5)]
    await patch(workspace.admin, f"/groups/{group['id']}", 1, points=12)
    job = await ended(workspace, scoring.RESCORE)
    assert job.result == {"done": 5}
    assert set((await scores(workspace)).values()) == {12}
    assert len(ids) == 5


@given(seed=st.integers(0, 2**32))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.feature("D040")
async def test_the_stored_score_is_always_the_naive_sum(workspace: Workspace, worker: WorkerProcess, seed: int) -> None:
    rng, client = random.Random(seed), workspace.admin
    mark = f"{seed}-{rng.random()}"
    groups = [
        (await post(client, "/groups", name=f"{mark} {n}", description="x", points=rng.choice((0, 3, 10, -2))))["id"]
        for n in range(3)
    ]
    types = [item["id"] for item in (await client.get(f"{API}/transaction-types")).json()["items"]]
    numbers = rng.sample(range(10**6), 3)
    people = [(await add(client, phone=f"0987{number:06d}", name=f"{mark}"))["id"] for number in numbers]
    made: list[str] = []
    for _ in range(15):
        one, what = rng.choice(people), rng.randrange(8)
        if what == 0:
            await put_in(client, rng.choice(groups), *rng.sample(people, 2))
        elif what == 1:
            await put_in(client, rng.choice(groups), one, method="DELETE")
        elif what == 2:
            names = [f"{mark} {n}" for n in rng.sample(range(3), rng.randrange(3))]
            await changed(client, f"/customers/{one}", groups=names)
        elif what in (3, 4):
            state = rng.choice(("not_started", "completed"))
            body = {"customer_id": one, "name": "T", "type_id": rng.choice(types), "state": state}
            made.append((await post(client, "/transactions", **body))["id"])
        elif what == 5 and made:
            state = rng.choice(("in_progress", "completed"))
            await changed(client, f"/transactions/{rng.choice(made)}", state=state, type_id=rng.choice(types))
        elif what == 6:
            await changed(client, f"/groups/{rng.choice(groups)}", points=rng.choice((0, 1, 50)))
        else:
            await changed(client, f"/transaction-types/{rng.choice(types)}", points=rng.randrange(-5, 20))
    await all_ended(workspace)
    await scores(workspace)


async def changed(client: Any, path: str, **body: Any) -> None:
    """A change of whatever version there is now."""
    version = (await client.get(f"{API}{path}")).json()["version"]
    await patch(client, path, version, **body)


async def test_a_recomputation_changes_nothing_that_is_right(workspace: Workspace) -> None:
    await post(workspace.admin, "/groups", name="A", description="x", points=5)
    one = await add(workspace.admin, groups=["A"])
    before = await customer(workspace.admin, one["id"])
    actor = Actor(workspace.id, "user", workspace.administrator.id, "x")
    async with workspace.resources.db.transaction(workspace.id) as session:
        await scoring.recompute(session, actor, [UUID(one["id"])])
        await scoring.recompute(session, actor, [])
    assert await customer(workspace.admin, one["id"]) == before
