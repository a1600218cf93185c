"""Customers of a group or tag are found by their links, so that a change of the numbers beside them writes no index.

The two indexes of arrays made every bulk tag write all sixteen indexes of a customer.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

SETS = {"group": "group_nos", "tag": "tag_nos"}


def upgrade() -> None:
    for name in SETS:
        op.execute(f"CREATE POLICY crm_search_reads ON crm.{name}_member FOR SELECT TO crm_search USING (true)")
        op.execute(f"GRANT SELECT ON crm.{name}_member TO crm_search")
        op.drop_index(f"customer_{name}_ix", "customer", schema="crm")


def downgrade() -> None:
    for name, column in SETS.items():
        op.create_index(
            f"customer_{name}_ix",
            "customer",
            ["tenant_id", column],
            schema="crm",
            postgresql_using="gin",
            postgresql_where=sa.text(f"{column} <> '{{}}'"),
        )
        op.execute(f"REVOKE SELECT ON crm.{name}_member FROM crm_search")
        op.execute(f"DROP POLICY crm_search_reads ON crm.{name}_member")
