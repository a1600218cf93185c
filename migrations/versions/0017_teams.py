"""Teams of staff, saved filters that teams see, and the permission to see the team's customers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

TABLES = ("team", "team_member")
VIEW_TEAM = "customers.view_team"


def upgrade() -> None:
    op.create_table(
        "team",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        _within_tenant("team", "parent_id", "team"),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="team_pk"),
        sa.UniqueConstraint("tenant_id", "name_key", name="team_name_uq"),
        schema="crm",
    )
    op.create_table(
        "team_member",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("team_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        _within_tenant("team_member", "team_id", "team", ondelete="CASCADE"),
        _within_tenant("team_member", "user_id", "app_user"),
        sa.PrimaryKeyConstraint("tenant_id", "team_id", "user_id", name="team_member_pk"),
        schema="crm",
    )
    op.create_index("team_member_user_ix", "team_member", ["tenant_id", "user_id"], schema="crm")
    for table in TABLES:
        op.execute(f"SELECT crm.distribute('crm.{table}')")
        op.execute(f"SELECT crm.protect('crm.{table}')")
    op.add_column(
        "saved_filter",
        sa.Column("team_ids", postgresql.ARRAY(sa.Uuid()), nullable=False, server_default="{}"),
        schema="crm",
    )
    op.alter_column("saved_filter", "team_ids", server_default=None, schema="crm")
    op.execute(
        f"UPDATE crm.role SET permissions = array_append(permissions, '{VIEW_TEAM}') "
        f"WHERE key = 'manager' AND NOT '{VIEW_TEAM}' = ANY(permissions)"
    )


def downgrade() -> None:
    op.execute("UPDATE crm.saved_filter SET visibility = 'private' WHERE visibility = 'team'")
    op.execute(f"UPDATE crm.role SET permissions = array_remove(permissions, '{VIEW_TEAM}')")
    op.drop_column("saved_filter", "team_ids", schema="crm")
    for table in reversed(TABLES):
        op.drop_table(table, schema="crm")


def _within_tenant(table: str, column: str, target: str, *, ondelete: str | None = None) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["tenant_id", column],
        [f"crm.{target}.tenant_id", f"crm.{target}.id"],
        name=f"{table}_{column.removesuffix('_id')}_fk",
        ondelete=ondelete,
    )
