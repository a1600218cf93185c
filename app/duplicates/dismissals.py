"""Dismissals: somebody said that customers are not one, whatever they share; read, and taken back."""

from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

import asyncpg
from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.clock import new_id, now
from app.core.db import driver
from app.core.errors import NotFound, invalid
from app.core.events import record_all
from app.core.paging import Pager
from app.customers.visibility import visible
from app.duplicates.models import Dismissal
from app.duplicates.schemas import DismissalOut, DismissalPage, DismissedOut
from app.filters.search import Sql

__all__ = ["apart", "dismiss", "page", "take_back"]

LAST: Final = UUID(int=2**128 - 1)
APART: Final = """
SELECT array_agg(d.customer_id) AS ids FROM crm.duplicate_dismissal d
WHERE d.tenant_id = $1 AND d.dismissal_id IN (
    SELECT x.dismissal_id FROM crm.duplicate_dismissal x WHERE x.tenant_id = $1 AND x.customer_id = ANY($2::uuid[]))
GROUP BY d.dismissal_id
"""
# Of two customers at least whom the caller may see, and no others.
ROWS: Final = """
SELECT found.*, u.full_name AS dismissed_by_name FROM (
    SELECT d.dismissal_id AS id, array_agg(c.id ORDER BY c.id) AS customer_ids, d.dismissed_at, d.dismissed_by
    FROM crm.duplicate_dismissal d JOIN crm.customer c ON c.tenant_id = $1 AND c.id = d.customer_id
    WHERE d.tenant_id = $1 AND d.dismissal_id < $2 AND c.deleted_at IS NULL AND {visible} AND {of}
    GROUP BY d.dismissal_id, d.dismissed_at, d.dismissed_by HAVING count(*) > 1
    ORDER BY d.dismissal_id DESC LIMIT $3
) AS found LEFT JOIN crm.app_user u ON u.tenant_id = $1 AND u.id = found.dismissed_by ORDER BY found.id DESC
"""
OF: Final = """d.dismissal_id IN (
    SELECT x.dismissal_id FROM crm.duplicate_dismissal x WHERE x.tenant_id = $1 AND x.customer_id = {customer})"""


async def dismiss(session: AsyncSession, actor: Actor, ids: Sequence[UUID]) -> DismissedOut:
    """Says that these customers are not one: their cluster is not shown again, unless somebody new joins it.

    Raises:
        NotFound: the caller may not see all of them.
        Invalid: it takes two.
    """
    wanted = sorted(set(ids))
    if len(await _seen(session, actor, wanted)) < len(wanted):
        raise NotFound()
    if len(wanted) < 2:
        raise invalid("customer_ids", "too_short", "Cần ít nhất hai khách hàng", "It takes two customers at least")
    dismissal_id, moment = new_id(), now()
    await session.execute(
        insert(Dismissal),
        [
            {
                "tenant_id": actor.tenant_id, "dismissal_id": dismissal_id, "customer_id": one,
                "dismissed_at": moment, "dismissed_by": actor.id,
            }
            for one in wanted
        ],
    )  # fmt: skip
    await _tell(session, actor, "customer.duplicate_dismissed", wanted)
    return DismissedOut(id=dismissal_id, customer_ids=wanted)


async def page(
    session: AsyncSession, actor: Actor, *, customer_id: UUID | None, limit: int, cursor: str | None, secret: bytes
) -> DismissalPage:
    """A page of dismissals, the newest first; with a customer, those that name it."""
    pager = Pager(secret, actor.tenant_id, actor.id, "dismissals", customer_id)
    position = pager.position(cursor)
    sql = Sql(actor.tenant_id, [UUID(position[0]) if position else LAST, limit + 1])
    of = OF.format(customer=sql.arg(customer_id)) if customer_id else "true"
    rows = await (await driver(session)).fetch(ROWS.format(visible=visible(sql, actor), of=of), *sql.args)
    items = [DismissalOut.model_validate(dict(row)) for row in rows[:limit]]
    return DismissalPage(items=items, next_cursor=pager.cursor([str(items[-1].id)]) if len(rows) > limit else None)


async def take_back(session: AsyncSession, actor: Actor, dismissal_id: UUID) -> int:
    """Lets its customers be duplicates again. Answers how many dismissals went: none where it was gone already, or
    where the caller does not see all of its customers who live."""
    of_this = (Dismissal.tenant_id == actor.tenant_id, Dismissal.dismissal_id == dismissal_id)
    ids = list(await session.scalars(select(Dismissal.customer_id).where(*of_this).with_for_update()))
    live = await _seen(session, actor, ids, everybody=True)
    if not live or live != await _seen(session, actor, live):
        return 0
    await session.execute(delete(Dismissal).where(*of_this))
    await _tell(session, actor, "customer.duplicate_undismissed", live)
    return 1


async def apart(raw: asyncpg.Connection, tenant_id: UUID, ids: Iterable[UUID]) -> list[set[UUID]]:
    """The sets of customers of whom somebody said that they are not one, as far as they name any of these."""
    return [set(row["ids"]) for row in await raw.fetch(APART, tenant_id, list(ids))]


async def _seen(session: AsyncSession, actor: Actor, ids: Sequence[UUID], *, everybody: bool = False) -> list[UUID]:
    """The live customers among these whom the caller may see, or all who live."""
    sql = Sql(actor.tenant_id, [list(ids)])
    rows = await (await driver(session)).fetch(
        f"""
        SELECT c.id FROM crm.customer c WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[]) AND c.deleted_at IS NULL
          AND {"true" if everybody else visible(sql, actor)} ORDER BY c.id
        """,
        *sql.args,
    )
    return [row["id"] for row in rows]


async def _tell(session: AsyncSession, actor: Actor, kind: str, ids: Sequence[UUID]) -> None:
    await record_all(session, actor, kind, {one: {"not_same_as": [x for x in ids if x != one]} for one in ids})
