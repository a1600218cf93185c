"""Roles and migrations: what must stand in the database before the API can log in.

`crm_owner` owns the schema, `crm_app` is whom API and workers log in as, `crm_search` and `crm_dispatch` are
doors that `crm_app` may step through and whose rights it does not inherit.
"""

import asyncio
import hmac
from pathlib import Path
from typing import Any

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from app.core.settings import Settings, SettingsError, driver_url, tls

ATTEMPTS = 5
ROOT = Path(__file__).parents[2]

# Citus: DDL one shard at a time, and no silent foreign keys to local tables. Plain PostgreSQL keeps both as
# unused placeholders.
MIGRATION_SETTINGS = {
    "citus.multi_shard_modify_mode": "sequential",
    "citus.enable_local_reference_table_foreign_keys": "off",
    "application_name": "chot migrate",
    "timezone": "UTC",
}


def app_password(settings: Settings) -> str:
    """The password of crm_app, derived from the installation's secret so that no second one must be kept."""
    return hmac.digest(settings.secret, b"crm_app", "sha256").hex()


def app_url(settings: Settings) -> str:
    """The URL that API and workers log in with: never the owner's."""
    if settings.app_database_url:
        return settings.app_database_url
    assert settings.database_url
    url = make_url(settings.database_url.replace("postgres://", "postgresql://", 1))
    return url.set(username="crm_app", password=app_password(settings)).render_as_string(hide_password=False)


def roles_sql(password: str) -> str:
    """The statements that make the roles; safe to run again."""
    return f"""
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'crm_owner') THEN CREATE ROLE crm_owner NOLOGIN BYPASSRLS; END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'crm_app') THEN CREATE ROLE crm_app LOGIN; END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'crm_search') THEN CREATE ROLE crm_search NOLOGIN; END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'crm_dispatch') THEN CREATE ROLE crm_dispatch NOLOGIN; END IF;
END $$;
ALTER ROLE crm_app PASSWORD '{password}';
GRANT crm_search, crm_dispatch TO crm_app WITH INHERIT FALSE, SET TRUE;
GRANT crm_owner TO CURRENT_USER;
"""


async def prepare_database(settings: Settings) -> None:
    """Makes the roles, lets crm_owner create in the database, and brings the schema to the newest version.

    Raises:
        SettingsError: the owner's user may not create roles; the text holds the SQL to run instead.
    """
    assert settings.database_url
    engine = create_async_engine(
        driver_url(settings.database_url),
        connect_args={"server_settings": MIGRATION_SETTINGS, **tls(settings.database_url)},
    )
    try:
        async with engine.begin() as connection:
            # One migration at a time, whoever starts first. Not by the bare driver, which begins no transaction.
            await connection.exec_driver_sql("SELECT pg_advisory_xact_lock(7043201)")
            raw: Any = (await connection.get_raw_connection()).driver_connection
            await _make_roles(raw, app_password(settings))
            database = make_url(settings.database_url).database
            await raw.execute(f'GRANT CREATE, CONNECT, TEMPORARY ON DATABASE "{database}" TO crm_owner')
            await raw.execute("CREATE SCHEMA IF NOT EXISTS chot AUTHORIZATION crm_owner")
            await connection.exec_driver_sql("SET LOCAL ROLE crm_owner")
            await connection.run_sync(upgrade)
    finally:
        await engine.dispose()


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Runs the migrations up to a revision on an open connection."""
    command.upgrade(alembic_config(connection), revision)


def downgrade(connection: Connection, revision: str) -> None:
    """Runs the migrations down to a revision on an open connection."""
    command.downgrade(alembic_config(connection), revision)


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's configuration, silent, bound to a connection when one is given."""
    config = Config(ROOT / "alembic.ini")
    config.set_main_option("script_location", str(ROOT / "migrations"))
    if connection is not None:
        config.attributes["connection"] = connection
    return config


async def _make_roles(raw: Any, password: str) -> None:
    try:
        await _alone(raw, roles_sql(password))
    except asyncpg.InsufficientPrivilegeError:
        found = await raw.fetchval(
            "SELECT count(*) FROM pg_roles WHERE rolname IN ('crm_owner', 'crm_app', 'crm_search', 'crm_dispatch')"
        )
        if found < 4:
            raise SettingsError(
                "the user of CHOT_DATABASE_URL may not create roles. Run this as a superuser, then start again:\n"
                + roles_sql(password).replace("CURRENT_USER", "<the user of CHOT_DATABASE_URL>")
            ) from None


async def _alone(raw: Any, statements: str) -> None:
    """Runs what touches the whole server, again if somebody prepares another of its databases at the same moment."""
    for attempt in range(ATTEMPTS):
        try:
            async with raw.transaction():
                await raw.execute(statements)
        except (asyncpg.InternalServerError, asyncpg.UniqueViolationError, asyncpg.DuplicateObjectError):
            if attempt == ATTEMPTS - 1:
                raise
            await asyncio.sleep(0.05 * 2**attempt)
        else:
            return
