"""Cleaning: one workspace's trouble is nobody else's, and a worker that has just started cleans too."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, insert, select, update

from app.bulk.expiry import KEPT
from app.core import idempotency, jobs
from app.core.actor import system_actor
from app.core.clock import id_at, new_id, now
from app.core.idempotency import IdempotencyKey
from app.core.jobs import Job
from app.core.owner import owner_database
from app.core.tasks import end
from app.identity import workspaces
from app.identity.models import WorkspaceSetting
from app.imports import files as import_files
from app.seeding import SEEDERS
from tests.factories.people import PASSWORD
from tests.jobs.machine import Machine, eventually
from workers import housekeeping


@pytest.fixture
async def houses(jobbing: Machine) -> AsyncIterator[list[UUID]]:
    """Three workspaces in the order of cleaning, each with an Idempotency-Key whose time is over."""
    made = list[UUID]()
    async with owner_database(jobbing.settings) as db:
        for number in range(3):
            slug = f"nha-{new_id().hex[-8:]}-{number}"
            made.append(
                await workspaces.create_workspace(
                    db, slug=slug, name=slug, admin_password=PASSWORD, seed_workspace=SEEDERS
                )
            )
    for tenant_id in made:
        await expire_key(jobbing, tenant_id)
    yield sorted(made)
    await jobbing.owner.execute("DELETE FROM crm.workspace")


async def expire_key(jobbing: Machine, tenant_id: UUID) -> None:
    """Leaves a key whose time is over."""
    async with jobbing.resources.db.transaction(tenant_id) as session:
        await session.execute(
            insert(IdempotencyKey).values(
                tenant_id=tenant_id, id=new_id(), fingerprint=b"", status=200, headers={}, body=b"",
                expires_at=now() - timedelta(days=1),
            )
        )  # fmt: skip


async def kept(jobbing: Machine, tenant_id: UUID) -> int:
    """How many keys a workspace still has."""
    async with jobbing.resources.db.transaction(tenant_id) as session:
        return await session.scalar(select(func.count()).select_from(IdempotencyKey)) or 0


async def test_one_workspaces_trouble_stops_no_other(jobbing: Machine, houses: list[UUID]) -> None:
    assert await housekeeping.workspaces(jobbing.resources) == houses
    async with jobbing.resources.db.transaction(houses[0]) as session:
        await session.execute(update(WorkspaceSetting).values(values={"trash_retention_days": "a while"}))
    await housekeeping.clean_all(jobbing.resources)
    assert [await kept(jobbing, one) for one in houses] == [1, 0, 0]


async def test_a_visit_is_bounded_and_the_next_goes_on(
    jobbing: Machine, houses: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        await expire_key(jobbing, houses[0])
    monkeypatch.setattr(housekeeping, "PARTS", 3)
    left = []
    for _ in range(2):
        await housekeeping.in_parts(jobbing.resources, houses[0], idempotency.purge, 1)
        left.append(await kept(jobbing, houses[0]))
    assert left == [1, 0]


async def test_a_visit_takes_what_is_old(jobbing: Machine, houses: list[UUID]) -> None:
    actor, ids = system_actor(houses[0]), [new_id(), new_id()]
    async with jobbing.resources.db.transaction(houses[0]) as session:
        for job_id in ids:
            await jobs.enqueue_done(session, actor, "test.done", job_id, progress={}, result={})
        born = now() - KEPT - timedelta(minutes=1)
        await session.execute(update(Job).where(Job.id == ids[0]).values(created_at=born, finished_at=born))
    blob = import_files.source(houses[0], id_at(now() - timedelta(days=2)))
    await jobbing.resources.blobs.put(blob, b"x")
    await housekeeping.clean(jobbing.resources, houses[0])
    async with jobbing.resources.db.transaction(houses[0]) as session:
        assert list(await session.scalars(select(Job.id).where(Job.kind == "test.done"))) == ids[1:]
    assert not await jobbing.resources.blobs.exists(blob)


async def test_a_worker_that_has_just_started_cleans(
    jobbing: Machine, houses: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(housekeeping, "FIRST", 0.1)
    keeping = asyncio.create_task(housekeeping.keep_house(jobbing.resources))

    async def cleaned() -> bool:
        return [await kept(jobbing, one) for one in houses] == [0, 0, 0]

    try:
        await eventually(cleaned)
    finally:
        await end(keeping)
