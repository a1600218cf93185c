"""One customer as the answer to a call."""

from uuid import UUID

import asyncpg
from fastapi import Response

from app.core.actor import Actor
from app.customers import queries


async def customer(
    raw: asyncpg.Connection, actor: Actor, customer_id: UUID, *, status: int = 200, written: bool = False
) -> Response:
    """The customer as it is now, with its version as the ETag; `written` shows it to who wrote it and sees it no more.

    Raises:
        NotFound, Merged
    """
    body, version = await queries.get_json(raw, actor, customer_id, written=written)
    headers = {"ETag": f'"{version}"'}
    if status == 201:
        headers["Location"] = f"/api/v1/customers/{customer_id}"
    return json(body, status, headers)


def json(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON that PostgreSQL or msgspec has written."""
    return Response(body, status, media_type="application/json", headers=headers)
