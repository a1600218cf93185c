"""What goes in and out of the calls about duplicates and merges."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field

from app.core.masking import Phone, WithPhones, WithPhonesByField
from app.core.schemas import Strict, example
from app.core.validation import wrong
from app.customers.schemas import Value

KeyField = Literal["name", "code", "email", "phone", "fax", "tax_code", "office_address", "note", "birthday"]


def _each_once(fields: list[KeyField]) -> list[KeyField]:
    if len(set(fields)) < len(fields):
        raise wrong("field_twice", "Mỗi trường chỉ được chọn một lần", "Each field can be named once")
    return fields


KeyFields = Annotated[list[KeyField], Field(min_length=1, max_length=4), AfterValidator(_each_once)]
Sources = Literal["delete", "archive", "keep"]


class DuplicateKeyIn(Strict):
    """A key: one field, or several that repeat only together."""

    fields: KeyFields
    imports: Annotated[bool, Field(description="Whether imports check it too; the phone always is.")] = True


class DuplicateKeysIn(Strict):
    """The workspace's keys. The phone alone is one of them even if it is left out."""

    model_config = example({"keys": [{"fields": ["email"], "imports": False}, {"fields": ["name", "birthday"]}]})

    keys: Annotated[list[DuplicateKeyIn], Field(max_length=10)]


class DuplicateKeyOut(BaseModel):
    """A key in force."""

    fields: list[KeyField]
    label: Annotated[str, Field(examples=["Tên khách hàng + Sinh nhật"])]
    imports: bool
    ready: Annotated[bool, Field(description="False while a job finds the values of the customers there are.")]


class DuplicateKeysOut(BaseModel):
    """By what the workspace knows duplicates (thiết lập trùng lặp dữ liệu)."""

    keys: list[DuplicateKeyOut]
    job_id: Annotated[UUID | None, Field(description="The job that makes new keys ready, after a change.")] = None
    version: int


class StartedOut(BaseModel):
    """The job that does what was asked for."""

    job_id: UUID


class ReasonOut(BaseModel):
    """Why customers may be one."""

    fields: list[KeyField]
    label: Annotated[str, Field(examples=["Trùng Email"])]
    value: Phone | None = None


class SuspectOut(BaseModel):
    """A customer who may be somebody else's duplicate."""

    id: UUID
    code: str
    name: str
    kind: str
    phone: Phone | None
    email: str | None
    owner_id: UUID | None
    owner_name: str | None
    created_at: datetime
    version: int


class ClusterOut(BaseModel):
    """Customers who may be one, the oldest first."""

    reasons: list[ReasonOut]
    customers: list[SuspectOut]
    more: Annotated[bool, Field(description="Whether others share this too: these are the first hundred.")]


class ClusterPage(BaseModel):
    """A page of clusters. `scanned_at` is when values were last looked for in all customers."""

    items: list[ClusterOut]
    next_cursor: str | None
    count: int | None = None
    scanned_at: datetime | None


class OtherOut(SuspectOut):
    """Another customer who may be this one."""

    reasons: list[ReasonOut]


class OthersOut(BaseModel):
    """The customer's duplicates tab."""

    items: list[OtherOut]


class DismissIn(Strict):
    """Customers who are not the same, whatever they share."""

    model_config = example({"customer_ids": ["0198c0de-0000-7000-8000-000000000001"] * 2})

    customer_ids: Annotated[list[UUID], Field(max_length=100)]


class DismissedOut(BaseModel):
    """The dismissal."""

    id: UUID
    customer_ids: list[UUID]


class DismissalOut(DismissedOut):
    """A dismissal, as far as the caller may see its customers."""

    dismissed_at: datetime
    dismissed_by: UUID
    dismissed_by_name: Annotated[str | None, Field(description="Null for an API key.")]


class TakenBackOut(BaseModel):
    """How many dismissals were taken back."""

    changed: Annotated[int, Field(description="1, or 0 where it was gone already.")]


class DismissalPage(BaseModel):
    """A page of dismissals, the newest first."""

    items: list[DismissalOut]
    next_cursor: str | None
    count: int | None = None


