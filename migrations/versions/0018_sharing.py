"""Customers are shared with colleagues; who looks for those of the common pool finds them by an index."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    shared = sa.Column("shared_with", postgresql.ARRAY(sa.Uuid()), server_default="{}", nullable=False)
    op.add_column("customer", shared, schema="crm")
    op.create_index(
        "customer_shared_ix",
        "customer",
        ["tenant_id", "shared_with"],
        schema="crm",
        postgresql_using="gin",
        postgresql_where=sa.text("shared_with <> '{}'"),
    )
    op.create_index(
        "customer_pool_ix",
        "customer",
        ["tenant_id", sa.text("created_at DESC"), sa.text("id DESC")],
        schema="crm",
        postgresql_where=sa.text("in_pool AND deleted_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("customer_pool_ix", "customer", schema="crm")
    op.drop_index("customer_shared_ix", "customer", schema="crm")
    op.drop_column("customer", "shared_with", schema="crm")
