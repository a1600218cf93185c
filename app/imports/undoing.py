"""The job that takes an import back: what it created goes into the trash, what it changed is as it was before.

A customer that anybody touched since is kept as it is. All rows of a customer are dealt with together, under the
first row of the file that had its phone, so that ranges of rows are independent checkpoints.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import new_id, now
from app.core.db import driver
from app.core.fields import Field
from app.core.runner import Done, Outcome, Retry, Run, Stopped
from app.customers import registry as registries
from app.customers.registry import Registry
from app.imports import planning, queries
from app.imports.finishing import finish
from app.imports.merge import Collision, write_words
from app.imports.merge_sql import EVENT_COLUMNS, Difference, Statement, labels_of, names_of_groups
from app.imports.models import Import

STEP = 10_000
ATTEMPTS = 5
NOTHING = {"removed": 0, "restored": 0, "kept": 0}

# $1 tenant, $2 import, $3 and $4 the range of first rows, $5 the moment.
TOUCHED = """
    SELECT r.customer_id, bool_or(r.status = 'created') AS created, max(r.version_after) AS version_after,
           (array_agg(r.before ORDER BY r.n) FILTER (WHERE r.before IS NOT NULL))[1] AS before
    FROM (
        SELECT * FROM crm.import_row WHERE tenant_id = $1 AND import_id = $2 AND n BETWEEN $3 AND $4 AND first_n IS NULL
        UNION ALL
        SELECT * FROM crm.import_row WHERE tenant_id = $1 AND import_id = $2 AND first_n BETWEEN $3 AND $4
    ) AS r
    WHERE r.status IN ('created', 'updated') AND r.undone IS NULL AND r.customer_id IS NOT NULL
    GROUP BY r.customer_id
"""
LOCK = f"""
SELECT count(*) FROM (
    SELECT c.id FROM ({TOUCHED}) AS t JOIN crm.customer c ON c.tenant_id = $1 AND c.id = t.customer_id
    ORDER BY c.id FOR UPDATE OF c
) AS locked
"""
MARK = """
UPDATE crm.import_row r SET undone = CASE WHEN r.customer_id IN (SELECT unnest($5::uuid[])) THEN 'removed'
    WHEN r.customer_id IN (SELECT unnest($6::uuid[])) THEN 'restored' ELSE 'kept' END
WHERE r.tenant_id = $1 AND r.import_id = $2 AND r.status IN ('created', 'updated') AND r.undone IS NULL
  AND r.customer_id IS NOT NULL
  AND (r.n BETWEEN $3 AND $4 AND r.first_n IS NULL OR r.first_n BETWEEN $3 AND $4)
