"""The doctor finds nothing in what the product has made, and finds every fault that it names."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import pytest

from app import doctor
from app.core.settings import Settings
from app.doctor import CHECKS, Check, examine
from app.main import create_app
from tests.factories.people import make_workspace
from tests.laws.making.customers import attribute_body, customer, group
from tests.laws.scene import Scene
from tests.laws.scratch import scratch_database

# Two jobs of one lane, in a state and under a lease; an import that waits for the last of them.
JOB = """
    INSERT INTO crm.job
        (tenant_id, id, kind, queue, state, stoppable, args, lane, run_at, attempt, max_attempts, claims, lease_until,
         lease_token, progress, result, created_by_kind, created_by_name, version, created_at, updated_at)
    SELECT '{tenant}', uuidv7(), 'x', 'bulk', %s, true, '{{}}', 'lane', now(), 0, 5, 1, %s, %s,
           '{{}}', '{{}}', 'system', '', 1, now(), now() FROM generate_series(1, 2)
"""
IMPORT = """
    INSERT INTO crm.import
        (tenant_id, id, state, counts, activity, file_name, file_size, language, job_id, runs, written,
         created_by_kind, created_by_name, version, created_at, updated_at)
    SELECT '{tenant}', uuidv7(), %s, '%s', 'run', '', 1, 'vi', (SELECT max(id::text)::uuid FROM crm.job), 1, true,
           'user', '', 1, now(), now()
