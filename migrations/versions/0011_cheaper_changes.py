"""Indexes for the fields that lists are most often narrowed by, and room in each page for the next version of a row.

With a sixth of a page free, a change of what no index holds (a note, an address, the version) writes no index at all.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# Few values with many customers each: their entries share a key, so that an index of a million takes some megabytes.
NARROWING = {"source": "source_id", "type": "customer_type_id", "province": "province"}


def upgrade() -> None:
    op.execute("ALTER TABLE crm.customer SET (fillfactor = 85)")
    for name, column in NARROWING.items():
        op.create_index(
            f"customer_{name}_ix",
            "customer",
            ["tenant_id", column],
            schema="crm",
            postgresql_where=sa.text(f"{column} IS NOT NULL AND deleted_at IS NULL"),
        )
    op.drop_index("customer_group_ix", "customer", schema="crm")
    op.create_index(
        "customer_group_ix",
        "customer",
        ["tenant_id", "group_nos"],
        schema="crm",
        postgresql_using="gin",
        postgresql_where=sa.text("group_nos <> '{}'"),
    )


def downgrade() -> None:
    op.drop_index("customer_group_ix", "customer", schema="crm")
    op.create_index("customer_group_ix", "customer", ["tenant_id", "group_nos"], schema="crm", postgresql_using="gin")
    for name in NARROWING:
        op.drop_index(f"customer_{name}_ix", "customer", schema="crm")
    op.execute("ALTER TABLE crm.customer RESET (fillfactor)")
