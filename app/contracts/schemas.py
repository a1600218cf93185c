"""What goes in and out of the calls about contracts."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field

from app.core.schemas import ABSENT, Strict, example
from app.core.validation import wrong
from app.core.vietnam import text as vn

State = Literal["draft", "active", "finished", "cancelled"]
CUSTOMER_ID = "01a201d5-4bd6-720a-ac95-3ee821c9d87d"


def _one_line(value: str) -> str:
    cleaned = vn.clean(value)
    if not cleaned:
        raise wrong("missing", "Bắt buộc nhập", "This is required")
    return cleaned


Number = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_one_line)]
Name = Annotated[str, Field(max_length=255), AfterValidator(vn.clean)]
Note = Annotated[str, Field(max_length=5000), AfterValidator(vn.clean_multiline)]
Value = Annotated[int, Field(ge=0, le=10**15, description="VND")]
Day = Annotated[date, Field(ge=date(1900, 1, 1), le=date(2200, 12, 31))]
MoveToSigned = Annotated[bool, Field(description="Chuyển khách hàng vào nhóm đã kí.")]


class ContractIn(Strict):
    """A contract to add (hợp đồng)."""

    model_config = example(
        {
            "customer_id": CUSTOMER_ID, "number": "HD-2026/015", "value": 120000000, "signed_on": "2026-11-20",
            "move_to_signed": True,
        }
    )  # fmt: skip

    customer_id: UUID
    number: Annotated[Number, Field(description="Unique in the workspace, whatever its case.")]
    value: Value
    name: Name = ""
    state: State = "active"
    signed_on: Day | None = None
    starts_on: Day | None = None
    ends_on: Day | None = None
    move_to_signed: MoveToSigned = False
    note: Note = ""


class ContractPatch(Strict):
    """Changes of a contract: absent stays. Its customer never changes."""

    model_config = example({"state": "finished"})

    number: Number = ABSENT
    value: Value = ABSENT
    name: Name = ABSENT
    state: State = ABSENT
    signed_on: Day | None = ABSENT
    starts_on: Day | None = ABSENT
    ends_on: Day | None = ABSENT
    move_to_signed: MoveToSigned = ABSENT
    note: Note = ABSENT


class ContractOut(BaseModel):
    """A contract."""

    id: UUID
    customer_id: UUID
    customer_name: str
    number: str
    name: str
    value: Annotated[int, Field(description="VND")]
    state: State
    signed_on: date | None
    starts_on: date | None
    ends_on: date | None
    move_to_signed: bool
    note: str
    created_by: UUID | None
    created_at: datetime
    updated_at: datetime
    version: int


class ContractPage(BaseModel):
    """A page of contracts, newest first."""

    items: list[ContractOut]
    next_cursor: str | None
    count: int | None = None
