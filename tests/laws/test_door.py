"""Promises 7 and 9: what the application's role can see, and that its statements find their indexes."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from fastapi import FastAPI

from app.core.actor import Actor
from app.core.db import driver
from app.core.orm import SCHEMA, kind_of
from app.core.resources import Resources
from app.core.settings import Settings
from app.customers import queries, registry
from app.customers.queries import Ask
from app.identity.permissions import KEYS
from app.tables import metadata
from tests.factories.people import make_workspace
from tests.laws.rows import insert_sql, row

TENANT = [table for table in metadata.sorted_tables if kind_of(table) == "tenant"]
MANY = 4000


async def fill(owner: asyncpg.Connection, tenant_id: UUID) -> None:
    """One row of the tenant in every table; foreign keys are not asked."""
    await owner.execute("SET LOCAL session_replication_role = replica")
    for table in TENANT:
        values = row(table, tenant_id)
        await owner.execute(insert_sql(table, values), *values.values())


@pytest.fixture
async def walled(owner: asyncpg.Connection) -> tuple[asyncpg.Connection, UUID, UUID]:
    """crm_app's own view within tenant `mine`, with a row of `mine` and of `theirs` in every tenant table."""
    mine, theirs = uuid4(), uuid4()
    await fill(owner, mine)
    await fill(owner, theirs)
    await owner.execute("SET LOCAL ROLE crm_app")
    await owner.execute("SELECT crm.use_tenant($1)", mine)
    return owner, mine, theirs


@pytest.mark.promise(7, 9)
async def test_no_foreign_row_is_seen_or_changed(walled: tuple[asyncpg.Connection, UUID, UUID]) -> None:
    """Statements that forget the tenant: the wall alone stands."""
    app, mine, theirs = walled
    for table in TENANT:
        name = f"{SCHEMA}.{table.name}"
        seen = {found[0] for found in await app.fetch(f"SELECT tenant_id FROM {name}")}
        assert seen == {mine}, f"{name}: crm_app sees {seen}"
        values = row(table, theirs)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with app.transaction():
                await app.execute(insert_sql(table, values), *values.values())
        if table.info.get("append_only"):
            continue
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with app.transaction():
                await app.execute(f"UPDATE {name} SET tenant_id = $1", theirs)
        assert await app.execute(f"DELETE FROM {name} WHERE tenant_id = $1", theirs) == "DELETE 0"


@pytest.mark.promise(9)
async def test_a_door_reads_and_does_nothing_else(app_role: asyncpg.Connection) -> None:
    await app_role.execute("SELECT crm.use_tenant($1)", uuid4())
    for role in ("crm_search", "crm_dispatch"):
        await app_role.execute(f"SET LOCAL ROLE {role}")
        for table in TENANT:
            for statement in (
                f"INSERT INTO {SCHEMA}.{table.name} DEFAULT VALUES",
                f"DELETE FROM {SCHEMA}.{table.name}",
                f"UPDATE {SCHEMA}.{table.name} SET tenant_id = tenant_id",
            ):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    async with app_role.transaction():
                        await app_role.execute(statement)
        await app_role.execute("SET LOCAL ROLE NONE")


class Crowd:
    """A workspace of thousands, and the statements that its lists run."""

    def __init__(self, resources: Resources, actor: Actor) -> None:
        self.resources, self.actor = resources, actor

    async def indexes(self, ask: Ask) -> list[set[str]]:
        """The indexes of each statement that reads customers for a list, each planned in the role that ran it."""
        logged: list[Any] = []
        async with self.resources.db.transaction(self.actor.tenant_id) as session:
            raw = await driver(session)
            known = await registry.load(session)
            with raw.query_logger(logged.append):
                await queries.list_json(session, self.actor, known, ask, self.resources.settings.secret)
            await raw.execute("SET LOCAL enable_seqscan = off")
            found, role = list[set[str]](), "NONE"
            for one in logged:
                if one.query.startswith("SET LOCAL ROLE"):
                    role = one.query.rpartition(" ")[2]
                elif "crm.customer" in one.query:
                    await raw.execute(f"SET LOCAL ROLE {role}")
                    # SQLAlchemy has taught the connection to decode JSON.
                    plan = await raw.fetchval(f"EXPLAIN (FORMAT JSON) {one.query}", *one.args)
                    await raw.execute("SET LOCAL ROLE NONE")
                    found.append(set(index_names(plan[0]["Plan"])))
        return found


def index_names(plan: dict[str, Any]) -> list[str]:
    """Every index in a plan."""
    mine = [plan["Index Name"]] if "Index Name" in plan else []
    return mine + [name for part in plan.get("Plans", []) for name in index_names(part)]


@pytest.fixture(scope="module")
async def crowd(settings: Settings, app: FastAPI) -> AsyncIterator[Crowd]:
    """Four thousand customers of one workspace, ten of whom are in a group."""
    workspace = await make_workspace(settings, app)
    owner = await asyncpg.connect(settings.database_url)
    group = row(metadata.tables["crm.customer_group"], workspace.id, no=1, name="Khách VIP", name_key="khách vip")
    await owner.execute(insert_sql(metadata.tables["crm.customer_group"], group), *group.values())
    await owner.execute(
        """
        INSERT INTO crm.customer
            (tenant_id, id, code, name, phone, group_nos, attributes, version, created_at, updated_at)
        SELECT $1, uuidv7(), 'X' || n, 'Người ' || n, '+84' || (900000000 + n),
               CASE WHEN n <= 10 THEN '{1}'::int[] ELSE '{}' END, '{}', 1, now() - n * interval '1 minute', now()
        FROM generate_series(1, $2::int) n
        """,
        workspace.id,
        MANY,
    )
    await owner.execute(
        """
        INSERT INTO crm.customer_search (tenant_id, id, words, phone_tail)
        SELECT tenant_id, id, to_tsvector('simple', lower(name)), reverse('0' || substr(phone, 4))
        FROM crm.customer WHERE tenant_id = $1
        """,
        workspace.id,
    )
    await owner.execute("ANALYZE crm.customer, crm.customer_search")
    actor = Actor(workspace.id, "user", workspace.administrator.id, "admin", KEYS)
    yield Crowd(workspace.resources, actor)
    await owner.close()
    await workspace.aclose()


@pytest.mark.promise(9)
@pytest.mark.parametrize(
    ("ask", "index"),
    [
        (Ask(q="nguoi 17"), "customer_search_words_ix"),
        (Ask(q="0017"), "customer_search_phone_ix"),
        (Ask(filters=(("groups", "Khách VIP"),)), "customer_group_ix"),
        (Ask(), "customer_created_ix"),
    ],
    ids=["words", "phone", "group", "newest"],
)
async def test_lists_use_their_index(crowd: Crowd, ask: Ask, index: str) -> None:
    plans = await crowd.indexes(ask)
    assert plans
    assert index in plans[0], plans
