"""What goes in and out of the calls that configure customers: fields, attributes, lists of values."""

from datetime import datetime
from itertools import pairwise
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.core.schemas import ABSENT, Strict, example
from app.core.validation import wrong
from app.core.vietnam import text as vn

MAX_CHOICES = 500
MAX_MEMBERS = 1000

AttributeType = Literal[
    "text", "long_text", "integer", "decimal", "money", "date", "datetime", "boolean", "choice", "choices", "phone",
    "email", "link", "person",
]  # fmt: skip
Category = Literal["new", "working", "interested", "won", "suspended", "lost", "other"]


def _one_line(value: str) -> str:
    cleaned = vn.clean(value)
    if not cleaned:
        raise wrong("missing", "Bắt buộc nhập", "This is required")
    return cleaned


def _distinct(values: list[str]) -> list[str]:
    seen = set[str]()
    for value in values:
        if value.casefold() in seen:
            raise wrong("choice_repeated", f"Giá trị “{value}” bị lặp lại", f"“{value}” stands there twice")
        seen.add(value.casefold())
    return values


Name = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_one_line)]
Position = Annotated[int, Field(ge=0, le=100_000, description="Smaller comes first.")]
Choices = Annotated[list[Name], Field(max_length=MAX_CHOICES), AfterValidator(_distinct)]


class ChoiceOut(BaseModel):
    """A value that a field can have."""

    value: Annotated[str, Field(description="What a record holds.", examples=["female"])]
    label: Annotated[str, Field(description="The same for a person, in the caller's language.", examples=["Nữ"])]


class Labels(BaseModel):
    """A field's label in both languages."""

    vi: str
    en: str


class FieldOut(BaseModel):
    """Something that a customer's record can hold."""

    key: Annotated[str, Field(examples=["attributes.han_muc"])]
    label: Annotated[str, Field(description="In the caller's language.", examples=["Hạn mức"])]
    labels: Labels
    type: Annotated[str, Field(examples=["money"])]
    position: Annotated[int, Field(description="Order in forms, templates and lists.")]
    required: bool
    unique: bool
    writable: Annotated[bool, Field(description="Whether people may set it.")]
    importable: bool
    filterable: Annotated[bool, Field(description="Whether GET /customers filters by it.")]
    sortable: Annotated[bool, Field(description="Whether GET /customers sorts by it.")]
    choices: Annotated[list[ChoiceOut] | None, Field(description="null where any value of the type will do.")]
    is_attribute: Annotated[bool, Field(description="Whether the workspace added it.")]
    attribute_id: Annotated[UUID | None, Field(description="Its id in /attributes.")]
    version: Annotated[int, Field(description="For If-Match of PATCH /fields/{key}.")]


class FieldPage(BaseModel):
    """All fields, in order; there is no further page."""

    items: list[FieldOut]
    next_cursor: str | None
    count: int


class FieldPatch(Strict):
    """What a workspace may change about a field: absent stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"required": True}})

    required: bool = ABSENT
    position: Position = ABSENT


class AttributeIn(Strict):
    """A field to add (thêm thuộc tính)."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"name": "Hạn mức", "type": "money"}})

    name: Name
    type: AttributeType
    key: Annotated[
        str | None,
        Field(min_length=1, max_length=40, description="a-z, 0-9 and _; made from the name if absent. Never changes."),
    ] = None
    position: Annotated[int | None, Field(ge=0, le=100_000, description="After all other attributes if absent.")] = None
    required: Annotated[bool, Field(description="Binds what is written from now on.")] = False
    unique: Annotated[bool, Field(description="For text, integer, phone, email and link.")] = False
    choices: Annotated[Choices, Field(description="The values of `choice` and `choices`.")] = []


