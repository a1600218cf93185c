"""Alembic's environment: the connection comes from app.core.migrate, or from the settings on the command line."""

import asyncio
from typing import Any

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from app.core.migrate import MIGRATION_SETTINGS
from app.core.orm import SCHEMA
from app.core.settings import driver_url, settings_or_exit, tls
from app.tables import metadata


def in_schema(name: str | None, kind: str, _parents: Any) -> bool:
    """Whether autogenerate looks at a thing: the schema crm only."""
    return kind != "schema" or name == SCHEMA


def run(connection: Connection) -> None:
    """Runs the asked revisions."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_schemas=True,
        include_name=in_schema,
        compare_server_default=True,
        compare_type=True,
        version_table_schema="chot",
        version_table="version",
    )
    with context.begin_transaction():
        context.run_migrations()


async def run_from_settings() -> None:
    """For `alembic` on the command line."""
    settings = settings_or_exit()
    if not settings.database_url:
        raise SystemExit("alembic: set CHOT_DATABASE_URL")
    engine = create_async_engine(
        driver_url(settings.database_url),
        poolclass=NullPool,
        connect_args={"server_settings": MIGRATION_SETTINGS, **tls(settings.database_url)},
    )
    async with engine.begin() as connection:
        await connection.exec_driver_sql("SET LOCAL ROLE crm_owner")
        await connection.run_sync(run)
    await engine.dispose()


given: Connection | None = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    asyncio.run(run_from_settings())
