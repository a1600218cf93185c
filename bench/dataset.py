"""Two workspaces of a million customers each, made by SQL from vocabulary; kept in the bench's data folder."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import asyncpg

from app import embedded
from app.core.actor import Actor
from app.core.clock import new_id
from app.core.db import Database
from app.core.migrate import prepare_database
from app.core.owner import owner_database, owner_transaction
from app.core.settings import Settings
from app.core.vietnam import text as vn
from app.customers import tags
from app.demo.seed import seed_demo
from app.identity import workspaces
from app.transactions import types

DATA = Path(".data/bench")
PASSWORD = "mật khẩu để đo 2026"
SECRET = "the secret of the benchmarks, at least 32 bytes"
NAMES = """
Nguyễn Trần Lê Phạm Hoàng Huỳnh Phan Vũ Võ Đặng Bùi Đỗ Hồ Ngô Dương Lý
Văn Thị Minh Thanh Ngọc Quang Thu Hữu Đức Gia Bảo Hoài Kim Xuân
An Anh Bình Châu Chi Dũng Đào Giang Hà Hải Hạnh Hiếu Hoa Hòa Hùng Hương Huy Khánh Lan Linh Long Mai Nam Nga Ngân \
Nghĩa Nhung Oanh Phong Phúc Phương Quân Quỳnh Sơn Tâm Thảo Thắng Trang Trí Tú Tuấn Uyên Vân Việt Yến
"""
FAMILY, MIDDLE, GIVEN = (line.split() for line in NAMES.strip().splitlines())
TAGS = ("Gọi lại", "Quan tâm", "Khó tính")


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
    async with owner_database(settings) as db:
        ids = [await workspaces.find_workspace(db, slug) or await _found(db, slug) for slug in ("big", "other")]
    owner = await asyncpg.connect(servers.database_url, timeout=10)
    for tenant_id in ids:
        have = await owner.fetchval("SELECT count(*) FROM crm.customer WHERE tenant_id = $1", tenant_id)
        if have < customers:
            await _fill(owner, tenant_id, have, customers)
    await owner.close()
    return Bench(settings, ids[0], ids[1])


async def _found(db: Database, slug: str) -> UUID:
    """A workspace with the demo's people, groups and attributes, and with tags and a type of transaction."""
    tenant_id = await seed_demo(db, slug=slug, password=PASSWORD, customers=0)
    actor = Actor(tenant_id, "system", UUID(int=0), "bench")
    async with owner_transaction(db, tenant_id) as session:
        for name in TAGS:
            await tags.create(session, actor, name=name)
        await types.create(session, actor, name="Mua lẻ", points=0, position=None, active=True)
    return tenant_id


async def _fill(owner: asyncpg.Connection, tenant_id: UUID, start: int, end: int) -> None:
    found = await owner.fetch(
        "SELECT kind, array_agg(id ORDER BY position, id) AS ids FROM crm.classification WHERE tenant_id = $1 "
        "GROUP BY kind", tenant_id,
    )  # fmt: skip
    lists = {row["kind"]: row["ids"] for row in found}
    people = await owner.fetchval("SELECT array_agg(id ORDER BY username) FROM crm.app_user WHERE tenant_id = $1",
                                  tenant_id)  # fmt: skip
    for first in range(start, end, 50_000):
        numbers = list(range(first, min(first + 50_000, end)))
        await owner.execute(
            FILL, tenant_id, [new_id() for _ in numbers], numbers, FAMILY, MIDDLE, GIVEN, lists["source"],
            lists["customer_type"], lists["relationship"], people,
        )  # fmt: skip
        print(f"\rfilling {tenant_id}: {numbers[-1] + 1:,} of {end:,}", end="", flush=True)
    words = FAMILY + MIDDLE + GIVEN
    await owner.execute(WORDS, tenant_id, words, [vn.fold(word) for word in words])
    for statement in (MEMBERS, TAGGED, CONTRACTS, TRANSACTIONS):
        await owner.execute(statement, tenant_id)
    await owner.execute(COUNTERS, tenant_id, end)
    await owner.execute("VACUUM ANALYZE")
    print()


def r(stream: int) -> str:
    """As SQL, a customer's number of this stream: from 0 up to 1, the same at every filling, apart from the others."""
    return f"((hashint8extended(u.n, {stream}) & 2147483647) / 2147483648.0)"


def pick(array: str, stream: int) -> str:
    """As SQL, one of an array, rather an early one, as in life: a quarter are called Nguyễn, few Lý Hoài Uyên."""
    return f"({array})[1 + floor({r(stream)} * {r(stream)} * array_length({array}, 1))::int]"


