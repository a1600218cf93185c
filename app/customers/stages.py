"""A customer's stage, which is its relationship (mối quan hệ): moved by hand, or by what happens; and counted.

Automation knows relationships by their category, because each workspace has its own list.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.clock import new_id, now
from app.core.db import driver, tenant_of
from app.core.errors import NotFound, invalid
from app.core.events import request_id
from app.core.fields import BadValue
from app.core.i18n import language
from app.customers import facts
from app.customers import registry as registries
from app.customers.config_schemas import Category, StageCount, StageOut, StagesOut
from app.customers.entity import CUSTOMERS
from app.customers.models import Classification
from app.customers.visibility import visible
from app.filters.search import Sql, Wanted, door

__all__ = ["FACTS", "count", "fact_happened", "move_one", "reached", "told_as"]

# The category that each fact moves its customers to (D021, D023). A new domain adds its facts here.
FACTS: Final[dict[str, Category]] = {
    "contract_signed": "won",
    "contract": "working",
    "transaction": "working",
    "opportunity": "working",
    "quote": "working",
    "order": "working",
}
# The stages that are counted by name; whoever is in none of them is in “Khác” (FEATURES 1.3, 8).
COUNTED: Final[dict[Category, tuple[str, str]]] = {
    "new": ("Mới", "New"),
    "interested": ("Quan tâm", "Interested"),
    "won": ("Đã ký", "Signed"),
    "suspended": ("Tạm ngừng", "Suspended"),
}
OTHER: Final = ("Khác", "Other")
# What the timeline tells of who is moved by hand to a relationship of this category (A093).
OUTCOMES: Final[dict[str, str]] = {
    "interested": "customer.potential",
    "won": "customer.contract_closed",
    "lost": "customer.refused",
}
CLASSIFYING: Final = frozenset(("relationship", "source", "customer_type", "tier"))

# $1 tenant, $2 customers, $3 as many event ids, $4 and $5 the relationship's id and name, $6 the moment, $7 the kind of
# the event, $8 to $11 who, $12 the event's data.
MOVE = """
WITH given AS (SELECT * FROM unnest($2::uuid[], $3::uuid[]) AS given (id, event_id)),
seen AS (
    SELECT c.id, c.relationship_id FROM crm.customer c
    WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[]) AND c.deleted_at IS NULL ORDER BY c.id FOR UPDATE
),
due AS (
    SELECT seen.id, old.name AS before
    FROM seen LEFT JOIN crm.classification old ON old.tenant_id = $1 AND old.id = seen.relationship_id
    WHERE seen.relationship_id IS DISTINCT FROM $4::uuid AND ({due})
),
moved AS (
    UPDATE crm.customer c SET relationship_id = $4::uuid, version = c.version + 1, updated_at = $6::timestamptz
    FROM due WHERE c.tenant_id = $1 AND c.id = due.id
    RETURNING c.id, due.before
)
INSERT INTO crm.event (tenant_id, id, at, kind, subject_type, subject_id, actor_kind, actor_id, actor_name, request_id,
                       changes, data)
SELECT $1, given.event_id, $6::timestamptz, $7::text, 'customer', moved.id, $8::text, $9::uuid, $10::text, $11::text,
       jsonb_build_object('relationship', jsonb_build_array(moved.before, $5::text)), $12::text::jsonb
