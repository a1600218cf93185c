"""An export: which customers, which columns, for whom, and until when its file is kept."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, Index, Integer, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.core.orm import TENANT, Base, TenantRow, Versioned, keys


class Export(TenantRow, Versioned, Base):
    """A file of customers that somebody took."""

    __tablename__ = "export"
    __table_args__ = (
        *keys("export"),
        Index("export_kept_ix", "tenant_id", "expires_at", postgresql_where=text("file_deleted_at IS NULL")),
        {"info": TENANT},
    )

    format: Mapped[str] = mapped_column(Text, doc="xlsx or csv")
    columns: Mapped[list[str]] = mapped_column(ARRAY(Text), doc="keys of fields")
    masked: Mapped[bool] = mapped_column(Boolean, doc="whether phones were hidden")
    selection: Mapped[dict[str, Any]] = mapped_column(doc="the filter, or how many ids")
    language: Mapped[str]
    total: Mapped[int] = mapped_column(doc="customers that were chosen")
    parts: Mapped[int] = mapped_column(Integer)
    job_id: Mapped[UUID]
    rows: Mapped[int | None] = mapped_column(doc="customers in the file")
    ready_at: Mapped[datetime | None]
    expires_at: Mapped[datetime]
    file_deleted_at: Mapped[datetime | None]
    created_by: Mapped[UUID]
    created_by_kind: Mapped[str]
    created_by_name: Mapped[str]
