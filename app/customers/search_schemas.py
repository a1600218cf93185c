"""What goes in and out of searches by a filter."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from app.core.paging import MAX_LIMIT
from app.core.schemas import Strict, example
from app.customers.config_schemas import Labels
from app.customers.schemas import CustomerPage
from app.customers.selection import Selection, Tree

Counting = Literal["none", "capped", "exact", "estimate"]
EXAMPLE: dict[str, Any] = {
    "and": [
        {"field": "created_at", "op": "in_last_days", "value": 30},
        {"or": [{"field": "owner", "op": "eq", "value": "me"}, {"field": "owner", "op": "is_empty"}]},
    ]
}


class SearchIn(Strict):
    """A question for a page of customers."""

    model_config = example({"filter": EXAMPLE, "sort": "-created_at", "limit": 50, "count": "capped"})

    filter: Tree = None
    q: Annotated[str | None, Field(max_length=200, description="As in the list's search box.")] = None
    sort: Annotated[str, Field(max_length=80, description="A field, with - before it for descending.")] = "-created_at"
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT, description="Rows of a page.")] = 50
    cursor: Annotated[str | None, Field(max_length=2000, description="`next_cursor` of the page before.")] = None
    fields: Annotated[list[str], Field(max_length=100, description="Members to return; all if empty.")] = []
    count: Annotated[Counting, Field(description="`capped` stops at 10,001; `exact` counts every row.")] = "none"
    facets: Annotated[
        list[str], Field(max_length=10, description="Fields whose values are counted among all that are found.")
    ] = []


class FacetValue(BaseModel):
    """A value and how many of the customers have it; null for none."""

    value: Annotated[str | None, Field(description="As a filter takes it.")]
    label: str
    count: int


class SearchPage(CustomerPage):
    """A page of customers. `count` and `facets` are there when they were asked for."""

    facets: dict[str, list[FacetValue]] = {}


class CountIn(Selection):
    """Whom to count."""

    exact: Annotated[bool, Field(description="Without it the count stops at 10,001.")] = False


class CountOut(BaseModel):
    """How many there are; at least so many if `capped`."""

    count: int
    capped: bool


class FilterIn(Strict):
    """A filter to check."""

    model_config = example({"filter": EXAMPLE})

    filter: Tree = None


class Validated(CountOut):
    """What a filter means and whom it finds."""

    sentence: Annotated[str, Field(description="The filter in Vietnamese.", examples=["Nguồn khách hàng là “Zalo”"])]


class FilterChoice(BaseModel):
    """A value to choose."""

    value: str
    label: str


class FilterField(BaseModel):
    """A field to filter by."""

    key: Annotated[str, Field(examples=["source"])]
    label: str
    labels: Labels
    kind: Annotated[str, Field(description="What decides the operators.", examples=["choice"])]
    operators: Annotated[list[str], Field(examples=[["eq", "ne", "in", "is_empty"]])]
    choices: Annotated[list[FilterChoice] | None, Field(description="null where any value of the kind will do.")]
    more_choices: Annotated[bool, Field(description="Whether there are others than those, the first 500.")]
    is_attribute: bool


class RelatedFacts(BaseModel):
    """Facts beside the customers that a filter can count, sum up and date."""

    key: Annotated[str, Field(examples=["contracts"])]
    label: str
    labels: Labels
    fields: list[FilterField]
    sums: Annotated[list[str], Field(description="Fields that can be summed up.")]
    period: Annotated[str | None, Field(description="The field that `period` bounds.")]


class FilterFields(BaseModel):
    """Everything that customers can be filtered by."""

    fields: list[FilterField]
    related: list[RelatedFacts]
    relative_days: Annotated[list[FilterChoice], Field(description="Words that a date may be; also today-7, today+30.")]
