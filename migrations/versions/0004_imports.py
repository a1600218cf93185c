"""Imports, their rows and staging table, and notifications."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


# Only the owner may ANALYZE. A workspace that has just grown is unknown to the statistics, and the planner, who
# then believes it to be empty, takes any index for as good as another.
REFRESH = """
CREATE FUNCTION crm.refresh_statistics() RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
AS $$ BEGIN ANALYZE crm.customer (tenant_id); END $$
"""


def upgrade() -> None:
    op.create_table(
        "import",
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("activity", sa.Text(), nullable=False),
        sa.Column("file_name", sa.Text(), nullable=False),
        sa.Column("file_size", sa.BigInteger(), nullable=False),
        sa.Column("content_key", sa.Text(), nullable=True),
        sa.Column("language", sa.Text(), nullable=False),
        sa.Column("workbook", postgresql.JSONB(), nullable=True),
        sa.Column("choices", postgresql.JSONB(), nullable=True),
        sa.Column("counts", postgresql.JSONB(), nullable=False),
        sa.Column("undo_counts", postgresql.JSONB(), nullable=True),
        sa.Column("error", postgresql.JSONB(), nullable=True),
        sa.Column("job_id", sa.Uuid(), nullable=True),
        sa.Column("runs", sa.Integer(), nullable=False),
        sa.Column("written", sa.Boolean(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("created_by_kind", sa.Text(), nullable=False),
        sa.Column("created_by_name", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("files_deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="import_pk"),
        schema="crm",
    )
    op.create_index(
        "import_recent_ix", "import", ["tenant_id", sa.text("created_at DESC"), sa.text("id DESC")], schema="crm"
    )
    op.create_index(
        "import_content_ix",
        "import",
        ["tenant_id", "content_key"],
        schema="crm",
        postgresql_where=sa.text("content_key IS NOT NULL AND files_deleted_at IS NULL"),
    )
    op.create_table(
        "import_row",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=True),
        sa.Column("first_n", sa.Integer(), nullable=True),
        sa.Column("errors", postgresql.JSONB(), nullable=True),
        sa.Column("before", postgresql.JSONB(), nullable=True),
        sa.Column("version_after", sa.BigInteger(), nullable=True),
        sa.Column("undone", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "import_id", "n", name="import_row_pk"),
        schema="crm",
    )
    op.create_index(
        "import_row_first_ix",
        "import_row",
        ["tenant_id", "import_id", "first_n"],
        schema="crm",
        postgresql_where=sa.text("first_n IS NOT NULL"),
    )
    op.create_index(
        "import_row_refused_ix",
        "import_row",
        ["tenant_id", "import_id", "status", "n"],
        schema="crm",
        postgresql_where=sa.text("status IN ('failed', 'skipped')"),
    )
    op.create_table(
        "import_staging",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("first_n", sa.Integer(), nullable=True),
        sa.Column("leader_n", sa.Integer(), nullable=True),
        sa.Column("errors", postgresql.JSONB(), nullable=True),
        sa.Column("changes", postgresql.JSONB(), nullable=True),
        sa.Column("words", postgresql.TSVECTOR(), nullable=True),
        sa.Column("phone_tail", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("phone_typed", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("birthday", sa.Date(), nullable=True),
        sa.Column("province", sa.Text(), nullable=True),
        sa.Column("province_typed", sa.Text(), nullable=True),
        sa.Column("gender", sa.Text(), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("source_id", sa.Uuid(), nullable=True),
        sa.Column("customer_type_id", sa.Uuid(), nullable=True),
        sa.Column("company_name", sa.Text(), nullable=True),
        sa.Column("tax_code", sa.Text(), nullable=True),
        sa.Column("position", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("relationship_id", sa.Uuid(), nullable=True),
        sa.Column("owner_id", sa.Uuid(), nullable=True),
        sa.Column("group_nos", postgresql.ARRAY(sa.Integer()), nullable=True),
        sa.Column("attributes", postgresql.JSONB(), nullable=True),
        sa.Column("uniques", postgresql.JSONB(), nullable=True),
        sa.Column("t1", sa.Text(), nullable=True),
        sa.Column("t2", sa.Text(), nullable=True),
        sa.Column("t3", sa.Text(), nullable=True),
        sa.Column("t4", sa.Text(), nullable=True),
        sa.Column("t5", sa.Text(), nullable=True),
        sa.Column("t6", sa.Text(), nullable=True),
        sa.Column("t7", sa.Text(), nullable=True),
        sa.Column("t8", sa.Text(), nullable=True),
        sa.Column("n1", sa.Numeric(), nullable=True),
        sa.Column("n2", sa.Numeric(), nullable=True),
        sa.Column("n3", sa.Numeric(), nullable=True),
        sa.Column("n4", sa.Numeric(), nullable=True),
        sa.Column("n5", sa.Numeric(), nullable=True),
        sa.Column("n6", sa.Numeric(), nullable=True),
        sa.Column("d1", sa.DateTime(timezone=True), nullable=True),
        sa.Column("d2", sa.DateTime(timezone=True), nullable=True),
        sa.Column("d3", sa.DateTime(timezone=True), nullable=True),
        sa.Column("d4", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "import_id", "n", name="import_staging_pk"),
        schema="crm",
        prefixes=["UNLOGGED"],
    )
    op.create_table(
        "notification",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("vi", sa.Text(), nullable=False),
        sa.Column("en", sa.Text(), nullable=False),
        sa.Column("subject_type", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=True),
        sa.Column("data", postgresql.JSONB(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "user_id"],
            ["crm.app_user.tenant_id", "crm.app_user.id"],
            name="notification_user_fk",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="notification_pk"),
        schema="crm",
    )
    op.create_index(
        "notification_unread_ix",
        "notification",
        ["tenant_id", "user_id"],
        schema="crm",
        postgresql_where=sa.text("read_at IS NULL"),
    )
    op.create_index("notification_user_ix", "notification", ["tenant_id", "user_id", sa.text("id DESC")], schema="crm")
    for table in ("import", "import_row", "notification"):
        op.execute(f"SELECT crm.distribute('crm.{table}')")
        op.execute(f"SELECT crm.protect('crm.{table}')")
    op.execute("SELECT crm.distribute('crm.import_staging', 'staging')")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON crm.import_staging TO crm_app")
    op.execute(REFRESH)
    op.execute("REVOKE ALL ON FUNCTION crm.refresh_statistics() FROM PUBLIC")
    op.execute("GRANT EXECUTE ON FUNCTION crm.refresh_statistics() TO crm_app")
    # Every row dies in the transaction that wrote it: vacuum by count, without the pauses meant for big tables.
    options = (
        "autovacuum_vacuum_scale_factor = 0",
        "autovacuum_vacuum_threshold = 20000",
        "autovacuum_vacuum_insert_threshold = -1",
        "autovacuum_vacuum_cost_delay = 0",
        "autovacuum_analyze_threshold = 2000000000",
    )
    op.execute(f"ALTER TABLE crm.import_staging SET ({', '.join(options)})")


def downgrade() -> None:
    op.execute("DROP FUNCTION crm.refresh_statistics()")
    for table in ("notification", "import_staging", "import_row", "import"):
        op.drop_table(table, schema="crm")
