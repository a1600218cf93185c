"""Cleaning: one workspace's trouble is nobody else's, and a worker that has just started cleans too."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, insert, select, update

from app.core.clock import new_id, now
from app.core.idempotency import IdempotencyKey
from app.core.tasks import end
from app.identity import workspaces
from app.identity.models import WorkspaceSetting
from app.seeding import SEEDERS
from tests.factories.people import PASSWORD
from tests.jobs.machine import Machine, eventually
from workers import housekeeping


@pytest.fixture
async def houses(jobbing: Machine) -> AsyncIterator[list[UUID]]:
    """Three workspaces in the order of cleaning, each with an Idempotency-Key whose time is over."""
    made = list[UUID]()
    async with workspaces.owner_database(jobbing.settings) as db:
        for number in range(3):
            slug = f"nha-{new_id().hex[-8:]}-{number}"
            made.append(
                await workspaces.create_workspace(
                    db, slug=slug, name=slug, admin_password=PASSWORD, seed_workspace=SEEDERS
                )
            )
    for tenant_id in made:
        async with jobbing.resources.db.transaction(tenant_id) as session:
            await session.execute(
                insert(IdempotencyKey).values(
                    tenant_id=tenant_id, id=new_id(), fingerprint=b"", status=200, headers={}, body=b"",
                    expires_at=now() - timedelta(days=1),
                )
            )  # fmt: skip
    yield sorted(made)
    await jobbing.owner.execute("DELETE FROM crm.workspace")


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
