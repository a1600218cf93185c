"""`kill -9` at any moment of a bulk change, of its undo, and of merges by a rule: the end is that of work in peace."""

import csv
import random
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.bulk import service
from app.bulk.schemas import BulkIn
from app.customers import batches
from app.doctor import examine
from app.identity.access import actor_now
from tests.factories.workbooks import customers_xlsx
from tests.faults.fire import PACE, PART, Place, ended, shot_at, started, uploaded, worker, workspace
from tests.faults.house import House

# What a bulk change leaves of each customer, without what is different by nature: ids, codes and times.
LEFT = """
SELECT c.phone, c.name, c.note, c.version, c.score, c.stars, cardinality(c.group_nos),
       (SELECT count(*) FROM crm.group_member m WHERE (m.tenant_id, m.customer_id) = (c.tenant_id, c.id)),
       (SELECT array_agg(e.kind ORDER BY e.id) FROM crm.event e
            WHERE (e.tenant_id, e.subject_id) = (c.tenant_id, c.id)),
       (SELECT sum(s.points) FROM crm.score_entry s WHERE (s.tenant_id, s.customer_id) = (c.tenant_id, c.id)),
       (SELECT array_agg(i.status || coalesce(i.undone, '-') || coalesce(i.undo_code, '-')) FROM crm.batch_item i
            WHERE (i.tenant_id, i.customer_id) = (c.tenant_id, c.id))
FROM crm.customer c WHERE c.tenant_id = $1 ORDER BY c.phone
"""
# Of each cluster: who lives and who does not, what became one, and whom one finds by which phones.
MERGED = """
SELECT c.email, count(*) FILTER (WHERE c.deleted_at IS NULL), count(*) FILTER (WHERE c.deleted_at IS NOT NULL),
       count(DISTINCT c.merged_into),
       (SELECT count(*) FROM crm.customer_merge m WHERE m.tenant_id = $1
            AND m.master_id = ANY(array_agg(c.id) FILTER (WHERE c.deleted_at IS NULL))),
       (SELECT count(*) FROM crm.contact_point p WHERE p.tenant_id = $1
            AND p.customer_id = ANY(array_agg(c.id) FILTER (WHERE c.deleted_at IS NULL))),
       (SELECT array_agg(e.kind ORDER BY e.kind) FROM crm.event e WHERE e.tenant_id = $1
            AND e.subject_id = ANY(array_agg(c.id)))
FROM crm.customer c WHERE c.tenant_id = $1 GROUP BY c.email ORDER BY c.email
"""


@pytest.mark.timeout(400)
@pytest.mark.promise(1)
async def test_a_bulk_change_and_its_undo_that_are_killed(
    home: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "PART", PART)
    await changes_and_undoes_once(home, tmp_path, rows=2_250, kills=2)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.promise(1)
async def test_a_bulk_change_and_its_undo_that_are_killed_a_hundred_times(
    home: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "PART", PART)
    await changes_and_undoes_once(home, tmp_path, rows=50_000, kills=100)


async def changes_and_undoes_once(home: House, folder: Path, *, rows: int, kills: int) -> None:
    """The same change of the same customers in two workspaces, one in peace and one under fire; then its undo, which
    leaves alone whom somebody changed in between."""
    file, rng = customers_xlsx(folder / "khách.xlsx", rows, seed=3), random.Random(rows)
    api = await home.api()
    async with workspace(home, api, f"em-{rows}") as quiet, workspace(home, api, f"no-{rows}") as shot:
        calm = await worker(home)
        for place in (quiet, shot):
            await ended(home, await started(place, await uploaded(place, file)))
            reply = await place.client.post("/groups", json={"name": "Ưu tiên", "description": "để thử", "points": 30})
            assert reply.status_code == 201, reply.text
        peace = await changed(home, quiet, rows)
        await ended(home, peace)
        await home.stop(calm)
        doomed = await worker(home, PACE)
        fired = await changed(home, shot, rows)
        doomed = await shot_at(home, fired, rows, rng, kills, doomed)
        assert await result(home, fired) == {"changed": rows, "unchanged": 0, "skipped": 0}
        assert await left(home, LEFT, shot) == await left(home, LEFT, quiet)

        for place in (quiet, shot):
            await touched(place)
        back = await undone(shot, fired)
        doomed = await shot_at(home, back, rows, rng, kills, doomed)
        await home.stop(doomed)
        calm = await worker(home)
        await ended(home, peace_back := await undone(quiet, peace))
        await home.stop(calm)
    await home.stop(api)
    assert await result(home, back) == await result(home, peace_back) == {"restored": rows - 3, "kept": 3}
    assert await left(home, LEFT, shot) == await left(home, LEFT, quiet)
    assert await examine(str(home.settings.database_url)) == []