FROM moved JOIN given ON given.id = moved.id
RETURNING subject_id
"""
ANYBODY = "true"
NOT_SIGNED = "old.category IS DISTINCT FROM 'won'"
# Forward in the workspace's own order; who was lost or had stopped buying begins anew.
FORWARD = f"""{NOT_SIGNED} AND (
    old.category IS NULL OR old.category IN ('new', 'other', 'suspended', 'lost') OR old.position < {{position:d}})"""
# Whether one who stands at $2, which may be nothing, is due to go to $3.
DUE = """
SELECT true FROM crm.classification target
LEFT JOIN crm.classification old ON old.tenant_id = $1 AND old.id = $2::uuid
WHERE target.tenant_id = $1 AND target.id = $3 AND target.id IS DISTINCT FROM $2::uuid AND ({due})
"""
# More relationships than a workspace can have.
EVERY: Final = 10_000
RELATIONSHIPS = """
SELECT l.id, l.name, l.category FROM crm.classification l
WHERE l.tenant_id = $1 AND l.kind = 'relationship' ORDER BY l.position, l.id
"""


async def move_one(session: AsyncSession, actor: Actor, customer_id: UUID, relationship: str) -> None:
    """Moves a customer to the relationship of this name (E004). To be there already changes nothing.

    Raises:
        NotFound: there is no such customer for this caller.
        Invalid: there is no such relationship that can be chosen.
    """
    if not await facts.hold(session, actor, customer_id):
        raise NotFound()
    registry = await registries.load(session)
    try:
        name = registry.fields["relationship"].parse(relationship)
    except BadValue as bad:
        raise invalid("relationship", bad.code, bad.vi, bad.en) from None
    if name is None:
        raise invalid("relationship", "required", "Mối quan hệ là bắt buộc", "Relationship is required")
    kind = told_as(registry.categories, {"relationship": (None, name)})
    raw = await driver(session)
    await _move(raw, actor, [customer_id], registry.ids["relationship"][name], name, ANYBODY, kind, {})


async def fact_happened(
    session: AsyncSession,
    actor: Actor,
    customer_ids: Sequence[UUID],
    fact: str,
    data: Mapping[str, Any] | None = None,
) -> list[UUID]:
    """Moves the customers to the stage that the fact means, and answers who moved. Nobody goes back: who has signed
    stays so, and who is further in the workspace's order than “approached” stays there. `data` tells of the fact.

    Without a relationship of that category nobody moves.
    """
    target = await _meant_by(session, fact)
    if target is None:
        return []
    told = {"reason": fact, **(data or {})}
    raw = await driver(session)
    due = _due(target)
    return await _move(raw, actor, customer_ids, target.id, target.name, due, "customer.classified", told)


async def reached(session: AsyncSession, relationship_id: UUID | None, happened: Iterable[str]) -> UUID | None:
    """Where a customer who stands at this relationship is after the facts, by the rule of `fact_happened`; writes
    nothing."""
    raw, at = await driver(session), relationship_id
    for fact in happened:
        target = await _meant_by(session, fact)
        if target is not None and await raw.fetchval(DUE.format(due=_due(target)), tenant_of(session), at, target.id):
            at = target.id
    return at


async def count(raw: asyncpg.Connection, actor: Actor) -> StagesOut:
    """How many customers the caller sees in each stage; the stages add up to all of them (D024)."""
    sql = Sql(actor.tenant_id)
    wanted = Wanted(visible(sql, actor), ["c.deleted_at IS NULL"])
    async with door(raw) as found:
        rows = await found.facet(CUSTOMERS, sql, wanted, "c.relationship_id", EVERY)
    counted: dict[UUID | None, int] = {row["value"]: row["count"] for row in rows}
    values = await raw.fetch(RELATIONSHIPS, actor.tenant_id)
    sizes = dict.fromkeys(COUNTED, 0)
    for row in values:
        if row["category"] in sizes:
            sizes[row["category"]] += counted.get(row["id"], 0)
    total = sum(counted.values())
    spoken = 1 if language.get() == "en" else 0
    stages = [StageOut(key=key, label=COUNTED[key][spoken], count=size) for key, size in sizes.items()]
    stages.append(StageOut(key="other", label=OTHER[spoken], count=total - sum(sizes.values())))
    named = [StageCount(**dict(row), count=counted.get(row["id"], 0)) for row in values]
    return StagesOut(total=total, stages=stages, relationships=named, without=total - sum(one.count for one in named))


def told_as(categories: Mapping[str, str], changes: Mapping[str, tuple[Any, Any]]) -> str:
    """The kind of the event that tells of a change: the outcome that a new relationship means, a classification, a sale
    who takes care from now on (A071), or an edit."""
    if set(changes) == {"owner"}:
        return "customer.assigned"
    if set(changes) == {"relationship"}:
        return OUTCOMES.get(categories.get(changes["relationship"][1] or "", ""), "customer.classified")
    return "customer.classified" if CLASSIFYING.issuperset(changes) else "customer.updated"


async def _meant_by(session: AsyncSession, fact: str) -> Classification | None:
    """The relationship that the fact moves customers to, if the workspace has one."""
    found: Classification | None = await session.scalar(
        select(Classification)
        .where(
            Classification.kind == "relationship", Classification.category == FACTS[fact], Classification.active
        )
        .order_by(Classification.position, Classification.id)
        .limit(1)
    )  # fmt: skip
    return found


def _due(target: Classification) -> str:
    """Who goes there, in SQL: of whom `old` is the relationship."""
    return NOT_SIGNED if target.category == "won" else FORWARD.format(position=target.position)


async def _move(
    raw: asyncpg.Connection,
    actor: Actor,
    ids: Sequence[UUID],
    target: UUID,
    name: str,
    due: str,
    kind: str,
    data: Mapping[str, Any],
) -> list[UUID]:
    wanted = sorted(set(ids))
    rows = await raw.fetch(
        MOVE.format(due=due), actor.tenant_id, wanted, [new_id() for _ in wanted], target, name, now(), kind,
        actor.kind, actor.id, actor.name, request_id.get(), msgspec.json.encode(data, enc_hook=str).decode(),
    )  # fmt: skip
    return [row["subject_id"] for row in rows]
