"""Types of transactions (loại giao dịch), with the points that a completed one is worth."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.clock import new_id, now
from app.core.db import on_conflict, tenant_of
from app.core.errors import NotFound, invalid
from app.core.events import record
from app.customers import configuring, scoring
from app.customers.configuring import name_key, on_field
from app.customers.errors import NameTaken
from app.transactions.errors import TypeInUse
from app.transactions.models import Transaction, TransactionType

__all__ = ["by_name", "choose", "create", "delete", "get", "list_all", "seed", "update"]

SEEDS = (("Gặp mặt", 10), ("Gọi điện", 5), ("Gửi email", 2), ("Gửi báo giá", 10), ("Giới thiệu sản phẩm", 15))


async def seed(session: AsyncSession, tenant_id: UUID) -> None:
    """The types that a new workspace starts with."""
    born = {"tenant_id": tenant_id, "active": True, "version": 1, "created_at": now(), "updated_at": now()}
    rows = [
        {"id": new_id(), "name": name, "name_key": name_key(name), "points": points, "position": position, **born}
        for position, (name, points) in enumerate(SEEDS, 1)
    ]
    await session.execute(insert(TransactionType), rows)


async def list_all(session: AsyncSession, *, active: bool | None = None) -> Sequence[TransactionType]:
    """The types in order, all or only those that can or cannot be chosen."""
    query = select(TransactionType)
    if active is not None:
        query = query.where(TransactionType.active.is_(active))
    return (await session.scalars(query.order_by(TransactionType.position, TransactionType.id))).all()


async def by_name(session: AsyncSession) -> dict[str, UUID]:
    """The ids of all types by their names, in order."""
    return {row.name: row.id for row in await list_all(session)}


async def get(session: AsyncSession, type_id: UUID) -> TransactionType:
    """A type.

    Raises:
        NotFound
    """
    found = await session.scalar(select(TransactionType).where(TransactionType.id == type_id))
    if found is None:
        raise NotFound()
    return found


async def choose(session: AsyncSession, type_id: UUID) -> TransactionType:
    """A type that people can choose; nobody deletes it before the commit.

    Raises:
        Invalid: there is none.
    """
    found = await session.scalar(
        select(TransactionType)
        .where(TransactionType.id == type_id, TransactionType.active)
        .with_for_update(read=True, key_share=True)
    )
    if found is None:
        raise invalid(
            "type_id", "transaction_type_unknown", "Không có loại giao dịch này", "There is no such transaction type"
        )
    return found


async def create(
    session: AsyncSession, actor: Actor, *, name: str, points: int, position: int | None, active: bool
) -> TransactionType:
    """Adds a type, after the others unless its position is given.

    Raises:
        NameTaken: there is a type of this name, whatever its case.
    """
    await configuring.lock(session)
    if position is None:
        position = (await session.scalar(select(func.max(TransactionType.position))) or 0) + 1
    moment = now()
    made: TransactionType | None = await session.scalar(
        upsert(TransactionType)
        .values(
            tenant_id=tenant_of(session), id=new_id(), name=name, name_key=name_key(name), points=points,
            position=position, active=active, version=1, created_at=moment, updated_at=moment,
        )
        .on_conflict_do_nothing(index_elements=["tenant_id", "name_key"])
        .returning(TransactionType)
    )  # fmt: skip
    if made is None:
        raise _name_taken()
    await record(session, actor, "transaction_type.created", made.id, data={"name": name})
    return made


async def update(
    session: AsyncSession, actor: Actor, type_id: UUID, given: dict[str, Any], *, version: int
) -> TransactionType:
    """Changes a type; of other points the customers hear in a job.

    Raises:
        NotFound, Stale, NameTaken
    """
    await configuring.lock(session)
    row = await configuring.locked(session, TransactionType, type_id, version)
    points = row.points
    with on_conflict({"transaction_type_name_uq": _name_taken}):
        await configuring.save(session, actor, "transaction_type.updated", row, given)
    if row.points != points:
        await scoring.rescore_later(session, actor, scope="transaction_type", of=type_id)
    return row


async def delete(session: AsyncSession, actor: Actor, type_id: UUID, *, version: int) -> None:
    """Removes a type that no transaction has.

    Raises:
        NotFound, Stale
        TypeInUse: with the number of transactions.
    """
    await configuring.lock(session)
    row = await configuring.locked(session, TransactionType, type_id, version)
    count = await session.scalar(select(func.count()).select_from(Transaction).where(Transaction.type_id == type_id))
    if count:
        raise TypeInUse(count=count, extra={"count": count})
    await session.delete(row)
    await session.flush()
    await record(session, actor, "transaction_type.deleted", type_id, data={"name": row.name})


def _name_taken() -> NameTaken:
    return on_field(NameTaken(), "name")
