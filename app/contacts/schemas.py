"""What goes in and out of the calls on contacts."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.core.masking import Phone, PhoneTyped
from app.core.schemas import ABSENT, Strict, example
from app.customers.schemas import CustomerValues

PointKind = Literal["phone", "email", "address", "link"]
# Of one kind, of one contact.
MAX_IN_LIST = 50


class PointIn(Strict):
    """A phone, e-mail address, postal address or link to add."""

    model_config = example({"value": "0912 345 679", "label": "Nhà riêng"})

    value: Annotated[str, Field(min_length=1, max_length=2000)]
    label: Annotated[str | None, Field(max_length=100, description="Nhà riêng, Facebook, kho hàng …")] = None


Points = Annotated[list[PointIn], Field(max_length=MAX_IN_LIST)]


class ContactIn(Strict):
    """Somebody of a customer (người liên hệ)."""

    model_config = example(
        {"name": "Trần Thị Mai", "position": "Kế toán", "phones": [{"value": "0912 345 678"}], "is_primary": True}
    )

    name: Annotated[str | None, Field(max_length=255, description="The customer's name if absent.")] = None
    position: Annotated[str | None, Field(max_length=255)] = None
    birthday: Annotated[str | None, Field(max_length=30, description="yyyy-mm-dd or dd/mm/yyyy")] = None
    gender: Annotated[str | None, Field(max_length=20, description="male, female or other")] = None
    note: Annotated[str | None, Field(max_length=20_000)] = None
    is_primary: Annotated[
        bool | None, Field(description="Whom to ask for; a company's first contact is it if absent.")
    ] = None
    phones: Points = []
    emails: Points = []
    addresses: Points = []
    links: Points = []


class CustomerIn(CustomerValues):
    """A customer to add, with its contacts. Which fields are required is the workspace's choice: see GET /fields."""

    contacts: Annotated[
        list[ContactIn],
        Field(max_length=MAX_IN_LIST, description="Its people; an individual is its own contact without being named."),
    ] = []


class ContactPatch(Strict):
    """Changes of a contact: what is absent stays, null clears; a list replaces the whole list."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"position": "Kế toán trưởng"}})

    name: Annotated[str | None, Field(max_length=255)] = ABSENT
    position: Annotated[str | None, Field(max_length=255)] = ABSENT
    birthday: Annotated[str | None, Field(max_length=30, description="yyyy-mm-dd or dd/mm/yyyy")] = ABSENT
    gender: Annotated[str | None, Field(max_length=20, description="male, female or other")] = ABSENT
    note: Annotated[str | None, Field(max_length=20_000)] = ABSENT
    is_primary: bool = ABSENT
    phones: Points = ABSENT
    emails: Points = ABSENT
    addresses: Points = ABSENT
    links: Points = ABSENT


class PointOut(BaseModel):
    """A way to reach a customer or a contact. `id` is null for the customer's own field, which PATCH changes."""

    id: UUID | None
    contact_id: Annotated[UUID | None, Field(description="Whose it is; null for the customer's own.")]
    value: Annotated[Phone, Field(description="A phone in E.164.", examples=["+84912345678"])]
    typed: Annotated[PhoneTyped, Field(description="A phone as it was typed, where that differs.")]
    label: str | None
    is_main: Annotated[bool, Field(description="The customer's own field: phone, email, address or website.")]


class PointPage(BaseModel):
    """A page of one kind: the customer's own field first, then in the order they were added."""

    items: list[PointOut]
    next_cursor: str | None
    count: int


class RemovedOut(BaseModel):
    """How many were removed."""

    changed: Annotated[int, Field(description="1, or 0 where it was gone already.")]


class ContactOut(BaseModel):
    """A contact. A person is their own first one: `mirror`, with the customer's id and version."""

    id: UUID
    customer_id: UUID
    mirror: bool
    name: str
    position: str | None
    birthday: date | None
    gender: str | None
    note: str | None
    is_primary: bool
    phones: list[PointOut]
    emails: list[PointOut]
    addresses: list[PointOut]
    links: list[PointOut]
    created_at: datetime
    updated_at: datetime
    version: int


class ContactPage(BaseModel):
    """A page of contacts: the customer itself where it is a person, then in the order they were added."""

    items: list[ContactOut]
    next_cursor: str | None
    count: int
