"""Saved filters and views; what filters read beside the customers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLES = ("saved_filter", "customer_view")
# Related facts that the search door reads.
SEARCHED = ("contract", "transaction")
SHARE = "filters.share"


def upgrade() -> None:
    op.create_table(
        "saved_filter",
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("visibility", sa.Text(), nullable=False),
        sa.Column("user_ids", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("role_ids", postgresql.ARRAY(sa.Uuid()), nullable=False),
        sa.Column("tree", postgresql.JSONB(), nullable=True),
        sa.Column("sort", sa.Text(), nullable=True),
        *_of_every_record(),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="saved_filter_pk"),
        sa.UniqueConstraint("tenant_id", "owner_id", "name_key", name="saved_filter_name_uq"),
        schema="crm",
    )
    op.create_index("saved_filter_order_ix", "saved_filter", ["tenant_id", "name_key", "id"], schema="crm")
    op.create_table(
        "customer_view",
        sa.Column("filters", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("columns", postgresql.ARRAY(sa.Text()), nullable=True),
        sa.Column("sort", sa.Text(), nullable=True),
        *_of_every_record(),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="customer_view_pk"),
        schema="crm",
    )
    for table in TABLES:
        op.execute(f"SELECT crm.distribute('crm.{table}')")
        op.execute(f"SELECT crm.protect('crm.{table}')")
    for table in SEARCHED:
        op.execute(f"CREATE POLICY crm_search_reads ON crm.{table} FOR SELECT TO crm_search USING (true)")
        op.execute(f"GRANT SELECT ON crm.{table} TO crm_search")
    op.execute(
        f"UPDATE crm.role SET permissions = array_append(permissions, '{SHARE}') "
        f"WHERE key = 'manager' AND NOT '{SHARE}' = ANY(permissions)"
    )


def downgrade() -> None:
    for table in SEARCHED:
        op.execute(f"REVOKE SELECT ON crm.{table} FROM crm_search")
        op.execute(f"DROP POLICY crm_search_reads ON crm.{table}")
    for table in reversed(TABLES):
        op.drop_table(table, schema="crm")
    op.execute(f"UPDATE crm.role SET permissions = array_remove(permissions, '{SHARE}')")


def _of_every_record() -> list[sa.Column]:
    return [
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
    ]
