"""Contacts of customers, their phones, addresses and links; the tabs of a customer's page; more columns to import."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

SEARCHED = ("contact", "contact_point")
TABLES = (*SEARCHED, "customer_tabs")
STAGED = {
    "kind": sa.Text(), "fax": sa.Text(), "registered_address": sa.Text(), "office_address": sa.Text(),
    "country": sa.Text(), "district": sa.Text(), "ward": sa.Text(), "website": sa.Text(), "founded_on": sa.Date(),
    "referrer_user_id": sa.Uuid(), "contact_id": sa.Uuid(), "contact_event_id": sa.Uuid(), "contact_name": sa.Text(),
    "contact_phone": sa.Text(), "contact_tail": sa.Text(), "contact_email": sa.Text(), "contact_position": sa.Text(),
}  # fmt: skip


def upgrade() -> None:
    op.create_table(
        "contact",
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("position", sa.Text(), nullable=True),
        sa.Column("birthday", sa.Date(), nullable=True),
        sa.Column("gender", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("is_primary", sa.Boolean(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("batch_id", sa.Uuid(), nullable=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        _reference("contact", "customer"),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="contact_pk"),
        schema="crm",
    )
    op.create_index("contact_customer_ix", "contact", ["tenant_id", "customer_id", "id"], schema="crm")
    op.create_index(
        "contact_primary_uq",
        "contact",
        ["tenant_id", "customer_id"],
        unique=True,
        schema="crm",
        postgresql_where=sa.text("is_primary"),
    )
    op.create_index(
        "contact_batch_ix",
        "contact",
        ["tenant_id", "batch_id"],
        schema="crm",
        postgresql_where=sa.text("batch_id IS NOT NULL"),
    )
    op.create_table(
        "contact_point",
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("typed", sa.Text(), nullable=True),
        sa.Column("tail", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        _reference("contact_point", "customer"),
        _reference("contact_point", "contact"),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="contact_point_pk"),
        schema="crm",
    )
    op.create_index("contact_point_customer_ix", "contact_point", ["tenant_id", "customer_id", "id"], schema="crm")
    op.create_index(
        "contact_point_contact_ix",
        "contact_point",
        ["tenant_id", "contact_id"],
        schema="crm",
        postgresql_where=sa.text("contact_id IS NOT NULL"),
    )
    op.create_index(
        "contact_point_phone_ix",
        "contact_point",
        ["tenant_id", "tail"],
        schema="crm",
        postgresql_ops={"tail": "text_pattern_ops"},
        postgresql_where=sa.text("tail IS NOT NULL"),
    )
    op.create_table(
        "customer_tabs",
        sa.Column("tabs", postgresql.JSONB(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="customer_tabs_pk"),
        schema="crm",
    )
    for table in TABLES:
        op.execute(f"SELECT crm.distribute('crm.{table}')")
        op.execute(f"SELECT crm.protect('crm.{table}')")
    for table in SEARCHED:
        op.execute(f"CREATE POLICY crm_search_reads ON crm.{table} FOR SELECT TO crm_search USING (true)")
        op.execute(f"GRANT SELECT ON crm.{table} TO crm_search")
    for name, kind in STAGED.items():
        op.add_column("import_staging", sa.Column(name, kind, nullable=True), schema="crm")


def downgrade() -> None:
    for name in reversed(STAGED):
        op.drop_column("import_staging", name, schema="crm")
    for table in reversed(TABLES):
        op.drop_table(table, schema="crm")


def _reference(table: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["tenant_id", f"{target}_id"],
        [f"crm.{target}.tenant_id", f"crm.{target}.id"],
        name=f"{table}_{target}_fk",
        ondelete="CASCADE",
    )
