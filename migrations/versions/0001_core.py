"""The schema, the functions that every table needs, events, jobs and idempotency keys."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# One statement each: the driver prepares them, and a prepared statement holds one command.
FUNCTIONS = (
    """
-- Names the tenant of this transaction. A function, because Citus passes a SET LOCAL on to its nodes and a
-- set_config() it does not.
CREATE FUNCTION crm.use_tenant(tenant uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN EXECUTE format('SET LOCAL app.tenant_id = %L', tenant::text); END $$;
""",
    """
-- The only place that knows Citus; without it this does nothing. kind: tenant, staging (by tenant too), reference.
CREATE FUNCTION crm.distribute(t regclass, kind text DEFAULT 'tenant') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'citus') THEN RETURN; END IF;
  IF kind = 'reference' THEN
    PERFORM create_reference_table(t);
  ELSE
    PERFORM create_distributed_table(t, 'tenant_id');
  END IF;
END $$;
""",
    """
-- The wall: row-level security, forced on the owner too, with one policy text for every tenant table.
CREATE FUNCTION crm.protect(t regclass, rights text DEFAULT 'SELECT, INSERT, UPDATE, DELETE')
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t);
  EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', t);
  EXECUTE format('CREATE POLICY tenant_isolation ON %s TO crm_app '
                 'USING (tenant_id = current_setting(''app.tenant_id'')::uuid) '
                 'WITH CHECK (tenant_id = current_setting(''app.tenant_id'')::uuid)', t);
  EXECUTE format('GRANT %s ON %s TO crm_app', rights, t);
END $$;
""",
    """
-- Opens a table to a door role: rows of every tenant, but only the named columns, and only to read.
CREATE FUNCTION crm.open_to(t regclass, role text, columns text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE POLICY %I ON %s FOR SELECT TO %I USING (true)', role || '_reads', t, role);
  EXECUTE format('GRANT SELECT (%s) ON %s TO %I', columns, t, role);
END $$;
""",
)


def upgrade() -> None:
    op.execute("CREATE SCHEMA crm")
    op.execute("GRANT USAGE ON SCHEMA crm TO crm_app, crm_search, crm_dispatch")
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gin WITH SCHEMA public")
    for function in FUNCTIONS:
        op.execute(function)
    op.create_table(
        "event",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject_type", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Uuid(), nullable=True),
        sa.Column("actor_name", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("batch_id", sa.Uuid(), nullable=True),
        sa.Column("changes", JSONB(), nullable=False),
        sa.Column("data", JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="event_pk"),
        schema="crm",
    )
    op.create_index("event_subject_ix", "event", ["tenant_id", "subject_id", "id"], schema="crm")
    op.create_table(
        "job",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("args", JSONB(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=True),
        sa.Column("lane", sa.Text(), nullable=True),
        sa.Column("dedupe_key", sa.Text(), nullable=True),
        sa.Column("run_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("claims", sa.Integer(), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lease_token", sa.Uuid(), nullable=True),
        sa.Column("control", sa.Text(), nullable=True),
        sa.Column("progress", JSONB(), nullable=False),
        sa.Column("result", JSONB(), nullable=False),
        sa.Column("error", JSONB(), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("created_by_kind", sa.Text(), nullable=False),
        sa.Column("created_by_name", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="job_pk"),
        schema="crm",
    )
    op.create_index(
        "job_dedupe_uq",
        "job",
        ["tenant_id", "kind", "dedupe_key"],
        unique=True,
        schema="crm",
        postgresql_where=sa.text("dedupe_key IS NOT NULL AND state IN ('queued', 'running', 'paused')"),
    )
    op.create_index(
        "job_due_ix",
        "job",
        ["tenant_id", "queue", "run_at", "id"],
        schema="crm",
        postgresql_where=sa.text("state IN ('queued', 'running')"),
    )
    op.create_index(
        "job_lane_ix",
        "job",
        ["tenant_id", "lane"],
        schema="crm",
        postgresql_where=sa.text("lane IS NOT NULL AND state IN ('queued', 'running')"),
    )
    op.create_index("job_recent_ix", "job", ["tenant_id", sa.text("created_at DESC"), sa.text("id DESC")], schema="crm")
    op.create_table(
        "idempotency_key",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("status", sa.BigInteger(), nullable=False),
        sa.Column("headers", JSONB(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="idempotency_key_pk"),
        schema="crm",
    )
    op.create_table(
        "tenant_counter",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name", name="tenant_counter_pk"),
        schema="crm",
    )
    for table in ("event", "job", "idempotency_key", "tenant_counter"):
        op.execute(f"SELECT crm.distribute('crm.{table}')")
    # A young workspace is unknown to the planner until ANALYZE, which by default awaits a tenth of the table.
    for table in ("event", "job"):
        op.execute(f"ALTER TABLE crm.{table} SET (autovacuum_analyze_scale_factor = 0.01)")
    # Append-only: the application can add history and read it, never change it.
    op.execute("SELECT crm.protect('crm.event', 'SELECT, INSERT')")
    for table in ("job", "idempotency_key", "tenant_counter"):
        op.execute(f"SELECT crm.protect('crm.{table}')")
    op.execute("SELECT crm.open_to('crm.job', 'crm_dispatch', 'tenant_id, id, queue, state, run_at, lease_until')")


def downgrade() -> None:
    for table in ("tenant_counter", "idempotency_key", "job", "event"):
        op.drop_table(table, schema="crm")
    op.execute("DROP SCHEMA crm CASCADE")
