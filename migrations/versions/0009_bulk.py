"""Bulk changes and exports: what was chosen, what became of each customer, and what a purge leaves behind."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TABLES = ("chosen_part", "batch_item", "bulk_change", "export")
# History is append-only for the application. A purge alone may empty it, and only of customers who are gone: their
# events stay, without what they said. The owner's function is the one way to that, and looks for itself.
FORGET = """
CREATE FUNCTION crm.forget_customers(tenant uuid, customers uuid[]) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog AS $$
DECLARE gone uuid[]; batches uuid[];
BEGIN
  IF tenant IS DISTINCT FROM current_setting('app.tenant_id')::uuid THEN
    RAISE insufficient_privilege USING MESSAGE = 'another tenant';
  END IF;
  gone := ARRAY(SELECT one FROM unnest(customers) AS one WHERE NOT EXISTS (
      SELECT FROM crm.customer c WHERE c.tenant_id = tenant AND c.id = one));
  batches := ARRAY(SELECT DISTINCT e.batch_id FROM crm.event e
      WHERE e.tenant_id = tenant AND e.subject_id = ANY(gone) AND e.batch_id IS NOT NULL);
  UPDATE crm.batch_item i SET before = NULL
  WHERE i.tenant_id = tenant AND i.batch_id = ANY(batches) AND i.customer_id = ANY(gone) AND i.before IS NOT NULL;
  UPDATE crm.import_row r SET before = NULL
  WHERE r.tenant_id = tenant AND r.import_id = ANY(batches) AND r.customer_id = ANY(gone) AND r.before IS NOT NULL;
  UPDATE crm.merge_item m SET before = NULL FROM crm.customer_merge g
  WHERE m.tenant_id = tenant AND g.tenant_id = tenant AND m.merge_id = g.id AND g.master_id = ANY(gone);
  UPDATE crm.customer_merge g SET before = '{}', written = '{}' WHERE g.tenant_id = tenant AND g.master_id = ANY(gone);
  UPDATE crm.event e SET changes = '{}', data = '{}'
  WHERE e.tenant_id = tenant AND e.subject_id = ANY(gone) AND (e.changes <> '{}' OR e.data <> '{}');
END $$
"""


def upgrade() -> None:
    op.create_table(
        "chosen_part",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("ids", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "batch_id", "n", name="chosen_part_pk"),
        schema="crm",
    )
    op.create_table(
        "batch_item",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("before", postgresql.JSONB(), nullable=True),
        sa.Column("version_after", sa.BigInteger(), nullable=True),
        sa.Column("undone", sa.Text(), nullable=True),
        sa.Column("undo_code", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "batch_id", "customer_id", name="batch_item_pk"),
        schema="crm",
    )
    op.create_table(
        "bulk_change",
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("params", postgresql.JSONB(), nullable=False),
        sa.Column("parts", sa.Integer(), nullable=False),
        sa.Column("undo_job_id", sa.Uuid(), nullable=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="bulk_change_pk"),
        schema="crm",
    )
    op.create_table(
        "export",
        sa.Column("format", sa.Text(), nullable=False),
        sa.Column("columns", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("masked", sa.Boolean(), nullable=False),
        sa.Column("selection", postgresql.JSONB(), nullable=False),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("parts", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("rows", sa.BigInteger(), nullable=True),
        sa.Column("ready_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("file_deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("created_by_kind", sa.Text(), nullable=False),
        sa.Column("created_by_name", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="export_pk"),
        schema="crm",
    )
    op.create_index(
        "export_kept_ix",
        "export",
        ["tenant_id", "expires_at"],
        schema="crm",
        postgresql_where=sa.text("file_deleted_at IS NULL"),
    )
    for table in TABLES:
        op.execute(f"SELECT crm.distribute('crm.{table}')")
        op.execute(f"SELECT crm.protect('crm.{table}')")
    op.execute(FORGET)
    op.execute("REVOKE ALL ON FUNCTION crm.forget_customers(uuid, uuid[]) FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION crm.forget_customers(uuid, uuid[]) TO crm_app")


def downgrade() -> None:
    op.execute("DROP FUNCTION crm.forget_customers(uuid, uuid[])")
    for table in reversed(TABLES):
        op.drop_table(table, schema="crm")
