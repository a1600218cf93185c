"""Duplicate keys, dismissed clusters and merges."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TABLES = ("duplicate_setting", "duplicate_key", "duplicate_dismissal", "customer_merge", "merge_item")


def upgrade() -> None:
    op.create_table(
        "duplicate_setting",
        sa.Column("keys", postgresql.JSONB(), nullable=False),
        sa.Column("last_no", sa.Integer(), nullable=False),
        sa.Column("scanned_at", sa.DateTime(timezone=True), nullable=True),
        *_record(),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="duplicate_setting_pk"),
        schema="crm",
    )
    op.create_table(
        "duplicate_key",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("key_no", sa.Integer(), nullable=False),
        sa.Column("value_hash", sa.BigInteger(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        _customer("duplicate_key"),
        sa.PrimaryKeyConstraint("tenant_id", "key_no", "value_hash", "customer_id", name="duplicate_key_pk"),
        schema="crm",
    )
    op.create_index("duplicate_key_customer_ix", "duplicate_key", ["tenant_id", "customer_id"], schema="crm")
    op.create_table(
        "duplicate_dismissal",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("dismissal_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("dismissed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dismissed_by", sa.Uuid(), nullable=False),
        _customer("duplicate_dismissal"),
        sa.PrimaryKeyConstraint("tenant_id", "dismissal_id", "customer_id", name="duplicate_dismissal_pk"),
        schema="crm",
    )
    op.create_index(
        "duplicate_dismissal_customer_ix", "duplicate_dismissal", ["tenant_id", "customer_id"], schema="crm"
    )
    op.create_table(
        "customer_merge",
        sa.Column("master_id", sa.Uuid(), nullable=False),
        sa.Column("source_ids", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("sources", sa.Text(), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=True),
        sa.Column("before", postgresql.JSONB(), nullable=False),
        sa.Column("written", postgresql.JSONB(), nullable=False),
        sa.Column("moved", postgresql.JSONB(), nullable=False),
        sa.Column("undo", postgresql.JSONB(), nullable=True),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        sa.Column("created_by_name", sa.Text(), nullable=False),
        *_record(),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="customer_merge_pk"),
        schema="crm",
    )
    op.create_index("customer_merge_master_ix", "customer_merge", ["tenant_id", "master_id"], schema="crm")
    op.create_index(
        "customer_merge_batch_ix",
        "customer_merge",
        ["tenant_id", "batch_id", "id"],
        schema="crm",
        postgresql_where=sa.text("batch_id IS NOT NULL"),
    )
    op.create_table(
        "merge_item",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("merge_id", sa.Uuid(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("row_id", sa.Uuid(), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.Column("before", postgresql.JSONB(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id", "merge_id"],
            ["crm.customer_merge.tenant_id", "crm.customer_merge.id"],
            name="merge_item_merge_fk",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "merge_id", "what", "row_id", "source_id", name="merge_item_pk"),
        schema="crm",
    )
    for table in TABLES:
        op.execute(f"SELECT crm.distribute('crm.{table}')")
        op.execute(f"SELECT crm.protect('crm.{table}')")
    # Who has an address is asked whenever somebody is added by hand; partial, so that who has none pays nothing.
    op.create_index(
        "customer_email_ix",
        "customer",
        ["tenant_id", "email"],
        schema="crm",
        postgresql_where=sa.text("email IS NOT NULL AND deleted_at IS NULL"),
    )
    op.create_index(
        "customer_merged_ix",
        "customer",
        ["tenant_id", "merged_into"],
        schema="crm",
        postgresql_where=sa.text("merged_into IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("customer_merged_ix", table_name="customer", schema="crm")
    op.drop_index("customer_email_ix", table_name="customer", schema="crm")
    for table in reversed(TABLES):
        op.drop_table(table, schema="crm")


def _record() -> list[sa.Column]:
    return [
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
    ]


def _customer(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["tenant_id", "customer_id"],
        ["crm.customer.tenant_id", "crm.customer.id"],
        name=f"{table}_customer_fk",
        ondelete="CASCADE",
    )
