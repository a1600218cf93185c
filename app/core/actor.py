"""Who acts: the one thing that permissions, visibility, events and idempotency ask about."""

from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from app.core.clock import NIL
from app.core.errors import Forbidden

ActorKind = Literal["user", "api_key", "import", "rule", "provider", "system"]


@dataclass(frozen=True, slots=True)
class Actor:
    """A user or an API key within one workspace, or a part of the system acting there. A key has a `maker`.

    `colleagues` are the people of the teams that the actor (a key's maker) is in, and of those below. They are known
    only of who sees the team's customers and not everybody's.
    """

    tenant_id: UUID
    kind: ActorKind
    id: UUID
    name: str
    permissions: frozenset[str] = field(default_factory=frozenset)
    session_id: UUID | None = None
    maker: UUID | None = None
    colleagues: frozenset[UUID] = frozenset()

    @property
    def person(self) -> UUID | None:
        """The user whose customers the actor sees as its own: itself, or who made the key."""
        return self.id if self.kind == "user" else self.maker

    def may(self, permission: str) -> bool:
        """Whether the actor holds a named permission."""
        return permission in self.permissions

    def require(self, permission: str) -> None:
        """Raises Forbidden unless the actor holds the permission."""
        if permission not in self.permissions:
            raise Forbidden(permission=permission)


def system_actor(tenant_id: UUID) -> Actor:
    """The product itself in a workspace: its housekeeping, and the operator's commands."""
    return Actor(tenant_id=tenant_id, kind="system", id=NIL, name="chot")
