"""A hundred thousand customers changed, tagged and handed over at once, with events and a way back; and exported.

The floor of a change is an UPDATE of the same rows of a copy with a primary key and nothing else; that of an export is
the writer alone with its rows in memory.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
from python_calamine import CalamineWorkbook
from rustpy_xlsxwriter import FastExcel

from bench.dataset import Bench
from bench.servers import running, sign_in
from bench.table import Row

MANY = 100_000
ROUNDS = 3
COLUMNS = [
    "code", "name", "phone", "email", "birthday", "province", "gender", "address", "source", "customer_type",
    "company_name", "tax_code", "position", "note", "relationship", "owner", "groups", "created_at", "updated_at",
    "version",
]  # fmt: skip
COPY = """
CREATE TABLE bench_copy AS
SELECT tenant_id, id, code, name, phone, email, note, owner_id, relationship_id, group_nos, attributes, version,
       created_at, updated_at
FROM crm.customer WHERE tenant_id = $1 ORDER BY id
"""
FLOOR = """
UPDATE bench_copy SET note = $2, version = version + 1, updated_at = now() WHERE tenant_id = $1 AND code LIKE $3
"""
# Codes have seven digits. Those below a hundred thousand lie side by side in the table; those that end in 7 lie
# everywhere, as what a person chooses by conditions does.
CHOSEN = {"filter": {"field": "code", "op": "starts_with", "value": "KH00"}}
SPREAD = {"filter": {"field": "code", "op": "ends_with", "value": "7"}}
LIKE = {"starts_with": "KH00%", "ends_with": "%7"}


def measure(bench: Bench) -> list[Row]:
    """Interleaved rounds of floor and change; every change is taken back."""
    with running(bench, "api", "worker"):
        client = sign_in("other")
        asyncio.run(_prepare(bench))
        rows = []
        for name, selection, action, params in (
            ("change a field of 100k side by side", CHOSEN, "set_field", {"field": "note", "value": "đo"}),
            ("change a field of 100k", SPREAD, "set_field", {"field": "note", "value": "đo"}),
            ("tag 100k", SPREAD, "tag", {"tags": ["Đo tốc độ"]}),
            ("hand 100k over", SPREAD, "owner", {"owner": "manager1"}),
            ("move 100k to the trash", SPREAD, "delete", {}),
        ):
            rows += _compare(bench, client, name, selection, action, params)
        rows.append(_export(client))
    return rows


def _compare(
    bench: Bench, client: httpx.Client, name: str, selection: dict[str, Any], action: str, params: dict[str, Any]
) -> list[Row]:
    ours, floors, backs = [], [], []
    count = client.post("/customers/count", json={**selection, "exact": True}).json()["count"]
    for number in range(ROUNDS):
        floors.append(asyncio.run(_floor(bench, f"{action} {number}", LIKE[selection["filter"]["op"]])))
        body = {"action": action, "selection": selection, "expected_count": count, "params": params}
        job, spent = _timed(lambda body=body: client.post(  # type: ignore[misc]
            "/customers/bulk", json=body, headers={"Idempotency-Key": uuid4().hex}), client)  # fmt: skip
        ours.append(spent)
        already = job["result"]["unchanged"] if action == "owner" else 0
        assert job["result"]["changed"] + already == count > 0.85 * MANY, job
        undone, back = _timed(lambda job=job: client.post(f"/jobs/{job['id']}/undo"), client)  # type: ignore[misc]
        backs.append(back)
        assert undone["result"]["kept"] == 0, undone
    ratio = statistics.median(one / floor for one, floor in zip(ours, floors, strict=True))
    back = statistics.median(one / floor for one, floor in zip(backs, floors, strict=True))
    floor = f"{statistics.median(floors):.2f} s"
    return [
        Row(name, f"{statistics.median(ours):.2f} s", floor, f"{ratio:.1f}", "≤ 4", ratio <= 4),
        Row(f"{name}, undone", f"{statistics.median(backs):.2f} s", floor, f"{back:.1f}", "≤ 4", back <= 4),
    ]


def _timed(post: Callable[[], httpx.Response], client: httpx.Client) -> tuple[dict[str, Any], float]:
    """The job once it has succeeded, and the seconds from the request until then."""
    started = time.perf_counter()
    reply = post()
    if reply.status_code != 202:
        raise SystemExit(f"bench: {reply.text}")
    job_id = reply.json().get("job_id") or reply.json()["id"]
    while True:
        job: dict[str, Any] = client.get(f"/jobs/{job_id}").json()
        if job["state"] == "succeeded":
            return job, time.perf_counter() - started
        if job["state"] not in ("queued", "running"):
            raise SystemExit(f"bench: {job}")
        time.sleep(0.02)


def _export(client: httpx.Client) -> Row:
    ours, floors = list[float](), list[float]()
    body = {"selection": CHOSEN, "columns": COLUMNS, "format": "xlsx"}

    def export() -> tuple[dict[str, Any], float]:
        job, spent = _timed(
            lambda: client.post("/exports", json=body, headers={"Idempotency-Key": uuid4().hex}), client
        )
        assert job["result"]["rows"] > 0.9 * MANY, job
        return job, spent

    records = _records(client, export()[0])
    for _ in range(ROUNDS):
        floors.append(_writer_alone(records))
        ours.append(export()[1])
    ratio = statistics.median(one / floor for one, floor in zip(ours, floors, strict=True))
    return Row(
        "export 100k × 20 to .xlsx", f"{statistics.median(ours):.2f} s", f"{statistics.median(floors):.2f} s",
        f"{ratio:.2f}", "≤ 1.5", ratio <= 1.5,
    )  # fmt: skip


def _records(client: httpx.Client, job: dict[str, Any]) -> list[dict[str, Any]]:
    """The cells of an export's file: few values that repeat would cost the writer less."""
    url = client.get(f"/exports/{job['subject_id']}").json()["file_url"]
    with tempfile.NamedTemporaryFile(suffix=".xlsx") as file:
        file.write(client.get(client.base_url.join(url)).raise_for_status().content)
        file.flush()
        header, *rows = CalamineWorkbook.from_path(file.name).get_sheet_by_index(0).to_python()
    return [dict(zip(map(str, header), row, strict=True)) for row in rows]


def _writer_alone(records: list[dict[str, Any]]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        FastExcel(str(Path(folder) / "alone.xlsx")).sheet("Khách hàng", iter(records)).save()
        return time.perf_counter() - started


async def _prepare(bench: Bench) -> None:
    """Makes the floor's copy."""
    owner = await asyncpg.connect(str(bench.settings.database_url))
    await owner.execute("DROP TABLE IF EXISTS bench_copy")
    await owner.execute(COPY.replace("$1", f"'{UUID(int=bench.other.int)}'"))
    await owner.execute("ALTER TABLE bench_copy ADD PRIMARY KEY (tenant_id, id)")
    await owner.execute("VACUUM ANALYZE bench_copy")
    await owner.close()


async def _floor(bench: Bench, note: str, codes: str) -> float:
    owner = await asyncpg.connect(str(bench.settings.database_url))
    started = time.perf_counter()
    await owner.execute(FLOOR, bench.other, note, codes)
    spent = time.perf_counter() - started
    await owner.execute("VACUUM bench_copy")
    await owner.close()
    return spent
