"""Customers, their search words, groups, lists of choices and attributes."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TABLES = (
    "attribute",
    "classification",
    "customer_group",
    "field_setting",
    "customer",
    "customer_search",
    "group_member",
    "unique_value",
)
SLOTS = [*(f"t{n}" for n in range(1, 9)), *(f"n{n}" for n in range(1, 7)), *(f"d{n}" for n in range(1, 5))]


def upgrade() -> None:
    op.create_table(
        "attribute",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("required", sa.Boolean(), nullable=False),
        sa.Column("is_unique", sa.Boolean(), nullable=False),
        sa.Column("choices", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("slot", sa.Text(), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="attribute_pk"),
        sa.UniqueConstraint("tenant_id", "key", name="attribute_key_uq"),
        schema="crm",
    )
    op.create_index(
        "attribute_name_uq",
        "attribute",
        ["tenant_id", "name_key"],
        unique=True,
        schema="crm",
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "attribute_slot_uq",
        "attribute",
        ["tenant_id", "slot"],
        unique=True,
        schema="crm",
        postgresql_where=sa.text("slot IS NOT NULL AND deleted_at IS NULL"),
    )
    op.create_table(
        "classification",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("category", sa.Text(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="classification_pk"),
        sa.UniqueConstraint("tenant_id", "kind", "name_key", name="classification_name_uq"),
        schema="crm",
    )
    op.create_table(
        "customer_group",
        sa.Column("no", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="customer_group_pk"),
        sa.UniqueConstraint("tenant_id", "name_key", name="customer_group_name_uq"),
        sa.UniqueConstraint("tenant_id", "no", name="customer_group_no_uq"),
        schema="crm",
    )
    op.create_table(
        "field_setting",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("required", sa.Boolean(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="field_setting_pk"),
        sa.UniqueConstraint("tenant_id", "key", name="field_setting_key_uq"),
        schema="crm",
    )
    op.create_table(
        "customer",
        sa.Column("code", sa.Text(collation="C"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("phone_typed", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("birthday", sa.Date(), nullable=True),
        sa.Column(
            "birth_md",
            sa.SmallInteger(),
            sa.Computed("(extract(month FROM birthday) * 100 + extract(day FROM birthday))::smallint", persisted=True),
            nullable=True,
        ),
        sa.Column("province", sa.Text(), nullable=True),
        sa.Column("province_typed", sa.Text(), nullable=True),
        sa.Column("gender", sa.Text(), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("source_id", sa.Uuid(), nullable=True),
        sa.Column("customer_type_id", sa.Uuid(), nullable=True),
        sa.Column("company_name", sa.Text(), nullable=True),
        sa.Column("tax_code", sa.Text(), nullable=True),
        sa.Column("position", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("relationship_id", sa.Uuid(), nullable=True),
        sa.Column("owner_id", sa.Uuid(), nullable=True),
        sa.Column("group_nos", postgresql.ARRAY(sa.Integer()), nullable=False),
        sa.Column("attributes", postgresql.JSONB(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("t1", sa.Text(), nullable=True),
        sa.Column("t2", sa.Text(), nullable=True),
        sa.Column("t3", sa.Text(), nullable=True),
        sa.Column("t4", sa.Text(), nullable=True),
        sa.Column("t5", sa.Text(), nullable=True),
        sa.Column("t6", sa.Text(), nullable=True),
        sa.Column("t7", sa.Text(), nullable=True),
        sa.Column("t8", sa.Text(), nullable=True),
        sa.Column("n1", sa.Numeric(), nullable=True),
        sa.Column("n2", sa.Numeric(), nullable=True),
        sa.Column("n3", sa.Numeric(), nullable=True),
        sa.Column("n4", sa.Numeric(), nullable=True),
        sa.Column("n5", sa.Numeric(), nullable=True),
        sa.Column("n6", sa.Numeric(), nullable=True),
        sa.Column("d1", sa.DateTime(timezone=True), nullable=True),
        sa.Column("d2", sa.DateTime(timezone=True), nullable=True),
        sa.Column("d3", sa.DateTime(timezone=True), nullable=True),
        sa.Column("d4", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "owner_id"], ["crm.app_user.tenant_id", "crm.app_user.id"], name="customer_owner_fk"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="customer_pk"),
        sa.UniqueConstraint("tenant_id", "code", name="customer_code_uq"),
        schema="crm",
    )
    op.create_index(
        "customer_created_ix",
        "customer",
        ["tenant_id", sa.text("created_at DESC"), sa.text("id DESC")],
        unique=False,
        schema="crm",
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "customer_group_ix", "customer", ["tenant_id", "group_nos"], unique=False, schema="crm", postgresql_using="gin"
    )
    op.create_index(
        "customer_owner_ix",
        "customer",
        ["tenant_id", "owner_id", sa.text("created_at DESC"), sa.text("id DESC")],
        unique=False,
        schema="crm",
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "customer_phone_uq",
        "customer",
        ["tenant_id", "phone"],
        unique=True,
        schema="crm",
        postgresql_where=sa.text("phone IS NOT NULL AND deleted_at IS NULL"),
    )
    op.create_index(
        "customer_relationship_ix",
        "customer",
        ["tenant_id", "relationship_id", sa.text("created_at DESC"), sa.text("id DESC")],
        unique=False,
        schema="crm",
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "customer_trash_ix",
        "customer",
        ["tenant_id", sa.text("deleted_at DESC"), sa.text("id DESC")],
        unique=False,
        schema="crm",
        postgresql_where=sa.text("deleted_at IS NOT NULL"),
    )
    op.create_table(
        "customer_search",
        sa.Column("words", postgresql.TSVECTOR(), nullable=False),
        sa.Column("phone_tail", sa.Text(), nullable=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="customer_search_pk"),
        schema="crm",
    )
    op.create_index(
        "customer_search_phone_ix",
        "customer_search",
        ["tenant_id", "phone_tail"],
        unique=False,
        schema="crm",
        postgresql_ops={"phone_tail": "text_pattern_ops"},
        postgresql_where=sa.text("phone_tail IS NOT NULL"),
    )
    op.create_index(
        "customer_search_words_ix",
        "customer_search",
        ["tenant_id", "words"],
        unique=False,
        schema="crm",
        postgresql_using="gin",
    )
    op.create_table(
        "group_member",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("group_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("batch_id", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["crm.customer.tenant_id", "crm.customer.id"],
            name="group_member_customer_fk",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "group_id"],
            ["crm.customer_group.tenant_id", "crm.customer_group.id"],
            name="group_member_group_fk",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "group_id", "customer_id", name="group_member_pk"),
        schema="crm",
    )
    op.create_index(
        "group_member_customer_ix", "group_member", ["tenant_id", "customer_id"], unique=False, schema="crm"
    )
    op.create_table(
        "unique_value",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("attribute_id", sa.Uuid(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "attribute_id"],
            ["crm.attribute.tenant_id", "crm.attribute.id"],
            name="unique_value_attribute_fk",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["crm.customer.tenant_id", "crm.customer.id"],
            name="unique_value_customer_fk",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "attribute_id", "value", name="unique_value_pk"),
        schema="crm",
    )
    op.create_index(
        "unique_value_customer_ix", "unique_value", ["tenant_id", "customer_id"], unique=False, schema="crm"
    )
    for slot in SLOTS:
        op.create_index(
            f"customer_{slot}_ix",
            "customer",
            ["tenant_id", slot, sa.text("created_at DESC")],
            schema="crm",
            postgresql_where=sa.text(f"{slot} IS NOT NULL AND deleted_at IS NULL"),
        )
    for table in TABLES:
        op.execute(f"SELECT crm.distribute('crm.{table}')")
        op.execute(f"SELECT crm.protect('crm.{table}')")
    for table in ("customer", "customer_search"):
        # A young workspace is unknown to the planner until ANALYZE, which by default awaits a tenth of the table.
        op.execute(f"ALTER TABLE crm.{table} SET (autovacuum_analyze_scale_factor = 0.01)")
        op.execute(f"CREATE POLICY crm_search_reads ON crm.{table} FOR SELECT TO crm_search USING (true)")
        op.execute(f"GRANT SELECT ON crm.{table} TO crm_search")


def downgrade() -> None:
    for table in reversed(TABLES):
        op.drop_table(table, schema="crm")
