"""Looks for what must not exist: SELECTs over all workspaces that must return no row.

Run after a fault, after a restore, and by operators (`chot doctor`). It reads one snapshot, changes nothing, and
names rows by their ids only.
"""

import json
from dataclasses import dataclass, field

import asyncpg

from app.core.clock import NIL
from app.core.settings import plain_url
from app.core.vietnam import phone
from app.customers import duplicate_keys
from app.customers.scoring import RESCORE, THRESHOLDS
from app.customers.words import slot_text_sql


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
# What numbers on the customer say, and what the memberships beside them say; no order.
NUMBERS = """
    SELECT c.tenant_id, c.id FROM crm.customer c
    LEFT JOIN (
        SELECT m.tenant_id, m.customer_id, array_agg(g.no ORDER BY g.no) AS nos
        FROM crm.{table}_member m JOIN crm.{owner} g ON g.tenant_id = m.tenant_id AND g.id = m.{table}_id
        GROUP BY m.tenant_id, m.customer_id
    ) AS member ON member.tenant_id = c.tenant_id AND member.customer_id = c.id
    WHERE c.deleted_at IS NULL AND c.{table}_nos <> coalesce(member.nos, '{{}}')
"""

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
        f"""
        SELECT c.tenant_id, c.id FROM crm.customer c
        LEFT JOIN crm.customer_search s ON s.tenant_id = c.tenant_id AND s.id = c.id
        WHERE c.deleted_at IS NULL
          AND (s.id IS NULL OR s.words = ''::tsvector AND c.name <> ''
               OR s.phone_tail IS DISTINCT FROM reverse({phone.national_sql("c.phone")}))
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
        NUMBERS.format(table="group", owner="customer_group"),
    ),
    Check(
        "customer.tags_disagree",
        "customer.tag_nos is not what tag_member says",
        NUMBERS.format(table="tag", owner="tag"),
    ),
    Check(
        "customer.score_disagrees",
        "a customer's score is not the sum of the ledger, or its stars are not those of the score",
        f"""
        SELECT c.tenant_id, c.id FROM crm.customer c
        LEFT JOIN (SELECT tenant_id, customer_id, sum(points) AS points FROM crm.score_entry GROUP BY 1, 2) AS ledger
            ON ledger.tenant_id = c.tenant_id AND ledger.customer_id = c.id
        LEFT JOIN crm.score_rule r ON r.tenant_id = c.tenant_id
        WHERE c.deleted_at IS NULL AND (
            c.score <> coalesce(ledger.points, 0)
            OR c.stars <> width_bucket(c.score, coalesce(r.thresholds, ARRAY[{", ".join(map(str, THRESHOLDS))}]))
               AND NOT EXISTS (SELECT 1 FROM crm.job j WHERE j.tenant_id = c.tenant_id AND j.kind = '{RESCORE}'
                               AND j.state IN ('queued', 'running', 'paused')))
        """,
    ),
    Check(
        "customer.choice_unknown",
        "a customer's source, type, relationship or tier is not one of its workspace's list",
        """
        SELECT c.tenant_id, c.id, chosen.kind FROM crm.customer c
        CROSS JOIN LATERAL (VALUES ('source', c.source_id), ('customer_type', c.customer_type_id),
                                   ('relationship', c.relationship_id), ('tier', c.tier_id)) AS chosen (kind, value_id)
        LEFT JOIN crm.classification v
            ON v.tenant_id = c.tenant_id AND v.id = chosen.value_id AND v.kind = chosen.kind
        WHERE c.deleted_at IS NULL AND chosen.value_id IS NOT NULL AND v.id IS NULL
        """,
    ),
    Check(
        "customer.slot_disagrees",
        "a filterable attribute's column is not what the attribute says",
        f"""
        SELECT c.tenant_id, c.id, a.id AS attribute_id
        FROM crm.attribute a JOIN crm.customer c ON c.tenant_id = a.tenant_id
        CROSS JOIN LATERAL (SELECT to_jsonb(c) ->> a.slot AS slot, c.attributes ->> a.key AS truth) AS value
        WHERE a.slot IS NOT NULL AND a.deleted_at IS NULL AND c.deleted_at IS NULL AND CASE left(a.slot, 1)
            WHEN 't' THEN value.slot IS DISTINCT FROM {slot_text_sql("value.truth")}
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
        "customer.merged_and_alive",
        "a live customer is said to live on in another",
        "SELECT tenant_id, id, merged_into FROM crm.customer WHERE deleted_at IS NULL AND merged_into IS NOT NULL",
    ),
    Check(
        "merge.source_alive",
        "a customer lives who was merged into another, and that was not undone",
        """
        SELECT m.tenant_id, m.id, c.id AS customer_id FROM crm.customer_merge m
        JOIN crm.customer c ON c.tenant_id = m.tenant_id AND c.id = ANY(m.source_ids)
        WHERE m.undone_at IS NULL AND m.sources <> 'keep' AND c.deleted_at IS NULL
          AND EXISTS (SELECT 1 FROM crm.customer t WHERE t.tenant_id = m.tenant_id AND t.id = m.master_id)
        """,
    ),
    Check(
        "contact_point.phone_twice",
        "a contact's phone is also another customer's, or its contact's",
        """
        WITH point AS (
            SELECT p.tenant_id, p.id, p.customer_id, p.tail FROM crm.contact_point p
            JOIN crm.customer c ON c.tenant_id = p.tenant_id AND c.id = p.customer_id
            WHERE p.tail IS NOT NULL AND c.deleted_at IS NULL AND c.kind <> 'lead'
        ), held AS (
            SELECT tenant_id, customer_id, tail FROM point
            UNION ALL
            SELECT s.tenant_id, s.id, s.phone_tail FROM crm.customer_search s
            JOIN crm.customer c ON c.tenant_id = s.tenant_id AND c.id = s.id
            WHERE s.phone_tail IS NOT NULL AND c.deleted_at IS NULL AND c.kind <> 'lead'
        )
        SELECT point.tenant_id, point.id, held.customer_id FROM point
        JOIN held ON held.tenant_id = point.tenant_id AND held.tail = point.tail
                 AND held.customer_id <> point.customer_id
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
        "a row of an import names a customer who does not exist and was not purged",
        """
        SELECT r.tenant_id, r.import_id, r.n FROM crm.import_row r
        LEFT JOIN crm.customer c ON c.tenant_id = r.tenant_id AND c.id = r.customer_id
        WHERE r.customer_id IS NOT NULL AND c.id IS NULL
          AND NOT EXISTS (SELECT 1 FROM crm.event e WHERE e.tenant_id = r.tenant_id
                          AND e.subject_id = r.customer_id AND e.kind = 'customer.purged')
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
        "bulk.counts_disagree",
        "what a bulk change said it did is not what it noted of each customer",
        """
        SELECT j.tenant_id, j.id, j.result::text, i.counted::text FROM crm.bulk_change b
        JOIN crm.job j ON j.tenant_id = b.tenant_id AND j.id = b.id
        CROSS JOIN LATERAL (
            SELECT jsonb_build_object(
                'changed', count(*) FILTER (WHERE status = 'changed'),
                'unchanged', count(*) FILTER (WHERE status = 'unchanged'),
                'skipped', count(*) FILTER (WHERE status = 'skipped')) AS counted
            FROM crm.batch_item WHERE tenant_id = b.tenant_id AND batch_id = b.id) AS i
        WHERE j.state = 'succeeded' AND j.result <> i.counted
        """,
    ),
    Check(
        "chosen_part.left",
        "the customers that a job was to take are kept after its end",
        """
        SELECT p.tenant_id, p.batch_id, p.n FROM crm.chosen_part p
        LEFT JOIN crm.job j ON j.tenant_id = p.tenant_id AND j.id = p.batch_id
        WHERE j.id IS NULL OR j.state IN ('succeeded', 'failed', 'cancelled')
        """,
    ),
    Check(
        "export.past_expiry",
        "the file of an export is kept longer than its caller was told",
        """
        SELECT tenant_id, id, expires_at FROM crm.export
        WHERE ready_at IS NOT NULL AND file_deleted_at IS NULL AND expires_at < now() - interval '2 days'
        """,
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
    told = {"application_name": "chot doctor", "timezone": "UTC"}
    connection = await asyncpg.connect(plain_url(database_url), server_settings=told)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute("SET LOCAL ROLE crm_owner")
            made = [*await _foreign_keys(connection), *await _tenants(connection), *await _keys(connection)]
            checks = [*CHECKS, *made]
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


async def _keys(connection: asyncpg.Connection) -> list[Check]:
    """One check for each workspace that chose what duplicates are: what a customer has must be known under the keys,
    or another could have it too. What is known of nobody any more does no harm."""
    rows = await connection.fetch("SELECT tenant_id, keys::text FROM crm.duplicate_setting")
    checks = []
    for row in rows:
        keys = [key for key in duplicate_keys.from_rows(json.loads(row["keys"])) if key.stored and key.ready]
        known = duplicate_keys.values_sql(keys, "true").replace("$1", f"'{row['tenant_id']}'")
        sql = f"""
            SELECT '{row["tenant_id"]}' AS tenant_id, has.customer_id, has.key_no FROM ({known}) AS has
            LEFT JOIN crm.duplicate_key d ON d.tenant_id = '{row["tenant_id"]}' AND d.customer_id = has.customer_id
                AND d.key_no = has.key_no AND d.value_hash = hashtextextended(has.value, 0)
            WHERE d.customer_id IS NULL
        """
        checks.append(Check("duplicate_key.missing", "a customer's value under a duplicate key is not known", sql))
    return checks
