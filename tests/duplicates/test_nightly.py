"""The nightly scan: once a night, where anything has changed, and by the workspace's own clock."""

from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select, update

from app.core.clock import now
from app.core.events import Event
from app.core.jobs import Job
from app.duplicates.building import NIGHT, SCAN, schedule_scan
from app.duplicates.models import DuplicateSetting
from tests.duplicates.conftest import add, done, scan
from tests.duplicates.test_centre import clusters, ids, no_keys
from tests.factories.people import Workspace

VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")


def tonight(hour: int = 2, zone: ZoneInfo = VIETNAM) -> datetime:
    """An hour of the next day."""
    day = now().astimezone(zone) + timedelta(days=1)
    return day.replace(hour=hour, minute=30).astimezone(UTC)


async def schedule(workspace: Workspace, moment: datetime, zone: ZoneInfo = VIETNAM) -> UUID | None:
    """What housekeeping does at a moment."""
    async with workspace.resources.db.transaction(workspace.id) as session:
        return await schedule_scan(session, zone, moment)


async def backwards(workspace: Workspace, job_id: UUID, moment: datetime) -> None:
    """Lets a scan be one that was begun at a moment."""
    async with workspace.resources.db.transaction(workspace.id) as session:
        await session.execute(update(Job).where(Job.id == job_id).values(created_at=moment))


async def test_a_night_finds_what_the_day_brought(workspace: Workspace) -> None:
    await no_keys(workspace)
    first, second = [await add(workspace.admin, email="a@example.com") for _ in range(2)]
    job_id = await schedule(workspace, tonight())
    assert job_id is not None
    await done(workspace.admin, str(job_id))
    assert [ids(one) for one in await clusters(workspace.administrator)] == [[first["id"], second["id"]]]


@pytest.mark.parametrize(("hour", "begins"), [(NIGHT[0] - 1, False), (NIGHT[0], True), (NIGHT[1], False), (14, False)])
async def test_only_the_workspaces_night_is_for_it(workspace: Workspace, hour: int, begins: bool) -> None:
    await add(workspace.admin)
    elsewhere = ZoneInfo("America/New_York")
    assert (await schedule(workspace, tonight(hour, elsewhere), elsewhere) is not None) is begins


async def test_never_two_and_once_a_night(workspace: Workspace) -> None:
    await add(workspace.admin)
    moment = tonight()
    job_id = await schedule(workspace, moment)
    assert job_id is not None
    assert await schedule(workspace, moment) is None
    await done(workspace.admin, str(job_id))
    await backwards(workspace, job_id, moment)
    await add(workspace.admin)
    assert await schedule(workspace, moment + timedelta(hours=1)) is None
    assert await schedule(workspace, moment + timedelta(days=1)) is not None
    async with workspace.resources.db.transaction(workspace.id) as session:
        assert await session.scalar(select(func.count()).where(Job.kind == SCAN)) == 2


async def test_not_where_nothing_has_changed(workspace: Workspace) -> None:
    assert await schedule(workspace, tonight()) is None
    await add(workspace.admin)
    await scan(workspace)
    async with workspace.resources.db.transaction(workspace.id) as session:
        # As if the scan had been begun well behind the last change.
        await session.execute(update(DuplicateSetting).values(scanned_at=now() + timedelta(minutes=10)))
    assert await schedule(workspace, tonight()) is None
    async with workspace.resources.db.transaction(workspace.id) as session:
        await session.execute(update(DuplicateSetting).values(scanned_at=now() - timedelta(days=1)))
    assert await schedule(workspace, tonight()) is not None


async def test_a_scan_is_as_old_as_its_beginning(workspace: Workspace) -> None:
    """Who changes while it runs, behind its back, is found the night after."""
    await add(workspace.admin)
    before = now()
    await scan(workspace)
    async with workspace.resources.db.transaction(workspace.id) as session:
        scanned = await session.scalar(select(DuplicateSetting.scanned_at))
        job = (await session.execute(select(Job.started_at, Job.finished_at).where(Job.kind == SCAN))).one()
        asked = await session.scalar(select(Event.at).where(Event.kind == "job.scan_requested"))
    assert scanned is not None
    assert asked is not None
    assert before < asked <= job.started_at <= scanned <= job.finished_at
