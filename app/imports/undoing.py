"""The job that takes an import back: what it created goes into the trash, what it changed is as it was before.

A customer that anybody touched since is kept as it is, and so is one whose former value is nobody's to give back:
taken by another customer, or no longer in its list. All rows of a phone are dealt with together, under the first row of
the file that had it, so that ranges of rows are independent checkpoints; the last range comes first, because a later
row may have taken what an earlier one gave up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import new_id, now
from app.core.db import driver
from app.core.fields import Field
from app.core.run import Done, Failed, Outcome, Retry, Run
from app.customers import duplicate_keys, following, scoring
from app.customers import registry as registries
from app.customers.assigning import TYPES
from app.customers.errors import ValueTaken
from app.customers.registry import Registry
from app.customers.words import slot_text_sql
from app.identity.access import actor_now
from app.imports import planning, queries
from app.imports.choices import undo_rights
from app.imports.contact_sql import REMOVE, TELL_REMOVED
from app.imports.finishing import finish
from app.imports.merge import Collision
from app.imports.merge_sql import EVENT_COLUMNS, Difference, Statement, labels_of, names_of_groups
from app.imports.models import Import
from app.imports.plan import CONTACT_FIELDS, Problem, Target, problem_of

STEP = 10_000
ATTEMPTS = 5
NOTHING = {"removed": 0, "restored": 0, "kept": 0}

# $1 tenant, $2 import, $3 and $4 the range of first rows, $5 the moment. Rows without a version only added contacts.
TOUCHED = """
    SELECT r.customer_id, bool_or(r.status = 'created') AS created, max(r.version_after) AS version_after,
           (array_agg(r.before ORDER BY r.n) FILTER (WHERE r.before IS NOT NULL))[1] AS before
    FROM (
        SELECT * FROM crm.import_row WHERE tenant_id = $1 AND import_id = $2 AND n BETWEEN $3 AND $4 AND first_n IS NULL
        UNION ALL
        SELECT * FROM crm.import_row WHERE tenant_id = $1 AND import_id = $2 AND first_n BETWEEN $3 AND $4
    ) AS r
    WHERE r.status IN ('created', 'updated') AND r.undone IS NULL AND r.customer_id IS NOT NULL
      AND r.version_after IS NOT NULL
    GROUP BY r.customer_id
"""
# Changed by the import, and by nobody since.
OURS = f"""
    SELECT c.id, t.before FROM ({TOUCHED}) AS t JOIN crm.customer c ON c.tenant_id = $1 AND c.id = t.customer_id
    WHERE NOT t.created AND t.before IS NOT NULL AND c.version = t.version_after AND c.deleted_at IS NULL
"""
# What others did with the customer `c` since, and not a rule in consequence: some of it changes no version.
WORK = """
    SELECT FROM crm.event e
    WHERE e.tenant_id = $1 AND e.subject_id = c.id AND e.batch_id IS DISTINCT FROM $2
      AND e.data ->> 'reason' IS DISTINCT FROM 'tier_rule'
"""
LOCK = f"""
SELECT count(*) FROM (
    SELECT c.id FROM ({TOUCHED}) AS t JOIN crm.customer c ON c.tenant_id = $1 AND c.id = t.customer_id
    ORDER BY c.id FOR UPDATE OF c
) AS locked
"""
# $5 those removed, $6 those restored; $7 and $8 reasons to keep: those of single customers by id, and those for who was
# changed since and for who is gone since.
MARK = """
WITH reasons AS MATERIALIZED (SELECT $7::text::jsonb AS single, $8::text::jsonb AS general), told AS (
    SELECT r.n, CASE WHEN r.customer_id IN (SELECT unnest($5::uuid[])) THEN 'removed'
                     WHEN r.customer_id IN (SELECT unnest($6::uuid[])) THEN 'restored' ELSE 'kept' END AS undone,
           EXISTS (SELECT FROM crm.customer c
                   WHERE c.tenant_id = $1 AND c.id = r.customer_id AND c.deleted_at IS NULL) AS lives
    FROM crm.import_row r
    WHERE r.tenant_id = $1 AND r.import_id = $2 AND r.status IN ('created', 'updated') AND r.undone IS NULL
      AND r.customer_id IS NOT NULL AND r.version_after IS NOT NULL
      AND (r.n BETWEEN $3 AND $4 AND r.first_n IS NULL OR r.first_n BETWEEN $3 AND $4)
)
UPDATE crm.import_row r SET undone = told.undone, errors = CASE WHEN told.undone = 'kept' THEN jsonb_build_array(
    coalesce(reasons.single -> r.customer_id::text,
             reasons.general -> CASE WHEN told.lives THEN 'changed' ELSE 'gone' END)) END
