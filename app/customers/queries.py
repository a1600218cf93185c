"""Customers as JSON made by PostgreSQL, and the list: found through the search door, read by id."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from app.core.actor import Actor
from app.core.errors import AppError, NotFound, invalid
from app.core.masking import sees_phones
from app.core.paging import Pager
from app.core.vietnam import phone, provinces
from app.core.vietnam import text as vn
from app.customers.entity import CAP, CUSTOMERS
from app.customers.errors import MergedInto
from app.customers.filterable import CustomerFields, conditions
from app.customers.models import FOLDED_NAME
from app.customers.referrers import LOOKUP
from app.customers.registry import Registry
from app.customers.search_box import as_written, search_box
from app.customers.simple_filters import simple_nodes
from app.customers.visibility import EVERYBODY, of_one, visible, ways
from app.filters.nodes import ROOT, Branch, Leaf
from app.filters.search import Door, Part, Sql, Wanted, door
from app.filters.tree import Node, is_everybody

PROVINCES = msgspec.json.encode({one.code: one.name for one in provinces.ALL}).decode().replace("'", "''")


def _label(kind: str) -> str:
    """The name of a list's value. The list becomes a map once a statement: a join would look up each row's value."""
    return f"""(SELECT jsonb_object_agg(l.id, l.name) FROM crm.classification l
        WHERE l.tenant_id = $1 AND l.kind = '{kind}') ->> c.{kind}_id::text"""


# The members of a customer's JSON, each with the expression that makes it; <known> says whether the caller may know
# of the customer r.
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
    "source": _label("source"),
    "customer_type": _label("customer_type"),
    "company_name": "c.company_name",
    "tax_code": "c.tax_code",
    "position": "c.position",
    "note": "c.note",
    "relationship": _label("relationship"),
    "owner_id": "c.owner_id",
    "owner": "owner.username",
    "owner_name": "owner.full_name",
    "groups": """CASE WHEN c.group_nos = '{}' THEN '[]'::json ELSE (
        SELECT coalesce(json_agg(json_build_object('id', g.id, 'name', g.name) ORDER BY g.name), '[]'::json)
        FROM crm.customer_group g WHERE g.tenant_id = $1 AND g.no = ANY(c.group_nos)) END""",
    "tags": """CASE WHEN c.tag_nos = '{}' THEN '[]'::json ELSE (
        SELECT coalesce(json_agg(json_build_object('id', g.id, 'name', g.name, 'color', g.color) ORDER BY g.name),
                        '[]'::json)
        FROM crm.tag g WHERE g.tenant_id = $1 AND g.no = ANY(c.tag_nos)) END""",
    "tier": _label("tier"),
    "tier_fixed": "c.tier_fixed",
    "score": "c.score",
    "stars": "c.stars",
    # Values of deleted attributes stay in the record, unseen; the keys are read once a statement, not once a row.
    "attributes": """c.attributes - coalesce((
        SELECT array_agg(d.key) FROM crm.attribute d WHERE d.tenant_id = $1 AND d.deleted_at IS NOT NULL), '{}')""",
    "kind": "c.kind",
    "fax": "c.fax",
    "registered_address": "c.registered_address",
    "office_address": "c.office_address",
    "country": "c.country",
    "district": "c.district",
    "ward": "c.ward",
    "website": "c.website",
    "founded_on": "c.founded_on",
    "referrer": "c.referrer_id",
    "referrer_name": """CASE WHEN c.referrer_id IS NOT NULL THEN (
        SELECT r.name FROM crm.customer r WHERE r.tenant_id = $1 AND r.id = c.referrer_id AND <known>)
        WHEN c.referrer_user_id IS NOT NULL THEN (
        SELECT u.full_name FROM crm.app_user u WHERE u.tenant_id = $1 AND u.id = c.referrer_user_id) END""",
    "referrer_user": """CASE WHEN c.referrer_user_id IS NOT NULL THEN (
        SELECT u.username FROM crm.app_user u WHERE u.tenant_id = $1 AND u.id = c.referrer_user_id) END""",
    "created_at": "c.created_at",
    "updated_at": "c.updated_at",
    "version": "c.version",
}
# Those that show a phone, for who may not see it.
MASKED: dict[str, str] = {
    "phone": phone.mask_sql("c.phone"),
    "phone_typed": "NULL::text",
    "fax": phone.mask_sql("c.fax"),
    "attributes": f"""(SELECT coalesce(jsonb_object_agg(a.key, CASE
        WHEN jsonb_typeof(a.value) = 'string' AND a.key = ANY(coalesce((
            SELECT array_agg(d.key) FROM crm.attribute d WHERE d.tenant_id = $1 AND d.type = 'phone'), '{{}}'))
        THEN to_jsonb({phone.mask_sql("(a.value #>> '{}')")}) ELSE a.value END), '{{}}')
        FROM jsonb_each({MEMBERS["attributes"]}) AS a)""",
}
JOINS = {
    "owner": "LEFT JOIN crm.app_user owner ON owner.tenant_id = $1 AND owner.id = c.owner_id",
}
# The list's own parameters; every other one is a filter.
OWN_PARAMETERS = frozenset(("q", "sort", "fields", "limit", "cursor", "count"))
# A word of its own is most often a common one, and then these newest customers hold a page of it.
STEPS = 3_000
# With so few among them, a longer walk costs no more than finding all.
FEW = 4
# How often a customer may have been merged on; a redirect follows them all.
MERGES = 20


@dataclass(frozen=True)
class Sort:
    """What a list is sorted by: an expression that is never null, and the type that a cursor's text is cast to."""

    key: str
    cast: str


