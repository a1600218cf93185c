"""A bulk change: what was decided when it began. Its id is that of its job, to which all its events point."""

from typing import Any
from uuid import UUID

from sqlalchemy import Integer, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.orm import TENANT, Base, TenantRow, keys


class BulkChange(TenantRow, Base):
    """What to do with each of the chosen customers."""

    __tablename__ = "bulk_change"
    __table_args__ = (*keys("bulk_change"), {"info": TENANT})

    action: Mapped[str] = mapped_column(Text)
    params: Mapped[dict[str, Any]] = mapped_column(doc="the decided assignments, in ids")
    parts: Mapped[int] = mapped_column(Integer, doc="how many parts the choice has")
    undo_job_id: Mapped[UUID | None]
