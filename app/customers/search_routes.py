"""Customers by a filter, over HTTP."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Response

from app.core.actor import Actor
from app.core.i18n import language
from app.core.work import CurrentWork, Route
from app.customers import queries, registry, selection
from app.customers.config_schemas import Labels
from app.customers.entity import CAP
from app.customers.facets import facets
from app.customers.filterable import CustomerFields, sentence
from app.customers.queries import Ask
from app.customers.search_schemas import (
    CountIn,
    CountOut,
    FilterChoice,
    FilterField,
    FilterFields,
    FilterIn,
    RelatedFacts,
    SearchIn,
    SearchPage,
    Validated,
)
from app.customers.selection import Selection
from app.filters.dates import RELATIVE
from app.filters.fields import Filterable, Related
from app.filters.operators import operators_of
from app.filters.tree import parse
from app.identity.access import Requires

CanRead = Annotated[Actor, Depends(Requires("customers.view", reading=True))]

router = APIRouter(tags=["filters"], route_class=Route)
MAX_CHOICES = 500


@router.post("/customers/search", summary="Search customers by a filter", response_model=SearchPage)
async def search_customers(actor: CanRead, work: CurrentWork, body: SearchIn) -> Response:
    """A page of those whom the filter and the search find. A wrong tree answers 422 with the path of each wrong node:
    `filter.and[1].value`. Changes nothing."""
    known = await registry.load_reading(work.reader, work.db, actor.tenant_id)
    tree = parse(body.filter)
    members = queries.members(body.fields)
    ask = Ask(body.q, (), tree, body.sort, members, body.limit, body.cursor, body.count)
    page = await queries.list_json(work.reader, actor, known, ask, work.resources.settings.secret)
    counted = {}
    if body.facets:
        counted = await facets(work.reader, actor, known, Selection(filter=body.filter, q=body.q), body.facets)
    told = msgspec.json.encode({key: [one.model_dump() for one in values] for key, values in counted.items()})
    return Response(page[:-1] + b',"facets":' + told + b"}", media_type="application/json")


@router.post("/customers/count", summary="Count customers of a selection")
async def count_customers(actor: CanRead, work: CurrentWork, body: CountIn) -> CountOut:
    """How many customers a bulk action on this selection would see. Changes nothing."""
    known = await registry.load_reading(work.reader, work.db, actor.tenant_id)
    cap = None if body.exact else CAP
    counted = await selection.count(work.reader, actor, known, body, cap=cap)
    return CountOut(count=counted, capped=counted == cap)


@router.get("/filters/fields", summary="List what customers can be filtered by")
async def list_filter_fields(actor: CanRead, work: CurrentWork) -> FilterFields:
    """Every field with its operators and choices, related facts, and the words for days. An attribute is here as soon
    as it exists."""
    known = await registry.load_reading(work.reader, work.db, actor.tenant_id)
    fields = CustomerFields(known, actor)
    return FilterFields(
        fields=[_field(one) for one in fields.all()],
        related=[_related(key, one) for key, one in fields.related.items()],
        relative_days=[
            FilterChoice(value=word, label=vi if language.get() == "vi" else en)
            for word, (_, vi, en) in RELATIVE.items()
        ],
    )


@router.post("/filters/validate", summary="Check a filter")
async def validate_filter(actor: CanRead, work: CurrentWork, body: FilterIn) -> Validated:
    """Says in a sentence what the filter means, and how many customers it finds. Changes nothing."""
    known = await registry.load_reading(work.reader, work.db, actor.tenant_id)
    node = parse(body.filter)
    counted = await selection.count(work.reader, actor, known, Selection(filter=body.filter), cap=CAP)
    said = sentence(node, CustomerFields(known, actor))
    return Validated(count=counted, capped=counted == CAP, sentence=said)


def _field(field: Filterable) -> FilterField:
    shown = None if field.choices is None else field.choices[:MAX_CHOICES]
    return FilterField(
        key=field.key,
        label=field.label,
        labels=Labels(vi=field.vi, en=field.en),
        kind=field.kind,
        operators=list(operators_of(field)),
        choices=None if shown is None else [FilterChoice(value=one.value, label=one.label) for one in shown],
        more_choices=len(field.choices or ()) > MAX_CHOICES,
        is_attribute=field.key.startswith("attributes."),
    )


def _related(key: str, related: Related) -> RelatedFacts:
    return RelatedFacts(
        key=key,
        label=related.label,
        labels=Labels(vi=related.vi, en=related.en),
        fields=[_field(one) for one in related.fields.values()],
        sums=[name for name, one in related.fields.items() if one.kind == "number"],
        period=related.moment or None,
    )
