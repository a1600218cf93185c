"""What goes in and out of the customer calls."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.core.masking import Phone, PhoneTyped, WithPhonesByField, WithPhonesByName

Value = str | int | float | bool | list[str] | None
AttributeValues = Annotated[dict[str, Value], Field(max_length=200, description="The workspace's own fields by key.")]
Typed = str | None

EXAMPLE: dict[str, Any] = {
    "name": "Nguyễn Thị Hoa",
    "phone": "0912 345 678",
    "email": "hoa@example.com",
    "birthday": "1990-03-05",
    "province": "Hà Nội",
    "gender": "female",
    "source": "Facebook",
    "note": "Gọi lại chiều thứ Hai",
}


class CustomerValues(BaseModel):
    """What a customer can be given. Which fields are required is the workspace's choice: see GET /fields."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": EXAMPLE})

    name: Annotated[Typed, Field(description="Tên khách hàng")] = None
    phone: Annotated[Typed, Field(description="Any Vietnamese spelling, or a foreign number with its +code.")] = None
    email: Typed = None
    birthday: Annotated[Typed, Field(description="yyyy-mm-dd or dd/mm/yyyy")] = None
    province: Annotated[Typed, Field(description="Name, with or without accents; names before 2025 are mapped.")] = None
    gender: Annotated[Typed, Field(description="male, female or other; Nam, Nữ and Khác are understood.")] = None
    address: Typed = None
    source: Annotated[Typed, Field(description="A value of GET /sources")] = None
    customer_type: Annotated[Typed, Field(description="A value of GET /customer-types")] = None
    company_name: Typed = None
    tax_code: Typed = None
    position: Typed = None
    note: Typed = None
    relationship: Annotated[Typed, Field(description="A value of GET /relationships; the first one if absent.")] = None
    owner: Annotated[Typed, Field(description="Username or id of who is in charge.")] = None
    groups: Annotated[list[str] | None, Field(max_length=200, description="Names of groups.")] = None
    tags: Annotated[
        list[str] | None, Field(max_length=200, description="Names of tags; a new one is added to the tags.")
    ] = None
    tier: Annotated[
        Typed, Field(description="A value of GET /tiers, kept against the rules; null lets the rules choose.")
    ] = None
    kind: Annotated[Typed, Field(description="lead, individual or company; individual if absent.")] = None
    fax: Typed = None
    registered_address: Typed = None
    office_address: Typed = None
    country: Typed = None
    district: Annotated[Typed, Field(description="Districts ended in 2025; kept as typed.")] = None
    ward: Typed = None
    website: Typed = None
    founded_on: Annotated[Typed, Field(description="yyyy-mm-dd or dd/mm/yyyy")] = None
    referrer: Annotated[
        Typed, Field(description="Id or code of the customer who referred this one; not beside referrer_user.")
    ] = None
    referrer_user: Annotated[Typed, Field(description="Username or id of the employee who referred this one.")] = None
    attributes: AttributeValues = {}


class CustomerPatch(CustomerValues):
    """Changes of a customer: what is absent stays, null clears."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"note": "Đã hẹn gặp", "position": None}})


class GroupRef(BaseModel):
    """A group that a customer belongs to."""

    id: UUID
    name: str


class TagRef(BaseModel):
    """A tag that a customer has."""

    id: UUID
    name: str
    color: str


class CustomerOut(BaseModel):
    """A customer as it is kept."""

    id: UUID
    code: str
    name: str
    phone: Annotated[Phone | None, Field(description="E.164", examples=["+84912345678"])]
    phone_typed: Annotated[PhoneTyped, Field(description="As it was typed, where that differs.")]
    email: str | None
    birthday: date | None
    province: str | None
    province_code: str | None
    province_typed: Annotated[str | None, Field(description="The name before the merger of 2025, where given.")]
    gender: str | None
    address: str | None
    source: str | None
    customer_type: str | None
    company_name: str | None
    tax_code: str | None
    position: str | None
    note: str | None
    relationship: str | None
    owner_id: UUID | None
    owner: str | None
    owner_name: str | None
    groups: list[GroupRef]
    tags: list[TagRef]
    tier: str | None
    tier_fixed: Annotated[bool, Field(description="Chosen by hand: no rule moves it.")]
    score: Annotated[int, Field(description="Points of its groups and of its completed transactions.")]
    stars: Annotated[int, Field(ge=0, le=5, description="By the workspace's thresholds.")]
    attributes: dict[str, Value]
    kind: Annotated[str, Field(description="lead, individual or company", examples=["individual"])]
    fax: Phone | None
    registered_address: str | None
    office_address: str | None
    country: str | None
    district: str | None
    ward: str | None
    website: str | None
    founded_on: date | None
    referrer: Annotated[UUID | None, Field(description="Id of the customer who referred this one.")]
    referrer_name: Annotated[str | None, Field(description="Who referred it, customer or employee.")]
    referrer_user: Annotated[str | None, Field(description="Username of the employee who referred it.")]
    created_at: datetime
    updated_at: datetime
    version: int


class CustomerSparse(BaseModel):
    """A customer of a list: all members, or `id`, `version` and those that `fields` asked for."""

    model_config = ConfigDict(extra="allow")

    id: UUID
    version: int


class CustomerPage(BaseModel):
    """A page of customers. `count` is there when it was asked for."""

    items: list[CustomerOut | CustomerSparse]
    next_cursor: str | None
    count: int | None


class ShareIn(BaseModel):
    """Colleagues to share a customer with."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"users": ["lan.nguyen"]}})

    users: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=255)]],
        Field(min_length=1, max_length=200, description="Usernames or ids of active colleagues."),
    ]


