"""Jobs that must be done, the index of one's own jobs, and a purge that empties the history of customers only."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

MUST_BE_DONE = (
    *("customers.free_slot", "customers.rename_choices", "customers.claim_rest", "customers.forget_group"),
    *("customers.forget_tag", "customers.rescore", "customers.purge_old", "duplicates.build"),
)
# Of the ids that are given, those of customers who are gone: a user's, role's or group's history stays, whoever asks.
# All that is told of a customer is of that type: what contracts and transactions tell of one, too.
GONE = """ARRAY(SELECT DISTINCT e.subject_id FROM crm.event e
      WHERE e.tenant_id = tenant AND e.subject_id = ANY(customers) AND e.subject_type = 'customer'
        AND NOT EXISTS (SELECT FROM crm.customer c WHERE c.tenant_id = tenant AND c.id = e.subject_id))"""
OF_CUSTOMERS = " AND e.subject_type = 'customer'"
ANY_ID = """ARRAY(SELECT one FROM unnest(customers) AS one WHERE NOT EXISTS (
      SELECT FROM crm.customer c WHERE c.tenant_id = tenant AND c.id = one))"""
FORGET = """
CREATE OR REPLACE FUNCTION crm.forget_customers(tenant uuid, customers uuid[]) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE gone uuid[]; batches uuid[];
BEGIN
  IF tenant IS DISTINCT FROM current_setting('app.tenant_id')::uuid THEN
    RAISE insufficient_privilege USING MESSAGE = 'another tenant';
  END IF;
  gone := {gone};
  batches := ARRAY(SELECT DISTINCT e.batch_id FROM crm.event e
      WHERE e.tenant_id = tenant AND e.subject_id = ANY(gone) AND e.batch_id IS NOT NULL);
  UPDATE crm.batch_item i SET before = NULL
  WHERE i.tenant_id = tenant AND i.batch_id = ANY(batches) AND i.customer_id = ANY(gone) AND i.before IS NOT NULL;
  UPDATE crm.import_row r SET before = NULL
  WHERE r.tenant_id = tenant AND r.import_id = ANY(batches) AND r.customer_id = ANY(gone) AND r.before IS NOT NULL;
  UPDATE crm.merge_item m SET before = NULL FROM crm.customer_merge g
  WHERE m.tenant_id = tenant AND g.tenant_id = tenant AND m.merge_id = g.id AND g.master_id = ANY(gone);
  UPDATE crm.customer_merge g SET before = '{{}}', written = '{{}}'
  WHERE g.tenant_id = tenant AND g.master_id = ANY(gone);
  UPDATE crm.event e SET changes = '{{}}', data = '{{}}'
  WHERE e.tenant_id = tenant AND e.subject_id = ANY(gone){whose} AND (e.changes <> '{{}}' OR e.data <> '{{}}');
END $$
"""


def upgrade() -> None:
    op.add_column("job", sa.Column("stoppable", sa.Boolean(), nullable=False, server_default="true"), schema="crm")
    op.alter_column("job", "stoppable", server_default=None, schema="crm")
    kinds = ", ".join(f"'{kind}'" for kind in MUST_BE_DONE)
    op.execute(f"UPDATE crm.job SET stoppable = false WHERE kind IN ({kinds})")
    op.create_index(
        "job_own_ix",
        "job",
        ["tenant_id", "created_by", sa.text("created_at DESC"), sa.text("id DESC")],
        schema="crm",
    )
    op.execute(FORGET.format(gone=GONE, whose=OF_CUSTOMERS))
    # Managers could stop everybody's jobs before, by the right to see them.
    op.execute("""
        UPDATE crm.role SET permissions = array_append(permissions, 'jobs.control')
        WHERE key = 'manager' AND 'jobs.view_all' = ANY(permissions)
    """)


def downgrade() -> None:
    op.execute("UPDATE crm.role SET permissions = array_remove(permissions, 'jobs.control') WHERE key = 'manager'")
    op.execute(FORGET.format(gone=ANY_ID, whose=""))
    op.drop_index("job_own_ix", "job", schema="crm")
    op.drop_column("job", "stoppable", schema="crm")
