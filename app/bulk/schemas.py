"""What goes in and out of bulk work."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from app.core.schemas import Strict, example
from app.customers.schemas import Value
from app.customers.selection import Selection
from app.customers.tags import MAX_NAME

Action = Literal[
    "set_field", "relationship", "source", "customer_type", "tier", "owner", "groups_move", "groups_add",
    "groups_remove", "tag", "untag", "share", "unshare", "delete", "restore", "purge", "to_pool", "export",
]  # fmt: skip
Status = Literal["changed", "unchanged", "skipped"]
Undone = Literal["restored", "kept"]
Names = Annotated[list[Annotated[str, Field(min_length=1, max_length=255)]], Field(min_length=1, max_length=200)]
TagNames = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=MAX_NAME)]], Field(min_length=1, max_length=200)
]


class Params(Strict):
    """What an action needs."""

    field: str | None = Field(None, max_length=200, description="set_field: a key of GET /fields.", examples=["note"])
    value: Value = Field(None, description="set_field and the lists' actions: the new value; null clears.")
    owner: str | None = Field(None, max_length=255, description="owner: username or id; null: nobody.")
    groups: Names | None = Field(None, description="groups_…: names or ids of groups.")
    tags: TagNames | None = Field(None, description="tag, untag: names; tag adds new ones for who may create tags.")
    users: Names | None = Field(None, description="share, unshare: usernames or ids of colleagues.")
    confirm: str | None = Field(None, max_length=200, description="purge: the warning, repeated.")
    columns: list[Annotated[str, Field(max_length=200)]] | None = Field(
        None, min_length=1, max_length=200, description="export: keys of GET /fields."
    )
    format: Literal["xlsx", "csv"] = Field("xlsx", description="export.")


class BulkPreviewIn(Strict):
    """An action and the customers that it would be for."""

    model_config = example({"action": "relationship", "selection": {"filter": {}}, "params": {"value": "Tiềm năng"}})

    action: Action
    selection: Selection
    params: Params = Params()


class BulkIn(BulkPreviewIn):
    """An action on many customers. A selection by filter says how many it expects."""

    model_config = example(
        {
            "action": "relationship",
            "selection": {"ids": ["01a00000-0000-7000-8000-000000000000"]},
            "expected_count": 1,
            "params": {"value": "Tiềm năng"},
        }
    )

    expected_count: int | None = Field(None, ge=0, description="409 `count_moved` if there are more or fewer.")


class SkippedOut(BaseModel):
    """Why some would be skipped."""

    code: str
    message: str
    count: int


class BulkPreviewOut(BaseModel):
    """What an action would do. `examined` is less than `count` where there are very many."""

    count: int
    examined: int
    changed: int
    unchanged: int
    skipped: list[SkippedOut]
    contracts: Annotated[int, Field(description="purge: how many contracts would go with their customers.")] = 0
    transactions: Annotated[int, Field(description="purge: how many transactions would go with their customers.")] = 0


class JobItemOut(BaseModel):
    """What a job did with one customer. Code and name are there while the caller can see the customer."""

    customer_id: UUID
    customer_code: str | None
    customer_name: str | None
    status: Status
    code: Annotated[str | None, Field(description="Why it was skipped.")]
    message: str | None
    undone: Annotated[Undone | None, Field(description="What the undo did with it.")]
    undo_code: Annotated[str | None, Field(description="Why the undo kept it as it was.")]
    undo_message: str | None


class JobItemPage(BaseModel):
    """A page of a job's customers, in the order of their ids."""

    items: list[JobItemOut]
    next_cursor: str | None
    count: int | None = None
