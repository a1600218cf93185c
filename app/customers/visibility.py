"""Which customers a caller may see: one predicate, used by every way to a customer."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from app.core.actor import Actor
from app.filters.search import Sql, Way

EVERYBODY: Final = "customers.view_all"
# So many colleagues' lists are merged; the rows of more are tested one after another.
MERGED: Final = 50


def visible(sql: Sql, actor: Actor, alias: str = "c") -> str:
    """The predicate for the caller, in brackets: everybody's customers; or their own, those of the common pool, and
    those shared with them. An API key's own customers are its maker's.

    It is the caller's right and nothing else: deleted customers are a matter of the call.
    """
    if actor.may(EVERYBODY):
        return "(true)"
    me = sql.arg(actor.person)
    return f"({_own(sql, actor, alias, me)} OR {alias}.in_pool OR {_shared(alias, me)})"


def ways(sql: Sql, actor: Actor, alias: str = "c") -> list[Way]:
    """The same, divided: nobody is seen in two ways, and each has an index of its own."""
    if actor.may(EVERYBODY):
        return [Way("true")]
    me, people = sql.arg(actor.person), owners(actor)
    own = _own(sql, actor, alias, me)
    each = [f"{alias}.owner_id = {sql.arg(one)}::uuid" for one in people] if 1 < len(people) <= MERGED else [own]
    pool, apart = f"{alias}.in_pool AND ({own}) IS NOT TRUE", f"NOT {alias}.in_pool AND ({own}) IS NOT TRUE"
    return [*map(Way, each), Way(pool), Way(f"{_shared(alias, me)} AND {apart}", ordered=False)]


def owners(actor: Actor) -> list[UUID]:
    """Whose customers the caller sees as its own: its own, and those of its teams for who may see these."""
    return sorted({actor.person, *actor.colleagues} if actor.person else actor.colleagues)


def reach(alias: str, people: str, me: str) -> str:
    """The same predicate over placeholders, for statements whose arguments have their places: whose customers the
    caller sees as its own (uuid[]), and who it is."""
    return f"({alias}.owner_id = ANY({people}::uuid[]) OR {alias}.in_pool OR {_shared(alias, me)})"


def entrusted(alias: str, people: str, *, pool: bool = True) -> str:
    """Whether somebody who sees a customer may say whose it is and who else sees it: it is theirs or nobody's, or of
    the `pool`, and not only shared with them. Over a placeholder, as `reach`."""
    nobodys = f"{alias}.owner_id IS NULL"
    free = f"{nobodys} OR {alias}.in_pool" if pool else f"{nobodys} AND NOT {alias}.in_pool"
    return f"({alias}.owner_id = ANY({people}::uuid[]) OR {free})"


def may_hand_on(actor: Actor, customer: Mapping[str, Any]) -> bool:
    """The same of a customer's row."""
    own = actor.may(EVERYBODY) or customer["owner_id"] in owners(actor)
    return own or customer["in_pool"] or customer["owner_id"] is None


def of_one(sql: Sql, actor: Actor, customer_id: UUID) -> str:
    """The predicate for the live customer `c` of this id, if the caller may see it."""
    return f"c.tenant_id = $1 AND c.id = {sql.arg(customer_id)} AND c.deleted_at IS NULL AND {visible(sql, actor)}"


def _own(sql: Sql, actor: Actor, alias: str, me: str) -> str:
    if not actor.colleagues:
        return f"{alias}.owner_id = {me}::uuid"
    return f"{alias}.owner_id = ANY({sql.arg(owners(actor))}::uuid[])"


def _shared(alias: str, me: str) -> str:
    # That the array is not empty is what the index asks for.
    return f"({alias}.shared_with <> '{{}}' AND {alias}.shared_with @> ARRAY[{me}::uuid])"
