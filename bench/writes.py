"""Adding one customer over HTTP, against a bare INSERT and commit over asyncpg into the same table."""

import asyncio
import json
import statistics
import time
from uuid import UUID

import asyncpg

from app.core.clock import new_id, now
from app.core.migrate import app_url
from bench import load
from bench.dataset import Bench
from bench.servers import API, running, sign_in
from bench.table import Row

ROUNDS = 5
CLIENTS = 16
EACH = 800
INSERT = """INSERT INTO crm.customer (tenant_id, id, code, name, phone, group_nos, attributes, version, created_at,
 updated_at) VALUES ($1, $2, $3, $4, $5, '{}', '{}', 1, $6, $6)"""


def measure(bench: Bench) -> list[Row]:
    """Interleaved rounds; what they add is taken out again."""
    ratios, ours, floors = [], [], []
    try:
        with running(bench, "api"):
            client = sign_in("other")
            headers = {"Authorization": client.headers["Authorization"]}
            for number in range(ROUNDS):
                bodies = [json.dumps({"name": "Đo Tốc Độ", "phone": f"07{number}{one:07d}"}) for one in range(EACH)]
                mine = load.run(
                    f"http://127.0.0.1:{API}/api/v1/customers", headers, clients=CLIENTS, seconds=60, method="POST",
                    bodies=bodies,
                )  # fmt: skip
                if mine.failed:
                    raise SystemExit(f"bench: {mine.failed} customers were not added")
                bare = asyncio.run(_bare(bench, number))
                ratios.append(mine.rps / bare)
                ours.append(mine.rps)
                floors.append(bare)
    finally:
        asyncio.run(_clean(bench))
    ratio = statistics.median(ratios)
    return [
        Row("add one customer", f"{statistics.median(ours):.0f} /s", f"{statistics.median(floors):.0f} /s",
            f"{ratio:.2f}", "≥ 0.3", ratio >= 0.3)
    ]  # fmt: skip


async def _bare(bench: Bench, number: int) -> float:
    pool = await asyncpg.create_pool(app_url(bench.settings), min_size=CLIENTS, max_size=CLIENTS)
    phones = iter(range(EACH))
    started = time.perf_counter()

    async def one() -> None:
        async with pool.acquire() as connection:
            for phone in phones:
                async with connection.transaction():
                    await connection.execute("SELECT crm.use_tenant($1)", bench.other)
                    await connection.execute(
                        INSERT, bench.other, new_id(), f"ĐO{number}-{phone}", "Đo Tốc Độ", f"+848{number}{phone:07d}",
                        now(),
                    )  # fmt: skip

    await asyncio.gather(*(one() for _ in range(CLIENTS)))
    spent = time.perf_counter() - started
    await pool.close()
    return EACH / spent


async def _clean(bench: Bench) -> None:
    owner = await asyncpg.connect(str(bench.settings.database_url))
    tenant: UUID = bench.other
    found = await owner.fetch(
        "SELECT id FROM crm.customer WHERE tenant_id = $1 AND name = 'Đo Tốc Độ' "
        "AND created_at > now() - interval '1 day'",
        tenant,
    )
    ids = [row["id"] for row in found]
    await owner.execute("DELETE FROM crm.event WHERE tenant_id = $1 AND subject_id = ANY($2)", tenant, ids)
    for table in ("customer_search", "customer"):
        await owner.execute(f"DELETE FROM crm.{table} WHERE tenant_id = $1 AND id = ANY($2)", tenant, ids)
    await owner.close()