SORTABLE = {
    "created_at": Sort("c.created_at", "timestamptz"),
    "updated_at": Sort("c.updated_at", "timestamptz"),
    "name": Sort(FOLDED_NAME.format("c.name"), "text"),
    "code": Sort("c.code", "text"),
    "birthday": Sort("coalesce(c.birthday, '0001-01-01'::date)", "date"),
    "score": Sort("c.score", "integer"),
    "stars": Sort("c.stars", "integer"),
}
# The same of an attribute, by the family of its slot.
SLOTS = {
    "t": Sort("coalesce(c.{}, '') COLLATE \"C\"", "text"),
    "n": Sort("coalesce(c.{}, '-Infinity'::numeric)", "numeric"),
    "d": Sort("coalesce(c.{}, '0001-01-01T00:00:00Z'::timestamptz)", "timestamptz"),
}


@dataclass(frozen=True)
class Ask:
    """What a list was asked for."""

    q: str | None = None
    filters: tuple[tuple[str, str], ...] = ()
    tree: Node | None = None
    sort: str = "-created_at"
    fields: tuple[str, ...] = ()
    limit: int = 50
    cursor: str | None = None
    count: str = "none"


def members(names: Iterable[str]) -> tuple[str, ...]:
    """The members that a caller asked for.

    Raises:
        Invalid: one that a customer does not have.
    """
    wanted = tuple(stripped for name in names if (stripped := name.strip()))
    for name in wanted:
        if name not in MEMBERS:
            raise invalid("fields", "field_unknown", f"Không có trường {name[:80]}", f"There is no member {name[:80]}")
    return wanted


def sort_key(registry: Registry | None, actor: Actor, name: str) -> Sort:
    """What a list is sorted by.

    Raises:
        Invalid: a field that no list is sorted by, or a phone that the caller may not see: its order gives it away.
    """
    if name in SORTABLE:
        return SORTABLE[name]
    field = registry.get(name) if registry else None
    if field is None or not field.slot:
        raise invalid("sort", "sort_unknown", "Không sắp xếp được theo trường này", "This field cannot be sorted by")
    if field.type == "phone" and not sees_phones(actor):
        raise invalid(
            "sort", "phone_hidden", "Bạn không có quyền xem số điện thoại nên không sắp xếp được theo trường này",
            "You may not see phone numbers, and so not sort by them",
        )  # fmt: skip
    of_family = SLOTS[field.slot[0]]
    return Sort(of_family.key.format(field.slot), of_family.cast)


