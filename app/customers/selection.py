"""“These customers”: ids, or a filter with exceptions; what every action on many customers takes."""

from typing import Annotated, Any
from uuid import UUID

import asyncpg
from pydantic import Field

from app.core.actor import Actor
from app.core.errors import invalid
from app.core.masking import sees_phones
from app.core.schemas import Strict, example
from app.core.vietnam import text as vn
from app.customers.entity import CUSTOMERS
from app.customers.filterable import CustomerFields, conditions
from app.customers.registry import Registry
from app.customers.search_box import search_box
from app.customers.visibility import visible
from app.filters.search import Sql, Wanted, door
from app.filters.tree import parse

__all__ = ["MAX_IDS", "Selection", "Tree", "count", "where"]

# As many as a request of a megabyte can hold.
MAX_IDS = 20_000
IN_TRASH = "c.deleted_at IS NOT NULL AND c.deleted_reason IS DISTINCT FROM 'merge'"

# Any JSON value: what is wrong in it is said with the path of the wrong node, which no schema could name so well.
Tree = Annotated[
    Any,
    Field(
        description=(
            'A node: {"and": […]}, {"or": […]}, {"not": …}, {"none_of": […]}, {"not_all_of": […]}, a condition '
            '{"field", "op", "value"}, or one on related facts {"related", "where", "period", "exists" | "count" | '
            '"sum" | "last"}. Fields and operators: GET /filters/fields. Empty means everybody.'
        ),
        examples=[{"and": [{"field": "source", "op": "eq", "value": "Facebook"}]}],
    ),
]


class Selection(Strict):
    """Customers by their ids, or all whom a filter and a search find, but for some."""

    model_config = example({"filter": {"field": "created_at", "op": "eq", "value": "this_month"}})

    ids: Annotated[list[UUID] | None, Field(max_length=MAX_IDS)] = None
    filter: Tree = None
    q: Annotated[str | None, Field(max_length=200, description="As in the list's search box.")] = None
    exclude: Annotated[list[UUID], Field(max_length=MAX_IDS)] = []


def where(sql: Sql, registry: Registry, actor: Actor, selection: Selection, *, deleted: bool = False) -> Wanted:
    """Whom a selection means, of those whom the caller may see: live customers, or those in the trash if `deleted`.

    Raises:
        Invalid: ids together with a filter or a search; a wrong tree, with the path of each wrong node.
    """
    if selection.ids is not None and (selection.filter or selection.q):
        raise invalid(
            "ids",
            "selection_ambiguous",
            "Chỉ chọn theo danh sách đã chọn hoặc theo bộ lọc",
            "Select by ids or by filter, not both",
        )
    live, tested = conditions(sql, CustomerFields(registry, actor), parse(selection.filter))
    root, match = [IN_TRASH] if deleted else live, ""
    if selection.ids is not None:
        root.append(f"c.id = ANY({sql.arg(list(selection.ids))}::uuid[])")
    q = (selection.q or "").strip()
    if q:
        found, match = search_box(sql, q, vn.words(q), partly=sees_phones(actor))
        root += [found] if found else []
    if selection.exclude:
        # An anti join: a list in a prepared statement's argument would be compared with each customer, one by one.
        left_out = f"SELECT FROM unnest({sql.arg(list(selection.exclude))}::uuid[]) AS out (id) WHERE out.id = c.id"
        root.append(f"NOT EXISTS ({left_out})")
    return Wanted(visible(sql, actor), root, match, tested)


async def count(
    raw: asyncpg.Connection, actor: Actor, registry: Registry, selection: Selection, *, cap: int | None = None
) -> int:
    """How many customers a selection means, exactly, or up to `cap`. Before the first write of the transaction.

    Raises:
        Invalid
    """
    sql = Sql(actor.tenant_id)
    wanted = where(sql, registry, actor, selection)
    async with door(raw) as found:
        return await found.count(CUSTOMERS, sql, wanted, cap=cap)
