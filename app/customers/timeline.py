"""A customer's timeline: its events, told as the eleven interaction types that sales people know."""

from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.db import driver
from app.core.errors import NotFound
from app.core.events import Event
from app.core.i18n import language
from app.core.paging import Pager
from app.customers.schemas import EventOut, EventPage
from app.customers.visibility import of_one
from app.filters.search import Sql

# FEATURES A071: exactly these eleven.
INTERACTIONS: Final[dict[str, tuple[str, str]]] = {
    "potential": ("Khách hàng tiềm năng", "Potential customer"),
    "contract_closed": ("Khách hàng chốt hợp đồng", "Contract closed"),
    "refused": ("Khách hàng từ chối", "Refused"),
    "call_in": ("Gọi đến", "Incoming call"),
    "call_out": ("Gọi đi", "Outgoing call"),
    "call_missed": ("Gọi nhỡ", "Missed call"),
    "edited": ("Chỉnh sửa khách hàng", "Edited"),
    "assigned": ("Giao sale chăm sóc", "Assigned to a sale"),
    "appointment": ("Lịch hẹn", "Appointment"),
    "created": ("Thêm mới", "Added"),
    "classified": ("Phân loại", "Classified"),
}
TYPES = tuple(INTERACTIONS)
EDITED: Final = "edited"
# Event kinds by the interaction they are told as, unless that is a plain edit; a new domain adds its kinds here.
KINDS: Final[dict[str, str]] = {
    "customer.created": "created",
    "customer.classified": "classified",
    "customer.assigned": "assigned",
    "customer.potential": "potential",
    "customer.contract_closed": "contract_closed",
    "customer.refused": "refused",
    "customer.contract_signed": "contract_closed",
    "call.incoming": "call_in",
    "call.outgoing": "call_out",
    "call.missed": "call_missed",
    "appointment.created": "appointment",
}


async def page(
    session: AsyncSession,
    actor: Actor,
    customer_id: UUID,
    *,
    kind: str | None,
    limit: int,
    cursor: str | None,
    secret: bytes,
) -> EventPage:
    """A page of the timeline, newest first.

    Raises:
        NotFound: there is no such customer for this caller.
    """
    await _require_visible(session, actor, customer_id)
    pager = Pager(secret, actor.tenant_id, customer_id, kind)
    position = pager.position(cursor)
    subjects = await _with_merged(session, actor, customer_id)
    query = select(Event).where(Event.subject_id.in_(subjects)).order_by(Event.id.desc()).limit(limit + 1)
    if kind is not None:
        if kind == EDITED:
            query = query.where(Event.kind.not_in(list(KINDS)))
        else:
            query = query.where(Event.kind.in_([event for event, told in KINDS.items() if told == kind]))
    if position:
        query = query.where(Event.id < UUID(position[0]))
    rows = list(await session.scalars(query))
    more = len(rows) > limit
    items = [_told(row) for row in rows[:limit]]
    return EventPage(items=items, next_cursor=pager.cursor([str(items[-1].id)]) if more else None)


def interaction_of(kind: str) -> str:
    """The interaction type that an event kind is told as; a change that has none of its own is an edit."""
    return KINDS.get(kind, EDITED)


async def _with_merged(session: AsyncSession, actor: Actor, customer_id: UUID) -> list[UUID]:
    """The customer and those who live on in it, for theirs is its history too."""
    raw, found, last = await driver(session), [customer_id], [customer_id]
    while last:
        rows = await raw.fetch(
            "SELECT c.id FROM crm.customer c WHERE c.tenant_id = $1 AND c.merged_into = ANY($2::uuid[]) "
            "AND c.deleted_at IS NOT NULL AND c.id <> ALL($3::uuid[])",
            actor.tenant_id, last, found,
        )  # fmt: skip
        last = [row["id"] for row in rows]
        found += last
    return found


async def _require_visible(session: AsyncSession, actor: Actor, customer_id: UUID) -> None:
    sql = Sql(actor.tenant_id)
    statement = f"SELECT 1 FROM crm.customer c WHERE {of_one(sql, actor, customer_id)}"
    if not await (await driver(session)).fetchval(statement, *sql.args):
        raise NotFound()


def _told(row: Event) -> EventOut:
    told = interaction_of(row.kind)
    vi, en = INTERACTIONS[told]
    return EventOut(
        id=row.id,
        at=row.at,
        kind=row.kind,
        type=told,
        label=vi if language.get() == "vi" else en,
        actor_kind=row.actor_kind,
        actor_id=row.actor_id,
        actor_name=row.actor_name,
        batch_id=row.batch_id,
        changes=row.changes,
        data=row.data,
    )
