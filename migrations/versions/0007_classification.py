"""Tags, tiers, scores, transactions and contracts."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

TABLES = ("tag", "tag_member", "score_rule", "transaction_type", "transaction", "contract", "score_entry")
# What the roles that exist already may do from now on, as app/identity/permissions.py gives it to new workspaces.
GRANTED = {
    "manager": "tags.create lists.create transactions.view transactions.edit contracts.view contracts.edit",
    "sale": "tags.create transactions.view transactions.edit contracts.view contracts.edit",
}


def upgrade() -> None:
    op.add_column("customer_group", sa.Column("dimension", sa.Text(), nullable=True), schema="crm")
    op.add_column("customer_group", sa.Column("points", sa.Integer(), server_default="0", nullable=False), schema="crm")
    for column in tier_columns():
        op.add_column("classification", column, schema="crm")
    for column in staging_columns():
        op.add_column("import_staging", column, schema="crm")
    _lists()
    _facts()
    _scores()
    for table in TABLES:
        op.execute(f"SELECT crm.distribute('crm.{table}')")
        op.execute(f"SELECT crm.protect('crm.{table}')")
    for key, granted in GRANTED.items():
        _set_permissions(key, granted.split(), given=True)


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table, schema="crm")
    for column in reversed(staging_columns()):
        op.drop_column("import_staging", column.name, schema="crm")
    for column in reversed(tier_columns()):
        op.drop_column("classification", column.name, schema="crm")
    op.drop_column("customer_group", "points", schema="crm")
    op.drop_column("customer_group", "dimension", schema="crm")
    for key, granted in GRANTED.items():
        _set_permissions(key, granted.split(), given=False)


def tier_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("discount_percent", sa.Numeric(5, 2), nullable=True),
        sa.Column("benefits", sa.Text(), nullable=True),
        sa.Column("automatic", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("conditions", postgresql.JSONB(), server_default="[]", nullable=False),
    ]


def staging_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("tag_nos", postgresql.ARRAY(sa.Integer()), nullable=True),
        sa.Column("tier_id", sa.Uuid(), nullable=True),
    ]


def _lists() -> None:
    op.create_table(
        "tag",
        sa.Column("no", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("color", sa.Text(), nullable=False),
        *_record(),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="tag_pk"),
        sa.UniqueConstraint("tenant_id", "no", name="tag_no_uq"),
        sa.UniqueConstraint("tenant_id", "name_key", name="tag_name_uq"),
        schema="crm",
    )
    op.create_table(
        "tag_member",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("tag_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=True),
        _foreign("tag_member", "customer_id", "customer", cascade=True),
        _foreign("tag_member", "tag_id", "tag", cascade=True),
        sa.PrimaryKeyConstraint("tenant_id", "tag_id", "customer_id", name="tag_member_pk"),
        schema="crm",
    )
    op.create_index("tag_member_customer_ix", "tag_member", ["tenant_id", "customer_id"], schema="crm")
    op.create_table(
        "transaction_type",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        *_record(),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="transaction_type_pk"),
        sa.UniqueConstraint("tenant_id", "name_key", name="transaction_type_name_uq"),
        schema="crm",
    )


def _facts() -> None:
    op.create_table(
        "transaction",
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("type_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        *_record(),
        _foreign("transaction", "customer_id", "customer", cascade=True),
        _foreign("transaction", "type_id", "transaction_type"),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="transaction_pk"),
        schema="crm",
    )
    op.create_table(
        "contract",
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("number_key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("signed_on", sa.Date(), nullable=True),
        sa.Column("starts_on", sa.Date(), nullable=True),
        sa.Column("ends_on", sa.Date(), nullable=True),
        sa.Column("move_to_signed", sa.Boolean(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        *_record(),
        _foreign("contract", "customer_id", "customer", cascade=True),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="contract_pk"),
        sa.UniqueConstraint("tenant_id", "number_key", name="contract_number_uq"),
        schema="crm",
    )
    recent: list[Any] = ["tenant_id", sa.text("created_at DESC"), sa.text("id DESC")]
    for table in ("transaction", "contract"):
        op.create_index(f"{table}_recent_ix", table, recent, schema="crm")
        op.create_index(f"{table}_customer_ix", table, ["tenant_id", "customer_id", *recent[1:]], schema="crm")
    op.create_index("transaction_type_ix", "transaction", ["tenant_id", "type_id", "customer_id"], schema="crm")


def _scores() -> None:
    op.create_table(
        "score_rule",
        sa.Column("thresholds", postgresql.ARRAY(sa.Integer()), nullable=False),
        *_record(),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="score_rule_pk"),
        schema="crm",
    )
    op.create_table(
        "score_entry",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("source_kind", sa.Text(), nullable=False),
        sa.Column("source_id", sa.Uuid(), nullable=False),
        sa.Column("points", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        _foreign("score_entry", "customer_id", "customer", cascade=True),
        sa.PrimaryKeyConstraint("tenant_id", "customer_id", "source_kind", "source_id", name="score_entry_pk"),
        schema="crm",
    )


def _record() -> list[sa.Column[Any]]:
    return [
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
    ]


def _foreign(table: str, column: str, target: str, *, cascade: bool = False) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["tenant_id", column],
        [f"crm.{target}.tenant_id", f"crm.{target}.id"],
        name=f"{table}_{column.removesuffix('_id')}_fk",
        ondelete="CASCADE" if cascade else None,
    )


def _set_permissions(key: str, permissions: list[str], *, given: bool) -> None:
    role = sa.table("role", sa.column("key"), sa.column("permissions", postgresql.ARRAY(sa.Text())), schema="crm")
    rights: Any = role.c.permissions
    for permission in permissions:
        rights = sa.func.array_remove(rights, permission)
    if given:
        rights = sa.func.array_cat(rights, sa.cast(permissions, postgresql.ARRAY(sa.Text())))
    op.execute(sa.update(role).where(role.c.key == key).values(permissions=rights))
