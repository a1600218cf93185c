"""The database as its owner, for the operator's commands."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db import Database
from app.core.settings import Settings


@asynccontextmanager
async def owner_database(settings: Settings) -> AsyncIterator[Database]:
    """The pool of whoever owns the schema."""
    assert settings.database_url
    db = Database(settings, settings.database_url, name="chot owner")
    try:
        yield db
    finally:
        await db.close()


@asynccontextmanager
async def owner_transaction(db: Database, tenant_id: UUID) -> AsyncIterator[AsyncSession]:
    """A transaction of crm_owner in one workspace; `db` is that of `owner_database`."""
    async with db.transaction(tenant_id) as session:
        await session.execute(text("SET LOCAL ROLE crm_owner"))
        yield session
