"""By what a workspace knows that two customers are one (thiết lập trùng lặp dữ liệu), checked when one is written.

The phone's constraint is always on. An e-mail address alone is found by its index. Every other key has its values in
`crm.duplicate_key`, as hashes and for the switched-on keys only. Those rows are hints: what they point to is compared
by the customers' own columns, so a row that nobody took away refuses nothing.

Two people who write one value at once are decided by a lock on the value: the second one looks when the first has
committed. An import locks the whole workspace's keys instead, because a chunk has thousands of values.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.db import driver, tenant_of
from app.core.i18n import language
from app.customers.errors import Duplicate
from app.customers.referrers import LOOKUP
from app.customers.visibility import visible
from app.filters.search import Sql

# D036: the nine, in the guide's words.
LABELS: Final[dict[str, tuple[str, str]]] = {
    "name": ("Tên khách hàng", "Name"),
    "code": ("Mã khách hàng", "Code"),
    "email": ("Email", "E-mail"),
    "phone": ("Số điện thoại", "Phone"),
    "fax": ("Số fax", "Fax"),
    "tax_code": ("Mã số thuế", "Tax code"),
    "office_address": ("Địa chỉ văn phòng", "Office address"),
    "note": ("Mô tả", "Description"),
    "birthday": ("Sinh nhật", "Birthday"),
}
FOLDED = frozenset(("name", "office_address", "note"))
# The same letters without case, accents and repeated spaces. The collation is named, because lower() of a database
# made with the locale C knows only ASCII.
FOLD = (
    "nullif(btrim(regexp_replace(translate(regexp_replace(normalize(lower({} COLLATE pg_c_utf8), NFD), "
    "'[\\u0300-\\u036f]', '', 'g'), 'đð', 'dd'), '\\s+', ' ', 'g')), '')"
)
# Between the values of a combined key; no text holds it.
JOINT = "chr(31)"


@dataclass(frozen=True, slots=True)
class DuplicateKey:
    """One key: the fields that together must not repeat. `no` is its number in crm.duplicate_key; `plain` ones have
    their values from the customer's columns alone."""

    no: int
    fields: tuple[str, ...]
    imports: bool = True
    ready: bool = True
    plain: bool = True

    @property
    def is_phone(self) -> bool:
        """Whether the unique index on phones is this key."""
        return self.fields == ("phone",)

    @property
    def is_email(self) -> bool:
        """Whether the index on addresses finds its values."""
        return self.fields == ("email",)

    @property
    def stored(self) -> bool:
        """Whether crm.duplicate_key holds its values."""
        return not (self.is_phone or self.is_email)

    @property
    def label(self) -> str:
        """Its fields' labels in the request's language: “Tên khách hàng + Sinh nhật”."""
        return " + ".join(LABELS[one][0 if language.get() == "vi" else 1] for one in self.fields)

    def value(self, alias: str = "c") -> str:
        """The normalised value of a customer, as SQL; NULL unless every field is filled."""
        return f"({f' || {JOINT} || '.join(_value(one, alias) for one in self.fields)})"


PHONE, EMAIL = DuplicateKey(1, ("phone",)), DuplicateKey(2, ("email",), imports=False)
DEFAULT = (PHONE, EMAIL)
LAST_NO = 2


async def load(session: AsyncSession) -> tuple[DuplicateKey, ...]:
    """The keys of the session's workspace. For callers without a registry, which has them already."""
    kept = await session.scalar(
        text("SELECT keys FROM crm.duplicate_setting WHERE tenant_id = :tenant_id"), {"tenant_id": tenant_of(session)}
    )
    return from_rows(kept) if kept is not None else DEFAULT


def from_rows(kept: Iterable[Mapping[str, Any]]) -> tuple[DuplicateKey, ...]:
    """The keys as the setting keeps them."""
    return tuple(DuplicateKey(row["no"], tuple(row["fields"]), row["imports"], row["ready"]) for row in kept)


