"""The workspace's duplicate keys in an import: a chunk's rows that are somebody already, set-based.

Only where a workspace has keys beside the phone that imports check; without them a chunk pays nothing. In every
statement $1 is the tenant, $2 the import, $3 and $4 the first and last row of the chunk.
"""

from collections.abc import Collection, Sequence

from app.customers.duplicate_keys import LABELS, DuplicateKey
from app.customers.visibility import reach
from app.imports.merge_sql import BY_PHONE, STAGED, WRITTEN

NAMED = (
    "{label} đã tồn tại trong khách hàng {customer} {whose}",
    "{label} already exists in the customer {customer}, {whose}",
)
# Of a customer that has an owner, and of one that has none.
SEEN = reach("held", "$8", "$11")
OWNERS = (("thuộc chủ sở hữu {owner}", "whose owner is {owner}"), ("(chưa có chủ sở hữu)", "which has no owner"))


def refuse_duplicates(keys: Sequence[DuplicateKey], mapped: Collection[str], *, clear: bool) -> str:
    """Refuses the rows whose values another customer has, or an earlier row of the chunk. Answers how many.

    $5 the action, $6 the problem by key number, each with `short`, `owned` and `ownerless` texts, $7 whether the
    caller sees everybody, $8 and $11 whose customers they see at least and who they are, $9 whether rows that match
    nobody may change the customer who has their values: such a row gets that customer's phone, by which the rest of the
    import finds it, and if it had one of its own it says so by $10. A customer is changed by one row only, of this
    chunk or an earlier one.
    """
    columns = ", ".join(f"{_after(one, mapped, clear=clear)} AS {one}" for one in LABELS)
    values = ", ".join(f"({key.no:d}, {key.value('m')}, {key.value('o')})" for key in keys)
    holders = " UNION ALL ".join(_holder(key) for key in keys)
    return f"""
    WITH after AS MATERIALIZED (
        SELECT s.n, c.id AS own, s.phone AS given, {columns} FROM crm.import_staging s LEFT {BY_PHONE} WHERE {WRITTEN}
    ), brought AS MATERIALIZED (
        SELECT m.n, m.own, m.given, one.key_no, one.value,
               row_number() OVER (PARTITION BY one.key_no, one.value ORDER BY m.n) > 1 AS repeated
        FROM after m LEFT JOIN crm.customer o ON o.tenant_id = $1 AND o.id = m.own
        CROSS JOIN LATERAL (VALUES {values}) AS one (key_no, value, before)
        WHERE one.value IS NOT NULL AND one.value IS DISTINCT FROM one.before
    ), held AS MATERIALIZED (
        SELECT DISTINCT ON (b.n) b.n, b.own, b.given, b.key_no, b.value, b.repeated, h.*
        FROM brought b LEFT JOIN LATERAL ({holders}) AS h ON true
        WHERE b.repeated OR h.id IS NOT NULL
        ORDER BY b.n, h.id IS NULL, b.key_no
    ), own AS MATERIALIZED (
        SELECT DISTINCT r.customer_id AS id FROM crm.import_row r
        WHERE r.tenant_id = $1 AND r.import_id = $2 AND r.customer_id IN (SELECT id FROM held)
        UNION SELECT own FROM after WHERE own IS NOT NULL
    ), found AS MATERIALIZED (
        SELECT held.*, u.full_name AS owner, ($7::boolean OR {SEEN}) IS TRUE AS seen,
               row_number() OVER (PARTITION BY held.id ORDER BY held.n) AS turn,
               held.id IN (SELECT id FROM own) AS has_row, CASE WHEN held.given IS NOT NULL THEN
                   jsonb_build_array($10::text::jsonb || jsonb_build_object('value', held.given)) END AS note
        FROM held LEFT JOIN crm.app_user u ON u.tenant_id = $1 AND u.id = held.owner_id
    ), changing AS (
        UPDATE crm.import_staging s SET phone = found.phone, errors = found.note FROM found
        WHERE {STAGED} AND s.n = found.n AND {CHANGES} RETURNING 1
    ), refused AS (
        UPDATE crm.import_staging s SET action = $5::text, errors = jsonb_build_array(
            (one.problem - '{{short,owned,ownerless}}'::text[]) || jsonb_build_object(
                'value', replace(found.value, chr(31), ' · '),
                'message', CASE WHEN found.seen AND found.id IS NOT NULL
                    THEN replace(coalesce(replace(one.problem ->> 'owned', '{{owner}}', found.owner),
                                          one.problem ->> 'ownerless'), '{{customer}}', found.name)
                    ELSE one.problem ->> 'short' END))
        FROM found CROSS JOIN LATERAL (SELECT $6::text::jsonb -> found.key_no::text AS problem) AS one
        WHERE {STAGED} AND s.n = found.n AND NOT ({CHANGES}) RETURNING 1
    )
    SELECT count(*) FROM refused
    """


CHANGES = """($9::boolean AND found.own IS NULL AND found.id IS NOT NULL AND found.phone IS NOT NULL AND found.seen
              AND found.turn = 1 AND NOT found.has_row)"""


def _after(field: str, mapped: Collection[str], *, clear: bool) -> str:
    """A field as it will be: the row's, else what the customer whom the row matches has."""
    if field not in mapped:
        return f"c.{field}"
    return f"s.{field}" if clear or field == "phone" else f"coalesce(s.{field}, c.{field})"


def _holder(key: DuplicateKey) -> str:
    """Another customer with the value of the row `b`."""
    found, where = "crm.customer o", "o.email = b.value"
    if key.stored:
        found = "crm.duplicate_key d JOIN crm.customer o ON o.tenant_id = $1 AND o.id = d.customer_id"
        where = (
            f"d.tenant_id = $1 AND d.key_no = {key.no:d} AND d.value_hash = hashtextextended(b.value, 0) "
            f"AND {key.value('o')} = b.value"
        )
    return f"""(
        SELECT o.id, o.name, o.owner_id, o.in_pool, o.shared_with, o.phone FROM {found}
        WHERE b.key_no = {key.no:d} AND o.tenant_id = $1 AND {where} AND o.deleted_at IS NULL
          AND o.id IS DISTINCT FROM b.own ORDER BY o.id LIMIT 1)"""
