"""Two workspaces of a million customers each, made by SQL from vocabulary; kept in the bench's data folder."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import asyncpg

from app import embedded
from app.core.clock import new_id
from app.core.migrate import prepare_database
from app.core.settings import Settings
from app.core.vietnam import text as vn
from app.identity import workspaces
from app.seeding import SEEDERS

DATA = Path(".data/bench")
PASSWORD = "mật khẩu để đo 2026"
SECRET = "the secret of the benchmarks, at least 32 bytes"
FAMILY = [
    "Nguyễn",
    "Trần",
    "Lê",
    "Phạm",
    "Hoàng",
    "Huỳnh",
    "Phan",
    "Vũ",
    "Võ",
    "Đặng",
    "Bùi",
    "Đỗ",
    "Hồ",
    "Ngô",
    "Dương",
    "Lý",
]
MIDDLE = ["Văn", "Thị", "Minh", "Thanh", "Ngọc", "Quang", "Thu", "Hữu", "Đức", "Gia", "Bảo", "Hoài", "Kim", "Xuân"]
GIVEN = [
    "An",
    "Anh",
    "Bình",
    "Châu",
    "Chi",
    "Dũng",
    "Đào",
    "Giang",
    "Hà",
    "Hải",
    "Hạnh",
    "Hiếu",
    "Hoa",
    "Hòa",
    "Hùng",
    "Hương",
    "Huy",
    "Khánh",
    "Lan",
    "Linh",
    "Long",
    "Mai",
    "Nam",
    "Nga",
    "Ngân",
    "Nghĩa",
    "Nhung",
    "Oanh",
    "Phong",
    "Phúc",
    "Phương",
    "Quân",
    "Quỳnh",
    "Sơn",
    "Tâm",
    "Thảo",
    "Thắng",
    "Trang",
    "Trí",
    "Tú",
    "Tuấn",
    "Uyên",
    "Vân",
    "Việt",
    "Yến",
]


@dataclass(frozen=True)
class Bench:
    """The servers and workspaces to measure on."""

    settings: Settings
    big: UUID
    other: UUID


async def prepare(customers: int = 1_000_000) -> Bench:
    """The private servers with durable settings, and two workspaces of that size; made once."""
    servers = embedded.ensure(
        DATA, durable=True, postgres_settings={"shared_buffers": "3GB", "max_wal_size": "8GB", "work_mem": "32MB"}
    )
    settings = Settings(
        data_dir=DATA,
        database_url=servers.database_url,
        redis_url=servers.redis_url,
        secret_key=SECRET,
        rate_limit_per_minute=0,
        rate_limit_workspace_per_minute=0,
        log_level="WARNING",
    )
    await prepare_database(settings)
    ids = []
    async with workspaces.owner_database(settings) as db:
        for slug in ("big", "other"):
            found = await workspaces.find_workspace(db, slug)
            ids.append(
                found
                or await workspaces.create_workspace(
                    db, slug=slug, name=slug, admin_password=PASSWORD, seed_workspace=SEEDERS
                )
            )
    owner = await asyncpg.connect(servers.database_url, timeout=10)
    for tenant_id in ids:
        have = await owner.fetchval("SELECT count(*) FROM crm.customer WHERE tenant_id = $1", tenant_id)
        if have < customers:
            await _fill(owner, tenant_id, have, customers)
    await owner.close()
    return Bench(settings, ids[0], ids[1])


async def _fill(owner: asyncpg.Connection, tenant_id: UUID, start: int, end: int) -> None:
    ids = await owner.fetch(
        "SELECT kind, array_agg(id) AS ids FROM crm.classification WHERE tenant_id = $1 GROUP BY kind", tenant_id
    )
    lists = {row["kind"]: row["ids"] for row in ids}
    admin = await owner.fetchval("SELECT id FROM crm.app_user WHERE tenant_id = $1 LIMIT 1", tenant_id)
    for first in range(start, end, 50_000):
        last = min(first + 50_000, end)
        numbers = list(range(first, last))
        await owner.execute(
            FILL, tenant_id, [new_id() for _ in numbers], numbers, FAMILY, MIDDLE, GIVEN, lists["source"],
            lists["customer_type"], lists["relationship"], admin,
        )  # fmt: skip
        print(f"\rfilling {tenant_id}: {last:,} of {end:,}", end="", flush=True)
    await owner.execute(
        WORDS, tenant_id, FAMILY + MIDDLE + GIVEN, [vn.fold(word) for word in FAMILY + MIDDLE + GIVEN]
    )  # fmt: skip
    await owner.execute(
        "INSERT INTO crm.tenant_counter SELECT $1, 'customer#' || lpad(s::text, 2, '0'), $2 "
        "FROM generate_series(0, 15) s ON CONFLICT (tenant_id, name) DO UPDATE SET value = excluded.value",
        tenant_id,
        end,
    )
    await owner.execute("VACUUM ANALYZE crm.customer")
    await owner.execute("VACUUM ANALYZE crm.customer_search")
    print()


FILL = """
INSERT INTO crm.customer (tenant_id, id, code, name, phone, email, birthday, province, gender, address, source_id,
    customer_type_id, company_name, tax_code, position, note, relationship_id, owner_id, group_nos, attributes,
    created_by, version, created_at, updated_at)
SELECT $1, u.id, 'KH' || lpad((u.n + 1)::text, 7, '0'),
    ($4::text[])[1 + (u.n * 7) % array_length($4::text[], 1)] || ' ' ||
    ($5::text[])[1 + (u.n / 16) % array_length($5::text[], 1)] || ' ' ||
    ($6::text[])[1 + (u.n / 224) % array_length($6::text[], 1)],
    '+849' || lpad(((u.n::bigint * 7919 + 13) % 100000000)::text, 8, '0'),
    CASE WHEN u.n % 2 = 0 THEN 'khach' || u.n || '@example.com' END,
    date '1960-01-01' + (u.n * 37) % 16000, lpad((1 + u.n % 96)::text, 2, '0'),
    CASE u.n % 2 WHEN 0 THEN 'male' ELSE 'female' END, (u.n % 300) || ' Lê Lợi, Phường ' || u.n % 20,
    ($7::uuid[])[1 + u.n % array_length($7::uuid[], 1)], ($8::uuid[])[1 + u.n % array_length($8::uuid[], 1)],
    CASE WHEN u.n % 5 = 0 THEN 'Công ty TNHH ' || u.n END, NULL, 'Nhân viên', 'Ghi chú số ' || u.n,
    ($9::uuid[])[1 + u.n % array_length($9::uuid[], 1)], $10, '{}',
    jsonb_build_object('hang', 'A', 'diem', u.n % 1000), $10, 1,
    timestamptz '2025-01-01' + (u.n * 47) % 40000000 * interval '1 second', timestamptz '2026-11-01'
FROM unnest($2::uuid[], $3::int[]) AS u(id, n)
ON CONFLICT DO NOTHING
"""
WORDS = """
INSERT INTO crm.customer_search (tenant_id, id, words, phone_tail)
SELECT $1, c.id, array_to_tsvector(array_remove(array(
        SELECT f.folded FROM unnest(string_to_array(c.name, ' ')) AS w(word)
        JOIN unnest($2::text[], $3::text[]) AS f(word, folded) ON f.word = w.word) || c.email, NULL)),
    reverse('0' || substr(c.phone, 4))
FROM crm.customer c WHERE c.tenant_id = $1
ON CONFLICT DO NOTHING
"""

if __name__ == "__main__":
    print(asyncio.run(prepare()))
