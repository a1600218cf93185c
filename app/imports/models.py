"""The tables of imports: the upload, what became of each of its rows, and the staging table of the merge."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    Boolean,
    Column,
    Date,
    DateTime,
    Index,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from app.core.orm import STAGING, TENANT, Base, TenantRow, Versioned, keys
from app.customers.models import DATE_SLOTS, NUMBER_SLOTS, TEXT_SLOTS


class Import(TenantRow, Versioned, Base):
    """An uploaded table and what was done with it (lần nhập khách hàng)."""

    __tablename__ = "import"
    __table_args__ = (
        *keys("import"),
        Index("import_recent_ix", "tenant_id", text("created_at DESC"), text("id DESC")),
        Index(
            "import_content_ix",
            "tenant_id",
            "content_key",
            postgresql_where=text("content_key IS NOT NULL AND files_deleted_at IS NULL"),
        ),
        {"info": TENANT},
    )

    state: Mapped[str] = mapped_column(Text, doc="see `queries.state_of` for what a live job adds to it")
    activity: Mapped[str] = mapped_column(Text, doc="what the job does or did: read, dry_run, run, undo")
    file_name: Mapped[str] = mapped_column(Text, doc="as the uploader's machine called it; data only")
    file_size: Mapped[int]
    content_key: Mapped[str | None] = mapped_column(Text, doc="names what reading the file gives: see `reading_job`")
    language: Mapped[str] = mapped_column(Text, doc="the uploader's, in which rows are explained")
    workbook: Mapped[dict[str, Any] | None] = mapped_column(JSONB, doc="what reading found: sheets, columns, warnings")
    choices: Mapped[dict[str, Any] | None] = mapped_column(JSONB, doc="the checked choices of the last start")
    counts: Mapped[dict[str, Any]]
    undo_counts: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    job_id: Mapped[UUID | None]
    runs: Mapped[int] = mapped_column(Integer, doc="starts and undos so far; names the result file")
    written: Mapped[bool] = mapped_column(Boolean, doc="whether a row has reached the customers")
    created_by: Mapped[UUID | None]
    created_by_kind: Mapped[str]
    created_by_name: Mapped[str]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    files_deleted_at: Mapped[datetime | None]


class ImportRow(Base):
    """What became of one row of the file.

    No foreign key to the import: it would be checked row by row, and imports are never deleted alone.
    """

    __tablename__ = "import_row"
    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "import_id", "n", name="import_row_pk"),
        Index(
            "import_row_refused_ix",
            "tenant_id",
            "import_id",
            "status",
            "n",
            postgresql_where=text("status IN ('failed', 'skipped')"),
        ),
        Index("import_row_first_ix", "tenant_id", "import_id", "first_n", postgresql_where=text("first_n IS NOT NULL")),
        {"info": TENANT},
    )

    tenant_id: Mapped[UUID]
    import_id: Mapped[UUID]
    n: Mapped[int] = mapped_column(Integer, doc="the row's number as the spreadsheet shows it")
    status: Mapped[str] = mapped_column(Text, doc="created, updated, unchanged, skipped, failed")
    customer_id: Mapped[UUID | None]
    first_n: Mapped[int | None] = mapped_column(Integer, doc="the first row of the file with the same phone")
    errors: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB, doc="field, code, message, value")
    before: Mapped[dict[str, Any] | None] = mapped_column(JSONB, doc="columns as they were before an update")
    version_after: Mapped[int | None]
    undone: Mapped[str | None] = mapped_column(Text, doc="removed, restored, kept")


# Rows of one chunk on their way into the customers. They are written, read and deleted within one transaction, so
# nobody ever sees another's; row-level security would forbid the COPY.
staging = Table(
    "import_staging",
    Base.metadata,
    Column("tenant_id", Uuid, nullable=False),
    Column("import_id", Uuid, nullable=False),
    Column("n", Integer, nullable=False),
    Column("id", Uuid, doc="of the customer, if one is created, and of the event"),
    Column("action", Text, nullable=False, doc="write, fold, echo, skipped, failed"),
    Column("first_n", Integer),
    Column("leader_n", Integer, doc="of a fold: the row of this chunk that its values went into"),
    Column("errors", JSONB),
    Column("changes", JSONB, doc="of the event, if a customer is created"),
    Column("words", TSVECTOR),
    Column("phone_tail", Text),
    Column("name", Text),
    Column("phone", Text),
    Column("phone_typed", Text),
    Column("email", Text),
    Column("birthday", Date),
    Column("province", Text),
    Column("province_typed", Text),
    Column("gender", Text),
    Column("address", Text),
    Column("source_id", Uuid),
    Column("customer_type_id", Uuid),
    Column("company_name", Text),
    Column("tax_code", Text),
    Column("position", Text),
    Column("note", Text),
    Column("relationship_id", Uuid),
    Column("owner_id", Uuid),
    Column("group_nos", ARRAY(Integer)),
    Column("tag_nos", ARRAY(Integer)),
    Column("tier_id", Uuid),
    Column("attributes", JSONB),
    Column("uniques", JSONB, doc="{attribute id: value} of unique attributes"),
    Column("kind", Text),
    Column("fax", Text),
    Column("registered_address", Text),
    Column("office_address", Text),
    Column("country", Text),
    Column("district", Text),
    Column("ward", Text),
    Column("website", Text),
    Column("founded_on", Date),
    Column("referrer_user_id", Uuid),
    Column("contact_id", Uuid, doc="of the row's contact, if it names one; the next of the event that tells of it"),
    Column("contact_event_id", Uuid),
    Column("contact_name", Text),
    Column("contact_phone", Text),
    Column("contact_tail", Text),
    Column("contact_email", Text),
    Column("contact_position", Text),
    *(Column(slot, Text) for slot in TEXT_SLOTS),
    *(Column(slot, Numeric) for slot in NUMBER_SLOTS),
    *(Column(slot, DateTime(timezone=True)) for slot in DATE_SLOTS),
    PrimaryKeyConstraint("tenant_id", "import_id", "n", name="import_staging_pk"),
    info=STAGING,
    prefixes=["UNLOGGED"],
)

COUNTERS = ("rows", "created", "updated", "unchanged", "skipped", "failed")
NO_COUNTS: dict[str, int] = dict.fromkeys(COUNTERS, 0)
