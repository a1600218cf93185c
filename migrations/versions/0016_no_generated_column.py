"""The day of birth within the year becomes an expression of its index instead of a generated column.

PostgreSQL reads the expression of a generated column anew for each row that an update of other columns touches: half of
what the update of a customer cost.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

MONTH_DAY = "((EXTRACT(month FROM birthday) * 100::numeric + EXTRACT(day FROM birthday))::smallint)"


def upgrade() -> None:
    # With the column goes its index.
    op.drop_column("customer", "birth_md", schema="crm")
    op.create_index(
        "customer_birthday_ix",
        "customer",
        ["tenant_id", sa.text(MONTH_DAY)],
        schema="crm",
        postgresql_include=["birthday"],
        postgresql_where=sa.text("birthday IS NOT NULL AND deleted_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("customer_birthday_ix", "customer", schema="crm")
    op.add_column(
        "customer",
        sa.Column("birth_md", sa.SmallInteger(), sa.Computed(MONTH_DAY, persisted=True), nullable=True),
        schema="crm",
    )
    op.create_index(
        "customer_birthday_ix",
        "customer",
        ["tenant_id", "birth_md"],
        schema="crm",
        postgresql_where=sa.text("birth_md IS NOT NULL AND deleted_at IS NULL"),
    )
