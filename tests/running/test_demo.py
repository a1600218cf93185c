"""The demo has something for each of a newcomer's first filters."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from app.core import configuration
from app.core.actor import system_actor
from app.core.clock import new_id
from app.core.db import driver
from app.core.owner import owner_database, owner_transaction
from app.core.settings import Settings
from app.demo import dealings
from app.demo.dealings import TAGS, TIERS
from app.demo.mark import STEP
from app.demo.seed import complete_demo, seed_demo
from tests.factories.people import PASSWORD

ROOT = Path(__file__).parents[2]
CUSTOMERS = 600
CHUNK = 2_000
# The command `chot`, with smaller steps.
SMALL = f"from app import cli; from app.demo import seed; seed.CHUNK = {CHUNK}; cli.main()"
COUNTS = """
SELECT (SELECT count(*) FROM crm.customer c WHERE c.tenant_id = $1) AS customers,
       (SELECT count(DISTINCT m.tag_id) FROM crm.tag_member m WHERE m.tenant_id = $1) AS tags,
       (SELECT count(*) FROM crm.customer c WHERE c.tenant_id = $1 AND c.tag_nos <> '{}') AS tagged,
       (SELECT count(DISTINCT c.tier_id) FROM crm.customer c WHERE c.tenant_id = $1) AS tiers,
       (SELECT count(*) FROM crm.customer c WHERE c.tenant_id = $1 AND c.stars > 0) AS starred,
       (SELECT count(*) FROM crm.contract k WHERE k.tenant_id = $1) AS contracts,
       (SELECT count(DISTINCT t.state) FROM crm.transaction t WHERE t.tenant_id = $1) AS states,
       (SELECT count(*) FROM crm.contact p JOIN crm.customer c ON c.tenant_id = $1 AND c.id = p.customer_id
        WHERE p.tenant_id = $1 AND c.kind = 'company' AND p.is_primary) AS contacts,
       (SELECT count(*) FROM crm.job j WHERE j.tenant_id = $1) AS jobs
