"""Databases for one test: migrated like any other, dropped afterwards."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg
from sqlalchemy.engine import make_url

from app.core.migrate import prepare_database
from app.core.settings import Settings


@asynccontextmanager
async def scratch_database(settings: Settings, **changes: object) -> AsyncIterator[Settings]:
    """Settings of a database of its own in the suite's server, at the newest version of the schema."""
    assert settings.database_url
    name = f"chot_{os.getpid()}_{uuid4().hex[:6]}"
    owner = await asyncpg.connect(settings.database_url)
    await owner.execute(f'CREATE DATABASE "{name}"')
    url = make_url(settings.database_url).set(database=name).render_as_string(hide_password=False)
    # Rings for its jobs must not wake the suite's worker, which would look for them in its own database.
    redis_url = f"{str(settings.redis_url).rpartition('/')[0]}/1"
    made = settings.model_copy(update={"database_url": url, "redis_url": redis_url, **changes})
    try:
        await prepare_database(made)
        yield made
    finally:
        await owner.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await owner.close()