async def get_json(
    raw: asyncpg.Connection, actor: Actor, customer_id: UUID, *, written: bool = False
) -> tuple[bytes, int]:
    """One customer as JSON, and its version. Whoever has `written` it in this transaction sees it, though it may now be
    somebody else's.

    Raises:
        NotFound: there is none, or none for this caller.
    """
    sql = Sql(actor.tenant_id)
    if written:
        where = f"c.tenant_id = $1 AND c.id = {sql.arg(customer_id)} AND c.deleted_at IS NULL"
    else:
        where = of_one(sql, actor, customer_id)
    row = await raw.fetchrow(
        f"SELECT c.version AS v, {_json(sql, actor, tuple(MEMBERS))} AS body {_from()} WHERE {where}", *sql.args
    )
    if row is None:
        raise await _missing(raw, actor, customer_id)
    return row["body"].encode(), row["v"]


async def _missing(raw: asyncpg.Connection, actor: Actor, customer_id: UUID) -> AppError:
    """Why there is no such customer: it may live on in another, if the caller may see that one.

    The answer is a redirect and not the other customer's record: a client that keeps records by the id it asked for
    would have two of one. Nobody may store it, because a merge can be undone; whoever follows it must do so anew.
    """
    sql, alive = Sql(actor.tenant_id), None
    own, seen = sql.arg(customer_id), visible(sql, actor)
    for _ in range(MERGES):
        alive = await raw.fetchrow(
            f"SELECT c.id, c.deleted_at IS NULL AND ({seen}) AS found FROM crm.customer c JOIN crm.customer old "
            f"ON old.tenant_id = $1 AND old.merged_into = c.id WHERE c.tenant_id = $1 AND old.id = {own}::uuid "
            "AND old.deleted_at IS NOT NULL",
            *sql.args,
        )
        if alive is None or alive["found"]:
            break
        sql.args[1] = alive["id"]
    if alive is None or not alive["found"]:
        return NotFound()
    headers = {"Location": f"/api/v1/customers/{alive['id']}", "Cache-Control": "no-store"}
    return MergedInto(headers=headers, extra={"merged_into": str(alive["id"])})


