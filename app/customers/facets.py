"""How the customers of a filter divide over the values of a field."""

from collections.abc import Sequence
from typing import Any, Final

import asyncpg

from app.core.actor import Actor
from app.core.errors import invalid
from app.customers.entity import CUSTOMERS
from app.customers.filterable import CustomerFields
from app.customers.registry import Registry
from app.customers.search_schemas import FacetValue
from app.customers.selection import Selection, where
from app.filters.fields import Choice, Filterable
from app.filters.search import Sql, door

MAX_VALUES = 200
KINDS = ("choice", "boolean", "set", "number")
NONE: Final = Choice("", "Chưa có", "None")


async def facets(
    raw: asyncpg.Connection, actor: Actor, registry: Registry, selection: Selection, keys: Sequence[str]
) -> dict[str, list[FacetValue]]:
    """For each field its most frequent values among the selection's customers. Who is in two groups counts in both.

    Raises:
        Invalid: a field that has no values to count.
    """
    fields = CustomerFields(registry, actor)
    wanted_fields = {key: _countable(fields, key) for key in dict.fromkeys(keys)}
    found = dict[str, list[FacetValue]]()
    async with door(raw) as opened:
        for key, field in wanted_fields.items():
            sql = Sql(actor.tenant_id)
            wanted = where(sql, registry, actor, selection)
            rows = await opened.facet(CUSTOMERS, sql, wanted, _expression(field), MAX_VALUES)
            found[key] = [_value(field, row["value"], row["count"]) for row in rows]
    return found


def _countable(fields: CustomerFields, key: str) -> Filterable:
    field = fields.get(key)
    if field is None or field.kind not in KINDS or field.cast == "numeric" or field.stands_for is not None:
        raise invalid("facets", "field_unknown", f"Không thống kê được theo {key[:80]}", f"{key[:80]} has no facets")
    return field


def _expression(field: Filterable) -> str:
    if field.cast.endswith("[]"):
        # A row for who is in no group as well.
        return f"unnest(CASE WHEN {field.column} = '{{}}' THEN ARRAY[NULL]::{field.cast} ELSE {field.column} END)"
    if field.cast == "jsonb":
        return f"jsonb_array_elements_text(coalesce(nullif({field.column}, 'null'), '[null]'))"
    return field.column


def _value(field: Filterable, value: Any, count: int) -> FacetValue:
    if value is None:
        return FacetValue(value=None, label=NONE.label, count=count)
    shown = field.show(value)
    plain = shown if field.cast.endswith("[]") else str(value).lower() if field.kind == "boolean" else str(value)
    known = {one.value: one.label for one in field.choices or ()}
    return FacetValue(value=plain, label=known.get(plain, shown), count=count)
