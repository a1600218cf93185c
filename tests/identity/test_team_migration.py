"""What the migration to teams makes of a workspace that was there before."""

from datetime import UTC, datetime
from uuid import uuid4

import asyncpg

from app.core.migrate import downgrade, upgrade
from app.core.settings import Settings
from tests.laws.scratch import scratch_database
from tests.laws.test_migrations import run


async def test_managers_get_the_permission_and_filters_no_teams(settings: Settings) -> None:
    tenant, moment = uuid4(), datetime(2026, 1, 1, tzinfo=UTC)
    before = {"administrator": ["x"], "manager": ["customers.view", "customers.view_all"], "sale": ["customers.view"]}
    async with scratch_database(settings) as scratch:
        owner = await asyncpg.connect(scratch.database_url)
        await run(scratch, lambda connection: downgrade(connection, "0016"))
        for key, permissions in before.items():
            await owner.execute(
                "INSERT INTO crm.role (tenant_id, id, key, name, permissions, version, created_at, updated_at) "
                "VALUES ($1, $2, $3, $3, $4, 1, $5, $5)",
                tenant, uuid4(), key, permissions, moment,
            )  # fmt: skip
        await owner.execute(
            "INSERT INTO crm.saved_filter (tenant_id, id, owner_id, name, name_key, visibility, user_ids, role_ids, "
            "version, created_at, updated_at) VALUES ($1, $2, $2, 'x', 'x', 'private', '{}', '{}', 1, $3, $3)",
            tenant, uuid4(), moment,
        )  # fmt: skip
        permissions_of = "SELECT key, permissions FROM crm.role WHERE tenant_id = $1"
        for _ in range(2):
            await run(scratch, upgrade)
            after = dict(await owner.fetch(permissions_of, tenant))
            assert after == before | {"manager": [*before["manager"], "customers.view_team"]}
            assert await owner.fetchval("SELECT team_ids FROM crm.saved_filter WHERE tenant_id = $1", tenant) == []
            await run(scratch, lambda connection: downgrade(connection, "0016"))
            assert dict(await owner.fetch(permissions_of, tenant)) == before
        await owner.close()
