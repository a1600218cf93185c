"""What belongs to a customer, table by table, and what a merge does with it: the one list that a new domain adds to.

A law test walks the catalog: every table with a column `customer_id` stands in RELATED or, with its reason, in KEPT.
Rows are moved and moved back in sets; no domain above is known here but by the names of its tables.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import asyncpg

How = Literal["move", "union", "copy"]


@dataclass(frozen=True)
class Related:
    """One kind of related row.

    `move`: all rows go to the master. `union`: those whose `same` columns the master has not yet; the others stay
    with the source, so that nothing is thrown away. `copy`: membership, which the source keeps and the master gets
    too. `row` is the column that names a row (of a membership, what one is a member of), `cleared` are flags of which
    a customer has one at most, `follower` is a (table, column) of rows that go where these go, `versioned` says that
    the row tells its version: whoever changes one under its version did not mean what stands there now.
    """

    what: str
    vi: str
    en: str
    table: str
    how: How
    column: str = "customer_id"
    row: str = "id"
    same: tuple[str, ...] = ()
    where: str = "true"
    cleared: tuple[str, ...] = ()
    follower: tuple[str, str] | None = None
    versioned: bool = False
    numbers: tuple[str, str] | None = None
    """Of a membership: the customer's array of numbers, and the table that has the numbers."""


RELATED: Final[tuple[Related, ...]] = (
    Related("contacts", "Người liên hệ", "Contacts", "contact", "move",
            cleared=("is_primary",), follower=("contact_point", "contact_id"), versioned=True),
    Related("points", "Điện thoại, email, địa chỉ, liên kết", "Phones, e-mails, addresses, links", "contact_point",
            "union", same=("kind", "value"), where="t.contact_id IS NULL"),
    Related("transactions", "Giao dịch", "Transactions", "transaction", "move", versioned=True),
    Related("contracts", "Hợp đồng", "Contracts", "contract", "move", versioned=True),
    Related("groups", "Nhóm khách hàng", "Groups", "group_member", "copy",
            row="group_id", numbers=("group_nos", "customer_group")),
    Related("tags", "Nhãn", "Tags", "tag_member", "copy", row="tag_id", numbers=("tag_nos", "tag")),
    Related("referred", "Khách hàng được giới thiệu", "Referred customers", "customer", "move",
            column="referrer_id", versioned=True),
)  # fmt: skip

KEPT: Final[dict[str, str]] = {
    "unique_value": "follows from the customers' attributes: taken anew",
    "duplicate_key": "follows from the customers' fields: found anew",
    "score_entry": "follows from groups and transactions: recomputed",
    "duplicate_dismissal": "tells of records, not of people; a merged one is in no cluster",
    "import_row": "the history of the import: the record that a row made or changed",
    "batch_item": "the history of the bulk change: the record that it changed",
}

# $1 tenant, $2 master, $3 sources.
FOUND: Final = """
SELECT t.{row} AS row_id, t.{column} AS source_id, {before} AS before FROM crm.{table} t
WHERE t.tenant_id = $1 AND t.{column} = ANY($3::uuid[]) AND {where}
"""
NEW_TO_MASTER: Final = """
AND NOT EXISTS (SELECT FROM crm.{table} o WHERE o.tenant_id = $1 AND o.{column} = $2 AND {same})
AND NOT EXISTS (SELECT FROM crm.{table} o WHERE o.tenant_id = $1 AND o.{column} = ANY($3::uuid[]) AND {same}
                AND (array_position($3::uuid[], o.{column}), o.{row})
                  < (array_position($3::uuid[], t.{column}), t.{row}))
"""


def found_sql(one: Related) -> str:
    """The rows that a merge takes: (row_id, source_id, before). What preview and execution share."""
    before = "NULL::jsonb"
    if one.cleared:
        flags = ", ".join(f"'{name}', t.{name}" for name in one.cleared)
        set_ = " OR ".join(f"t.{name}" for name in one.cleared)
        before = f"CASE WHEN {set_} THEN jsonb_build_object({flags}) END"
    same = {"move": (), "union": one.same, "copy": (one.row,)}[one.how]
    where = one.where
    if one.table == "customer":
        # Nobody becomes who referred themselves.
        where += " AND t.id <> $2 AND t.id <> ALL($3::uuid[]) AND t.deleted_at IS NULL"
    if same:
        alike = " AND ".join(f"o.{name} = t.{name}" for name in same)
        alike += f" AND {one.where.replace('t.', 'o.')}"
        where += NEW_TO_MASTER.format(table=one.table, column=one.column, row=one.row, same=alike)
    return FOUND.format(row=one.row, column=one.column, before=before, table=one.table, where=where)


async def counts(raw: asyncpg.Connection, tenant_id: UUID, master: UUID, sources: Sequence[UUID]) -> dict[str, int]:
    """How many rows of each kind would come to the master."""
    parts = " UNION ALL ".join(f"SELECT '{one.what}' AS what, count(*) FROM ({found_sql(one)}) f" for one in RELATED)
    rows = await raw.fetch(f"SELECT * FROM ({parts}) AS counted WHERE count > 0", tenant_id, master, list(sources))
    return {row["what"]: row["count"] for row in rows}


async def move(
    raw: asyncpg.Connection,
    tenant_id: UUID,
    master: UUID,
    sources: Sequence[UUID],
    merge_id: UUID,
    moment: datetime,
    leave: Sequence[str] = (),
) -> dict[str, int]:
    """Brings everything to the master, but for the kinds to `leave`, and notes each row in the merge; how many of each
    kind."""
    moved = {}
    for one in (one for one in RELATED if one.what not in leave):
        count = await raw.fetchval(_move_sql(one), tenant_id, master, list(sources), merge_id, moment)
        if count:
            moved[one.what] = count
        if count and one.follower:
            await raw.execute(_follow_sql(one), tenant_id, merge_id)
        if count and one.numbers:
            await raw.execute(_numbers_sql(one), tenant_id, master)
    return moved


