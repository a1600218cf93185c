"""Workspaces, roles, users, sessions, API keys and the login throttle."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TENANT_TABLES = (
    "workspace_setting",
    "role",
    "app_user",
    "login_session",
    "refresh_token",
    "login_throttle",
    "api_key",
)


def upgrade() -> None:
    op.create_table(
        "workspace",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("timezone", sa.Text(), nullable=False),
        moment("created_at"),
        sa.PrimaryKeyConstraint("id", name="workspace_pk"),
        sa.UniqueConstraint("slug", name="workspace_slug_uq"),
        schema="crm",
    )
    op.execute("SELECT crm.distribute('crm.workspace', 'reference')")
    # The table of workspaces belongs to none, so it has no row-level security; the application only reads it.
    op.execute("GRANT SELECT ON crm.workspace TO crm_app, crm_dispatch")
    create(
        "workspace_setting",
        sa.Column("values", JSONB(), nullable=False),
        *versioned(),
    )
    create(
        "role",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("permissions", ARRAY(sa.Text()), nullable=False),
        *versioned(),
        sa.UniqueConstraint("tenant_id", "key", name="role_key_uq"),
    )
    create(
        "app_user",
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("full_name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("search_text", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("role_id", sa.Uuid(), nullable=False),
        sa.Column("permissions", ARRAY(sa.Text()), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("token_version", sa.BigInteger(), nullable=False),
        moment("last_login_at", nullable=True),
        *versioned(),
        sa.UniqueConstraint("tenant_id", "username", name="app_user_username_uq"),
        within_tenant("app_user", "role_id", "role"),
    )
    create(
        "login_session",
        sa.Column("user_id", sa.Uuid(), nullable=False),
        moment("created_at"),
        moment("last_used_at"),
        moment("expires_at"),
        moment("revoked_at", nullable=True),
        sa.Column("revoked_reason", sa.Text(), nullable=True),
        sa.Column("user_agent", sa.Text(), nullable=False),
        within_tenant("login_session", "user_id", "app_user"),
    )
    op.create_index("login_session_user_ix", "login_session", ["tenant_id", "user_id"], schema="crm")
    create(
        "refresh_token",
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        moment("created_at"),
        moment("used_at", nullable=True),
        moment("expires_at"),
        within_tenant("refresh_token", "session_id", "login_session", ondelete="CASCADE"),
    )
    op.create_index("refresh_token_session_ix", "refresh_token", ["tenant_id", "session_id"], schema="crm")
    create(
        "login_throttle",
        sa.Column("failures", sa.BigInteger(), nullable=False),
        moment("locked_until", nullable=True),
        moment("updated_at"),
    )
    create(
        "api_key",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", ARRAY(sa.Text()), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=False),
        moment("expires_at", nullable=True),
        moment("revoked_at", nullable=True),
        moment("last_used_at", nullable=True),
        *versioned(),
        within_tenant("api_key", "created_by", "app_user"),
    )


def downgrade() -> None:
    for table in reversed(TENANT_TABLES):
        op.drop_table(table, schema="crm")
    op.drop_table("workspace", schema="crm")


def create(table: str, *columns: Any) -> None:
    op.create_table(
        table,
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        *columns,
        sa.PrimaryKeyConstraint("tenant_id", "id", name=f"{table}_pk"),
        schema="crm",
    )
    op.execute(f"SELECT crm.distribute('crm.{table}')")
    op.execute(f"SELECT crm.protect('crm.{table}')")


def moment(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def versioned() -> tuple[sa.Column[Any], ...]:
    return (sa.Column("version", sa.BigInteger(), nullable=False), moment("created_at"), moment("updated_at"))


def within_tenant(table: str, column: str, target: str, ondelete: str | None = None) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["tenant_id", column],
        [f"crm.{target}.tenant_id", f"crm.{target}.id"],
        name=f"{table}_{column.removesuffix('_id')}_fk",
        ondelete=ondelete,
    )
