"""What goes in and out of the import calls."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.imports.plan import OnDuplicate

State = Literal[
    "reading", "ready", "queued", "running", "paused", "succeeded", "failed", "cancelled", "undone"
]  # fmt: skip
Activity = Literal["read", "dry_run", "run", "undo"]
RowStatus = Literal["created", "updated", "skipped", "failed", "removed", "restored", "kept"]
Text = Annotated[str, StringConstraints(max_length=255)]


class GroupChoice(BaseModel):
    """The group that every customer of the file joins: an existing one by id, or a new one by name."""

    model_config = ConfigDict(extra="forbid")

    id: UUID | None = None
    name: Text | None = None


class StartIn(BaseModel):
    """How to import the file. Nothing is required: what is absent follows the preview's proposal."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "start_row": 2,
                "mapping": {"name": 1, "phone": "C", "email": 5},
                "group": {"name": "Khách hội thảo"},
                "on_duplicate": "update",
            }
        },
    )

    sheet: Annotated[
        int | Text | None,
        Field(description="The sheet's number, from 1, or its name; required where several sheets hold customers."),
    ] = None
    start_row: Annotated[int | None, Field(ge=1, le=1_048_576, description="The first row of data.")] = None
    mapping: Annotated[
        dict[Annotated[str, StringConstraints(max_length=100)], int | Annotated[str, StringConstraints(max_length=10)]]
        | None,
        Field(max_length=300, description="{field: column}; a column is its number from 1 or its letters."),
    ] = None
    group: GroupChoice | None = None
    owner: Annotated[Text | None, Field(description="In charge of new customers; who imports, if absent.")] = None
    on_duplicate: Annotated[
        OnDuplicate, Field(description="What a row does whose phone number an existing customer has.")
    ] = "update"
    on_duplicate_in_file: Annotated[
        OnDuplicate | None, Field(description="The same for an earlier row of the file; as on_duplicate if absent.")
    ] = None
    empty_cells: Annotated[
        Literal["keep", "clear"], Field(description="Whether an empty cell leaves a customer's value or clears it.")
    ] = "keep"
    dry_run: Annotated[bool, Field(description="Only tell what would happen, row by row.")] = False


class NoticeOut(BaseModel):
    """Something to know about the file."""

    code: str
    message: str
    params: dict[str, Any]


class SuggestionOut(BaseModel):
    """The field that a column seems to hold."""

    field: str
    label: str
    confidence: Annotated[float, Field(description="From 0 to 1; 1 is the field's own name.")]


class ColumnOut(BaseModel):
    """A column of the file."""

    number: int
    letter: str
    header: str
    samples: list[str]
    kind: Annotated[str, Field(description="What the cells look like: text, phone, email, date, integer …")]
    suggestion: SuggestionOut | None


class SheetOut(BaseModel):
    """A sheet of the file. Hidden sheets are named and not read."""

    number: int
    name: str
    visible: bool
    rows: Annotated[int, Field(description="Rows that are not blank, the header among them.")]
    header_row: int | None
    first_data_row: int | None
    columns: list[ColumnOut]
    warnings: list[NoticeOut]


class ProposalOut(BaseModel):
    """What a start without choices would do; `missing` are required fields that no column was found for."""

    sheet: int
    start_row: int
    mapping: dict[str, int]
    missing: list[str]


class PreviewOut(BaseModel):
    """What reading found."""

    format: Literal["xlsx", "csv"]
    encoding: str | None
    delimiter: str | None
    sheets: list[SheetOut]
    warnings: list[NoticeOut]
    proposal: ProposalOut


class CountsOut(BaseModel):
    """Rows by what became of them: rows = created + updated + skipped + failed. `unchanged` is a part of updated."""

    rows: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: int = 0
    failed: int = 0


class UndoCountsOut(BaseModel):
    """Customers by what the undo did with them: those `kept` could not be taken back; their rows say why."""

    removed: int
    restored: int
    kept: int


class ProgressOut(BaseModel):
    """Rows done, of how many."""

    done: int
    total: int


class FailureOut(BaseModel):
    """Why the import failed."""

    code: str
    message: str


class ChoicesOut(BaseModel):
    """The choices of the last start."""

    sheet: int
    start_row: int
    mapping: dict[str, int]
    group_id: UUID | None
    group_name: str | None
    owner_id: UUID | None
    on_duplicate: OnDuplicate
    on_duplicate_in_file: OnDuplicate
    empty_cells: Literal["keep", "clear"]


class ImportOut(BaseModel):
    """An import (lần nhập khách hàng)."""

    id: UUID
    state: State
    activity: Activity
    dry_run: Annotated[bool, Field(description="The last start only told what would happen.")]
    file_name: str
    file_size: int
    counts: CountsOut
    undo_counts: UndoCountsOut | None
    progress: ProgressOut
    error: FailureOut | None
    job_id: UUID | None
    created_by: UUID | None
    created_by_name: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    version: int


class ImportDetailOut(ImportOut):
    """An import with its preview and choices."""

    preview: PreviewOut | None
    choices: ChoicesOut | None


class ImportPage(BaseModel):
    """A page of imports, the newest first."""

    items: list[ImportOut]
    next_cursor: str | None


class RowProblemOut(BaseModel):
    """Why a row, or one field of it, was refused or skipped."""

    field: str | None
    label: str | None
    column: str | None
    code: str
    message: str
    value: str | None


class RowOut(BaseModel):
    """What became of a row; `row` is its number as the spreadsheet shows it."""

    row: int
    status: Literal["created", "updated", "skipped", "failed"]
    unchanged: Annotated[bool, Field(description="The customer had all the row's values already.")]
    undone: Literal["removed", "restored", "kept"] | None
    customer_id: UUID | None
    same_phone_as_row: int | None
    errors: list[RowProblemOut]


class RowPage(BaseModel):
    """A page of rows, in the order of the file."""

    items: list[RowOut]
    next_cursor: str | None