FROM told, reasons WHERE r.tenant_id = $1 AND r.import_id = $2 AND r.n = told.n
"""
# Who is in several ranges: found by a duplicate key first, and by the phone later.
REPEATED = """
SELECT r.customer_id FROM crm.import_row r
WHERE r.tenant_id = $1 AND r.import_id = $2 AND r.version_after IS NOT NULL AND r.undone IS NULL
GROUP BY r.customer_id HAVING min(coalesce(r.first_n, r.n)) < max(coalesce(r.first_n, r.n))
"""
# $3 those restored: their rows of ranges before this one find them as these left them.
AGREE = """
UPDATE crm.import_row r SET version_after = c.version FROM crm.customer c
WHERE r.tenant_id = $1 AND r.import_id = $2 AND r.customer_id = ANY($3::uuid[]) AND r.undone IS NULL
  AND r.version_after IS NOT NULL AND c.tenant_id = $1 AND c.id = ANY($3::uuid[]) AND c.id = r.customer_id
"""
# Who cannot have back the value of a unique attribute ($5, its key $6), apart from $7, who are kept anyway: somebody
# holds it who will not give it up, or somebody else gets it back. Of several the present holder comes first.
TAKEN = f"""
WITH o AS MATERIALIZED (
    SELECT ours.id, ours.before -> 'attributes' ->> $6::text AS value FROM ({OURS}) AS ours
    WHERE ours.id NOT IN (SELECT unnest($7::uuid[]))
), wanted AS (
    SELECT o.id, u.customer_id AS holder,
           row_number() OVER (PARTITION BY o.value ORDER BY (u.customer_id = o.id) DESC NULLS LAST, o.id) AS place
    FROM o LEFT JOIN crm.unique_value u ON u.tenant_id = $1 AND u.attribute_id = $5::uuid AND u.value = o.value
    WHERE o.value IS NOT NULL
)
SELECT wanted.id FROM wanted
WHERE wanted.place > 1
   OR wanted.holder IS NOT NULL AND NOT EXISTS (SELECT FROM o AS giver WHERE giver.id = wanted.holder)
