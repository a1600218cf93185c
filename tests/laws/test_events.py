"""Promise 30: every operation that changes something writes its event in the transaction of the change."""

from uuid import uuid4

import asyncpg
import pytest

from app.core.orm import kind_of
from app.tables import metadata
from tests.laws.allowed import NO_EVENT
from tests.laws.contract import Operation, operations
from tests.laws.registry import Scene, prepare, send

MUTATING = [operation for operation in operations() if operation.mutates]
TABLES = [table.name for table in metadata.sorted_tables if kind_of(table) == "tenant" and table.name != "event"]


@pytest.mark.promise(30)
@pytest.mark.parametrize("operation", MUTATING, ids=lambda operation: operation.id)
async def test_every_change_writes_its_event(operation: Operation, scene: Scene, owner: asyncpg.Connection) -> None:
    await scene.refresh()
    call = await prepare(operation, scene)
    request_id = uuid4().hex
    reply = await send(operation, scene.client, call, **{"X-Request-ID": request_id})
    assert reply.status_code < 300, f"{operation}: {reply.text}"
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
    if events and operation.method != "delete":
        transactions = {row["transaction"] for row in events}
        assert await changed_in(owner, scene, transactions), f"{operation}: its event is alone in its transaction"


async def changed_in(owner: asyncpg.Connection, scene: Scene, transactions: set[str]) -> list[str]:
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


def test_exceptions_are_still_needed() -> None:
    assert set(NO_EVENT) <= {operation.id for operation in MUTATING}
