"""Which customers a caller may see: one predicate, used by every way to a customer."""

from uuid import UUID

from app.core.actor import Actor
from app.filters.search import Sql, Way

EVERYBODY = "customers.view_all"


def visible(sql: Sql, actor: Actor, alias: str = "c") -> str:
    """The predicate for the caller, in brackets: everybody's customers, or those of `ways`.

    It is the caller's right and nothing else: deleted customers are a matter of the call.
    """
    return f"({' OR '.join(way.predicate for way in ways(sql, actor, alias))})"


def ways(sql: Sql, actor: Actor, alias: str = "c") -> list[Way]:
    """The ways in which the caller comes to see a customer, any of which will do, each with an index of its own; an API
    key's own customers are its maker's."""
    if actor.may(EVERYBODY):
        return [Way("true")]
    me = sql.arg(actor.person)
    own = f"{alias}.owner_id = {me}::uuid"
    if actor.colleagues:
        own = f"{alias}.owner_id = ANY({sql.arg(owners(actor))}::uuid[])"
    return [Way(own), *_others(alias, me)]


def owners(actor: Actor) -> list[UUID]:
    """Whose customers the caller sees as its own: its own, and those of its teams for who may see these."""
    return sorted({actor.person, *actor.colleagues} if actor.person else actor.colleagues)


def reach(alias: str, owners: str, me: str) -> str:
    """The same predicate over placeholders, for statements whose arguments have their places: whose customers the
    caller sees as its own (uuid[]), and who it is."""
    others = (way.predicate for way in _others(alias, me))
    return f"({' OR '.join([f'{alias}.owner_id = ANY({owners}::uuid[])', *others])})"


def of_one(sql: Sql, actor: Actor, customer_id: UUID) -> str:
    """The predicate for the live customer `c` of this id, if the caller may see it."""
    return f"c.tenant_id = $1 AND c.id = {sql.arg(customer_id)} AND c.deleted_at IS NULL AND {visible(sql, actor)}"


def _others(alias: str, me: str) -> list[Way]:
    """Customers of the common pool, and those that are shared with the caller."""
    # That the array is not empty is what the index asks for.
    shared = f"({alias}.shared_with <> '{{}}' AND {alias}.shared_with @> ARRAY[{me}::uuid])"
    return [Way(f"{alias}.in_pool"), Way(shared, ordered=False)]
