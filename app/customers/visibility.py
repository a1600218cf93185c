"""Which customers a caller may see: one predicate, used by every way to a customer."""

from uuid import UUID

from app.core.actor import Actor
from app.filters.search import Sql


def visible(sql: Sql, actor: Actor, alias: str = "c") -> str:
    """The predicate for the caller: everybody's customers, or one's own; an API key's own are its maker's.

    It is the caller's right and nothing else: deleted customers are a matter of the call.
    """
    if actor.may("customers.view_all"):
        return "true"
    return f"{alias}.owner_id = {sql.arg(actor.person)}::uuid"


def of_one(sql: Sql, actor: Actor, customer_id: UUID) -> str:
    """The predicate for the live customer `c` of this id, if the caller may see it."""
    return f"c.tenant_id = $1 AND c.id = {sql.arg(customer_id)} AND c.deleted_at IS NULL AND {visible(sql, actor)}"
