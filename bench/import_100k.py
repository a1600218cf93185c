"""Importing 100,000 customers over HTTP, from the upload to the finished notification, against its floor: reading the
file with calamine and one COPY of its rows into a bare table.

    python -m bench.import_100k [rows] [rounds]
"""

import asyncio
import statistics
import sys
import time
from pathlib import Path

import asyncpg
import httpx
from python_calamine import CalamineWorkbook

from app import embedded
from app.core.migrate import prepare_database
from app.core.owner import owner_database
from app.core.settings import Settings
from app.identity import workspaces
from app.seeding import SEEDERS
from bench.dataset import PASSWORD, SECRET, Bench
from bench.servers import running, sign_in
from bench.table import Row, as_markdown
from tests.factories.workbooks import CUSTOMER_HEADERS, customers_xlsx

DATA = Path(".data/bench-import")
ROWS, ROUNDS, GOAL = 100_000, 5, 2.0
NOT_READY = 503


def measure(rows: int = ROWS, rounds: int = ROUNDS) -> list[Row]:
    """Interleaved rounds of the import, the same file again, and the floor; medians of the ratios."""
    path = DATA / f"customers-{rows}.xlsx"
    DATA.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        customers_xlsx(path, rows)
    ours, floors, again = list[float](), list[float](), list[float]()
    for number in range(rounds):
        bench = asyncio.run(prepare(f"round{number}-{time.time_ns()}"))
        floors.append(asyncio.run(_floor(bench, path)))
        with running(bench, "api", "worker"):
            client = sign_in(slug_of(bench))
            ours.append(import_file(client, path, rows))
            again.append(import_file(client, path, rows))
        print(
            f"round {number + 1}: import {ours[-1]:.2f} s, again {again[-1]:.2f} s, floor {floors[-1]:.2f} s",
            flush=True,
        )
    ratio = statistics.median(mine / floor for mine, floor in zip(ours, floors, strict=True))
    share = statistics.median(second / first for second, first in zip(again, ours, strict=True))
    return [
        Row(f"import {rows:,} × {len(CUSTOMER_HEADERS)} xlsx", f"{statistics.median(ours):.1f} s",
            f"{statistics.median(floors):.1f} s", f"{ratio:.2f}", f"≤ {GOAL}", ratio <= GOAL),
        Row("the same file again", f"{statistics.median(again):.1f} s", f"{statistics.median(ours):.1f} s (first)",
            f"{share:.2f}", "≤ 0.4", share <= 0.4),
    ]  # fmt: skip


def import_file(client: httpx.Client, path: Path, rows: int) -> float:
    started = time.perf_counter()
    with path.open("rb") as file:
        reply = client.post("/imports", files={"file": (path.name, file)})
    reply.raise_for_status()
    found = reply.json()
    _wait(client, found["id"])
    read = time.perf_counter()
    client.post(f"/imports/{found['id']}/start", json={}).raise_for_status()
    _wait(client, found["id"])
    seconds = time.perf_counter() - started
    found = client.get(f"/imports/{found['id']}").json()
    if found["state"] != "succeeded" or found["counts"]["rows"] != rows:
        raise SystemExit(f"bench: the import ended {found['state']} with {found['counts']}")
    print(f"  read {read - started:.2f} s, ran {seconds - read + started:.2f} s, {found['counts']}")
    # The result file is made after the end; it must not weigh upon the next round.
    while (reply := client.get(f"/imports/{found['id']}/result")).status_code == NOT_READY:
        time.sleep(1)
    reply.raise_for_status()
    return seconds


def _wait(client: httpx.Client, import_id: str) -> None:
    """Until the stream of the import's progress says that it has ended."""
    with client.stream("GET", f"/imports/{import_id}/events", timeout=600) as events:
        for line in events.iter_lines():
            if line == "event: end":
                return


async def _floor(bench: Bench, path: Path) -> float:
    owner = await asyncpg.connect(bench.settings.database_url, timeout=10)
    columns = ", ".join(f"c{n} text" for n in range(len(CUSTOMER_HEADERS)))
    await owner.execute(f"CREATE TABLE public.bare (tenant_id uuid, n integer, {columns})")
    started = time.perf_counter()
    sheet = CalamineWorkbook.from_path(str(path)).get_sheet_by_index(0)
    records = [(bench.big, n, *(str(cell) for cell in row)) for n, row in enumerate(sheet.iter_rows())]
    await owner.copy_records_to_table("bare", schema_name="public", records=records)
    seconds = time.perf_counter() - started
    await owner.execute("DROP TABLE public.bare")
    await owner.close()
    return seconds


async def prepare(slug: str) -> Bench:
    """The private servers with durable settings, and a fresh workspace."""
    servers = embedded.ensure(
        DATA, durable=True, postgres_settings={"shared_buffers": "1GB", "max_wal_size": "8GB", "work_mem": "32MB"}
    )
    settings = Settings(
        data_dir=DATA, database_url=servers.database_url, redis_url=servers.redis_url, secret_key=SECRET,
        rate_limit_per_minute=0, rate_limit_workspace_per_minute=0, log_level="WARNING",
    )  # fmt: skip
    await prepare_database(settings)
    async with owner_database(settings) as db:
        tenant_id = await workspaces.create_workspace(
            db, slug=slug[:40], name=slug, admin_password=PASSWORD, seed_workspace=SEEDERS
        )
    _slugs[tenant_id] = slug[:40]
    return Bench(settings, tenant_id, tenant_id)


_slugs: dict[object, str] = {}


def slug_of(bench: Bench) -> str:
    return _slugs[bench.big]


if __name__ == "__main__":
    given = [int(value) for value in sys.argv[1:]]
    print(as_markdown(measure(*given)))
