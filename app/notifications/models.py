"""The table of notifications."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.orm import TENANT, Base, TenantRow, keys


class Notification(TenantRow, Base):
    """Something that a user should know (thông báo), in both languages."""

    __tablename__ = "notification"
    __table_args__ = (
        *keys("notification", ("user_id", "app_user"), cascade=True),
        Index("notification_user_ix", "tenant_id", "user_id", text("id DESC")),
        Index("notification_unread_ix", "tenant_id", "user_id", postgresql_where=text("read_at IS NULL")),
        {"info": TENANT},
    )

    user_id: Mapped[UUID]
    kind: Mapped[str] = mapped_column(Text, doc="`import_finished`")
    vi: Mapped[str]
    en: Mapped[str]
    subject_type: Mapped[str]
    subject_id: Mapped[UUID | None]
    data: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    read_at: Mapped[datetime | None]
