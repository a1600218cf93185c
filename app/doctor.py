"""Looks for what must not exist: SELECTs over all workspaces that must return no row.

Run after a fault, after a restore, and by operators (`chot doctor`). It reads one snapshot, changes nothing, and
names rows by their ids only.
"""

from dataclasses import dataclass, field

import asyncpg
from sqlalchemy.engine import make_url


@dataclass(frozen=True)
class Check:
    """One thing that must not be. `sql` selects the rows that show it; its first columns are ids."""

    name: str
    wrong: str
    sql: str


@dataclass(frozen=True)
class Finding:
    """A check that found rows: how many, and the first of them."""

    check: str
    wrong: str
    count: int
    examples: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.check}: {self.wrong}: {self.count} row(s), such as {'; '.join(self.examples)}"


EXAMPLES = 3
NIL = "00000000-0000-0000-0000-000000000000"

CHECKS: tuple[Check, ...] = (
    Check(
        "walls.row_security",
        "a table with tenant_id has no forced row-level security",
        """
        SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
        WHERE c.relnamespace = 'crm'::regnamespace AND c.relkind IN ('r', 'p') AND c.relpersistence = 'p'
          AND NOT (c.relrowsecurity AND c.relforcerowsecurity)
        """,
    ),
    Check(
        "walls.application_role",
        "crm_app has a power that walks through the wall",
        """
        SELECT rolname, 'attribute' FROM pg_roles WHERE rolname = 'crm_app' AND (rolsuper OR rolbypassrls)
        UNION ALL
        SELECT roleid::regrole::text, 'inherited' FROM pg_auth_members
        WHERE member = 'crm_app'::regrole AND (inherit_option OR admin_option)
        """,
    ),
    Check(
        "catalog.unchecked_constraint",
        "a constraint or index is not valid, so nothing checks it",
        """
        SELECT conname::text FROM pg_constraint WHERE connamespace = 'crm'::regnamespace AND NOT convalidated
        UNION ALL
        SELECT i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
        WHERE c.relnamespace = 'crm'::regnamespace AND NOT (i.indisvalid AND i.indisready)
        """,
    ),
    Check(
        "customer.phone_twice",
        "two customers of a workspace have one phone",
        """
        SELECT tenant_id, min(id::text), max(id::text) FROM crm.customer
        WHERE phone IS NOT NULL AND deleted_at IS NULL GROUP BY tenant_id, phone HAVING count(*) > 1
        """,
    ),
    Check(
        "customer.not_searchable",
        "a customer has no search row, or one with another phone",
        """
        SELECT c.tenant_id, c.id FROM crm.customer c
        LEFT JOIN crm.customer_search s ON s.tenant_id = c.tenant_id AND s.id = c.id
        WHERE c.deleted_at IS NULL
          AND (s.id IS NULL OR s.words = ''::tsvector AND c.name <> ''
               OR c.phone IS NULL AND s.phone_tail IS NOT NULL
               OR c.phone LIKE '+84%' AND s.phone_tail IS DISTINCT FROM reverse('0' || substr(c.phone, 4)))
        """,
    ),
    Check(
        "customer_search.without_customer",
        "a search row stands for a customer who does not exist",
        """
        SELECT s.tenant_id, s.id FROM crm.customer_search s
        LEFT JOIN crm.customer c ON c.tenant_id = s.tenant_id AND c.id = s.id WHERE c.id IS NULL
        """,
    ),
    Check(
        "customer.groups_disagree",
        "customer.group_nos is not what group_member says",
        """
        SELECT c.tenant_id, c.id FROM crm.customer c
        LEFT JOIN (
            SELECT m.tenant_id, m.customer_id, array_agg(g.no ORDER BY g.no) AS nos
            FROM crm.group_member m JOIN crm.customer_group g ON g.tenant_id = m.tenant_id AND g.id = m.group_id
            GROUP BY m.tenant_id, m.customer_id
        ) AS member ON member.tenant_id = c.tenant_id AND member.customer_id = c.id
        WHERE c.deleted_at IS NULL AND c.group_nos <> coalesce(member.nos, '{}')
        """,
    ),
    Check(
        "customer.choice_unknown",
        "a customer's source, type or relationship is not one of its workspace's list",
        """
        SELECT c.tenant_id, c.id, chosen.kind FROM crm.customer c
        CROSS JOIN LATERAL (VALUES ('source', c.source_id), ('customer_type', c.customer_type_id),
                                   ('relationship', c.relationship_id)) AS chosen (kind, value_id)
        LEFT JOIN crm.classification v
            ON v.tenant_id = c.tenant_id AND v.id = chosen.value_id AND v.kind = chosen.kind
        WHERE c.deleted_at IS NULL AND chosen.value_id IS NOT NULL AND v.id IS NULL
        """,
    ),
    Check(
        "customer.slot_disagrees",
        "a filterable attribute's column is not what the attribute says",
        """
        SELECT c.tenant_id, c.id, a.id AS attribute_id
        FROM crm.attribute a JOIN crm.customer c ON c.tenant_id = a.tenant_id
        CROSS JOIN LATERAL (SELECT to_jsonb(c) ->> a.slot AS slot, c.attributes ->> a.key AS truth) AS value
        WHERE a.slot IS NOT NULL AND a.deleted_at IS NULL AND c.deleted_at IS NULL AND CASE left(a.slot, 1)
            WHEN 't' THEN value.slot IS DISTINCT FROM left(value.truth, 1000)
            WHEN 'n' THEN value.slot::numeric IS DISTINCT FROM value.truth::numeric
            ELSE value.slot::timestamptz IS DISTINCT FROM
                CASE WHEN value.truth LIKE '%T%' THEN value.truth::timestamptz
                     ELSE value.truth::timestamp AT TIME ZONE 'UTC' END
        END
        """,
    ),
    Check(
        "customer.code_above_counter",
        "a customer's number is above the workspace's counter, so it would be given out again",
        """
        SELECT taken.tenant_id, taken.shard, taken.highest
        FROM (
            SELECT tenant_id, 'customer#' || lpad(((number - 1) % 16)::text, 2, '0') AS shard, max(number) AS highest
            FROM (SELECT tenant_id, substr(code, 3)::bigint AS number FROM crm.customer
                  WHERE code ~ '^KH[0-9]{6,15}$') AS coded
            GROUP BY 1, 2) AS taken
        LEFT JOIN crm.tenant_counter n ON n.tenant_id = taken.tenant_id AND n.name = taken.shard
        WHERE coalesce(n.value, 0) < (taken.highest - 1) / 16 + 1
        """,
    ),
    Check(
        "customer.no_event",
        "a customer exists and no event says since when",
        """
        SELECT c.tenant_id, c.id FROM crm.customer c
        WHERE NOT EXISTS (SELECT 1 FROM crm.event e
                          WHERE e.tenant_id = c.tenant_id AND e.subject_id = c.id AND e.kind = 'customer.created')
        """,
    ),
    Check(
        "unique_value.without_customer",
        "a value of a unique attribute is held by a customer who does not have it",
        """
        SELECT u.tenant_id, u.attribute_id, u.customer_id FROM crm.unique_value u
        JOIN crm.attribute a ON a.tenant_id = u.tenant_id AND a.id = u.attribute_id
        JOIN crm.customer c ON c.tenant_id = u.tenant_id AND c.id = u.customer_id
        WHERE a.deleted_at IS NULL AND a.is_unique AND (
            c.deleted_at IS NOT NULL OR NOT c.attributes ? a.key
            OR jsonb_typeof(c.attributes -> a.key) = 'string' AND c.attributes ->> a.key <> u.value)
        """,
    ),
    Check(
        "unique_value.missing",
        "a customer's value of a unique attribute is held by nobody, so another could take it",
        """
        SELECT c.tenant_id, a.id AS attribute_id, c.id AS customer_id
        FROM crm.attribute a JOIN crm.customer c ON c.tenant_id = a.tenant_id AND c.attributes ? a.key
        LEFT JOIN crm.unique_value u
            ON u.tenant_id = c.tenant_id AND u.attribute_id = a.id AND u.customer_id = c.id
        WHERE a.is_unique AND a.deleted_at IS NULL AND c.deleted_at IS NULL AND u.customer_id IS NULL
        """,
    ),
    Check(
        "customer.merged_nowhere",
        "a customer was merged into another who does not exist",
        """
        SELECT c.tenant_id, c.id FROM crm.customer c
        LEFT JOIN crm.customer m ON m.tenant_id = c.tenant_id AND m.id = c.merged_into
        WHERE c.deleted_reason = 'merge' AND m.id IS NULL
        """,
    ),
    Check(
        "contact.apart_from_its_points",
        "a phone, address or link belongs to another customer than the contact who has it",
        """
        SELECT p.tenant_id, p.id FROM crm.contact_point p
        JOIN crm.contact t ON t.tenant_id = p.tenant_id AND t.id = p.contact_id WHERE t.customer_id <> p.customer_id
        """,
    ),
    Check(
        "user.no_administrator",
        "a workspace has no active administrator",
        """
        SELECT w.id FROM crm.workspace w
        WHERE NOT EXISTS (
            SELECT 1 FROM crm.app_user u JOIN crm.role r ON r.tenant_id = u.tenant_id AND r.id = u.role_id
            WHERE u.tenant_id = w.id AND u.active AND r.key = 'administrator')
        """,
    ),
    Check(
        "session.two_families",
        "a session has more than one refresh token that would still work",
        """
        SELECT t.tenant_id, t.session_id FROM crm.refresh_token t
        JOIN crm.login_session s ON s.tenant_id = t.tenant_id AND s.id = t.session_id
        WHERE t.used_at IS NULL AND s.revoked_at IS NULL GROUP BY 1, 2 HAVING count(*) > 1
        """,
    ),
    Check(
        "session.of_inactive_user",
        "somebody who may not sign in is still signed in",
        """
        SELECT s.tenant_id, s.id, s.user_id FROM crm.login_session s
        JOIN crm.app_user u ON u.tenant_id = s.tenant_id AND u.id = s.user_id
        WHERE NOT u.active AND s.revoked_at IS NULL AND s.expires_at > now()
        """,
    ),
    Check(
        "import.counts_disagree",
        "an import's counts are not what its rows say",
        """
        SELECT i.tenant_id, i.id, i.counts::text, r.counted::text FROM crm.import i
        CROSS JOIN LATERAL (
            SELECT jsonb_build_object(
                'rows', count(*), 'created', count(*) FILTER (WHERE status = 'created'),
                'updated', count(*) FILTER (WHERE status IN ('updated', 'unchanged')),
                'unchanged', count(*) FILTER (WHERE status = 'unchanged'),
                'skipped', count(*) FILTER (WHERE status = 'skipped'),
                'failed', count(*) FILTER (WHERE status = 'failed')) AS counted
            FROM crm.import_row WHERE tenant_id = i.tenant_id AND import_id = i.id) AS r
        WHERE i.state IN ('succeeded', 'failed', 'cancelled', 'undone') AND (i.counts ->> 'rows')::bigint > 0
          AND i.counts <> r.counted
        """,
    ),
    Check(
        "import.customer_lost",
        "a row of an import names a customer who does not exist",
        """
        SELECT r.tenant_id, r.import_id, r.n FROM crm.import_row r
        LEFT JOIN crm.customer c ON c.tenant_id = r.tenant_id AND c.id = r.customer_id
        WHERE r.customer_id IS NOT NULL AND c.id IS NULL
        """,
    ),
    Check(
        "import.customer_twice",
        "two rows of imports say that they created one customer",
        """
        SELECT tenant_id, customer_id, count(*) FROM crm.import_row
        WHERE status = 'created' AND customer_id IS NOT NULL GROUP BY 1, 2 HAVING count(*) > 1
        """,
    ),
    Check(
        "import.left_alone",
        "an import waits for a job that has ended",
        """
        SELECT i.tenant_id, i.id, i.state FROM crm.import i
        JOIN crm.job j ON j.tenant_id = i.tenant_id AND j.id = i.job_id
        WHERE i.state IN ('reading', 'queued', 'running', 'paused')
          AND j.state IN ('succeeded', 'failed', 'dead', 'cancelled')
        """,
    ),
    Check(
        "import.staging_left",
        "a row in the staging table outlived its transaction",
        "SELECT tenant_id, import_id, n FROM crm.import_staging",
    ),
    Check(
        "job.past_lease",
        "a job is said to run, but its worker has been silent for three leases",
        """
        SELECT tenant_id, id, kind FROM crm.job
        WHERE state = 'running' AND lease_until < now() - interval '60 seconds'
        """,
    ),
    Check(
        "job.state_impossible",
        "a job's columns contradict its state",
        """
        SELECT tenant_id, id, kind, state FROM crm.job
        WHERE state NOT IN ('queued', 'running', 'paused', 'succeeded', 'failed', 'dead', 'cancelled')
           OR (state = 'running') <> (lease_token IS NOT NULL)
           OR (lease_token IS NULL) <> (lease_until IS NULL)
           OR (state IN ('succeeded', 'failed', 'dead', 'cancelled')) <> (finished_at IS NOT NULL)
           OR attempt > claims OR claims < 0
        """,
    ),
    Check(
        "job.two_of_one_lane",
        "two jobs of one lane run at the same time",
        """
        SELECT tenant_id, lane, min(id::text), max(id::text) FROM crm.job
        WHERE lane IS NOT NULL AND state = 'running' AND lease_until >= now()
        GROUP BY tenant_id, lane HAVING count(*) > 1
        """,
    ),
)