class AttributePatch(Strict):
    """Changes of a field: absent stays. `key` and `type` never change."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"choices": ["Thấp", "Trung bình", "Cao"], "renamed": {"Vừa": "Trung bình"}}},
    )

    name: Name = ABSENT
    type: Annotated[AttributeType, Field(description="Accepted only as it is.")] = ABSENT
    position: Position = ABSENT
    required: bool = ABSENT
    unique: bool = ABSENT
    choices: Choices = ABSENT
    renamed: Annotated[
        dict[Name, Name],
        Field(
            max_length=MAX_CHOICES,
            default_factory=dict,
            description="Old value to new: customers who have the old value get the new one.",
        ),
    ]


class AttributeOut(BaseModel):
    """A field that the workspace added."""

    id: UUID
    key: Annotated[str, Field(description="Its key in a customer's `attributes`.", examples=["han_muc"])]
    name: str
    type: AttributeType
    position: int
    required: bool
    unique: bool
    choices: list[str]
    filterable: Annotated[bool, Field(description="Whether lists can filter and sort by it fast.")]
    created_at: datetime
    updated_at: datetime
    version: int


class AttributePage(BaseModel):
    """All attributes, in order; there is no further page."""

    items: list[AttributeOut]
    next_cursor: str | None
    count: int


class ClassificationIn(Strict):
    """A value to add to a list."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"name": "TikTok"}})

    name: Name
    position: Annotated[int | None, Field(ge=0, le=100_000, description="After all others if absent.")] = None
    active: Annotated[bool, Field(description="Whether people can choose it.")] = True
    category: Annotated[
        Category | None, Field(description="Relationships only: what automation knows it by; `other` if absent.")
    ] = None


class ClassificationPatch(Strict):
    """Changes of a value: absent stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"active": False}})

    name: Name = ABSENT
    position: Position = ABSENT
    active: bool = ABSENT
    category: Annotated[Category, Field(description="Relationships only.")] = ABSENT


class ClassificationOut(BaseModel):
    """A value of a list."""

    id: UUID
    name: str
    position: int
    active: bool
    category: Annotated[Category | None, Field(description="null but for relationships.")]
    created_at: datetime
    updated_at: datetime
    version: int


class ClassificationPage(BaseModel):
    """All values of a list, in order; there is no further page."""

    items: list[ClassificationOut]
    next_cursor: str | None
    count: int


class MembersIn(Strict):
    """Customers to put into a group or take out of it."""

    model_config = example({"ids": ["01a201d5-4bd6-720a-ac95-3ee821c9d87d"]})

    ids: Annotated[list[UUID], Field(min_length=1, max_length=MAX_MEMBERS)]


class MembersOut(BaseModel):
    """What became of the customers."""

    changed: Annotated[int, Field(description="Customers who were put in or taken out.")]
    unchanged: Annotated[int, Field(description="Customers who were so already.")]
    missing: Annotated[list[UUID], Field(description="Ids of no customer that the caller can see.")]


Color = Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$", examples=["#2563eb"])]


class TagIn(Strict):
    """A tag to add (nhãn)."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"name": "Quan tâm giá", "color": "#16a34a"}}
    )

    name: Name
    color: Annotated[Color | None, Field(description="Chosen for you if absent.")] = None


