"""The statements that add the contacts of a chunk to its customers, and that take them back.

$1 is the tenant, $2 the import, $3 and $4 the first and last row of the chunk. They run when every row of the chunk is
noted in import_row, which says whose customer it is.
"""

from app.imports.merge_sql import EVENT_COLUMNS, STAGED

NAMED = f"""
    FROM crm.import_staging s
    JOIN crm.import_row r ON r.tenant_id = $1 AND r.import_id = $2 AND r.n = s.n
    JOIN crm.customer c ON c.tenant_id = $1 AND c.id = r.customer_id AND c.deleted_at IS NULL
    WHERE {STAGED} AND s.contact_id IS NOT NULL AND r.status IN ('created', 'updated', 'unchanged')
"""
# $5 the reason. A contact whose phone is another customer's, or a contact's of one, or given to another by an earlier
# row, is not added; its row says so.
REFUSE_HELD = f"""
WITH named AS MATERIALIZED (
    SELECT s.n, s.contact_phone AS phone, c.id, c.kind, (
        EXISTS (SELECT FROM crm.customer o WHERE o.tenant_id = $1 AND o.phone = s.contact_phone
                AND o.deleted_at IS NULL AND o.kind <> 'lead' AND o.id <> c.id)
        OR EXISTS (SELECT FROM crm.contact_point p JOIN crm.customer o ON o.tenant_id = $1 AND o.id = p.customer_id
                   WHERE p.tenant_id = $1 AND p.tail = s.contact_tail AND o.deleted_at IS NULL AND o.kind <> 'lead'
                     AND o.id <> c.id)) AS held
    {NAMED} AND s.contact_phone IS NOT NULL
), first AS MATERIALIZED (
    SELECT DISTINCT ON (phone) phone, id, n FROM named WHERE NOT held AND kind <> 'lead' ORDER BY phone, n
), held AS MATERIALIZED (
    SELECT named.n FROM named LEFT JOIN first ON first.phone = named.phone AND first.id <> named.id
    WHERE named.held OR first.n < named.n
), noted AS (
    UPDATE crm.import_row r SET errors = coalesce(r.errors, '[]') || $5::text::jsonb FROM held
    WHERE r.tenant_id = $1 AND r.import_id = $2 AND r.n = held.n
)
UPDATE crm.import_staging s SET contact_id = NULL FROM held WHERE {STAGED} AND s.n = held.n
"""
# $5 the moment, $6 to $8 who. A contact that the customer has already, by phone or else by name, is not added again;
# and a person's own phone names no other. Who did not differ but for the contact is changed, too.
ADD = f"""
WITH given AS MATERIALIZED (
    SELECT DISTINCT ON (c.id, coalesce(s.contact_phone, lower(coalesce(s.contact_name, s.contact_email))))
           s.n, s.contact_id AS id, s.contact_event_id AS event_id, c.id AS customer_id, c.kind, r.status,
           coalesce(s.contact_name, c.name) AS name, s.contact_phone AS phone, s.contact_tail AS tail,
           s.contact_email AS email, s.contact_position AS position
    {NAMED} AND (s.contact_phone IS NULL OR c.kind = 'company' OR c.phone IS DISTINCT FROM s.contact_phone)
      AND NOT EXISTS (SELECT FROM crm.contact_point p WHERE p.tenant_id = $1 AND p.customer_id = c.id
                      AND p.kind = 'phone' AND p.value = s.contact_phone)
      AND NOT EXISTS (SELECT FROM crm.contact k WHERE k.tenant_id = $1 AND k.customer_id = c.id
                      AND s.contact_phone IS NULL AND lower(k.name) = lower(coalesce(s.contact_name, c.name)))
    ORDER BY c.id, coalesce(s.contact_phone, lower(coalesce(s.contact_name, s.contact_email))), s.n
), added AS (
    INSERT INTO crm.contact (tenant_id, id, customer_id, name, position, is_primary, created_by, batch_id, version,
                             created_at, updated_at)
    SELECT $1, g.id, g.customer_id, g.name, g.position,
           g.kind = 'company' AND row_number() OVER (PARTITION BY g.customer_id ORDER BY g.n) = 1
           AND NOT EXISTS (SELECT FROM crm.contact k WHERE k.tenant_id = $1 AND k.customer_id = g.customer_id
                           AND k.is_primary),
           $7::uuid, $2, 1, $5::timestamptz, $5::timestamptz
    FROM given g ORDER BY g.n RETURNING id
), changed AS (
    UPDATE crm.import_row r SET status = 'updated' FROM given g
    WHERE r.tenant_id = $1 AND r.import_id = $2 AND r.n = g.n AND g.status = 'unchanged'
), reached AS (
    INSERT INTO crm.contact_point (tenant_id, id, customer_id, contact_id, kind, value, tail, created_at)
    SELECT $1, g.id, g.customer_id, g.id, 'phone', g.phone, g.tail, $5::timestamptz FROM given g
    WHERE g.phone IS NOT NULL
    UNION ALL
    SELECT $1, g.event_id, g.customer_id, g.id, 'email', g.email, NULL, $5::timestamptz FROM given g
    WHERE g.email IS NOT NULL
    RETURNING id
)
INSERT INTO crm.event ({EVENT_COLUMNS})
SELECT $1, (array_agg(g.event_id ORDER BY g.n))[1], $5::timestamptz, 'customer.contact_added', 'customer',
       g.customer_id, $6::text, $7::uuid, $8::text, $2,
       jsonb_build_object('contacts', jsonb_build_array(NULL, jsonb_agg(g.name ORDER BY g.n))), '{{}}'::jsonb
FROM given g WHERE g.status <> 'created' GROUP BY g.customer_id
"""

# $3 and $4 the range of first rows, which are marked with what became of them. Contacts that somebody has changed since
# stay, and those of customers who are kept as they are or lie in the trash.
REMOVE = """
DELETE FROM crm.contact k USING (
    SELECT r.customer_id FROM crm.import_row r
    WHERE r.tenant_id = $1 AND r.import_id = $2
      AND (r.n BETWEEN $3 AND $4 AND r.first_n IS NULL OR r.first_n BETWEEN $3 AND $4)
    GROUP BY r.customer_id HAVING count(*) FILTER (WHERE r.undone = 'kept') = 0
) AS t JOIN crm.customer c ON c.tenant_id = $1 AND c.id = t.customer_id AND c.deleted_at IS NULL
WHERE k.tenant_id = $1 AND k.batch_id = $2 AND k.version = 1 AND k.customer_id = c.id
RETURNING k.customer_id, k.name
"""
# $2 the import, $3 the moment, $4 to $6 who, $7 event ids, $8 customers, $9 the changes of each.
TELL_REMOVED = f"""
INSERT INTO crm.event ({EVENT_COLUMNS})
SELECT $1, told.id, $3::timestamptz, 'customer.contact_removed', 'customer', told.customer_id, $4::text, $5::uuid,
       $6::text, $2, told.changes::jsonb, '{{"undo": true}}'::jsonb
FROM unnest($7::uuid[], $8::uuid[], $9::text[]) AS told (id, customer_id, changes)
ON CONFLICT (tenant_id, id) DO NOTHING
"""
