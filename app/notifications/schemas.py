"""What the notification calls answer."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, Field


class NotificationOut(BaseModel):
    """Something that the user should know (thông báo)."""

    id: UUID
    kind: Annotated[str, Field(examples=["import_finished"])]
    message: Annotated[str, Field(examples=["Import kết thúc: khach.xlsx – 120 thêm mới, 3 cập nhật"])]
    subject_type: str
    subject_id: UUID | None
    data: dict[str, Any]
    created_at: datetime
    read_at: datetime | None


class NotificationPage(BaseModel):
    """A page of notifications, the newest first; `unread` counts all of the caller's unread ones."""

    items: list[NotificationOut]
    next_cursor: str | None
    unread: int


class ReadOut(BaseModel):
    """How many notifications became read."""

    marked: int
