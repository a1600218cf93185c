"""The search door: the only place that reads as `crm_search`.

Under row-level security PostgreSQL may not use an index for LIKE, `@@`, `&&` or jsonb operators, because their
functions are not leakproof. So ids are found by a role whose policy is open, and rows are then read by id as
`crm_app`. What the policy no longer says, every statement here says itself: `tenant_id = $1`, and the caller's
visibility, at its root (docs/notes/tenancy.md).
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import asyncpg


@dataclass
class Sql:
    """The arguments of a statement in the making; $1 is always the tenant."""

    tenant_id: UUID
    args: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.args.insert(0, self.tenant_id)

    def arg(self, value: Any) -> str:
        """Adds an argument and returns its placeholder."""
        self.args.append(value)
        return f"${len(self.args)}"


@dataclass(frozen=True)
class Entity:
    """What can be searched: a table under the alias `c`, and the joins that predicates may name."""

    table: str
    joins: str = ""

    @property
    def source(self) -> str:
        """The FROM clause."""
        return f"{self.table} c {self.joins}"


class Door:
    """An open door: statements that give ids, keys to sort by, or counts, and nothing else."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def page(
        self,
        entity: Entity,
        sql: Sql,
        *,
        visible: str,
        where: Sequence[str],
        keys: Sequence[str],
        order: str,
        limit: int,
    ) -> list[asyncpg.Record]:
        """Rows of (id, *sort keys), in order. `keys` are expressions to be named in a cursor."""
        columns = ", ".join(["c.id", *(f"{key} AS key{number}" for number, key in enumerate(keys))])
        statement = (
            f"SELECT {columns} FROM {entity.source} WHERE {_root(visible, where)} ORDER BY {order} LIMIT {limit:d}"
        )
        found: list[asyncpg.Record] = await self._connection.fetch(statement, *sql.args)
        return found

    async def count(
        self, entity: Entity, sql: Sql, *, visible: str, where: Sequence[str], cap: int | None = None
    ) -> int:
        """How many there are; never more than `cap` when one is given."""
        inner = f"SELECT 1 FROM {entity.source} WHERE {_root(visible, where)}"
        limited = f"{inner} LIMIT {cap:d}" if cap is not None else inner
        counted: int = await self._connection.fetchval(f"SELECT count(*) FROM ({limited}) AS found", *sql.args)
        return counted

    async def estimate(self, entity: Entity, sql: Sql, *, visible: str, where: Sequence[str]) -> int:
        """The planner's guess of how many there are."""
        inner = f"SELECT 1 FROM {entity.source} WHERE {_root(visible, where)}"
        plan: str = await self._connection.fetchval(f"EXPLAIN (FORMAT JSON) {inner}", *sql.args)
        return int(json.loads(plan)[0]["Plan"]["Plan Rows"])


@asynccontextmanager
async def door(connection: asyncpg.Connection) -> AsyncIterator[Door]:
    """Steps through the door within an open transaction, before its first write, and back again."""
    await connection.execute("SET LOCAL ROLE crm_search")
    try:
        yield Door(connection)
    finally:
        # In a failed transaction nothing runs any more, and its rollback takes the role back.
        with suppress(asyncpg.InFailedSQLTransactionError):
            await connection.execute("SET LOCAL ROLE NONE")


def _root(visible: str, where: Sequence[str]) -> str:
    return " AND ".join(["c.tenant_id = $1", f"({visible})", *(f"({predicate})" for predicate in where)])