async def claim(
    session: AsyncSession,
    actor: Actor,
    keys: Sequence[DuplicateKey],
    customer_id: UUID,
    changes: Mapping[str, tuple[Any, Any]],
) -> None:
    """Checks a customer who was just written in this transaction, and keeps the values that they are known by.

    `changes` are {field: (before, after)}; keys without any of these fields are left alone, so that who was a
    duplicate before can still be edited.

    Raises:
        Duplicate: somebody else has a key's values.
    """
    checked = [key for key in keys if not key.is_phone and not changes.keys().isdisjoint(key.fields)]
    if not checked:
        return
    raw = await driver(session)
    if all(key.is_email for key in checked):
        # What every workspace starts with needs no look at the row.
        values = [changes["email"][1]]
    else:
        columns = ", ".join(key.value() for key in checked)
        statement = f"SELECT {columns} FROM crm.customer c WHERE c.tenant_id = $1 AND c.id = $2"
        values = list(await raw.fetchrow(statement, actor.tenant_id, customer_id))
    held = [(key, value) for key, value in zip(checked, values, strict=True) if value is not None]
    if held:
        await _lock(raw, actor.tenant_id, held, with_imports=any(key.imports for key in keys if not key.is_phone))
        await _look(raw, actor, held, customer_id)
    await write(raw, actor.tenant_id, checked, [customer_id])


async def write(raw: asyncpg.Connection, tenant_id: UUID, keys: Iterable[DuplicateKey], ids: Sequence[UUID]) -> None:
    """Keeps the values of these customers under the keys that are stored, as the customers are now; set-based. To be
    called by whatever writes these fields of many, and when customers are deleted or restored."""
    stored = [key for key in keys if key.stored]
    if stored and ids:
        await raw.execute(write_sql(stored, "c.id = ANY($2::uuid[])", "d.customer_id = ANY($2::uuid[])"), tenant_id,
                          list(ids))  # fmt: skip


def values_sql(keys: Sequence[DuplicateKey], customers: str) -> str:
    """The values of live customers: (customer_id, key_no, value). $1 is the tenant, `customers` a predicate on `c`."""
    values = ", ".join(f"({key.no:d}, {key.value()})" for key in keys if key.plain) or "(NULL::int, NULL::text)"
    return f"""
    SELECT c.id AS customer_id, one.no AS key_no, one.value
    FROM crm.customer c CROSS JOIN LATERAL (VALUES {values}) AS one (no, value)
    WHERE c.tenant_id = $1 AND {customers} AND c.deleted_at IS NULL AND one.value IS NOT NULL
    """


def write_sql(keys: Sequence[DuplicateKey], customers: str, rows: str, more: str = "") -> str:
    """Makes crm.duplicate_key say of some customers what they are; $1 is the tenant, further arguments the
    predicates'. `more` adds values by another SELECT like that of `values_sql`."""
    numbers = ", ".join(f"{key.no:d}" for key in keys)
    return f"""
    WITH want AS MATERIALIZED (
        SELECT DISTINCT key_no, hashtextextended(value, 0) AS value_hash, customer_id
        FROM ({values_sql(keys, customers)} {more}) AS found
    ), gone AS (
        DELETE FROM crm.duplicate_key d
        WHERE d.tenant_id = $1 AND {rows} AND d.key_no IN ({numbers}) AND NOT EXISTS (
            SELECT FROM want WHERE want.customer_id = d.customer_id AND want.key_no = d.key_no
                               AND want.value_hash = d.value_hash)
    )
    INSERT INTO crm.duplicate_key (tenant_id, key_no, value_hash, customer_id)
    SELECT $1, want.key_no, want.value_hash, want.customer_id FROM want
    ON CONFLICT (tenant_id, key_no, value_hash, customer_id) DO NOTHING
    """


