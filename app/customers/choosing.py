"""From a selection to its customers, fixed in the moment that they are counted."""

from dataclasses import dataclass

import asyncpg

from app.core.actor import Actor
from app.core.errors import Conflict, invalid
from app.customers import batches
from app.customers.changing import Where
from app.customers.entity import CUSTOMERS
from app.customers.registry import Registry
from app.customers.selection import Selection, where
from app.filters.search import Sql, door

__all__ = ["Choice", "CountMoved", "choose", "require_expected"]


class CountMoved(Conflict):
    """The selection holds another number of customers than the caller expected; `count` is the number now."""

    code = "count_moved"
    vi = "Số khách hàng đã thay đổi: hiện có {count}, không phải {expected}. Vui lòng kiểm tra lại"
    en = "The selection now holds {count} customers, not {expected}; please look again"


@dataclass(frozen=True)
class Choice:
    """The chosen ids in parts, as texts of arrays, and how many there are."""

    parts: list[str]
    count: int
    by_ids: bool


async def choose(
    raw: asyncpg.Connection, registry: Registry, actor: Actor, selection: Selection, live: Where, expected: int | None
) -> Choice:
    """The customers of a selection: ids as they were given, or whom the filter finds now. Before the first write of
    the transaction, because a filter goes through the search door.

    Raises:
        Invalid: the selection or its filter is wrong, or a filter came without the expected count.
        CountMoved: there are more or fewer than expected.
    """
    sql = Sql(actor.tenant_id)
    wanted = where(sql, registry, actor, selection, deleted=live == "trash")
    if selection.ids is not None:
        chosen = set(selection.ids) - set(selection.exclude)
        found = Choice(batches.cut(list(chosen)), len(chosen), by_ids=True)
    else:
        async with door(raw) as opened:
            rows = await opened.every(CUSTOMERS, sql, wanted, size=batches.PART)
        found = Choice([row[1] for row in rows], sum(row[0] for row in rows), by_ids=False)
    if expected is not None and expected != found.count:
        raise CountMoved(count=found.count, expected=expected, extra={"count": found.count})
    return found


def require_expected(selection: Selection, expected: int | None) -> None:
    """A filter says how many it is expected to find: whoever acts on “all” has seen how many that are.

    Raises:
        Invalid
    """
    if selection.ids is None and expected is None:
        raise invalid("expected_count", "required", "Cần expected_count khi chọn theo bộ lọc",
                      "A selection by filter needs expected_count")  # fmt: skip
