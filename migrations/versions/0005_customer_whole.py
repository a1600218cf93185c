"""What a whole customer holds: kind, company fields, referrer, tags, tier, score, trash and merge."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Partial, so that an import of customers who have none of these pays for none of them.
INDEXES: dict[str, tuple[list[str], str, str]] = {
    "customer_tag_ix": (["tag_nos"], "tag_nos <> '{}'", "gin"),
    "customer_birthday_ix": (["birth_md"], "birth_md IS NOT NULL AND deleted_at IS NULL", "btree"),
    "customer_tier_ix": (["tier_id", "created_at DESC"], "tier_id IS NOT NULL AND deleted_at IS NULL", "btree"),
    "customer_stars_ix": (["stars", "created_at DESC"], "stars > 0 AND deleted_at IS NULL", "btree"),
}


def columns() -> list[sa.Column]:
    return [
        sa.Column("tag_nos", postgresql.ARRAY(sa.Integer()), server_default="{}", nullable=False),
        sa.Column("deleted_by", sa.Uuid(), nullable=True),
        sa.Column("deleted_reason", sa.Text(), nullable=True),
        sa.Column("merged_into", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.Text(), server_default="individual", nullable=False),
        sa.Column("referrer_id", sa.Uuid(), nullable=True),
        sa.Column("referrer_user_id", sa.Uuid(), nullable=True),
        sa.Column("fax", sa.Text(), nullable=True),
        sa.Column("registered_address", sa.Text(), nullable=True),
        sa.Column("office_address", sa.Text(), nullable=True),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("district", sa.Text(), nullable=True),
        sa.Column("ward", sa.Text(), nullable=True),
        sa.Column("website", sa.Text(), nullable=True),
        sa.Column("founded_on", sa.Date(), nullable=True),
        sa.Column("tier_id", sa.Uuid(), nullable=True),
        sa.Column("tier_fixed", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("score", sa.Integer(), server_default="0", nullable=False),
        sa.Column("stars", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("in_pool", sa.Boolean(), server_default="false", nullable=False),
    ]


def upgrade() -> None:
    for column in columns():
        op.add_column("customer", column, schema="crm")
    for name, (keys, where, method) in INDEXES.items():
        op.create_index(
            name,
            "customer",
            ["tenant_id", *map(sa.text, keys)],
            schema="crm",
            postgresql_where=sa.text(where),
            postgresql_using=method,
        )


def downgrade() -> None:
    for name in INDEXES:
        op.drop_index(name, table_name="customer", schema="crm")
    for column in reversed(columns()):
        op.drop_column("customer", column.name, schema="crm")