class ChoiceIn(Strict):
    """Where a field comes from: from one of the customers, or as a value by hand."""

    customer_id: UUID | None = None
    value: Value = None


MERGE_EXAMPLE: dict[str, Any] = {
    "master_id": "0198c0de-0000-7000-8000-000000000001",
    "source_ids": ["0198c0de-0000-7000-8000-000000000002"],
    "versions": {"0198c0de-0000-7000-8000-000000000001": 1, "0198c0de-0000-7000-8000-000000000002": 1},
    "choose": {"name": {"value": "Nguyễn Thị Hoa"}},
    "sources": "delete",
}


class MergeIn(Strict):
    """Customers to merge into a master."""

    model_config = example(MERGE_EXAMPLE)

    master_id: UUID
    source_ids: Annotated[list[UUID], Field(min_length=1, max_length=50)]
    versions: Annotated[
        dict[UUID, int],
        Field(max_length=51, description="The versions that were looked at; a customer that has another refuses."),
    ] = {}
    choose: Annotated[
        dict[str, ChoiceIn],
        Field(max_length=200, description="By field. Others: the master's, else the first source's that is filled."),
    ] = {}
    sources: Annotated[
        Sources,
        Field(
            description="`delete`: found nowhere, reading it leads to the master; `archive`: the same, but in the "
            "trash list; `keep`: stays in use, without what moved."
        ),
    ] = "delete"


class MergeNow(MergeIn):
    """Customers to merge into a master, with the version of each."""

    versions: Annotated[
        dict[UUID, int],
        Field(max_length=51, description="The version of every customer of the merge, as the preview gave it."),
    ]


class PlannedField(BaseModel):
    """A field that the merge would write."""

    field: str
    label: str
    before: WithPhones
    after: WithPhones
    origin: Annotated[str, Field(description="source, union, chosen, or facts: a stage that what comes along means.")]
    customer_id: UUID | None = None


class PlannedMove(BaseModel):
    """Related records that would go to the master."""

    what: Annotated[str, Field(examples=["contracts"])]
    label: str
    count: int


class MergePlanOut(BaseModel):
    """What a merge would do."""

    master: SuspectOut
    sources: list[SuspectOut]
    fields: list[PlannedField]
    moves: list[PlannedMove]
    versions: dict[UUID, int]
    title: Annotated[str, Field(description="What to ask before it is done.", examples=["Confirm merge khách hàng"])]


class LeftOut(BaseModel):
    """Something that the undo did not take back, and why."""

    customer_id: UUID
    field: str
    code: Annotated[
        str,
        Field(
            description="edited: it was changed after the merge and stays; taken: another customer has the value now; "
            "gone: the moved record was deleted or moved on."
        ),
    ]
    before: WithPhones = None
    now: WithPhones = None
    taken_by: UUID | None = None


class MergeOut(BaseModel):
    """A merge."""

    id: UUID
    state: Literal["done", "undone"]
    master_id: UUID
    source_ids: list[UUID]
    sources: Sources
    fields: Annotated[WithPhonesByField, Field(description="{column: [before, after]} of the master.")]
    moved: Annotated[dict[str, int], Field(description="Related records by kind.")]
    left: Annotated[list[LeftOut], Field(description="After an undo: what was kept and what could not be given back.")]
    batch_id: UUID | None
    created_at: datetime
    created_by: UUID
    created_by_name: str
    undone_at: datetime | None
    version: int


class MergePage(BaseModel):
    """A page of merges, the newest first."""

    items: list[MergeOut]
    next_cursor: str | None
    count: int | None = None


class MergeRuleIn(Strict):
    """Merge every cluster of customers who share these fields."""

    model_config = example({"fields": ["email", "name"], "master": "oldest", "sources": "delete"})

    fields: KeyFields
    master: Literal["oldest", "newest"] = "oldest"
    sources: Annotated[
        Literal["delete", "archive"],
        Field(description="None is kept: those who stay in use would share the fields again."),
    ] = "delete"