@pytest.mark.timeout(400)
@pytest.mark.promise(1)
async def test_merges_by_a_rule_that_are_killed(home: House, tmp_path: Path) -> None:
    """Each of many pairs becomes one, and one only."""
    pairs, kills = 120, 3
    file, rng = pairs_csv(tmp_path / "trùng.csv", pairs), random.Random(pairs)
    api = await home.api()
    async with workspace(home, api, "gop-em") as quiet, workspace(home, api, "gop-no") as shot:
        calm = await worker(home)
        for place in (quiet, shot):
            await ended(home, await started(place, await uploaded(place, file)))
            reply = await place.client.post("/duplicates/scan")
            assert reply.status_code == 202, reply.text
            await ended(home, UUID(reply.json()["job_id"]))
        peace = await merging(quiet)
        await ended(home, peace)
        await home.stop(calm)
        doomed = await worker(home, PACE)
        fired = await merging(shot)
        await home.stop(await shot_at(home, fired, pairs, rng, kills, doomed))
    await home.stop(api)
    assert await result(home, fired) == await result(home, peace) == {"done": pairs, "merged": pairs, "skipped": 0}
    found = await left(home, MERGED, shot)
    assert len(found) == pairs
    assert {row[1:5] for row in found} == {(1, 1, 1, 1)}
    assert found == await left(home, MERGED, quiet)
    assert await examine(str(home.settings.database_url)) == []


async def changed(home: House, place: Place, rows: int) -> UUID:
    """The job of a change of everybody, cut into small parts, which no process but this one would do."""
    body = BulkIn.model_validate(
        {"action": "groups_add", "selection": {"filter": {}}, "expected_count": rows, "params": {"groups": ["Ưu tiên"]}}
    )
    admin = await home.ask("SELECT id FROM crm.app_user WHERE tenant_id = $1", place.tenant_id)
    async with home.resources.db.transaction(place.tenant_id) as session:
        actor = await actor_now(session, "user", admin)
        assert actor is not None
        return (await service.start(session, actor, body)).job.id


async def touched(place: Place) -> None:
    """Somebody changes three customers by hand."""
    page = (await place.client.get("/customers", params={"sort": "name", "limit": 3})).json()
    for one in page["items"]:
        reply = await place.client.patch(
            f"/customers/{one['id']}", json={"note": "Đã gọi"}, headers={"If-Match": f'"{one["version"]}"'}
        )
        assert reply.status_code == 200, reply.text


async def undone(place: Place, job_id: UUID) -> UUID:
    """The job of an undo."""
    reply = await place.client.post(f"/jobs/{job_id}/undo", headers={"Idempotency-Key": uuid4().hex})
    assert reply.status_code == 202, reply.text
    return UUID(reply.json()["id"])


async def merging(place: Place) -> UUID:
    """The job that merges whoever has one name and one address."""
    reply = await place.client.post("/duplicates/merge-rules", json={"fields": ["email", "name"]})
    assert reply.status_code == 202, reply.text
    return UUID(reply.json()["job_id"])


def pairs_csv(path: Path, pairs: int) -> Path:
    """A table in which each name and address stands twice, each time with another phone."""
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["Họ tên", "SĐT", "Email"])
        table.writerows(
            [f"Khách số {n % pairs}", f"09{n:08d}", f"khach{n % pairs}@example.com"] for n in range(2 * pairs)
        )
    return path


async def result(home: House, job_id: UUID) -> Any:
    """What a job says it did."""
    return {name: int(number) for name, number in await answers(home, RESULT, job_id)}


RESULT = "SELECT t.key, t.value FROM crm.job j CROSS JOIN LATERAL jsonb_each_text(j.result) t WHERE j.id = $1"


async def left(home: House, sql: str, place: Place) -> list[tuple[Any, ...]]:
    """What is there of a workspace."""
    return await answers(home, sql, place.tenant_id)


async def answers(home: House, sql: str, one: UUID) -> list[tuple[Any, ...]]:
    """The rows of a question of the owner's."""
    connection = await home.owner()
    try:
        return [tuple(row) for row in await connection.fetch(sql, one)]
    finally:
        await connection.close()
