"""What a bulk change did with each customer."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.bulk.errors import reason
from app.bulk.schemas import JobItemOut, JobItemPage, Status, Undone
from app.bulk.service import batch_of
from app.core.actor import Actor
from app.core.db import driver
from app.core.paging import Pager
from app.customers.visibility import visible
from app.filters.search import Sql


async def page(
    session: AsyncSession,
    actor: Actor,
    job_id: UUID,
    *,
    status: Status | None,
    undone: Undone | None,
    limit: int,
    cursor: str | None,
    secret: bytes,
) -> JobItemPage:
    """A page of a job's customers. A job that has none answers an empty page.

    Raises:
        NotFound: there is no such job for this caller.
    """
    batch_id = await batch_of(session, actor, job_id)
    pager = Pager(secret, actor.tenant_id, actor.id, "items", batch_id, status, undone)
    position = pager.position(cursor)
    sql = Sql(actor.tenant_id, [batch_id])
    where = ["i.tenant_id = $1", "i.batch_id = $2"]
    if position:
        where.append(f"i.customer_id > {sql.arg(UUID(position[0]))}::uuid")
    if status is not None:
        where.append(f"i.status = {sql.arg(status)}::text")
    if undone is not None:
        where.append(f"i.undone = {sql.arg(undone)}::text")
    rows = await (await driver(session)).fetch(
        f"""
        SELECT i.customer_id, c.code AS customer_code, c.name AS customer_name, i.status, i.code, i.undone, i.undo_code
        FROM crm.batch_item i
        LEFT JOIN crm.customer c ON c.tenant_id = $1 AND c.id = i.customer_id AND ({visible(sql, actor)})
        WHERE {" AND ".join(where)} ORDER BY i.customer_id LIMIT {limit + 1:d}
        """,
        *sql.args,
    )
    items = [
        JobItemOut(
            **dict(row),
            message=reason(row["code"]) if row["code"] else None,
            undo_message=reason(row["undo_code"]) if row["undo_code"] else None,
        )
        for row in rows[:limit]
    ]
    following = pager.cursor([str(items[-1].customer_id)]) if len(rows) > limit else None
    return JobItemPage(items=items, next_cursor=following)
