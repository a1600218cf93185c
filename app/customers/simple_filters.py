"""The filters of a list's query string: `field=value`, ranges with `__from` and `__to`, empty for none."""

import re
from collections.abc import Iterable
from typing import Any

from app.core.errors import FieldError, Invalid, invalid
from app.customers.filterable import CustomerFields
from app.filters.fields import Filterable
from app.filters.nodes import Leaf
from app.filters.search import Sql
from app.filters.tree import Node, compile_node

OPERATORS = {"": "eq", "from": "gte", "to": "lte"}


def simple_nodes(fields: CustomerFields, filters: Iterable[tuple[str, str]]) -> list[Node]:
    """The conditions of a query string as nodes of a tree.

    Raises:
        Invalid: an unknown field, or a value that does not fit; with the parameter's name.
    """
    found, wrong = list[Node](), list[FieldError]()
    for key, value in filters:
        node = _node(fields, key, value)
        try:
            compile_node(node, Sql(fields.actor.tenant_id), fields)
        except Invalid as refused:
            wrong += [error.model_copy(update={"field": key[:100]}) for error in refused.errors]
        found.append(node)
    if wrong:
        raise Invalid(errors=wrong)
    return found


def _node(fields: CustomerFields, key: str, value: str) -> Node:
    bare, _, suffix = key.partition("__")
    field = fields.get(bare)
    if field is None or suffix not in OPERATORS:
        raise invalid(
            key[:100], "field_unknown", "Không lọc được theo trường này", "There is no such field to filter by"
        )
    op, given = _question(field, OPERATORS[suffix], value)
    return Leaf(field.key, op, given, key)


def _question(field: Filterable, op: str, value: str) -> tuple[str, Any]:
    if value == "":
        return "is_empty", None
    if field.kind == "set" and op == "eq":
        return "any_of", [part.strip() for part in re.split(r"[,;\n]", value) if part.strip()]
    return op, value
