"""Telling users what happened while they did something else."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from sqlalchemy import CursorResult, Row, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.clock import id_at, new_id, now
from app.core.db import tenant_of
from app.core.errors import NotFound
from app.core.i18n import language
from app.core.paging import Pager
from app.notifications.models import Notification
from app.notifications.schemas import NotificationOut, NotificationPage, ReadOut

__all__ = ["notify", "page", "purge", "read", "read_all"]

# One that nobody reads is of no use for ever either.
READ_KEPT = timedelta(days=90)
UNREAD_KEPT = timedelta(days=365)

COLUMNS = (
    *(Notification.id, Notification.kind, Notification.vi, Notification.en, Notification.subject_type),
    *(Notification.subject_id, Notification.data, Notification.created_at, Notification.read_at),
)


async def notify(
    session: AsyncSession,
    user_id: UUID,
    kind: str,
    *,
    vi: str,
    en: str,
    subject_type: str,
    subject_id: UUID | None = None,
    data: Mapping[str, Any] | None = None,
) -> UUID:
    """Leaves a notification for a user in the session's transaction."""
    notification_id = new_id()
    await session.execute(
        insert(Notification).values(
            tenant_id=tenant_of(session),
            id=notification_id,
            user_id=user_id,
            kind=kind,
            vi=vi,
            en=en,
            subject_type=subject_type,
            subject_id=subject_id,
            data=dict(data or {}),
            created_at=now(),
        )
    )
    return notification_id


async def page(
    session: AsyncSession, actor: Actor, *, unread: bool, limit: int, cursor: str | None, secret: bytes
) -> NotificationPage:
    """The caller's notifications, the newest first, and how many are unread."""
    pager = Pager(secret, actor.tenant_id, actor.id, "notifications", unread)
    position = pager.position(cursor)
    query = select(*COLUMNS).where(Notification.user_id == actor.id).order_by(Notification.id.desc())
    if unread:
        query = query.where(Notification.read_at.is_(None))
    if position:
        query = query.where(Notification.id < UUID(position[0]))
    rows = (await session.execute(query.limit(limit + 1))).all()
    items = [_out(row) for row in rows[:limit]]
    return NotificationPage(
        items=items,
        next_cursor=pager.cursor([str(items[-1].id)]) if len(rows) > limit else None,
        unread=await _unread(session, actor),
    )


async def read(session: AsyncSession, actor: Actor, notification_id: UUID) -> NotificationOut:
    """Marks one as read; one that is read already stays as it is.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    mine = (Notification.id == notification_id, Notification.user_id == actor.id)
    await session.execute(update(Notification).where(*mine, Notification.read_at.is_(None)).values(read_at=now()))
    row = (await session.execute(select(*COLUMNS).where(*mine))).one_or_none()
    if row is None:
        raise NotFound()
    return _out(row)


async def read_all(session: AsyncSession, actor: Actor) -> ReadOut:
    """Marks all of the caller's as read."""
    unread = (Notification.user_id == actor.id, Notification.read_at.is_(None))
    marked = cast("CursorResult[Any]", await session.execute(update(Notification).where(*unread).values(read_at=now())))
    return ReadOut(marked=marked.rowcount)


async def purge(session: AsyncSession, limit: int) -> int:
    """Deletes up to so many of the workspace's notifications whose time is over; answers how many."""
    moment = now()
    # The primary key is in the order of time, so that only the old ones are looked at.
    old = (
        select(Notification.id)
        .where(
            Notification.id < id_at(moment - min(READ_KEPT, UNREAD_KEPT)),
            or_(Notification.read_at < moment - READ_KEPT, Notification.id < id_at(moment - UNREAD_KEPT)),
        )
        .order_by(Notification.id)
        .limit(limit)
    )
    gone = await session.scalars(delete(Notification).where(Notification.id.in_(old)).returning(Notification.id))
    return len(gone.all())


async def _unread(session: AsyncSession, actor: Actor) -> int:
    counted = await session.scalar(
        select(func.count()).where(Notification.user_id == actor.id, Notification.read_at.is_(None))
    )
    return counted or 0


def _out(row: Row[Any]) -> NotificationOut:
    return NotificationOut(
        id=row.id,
        kind=row.kind,
        message=row.vi if language.get() == "vi" else row.en,
        subject_type=row.subject_type,
        subject_id=row.subject_id,
        data=row.data,
        created_at=row.created_at,
        read_at=row.read_at,
    )