async def examine(database_url: str) -> list[Finding]:
    """Runs every check over all workspaces in one snapshot.

    `database_url` is the owner's: row-level security would hide from anyone else what is to be found.
    """
    url = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(url, server_settings={"application_name": "chot doctor", "timezone": "UTC"})
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute("SET LOCAL ROLE crm_owner")
            checks = [*CHECKS, *await _foreign_keys(connection), *await _tenants(connection)]
            found = [await _look(connection, check) for check in checks]
    finally:
        await connection.close()
    return [finding for finding in found if finding is not None]


async def _look(connection: asyncpg.Connection, check: Check) -> Finding | None:
    rows = await connection.fetch(f"SELECT count(*) OVER (), found.* FROM ({check.sql}) AS found LIMIT {EXAMPLES}")
    if not rows:
        return None
    examples = [" ".join(str(value) for value in tuple(row)[1:]) for row in rows]
    return Finding(check.name, check.wrong, rows[0][0], examples)


async def _foreign_keys(connection: asyncpg.Connection) -> list[Check]:
    """One check for each foreign key: what it points to must exist, in the same workspace. A restore that went wrong,
    or a session that switched the checks off, leaves rows that the constraint itself will never look at again."""
    rows = await connection.fetch(
        """
        SELECT k.conname, k.conrelid::regclass::text AS child, k.confrelid::regclass::text AS parent,
               array_agg(mine.attname::text ORDER BY pair.place) AS columns,
               array_agg(theirs.attname::text ORDER BY pair.place) AS targets
        FROM pg_constraint k
        CROSS JOIN LATERAL unnest(k.conkey, k.confkey) WITH ORDINALITY AS pair (mine, theirs, place)
        JOIN pg_attribute mine ON mine.attrelid = k.conrelid AND mine.attnum = pair.mine
        JOIN pg_attribute theirs ON theirs.attrelid = k.confrelid AND theirs.attnum = pair.theirs
        WHERE k.connamespace = 'crm'::regnamespace AND k.contype = 'f' GROUP BY 1, 2, 3 ORDER BY 1
        """
    )
    checks = []
    for row in rows:
        pairs = list(zip(row["columns"], row["targets"], strict=True))
        same = " AND ".join(f'p."{target}" = c."{column}"' for column, target in pairs)
        given = " AND ".join(f'c."{column}" IS NOT NULL' for column, _ in pairs)
        shown = ", ".join(f'c."{column}"' for column, _ in pairs)
        missing = f'p."{pairs[0][1]}" IS NULL'
        sql = f"SELECT {shown} FROM {row['child']} c LEFT JOIN {row['parent']} p ON {same} WHERE {given} AND {missing}"
        checks.append(
            Check(f"foreign_key.{row['conname']}", "a row points to one that its workspace does not have", sql)
        )
    return checks


async def _tenants(connection: asyncpg.Connection) -> list[Check]:
    """One check for each table of tenants: its rows must belong to a workspace that exists."""
    tables = await connection.fetch(
        """
        SELECT c.oid::regclass::text AS name FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
        WHERE c.relnamespace = 'crm'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1
        """
    )
    return [
        Check(
            f"tenant.{table['name'].removeprefix('crm.')}",
            "rows of a workspace that does not exist",
            # Failed sign-ins of no workspace are counted under the nil id.
            f"SELECT DISTINCT t.tenant_id FROM {table['name']} t LEFT JOIN crm.workspace w ON w.id = t.tenant_id "
            f"WHERE w.id IS NULL AND t.tenant_id <> '{NIL}'",
        )
        for table in tables
    ]