"""


async def seeded(settings: Settings, customers: int) -> tuple[UUID, dict[str, int]]:
    """A demo of so many customers, and what it holds."""
    async with owner_database(settings) as db:
        tenant_id = await seed_demo(db, slug=f"demo-{new_id().hex[-12:]}", password=PASSWORD, customers=customers)
        async with owner_transaction(db, tenant_id) as session:
            found = await (await driver(session)).fetchrow(COUNTS, tenant_id)
    assert found is not None
    return tenant_id, dict(found)


async def test_every_kind_of_fact_is_there(settings: Settings) -> None:
    _, found = await seeded(settings, CUSTOMERS)
    assert found["customers"] == CUSTOMERS
    assert (found["tags"], found["tiers"], found["states"]) == (len(TAGS), len(TIERS), 3)
    assert 0.1 < found["tagged"] / CUSTOMERS < 0.4
    assert 0.02 < found["contracts"] / CUSTOMERS < 0.1
    assert found["starred"] > 0
    assert found["contacts"] > CUSTOMERS / 20
    assert found["jobs"] == 0


async def test_an_empty_one_has_nobody_to_tell_of(settings: Settings) -> None:
    _, found = await seeded(settings, 0)
    assert not any(found.values())


@pytest.mark.parametrize("reached", [0, 1, 2])
async def test_one_that_was_killed_while_it_was_filled_is_completed(settings: Settings, reached: int) -> None:
    """Killed before the step of this number is done, and asked for again: whole, once, and nobody else's."""
    slug, wanted = f"demo-{new_id().hex[-12:]}", CHUNK + 50
    owner = await asyncpg.connect(str(settings.database_url))
    bystander, before = await seeded(settings, 20)
    # That one was left half made too, and nobody asks for it.
    await owner.execute("INSERT INTO crm.tenant_counter VALUES ($1, $2, 1)", bystander, STEP)
    process = chot_seed(settings, slug, wanted)
    try:
        async with asyncio.timeout(60):
            while (step := await step_of(owner, slug)) is None or step < reached:
                assert process.poll() is None
                await asyncio.sleep(0.005)
    finally:
        process.kill()
        process.communicate()
    left = await step_of(owner, slug)
    assert left is not None
    assert left >= reached
    assert chot_seed(settings, slug, wanted).communicate(timeout=60)[0] == f"Workspace {slug} made.\n"
    assert await step_of(owner, slug) is None
    tenant_id = await owner.fetchval("SELECT id FROM crm.workspace WHERE slug = $1", slug)
    found = await owner.fetchrow(COUNTS, tenant_id)
    whole = await owner.fetchrow(
        """
        SELECT (SELECT count(DISTINCT c.phone) FROM crm.customer c WHERE c.tenant_id = $1) AS phones,
               (SELECT count(DISTINCT c.code) FROM crm.customer c WHERE c.tenant_id = $1) AS codes,
               (SELECT count(*) FROM crm.customer_search s WHERE s.tenant_id = $1) AS words,
               (SELECT count(*) FROM crm.event e WHERE e.tenant_id = $1 AND e.kind = 'customer.created') AS told
        """,
        tenant_id,
    )
    assert found["customers"] == wanted
    assert set(whole) == {wanted}
    assert await owner.fetchval("SELECT count(*) FROM crm.app_user WHERE tenant_id = $1", tenant_id) == 8
    in_teams = await owner.fetch(
        """
        SELECT t.name, count(*) FROM crm.team t JOIN crm.team_member m ON m.tenant_id = $1 AND m.team_id = t.id
        WHERE t.tenant_id = $1 GROUP BY t.name
        """,
        tenant_id,
    )
    assert dict(in_teams) == {"Phòng kinh doanh": 1, "Miền Bắc": 3, "Miền Nam": 3}
    async with owner_database(settings) as db:
        assert not await complete_demo(db, tenant_id, password=PASSWORD, customers=wanted)
    assert dict(await owner.fetchrow(COUNTS, bystander)) == before
    kept = "SELECT value FROM crm.tenant_counter WHERE tenant_id = $1 AND name = $2"
    assert await owner.fetchval(kept, bystander, STEP) == 1
    await owner.close()


async def test_two_who_complete_one_do_each_step_once(settings: Settings) -> None:
    async with owner_database(settings) as db:
        tenant_id = await seed_demo(db, slug=f"demo-{new_id().hex[-12:]}", password=PASSWORD, customers=0)
        owner = await asyncpg.connect(str(settings.database_url))
        # As if it had been killed before its first customer.
        await owner.execute("INSERT INTO crm.tenant_counter VALUES ($1, $2, 1)", tenant_id, STEP)
        async with owner_transaction(db, tenant_id) as session:
            await dealings.rules(session, system_actor(tenant_id))
            await configuration.bump(session)
        both = await asyncio.gather(*(complete_demo(db, tenant_id, password=PASSWORD, customers=300) for _ in range(2)))
    assert True in both
    assert (await owner.fetchrow(COUNTS, tenant_id))["customers"] == 300
    await owner.close()


async def step_of(owner: asyncpg.Connection, slug: str) -> int | None:
    """The step that is due in a workspace; None where it is whole, or not there."""
    found: int | None = await owner.fetchval(
        "SELECT n.value FROM crm.tenant_counter n JOIN crm.workspace w ON w.id = n.tenant_id "
        "WHERE w.slug = $1 AND n.name = $2",
        slug, STEP,
    )  # fmt: skip
    return found


def chot_seed(settings: Settings, slug: str, customers: int) -> subprocess.Popen[str]:
    """The command, in a process of its own and in small steps."""
    environment = {
        "CHOT_DATABASE_URL": str(settings.database_url), "CHOT_REDIS_URL": str(settings.redis_url),
        "CHOT_SECRET_KEY": settings.secret.decode(), "CHOT_DATA_DIR": str(settings.data_dir),
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, "-c", SMALL, "seed", "--slug", slug, "--customers", str(customers)],
        env={**os.environ, **environment}, cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
