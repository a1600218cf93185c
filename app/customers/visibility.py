"""Which customers a caller may see: one predicate, used by every way to a customer."""

from app.core.actor import Actor
from app.filters.search import Sql


def visible(sql: Sql, actor: Actor, alias: str = "c") -> str:
    """The predicate for the caller: everybody's customers, or one's own.

    It is the caller's right and nothing else: deleted customers are a matter of the call.
    """
    if actor.may("customers.view_all"):
        return "true"
    return f"{alias}.owner_id = {sql.arg(actor.id)}::uuid"
