"""The demo has something for each of a newcomer's first filters."""

from uuid import UUID

from app.core.clock import new_id
from app.core.db import driver
from app.core.settings import Settings
from app.demo.dealings import TAGS, TIERS
from app.demo.seed import seed_demo
from app.identity import workspaces
from tests.factories.people import PASSWORD

CUSTOMERS = 600
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
    async with workspaces.owner_database(settings) as db:
        tenant_id = await seed_demo(db, slug=f"demo-{new_id().hex[-12:]}", password=PASSWORD, customers=customers)
        async with workspaces.owner_transaction(db, tenant_id) as session:
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