async def give_back(
    raw: asyncpg.Connection, tenant_id: UUID, master: UUID, merge_id: UUID, moment: datetime, merged_at: datetime
) -> dict[str, int]:
    """Gives everything back that still is where the merge brought it; how many rows of each kind are not any more."""
    gone = {}
    for one in RELATED:
        then = [merged_at] if one.how == "copy" else [moment] if one.versioned else []
        missing = await raw.fetchval(_give_back_sql(one), tenant_id, master, merge_id, *then)
        if missing:
            gone[one.what] = missing
        if one.follower:
            await raw.execute(_follow_sql(one), tenant_id, merge_id)
        if one.numbers:
            await raw.execute(_numbers_sql(one), tenant_id, master)
    return gone


def _move_sql(one: Related) -> str:
    if one.how == "copy":
        did = f"""
        INSERT INTO crm.{one.table} (tenant_id, {one.row}, {one.column}, added_at)
        SELECT $1, found.row_id, $2, $5::timestamptz FROM found
        ON CONFLICT (tenant_id, {one.row}, {one.column}) DO NOTHING RETURNING {one.row} AS row_id
        """
    else:
        cleared = "".join(f", {name} = false" for name in one.cleared)
        versioned = ", version = t.version + 1, updated_at = $5::timestamptz" if one.versioned else ""
        did = f"""
        UPDATE crm.{one.table} t SET {one.column} = $2{cleared}{versioned} FROM found
        WHERE t.tenant_id = $1 AND t.{one.row} = found.row_id RETURNING t.{one.row} AS row_id
        """
    return f"""
    WITH moment AS (SELECT $5::timestamptz), found AS MATERIALIZED ({found_sql(one)}), did AS ({did}), noted AS (
        INSERT INTO crm.merge_item (tenant_id, merge_id, what, row_id, source_id, before)
        SELECT $1, $4, '{one.what}', found.row_id, found.source_id, found.before
        FROM found JOIN did ON did.row_id = found.row_id
        RETURNING 1
    )
    SELECT count(*) FROM noted
    """


def _give_back_sql(one: Related) -> str:
    items = f"i.tenant_id = $1 AND i.merge_id = $3 AND i.what = '{one.what}'"
    if one.how == "copy":
        did = f"""
        DELETE FROM crm.{one.table} t USING crm.merge_item i
        WHERE {items} AND t.tenant_id = $1 AND t.{one.column} = $2 AND t.{one.row} = i.row_id
          AND t.added_at = $4::timestamptz RETURNING 1
        """
    else:
        flags = "".join(f", {name} = back.{name}" for name in one.cleared)
        versioned = ", version = t.version + 1, updated_at = $4::timestamptz" if one.versioned else ""
        did = f"""
        UPDATE crm.{one.table} t SET {one.column} = back.source_id{flags}{versioned} FROM (
            SELECT i.row_id, i.source_id{"".join(_flag_sql(one, name) for name in one.cleared)}
            FROM crm.merge_item i JOIN crm.{one.table} t ON t.tenant_id = $1 AND t.{one.row} = i.row_id
            WHERE {items} AND t.{one.column} = $2
        ) AS back WHERE t.tenant_id = $1 AND t.{one.row} = back.row_id RETURNING 1
        """
    return f"""
    WITH did AS ({did})
    SELECT (SELECT count(*) FROM crm.merge_item i WHERE {items}) - (SELECT count(*) FROM did)
    """


def _flag_sql(one: Related, name: str) -> str:
    """Whether a row that goes back has the flag. Only one does: that of the source's own that has it now, or else the
    one that goes back with it, or else the one that had it before."""
    before = f"coalesce((i.before ->> '{name}')::boolean, false)"
    return f""", (t.{name} OR {before}) AND row_number() OVER (
        PARTITION BY i.source_id ORDER BY t.{name} DESC, {before} DESC, i.row_id) = 1 AND NOT EXISTS (
        SELECT FROM crm.{one.table} o WHERE o.tenant_id = $1 AND o.{one.column} = i.source_id AND o.{name}) AS {name}"""


def _follow_sql(one: Related) -> str:
    """Lets followers be where what they follow is. $2 the merge."""
    assert one.follower
    table, column = one.follower
    return f"""
    UPDATE crm.{table} f SET customer_id = t.{one.column}
    FROM crm.merge_item i JOIN crm.{one.table} t ON t.tenant_id = $1 AND t.{one.row} = i.row_id
    WHERE i.tenant_id = $1 AND i.merge_id = $2 AND i.what = '{one.what}'
      AND f.tenant_id = $1 AND f.{column} = t.{one.row} AND f.customer_id <> t.{one.column}
    """


def _numbers_sql(one: Related) -> str:
    """Brings a customer's array of numbers in line with its memberships. $2 the customer."""
    assert one.numbers
    column, table = one.numbers
    return f"""
    UPDATE crm.customer c SET {column} = ARRAY(
        SELECT g.no FROM crm.{one.table} m JOIN crm.{table} g ON g.tenant_id = $1 AND g.id = m.{one.row}
        WHERE m.tenant_id = $1 AND m.customer_id = $2 ORDER BY g.no)
    WHERE c.tenant_id = $1 AND c.id = $2
    """