FILL = f"""
INSERT INTO crm.customer (tenant_id, id, code, name, phone, email, birthday, province, gender, address, source_id,
    customer_type_id, company_name, tax_code, position, note, relationship_id, owner_id, group_nos, tag_nos, attributes,
    n1, t1, t2, created_by, version, created_at, updated_at)
SELECT $1, u.id, 'KH' || lpad((u.n + 1)::text, 7, '0'),
    {pick("$4::text[]", 1)} || ' ' || {pick("$5::text[]", 2)} || ' ' || {pick("$6::text[]", 3)},
    '+849' || lpad(((u.n::bigint * 7919 + 13) % 100000000)::text, 8, '0'),
    CASE WHEN u.n % 2 = 0 THEN 'khach' || u.n || '@example.com' END,
    date '1960-01-01' + ({r(4)} * 16000)::int, lpad((1 + ({r(5)} * {r(5)} * 95)::int)::text, 2, '0'),
    CASE WHEN {r(6)} < 0.45 THEN 'male' WHEN {r(6)} < 0.95 THEN 'female' END,
    (u.n % 300) || ' Lê Lợi, Phường ' || u.n % 20, {pick("$7::uuid[]", 7)}, {pick("$8::uuid[]", 8)},
    CASE WHEN u.n % 5 = 0 THEN 'Công ty TNHH ' || u.n END, NULL, 'Nhân viên', 'Ghi chú số ' || u.n,
    {pick("$9::uuid[]", 9)}, ($10::uuid[])[1 + floor({r(10)} * array_length($10::uuid[], 1))::int],
    CASE WHEN {r(11)} < 0.25 THEN ARRAY[1 + floor({r(11)} * 16)::int] WHEN {r(11)} < 0.3 THEN ARRAY[1, 3]
         ELSE '{{}}' END,
    CASE WHEN {r(12)} < 0.1 THEN ARRAY[1 + floor({r(12)} * 30)::int] ELSE '{{}}' END,
    jsonb_strip_nulls(jsonb_build_object('han_muc', v.money, 'nghe_nghiep', v.work, 'muc_quan_tam', v.interest)),
    v.money, v.work, v.interest, NULL, 1,
    timestamptz '2025-01-01' + (u.n * 47) % 40000000 * interval '1 second', timestamptz '2026-11-01'
FROM unnest($2::uuid[], $3::int[]) AS u(id, n) CROSS JOIN LATERAL (SELECT
    CASE WHEN {r(13)} < 0.6 THEN 1000000 * (1 + ({r(13)} * 100)::int) END AS money,
    (ARRAY['Giáo viên', 'Kỹ sư', 'Kinh doanh tự do', 'Nhân viên văn phòng'])[1 + floor({r(14)} * 8)::int] AS work,
    (ARRAY['Thấp', 'Vừa', 'Cao'])[1 + floor({r(15)} * 4)::int] AS interest) AS v
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
MEMBERS = """
INSERT INTO crm.group_member (tenant_id, group_id, customer_id, added_at)
SELECT $1, g.id, c.id, c.created_at FROM crm.customer c
JOIN crm.customer_group g ON g.tenant_id = $1 AND g.no = ANY(c.group_nos) WHERE c.tenant_id = $1
ON CONFLICT DO NOTHING
"""
TAGGED = """
INSERT INTO crm.tag_member (tenant_id, tag_id, customer_id, added_at)
SELECT $1, g.id, c.id, c.created_at FROM crm.customer c
JOIN crm.tag g ON g.tenant_id = $1 AND g.no = ANY(c.tag_nos) WHERE c.tenant_id = $1
ON CONFLICT DO NOTHING
"""
CONTRACTS = """
INSERT INTO crm.contract (tenant_id, id, customer_id, number, number_key, name, value, state, signed_on,
    move_to_signed, note, version, created_at, updated_at)
SELECT $1, gen_random_uuid(), c.id, c.code, lower(c.code), 'Hợp đồng ' || c.code, 1000000 * (1 + n % 200),
    CASE WHEN n % 3 = 0 THEN 'finished' ELSE 'active' END, date '2025-06-01' + n % 500, false, '', 1,
    timestamptz '2026-11-01', timestamptz '2026-11-01'
FROM (SELECT c.id, c.code, substr(c.code, 3)::int AS n FROM crm.customer c WHERE c.tenant_id = $1) AS c
WHERE n % 20 = 7
"""
TRANSACTIONS = """
INSERT INTO crm.transaction (tenant_id, id, customer_id, type_id, name, description, state, completed_at, version,
    created_at, updated_at)
SELECT $1, gen_random_uuid(), c.id, t.id, 'Mua lần ' || k, '', 'completed',
    timestamptz '2026-01-01' + k * interval '9 days', 1, timestamptz '2026-11-01', timestamptz '2026-11-01'
FROM (SELECT c.id, substr(c.code, 3)::int AS n FROM crm.customer c WHERE c.tenant_id = $1) AS c
CROSS JOIN LATERAL generate_series(1, 1 + n % 3) AS k
CROSS JOIN (SELECT id FROM crm.transaction_type WHERE tenant_id = $1 LIMIT 1) AS t WHERE n % 10 = 3
"""
COUNTERS = """
INSERT INTO crm.tenant_counter (tenant_id, name, value)
SELECT $1, 'customer#' || lpad(s::text, 2, '0'), $2 FROM generate_series(0, 15) AS s
ON CONFLICT (tenant_id, name) DO UPDATE SET value = excluded.value
"""

if __name__ == "__main__":
    print(asyncio.run(prepare()))