"""

# How each fault is made in a workspace with a customer.
BREAKS: dict[str, str] = {
    "walls.row_security": "ALTER TABLE crm.customer NO FORCE ROW LEVEL SECURITY",
    "walls.application_role": "GRANT crm_search TO crm_app WITH INHERIT TRUE",
    "catalog.unchecked_constraint": "ALTER TABLE crm.customer ADD CONSTRAINT x CHECK (version > 0) NOT VALID",
    "customer.phone_twice": """
        DROP INDEX crm.customer_phone_uq;
        UPDATE crm.customer SET phone = '+84900000001' WHERE tenant_id = '{tenant}'""",
    "customer.not_searchable": "DELETE FROM crm.customer_search WHERE id = '{customer}'",
    "customer_search.without_customer": """
        INSERT INTO crm.customer_search (tenant_id, id, words) VALUES ('{tenant}', uuidv7(), '')""",
    "customer.groups_disagree": "UPDATE crm.customer SET group_nos = '{{99}}' WHERE id = '{customer}'",
    "customer.tags_disagree": "UPDATE crm.customer SET tag_nos = '{{99}}' WHERE id = '{customer}'",
    "customer.score_disagrees": "UPDATE crm.customer SET score = 10, stars = 1 WHERE id = '{customer}'",
    "customer.choice_unknown": "UPDATE crm.customer SET tier_id = (SELECT id FROM crm.classification"
    " WHERE tenant_id = '{tenant}' AND kind = 'source' LIMIT 1) WHERE id = '{customer}'",
    "customer.slot_disagrees": """
        UPDATE crm.attribute SET slot = 't1', key = 'x' WHERE tenant_id = '{tenant}';
        UPDATE crm.customer SET t1 = 'a', attributes = '{{"x": "b"}}' WHERE id = '{customer}'""",
    "customer.code_above_counter": "UPDATE crm.customer SET code = 'KH999999' WHERE id = '{customer}'",
    "customer.no_event": "DELETE FROM crm.event WHERE subject_id = '{customer}'",
    "unique_value.without_customer": """
        UPDATE crm.attribute SET is_unique = true WHERE tenant_id = '{tenant}';
        INSERT INTO crm.unique_value (tenant_id, attribute_id, value, customer_id)
        SELECT tenant_id, id, 'z', '{customer}' FROM crm.attribute WHERE tenant_id = '{tenant}'""",
    "unique_value.missing": """
        UPDATE crm.attribute SET is_unique = true, key = 'x' WHERE tenant_id = '{tenant}';
        UPDATE crm.customer SET attributes = '{{"x": "b"}}' WHERE id = '{customer}'""",
    "customer.merged_nowhere": """
        UPDATE crm.customer SET deleted_at = now(), deleted_reason = 'merge' WHERE id = '{customer}'""",
    "customer.merged_and_alive": "UPDATE crm.customer SET merged_into = uuidv7() WHERE id = '{customer}'",
    "merge.source_alive": """
        INSERT INTO crm.customer_merge (tenant_id, id, master_id, source_ids, sources, before, written, moved,
                                        created_by, created_by_name, version, created_at, updated_at)
        SELECT tenant_id, uuidv7(), id, ARRAY['{customer}'::uuid], 'archive', '{{}}', '{{}}', '{{}}', id, 'x', 1,
               now(), now() FROM crm.customer WHERE tenant_id = '{tenant}' AND id <> '{customer}' LIMIT 1""",
    "contact_point.phone_twice": """
        INSERT INTO crm.contact_point (tenant_id, id, customer_id, kind, value, tail, created_at)
        SELECT s.tenant_id, uuidv7(), '{customer}', 'phone', 'x', s.phone_tail, now() FROM crm.customer_search s
        WHERE s.tenant_id = '{tenant}' AND s.id <> '{customer}'""",
    "contact.apart_from_its_points": """
        INSERT INTO crm.contact (tenant_id, id, customer_id, name, is_primary, version, created_at, updated_at)
        VALUES ('{tenant}', '{tenant}', '{customer}', 'x', false, 1, now(), now());
        INSERT INTO crm.contact_point (tenant_id, id, customer_id, contact_id, kind, value, created_at)
        SELECT tenant_id, '{tenant}', id, '{tenant}', 'email', 'x', now() FROM crm.customer
        WHERE tenant_id = '{tenant}' AND id <> '{customer}' LIMIT 1""",
    "user.no_administrator": "UPDATE crm.app_user SET active = false WHERE tenant_id = '{tenant}'",
    "session.two_families": """
        INSERT INTO crm.refresh_token (tenant_id, id, session_id, token_hash, created_at, expires_at)
        SELECT tenant_id, uuidv7(), session_id, token_hash, created_at, expires_at FROM crm.refresh_token""",
    "session.of_inactive_user": "UPDATE crm.app_user SET active = false WHERE tenant_id = '{tenant}'",
    "import.counts_disagree": IMPORT % ("'succeeded'", '{{"rows": 3, "created": 3}}'),
    "import.customer_lost": """
        INSERT INTO crm.import_row (tenant_id, import_id, n, status, customer_id)
        VALUES ('{tenant}', uuidv7(), 2, 'updated', uuidv7())""",
    "import.customer_twice": """
        INSERT INTO crm.import_row (tenant_id, import_id, n, status, customer_id)
        SELECT '{tenant}', uuidv7(), n, 'created', '{customer}' FROM generate_series(2, 3) n""",
    "import.left_alone": JOB % ("'dead'", "NULL", "NULL") + ";" + IMPORT % ("'queued'", "{{}}"),
    "import.staging_left": """
        INSERT INTO crm.import_staging (tenant_id, import_id, n, action) VALUES ('{tenant}', uuidv7(), 2, 'write')""",
    "bulk.counts_disagree": JOB % ("'succeeded'", "NULL", "NULL")
    + """;
        UPDATE crm.job SET result = '{{"changed": 2, "unchanged": 0, "skipped": 0}}';
        INSERT INTO crm.bulk_change (tenant_id, id, action, params, parts)
        SELECT tenant_id, id, 'owner', '{{}}', 1 FROM crm.job""",
    "chosen_part.left": JOB % ("'failed'", "NULL", "NULL")
    + """;
        INSERT INTO crm.chosen_part (tenant_id, batch_id, n, ids) SELECT tenant_id, id, 0, '{{}}' FROM crm.job""",
    "export.past_expiry": """
        INSERT INTO crm.export (tenant_id, id, format, columns, masked, selection, language, total, parts, job_id,
                                ready_at, expires_at, created_by, created_by_kind, created_by_name, version, created_at,
                                updated_at)
        SELECT '{tenant}', uuidv7(), 'csv', '{{}}', false, '{{}}', 'vi', 1, 1, uuidv7(), now(),
               now() - interval '3 days', uuidv7(), 'user', 'x', 1, now(), now()""",
    "job.past_lease": JOB % ("'running'", "now() - interval '1 hour'", "uuidv7()"),
    "job.state_impossible": JOB % ("'queued'", "now()", "uuidv7()"),
    "job.two_of_one_lane": JOB % ("'running'", "now() + interval '1 hour'", "uuidv7()"),
}


@pytest.fixture(scope="module")
async def patient(settings: Settings) -> AsyncIterator[tuple[Settings, UUID, str]]:
    """A database with one small workspace, and one of its customers."""
    async with scratch_database(settings) as scratch:
        app = create_app(scratch)
        async with app.router.lifespan_context(app):
            workspace = await make_workspace(scratch, app)
            scene = Scene(workspace, workspace.administrator)
            made = [await customer(scene), await customer(scene)]
            await group(scene)
            await scene.make("/attributes", attribute_body(scene))
            await workspace.aclose()
        yield scratch, workspace.id, made[0].id


async def test_nothing_is_wrong_with_what_the_product_made(patient: tuple[Settings, UUID, str]) -> None:
    assert await examine(str(patient[0].database_url)) == []


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
async def test_every_check_finds_its_fault(patient: tuple[Settings, UUID, str], check: Check) -> None:
    settings, tenant_id, customer_id = patient
    async with broken(settings, BREAKS[check.name].format(tenant=tenant_id, customer=customer_id)) as connection:
        finding = await doctor._look(connection, check)
    assert finding is not None, f"{check.name} does not see it"
    assert finding.count >= 1
    assert check.wrong in str(finding)


async def test_a_value_that_a_key_does_not_know_is_found(patient: tuple[Settings, UUID, str]) -> None:
    settings, tenant_id, _ = patient
    key = '[{"no": 3, "fields": ["name", "email"], "imports": true, "ready": true}]'
    fault = f"""
        INSERT INTO crm.duplicate_setting (tenant_id, id, keys, last_no, version, created_at, updated_at)
        VALUES ('{tenant_id}', '{tenant_id}', '{key}', 3, 1, now(), now())"""
    async with broken(settings, fault) as connection:
        (check,) = await doctor._keys(connection)
        finding = await doctor._look(connection, check)
    assert finding is not None
    assert finding.count == 2


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("DELETE FROM crm.app_user", "foreign_key.login_session_user_fk"),
        ("UPDATE crm.login_session SET tenant_id = uuidv7()", "foreign_key.login_session_user_fk"),
        ("DELETE FROM crm.workspace", "tenant.customer"),
    ],
)
async def test_checks_made_from_the_catalog_find_theirs(
    patient: tuple[Settings, UUID, str], fault: str, found: str
) -> None:
    async with broken(patient[0], fault) as connection:
        checks = [*await doctor._foreign_keys(connection), *await doctor._tenants(connection)]
        (check,) = (one for one in checks if one.name == found)
        assert await doctor._look(connection, check) is not None


@asynccontextmanager
async def broken(settings: Settings, fault: str) -> AsyncIterator[asyncpg.Connection]:
    """A transaction in which the fault is made, without the checks of foreign keys; nobody else ever sees it."""
    connection = await asyncpg.connect(settings.database_url)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("SET LOCAL session_replication_role = replica")
    await connection.execute(fault)
    yield connection
    await transaction.rollback()
    await connection.close()
