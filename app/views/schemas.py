"""What goes in and out of the calls on saved filters and views."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from app.core.errors import FieldError
from app.core.schemas import ABSENT, Strict, example
from app.customers.selection import Tree

MAX_COUNTED = 100
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
Visibility = Literal["private", "shared", "team", "workspace"]
People = Annotated[list[UUID], Field(max_length=200, description="Users it is shared with.")]
Roles = Annotated[list[UUID], Field(max_length=50, description="Roles it is shared with.")]
Teams = Annotated[list[UUID], Field(max_length=50, description="Teams it is shared with, and those below them.")]
Sort = Annotated[str, Field(max_length=80, description="A field, with - before it for descending.")]
Keys = Annotated[list[str], Field(max_length=100, description="Keys of fields, in their order.")]


class SavedFilterIn(Strict):
    """A filter to keep."""

    model_config = example(
        {"name": "Khách mới của tôi", "filter": {"and": [
            {"field": "owner", "op": "eq", "value": "me"},
            {"field": "created_at", "op": "in_last_days", "value": 7}]}}
    )  # fmt: skip

    name: Name
    filter: Tree = None
    visibility: Annotated[
        Visibility,
        Field(
            description="For others only with the permission to share. `team`: whoever is in a team of the maker's or "
            "below one; `shared`: the named users, roles and teams."
        ),
    ] = "private"
    users: People = []
    roles: Roles = []
    teams: Teams = []
    sort: Sort | None = None


class SavedFilterPatch(Strict):
    """Changes of a saved filter."""

    model_config = example({"name": "Khách mới tuần này"})

    name: Name = ABSENT
    filter: Tree = ABSENT
    visibility: Visibility = ABSENT
    users: People = ABSENT
    roles: Roles = ABSENT
    teams: Teams = ABSENT
    sort: Sort | None = ABSENT


class SavedFilterOut(BaseModel):
    """A saved filter. `problems` are there when a field or value that it names is no more."""

    id: UUID
    name: str
    filter: Annotated[Any, Field(description="The tree as it was given.")]
    sentence: Annotated[str, Field(description="What it means, in Vietnamese.")]
    problems: list[FieldError]
    visibility: Visibility
    users: list[UUID]
    roles: list[UUID]
    teams: Annotated[list[UUID], Field(description="Those that still exist.")]
    sort: str | None
    owner_id: UUID
    owner_name: str | None
    mine: bool
    created_at: datetime
    updated_at: datetime
    version: int


class SavedFilterPage(BaseModel):
    """A page of saved filters, by name."""

    items: list[SavedFilterOut]
    next_cursor: str | None
    count: int | None = None


class CountsIn(Strict):
    """Which saved filters to count."""

    model_config = example({"cap": 1001})

    ids: Annotated[list[UUID] | None, Field(max_length=MAX_COUNTED, description="All that one sees, if absent.")] = None
    cap: Annotated[int, Field(ge=1, le=10_001, description="Where a count stops.")] = 1001


class FilterCount(BaseModel):
    """How many customers a saved filter finds for the caller; null with the problem if it no longer means anything."""

    id: UUID
    count: int | None
    capped: bool
    problem: FieldError | None = None


class CountsOut(BaseModel):
    """The counts of those saved filters that the caller may see."""

    counts: list[FilterCount]


class ViewIn(Strict):
    """What to show: null for what the workspace shows, and there for what the product does."""

    model_config = example({"filters": ["owner", "source"], "columns": ["code", "name"], "sort": "-created_at"})

    filters: Keys | None = None
    columns: Keys | None = None
    sort: Sort | None = None


class ViewField(BaseModel):
    """A field that can be shown."""

    key: str
    label: str


class ViewPart(BaseModel):
    """Fields in the order they are shown (Thông tin hiển thị), and the others (Thông tin khác)."""

    shown: list[ViewField]
    others: list[ViewField]
    origin: Annotated[Literal["mine", "workspace", "product"], Field(description="Who chose this.")]


class ViewOut(BaseModel):
    """The filter bar and the columns of the customer list."""

    filters: ViewPart
    columns: ViewPart
    sort: str
    version: int
