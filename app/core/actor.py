"""Who acts: the one thing that permissions, visibility, events and idempotency ask about."""

from dataclasses import dataclass, field
from typing import Literal
from uuid import UUID

from app.core.errors import Forbidden

ActorKind = Literal["user", "api_key", "import", "rule", "provider", "system"]


@dataclass(frozen=True, slots=True)
class Actor:
    """A user or an API key within one workspace, or a part of the system acting there."""

    tenant_id: UUID
    kind: ActorKind
    id: UUID
    name: str
    permissions: frozenset[str] = field(default_factory=frozenset)
    session_id: UUID | None = None

    def may(self, permission: str) -> bool:
        """Whether the actor holds a named permission."""
        return permission in self.permissions

    def require(self, permission: str) -> None:
        """Raises Forbidden unless the actor holds the permission."""
        if permission not in self.permissions:
            raise Forbidden(permission=permission)
