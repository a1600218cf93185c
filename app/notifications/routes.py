"""Notifications over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from app.core.paging import Cursor, Limit
from app.core.work import CurrentWork, Route, Session
from app.identity.access import SignedInUser
from app.notifications import service
from app.notifications.schemas import NotificationOut, NotificationPage, ReadOut

router = APIRouter(prefix="/notifications", tags=["notifications"], route_class=Route)


@router.get("", summary="List one's own notifications")
async def list_notifications(
    actor: SignedInUser,
    session: Session,
    work: CurrentWork,
    unread: Annotated[bool, Query(description="Only those that are not read yet.")] = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> NotificationPage:
    """The newest first."""
    secret = work.resources.settings.secret
    return await service.page(session, actor, unread=unread, limit=limit, cursor=cursor, secret=secret)


@router.post("/{notification_id}/read", summary="Mark a notification as read")
async def read_notification(actor: SignedInUser, session: Session, notification_id: UUID) -> NotificationOut:
    """Again is no error."""
    return await service.read(session, actor, notification_id)


@router.post("/read-all", summary="Mark all notifications as read")
async def read_all_notifications(actor: SignedInUser, session: Session) -> ReadOut:
    """All of the caller's own."""
    return await service.read_all(session, actor)
