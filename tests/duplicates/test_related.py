"""The list of what a merge moves is complete: the catalog says so."""

import asyncpg
import pytest
from sqlalchemy.engine import make_url

from app.core.settings import Settings
from app.duplicates.related import KEPT, RELATED
from tests.duplicates.conftest import API, add
from tests.duplicates.merges import merge, undo
from tests.factories.people import Workspace
from tests.transactions.steps import post, type_id


@pytest.fixture
async def columns(settings: Settings) -> set[tuple[str, str]]:
    """Every column of the schema, as (table, column)."""
    url = make_url(str(settings.database_url)).set(drivername="postgresql")
    owner = await asyncpg.connect(url.render_as_string(hide_password=False))
    try:
        rows = await owner.fetch(
            """SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
               WHERE c.relnamespace = 'crm'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0
                 AND NOT a.attisdropped"""
        )
    finally:
        await owner.close()
    return {(row[0], row[1]) for row in rows}


async def test_every_table_of_customers_is_moved_or_kept_with_a_reason(columns: set[tuple[str, str]]) -> None:
    belonging = {table for table, column in columns if column == "customer_id"}
    known = {one.table for one in RELATED if one.column == "customer_id"}
    followers = {one.follower[0] for one in RELATED if one.follower}
    assert known | followers | set(KEPT) == belonging, "say in app/duplicates/related.py what a merge does with it"
    assert not known & set(KEPT)
    assert all(KEPT.values())


async def test_what_the_list_names_exists(columns: set[tuple[str, str]]) -> None:
    for one in RELATED:
        named = {one.column, one.row, *one.same, *one.cleared, "tenant_id"}
        assert one.versioned is ((one.table, "version") in columns)
        assert {(one.table, column) for column in named} <= columns
        if one.follower:
            assert one.follower in columns
        if one.numbers:
            assert {("customer", one.numbers[0]), (one.numbers[1], "no")} <= columns


async def test_what_moves_changes_its_version(workspace: Workspace) -> None:
    client = workspace.admin
    master, source = [await add(client, kind="company") for _ in range(2)]
    contact = await post(client, f"/customers/{source['id']}/contacts", name="Mai")
    contract = await post(client, "/contracts", customer_id=source["id"], number="HD-01", value=1)
    deal = await post(client, "/transactions", customer_id=source["id"], type_id=await type_id(workspace), name="A")
    merged = await merge(client, master, source)
    paths = [f"customers/{master['id']}/contacts/{contact['id']}", f"contracts/{contract['id']}",
             f"transactions/{deal['id']}"]  # fmt: skip
    for path, field in zip(paths, ("note", "note", "description"), strict=True):
        assert (await client.get(f"{API}/{path}")).headers["etag"] == '"2"'
        late = await client.patch(f"{API}/{path}", json={field: "A"}, headers={"If-Match": '"1"'})
        assert late.status_code == 412, late.text
    await undo(client, merged["id"])
    paths[0] = f"customers/{source['id']}/contacts/{contact['id']}"
    assert [(await client.get(f"{API}/{path}")).headers["etag"] for path in paths] == ['"3"'] * 3