async def list_json(raw: asyncpg.Connection, actor: Actor, registry: Registry | None, ask: Ask, secret: bytes) -> bytes:
    """A page of customers as JSON: {items, next_cursor, count}."""
    pager = Pager(secret, actor.tenant_id, actor.id, ask.q, ask.filters, ask.sort, repr(ask.tree))
    position = pager.position(ask.cursor)
    plan = _Plan(actor, registry, ask)
    if plan.needs_door or ask.count != "none":
        async with door(raw) as found:
            keys = await plan.page(found, position)
            count = await plan.count(found)
        items = await _read(raw, actor, [row[0] for row in keys[: ask.limit]], ask.fields)
        last = keys[ask.limit - 1] if len(keys) > ask.limit else None
    else:
        last, items = await _newest(raw, actor, plan, position)
        count = None
    cursor = None
    if last is not None:
        cursor = pager.cursor([*(_plain(value) for value in last[1:]), str(last[0])])
    return b"".join(
        (
            b'{"items":[',
            items,
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
        self.node = _node(actor, registry, ask)
        sorted_else = ask.sort.lstrip("-") != "created_at"
        self.plain = not (ask.q and ask.q.strip()) and self.node is None and not sorted_else
        self.needs_door = not (self.plain and actor.may(EVERYBODY))
        self.down = ask.sort.startswith("-")
        self.words = vn.words(ask.q or "")
        self.said = (ask.q or "").strip() or _name_in(self.node)
        sort = sort_key(registry, actor, ask.sort.lstrip("-"))
        self.key, self.cast = sort.key, sort.cast

    async def page(self, found: Door, position: list[Any] | None) -> list[Any]:
        """One row more than the page, so that the caller sees whether another follows."""
        rows: list[Any] = []
        for tier in self._tiers():
            if position is not None and tier < int(position[0]):
                continue
            after = position if position is not None and tier == int(position[0]) else None
            rows += await self._tier(found, tier, after, self.ask.limit + 1 - len(rows))
            if len(rows) > self.ask.limit:
                break
        return rows

    async def _tier(self, found: Door, tier: int, after: list[Any] | None, limit: int) -> list[Any]:
        way = "DESC" if self.down else "ASC"
        unordered = f"{self.key} + interval '0' {way}, c.id {way}"
        part = Part([str(tier), self.key], f"{self.key} {way}, c.id {way}", limit, unordered)
        if self.plain:
            return await found.newest(CUSTOMERS, *self._wanted(tier, after, walking=True), part)
        if self._worth_a_walk():
            sql, wanted = self._wanted(tier, after, walking=True)
            if wanted.match or wanted.tested:
                rows = await found.walk(CUSTOMERS, sql, wanted, part, steps=STEPS)
                if len(rows) < limit and len(rows) >= FEW and not wanted.match:
                    # So many of the newest that a page of them cannot be far.
                    rows = await found.walk(CUSTOMERS, sql, wanted, part, steps=2 * STEPS * limit // len(rows))
                if len(rows) == limit:
                    return rows
                some = not self.actor.may(EVERYBODY)
                if self.node is not None and (some or not _is_one_equality(self.node)):
                    # Too few for the walk to go on: the planner, who takes a rare combination for a common one, is kept
                    # from walking by an order that no index has.
                    part = replace(part, order=unordered)
        return await found.page(CUSTOMERS, *self._wanted(tier, after), part)

    def _worth_a_walk(self) -> bool:
        """Whether the newest customers may hold a page: of a word of its own, or of a filter."""
        alone = len(self.words) == 1 and len(self._tiers()) == 1
        return self.key == "c.created_at" and (alone if self.ask.q else self.node is not None)

    async def count(self, found: Door) -> int | None:
        """The count that was asked for."""
        if self.ask.count == "none":
            return None
        sql, wanted = self._wanted(None, None)
        if self.ask.count == "estimate":
            return await found.estimate(CUSTOMERS, sql, wanted)
        return await found.count(CUSTOMERS, sql, wanted, cap=CAP if self.ask.count == "capped" else None)

    def _tiers(self) -> tuple[int, ...]:
        """Names written with accents come first where the search was."""
        return (0, 1) if vn.has_accents(self.said) else (0,)

    def _wanted(self, tier: int | None, after: list[Any] | None, *, walking: bool = False) -> tuple[Sql, Wanted]:
        """The predicates of one statement, with its arguments; `walking` of one that looks at the newest."""
        sql = Sql(self.actor.tenant_id)
        where, tested = ["c.deleted_at IS NULL"], list[str]()
        if self.node is not None and self.registry is not None:
            fields = CustomerFields(self.registry, self.actor)
            where, tested = conditions(sql, fields, self.node, one_by_one=walking)
        q, match = (self.ask.q or "").strip(), ""
        if q:
            found, match = search_box(sql, q, self.words, partly=sees_phones(self.actor))
            where += [found] if found else []
        if len(self._tiers()) == 2 and tier is not None:
            accented = as_written(sql, self.said)
            tested.append(accented if tier == 0 else f"NOT ({accented})")
        where += self._after(sql, after)
        if walking:
            return sql, Wanted("", where, match, tested, ways(sql, self.actor))
        return sql, Wanted(visible(sql, self.actor), where, match, tested)

    def _after(self, sql: Sql, position: list[Any] | None) -> list[str]:
        if position is None:
            return []
        sign = "<" if self.down else ">"
        last, row_id = sql.arg(str(position[1])), sql.arg(UUID(position[2]))
        return [f"({self.key}, c.id) {sign} ({last}::text::{self.cast}, {row_id}::uuid)"]


def _node(actor: Actor, registry: Registry | None, ask: Ask) -> Node | None:
    """The filters of the query string and the tree as one; None where neither sets a condition."""
    if registry is None:
        return None
    nodes = simple_nodes(CustomerFields(registry, actor), ask.filters)
    nodes += [ask.tree] if ask.tree is not None and not is_everybody(ask.tree) else []
    return nodes[0] if len(nodes) == 1 else Branch("and", tuple(nodes), ROOT) if nodes else None


def _is_one_equality(node: Node) -> bool:
    """Whether the planner can be trusted: of one column's values it keeps statistics."""
    return isinstance(node, Leaf) and node.op == "eq"


def _name_in(node: Node | None) -> str:
    """The name that a filter looks for, whose accents then rank."""
    if isinstance(node, Branch) and node.word == "and":
        return next(filter(None, map(_name_in, node.nodes)), "")
    named = isinstance(node, Leaf) and node.field == "name" and node.op in ("contains", "starts_with")
    return node.value if named and isinstance(node, Leaf) and isinstance(node.value, str) else ""


async def _newest(
    raw: asyncpg.Connection, actor: Actor, plan: _Plan, position: list[Any] | None
) -> tuple[tuple[UUID, int, datetime] | None, bytes]:
    """The key of the page's last row if another page follows, and the page.

    The plain list needs no door: its index serves under row-level security, in one statement.
    """
    sql = Sql(actor.tenant_id)
    where = ["c.tenant_id = $1", "c.deleted_at IS NULL", visible(sql, actor), *plan._after(sql, position)]
    way = "DESC" if plan.down else "ASC"
    inner = (
        f"SELECT * FROM crm.customer c WHERE {' AND '.join(where)} "
        f"ORDER BY c.created_at {way}, c.id {way} LIMIT {plan.ask.limit + 1:d}"
    )
    limit = plan.ask.limit
    # The rows come in the order of their numbers; to sort them again would cost a tenth of the statement.
    row = await raw.fetchrow(
        f"""
        SELECT string_agg(body, ',') FILTER (WHERE n <= {limit:d}),
               max(id::text) FILTER (WHERE n = {limit:d}), max(created_at) FILTER (WHERE n = {limit:d}), count(*)
        FROM (
            SELECT c.id, c.created_at, {_json(sql, actor, plan.ask.fields)} AS body,
                   row_number() OVER (ORDER BY c.created_at {way}, c.id {way}) AS n
            {_from(f"({inner})", plan.ask.fields)}
        ) AS page
        """,
        *sql.args,
    )
    last = (UUID(row[1]), 0, row[2]) if row[3] > limit else None
    return last, (row[0] or "").encode()


async def _read(raw: asyncpg.Connection, actor: Actor, ids: Sequence[UUID], fields: tuple[str, ...]) -> bytes:
    """The customers of these ids as JSON, in their order and with commas between, through the wall."""
    if not ids:
        return b""
    sql = Sql(actor.tenant_id, [list(ids)])
    items: str | None = await raw.fetchval(
        f"SELECT string_agg({_json(sql, actor, fields)}, ',' ORDER BY array_position($2::uuid[], c.id)) "
        f"{_from(fields=fields)} "
        "WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[])",
        *sql.args,
    )
    return (items or "").encode()


def _json(sql: Sql, actor: Actor, fields: tuple[str, ...]) -> str:
    """A scalar sub-select that makes the JSON text of one customer, as the caller may read it."""
    wanted = tuple(MEMBERS) if not fields else tuple(dict.fromkeys(("id", *fields, "version")))
    made = MEMBERS if sees_phones(actor) else MEMBERS | MASKED
    columns = ", ".join(f'{made[name]} AS "{name}"' for name in wanted)
    if "<known>" in columns:
        columns = columns.replace("<known>", "true" if actor.may(LOOKUP) else visible(sql, actor, "r"))
    return f"(SELECT row_to_json(r)::text FROM (SELECT {columns}) AS r)"


def _from(table: str = "crm.customer", fields: tuple[str, ...] = ()) -> str:
    joins = (join for name, join in JOINS.items() if not fields or any(_uses(field, name) for field in fields))
    return f"FROM {table} c {' '.join(joins)}"


def _uses(field: str, alias: str) -> bool:
    return f"{alias}." in MEMBERS[field]


def _plain(value: Any) -> Any:
    if isinstance(value, int):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
