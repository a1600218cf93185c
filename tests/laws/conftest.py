"""Connections that look behind the application: as the owner of the database, and as the application's bare role."""

import logging
import sys
from collections.abc import AsyncIterator, Callable, Iterator

import asyncpg
import pytest
import structlog
from fastapi import FastAPI

from app.core.log import configure
from app.core.migrate import app_url
from app.core.settings import Settings
from tests.factories.people import make_workspace
from tests.laws.guard import LAWLESS
from tests.laws.scene import Scene
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


class StandardError:
    """Standard error as it is at each moment: pytest puts another in its place for each phase of a test."""

    def write(self, text: str) -> None:
        """Passes a text on."""
        sys.stderr.write(text)

    def flush(self) -> None:
        """Passes it on, too."""
        sys.stderr.flush()


@pytest.fixture(scope="module")
def talkative() -> Iterator[None]:
    """Logging as in production, at its most talkative."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    configure("DEBUG")
    (handler,) = root.handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(StandardError())
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def log(talkative: None, capfd: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Gives what was written since the test began, by this process and its children."""
    return lambda: "".join(capfd.readouterr())
