"""Tiers, scores and stages over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from app.core.actor import Actor
from app.core.db import driver
from app.core.etag import IfMatch, set_etag
from app.core.work import CurrentWork, Route, Session
from app.customers import classifications, replies, scoring, stages, tiers
from app.customers.config_schemas import (
    RelationshipIn,
    ScoreOut,
    ScoreRulesIn,
    ScoreRulesOut,
    StagesOut,
    TierIn,
    TierOut,
    TierPage,
    TierPatch,
)
from app.customers.models import Classification
from app.customers.schemas import CustomerOut
from app.identity.access import Requires

CanView = Annotated[Actor, Depends(Requires("customers.view"))]
CanRead = Annotated[Actor, Depends(Requires("customers.view", reading=True))]
CanEdit = Annotated[Actor, Depends(Requires("customers.edit"))]
CanAdd = Annotated[Actor, Depends(Requires("lists.create"))]
CanChangeSettings = Annotated[Actor, Depends(Requires("settings.crm"))]

# Comes before the router of customers, whose /customers/{id} would take “stages” for an id.
router = APIRouter(route_class=Route)


@router.get("/customers/stages", summary="Count customers by stage", tags=["customers"])
async def count_stages(actor: CanRead, work: CurrentWork) -> StagesOut:
    """Tất cả = Mới + Quan tâm + Đã ký + Tạm ngừng + Khác, of the customers that the caller sees; and how many each
    relationship of the workspace's list has."""
    return await stages.count(work.reader, actor)


@router.post(
    "/customers/{customer_id}/relationship",
    summary="Move a customer to a stage",
    tags=["customers"],
    response_model=CustomerOut,
)
async def move_customer(actor: CanEdit, session: Session, customer_id: UUID, body: RelationshipIn) -> Response:
    """One click on the stage: needs no version, and to be there already changes nothing."""
    await stages.move_one(session, actor, customer_id, body.relationship)
    return await replies.customer(await driver(session), actor, customer_id)


@router.get("/customers/{customer_id}/score", summary="Read where a customer's score comes from", tags=["customers"])
async def get_customer_score(actor: CanView, session: Session, customer_id: UUID) -> ScoreOut:
    """Each group and each completed transaction that it has points for; the newest 1,000."""
    return await scoring.ledger(session, actor, customer_id)


@router.get("/score-rules", summary="Read the rules of stars", tags=["scoring"])
async def get_score_rules(_: CanView, session: Session, response: Response) -> ScoreRulesOut:
    """The least score of each number of stars."""
    return _ruled(response, await scoring.rules_out(session))


@router.put("/score-rules", summary="Change the rules of stars", tags=["scoring"])
async def update_score_rules(
    actor: CanChangeSettings, session: Session, response: Response, version: IfMatch, body: ScoreRulesIn
) -> ScoreRulesOut:
    """Everybody's stars follow in the job `job_id`."""
    return _ruled(response, await scoring.change_rules(session, actor, body.thresholds, version=version))


@router.get("/tiers", summary="List tiers", tags=["classifications"])
async def list_tiers(
    _: CanView,
    session: Session,
    active: Annotated[bool | None, Query(description="Only those that people can, or cannot, choose.")] = None,
) -> TierPage:
    """All tiers in order, from the lowest to the highest."""
    items = [_out(row) for row in await classifications.list_all(session, "tier", active=active)]
    return TierPage(items=items, next_cursor=None, count=len(items))


@router.post("/tiers", summary="Add a tier", status_code=201, tags=["classifications"])
async def create_tier(actor: CanAdd, session: Session, response: Response, body: TierIn) -> TierOut:
    """An automatic tier is given, in a job, to every customer who fulfils its conditions and those of no higher one,
    and whose tier was not chosen by hand."""
    made = await tiers.create(session, actor, body.model_dump())
    response.headers["Location"] = f"/api/v1/tiers/{made.id}"
    return _shown(response, made)


@router.get("/tiers/{tier_id}", summary="Read a tier", tags=["classifications"])
async def get_tier(_: CanView, session: Session, response: Response, tier_id: UUID) -> TierOut:
    """One tier and its version."""
    return _shown(response, await classifications.get(session, "tier", tier_id))


@router.patch("/tiers/{tier_id}", summary="Change a tier", tags=["classifications"])
async def update_tier(
    actor: CanChangeSettings, session: Session, response: Response, tier_id: UUID, version: IfMatch, body: TierPatch
) -> TierOut:
    """Customers follow a change of the rule in a job. Who has a tier that is automatic no more keeps it."""
    given = body.model_dump(exclude_unset=True)
    return _shown(response, await tiers.update(session, actor, tier_id, given, version=version))


@router.delete("/tiers/{tier_id}", summary="Delete a tier", status_code=204, tags=["classifications"])
async def delete_tier(actor: CanChangeSettings, session: Session, tier_id: UUID, version: IfMatch) -> None:
    """Refused with `in_use` and the count while customers have it; deactivate it instead."""
    await tiers.delete(session, actor, tier_id, version=version)


def _out(row: Classification) -> TierOut:
    return TierOut.model_validate(row, from_attributes=True)


def _shown(response: Response, row: Classification) -> TierOut:
    set_etag(response, row.version)
    return _out(row)


def _ruled(response: Response, rules: ScoreRulesOut) -> ScoreRulesOut:
    set_etag(response, rules.version)
    return rules