async def lock_all(raw: asyncpg.Connection, tenant_id: UUID) -> None:
    """Lets nobody else of the workspace take a value until the commit: for an import's chunk."""
    await raw.execute("SELECT pg_advisory_xact_lock(hashtextextended($1::text, 0))", _lane(tenant_id))


def refusal(key: DuplicateKey, row: Mapping[str, Any], *, named: bool) -> Duplicate:
    """The refusal for the customer of `row` (id, name, owner_id, owner, seen); `named` to whom it may be named."""
    field = key.fields[0]
    seen = row["seen"]
    error = Duplicate(
        label=key.label,
        existing=(row["name"], row["owner"]) if named else None,
        extra={"field": field, "fields": list(key.fields)}
        | ({"existing_id": str(row["id"]), "existing_owner_id": _text(row["owner_id"])} if seen else {}),
    )
    error.errors = [error.on(one) for one in key.fields]
    return error


async def _lock(
    raw: asyncpg.Connection, tenant_id: UUID, held: Sequence[tuple[DuplicateKey, str]], *, with_imports: bool
) -> None:
    """Locks values until the commit, in the order of the keys: two customers with two equal values wait for each other
    only one way."""
    if with_imports:
        await raw.execute("SELECT pg_advisory_xact_lock_shared(hashtextextended($1::text, 0))", _lane(tenant_id))
    locks = ", ".join(f"pg_advisory_xact_lock(hashtextextended(${n + 1}::text, 0))" for n in range(len(held)))
    await raw.execute(f"SELECT {locks}", *(f"{_lane(tenant_id)}:{key.no}:{value}" for key, value in held))


async def _look(
    raw: asyncpg.Connection, actor: Actor, held: Sequence[tuple[DuplicateKey, str]], customer_id: UUID
) -> None:
    sql = Sql(actor.tenant_id)
    own, seen = sql.arg(customer_id), visible(sql, actor)
    parts = []
    for number, (key, value) in enumerate(held):
        given = f"{sql.arg(value)}::text"
        found, where = "crm.customer c", f"c.email = {given}"
        if key.stored:
            found = "crm.duplicate_key d JOIN crm.customer c ON c.tenant_id = $1 AND c.id = d.customer_id"
            where = (
                f"d.tenant_id = $1 AND d.key_no = {key.no:d} AND d.value_hash = hashtextextended({given}, 0) "
                f"AND {key.value()} = {given}"
            )
        parts.append(f"""(
            SELECT {number} AS number, c.id, c.name, c.owner_id, u.full_name AS owner, {seen} AS seen
            FROM {found} LEFT JOIN crm.app_user u ON u.tenant_id = $1 AND u.id = c.owner_id
            WHERE c.tenant_id = $1 AND {where} AND c.id <> {own} AND c.deleted_at IS NULL
            ORDER BY seen DESC NULLS LAST, c.id LIMIT 1)""")
    rows = await raw.fetch(f"SELECT * FROM ({' UNION ALL '.join(parts)}) AS found ORDER BY number", *sql.args)
    if rows:
        refusals = [refusal(held[row["number"]][0], row, named=row["seen"] or actor.may(LOOKUP)) for row in rows]
        refusals[0].errors = [line for one in refusals for line in one.errors]
        raise refusals[0]


def _value(field: str, alias: str) -> str:
    column = f"{alias}.{field}"
    if field in FOLDED:
        return FOLD.format(column)
    if field == "fax":
        return f"nullif(regexp_replace({column}, '[^0-9+]', '', 'g'), '')"
    if field == "birthday":
        return f"to_char({column}, 'YYYY-MM-DD')"
    if field in ("email", "code"):
        return f"nullif(lower({column}), '')"
    assert field in LABELS
    return f"nullif({column}, '')"


def _lane(tenant_id: UUID) -> str:
    return f"{tenant_id}:duplicates"


def _text(value: UUID | None) -> str | None:
    return str(value) if value else None