"""
LEAVE_GROUPS = "DELETE FROM crm.group_member WHERE tenant_id = $1 AND batch_id = $2 AND customer_id = ANY($3::uuid[])"
LOSE_TAGS = "DELETE FROM crm.tag_member WHERE tenant_id = $1 AND batch_id = $2 AND customer_id = ANY($3::uuid[])"
SAVE_COUNTS = """
UPDATE crm.import SET undo_counts = $3::text::jsonb, updated_at = $4 WHERE tenant_id = $1 AND id = $2
"""
CHANGED = ("changed_since", "Khách hàng đã được sửa sau khi nhập", "The customer was changed since")
GONE = ("deleted_since", "Khách hàng đã bị xóa sau khi nhập", "The customer was deleted since")
LISTS = ("source", "customer_type", "relationship", "tier")


async def undo_import(run: Run) -> Outcome:
    """Takes the import back, range by range, as far as the budget goes."""
    import_id = UUID(run.args["import_id"])
    async with run.transaction() as session:
        row = (await session.execute(select(Import).where(Import.id == import_id))).scalar_one()
        actor = await actor_now(session, run.actor.kind, run.actor.id)
        last = await _last_row(session, import_id)
        small = await planning.count_customers(session) <= planning.SMALL
        repeated = await _repeated(session, row)
    choices = queries.choices_of(row)
    assert choices is not None
    if actor is None or not all(map(actor.may, undo_rights(row.counts))):
        return Failed(code="forbidden", effect=lambda session: _end(session, run, "forbidden"))
    run.progress.setdefault("counts", row.undo_counts or NOTHING)
    high = run.progress.get("left", last)
    if not small:
        await planning.refresh_statistics(run.resources, run.tenant_id)
    while high > 0:
        outcome = run.interrupted()
        if outcome is not None:
            return outcome
        low = max(high - STEP, 0) + 1
        part = _Range(import_id, low, high, choices.mapping, row.language == "vi", small, repeated)
        if not await _undo_range(run, part):
            return Retry(reason="collision", seconds=0.2)
        high -= STEP
    return Done(effect=lambda session: _undone(session, run, import_id), result=run.progress["counts"])


async def dead(session: AsyncSession, run: Run) -> None:
    """The attempts are used up; the undo can be asked for again."""
    await _end(session, run, "attempts_used_up")


class Restoration(Difference):
    """What putting the before-image back changes; `new` columns are what stood there before the import."""

    def pairs(self) -> str:
        """`old_…` and `new_…` of each column, for a SELECT over the touched `t` and the customers `c`."""
        every = (*self.columns, *self.derived)
        return ", ".join(f"c.{one} AS old_{one}, {self._before(one)} AS new_{one}" for one in every)

    def _before(self, column: str) -> str:
        if column == "group_nos":
            return """ARRAY(SELECT one FROM unnest(c.group_nos) AS one WHERE one NOT IN (
                SELECT g.no FROM crm.group_member m JOIN crm.customer_group g ON g.tenant_id = $1 AND g.id = m.group_id
                WHERE m.tenant_id = $1 AND m.customer_id = c.id AND m.batch_id = $2) ORDER BY one)"""
        if column == "tag_nos":
            return """ARRAY(SELECT one FROM unnest(c.tag_nos) AS one WHERE one NOT IN (
                SELECT g.no FROM crm.tag_member m JOIN crm.tag g ON g.tenant_id = $1 AND g.id = m.tag_id
                WHERE m.tenant_id = $1 AND m.customer_id = c.id AND m.batch_id = $2) ORDER BY one)"""
        if column == "attributes":
            # Only those of the file: others may have been changed with no version, as by renaming a choice.
            names = self._statement.arg([one.name for one in self.attributes])
            return f"""(c.attributes - {names}::text[]) || coalesce((
                SELECT jsonb_object_agg(one.key, one.value) FROM jsonb_each(t.before -> 'attributes') AS one
                WHERE one.key = ANY({names}::text[])), '{{}}')"""
        slot = next((one for one in self.attributes if one.slot == column), None)
        if slot is not None:
            return _slot(column, f"(t.before -> 'attributes' ->> {self._statement.arg(slot.name)}::text)")
        former = f"(t.before ->> '{column}')::{TYPES[column]}"
        if column in (*self.cleared.values(), *self.derived):
            # An import of an earlier release may not have noted them.
            return f"CASE WHEN t.before ? '{column}' THEN {former} ELSE c.{column} END"
        return former


@dataclass(frozen=True)
class _Range:
    """A range of first rows; `mapping` names the fields that they filled, `repeated` customers of several ranges."""

    import_id: UUID
    low: int
    high: int
    mapping: Mapping[str, int]
    vietnamese: bool
    small: bool
    repeated: frozenset[UUID]


class _Undo:
    """The undo of one range, within one transaction and with the fields as they are in it: an attribute of the file
    may be gone by now, or have become unique."""

    def __init__(self, part: _Range, registry: Registry) -> None:
        self.part, self.registry = part, registry
        self.fields = [registry.fields[key] for key in part.mapping if key in registry.fields]
        self.uniques = [one for one in self.fields if one.is_attribute and one.unique]

    async def undo(self, session: AsyncSession, run: Run) -> dict[str, int]:
        """Undoes the range; answers customers by what was done with them.

        Raises:
            Collision: a value was taken by somebody in this moment.
        """
        connection = await driver(session)
        if self.part.small:
            await planning.avoid_nested_loops(session)
        base = [run.tenant_id, self.part.import_id, self.part.low, self.part.high, now()]
        touched = await connection.fetchval(LOCK, *base[:4])
        if not touched:
            return NOTHING
        ids = [new_id() for _ in range(touched)]
        removal = self._removal(base, run, ids)
        removed = [row[0] for row in await connection.fetch(removal.sql, *removal.args)]
        if any(one.unique for one in self.registry.attributes):
            await following.release(connection, run.tenant_id, removed)
        kept = await self._kept(connection, base[:4])
        restoration = self._restoration(base, run, ids[len(removed) :], list(kept))
        rows = await connection.fetch(restoration.sql, *restoration.args)
        restored = [row["id"] for row in rows]
        done = [*removed, *restored]
        # Who lies in the trash keeps its groups, tags and contacts, and comes back with them.
        await connection.execute(LEAVE_GROUPS, run.tenant_id, self.part.import_id, restored)
        await connection.execute(LOSE_TAGS, run.tenant_id, self.part.import_id, restored)
        tiers = any(one.key == "tier" for one in self.fields)
        if tiers or any(group.points for group in self.registry.groups.values()):
            await scoring.recompute(session, run.actor, restored)
        try:
            await following.claim(connection, run.tenant_id, restored, self.uniques)
        except following.Taken as taken:
            raise Collision from taken
        found = [row["id"] for row in rows if row["searched"]]
        if found:
            await following.write_words(connection, run.tenant_id, found)
        await duplicate_keys.write(connection, run.tenant_id, self.registry.duplicate_keys, done)
        general = {"changed": self._reason(*CHANGED), "gone": self._reason(*GONE)}
        single = {str(one): reason for one, reason in kept.items()}
        await connection.execute(MARK, *base[:4], removed, restored, _json(single), _json(general))
        repeated = self.part.repeated.intersection(restored)
        if repeated:
            await connection.execute(AGREE, *base[:2], list(repeated))
        return {"removed": len(removed), "restored": len(restored), "kept": touched - len(done)}

    async def remove_contacts(self, session: AsyncSession, run: Run) -> None:
        """Takes back the contacts that the range's rows added, but for those that somebody has changed since."""
        if CONTACT_FIELDS.keys().isdisjoint(self.part.mapping):
            return
        connection = await driver(session)
        names: dict[UUID, list[str]] = {}
        rows = await connection.fetch(REMOVE, run.tenant_id, self.part.import_id, self.part.low, self.part.high)
        for customer_id, name in rows:
            names.setdefault(customer_id, []).append(name)
        actor, changes = run.actor, [_json({"contacts": [sorted(gone), None]}) for gone in names.values()]
        await connection.execute(
            TELL_REMOVED, run.tenant_id, self.part.import_id, now(), actor.kind, actor.id, actor.name,
            [new_id() for _ in names], list(names), changes,
        )  # fmt: skip

    async def _kept(self, connection: asyncpg.Connection, base: list[Any]) -> dict[UUID, Problem]:
        """Who has been changed by nobody since and still cannot be as before, with the reason."""
        kept = dict[UUID, Problem]()
        for one in self.fields:
            if one.key in LISTS or (one.is_attribute and one.type in ("choice", "choices")):
                statement = self._missing(base, one)
                reason = self._reason("choice_unknown", f"{one.vi} trước khi nhập không còn trong danh sách",
                                      f"The former value of {one.en} is no longer in its list", one)  # fmt: skip
                kept |= {row[0]: reason for row in await connection.fetch(statement.sql, *statement.args)}
        known = -1
        # Whoever is kept keeps what others may wait for.
        while known < len(kept):
            known = len(kept)
            for one in self.uniques:
                rows = await connection.fetch(TAKEN, *base, one.attribute_id, one.name, list(kept))
                vi, en = ValueTaken.vi.format(label=one.vi), ValueTaken.en.format(label=one.en)
                kept |= {row[0]: self._reason(ValueTaken.code, vi, en, one) for row in rows}
        return kept

    def _missing(self, base: list[Any], field: Field) -> Statement:
        statement = Statement(base)
        if field.is_attribute:
            value = f"(o.before -> 'attributes' -> {statement.arg(field.name)}::text)"
            known = field.choices
        else:
            value = f"nullif(o.before -> '{field.column}', 'null')"
            known = tuple(str(id_) for id_ in self.registry.ids[field.key].values())
        list_ = f"{statement.arg(_json(known))}::text::jsonb"
        statement.sql = f"SELECT o.id FROM ({OURS}) AS o WHERE {value} IS NOT NULL AND NOT {list_} @> {value}"
        return statement

    def _reason(self, code: str, vi: str, en: str, field: Field | None = None) -> Problem:
        """Why a row was kept, as it is told of rows that were refused."""
        target = None if field is None else Target(field, self.part.mapping[field.key] - 1)
        return problem_of(self.part.vietnamese, target, code, vi, en)

    def _removal(self, base: list[Any], run: Run, ids: list[UUID]) -> Statement:
        statement = Statement(base)
        kind, actor_id, name, events = (
            statement.arg(value) for value in (run.actor.kind, run.actor.id, run.actor.name, ids)
        )
        statement.sql = f"""
        WITH t AS MATERIALIZED ({TOUCHED}), gone AS (
            UPDATE crm.customer c
            SET deleted_at = $5::timestamptz, deleted_by = CASE WHEN {kind}::text = 'user' THEN {actor_id}::uuid END,
                deleted_reason = 'trash', version = c.version + 1, updated_at = $5::timestamptz
            FROM t WHERE c.tenant_id = $1 AND c.id = t.customer_id AND t.created AND c.version = t.version_after
              AND c.deleted_at IS NULL AND NOT EXISTS ({WORK})
            RETURNING c.id
        )
        INSERT INTO crm.event ({EVENT_COLUMNS})
        SELECT $1, ({events}::uuid[])[row_number() OVER (ORDER BY gone.id)], $5::timestamptz, 'customer.deleted',
               'customer', gone.id, {kind}::text, {actor_id}::uuid, {name}::text, $2, '{{}}'::jsonb,
               '{{"undo": true}}'::jsonb
        FROM gone RETURNING subject_id
        """
        return statement

    def _restoration(self, base: list[Any], run: Run, ids: list[UUID], kept: list[UUID]) -> Statement:
        statement = Statement(base)
        difference = Restoration(
            statement, self.fields, labels_of(self.registry), names_of_groups(self.registry), clear=False,
            first_relationship=None,
        )  # fmt: skip
        kind, actor_id, name, events = (
            statement.arg(value) for value in (run.actor.kind, run.actor.id, run.actor.name, ids)
        )
        statement.sql = f"""
        WITH p AS MATERIALIZED (
            SELECT c.id, c.version, {difference.pairs()}, row_number() OVER (ORDER BY c.id) AS place
            FROM ({TOUCHED}) AS t JOIN crm.customer c ON c.tenant_id = $1 AND c.id = t.customer_id
            WHERE NOT t.created AND t.before IS NOT NULL AND c.version = t.version_after AND c.deleted_at IS NULL
              AND c.id NOT IN (SELECT unnest({statement.arg(kept)}::uuid[]))
        ), written AS (
            UPDATE crm.customer c SET {difference.assignments()}, version = p.version + 1, updated_at = $5::timestamptz
            FROM p WHERE c.tenant_id = $1 AND c.id = p.id RETURNING c.id
        ), told AS (
            INSERT INTO crm.event ({EVENT_COLUMNS})
            SELECT $1, ({events}::uuid[])[p.place], $5::timestamptz, 'customer.reverted', 'customer', p.id,
                   {kind}::text, {actor_id}::uuid, {name}::text, $2, {difference.changes()}, '{{"undo": true}}'::jsonb
            FROM p RETURNING 1
        )
        SELECT p.id, ({difference.searched()}) AS searched FROM p
        """
        return statement


