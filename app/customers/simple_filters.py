"""The filters of a list's query string: `field=value`, ranges with `__from` and `__to`, empty for none."""

from typing import Any
from uuid import UUID

import msgspec

from app.core.clock import VIETNAM
from app.core.errors import invalid
from app.core.fields import BadValue, Field
from app.customers.registry import Registry
from app.customers.values import slot_value
from app.filters.search import Sql

SIGNS = {"": "=", "from": ">=", "to": "<="}


def simple_filter(sql: Sql, registry: Registry | None, key: str, value: str) -> str:
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
