"""The ordered lists that customers are classified by: sources, customer types, relationships, tiers."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import jobs
from app.core.actor import Actor
from app.core.clock import new_id, now
from app.core.db import driver, on_conflict, tenant_of
from app.core.errors import Conflict, NotFound, invalid
from app.core.events import record
from app.core.jobs import Job
from app.customers import configuring
from app.customers.config_schemas import Category
from app.customers.configuring import name_key, on_field
from app.customers.errors import ImportRunning, InUse, NameTaken
from app.customers.models import Classification, Customer

__all__ = ["KINDS", "Kind", "create", "delete", "get", "hold", "list_all", "seed", "update"]

Kind = Literal["source", "customer_type", "relationship", "tier"]
KINDS: tuple[Kind, ...] = ("source", "customer_type", "relationship", "tier")
# The job of an import; imports stand above customers.
IMPORTING: Final = "imports.run"
USED_BY = {
    "source": Customer.source_id,
    "customer_type": Customer.customer_type_id,
    "relationship": Customer.relationship_id,
    "tier": Customer.tier_id,
}

SEEDS: dict[Kind, tuple[tuple[str, Category | None], ...]] = {
    "source": tuple(
        (name, None) for name in ("Facebook", "Zalo", "Website", "Giới thiệu", "Hội thảo", "Quảng cáo Google", "Khác")
    ),
    "customer_type": tuple((name, None) for name in ("Cá nhân", "Doanh nghiệp", "Đại lý")),
    "relationship": (
        ("Mới", "new"),
        ("Tiếp cận", "working"),
        ("Tiềm năng", "interested"),
        ("Nóng", "interested"),
        ("Chốt", "won"),
        ("Tạm ngừng", "suspended"),
        ("Mất", "lost"),
    ),
}


async def seed(session: AsyncSession, tenant_id: UUID) -> None:
    """The values that a new workspace starts with."""
    born = {"tenant_id": tenant_id, "active": True, "version": 1, "created_at": now(), "updated_at": now()}
    await session.execute(
        insert(Classification),
        [
            {
                "id": new_id(), "kind": kind, "name": name, "name_key": name_key(name),
                "position": position, "category": category, **born,
            }
            for kind, values in SEEDS.items()
            for position, (name, category) in enumerate(values, 1)
        ],
    )  # fmt: skip


async def list_all(session: AsyncSession, kind: Kind, *, active: bool | None = None) -> Sequence[Classification]:
    """The values of a list in order, all or only those that can or cannot be chosen."""
    query = select(Classification).where(Classification.kind == kind)
    if active is not None:
        query = query.where(Classification.active.is_(active))
    return (await session.scalars(query.order_by(Classification.position, Classification.id))).all()


async def get(session: AsyncSession, kind: Kind, value_id: UUID) -> Classification:
    """A value of a list.

    Raises:
        NotFound
    """
    found = await session.scalar(
        select(Classification).where(Classification.id == value_id, Classification.kind == kind)
    )
    if found is None:
        raise NotFound()
    return found


async def create(
    session: AsyncSession,
    actor: Actor,
    kind: Kind,
    *,
    name: str,
    position: int | None = None,
    active: bool = True,
    category: Category | None = None,
    details: Mapping[str, Any] | None = None,
) -> Classification:
    """Adds a value, after the others unless its position is given. `details` are the further columns of a tier.

    Raises:
        Invalid: a category for anything but a relationship.
        NameTaken: the list has a value of this name, whatever its case.
    """
    if category is not None:
        _require_relationship(kind)
    await configuring.lock(session)
    if position is None:
        last = await session.scalar(select(func.max(Classification.position)).where(Classification.kind == kind))
        position = (last or 0) + 1
    moment = now()
    made: Classification | None = await session.scalar(
        upsert(Classification)
        .values(
            tenant_id=tenant_of(session), id=new_id(), kind=kind, name=name, name_key=name_key(name),
            position=position, active=active, category=category or ("other" if kind == "relationship" else None),
            version=1, created_at=moment, updated_at=moment, **(details or {}),
        )
        .on_conflict_do_nothing(index_elements=["tenant_id", "kind", "name_key"])
        .returning(Classification)
    )  # fmt: skip
    if made is None:
        raise _name_taken()
    await record(session, actor, "classification.created", made.id, data={"kind": kind, "name": name})
    return made


async def update(
    session: AsyncSession, actor: Actor, kind: Kind, value_id: UUID, given: dict[str, Any], *, version: int
) -> Classification:
    """Changes a value; customers who have it show its new name at once.

    Raises:
        NotFound, Stale
        Invalid: a category for anything but a relationship.
        NameTaken: the list has a value of this name, whatever its case.
    """
    if "category" in given:
        _require_relationship(kind)
    await configuring.lock(session)
    row = await configuring.locked(session, Classification, value_id, version, Classification.kind == kind)
    with on_conflict({"classification_name_uq": _name_taken}):
        await configuring.save(session, actor, "classification.updated", row, given)
    return row


async def delete(session: AsyncSession, actor: Actor, kind: Kind, value_id: UUID, *, version: int) -> None:
    """Removes a value that no customer has, not even one in the trash: a restore must find it again. Waits for whoever
    is giving it to one in this moment (`hold`).

    Raises:
        NotFound, Stale
        InUse: with the number of customers.
        ImportRunning: an import, which knows the lists as they were when it began, has not ended.
    """
    await configuring.lock(session)
    row = await configuring.locked(session, Classification, value_id, version, Classification.kind == kind)
    count = await session.scalar(select(func.count()).select_from(Customer).where(USED_BY[kind] == value_id))
    if count:
        raise InUse(count=count, extra={"count": count})
    if await session.scalar(select(Job.id).where(Job.kind == IMPORTING, Job.state.in_(jobs.LIVE)).limit(1)):
        raise ImportRunning()
    await session.delete(row)
    await session.flush()
    await record(session, actor, "classification.deleted", value_id, data={"kind": kind, "name": row.name})


async def hold(session: AsyncSession, columns: Mapping[str, Any]) -> None:
    """Keeps the values of lists that a customer is given in these columns from being deleted until the commit.

    Raises:
        Conflict: one of them was deleted a moment ago.
    """
    given = {columns[column.key] for column in USED_BY.values() if columns.get(column.key)}
    if not given:
        return
    # On the bare driver: a session's statement costs four times as much, and every new customer asks this.
    held = await (await driver(session)).fetch(
        "SELECT id FROM crm.classification WHERE tenant_id = $1 AND id = ANY($2::uuid[]) FOR KEY SHARE",
        tenant_of(session), list(given),
    )  # fmt: skip
    if len(held) < len(given):
        raise Conflict()


def _require_relationship(kind: Kind) -> None:
    if kind != "relationship":
        raise invalid(
            "category", "category_not_allowed", "Chỉ mối quan hệ mới có phân nhóm", "Only relationships have a category"
        )


def _name_taken() -> NameTaken:
    return on_field(NameTaken(), "name")
