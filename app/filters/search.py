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
from typing import Any, Final
from uuid import UUID

import asyncpg

from app.filters.errors import FilterTooCostly

# What PostgreSQL's protocol counts to.
MAX_ARGUMENTS: Final = 32_767


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
    """What can be searched: a table, named `c` in predicates, and its side table of words, named `s`."""

    table: str
    words: str


@dataclass(frozen=True)
class Way:
    """One of the ways to see a row, apart from the others; `ordered` if an index of its rows has the order of the list
    too."""

    predicate: str
    ordered: bool = True


@dataclass(frozen=True)
class Wanted:
    """Which rows: the caller's visibility, further predicates, one on the words, and those of a filter. `ways` say the
    same as `visible`, and stand instead of it for who looks at the newest rows only."""

    visible: str
    where: Sequence[str]
    match: str = ""
    tested: Sequence[str] = ()
    ways: Sequence[Way] = ()


@dataclass(frozen=True)
class Part:
    """Which part of them: the expressions to be named in a cursor, the order, and how many."""

    keys: Sequence[str]
    order: str
    limit: int
    unordered: str = ""
    """The same order, as no index has it: for who is found first and then sorted."""

    @property
    def columns(self) -> str:
        """The id and the keys as a column list."""
        return ", ".join(["c.id", *(f"{key} AS key{number}" for number, key in enumerate(self.keys))])


class Door:
    """An open door: statements that give ids, keys to sort by, counts, or values of a facet, and nothing else."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def page(self, entity: Entity, sql: Sql, wanted: Wanted, part: Part) -> list[asyncpg.Record]:
        """Rows of (id, *sort keys), in order."""
        statement = f"{_found(entity, wanted, part.columns)} ORDER BY {part.order} LIMIT {part.limit:d}"
        found: list[asyncpg.Record] = await self._connection.fetch(statement, *sql.args)
        return found

    async def newest(self, entity: Entity, sql: Sql, wanted: Wanted, part: Part) -> list[asyncpg.Record]:
        """Like `page`, of everybody who is visible in the wanted ways."""
        columns = ", ".join(["c.id", *(key for key in part.keys if key.startswith("c."))])
        inner = _first(entity, wanted, part, part.limit, columns)
        found: list[asyncpg.Record] = await self._connection.fetch(
            f"SELECT {part.columns} FROM ({inner}) AS c ORDER BY {part.order} LIMIT {part.limit:d}", *sql.args
        )
        return found

    async def walk(self, entity: Entity, sql: Sql, wanted: Wanted, part: Part, *, steps: int) -> list[asyncpg.Record]:
        """Like `newest`, but of the first `steps` rows only those that fit: the short way to what many rows have."""
        words = f"JOIN {entity.words} s ON s.tenant_id = $1 AND s.id = c.id" if wanted.match else ""
        tests = [f"({one})" for one in (wanted.match, *wanted.tested) if one]
        statement = f"""
        SELECT {part.columns} FROM ({_first(entity, wanted, part, steps)}) AS c {words}
        WHERE {" AND ".join(tests) or "true"} ORDER BY {part.order} LIMIT {part.limit:d}
        """
        found: list[asyncpg.Record] = await self._connection.fetch(statement, *sql.args)
        return found

    async def count(self, entity: Entity, sql: Sql, wanted: Wanted, *, cap: int | None = None) -> int:
        """How many there are; never more than `cap` when one is given."""
        limit = f"LIMIT {cap:d}" if cap is not None else ""
        statement = f"SELECT count(*) FROM ({_found(entity, wanted, '1')} {limit}) AS found"
        return int((await self._row(statement, sql))[0])

    async def every(self, entity: Entity, sql: Sql, wanted: Wanted, *, size: int) -> list[asyncpg.Record]:
        """All ids in their order, as rows of (how many, their array as text) of at most `size`: a million ids need not
        become a million objects."""
        ids = _found(entity, wanted, "c.id")
        numbered = f"SELECT id, (row_number() OVER (ORDER BY id) - 1) / {size:d} AS n FROM ({ids}) AS f"
        statement = f"SELECT count(*), array_agg(id ORDER BY id)::text FROM ({numbered}) AS part GROUP BY n ORDER BY n"
        found: list[asyncpg.Record] = await self._connection.fetch(statement, *sql.args)
        return found

    async def counts(
        self, entity: Entity, sql: Sql, each: Sequence[Wanted], *, cap: int, milliseconds: int
    ) -> list[int]:
        """How many there are of each, never more than `cap`, in one statement whose arguments they share.

        Raises:
            FilterTooCostly: it took longer, or is larger than a statement may be; the door stays open.
        """
        if len(sql.args) > MAX_ARGUMENTS:
            raise FilterTooCostly
        columns = (f"(SELECT count(*) FROM ({_found(entity, one, '1')} LIMIT {cap:d}) AS found)" for one in each)
        async with self._within(milliseconds):
            return list(await self._row(f"SELECT {', '.join(columns)}", sql))

    async def facet(self, entity: Entity, sql: Sql, wanted: Wanted, key: str, limit: int) -> list[asyncpg.Record]:
        """Rows of (value, count) of an expression, the most frequent first."""
        statement = f"""
        SELECT value, count(*) AS count FROM ({_found(entity, wanted, f"{key} AS value")}) AS found
        GROUP BY value ORDER BY count DESC, value LIMIT {limit:d}
        """
        found: list[asyncpg.Record] = await self._connection.fetch(statement, *sql.args)
        return found

    async def estimate(self, entity: Entity, sql: Sql, wanted: Wanted) -> int:
        """The planner's guess of how many there are."""
        plan: str = await self._connection.fetchval(f"EXPLAIN (FORMAT JSON) {_found(entity, wanted, '1')}", *sql.args)
        return int(json.loads(plan)[0]["Plan"]["Plan Rows"])

    async def _row(self, statement: str, sql: Sql) -> asyncpg.Record:
        """The only row. Asked for as if there were more: PostgreSQL has no parallel plan for who wants a number of
        rows."""
        return (await self._connection.fetch(statement, *sql.args))[0]

    @asynccontextmanager
    async def _within(self, milliseconds: int) -> AsyncIterator[None]:
        """A statement that may fail alone: the transaction goes on after it."""
        await self._connection.execute(f"SAVEPOINT limited; SET LOCAL statement_timeout = {milliseconds:d}")
        try:
            yield
        except (asyncpg.QueryCanceledError, asyncpg.ProgramLimitExceededError):
            await self._connection.execute("ROLLBACK TO SAVEPOINT limited")
            await self._connection.execute("RELEASE SAVEPOINT limited")
            raise FilterTooCostly from None
        await self._connection.execute("RELEASE SAVEPOINT limited; SET LOCAL statement_timeout TO DEFAULT")


