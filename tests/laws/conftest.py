"""Connections that look behind the application: as the owner of the database, and as the application's bare role."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from fastapi import FastAPI

from app.core.migrate import app_url
from app.core.settings import Settings
from tests.factories.people import make_workspace
from tests.laws.guard import LAWLESS
from tests.laws.registry import Scene
from workers.main import WorkerProcess


@pytest.fixture
async def owner(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """The database's superuser, whom no wall stops: what it writes is rolled back."""
    assert settings.database_url
    connection = await asyncpg.connect(settings.database_url)
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await transaction.rollback()
    await connection.close()


@pytest.fixture
async def app_role(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """Logged in as crm_app, as API and workers are; what it writes is rolled back."""
    connection = await asyncpg.connect(app_url(settings), server_settings={"application_name": LAWLESS})
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await transaction.rollback()
    await connection.close()


@pytest.fixture(scope="module")
async def scene(settings: Settings, app: FastAPI, worker: WorkerProcess) -> AsyncIterator[Scene]:
    """A workspace whose objects the registry makes; one for all tests of a module."""
    workspace = await make_workspace(settings, app)
    yield Scene(workspace, workspace.administrator)
    await workspace.aclose()
