"""What goes in and out of exports."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from app.core.schemas import Strict, example
from app.customers.selection import Selection

Format = Literal["xlsx", "csv"]


class ExportIn(Strict):
    """Which customers, and which of their fields."""

    model_config = example({"selection": {"filter": {}}, "columns": ["name", "phone", "owner"], "format": "xlsx"})

    selection: Selection
    columns: list[Annotated[str, Field(max_length=200)]] | None = Field(
        None, min_length=1, max_length=200, description="Keys of GET /fields, in order; the caller's view if absent."
    )
    format: Format = "xlsx"


class ExportOut(BaseModel):
    """An export."""

    id: UUID
    job_id: UUID
    state: Annotated[str, Field(description="That of its job.", examples=["succeeded"])]
    format: Format
    columns: list[str]
    masked: Annotated[bool, Field(description="Whether phones are hidden: without the permission to see them.")]
    total: int
    rows: int | None
    file_url: Annotated[str | None, Field(description="A link that needs no sign-in; it works for 15 minutes.")]
    expires_at: Annotated[datetime, Field(description="When the file is deleted.")]
    created_by: UUID
    created_by_name: str
    created_at: datetime
    version: int
