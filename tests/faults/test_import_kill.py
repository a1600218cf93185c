"""`kill -9` at any moment of an import: nothing is lost, nothing is doubled, and its report is the same."""

import asyncio
import io
import random
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from app.doctor import examine
from tests.factories.workbooks import customers_xlsx
from tests.faults.fire import (
    PACE,
    Place,
    ended,
    is_running,
    replaced,
    shot_at,
    started,
    uploaded,
    worker,
    workspace,
)
from tests.faults.house import House, until

CUSTOMERS = """
SELECT c.phone, c.phone_typed, c.name, c.email, c.birthday, c.province, c.province_typed, c.gender, c.address,
       c.company_name, c.tax_code, c.position, c.note, c.version, c.deleted_at, c.attributes::text, c.n1, c.t1, c.d1,
       cardinality(c.group_nos),
       (SELECT name FROM crm.classification WHERE (tenant_id, id) = (c.tenant_id, c.source_id)),
       (SELECT count(*) FROM crm.group_member m WHERE (m.tenant_id, m.customer_id) = (c.tenant_id, c.id)),
       (SELECT count(*) FROM crm.customer_search s WHERE (s.tenant_id, s.id) = (c.tenant_id, c.id)),
       (SELECT count(*) FROM crm.event e WHERE (e.tenant_id, e.subject_id, e.kind)
                                             = (c.tenant_id, c.id, 'customer.created')),
       (SELECT count(*) FROM crm.event e WHERE (e.tenant_id, e.subject_id) = (c.tenant_id, c.id))
FROM crm.customer c WHERE c.tenant_id = $1 ORDER BY c.phone, c.id
"""
ROWS = """
SELECT r.n, r.status, r.first_n, r.errors::text, r.version_after, c.phone
FROM crm.import_row r LEFT JOIN crm.customer c ON (c.tenant_id, c.id) = (r.tenant_id, r.customer_id)
WHERE r.tenant_id = $1 ORDER BY r.n
"""


@dataclass
class Left:
    """What an import has left behind."""

    counts: dict[str, int]
    customers: list[tuple[Any, ...]]
    rows: list[tuple[Any, ...]]
    events: dict[str, int]
    result: bytes


@pytest.mark.timeout(400)
@pytest.mark.promise(1)
async def test_an_import_that_is_killed_ten_times(home: House, tmp_path: Path) -> None:
    await loses_and_doubles_nothing(home, tmp_path, rows=6_000, kills=10)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.promise(1)
async def test_an_import_that_is_killed_two_hundred_times(home: House, tmp_path: Path) -> None:
    await loses_and_doubles_nothing(home, tmp_path, rows=100_000, kills=200)


async def loses_and_doubles_nothing(home: House, folder: Path, *, rows: int, kills: int) -> None:
    """The same files into two workspaces, one import in peace and one under fire."""
    same = customers_xlsx(folder / "giống.xlsx", rows // 20, seed=7)
    other = customers_xlsx(folder / "khác.xlsx", rows // 20, seed=5, first=rows // 20)
    file = customers_xlsx(folder / "mới.xlsx", rows, seed=7, duplicates=0.05, invalid=0.03)
    api = await home.api()
    async with workspace(home, api, f"yen-{rows}") as quiet, workspace(home, api, f"lua-{rows}") as shot:
        calm = await worker(home)
        for place in (quiet, shot):
            for known in (same, other):
                await ended(home, await started(place, await uploaded(place, known)))
        peace = await uploaded(quiet, file)
        await ended(home, await started(quiet, peace))
        await home.stop(calm)
        fired = await under_fire(home, shot, file, rows, random.Random(rows), kills)
        heir = await worker(home)
        expected, found = [await left(home, *pair) for pair in ((quiet, peace), (shot, fired))]
        await home.stop(heir)
    await home.stop(api)
    assert found.counts == expected.counts
    assert found.counts["rows"] == rows
    assert all(found.counts[key] for key in ("created", "updated", "unchanged", "failed")), "the file has them all"
    assert sum(found.counts[key] for key in ("created", "updated", "skipped", "failed")) == rows
    assert len({row[0] for row in found.customers}) == len(found.customers)
    assert all(row[-2] == 1 for row in found.customers)
    assert found.customers == expected.customers
    assert [row[0] for row in found.rows] == sorted({row[0] for row in found.rows})
    assert found.rows == expected.rows
    assert found.events == expected.events
    assert parts(found.result) == parts(expected.result)
    assert await home.ask("SELECT count(*) FROM crm.import_staging") == 0
    assert await examine(str(home.settings.database_url)) == []


async def under_fire(
    home: House, place: Place, file: Path, rows: int, rng: random.Random, kills: int
) -> str:  # fmt: skip
    """Imports the file with a worker that is killed while it reads, `kills` times while it imports, and while it
    reports."""
    doomed = await worker(home, PACE)
    uploading = asyncio.create_task(uploaded(place, file))
    await until(lambda: is_running(home, place, "imports.read"))
    await asyncio.sleep(rng.uniform(0, 0.3))
    doomed = await replaced(home, doomed)
    import_id = await uploading
    job_id = await started(place, import_id)
    doomed = await shot_at(home, job_id, rows, rng, kills, doomed)
    await until(lambda: has_begun(home, place, "imports.report"))
    await home.stop(await replaced(home, doomed))
    return import_id


async def has_begun(home: House, place: Place, kind: str) -> bool:
    """Whether the last job of the kind in the workspace is in a worker's hands, or done already."""
    found: str = await home.ask(
        "SELECT state FROM crm.job WHERE tenant_id = $1 AND kind = $2 ORDER BY created_at DESC LIMIT 1",
        place.tenant_id, kind,
    )  # fmt: skip
    return found in ("running", "succeeded")


async def left(home: House, place: Place, import_id: str) -> Left:
    """Everything that the import has left, without what is different by nature: ids, codes and times."""
    connection: asyncpg.Connection = await home.owner()
    try:
        customers = await connection.fetch(CUSTOMERS, place.tenant_id)
        rows = await connection.fetch(
            ROWS.replace("WHERE", "WHERE r.import_id = $2 AND"), place.tenant_id, UUID(import_id)
        )
        events = await connection.fetch(
            "SELECT kind, count(*) FROM crm.event WHERE tenant_id = $1 AND batch_id = $2 GROUP BY kind",
            place.tenant_id, UUID(import_id),
        )  # fmt: skip
    finally:
        await connection.close()
    found = (await place.client.get(f"/imports/{import_id}")).json()
    assert found["state"] == "succeeded"
    assert found["progress"] == {"done": found["counts"]["rows"], "total": found["counts"]["rows"]}
    result = await place.client.get(f"/imports/{import_id}/result")
    assert result.status_code == 200, result.text
    return Left(
        found["counts"], [tuple(row) for row in customers], [tuple(row) for row in rows], dict(events), result.content
    )


def parts(workbook: bytes) -> dict[str, bytes]:
    """The parts of a workbook but for the one that holds the time when it was written."""
    with zipfile.ZipFile(io.BytesIO(workbook)) as archive:
        return {name: archive.read(name) for name in archive.namelist() if name != "docProps/core.xml"}