async def _undo_range(run: Run, part: _Range) -> bool:
    before = run.progress
    for _ in range(ATTEMPTS):
        try:
            async with run.transaction() as session:
                undo = _Undo(part, await registries.load(session))
                found = await undo.undo(session, run)
                await undo.remove_contacts(session, run)
                counts = {key: count + found[key] for key, count in before["counts"].items()}
                done = min(before.get("done", 0) + STEP, before.get("total", 0))
                run.progress = {**before, "left": part.low - 1, "done": done, "counts": counts}
                await (await driver(session)).execute(
                    SAVE_COUNTS, run.tenant_id, part.import_id, _json(counts), now()
                )  # fmt: skip
        except Collision:
            # Once more: the range is not behind us.
            continue
        else:
            return True
    return False


async def _end(session: AsyncSession, run: Run, code: str) -> None:
    await finish(session, run.actor, UUID(run.args["import_id"]), "failed", error={"code": code})


async def _undone(session: AsyncSession, run: Run, import_id: UUID) -> None:
    await (await driver(session)).execute(
        SAVE_COUNTS, run.tenant_id, import_id, _json(run.progress["counts"]), now()
    )  # fmt: skip
    await finish(session, run.actor, import_id, "undone")


async def _last_row(session: AsyncSession, import_id: UUID) -> int:
    connection = await driver(session)
    found: int | None = await connection.fetchval(
        "SELECT max(n) FROM crm.import_row WHERE tenant_id = $1 AND import_id = $2",
        session.info["tenant_id"], import_id,
    )  # fmt: skip
    return found or 0


async def _repeated(session: AsyncSession, row: Import) -> frozenset[UUID]:
    if not row.counts["updated"]:
        return frozenset()
    found = await (await driver(session)).fetch(REPEATED, row.tenant_id, row.id)
    return frozenset(one[0] for one in found)


def _slot(column: str, value: str) -> str:
    """As customers.values.slot_value, from a canonical value's text."""
    if column[0] == "n":
        return f"{value}::numeric"
    if column[0] == "d":
        return f"(CASE WHEN {value} LIKE '%T%' THEN {value} ELSE {value} || 'T00:00:00+00:00' END)::timestamptz"
    return slot_text_sql(value)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
