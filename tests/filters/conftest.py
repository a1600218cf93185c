"""The made-up customers, made once for all tests of filters."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
from fastapi import FastAPI

from app.core.settings import Settings
from tests.factories.people import make_workspace
from tests.filters.world import World, make_world


@pytest.fixture(scope="session")
async def world(settings: Settings, app: FastAPI) -> AsyncIterator[World]:
    """A workspace whose customers nobody changes."""
    workspace = await make_workspace(settings, app)
    owner = await asyncpg.connect(settings.database_url)
    yield await make_world(workspace, owner)
    await owner.close()
    await workspace.aclose()
