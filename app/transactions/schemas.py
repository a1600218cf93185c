"""What goes in and out of the calls about transactions."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field

from app.core.schemas import ABSENT, Strict, example
from app.core.validation import wrong
from app.core.vietnam import text as vn

State = Literal["not_started", "in_progress", "completed"]
TYPE_ID = "01a201d5-4bd6-720a-ac95-3ee821c9d87d"
CUSTOMER_ID = "01a201d5-4bd6-720a-ac95-3ee821c9d87e"


def _one_line(value: str) -> str:
    cleaned = vn.clean(value)
    if not cleaned:
        raise wrong("missing", "Bắt buộc nhập", "This is required")
    return cleaned


Name = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_one_line)]
Description = Annotated[str, Field(max_length=5000), AfterValidator(vn.clean_multiline)]
Points = Annotated[int, Field(ge=-10_000, le=10_000, description="What a completed one adds to the customer's score.")]
Position = Annotated[int, Field(ge=0, le=100_000, description="Smaller comes first.")]
StateIs = Annotated[State, Field(description="Chưa thực hiện, đang thực hiện, đã hoàn thành.")]


class QuickTransactionIn(Strict):
    """A transaction to add from a customer's row (thêm giao dịch nhanh)."""

    model_config = example({"name": "Gặp tại văn phòng", "description": "Giới thiệu gói mới", "type_id": TYPE_ID})

    name: Name
    type_id: UUID
    description: Description = ""


class TransactionIn(Strict):
    """A transaction to add."""

    model_config = example(
        {"customer_id": CUSTOMER_ID, "name": "Gặp tại văn phòng", "type_id": TYPE_ID, "state": "completed"}
    )

    customer_id: UUID
    name: Name
    type_id: UUID
    description: Description = ""
    state: StateIs = "not_started"


class TransactionPatch(Strict):
    """Changes of a transaction: absent stays. Its customer never changes."""

    model_config = example({"state": "completed"})

    name: Name = ABSENT
    type_id: UUID = ABSENT
    description: Description = ABSENT
    state: StateIs = ABSENT


class TransactionOut(BaseModel):
    """A transaction (giao dịch)."""

    id: UUID
    customer_id: UUID
    customer_name: str
    name: str
    description: str
    type_id: UUID
    type: Annotated[str, Field(description="The type's name.", examples=["Gặp mặt"])]
    state: State
    completed_at: datetime | None
    created_by: UUID | None
    created_at: datetime
    updated_at: datetime
    version: int


class TransactionPage(BaseModel):
    """A page of transactions, newest first."""

    items: list[TransactionOut]
    next_cursor: str | None
    count: int | None = None


class TypeIn(Strict):
    """A type of transactions to add."""

    model_config = example({"name": "Gặp mặt", "points": 10})

    name: Annotated[Name, Field(max_length=100)]
    points: Points = 0
    position: Annotated[int | None, Field(ge=0, le=100_000, description="After all others if absent.")] = None
    active: Annotated[bool, Field(description="Whether people can choose it.")] = True


class TypePatch(Strict):
    """Changes of a type: absent stays."""

    model_config = example({"points": 15})

    name: Annotated[Name, Field(max_length=100)] = ABSENT
    points: Points = ABSENT
    position: Position = ABSENT
    active: bool = ABSENT


class TypeOut(BaseModel):
    """A type of transactions (loại giao dịch)."""

    id: UUID
    name: str
    points: int
    position: int
    active: bool
    created_at: datetime
    updated_at: datetime
    version: int


class TypePage(BaseModel):
    """All types, in order; there is no further page."""

    items: list[TypeOut]
    next_cursor: str | None
    count: int