@asynccontextmanager
async def door(connection: asyncpg.Connection) -> AsyncIterator[Door]:
    """Steps through the door within an open transaction, before its first write, and back again."""
    await connection.execute("SET LOCAL ROLE crm_search")
    try:
        yield Door(connection)
    except asyncpg.QueryCanceledError:
        raise FilterTooCostly from None
    finally:
        # In a failed transaction nothing runs any more, and its rollback takes the role back.
        with suppress(asyncpg.InFailedSQLTransactionError):
            await connection.execute("SET LOCAL ROLE NONE")


def _found(entity: Entity, wanted: Wanted, columns: str) -> str:
    """The rows that fit. Words are matched first, as a set: the planner takes a rare beginning of a word for a common
    one, and would walk through everybody to find nobody (2 s at a million rows; 10 ms this way)."""
    if not wanted.match:
        return f"SELECT {columns} FROM {entity.table} c WHERE {_everything(wanted)}"
    return f"""
    SELECT {columns} FROM (
        WITH matched AS MATERIALIZED (SELECT s.id FROM {entity.words} s WHERE s.tenant_id = $1 AND ({wanted.match}))
        SELECT id FROM matched
    ) AS m JOIN {entity.table} c ON c.tenant_id = $1 AND c.id = m.id WHERE {_everything(wanted)}
    """


def _first(entity: Entity, wanted: Wanted, part: Part, count: int, columns: str = "*") -> str:
    """The first rows of the order, of each way by itself: PostgreSQL merges what indexes have in the order. As one
    predicate the ways would be tested from the newest row on, however far back the caller's own ones lie."""
    each = [
        f"(SELECT {columns} FROM {entity.table} c WHERE {_root(way.predicate, wanted.where)} "
        f"ORDER BY {part.order if way.ordered else part.unordered} LIMIT {count:d})"
        for way in wanted.ways
    ]
    if len(each) == 1:
        return each[0]
    return f"SELECT * FROM ({' UNION ALL '.join(each)}) AS c ORDER BY {part.order} LIMIT {count:d}"


def _everything(wanted: Wanted) -> str:
    return _root(wanted.visible, [*wanted.where, *wanted.tested])


def _root(visible: str, where: Sequence[str]) -> str:
    return " AND ".join(["c.tenant_id = $1", f"({visible})", *(f"({one})" for one in where)])