class ShareOut(BaseModel):
    """A colleague whom a customer is shared with."""

    id: UUID
    username: str
    full_name: str
    active: bool


class SharesOut(BaseModel):
    """Everybody whom a customer is shared with; there is no further page."""

    items: list[ShareOut]
    next_cursor: str | None = None
    count: int


class UnsharedOut(BaseModel):
    """Whether the customer was taken back from anybody."""

    changed: Annotated[int, Field(description="1, or 0 where it was not shared with that colleague.")]


class TrashOut(BaseModel):
    """A deleted customer."""

    id: UUID
    code: str
    name: str
    phone: Phone | None
    email: str | None
    owner_id: UUID | None
    owner_name: str | None
    created_at: datetime
    deleted_at: datetime
    deleted_by: UUID | None
    deleted_by_name: str | None
    deleted_reason: Annotated[str, Field(description="`trash`, or `merge`: it lives on in `merged_into`.")]
    merged_into: UUID | None
    version: int


class TrashPage(BaseModel):
    """A page of the trash. `count` is there when it was asked for."""

    items: list[TrashOut]
    next_cursor: str | None
    count: int | None


class EventOut(BaseModel):
    """One thing that happened (lịch sử tương tác)."""

    id: UUID
    at: datetime
    kind: Annotated[str, Field(examples=["customer.updated"])]
    type: Annotated[str, Field(description="One of the interaction types of the timeline.", examples=["edited"])]
    label: Annotated[str, Field(description="The type for a person.", examples=["Chỉnh sửa khách hàng"])]
    actor_kind: str
    actor_id: UUID | None
    actor_name: str
    batch_id: UUID | None
    changes: WithPhonesByField
    data: WithPhonesByName


class EventPage(BaseModel):
    """A page of a timeline, newest first."""

    items: list[EventOut]
    next_cursor: str | None
    count: int | None = None


Name = Annotated[str, StringConstraints(strip_whitespace=True, max_length=255)]
Dimension = Annotated[str, StringConstraints(strip_whitespace=True, max_length=100)]
Points = Annotated[int, Field(ge=-10_000, le=10_000)]


class GroupIn(BaseModel):
    """A group to add."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"name": "Khách VIP", "description": ""}})

    name: Name = ""
    description: Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)] = ""
    dimension: Annotated[Dimension | None, Field(description="What the group divides customers by.")] = None
    points: Annotated[Points, Field(description="What each member's score gets for it.")] = 0


class GroupPatch(BaseModel):
    """Changes of a group."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"name": "Khách thân thiết"}})

    name: Name | None = None
    description: Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)] | None = None
    dimension: Dimension | None = None
    points: Points = 0


class GroupOut(BaseModel):
    """A group and how many customers are in it."""

    id: UUID
    name: str
    description: str
    dimension: Annotated[str | None, Field(examples=["Vùng miền"], description="What it divides customers by.")]
    points: Annotated[int, Field(description="What each member's score gets for it.")]
    size: int
    created_at: datetime
    updated_at: datetime
    version: int


class GroupPage(BaseModel):
    """A page of groups."""

    items: list[GroupOut]
    next_cursor: str | None
    count: int | None
