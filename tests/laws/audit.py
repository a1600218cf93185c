"""Promise 30, for one call: an operation that changes something has written its event, in the change's transaction."""

from uuid import uuid4

import asyncpg
import httpx

from app.core.orm import kind_of
from app.tables import metadata
from tests.laws.allowed import NO_EVENT, NO_KEY, OVERTAKEN
from tests.laws.calling import send
from tests.laws.contract import Operation
from tests.laws.scene import Call, Scene

TABLES = [table.name for table in metadata.sorted_tables if kind_of(table) == "tenant" and table.name != "event"]


async def audited(operation: Operation, scene: Scene, call: Call, owner: asyncpg.Connection) -> httpx.Response:
    """Sends a call that should succeed, and looks for its event."""
    request_id = uuid4().hex
    # The key's row is written with the reply, and nothing later changes it as a worker may change the others.
    key = {"Idempotency-Key": request_id} if operation.takes_key and operation.id not in NO_KEY else {}
    reply = await send(operation, scene.client, call, **{"X-Request-ID": request_id}, **key)
    if operation.mutates and reply.is_success:
        await _has_event(operation, scene, request_id, owner)
    return reply


async def _has_event(operation: Operation, scene: Scene, request_id: str, owner: asyncpg.Connection) -> None:
    events = await owner.fetch(
        """SELECT xmin::text AS transaction, kind, actor_id, actor_kind FROM crm.event
           WHERE tenant_id = $1 AND request_id = $2""",
        scene.workspace.id,
        request_id,
    )
    assert bool(events) != (operation.id in NO_EVENT), f"{operation} wrote {events}"
    for row in events:
        assert row["actor_id"] == scene.person.id
        assert row["actor_kind"] == "user"
        assert row["kind"].count(".") == 1
    if events and operation.method != "delete" and operation.id not in OVERTAKEN:
        transactions = {row["transaction"] for row in events}
        assert await _changed_in(owner, scene, transactions), f"{operation}: its event is alone in its transaction"


async def _changed_in(owner: asyncpg.Connection, scene: Scene, transactions: set[str]) -> list[str]:
    """The tables, other than event, with rows that these transactions wrote last."""
    found = []
    for table in TABLES:
        rows = await owner.fetchval(
            f'SELECT count(*) FROM crm."{table}" WHERE tenant_id = $1 AND xmin::text = ANY($2)',
            scene.workspace.id,
            list(transactions),
        )
        if rows:
            found.append(table)
    return found
