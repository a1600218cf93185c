"""What the job calls answer."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

JobState = Literal["queued", "running", "paused", "succeeded", "failed", "dead", "cancelled"]


class JobErrorOut(BaseModel):
    """Why the job failed, or why it is tried again: a stable code, and the same for a person."""

    code: str
    message: str


class JobProgressOut(BaseModel):
    """How far the job is. What else a handler notes to find its place again is its own, and not shown."""

    done: int | None = None
    total: int | None = None
    counts: Annotated[dict[str, int], Field(description="What became of those done, by the kind's own words.")] = {}


class JobOut(BaseModel):
    """A piece of background work (tiến trình)."""

    id: UUID
    kind: Annotated[str, Field(examples=["imports.run"])]
    state: JobState
    asked: Annotated[Literal["pause", "cancel"] | None, Field(description="What it will do at its next checkpoint.")]
    stoppable: Annotated[bool, Field(description="False for work that must be done: no pause and no cancel.")]
    progress: JobProgressOut
    result: dict[str, Any]
    error: JobErrorOut | None
    subject_id: Annotated[UUID | None, Field(description="The import, export … that the job works for.")]
    created_by: UUID | None
    created_by_name: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    version: int


class JobPage(BaseModel):
    """A page of jobs, the newest first."""

    items: list[JobOut]
    next_cursor: str | None
