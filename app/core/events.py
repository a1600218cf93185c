"""Events: every change that a person could ask about, one append-only row in the change's own transaction.

Timeline, audit trail, webhooks, notifications and KPI read these rows; nothing else keeps history.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, Text, insert
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app.core.actor import Actor
from app.core.clock import new_id, now
from app.core.orm import TENANT, Base, TenantRow, keys

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class Event(TenantRow, Base):
    """What happened to a subject: who, what, before and after, and in which request or batch."""

    __tablename__ = "event"
    __table_args__ = (
        *keys("event"),
        Index("event_subject_ix", "tenant_id", "subject_id", "id"),
        {"info": TENANT | {"append_only": True}},
    )

    at: Mapped[datetime]
    kind: Mapped[str] = mapped_column(Text, doc="`customer.created`, `group.renamed`: subject, then a past verb")
    subject_type: Mapped[str]
    subject_id: Mapped[UUID]
    actor_kind: Mapped[str]
    actor_id: Mapped[UUID | None]
    actor_name: Mapped[str]
    request_id: Mapped[str | None]
    batch_id: Mapped[UUID | None] = mapped_column(doc="the job or import that made many such events")
    changes: Mapped[dict[str, Any]] = mapped_column(JSONB, doc="{field: [before, after]}")
    data: Mapped[dict[str, Any]] = mapped_column(JSONB, doc="facts beside the changes")


async def record(
    session: AsyncSession,
    actor: Actor,
    kind: str,
    subject_id: UUID,
    *,
    changes: Mapping[str, tuple[Any, Any]] | None = None,
    data: Mapping[str, Any] | None = None,
    batch_id: UUID | None = None,
) -> UUID:
    """Writes one event in the session's transaction and returns its id. Values must be JSON already."""
    event_id = new_id()
    await session.execute(
        insert(Event).values(
            tenant_id=actor.tenant_id,
            id=event_id,
            at=now(),
            kind=kind,
            subject_type=kind.partition(".")[0],
            subject_id=subject_id,
            actor_kind=actor.kind,
            actor_id=actor.id,
            actor_name=actor.name,
            request_id=request_id.get(),
            batch_id=batch_id,
            changes={field: list(pair) for field, pair in (changes or {}).items()},
            data=dict(data or {}),
        )
    )
    return event_id
