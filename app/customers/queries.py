"""Customers as JSON made by PostgreSQL, and the list: found through the search door, read by id."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from app.core.actor import Actor
from app.core.clock import VIETNAM
from app.core.db import escape_like
from app.core.errors import NotFound, invalid
from app.core.fields import BadValue, Field
from app.core.paging import Pager
from app.core.vietnam import phone, provinces
from app.core.vietnam import text as vn
from app.customers.registry import Registry
from app.customers.values import slot_value
from app.customers.visibility import visible
from app.filters.search import Entity, Sql, door

PROVINCES = msgspec.json.encode({one.code: one.name for one in provinces.ALL}).decode().replace("'", "''")

# The members of a customer's JSON, each with the expression that makes it.
MEMBERS: dict[str, str] = {
    "id": "c.id",
    "code": "c.code",
    "name": "c.name",
    "phone": "c.phone",
    "phone_typed": "c.phone_typed",
    "email": "c.email",
    "birthday": "c.birthday",
    "province": f"'{PROVINCES}'::jsonb ->> c.province",
    "province_code": "c.province",
    "province_typed": "c.province_typed",
    "gender": "c.gender",
    "address": "c.address",
    "source": "source.name",
    "customer_type": "customer_type.name",
    "company_name": "c.company_name",
    "tax_code": "c.tax_code",
    "position": "c.position",
    "note": "c.note",
    "relationship": "relationship.name",
    "owner_id": "c.owner_id",
    "owner": "owner.username",
    "owner_name": "owner.full_name",
    "groups": """CASE WHEN c.group_nos = '{}' THEN '[]'::json ELSE (
        SELECT coalesce(json_agg(json_build_object('id', g.id, 'name', g.name) ORDER BY g.name), '[]'::json)
        FROM crm.customer_group g WHERE g.tenant_id = $1 AND g.no = ANY(c.group_nos)) END""",
    # Values of deleted attributes stay in the record, unseen; the keys are read once a statement, not once a row.
    "attributes": """c.attributes - coalesce((
        SELECT array_agg(d.key) FROM crm.attribute d WHERE d.tenant_id = $1 AND d.deleted_at IS NOT NULL), '{}')""",
    "created_at": "c.created_at",
    "updated_at": "c.updated_at",
    "version": "c.version",
}
JOINS = {
    "source": "LEFT JOIN crm.classification source ON source.tenant_id = $1 AND source.id = c.source_id",
    "customer_type": """LEFT JOIN crm.classification customer_type
        ON customer_type.tenant_id = $1 AND customer_type.id = c.customer_type_id""",
    "relationship": """LEFT JOIN crm.classification relationship
        ON relationship.tenant_id = $1 AND relationship.id = c.relationship_id""",
    "owner": "LEFT JOIN crm.app_user owner ON owner.tenant_id = $1 AND owner.id = c.owner_id",
}
CUSTOMERS = Entity("crm.customer")
FOUND_BY_WORDS = Entity("crm.customer", "JOIN crm.customer_search s ON s.tenant_id = c.tenant_id AND s.id = c.id")
SORTABLE = ("created_at", "updated_at", "name", "code", "birthday")
CAP = 10_001
SIGNS = {"": "=", "from": ">=", "to": "<="}
# The tone mark on the first vowel, as it is taught now, and on the second, as many type it.
TONES = dict(
    zip(
        ["òa", "óa", "ỏa", "õa", "ọa", "òe", "óe", "ỏe", "õe", "ọe", "ùy", "úy", "ủy", "ũy", "ụy"],
        ["oà", "oá", "oả", "oã", "oạ", "oè", "oé", "oẻ", "oẽ", "oẹ", "uỳ", "uý", "uỷ", "uỹ", "uỵ"],
        strict=True,
    )
)


@dataclass(frozen=True)
class Ask:
    """What a list was asked for."""

    q: str | None = None
    filters: tuple[tuple[str, str], ...] = ()
    sort: str = "-created_at"
    fields: tuple[str, ...] = ()
    limit: int = 50
    cursor: str | None = None
    count: str = "none"


async def get_json(raw: asyncpg.Connection, actor: Actor, customer_id: UUID) -> tuple[bytes, int]:
    """One customer as JSON, and its version.

    Raises:
        NotFound: there is none, or none for this caller.
    """
    sql = Sql(actor.tenant_id)
    where = f"c.tenant_id = $1 AND c.id = {sql.arg(customer_id)} AND c.deleted_at IS NULL AND {visible(sql, actor)}"
    row = await raw.fetchrow(
        f"SELECT c.version AS v, {_json(tuple(MEMBERS))} AS body {_from()} WHERE {where}", *sql.args
    )
    if row is None:
        raise NotFound()
    return row["body"].encode(), row["v"]


async def list_json(raw: asyncpg.Connection, actor: Actor, registry: Registry | None, ask: Ask, secret: bytes) -> bytes:
    """A page of customers as JSON: {items, next_cursor, count}."""
    pager = Pager(secret, actor.tenant_id, actor.id, ask.q, ask.filters, ask.sort)
    position = pager.position(ask.cursor)
    plan = _Plan(actor, registry, ask)
    if plan.needs_door or ask.count != "none":
        async with door(raw) as found:
            keys = await plan.page(found, position)
            count = await plan.count(found)
        bodies = await _read(raw, actor, [row[0] for row in keys[: ask.limit]], ask.fields)
    else:
        keys, bodies = await _newest(raw, actor, plan, position)
        count = None
    cursor = None
    if len(keys) > ask.limit:
        last = keys[ask.limit - 1]
        cursor = pager.cursor([*(_plain(value) for value in last[1:]), str(last[0])])
    return b"".join(
        (
            b'{"items":[',
            b",".join(bodies),
            b'],"next_cursor":',
            msgspec.json.encode(cursor),
            b',"count":',
            msgspec.json.encode(count),
            b"}",
        )
    )


class _Plan:
    """The predicates, order and tiers of one list."""

    def __init__(self, actor: Actor, registry: Registry | None, ask: Ask) -> None:
        self.actor, self.registry, self.ask = actor, registry, ask
        self.needs_door = bool(ask.q and ask.q.strip()) or bool(ask.filters) or ask.sort.lstrip("-") != "created_at"
        self.down = ask.sort.startswith("-")
        self.words = vn.words(ask.q or "")
        self.key = self._sort_key(ask.sort.lstrip("-"))

    async def page(self, found: Any, position: list[Any] | None) -> list[Any]:
        """One row more than the page, so that the caller sees whether another follows."""
        rows: list[Any] = []
        for tier in self._tiers():
            if position is not None and tier < int(position[0]):
                continue
            after = position if position is not None and tier == int(position[0]) else None
            sql = Sql(self.actor.tenant_id)
            entity, where = self._where(sql, tier)
            where += self._after(sql, after)
            way = "DESC" if self.down else "ASC"
            rows += await found.page(
                entity, sql, visible=visible(sql, self.actor), where=where, keys=[str(tier), self.key],
                order=f"{self.key} {way}, c.id {way}", limit=self.ask.limit + 1 - len(rows),
            )  # fmt: skip
            if len(rows) > self.ask.limit:
                break
        return rows

    async def count(self, found: Any) -> int | None:
        """The count that was asked for."""
        if self.ask.count == "none":
            return None
        sql = Sql(self.actor.tenant_id)
        entity, where = self._where(sql, None)
        seen = visible(sql, self.actor)
        if self.ask.count == "estimate":
            return int(await found.estimate(entity, sql, visible=seen, where=where))
        cap = CAP if self.ask.count == "capped" else None
        return int(await found.count(entity, sql, visible=seen, where=where, cap=cap))

    def _tiers(self) -> tuple[int, ...]:
        """Names written with accents come first where the search was."""
        return (0, 1) if self.ask.q and vn.has_accents(self.ask.q) else (0,)

    def _where(self, sql: Sql, tier: int | None) -> tuple[Entity, list[str]]:
        where = ["c.deleted_at IS NULL"]
        where += [_simple_filter(sql, self.registry, key, value) for key, value in self.ask.filters]
        q = (self.ask.q or "").strip()
        if not q:
            return CUSTOMERS, where
        where.append(_search(sql, q, self.words))
        if len(self._tiers()) == 2 and tier is not None:
            accented = " AND ".join(f"lower(c.name) ~ {sql.arg(_spelling(word))}" for word in vn.accented_words(q))
            where.append(accented or "true" if tier == 0 else f"NOT ({accented or 'true'})")
        return FOUND_BY_WORDS, where

    def _sort_key(self, name: str) -> str:
        if name in ("created_at", "updated_at", "code"):
            return f"c.{name}"
        if name == "name":
            return 'lower(c.name) COLLATE "C"'
        if name == "birthday":
            return "coalesce(c.birthday, '0001-01-01'::date)"
        field = self.registry.get(name) if self.registry else None
        if field is None or not field.slot:
            raise invalid(
                "sort", "sort_unknown", "Không sắp xếp được theo trường này", "This field cannot be sorted by"
            )
        lowest = {"t": "''", "n": "'-Infinity'::numeric", "d": "'0001-01-01T00:00:00Z'::timestamptz"}[field.slot[0]]
        return f"coalesce(c.{field.slot}, {lowest})" + (' COLLATE "C"' if field.slot[0] == "t" else "")

    def _after(self, sql: Sql, position: list[Any] | None) -> list[str]:
        if position is None:
            return []
        sign = "<" if self.down else ">"
        kind = _kind_of_key(self.key)
        return [
            f"({self.key}, c.id) {sign} ({sql.arg(str(position[1]))}::text::{kind}, {sql.arg(UUID(position[2]))}::uuid)"
        ]


async def _newest(
    raw: asyncpg.Connection, actor: Actor, plan: _Plan, position: list[Any] | None
) -> tuple[list[Any], list[bytes]]:
    """The plain list needs no door: its index serves under row-level security, in one statement."""
    sql = Sql(actor.tenant_id)
    where = ["c.tenant_id = $1", "c.deleted_at IS NULL", visible(sql, actor), *plan._after(sql, position)]
    way = "DESC" if plan.down else "ASC"
    inner = (
        f"SELECT * FROM crm.customer c WHERE {' AND '.join(where)} "
        f"ORDER BY c.created_at {way}, c.id {way} LIMIT {plan.ask.limit + 1:d}"
    )
    rows = await raw.fetch(
        f"SELECT c.id, 0 AS tier, c.created_at, {_json(plan.ask.fields)} AS body "
        f"{_from(f'({inner})', plan.ask.fields)} ORDER BY c.created_at {way}, c.id {way}",
        *sql.args,
    )
    return [(row[0], row[1], row[2]) for row in rows], [row[3].encode() for row in rows[: plan.ask.limit]]


async def _read(raw: asyncpg.Connection, actor: Actor, ids: Sequence[UUID], fields: tuple[str, ...]) -> list[bytes]:
    """The customers of these ids as JSON, in their order, through the wall."""
    if not ids:
        return []
    rows = await raw.fetch(
        f"SELECT c.id, {_json(fields)} AS body {_from(fields=fields)} WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[])",
        actor.tenant_id,
        list(ids),
    )
    bodies = {row[0]: row[1].encode() for row in rows}
    return [bodies[one] for one in ids if one in bodies]


def _json(fields: tuple[str, ...]) -> str:
    """A scalar sub-select that makes the JSON text of one customer."""
    wanted = tuple(MEMBERS) if not fields else tuple(dict.fromkeys(("id", *fields, "version")))
    columns = ", ".join(f'{MEMBERS[name]} AS "{name}"' for name in wanted)
    return f"(SELECT row_to_json(r)::text FROM (SELECT {columns}) AS r)"


def _from(table: str = "crm.customer", fields: tuple[str, ...] = ()) -> str:
    joins = (join for name, join in JOINS.items() if not fields or any(_uses(field, name) for field in fields))
    return f"FROM {table} c {' '.join(joins)}"


def _uses(field: str, alias: str) -> bool:
    return f"{alias}." in MEMBERS[field]


def _search(sql: Sql, q: str, words: Sequence[str]) -> str:
    """One search box: a phone in any spelling or its last digits, else words, the last one by its beginning."""
    whole = vn.fold(q)
    match = " & ".join(
        [*(_lexeme(word) for word in words[:-1][:20]), *(_lexeme(word, prefix=True) for word in words[-1:])]
    )
    if " " not in whole and words != [whole]:
        # An e-mail address or a tax code is one word in the index, though it holds several.
        match = f"{_lexeme(whole, prefix=True)} | {match}" if match else _lexeme(whole, prefix=True)
    forms = phone.search_forms(q)
    if forms is None:
        return f"s.words @@ {sql.arg(match)}::text::tsquery" if match else "false"
    parts = []
    if forms.e164:
        parts.append(_by_tail(f"= {sql.arg(phone.national(forms.e164)[::-1])}"))
    if forms.tail:
        parts.append(_by_tail(f"LIKE {sql.arg(escape_like(forms.tail[::-1]) + '%')}"))
    if forms.prefix:
        after = forms.prefix[:-1] + chr(ord(forms.prefix[-1]) + 1)
        parts.append(
            "SELECT p.id FROM crm.customer p WHERE p.tenant_id = $1 AND p.deleted_at IS NULL "
            f"AND p.phone >= {sql.arg(forms.prefix)} AND p.phone < {sql.arg(after)}"
        )
    if match:
        parts.append(
            f"SELECT s.id FROM crm.customer_search s WHERE s.tenant_id = $1 AND s.words @@ {sql.arg(match)}::text::tsquery"
        )
    # Found first, as an array: the planner would walk the newest customers and test each one (360 ms for 0.2).
    return f"c.id = ANY(ARRAY({' UNION '.join(parts)}))"


def _by_tail(comparison: str) -> str:
    return f"SELECT s.id FROM crm.customer_search s WHERE s.tenant_id = $1 AND s.phone_tail {comparison}"


def _lexeme(word: str, *, prefix: bool = False) -> str:
    quoted = "'" + word[:200].replace("\\", "\\\\").replace("'", "''") + "'"
    return quoted + (":*" if prefix else "")


def _spelling(word: str) -> str:
    """A pattern for a word in both places of its tone mark (hòa, hoà), from its beginning."""
    both = "|".join(re.escape(one) for one in dict.fromkeys((word, _tone_on_last(word))))
    return rf"(^|\s)({both})"


def _tone_on_last(word: str) -> str:
    for new, old in TONES.items():
        if word.endswith(new):
            return word.removesuffix(new) + old
    return word


def _kind_of_key(key: str) -> str:
    if "created_at" in key or "updated_at" in key or "timestamptz" in key:
        return "timestamptz"
    if "numeric" in key:
        return "numeric"
    return "date" if "::date" in key else "text"


def _plain(value: Any) -> Any:
    if isinstance(value, int):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _simple_filter(sql: Sql, registry: Registry | None, key: str, value: str) -> str:
    """`field=value` of the query string: equal, or empty; a range with `__from` and `__to`; groups by id or name."""
    assert registry is not None
    bare, _, operator = key.partition("__")
    field = registry.get(bare)
    if field is None or operator not in ("", "from", "to"):
        raise invalid(
            key[:100], "field_unknown", "Không lọc được theo trường này", "There is no such field to filter by"
        )
    column = _column(field, key)
    if value == "":
        return f"{column} IS NULL" if field.key != "groups" else "c.group_nos = '{}'"
    try:
        return _comparison(sql, registry, field, column, operator, value)
    except BadValue as bad:
        raise invalid(key, bad.code, bad.vi, bad.en) from None


def _comparison(sql: Sql, registry: Registry, field: Field, column: str, operator: str, value: str) -> str:
    if field.type == "datetime" and (field.column or ":" not in value):
        return _moment(sql, column, operator, field, value)
    if field.key == "id":
        try:
            return f"{column} = {sql.arg(UUID(value))}::uuid"
        except ValueError:
            return "false"
    if field.key == "groups":
        named = next((g.no for g in registry.groups.values() if str(g.id) == value), None)
        numbers = [named] if named is not None else [registry.groups[name].no for name in field.parse(value) or ()]
        return f"c.group_nos && {sql.arg(numbers)}::int[]"
    parsed = field.parse(value)
    if parsed is None:
        return f"{column} IS NULL"
    if field.key in registry.ids:
        return f"{column} = {sql.arg(registry.ids[field.key][parsed])}::uuid"
    if field.key == "owner":
        return f"{column} = {sql.arg(UUID(parsed))}::uuid"
    if field.is_attribute:
        return _attribute(sql, field, column, operator, parsed)
    sign = SIGNS[operator]
    if field.type == "date":
        return f"{column} {sign} {sql.arg(parsed)}::text::date"
    if field.type == "integer":
        return f"{column} {sign} {sql.arg(int(parsed))}::bigint"
    return f"{column} {sign} {sql.arg(parsed)}::text"


def _attribute(sql: Sql, field: Field, column: str, operator: str, parsed: Any) -> str:
    if field.slot:
        cast = {"t": "text", "n": "numeric", "d": "timestamptz"}[field.slot[0]]
        return f"{column} {SIGNS[operator]} {sql.arg(slot_value(field.slot, parsed))}::{cast}"
    if operator:
        raise BadValue(
            "range_not_allowed",
            f"Không lọc được {field.vi} theo khoảng",
            f"{field.en} cannot be filtered by a range",
        )
    return f"c.attributes @> {sql.arg(msgspec.json.encode({field.name: parsed}).decode())}::text::jsonb"


def _moment(sql: Sql, column: str, operator: str, field: Field, value: str) -> str:
    """A day means the whole day in Vietnam's time zone."""
    day = sql.arg(Field(field.key, field.vi, field.en, "date").parse(value.partition("T")[0]))
    start = f"{column} >= ({day}::text::date)::timestamp AT TIME ZONE '{VIETNAM.key}'"
    end = f"{column} < ({day}::text::date + 1)::timestamp AT TIME ZONE '{VIETNAM.key}'"
    return {"from": start, "to": end}.get(operator, f"{start} AND {end}")


def _column(field: Field, key: str) -> str:
    if field.slot:
        return f"c.{field.slot}"
    if field.is_attribute:
        return f"c.attributes -> '{field.name}'"
    if field.column is None:
        raise invalid(key, "field_unknown", "Không lọc được theo trường này", "This field cannot be filtered by")
    return f"c.{field.column}"
