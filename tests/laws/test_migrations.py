"""The migrations make what the models declare, can be undone, and made again."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from app.core.migrate import MIGRATION_SETTINGS, alembic_config, downgrade, prepare_database, upgrade
from app.core.settings import Settings, driver_url
from tests.laws.scratch import scratch_database

pytestmark = pytest.mark.promise(9)

# Everything that makes a table what it is, as text.
CATALOG = """
SELECT 'column', c.relname || '.' || a.attname,
       concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated,
                 pg_get_expr(d.adbin, d.adrelid))
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE c.relnamespace = to_regnamespace('crm') AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p')
UNION ALL
SELECT 'constraint', conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = to_regnamespace('crm')
UNION ALL
SELECT 'index', indexname, indexdef FROM pg_indexes WHERE schemaname = 'crm'
UNION ALL
SELECT 'policy', tablename || '.' || policyname, concat_ws(' ', roles, cmd, qual, with_check)
FROM pg_policies WHERE schemaname = 'crm'
UNION ALL
SELECT 'table', relname,
       concat_ws(' ', relkind, relpersistence, relrowsecurity, relforcerowsecurity, relacl, reloptions)
FROM pg_class WHERE relnamespace = to_regnamespace('crm')
UNION ALL
SELECT 'function', proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = to_regnamespace('crm')
ORDER BY 1, 2, 3
"""


@asynccontextmanager
async def as_owner(settings: Settings) -> AsyncIterator[AsyncConnection]:
    """A transaction of crm_owner, as migrations run in."""
    assert settings.database_url
    engine = create_async_engine(
        driver_url(settings.database_url), poolclass=NullPool, connect_args={"server_settings": MIGRATION_SETTINGS}
    )
    async with engine.begin() as connection:
        await connection.exec_driver_sql("SET LOCAL ROLE crm_owner")
        yield connection
    await engine.dispose()


async def catalog(settings: Settings) -> list[Any]:
    """What stands in the schema."""
    async with as_owner(settings) as connection:
        return [tuple(row) for row in await connection.execute(text(CATALOG))]


async def run(settings: Settings, step: Callable[[Connection], None]) -> None:
    """Runs one command of Alembic's."""
    async with as_owner(settings) as connection:
        await connection.run_sync(step)


async def test_models_and_migrations_agree(settings: Settings) -> None:
    await run(settings, lambda connection: command.check(alembic_config(connection)))


async def test_down_to_nothing_and_up_again(settings: Settings) -> None:
    async with scratch_database(settings) as scratch:
        first = await catalog(scratch)
        assert first
        await run(scratch, lambda connection: downgrade(connection, "base"))
        assert await catalog(scratch) == []
        await run(scratch, upgrade)
        assert await catalog(scratch) == first


async def test_two_who_migrate_at_once_take_turns(settings: Settings) -> None:
    async with scratch_database(settings) as scratch:
        async with as_owner(scratch) as connection:
            await connection.run_sync(downgrade, "base")
        await asyncio.gather(prepare_database(scratch), prepare_database(scratch))
        assert await catalog(scratch)
