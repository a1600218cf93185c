"""A purge also empties what merges say of who is gone: as a master, and as a source that others still name."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# As 0013 made it, with a place for what is said of merges.
FORGET = """
CREATE OR REPLACE FUNCTION crm.forget_customers(tenant uuid, customers uuid[]) RETURNS void LANGUAGE plpgsql
SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE gone uuid[]; batches uuid[]; merges uuid[];
BEGIN
  IF tenant IS DISTINCT FROM current_setting('app.tenant_id')::uuid THEN
    RAISE insufficient_privilege USING MESSAGE = 'another tenant';
  END IF;
  gone := ARRAY(SELECT DISTINCT e.subject_id FROM crm.event e
      WHERE e.tenant_id = tenant AND e.subject_id = ANY(customers) AND e.subject_type = 'customer'
        AND NOT EXISTS (SELECT FROM crm.customer c WHERE c.tenant_id = tenant AND c.id = e.subject_id));
  batches := ARRAY(SELECT DISTINCT e.batch_id FROM crm.event e
      WHERE e.tenant_id = tenant AND e.subject_id = ANY(gone) AND e.batch_id IS NOT NULL);
  UPDATE crm.batch_item i SET before = NULL
  WHERE i.tenant_id = tenant AND i.batch_id = ANY(batches) AND i.customer_id = ANY(gone) AND i.before IS NOT NULL;
  UPDATE crm.import_row r SET before = NULL
  WHERE r.tenant_id = tenant AND r.import_id = ANY(batches) AND r.customer_id = ANY(gone) AND r.before IS NOT NULL;
  UPDATE crm.merge_item m SET before = NULL FROM crm.customer_merge g
  WHERE m.tenant_id = tenant AND g.tenant_id = tenant AND m.merge_id = g.id AND g.master_id = ANY(gone);
  -- merges
  UPDATE crm.event e SET changes = '{}', data = '{}'
  WHERE e.tenant_id = tenant AND e.subject_id = ANY(gone) AND e.subject_type = 'customer'
    AND (e.changes <> '{}' OR e.data <> '{}');
END $$
"""
BEFORE = """
  UPDATE crm.customer_merge g SET before = '{}', written = '{}' WHERE g.tenant_id = tenant AND g.master_id = ANY(gone);
"""
# A merge that stands gave the source's values to the master, whose own they are since. One that was undone is told of
# without them. Codes stay: the event of the purge tells them too.
MERGES = """
  UPDATE crm.customer_merge g SET before = '{}', written = '{}', undo = NULL
  WHERE g.tenant_id = tenant AND g.master_id = ANY(gone);
  UPDATE crm.event e SET data = e.data #- '{into,name}' FROM crm.customer_merge g
  WHERE g.tenant_id = tenant AND g.master_id = ANY(gone) AND e.tenant_id = tenant AND e.subject_id = ANY(g.source_ids)
    AND e.kind = 'customer.merged_away' AND e.data ->> 'merge_id' = g.id::text;
  merges := ARRAY(SELECT DISTINCT (e.data ->> 'merge_id')::uuid FROM crm.event e
      WHERE e.tenant_id = tenant AND e.subject_id = ANY(gone) AND e.kind = 'customer.merged_away'
        AND e.data ? 'merge_id');
  UPDATE crm.customer_merge g SET before = '{}', written = '{}', undo = jsonb_build_object('left', (
      SELECT coalesce(jsonb_agg(one.line ORDER BY one.n), '[]')
      FROM jsonb_array_elements(g.undo -> 'left') WITH ORDINALITY AS one (line, n)
      WHERE (one.line ->> 'customer_id')::uuid <> ALL(gone)))
  WHERE g.tenant_id = tenant AND g.id = ANY(merges) AND g.undo IS NOT NULL;
  UPDATE crm.event e SET
      changes = CASE WHEN g.undone_at IS NULL THEN e.changes ELSE '{}' END,
      data = e.data || jsonb_build_object('sources', (
          SELECT coalesce(jsonb_agg(
              CASE WHEN (one.who ->> 'id')::uuid = ANY(gone) THEN one.who - 'name' ELSE one.who END ORDER BY one.n),
            '[]')
          FROM jsonb_array_elements(e.data -> 'sources') WITH ORDINALITY AS one (who, n)))
        || CASE WHEN e.data ? 'left' THEN jsonb_build_object('left', (
          SELECT coalesce(jsonb_agg(one.line ORDER BY one.n), '[]')
          FROM jsonb_array_elements(e.data -> 'left') WITH ORDINALITY AS one (line, n)
          WHERE (one.line ->> 'customer_id')::uuid <> ALL(gone))) ELSE '{}' END
  FROM crm.customer_merge g
  WHERE g.tenant_id = tenant AND g.id = ANY(merges) AND e.tenant_id = tenant AND e.subject_id = g.master_id
    AND e.kind IN ('customer.merged', 'customer.unmerged') AND e.data ->> 'merge_id' = g.id::text;
"""


def upgrade() -> None:
    op.execute(FORGET.replace("  -- merges\n", MERGES))


def downgrade() -> None:
    op.execute(FORGET.replace("  -- merges\n", BEFORE))
