"""Tiers of customers (phân cấp): a list with a discount and benefits, given by hand or by conditions."""

from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.errors import invalid
from app.customers import classifications, configuring, scoring
from app.customers.models import Classification

__all__ = ["create", "delete", "update"]

# A change of any of these may give customers another tier.
RULES = frozenset(("automatic", "conditions", "position", "active"))


async def create(session: AsyncSession, actor: Actor, given: dict[str, Any]) -> Classification:
    """Adds a tier; an automatic one is given to whoever deserves it, in a job (D016, D017).

    Raises:
        Invalid: automatic, and without a condition.
        NameTaken: there is a tier of this name, whatever its case.
    """
    plain = {key: given.pop(key) for key in ("name", "position", "active")}
    _check(given["automatic"], given["conditions"])
    made = await classifications.create(session, actor, "tier", **plain, details=given)
    if made.automatic:
        await scoring.rescore_later(session, actor)
    return made


async def update(
    session: AsyncSession, actor: Actor, tier_id: UUID, given: dict[str, Any], *, version: int
) -> Classification:
    """Changes a tier; a change of its rule reaches the customers in a job. Who has a tier that is automatic no more
    keeps it (D018).

    Raises:
        NotFound, Stale, NameTaken
        Invalid: automatic, and without a condition.
    """
    await configuring.lock(session)
    before = await configuring.locked(session, Classification, tier_id, version, Classification.kind == "tier")
    was = {name: getattr(before, name) for name in RULES}
    _check(given.get("automatic", before.automatic), given.get("conditions", before.conditions))
    row = await classifications.update(session, actor, "tier", tier_id, given, version=version)
    if any(getattr(row, name) != was[name] for name in RULES) and (row.automatic or was["automatic"]):
        await scoring.rescore_later(session, actor)
    return row


async def delete(session: AsyncSession, actor: Actor, tier_id: UUID, *, version: int) -> None:
    """Removes a tier that no customer has.

    Raises:
        NotFound, Stale, InUse
    """
    await classifications.delete(session, actor, "tier", tier_id, version=version)


def _check(automatic: bool, conditions: list[Any]) -> None:
    if automatic and not conditions:
        raise invalid(
            "conditions", "conditions_missing", "Phân cấp tự động cần ít nhất một điều kiện",
            "An automatic tier needs at least one condition",
        )  # fmt: skip
