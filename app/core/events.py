"""Events: every change that a person could ask about, one append-only row in the change's own transaction.

Timeline, audit trail, webhooks, notifications and KPI read these rows; nothing else keeps history.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import Index, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app.core.actor import Actor
from app.core.clock import new_id, now
from app.core.db import driver
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


# The columns of an event in the order of `values`, with the types that their placeholders need.
COLUMNS: Final[dict[str, str]] = {
    "tenant_id": "uuid", "id": "uuid", "at": "timestamptz", "kind": "text", "subject_type": "text",
    "subject_id": "uuid", "actor_kind": "text", "actor_id": "uuid", "actor_name": "text", "request_id": "text",
    "batch_id": "uuid", "changes": "jsonb", "data": "jsonb",
}  # fmt: skip
INSERT = f"INSERT INTO crm.event ({', '.join(COLUMNS)}) VALUES ({', '.join(f'${n + 1}' for n in range(len(COLUMNS)))})"


def values(
    actor: Actor,
    kind: str,
    subject_id: UUID,
    *,
    changes: Mapping[str, tuple[Any, Any]] | None = None,
    data: Mapping[str, Any] | None = None,
    batch_id: UUID | None = None,
) -> tuple[Any, ...]:
    """The values of one event, for a statement that writes it together with what it tells of."""
    return (
        actor.tenant_id, new_id(), now(), kind, kind.partition(".")[0], subject_id, actor.kind, actor.id, actor.name,
        request_id.get(), batch_id, _json(changes), _json(data),
    )  # fmt: skip


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
    row = values(actor, kind, subject_id, changes=changes, data=data, batch_id=batch_id)
    await (await driver(session)).execute(INSERT, *row)
    event_id: UUID = row[1]
    return event_id


async def record_all(session: AsyncSession, actor: Actor, kind: str, data: Mapping[UUID, Mapping[str, Any]]) -> None:
    """Writes one event of this kind for each of some subjects, with the facts of each, in one go."""
    rows = [values(actor, kind, subject_id, data=facts) for subject_id, facts in data.items()]
    await (await driver(session)).executemany(INSERT, rows)


def _json(value: Mapping[str, Any] | None) -> str:
    return msgspec.json.encode(value or {}, enc_hook=str).decode()