"""
LEAVE_GROUPS = "DELETE FROM crm.group_member WHERE tenant_id = $1 AND batch_id = $2 AND customer_id = ANY($3::uuid[])"
RELEASE = """
DELETE FROM crm.unique_value WHERE tenant_id = $1 AND customer_id = ANY($2::uuid[]) AND attribute_id = ANY($3::uuid[])
"""
# $2 customers, $3 attribute, $4 its key.
RECLAIM = """
INSERT INTO crm.unique_value (tenant_id, attribute_id, value, customer_id)
SELECT $1, $3::uuid, c.attributes ->> $4::text, c.id
FROM unnest($2::uuid[]) AS one (id) JOIN crm.customer c ON c.tenant_id = $1 AND c.id = one.id
WHERE c.attributes ->> $4::text IS NOT NULL
ON CONFLICT (tenant_id, attribute_id, value) DO NOTHING
"""
LOST = """
SELECT count(*) FROM unnest($2::uuid[]) AS one (id) JOIN crm.customer c ON c.tenant_id = $1 AND c.id = one.id
JOIN crm.unique_value u ON u.tenant_id = $1 AND u.attribute_id = $3::uuid AND u.value = c.attributes ->> $4::text
WHERE u.customer_id <> c.id
"""
SAVE_COUNTS = """
UPDATE crm.import SET undo_counts = $3::text::jsonb, updated_at = $4 WHERE tenant_id = $1 AND id = $2
"""
CASTS = {"birthday": "date", "source_id": "uuid", "customer_type_id": "uuid", "relationship_id": "uuid",
         "owner_id": "uuid"}  # fmt: skip


async def undo_import(run: Run) -> Outcome:
    """Takes the import back, range by range, as far as the budget goes."""
    import_id = UUID(run.args["import_id"])
    async with run.transaction() as session:
        row = (await session.execute(select(Import).where(Import.id == import_id))).scalar_one()
        registry = await registries.load(session)
        last = await _last_row(session, import_id)
        small = await planning.count_customers(session) <= planning.SMALL
    choices = queries.choices_of(row)
    assert choices is not None
    fields = [registry.fields[key] for key in choices.mapping if key in registry.fields]
    run.progress.setdefault("counts", row.undo_counts or NOTHING)
    low = run.progress.get("next", 0)
    if not small:
        await planning.refresh_statistics(run.resources, run.tenant_id)
    while low <= last:
        outcome = run.interrupted()
        if outcome is not None:
            return _interrupted(run, import_id, outcome)
        if not await _undo_range(run, _Range(import_id, low, low + STEP - 1, registry, fields, small=small)):
            return Retry(reason="collision", seconds=0.2)
        low += STEP
    return Done(effect=lambda session: _undone(session, run, import_id), result=run.progress["counts"])


async def dead(session: AsyncSession, run: Run) -> None:
    """The attempts are used up; the undo can be asked for again."""
    await finish(session, run.actor, UUID(run.args["import_id"]), "failed", error={"code": "attempts_used_up"})


class Restoration(Difference):
    """What putting the before-image back changes; `new` columns are what stood there before the import."""

    def pairs(self) -> str:
        """`old_…` and `new_…` of each column, for a SELECT over the touched `t` and the customers `c`."""
        every = (*self.columns, *self.derived)
        return ", ".join(f"c.{one} AS old_{one}, {self._before(one)} AS new_{one}" for one in every)

    def conflicts(self, uniques: Iterable[Field]) -> str:
        """Whether a value to be restored belongs to another customer by now."""
        taken = [
            f"""EXISTS (SELECT 1 FROM crm.unique_value u WHERE u.tenant_id = $1
                AND u.attribute_id = {self._statement.arg(one.attribute_id)}::uuid AND u.customer_id <> c.id
                AND u.value = t.before -> 'attributes' ->> {self._statement.arg(one.name)}::text)"""
            for one in uniques
        ]
        return " OR ".join(taken) or "false"

    def _before(self, column: str) -> str:
        if column == "group_nos":
            return """ARRAY(SELECT one FROM unnest(c.group_nos) AS one WHERE one NOT IN (
                SELECT g.no FROM crm.group_member m JOIN crm.customer_group g ON g.tenant_id = $1 AND g.id = m.group_id
                WHERE m.tenant_id = $1 AND m.customer_id = c.id AND m.batch_id = $2) ORDER BY one)"""
        if column == "attributes":
            return "t.before -> 'attributes'"
        slot = next((one for one in self.attributes if one.slot == column), None)
        if slot is not None:
            return _slot(column, f"(t.before -> 'attributes' ->> {self._statement.arg(slot.name)}::text)")
        return f"(t.before ->> '{column}')::{CASTS.get(column, 'text')}"


class _Range:
    """One range of first rows, within one transaction."""

    def __init__(
        self, import_id: UUID, low: int, high: int, registry: Registry, fields: list[Field], *, small: bool
    ) -> None:
        self.small, self.import_id, self.low, self.high = small, import_id, low, high
        self.registry, self.fields = registry, fields
        self.uniques = [one for one in fields if one.is_attribute and one.unique]

    async def undo(self, session: AsyncSession, run: Run) -> dict[str, int]:
        """Undoes the range; answers customers by what was done with them.

        Raises:
            Collision: a value was taken by somebody in this moment.
        """
        connection = await driver(session)
        if self.small:
            await planning.avoid_nested_loops(session)
        base = [run.tenant_id, self.import_id, self.low, self.high, now()]
        touched = await connection.fetchval(LOCK, *base[:4])
        if not touched:
            return NOTHING
        ids = [new_id() for _ in range(touched)]
        removal = self._removal(base, run, ids)
        removed = [row[0] for row in await connection.fetch(removal.sql, *removal.args)]
        restoration = self._restoration(base, run, ids[len(removed) :])
        rows = await connection.fetch(restoration.sql, *restoration.args)
        restored = [row["id"] for row in rows]
        done = [*removed, *restored]
        await connection.execute(LEAVE_GROUPS, run.tenant_id, self.import_id, done)
        attributes = [one.attribute_id for one in self.registry.attributes if one.unique]
        if attributes:
            await connection.execute(RELEASE, run.tenant_id, removed, attributes)
        for one in self.uniques:
            await connection.execute(RELEASE, run.tenant_id, restored, [one.attribute_id])
            await connection.execute(RECLAIM, run.tenant_id, restored, one.attribute_id, one.name)
            if await connection.fetchval(LOST, run.tenant_id, restored, one.attribute_id, one.name):
                raise Collision
        found = [msgspec.json.decode(row["searched"]) for row in rows if row["searched"] is not None]
        if found:
            await write_words(connection, run.tenant_id, [(UUID(one[0]), *one[1:]) for one in found])
        await connection.execute(MARK, *base[:4], removed, restored)
        return {"removed": len(removed), "restored": len(restored), "kept": touched - len(done)}

    def _removal(self, base: list[Any], run: Run, ids: list[UUID]) -> Statement:
        statement = Statement(base)
        kind, actor_id, name, events = (
            statement.arg(value) for value in (run.actor.kind, run.actor.id, run.actor.name, ids)
        )
        statement.sql = f"""
        WITH t AS MATERIALIZED ({TOUCHED}), gone AS (
            UPDATE crm.customer c
            SET deleted_at = $5::timestamptz, version = c.version + 1, updated_at = $5::timestamptz
            FROM t WHERE c.tenant_id = $1 AND c.id = t.customer_id AND t.created AND c.version = t.version_after
              AND c.deleted_at IS NULL
            RETURNING c.id
        )
        INSERT INTO crm.event ({EVENT_COLUMNS})
        SELECT $1, ({events}::uuid[])[row_number() OVER (ORDER BY gone.id)], $5::timestamptz, 'customer.deleted',
               'customer', gone.id, {kind}::text, {actor_id}::uuid, {name}::text, $2, '{{}}'::jsonb,
               '{{"undo": true}}'::jsonb
        FROM gone RETURNING subject_id
        """
        return statement

    def _restoration(self, base: list[Any], run: Run, ids: list[UUID]) -> Statement:
        statement = Statement(base)
        difference = Restoration(
            statement, self.fields, labels_of(self.registry), names_of_groups(self.registry), clear=False,
            first_relationship=None,
        )  # fmt: skip
        kind, actor_id, name, events = (
            statement.arg(value) for value in (run.actor.kind, run.actor.id, run.actor.name, ids)
        )
        found = ", ".join(
            ["p.id", *(difference.current(one) for one in ("name", "email", "code", "tax_code", "phone"))]
        )
        statement.sql = f"""
        WITH p AS MATERIALIZED (
            SELECT c.id, c.version, {difference.pairs()}, row_number() OVER (ORDER BY c.id) AS place
            FROM ({TOUCHED}) AS t JOIN crm.customer c ON c.tenant_id = $1 AND c.id = t.customer_id
            WHERE NOT t.created AND t.before IS NOT NULL AND c.version = t.version_after AND c.deleted_at IS NULL
              AND NOT ({difference.conflicts(self.uniques)})
        ), written AS (
            UPDATE crm.customer c SET {difference.assignments()}, version = p.version + 1, updated_at = $5::timestamptz
            FROM p WHERE c.tenant_id = $1 AND c.id = p.id RETURNING c.id
        ), told AS (
            INSERT INTO crm.event ({EVENT_COLUMNS})
            SELECT $1, ({events}::uuid[])[p.place], $5::timestamptz, 'customer.reverted', 'customer', p.id,
                   {kind}::text, {actor_id}::uuid, {name}::text, $2, {difference.changes()}, '{{"undo": true}}'::jsonb
            FROM p RETURNING 1
        )
        SELECT p.id, CASE WHEN {difference.searched()} THEN jsonb_build_array({found})::text END AS searched
        FROM p JOIN crm.customer c ON c.tenant_id = $1 AND c.id = p.id
        """
        return statement


async def _undo_range(run: Run, part: _Range) -> bool:
    before = run.progress
    for _ in range(ATTEMPTS):
        try:
            async with run.transaction() as session:
                found = await part.undo(session, run)
                counts = {key: count + found[key] for key, count in before["counts"].items()}
                done = min(before.get("done", 0) + STEP, before.get("total", 0))
                run.progress = {**before, "next": part.high + 1, "done": done, "counts": counts}
                await (await driver(session)).execute(
                    SAVE_COUNTS, run.tenant_id, part.import_id, msgspec.json.encode(counts).decode(), now()
                )  # fmt: skip
        except Collision:
            run.progress = before
        except BaseException:
            run.progress = before
            raise
        else:
            return True
    return False


def _interrupted(run: Run, import_id: UUID, outcome: Outcome) -> Outcome:
    if isinstance(outcome, Stopped) and outcome.state == "cancelled":
        return Stopped(effect=lambda session: finish(session, run.actor, import_id, "cancelled"), state="cancelled")
    return outcome


async def _undone(session: AsyncSession, run: Run, import_id: UUID) -> None:
    await (await driver(session)).execute(
        SAVE_COUNTS, run.tenant_id, import_id, msgspec.json.encode(run.progress["counts"]).decode(), now()
    )  # fmt: skip
    await finish(session, run.actor, import_id, "undone")


async def _last_row(session: AsyncSession, import_id: UUID) -> int:
    connection = await driver(session)
    found: int | None = await connection.fetchval(
        "SELECT max(n) FROM crm.import_row WHERE tenant_id = $1 AND import_id = $2",
        session.info["tenant_id"], import_id,
    )  # fmt: skip
    return found or 0


def _slot(column: str, value: str) -> str:
    """As customers.values.slot_value, from a canonical value's text."""
    if column[0] == "n":
        return f"{value}::numeric"
    if column[0] == "d":
        return f"(CASE WHEN {value} LIKE '%T%' THEN {value} ELSE {value} || 'T00:00:00+00:00' END)::timestamptz"
    return f"left({value}, 1000)"
