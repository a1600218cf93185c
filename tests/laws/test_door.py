"""Promises 7 and 9: what the application's role can see, and that its statements find their indexes."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from fastapi import FastAPI

from app.core.orm import SCHEMA, kind_of
from app.core.settings import Settings
from app.tables import metadata
from tests.factories.people import Workspace, make_workspace
from tests.laws.guard import GUARD
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


async def plans(workspace: Workspace, params: dict[str, str]) -> list[set[str]]:
    """The indexes of each statement that reads customers for a list, each planned in the role that ran it."""
    with GUARD.recording() as statements:
        reply = await workspace.admin.get("/api/v1/customers", params=params)
    assert reply.status_code == 200, reply.text
    assert reply.json()["items"]
    async with workspace.resources.db.reading(workspace.id) as connection:
        await connection.execute("SET LOCAL enable_seqscan = off")
        found = list[set[str]]()
        for statement, args, role in statements:
            # The worker's statements, on other connections, are about other workspaces.
            if "crm.customer" in statement and workspace.id in args:
                await connection.execute(f"SET LOCAL ROLE {role}")
                plan = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {statement}", *args)
                await connection.execute("SET LOCAL ROLE NONE")
                found.append(set(index_names(json.loads(plan)[0]["Plan"])))
    return found


def index_names(plan: dict[str, Any]) -> list[str]:
    """Every index in a plan."""
    mine = [plan["Index Name"]] if "Index Name" in plan else []
    return mine + [name for part in plan.get("Plans", []) for name in index_names(part)]


@pytest.fixture(scope="module")
async def crowd(settings: Settings, app: FastAPI) -> AsyncIterator[Workspace]:
    """Four thousand customers of one workspace, ten of whom are in a group, and the others in another one."""
    workspace = await make_workspace(settings, app)
    owner = await asyncpg.connect(settings.database_url)
    for no, name in ((1, "Khách VIP"), (2, "Khách khác")):
        group = row(metadata.tables["crm.customer_group"], workspace.id, no=no, name=name, name_key=name.lower())
        await owner.execute(insert_sql(metadata.tables["crm.customer_group"], group), *group.values())
    await owner.execute(
        """
        INSERT INTO crm.customer
            (tenant_id, id, code, name, phone, group_nos, attributes, version, created_at, updated_at)
        SELECT $1, uuidv7(), 'X' || n, 'Nguoi ' || n, '+84' || (900000000 + n),
               CASE WHEN n <= 10 THEN '{1}'::int[] ELSE '{2}' END, '{}', 1, now() - n * interval '1 minute', now()
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
    await owner.execute(
        """
        INSERT INTO crm.group_member (tenant_id, group_id, customer_id, added_at)
        SELECT $1, g.id, c.id, now() FROM crm.customer c JOIN crm.customer_group g ON g.tenant_id = $1
        WHERE c.tenant_id = $1 AND c.group_nos = ARRAY[g.no]
        """,
        workspace.id,
    )
    await owner.execute("ANALYZE crm.customer, crm.customer_search, crm.group_member")
    yield workspace
    # Made behind the product's back, they have no history: the doctor would say so.
    for table in ("group_member", "customer_search", "customer"):
        await owner.execute(f"DELETE FROM crm.{table} WHERE tenant_id = $1", workspace.id)
    await owner.close()
    await workspace.aclose()


@pytest.mark.promise(9)
@pytest.mark.parametrize(
    ("params", "index"),
    [
        ({"q": "nguoi 17"}, "customer_search_words_ix"),
        ({"q": "0017"}, "customer_search_phone_ix"),
        ({"groups": "Khách VIP"}, "group_member_pk"),
        ({}, "customer_created_ix"),
        ({"sort": "name"}, "customer_name_ix"),
        ({"sort": "-name"}, "customer_name_ix"),
    ],
    ids=["words", "phone", "group", "newest", "name", "name_down"],
)
async def test_lists_use_their_index(crowd: Workspace, params: dict[str, str], index: str) -> None:
    found = await plans(crowd, params)
    # A filter looks at the newest first, and uses the index when they do not fill the page.
    assert any(index in one for one in found), found