class TagPatch(Strict):
    """Changes of a tag: absent stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"color": "#dc2626"}})

    name: Name = ABSENT
    color: Color = ABSENT


class TagOut(BaseModel):
    """A tag and how many customers have it."""

    id: UUID
    name: str
    color: str
    size: int
    created_at: datetime
    updated_at: datetime
    version: int


class TagPage(BaseModel):
    """A page of tags."""

    items: list[TagOut]
    next_cursor: str | None
    count: int | None


class TierCondition(Strict):
    """Something that a customer must reach."""

    model_config = example({"metric": "contract_value", "at_least": 100000000})

    metric: Annotated[
        Literal["score", "contract_value", "contracts", "transactions"],
        Field(
            description="The score; the value in VND or the number of contracts that are active or finished; the "
            "number of completed transactions."
        ),
    ]
    at_least: Annotated[int, Field(ge=1, le=10**15)]


Percent = Annotated[float, Field(ge=0, le=100, multiple_of=0.01, description="Discount when buying, in percent.")]
Benefits = Annotated[str, Field(max_length=5000, description="What else the tier is good for.")]
Conditions = Annotated[list[TierCondition], Field(max_length=10, description="All of them must hold.")]


class TierIn(Strict):
    """A tier to add (phân cấp khách hàng)."""

    model_config = example(
        {
            "name": "Vàng", "discount_percent": 5, "benefits": "Giao hàng miễn phí", "automatic": True,
            "conditions": [{"metric": "contract_value", "at_least": 100000000}],
        }
    )  # fmt: skip

    name: Name
    position: Annotated[
        int | None, Field(ge=0, le=100_000, description="The highest tier comes last; after all others if absent.")
    ] = None
    active: Annotated[bool, Field(description="Whether people and rules can choose it.")] = True
    discount_percent: Percent | None = None
    benefits: Benefits | None = None
    automatic: Annotated[bool, Field(description="Trạng thái tự động: who fulfils the conditions gets it.")] = False
    conditions: Conditions = []


class TierPatch(Strict):
    """Changes of a tier: absent stays."""

    model_config = example({"discount_percent": 7.5})

    name: Name = ABSENT
    position: Position = ABSENT
    active: bool = ABSENT
    discount_percent: Percent | None = ABSENT
    benefits: Benefits | None = ABSENT
    automatic: bool = ABSENT
    conditions: Conditions = ABSENT


class TierOut(BaseModel):
    """A tier."""

    id: UUID
    name: str
    position: int
    active: bool
    discount_percent: float | None
    benefits: str | None
    automatic: bool
    conditions: list[TierCondition]
    created_at: datetime
    updated_at: datetime
    version: int


class TierPage(BaseModel):
    """All tiers, in order; there is no further page."""

    items: list[TierOut]
    next_cursor: str | None
    count: int


def _ascending(values: list[int]) -> list[int]:
    if any(low >= high for low, high in pairwise(values)):
        raise wrong(
            "thresholds_order", "Mỗi mức sao phải cao điểm hơn mức trước", "Each star must ask for more than the last"
        )
    return values


class ScoreRulesIn(Strict):
    """The least score of one to five stars."""

    model_config = example({"thresholds": [10, 30, 50, 70, 90]})

    thresholds: Annotated[
        list[Annotated[int, Field(ge=1, le=10**9)]], Field(min_length=5, max_length=5), AfterValidator(_ascending)
    ]


class ScoreRulesOut(BaseModel):
    """The rules that stars follow from (xếp hạng tiềm năng)."""

    thresholds: Annotated[list[int], Field(description="The least score of one to five stars.")]
    version: int
    job_id: Annotated[UUID | None, Field(description="The job that brings everybody's stars up to date.")]


class ScoreEntryOut(BaseModel):
    """Points, and what they are for."""

    source_kind: Annotated[str, Field(examples=["transaction"], description="group or transaction")]
    source_id: UUID
    name: str
    points: int
    at: datetime


class ScoreOut(BaseModel):
    """A customer's score and where it comes from."""

    score: int
    stars: int
    entries: list[ScoreEntryOut]


class RelationshipIn(Strict):
    """The stage to move a customer to."""

    model_config = example({"relationship": "Tiềm năng"})

    relationship: Annotated[str, Field(min_length=1, max_length=100, description="A value of GET /relationships.")]


class StageOut(BaseModel):
    """A stage and how many customers are in it."""

    key: Category
    label: Annotated[str, Field(examples=["Quan tâm"])]
    count: int


class StageCount(BaseModel):
    """A relationship and how many customers have it."""

    id: UUID
    name: str
    category: Category | None
    count: int


class StagesOut(BaseModel):
    """How many customers there are in each stage. The stages add up to `total`."""

    total: int
    stages: list[StageOut]
    relationships: Annotated[list[StageCount], Field(description="In the list's order.")]
    without: Annotated[int, Field(description="Customers without any relationship; they count as `other`.")]
