"""The guard over statements sees what it must see, and lets pass what is right."""

import pytest

from tests.laws.guard import Guard
from tests.laws.statements import faults, writes

RIGHT = [
    "SELECT 1",
    "SELECT id FROM crm.customer WHERE tenant_id = $1 AND id = $2",
    "SELECT crm.customer.id FROM crm.customer WHERE crm.customer.id = $1::UUID AND crm.customer.tenant_id = $2::UUID",
    "SELECT c.id FROM crm.customer c LEFT JOIN crm.role o ON o.tenant_id = $1 AND o.id = c.id WHERE c.tenant_id = $1",
    "SELECT c.id FROM crm.customer AS c JOIN crm.customer_search s USING (tenant_id, id) WHERE c.tenant_id = $1",
    "INSERT INTO crm.event (tenant_id, id, at) VALUES ($1, $2, now())",
    """INSERT INTO crm.tenant_counter AS k (tenant_id, name) VALUES ($1, $2) ON CONFLICT (tenant_id, name)
       DO UPDATE SET value = k.value + excluded.value RETURNING value""",
    "UPDATE crm.job SET lease_until = now() + $1, state = 'running' WHERE tenant_id = $2 AND run_at <= now()",
    "DELETE FROM crm.idempotency_key WHERE tenant_id = $1 AND expires_at < now()",
    "SELECT id FROM crm.workspace ORDER BY id",
    "SELECT id FROM crm.customer WHERE tenant_id = ANY($1)",
    "SELECT pg_try_advisory_xact_lock($1)",
    "SELECT crm.use_tenant($1)",
    "SELECT id FROM crm.customer -- ; not a second statement\nWHERE tenant_id = $1",
    """WITH old AS (SELECT id FROM crm.customer WHERE tenant_id = $1) UPDATE crm.job SET control = $2
       WHERE tenant_id = $1 AND id IN (SELECT id FROM old)""",
    """SELECT c.id FROM crm.customer c WHERE c.tenant_id = $1 UNION ALL (SELECT c.id FROM crm.customer c
       WHERE c.tenant_id = $1 AND (c.name = $2 OR EXISTS (SELECT FROM crm.contact t WHERE t.tenant_id = c.tenant_id)))
    """,
]

WRONG = [
    ("SELECT id FROM crm.customer WHERE id = $1", "without tenant_id"),
    ("SELECT id FROM crm.customer WHERE tenant_id = current_setting('app.tenant_id')::uuid", "every shard"),
    ("SELECT c.id FROM crm.customer c JOIN crm.role o ON o.id = c.id WHERE c.tenant_id = $1", "role o without"),
    ("SELECT id FROM crm.customer c, crm.app_user u WHERE c.tenant_id = $1", "app_user u without"),
    (
        "SELECT id FROM crm.customer WHERE id = $2 AND EXISTS (SELECT FROM crm.role WHERE tenant_id = $1)",
        "customer  without",
    ),
    (
        "SELECT id FROM crm.customer WHERE tenant_id = $1 AND EXISTS (SELECT FROM crm.role WHERE id = $2)",
        "role  without",
    ),
    (
        "SELECT c.id FROM crm.customer c WHERE c.tenant_id = $1 UNION SELECT c.id FROM crm.customer c WHERE c.id = $2",
        "customer c without",
    ),
    (
        """WITH c AS (SELECT c.id FROM crm.customer c WHERE (c.id = $2 OR ((SELECT 1) = 1)))
           UPDATE crm.customer c SET name = '' WHERE c.tenant_id = $1""",
        "customer c without",
    ),
    ("UPDATE crm.job SET state = 'queued' WHERE id = $1", "without tenant_id"),
    ("DELETE FROM crm.job", "without tenant_id"),
    ("INSERT INTO crm.event (id, at) VALUES ($1, $2)", "without tenant_id"),
    ("INSERT INTO crm.event (tenant_id, id) SELECT tenant_id, id FROM crm.customer WHERE id = $1", "customer  without"),
    ("SELECT set_config('app.tenant_id', $1, true)", "set_config"),
    ("SET app.tenant_id = 'x'", "outlives"),
    ("MERGE INTO crm.job USING x ON true WHEN MATCHED THEN DO NOTHING", "MERGE"),
    ("SELECT 1; SELECT 2", "several statements"),
    (
        "INSERT INTO crm.job (tenant_id, id) VALUES ($1, $2) ON CONFLICT (tenant_id, id) DO UPDATE SET run_at = now()",
        "DO UPDATE SET takes only",
    ),
    ("INSERT INTO crm.job (tenant_id, id) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING", "begins with tenant_id"),
    ("UPDATE crm.job SET lease_token = uuidv7() WHERE tenant_id = $1", "no volatile function"),
    ("UPDATE crm.job SET started_at = coalesce(started_at, now()) WHERE tenant_id = $1", "no volatile function"),
    ("DELETE FROM crm.job WHERE tenant_id = $1 AND run_at < clock_timestamp()", "DELETE takes no volatile"),
    ("SELECT pg_advisory_xact_lock(1) FROM crm.job WHERE tenant_id = $1", "advisory lock"),
]  # fmt: skip


@pytest.mark.parametrize("statement", RIGHT)
def test_what_is_right_passes(statement: str) -> None:
    assert faults(statement) == ()


@pytest.mark.parametrize(("statement", "reason"), WRONG)
def test_what_is_wrong_is_seen(statement: str, reason: str) -> None:
    assert any(reason in fault for fault in faults(statement)), faults(statement)


def test_writes_are_told_from_reads() -> None:
    assert writes("UPDATE crm.job SET state = $1")
    assert not writes("SELECT * FROM crm.job FOR UPDATE")


@pytest.mark.parametrize(
    ("statements", "wrong"),
    [
        (["BEGIN;", "SELECT crm.use_tenant($1)", "SELECT 1 FROM crm.job WHERE tenant_id = $1", "COMMIT;"], ""),
        (["BEGIN;", "SELECT 1 FROM crm.job WHERE tenant_id = $1"], "not named its tenant"),
        (
            ["BEGIN;", "SELECT crm.use_tenant($1)", "COMMIT;", "BEGIN;", "SELECT 1 FROM crm.job WHERE tenant_id = $1"],
            "not named its tenant",
        ),
        (["BEGIN;", "SAVEPOINT a;", "SELECT crm.use_tenant($1)"], "inside a savepoint"),
        (
            [
                "BEGIN;",
                "SELECT crm.use_tenant($1)",
                "DELETE FROM crm.job WHERE tenant_id = $1",
                "SET LOCAL ROLE crm_search",
            ],
            "door after a write",
        ),
        (["BEGIN;", "SET LOCAL ROLE crm_dispatch", "SELECT tenant_id FROM crm.job"], ""),
        (["BEGIN;", "SET LOCAL ROLE crm_dispatch", "COMMIT;", "SELECT tenant_id FROM crm.job"], "without tenant_id"),
    ],
)
def test_the_order_of_a_transaction_is_followed(statements: list[str], wrong: str) -> None:
    guard, connection = Guard(), type("Connection", (), {})()
    for statement in statements:
        guard.see(connection, statement)
    assert (wrong in guard.wrong[0]) if wrong else guard.wrong == []


async def test_the_guard_hears_the_application(watch_statements: Guard, workspace: object) -> None:
    assert watch_statements.seen > 5
