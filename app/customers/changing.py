"""Changing many customers at once: set-based, one event for each that really changes, and a way back.

Both verbs lock the customers in the order of their ids, then compare and write in one statement. They run in the
caller's transaction; a batch's caller gives them parts of some thousands.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.clock import new_id, now
from app.core.db import constraint, driver
from app.core.errors import Conflict
from app.core.events import request_id
from app.customers import duplicate_keys, scoring
from app.customers import registry as registries
from app.customers.assigning import SEARCHED, TYPES, Assign, columns_of
from app.customers.registry import Registry
from app.customers.visibility import visible
from app.customers.words import phone_tail, search_words
from app.filters.search import Sql

__all__ = [
    "Change",
    "Outcome",
    "Overtaken",
    "change_many",
    "deletion",
    "preview_many",
    "restoration",
    "revert_many",
    "write_words",
]

Where = Literal["live", "trash"]
ATTEMPTS = 3
# jsonb_build_object takes a hundred arguments.
PAIRS: Final = 40
# What may be taken by somebody in the very moment; who comes late looks again.
RACES: Final = ("customer_phone_uq", "group_member_group_fk", "tag_member_tag_fk", "unique_value_attribute_fk")
MEMBERS: Final = {
    "group_nos": ("group_member", "group_id", "customer_group"),
    "tag_nos": ("tag_member", "tag_id", "tag"),
}

LOCK = """
SELECT count(*) FROM (
    SELECT c.id FROM crm.customer c WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[]) ORDER BY c.id FOR NO KEY UPDATE
) AS locked
"""
RELEASE = "DELETE FROM crm.unique_value WHERE tenant_id = $1 AND customer_id = ANY($2::uuid[])"
# $2 customers, $3 attribute, $4 its key.
CLAIM = """
INSERT INTO crm.unique_value (tenant_id, attribute_id, value, customer_id)
SELECT $1, $3::uuid, c.attributes ->> $4::text, c.id
FROM crm.customer c WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[]) AND c.attributes ->> $4::text IS NOT NULL
ON CONFLICT (tenant_id, attribute_id, value) DO NOTHING
"""
LOST = """
SELECT count(*) FROM crm.customer c
JOIN crm.unique_value u ON u.tenant_id = $1 AND u.attribute_id = $3::uuid AND u.value = c.attributes ->> $4::text
WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[]) AND u.customer_id <> c.id
"""
# What a rule changed in consequence belongs to the batch.
AGREE = """
UPDATE crm.batch_item i SET version_after = c.version FROM crm.customer c
WHERE i.tenant_id = $1 AND i.batch_id = $3::uuid AND i.customer_id = ANY($2::uuid[]) AND i.status = 'changed'
  AND i.undone IS NULL AND c.tenant_id = $1 AND c.id = i.customer_id AND c.version <> i.version_after
"""
WORDS = """
INSERT INTO crm.customer_search (tenant_id, id, words, phone_tail)
SELECT $1, given.id, array_to_tsvector(ARRAY(SELECT jsonb_array_elements_text(given.words::jsonb))), given.tail
FROM unnest($2::uuid[], $3::text[], $4::text[]) AS given (id, words, tail)
ON CONFLICT (tenant_id, id) DO UPDATE SET words = excluded.words, phone_tail = excluded.phone_tail
"""
FOUND_BY = f"SELECT c.id, {', '.join(f'c.{one}' for one in SEARCHED)} FROM crm.customer c WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[])"  # noqa: E501


class Overtaken(Conflict):
    """Somebody took what this change needed in this very moment, again and again."""

    code = "overtaken"
    vi = "Dữ liệu vừa được người khác thay đổi, vui lòng thử lại"
    en = "Somebody changed the same data in this moment; please try again"


@dataclass(frozen=True)
class Change:
    """What to do with each of many customers.

    `where` says whom it is for: those of the lists, or those in the trash. `unseen` lets it reach also whom the caller
    cannot see: for the system's own changes.
    """

    assigns: Sequence[Assign] = ()
    kind: str = "customer.updated"
    where: Where = "live"
    unseen: bool = False
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def leaves(self) -> Where:
        """Where the customers are afterwards."""
        if self.kind == "customer.deleted":
            return "trash"
        return "live" if self.kind == "customer.restored" else self.where


@dataclass
class Outcome:
    """What became of a part: how many, who was changed, and why others were not."""

    changed: list[UUID] = field(default_factory=list)
    unchanged: int = 0
    refused: dict[str, int] = field(default_factory=dict)

    @property
    def skipped(self) -> int:
        """How many were not touched."""
        return sum(self.refused.values())

    @property
    def counts(self) -> dict[str, int]:
        """The numbers alone."""
        return {"changed": len(self.changed), "unchanged": self.unchanged, "skipped": self.skipped}


def deletion(actor: Actor, moment: datetime, reason: str = "trash") -> Change:
    """Into the trash."""
    by = str(actor.id) if actor.kind == "user" else None
    return Change(_trashed(moment.isoformat(), by, reason), "customer.deleted")


def restoration() -> Change:
    """Out of the trash."""
    return Change(_trashed(None, None, None), "customer.restored", where="trash")


async def change_many(
    session: AsyncSession,
    actor: Actor,
    batch_id: UUID | None,
    ids: Sequence[UUID],
    change: Change,
    *,
    keep: bool = True,
) -> Outcome:
    """Changes the customers of these ids, and tells each one's history with `batch_id`.

    `keep` notes what became of each (`batch_item`) with its former values, for `revert_many`. Whom the caller cannot
    see counts as `not_found`. Nothing is written about those that are as wanted already.

    Raises:
        Overtaken
    """
    registry = await registries.load(session)
    return await _again(session, lambda: _Writing(session, registry, actor, batch_id, ids, change).do(keep=keep))


async def preview_many(session: AsyncSession, actor: Actor, ids: Sequence[UUID], change: Change) -> Outcome:
    """What `change_many` would say in this moment; writes nothing and locks nobody."""
    registry = await registries.load(session)
    return await _Writing(session, registry, actor, new_id(), ids, change).look()


async def revert_many(
    session: AsyncSession, actor: Actor, batch_id: UUID, ids: Sequence[UUID], change: Change
) -> Outcome:
    """Gives the customers that this change of the batch changed their former values back.

    Kept as they are, and noted with the reason: whoever was changed by anybody since (`changed_since`), is gone
    (`purged`), or whose phone or unique value somebody else has now.

    Raises:
        Overtaken
    """
    registry = await registries.load(session)
    return await _again(session, lambda: _Writing(session, registry, actor, batch_id, ids, change).undo())


async def _again(session: AsyncSession, attempt: Callable[[], Awaitable[Outcome]]) -> Outcome:
    """Runs it in a savepoint, again when somebody was quicker."""
    for _ in range(ATTEMPTS):
        try:
            async with session.begin_nested():
                # The savepoint is set when the session first uses its connection; the bare driver does not count.
                await session.connection()
                return await attempt()
        except (IntegrityError, asyncpg.IntegrityConstraintViolationError) as error:
            if constraint(error) not in RACES:
                raise
        except _Lost:
            pass
    raise Overtaken()


class _Lost(Exception):
    """A unique value was taken between the look and the claim."""


class _Writing:
    """One part of a batch, within one transaction."""

    def __init__(self, session: AsyncSession, registry: Registry, actor: Actor, batch_id: UUID | None,
                 ids: Sequence[UUID], change: Change) -> None:  # fmt: skip
        self.session, self.registry, self.actor, self.batch_id = session, registry, actor, batch_id
        self.ids, self.change = sorted(set(ids)), change
        self.columns = columns_of(change.assigns)
        self.moment = now()
        self.uniques = [one for one in registry.attributes if one.unique]

    async def do(self, *, keep: bool) -> Outcome:
        connection = await self._locked()
        sql = self._sql()
        pairs = [(one.column, f"c.{one.column}", one.new(sql)) for one in self.columns.values()]
        compared = f"""
        SELECT c.id, c.version, {self._refusal(sql)} AS code, {_pairs(pairs)}
        FROM crm.customer c WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[])
        """
        rows = await self._write(connection, self._statement(sql, compared, self._noted() if keep else ""), sql)
        outcome = _outcome(rows)
        await self._follow(connection, outcome.changed, self.change.leaves)
        await self._rescore(connection, outcome.changed)
        return outcome

    async def look(self) -> Outcome:
        connection = await driver(self.session)
        sql = Sql(self.actor.tenant_id, [self.ids])
        pairs = [(one.column, f"c.{one.column}", one.new(sql)) for one in self.columns.values()]
        rows = await connection.fetch(
            f"""
            SELECT given.id, CASE WHEN p.id IS NULL THEN 'skipped' WHEN p.code IS NOT NULL THEN 'skipped'
                   WHEN {self._differs()} THEN 'changed' ELSE 'unchanged' END AS status,
                   CASE WHEN p.id IS NULL THEN 'not_found' ELSE p.code END AS code
            FROM unnest($2::uuid[]) AS given (id) LEFT JOIN (
                SELECT c.id, {self._refusal(sql)} AS code, {_pairs(pairs)}
                FROM crm.customer c WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[])
            ) AS p ON p.id = given.id
            """,
            *sql.args,
        )
        return _outcome(rows)

    async def undo(self) -> Outcome:
        connection = await self._locked()
        sql = self._sql()
        pairs = [(one.column, f"c.{one.column}", one.former(sql)) for one in self.columns.values()]
        back: Where = self.change.where
        shape = ", ".join(f"{column} {TYPES[column]}" for column in self.columns)
        compared = f"""
        SELECT c.id, c.version, CASE WHEN c.version <> i.version_after THEN 'changed_since'
               ELSE {self._taken(sql) if back == "live" and self.change.leaves == "trash" else "NULL"} END AS code,
               {_pairs(pairs)}
        FROM (
            SELECT one.customer_id, one.version_after, one.before FROM crm.batch_item one
            WHERE one.tenant_id = $1 AND one.batch_id = $5 AND one.customer_id = ANY($2::uuid[])
              AND one.status = 'changed' AND one.undone IS NULL
        ) AS i JOIN crm.customer c ON c.tenant_id = $1 AND c.id = i.customer_id
        CROSS JOIN LATERAL jsonb_to_record(i.before) AS r ({shape})
        WHERE c.id = ANY($2::uuid[])
        """
        rows = await self._write(connection, self._statement(sql, compared, UNDONE, undo=True), sql)
        outcome = _outcome(rows)
        await self._follow(connection, outcome.changed, back)
        await self._rescore(connection, outcome.changed)
        return outcome

    async def _locked(self) -> asyncpg.Connection:
        connection = await driver(self.session)
        await connection.execute(LOCK, self.actor.tenant_id, self.ids)
        return connection

    async def _write(self, connection: asyncpg.Connection, statement: str, sql: Sql) -> list[asyncpg.Record]:
        """Runs a statement whose joins are of a part with a part. The planner, who knows nothing of a batch that has
        just begun, would go through one for each row of the other (33 s for ten thousand)."""
        await connection.execute("SET LOCAL enable_nestloop = off")
        rows: list[asyncpg.Record] = await connection.fetch(statement, *sql.args)
        await connection.execute("SET LOCAL enable_nestloop = on")
        return rows

    def _sql(self) -> Sql:
        """$1 tenant, $2 customers, $3 as many event ids, $4 the moment, $5 the batch."""
        return Sql(self.actor.tenant_id, [self.ids, [new_id() for _ in self.ids], self.moment, self.batch_id])

    def _refusal(self, sql: Sql) -> str:
        """Why a customer is not touched, as SQL; NULL for who is."""
        seen = "true" if self.change.unseen else visible(sql, self.actor)
        if self.change.where == "live":
            return f"CASE WHEN NOT ({seen}) THEN 'not_found' WHEN c.deleted_at IS NOT NULL THEN 'in_trash' END"
        return f"""CASE WHEN NOT ({seen}) THEN 'not_found' WHEN c.deleted_at IS NULL THEN 'not_in_trash'
            WHEN c.deleted_reason = 'merge' THEN 'merged'
            ELSE {self._taken(sql) if self.change.leaves == "live" else "NULL"} END"""

    def _taken(self, sql: Sql) -> str:
        """Whether a customer of the trash cannot live again: its phone or a unique value has another holder, or
        another one of the same part comes first."""
        first = """EXISTS (SELECT FROM crm.customer o WHERE o.tenant_id = $1 AND o.id = ANY($2::uuid[]) AND o.id > c.id
            AND o.deleted_at IS NOT NULL AND o.deleted_reason IS DISTINCT FROM 'merge' AND {same})"""
        held = """EXISTS (SELECT FROM crm.customer o WHERE o.tenant_id = $1 AND o.phone = c.phone
            AND o.deleted_at IS NULL)"""
        cases = [
            f"WHEN c.phone IS NOT NULL AND ({held} OR {first.format(same='o.phone = c.phone')}) THEN 'phone_taken'"
        ]
        for one in self.uniques:
            name, attribute = f"{sql.arg(one.name)}::text", f"{sql.arg(one.attribute_id)}::uuid"
            value, same = f"c.attributes ->> {name}", f"o.attributes ->> {name} = c.attributes ->> {name}"
            taken = f"""EXISTS (SELECT FROM crm.unique_value u WHERE u.tenant_id = $1
                AND u.attribute_id = {attribute} AND u.value = {value} AND u.customer_id <> c.id)"""
            cases.append(f"WHEN {value} IS NOT NULL AND ({taken} OR {first.format(same=same)}) THEN 'value_taken'")
        return f"(CASE {' '.join(cases)} END)"

    def _differs(self) -> str:
        old, new = (", ".join(f"p.{side}_{one}" for one in self.columns) for side in ("old", "new"))
        return f"ROW({old}) IS DISTINCT FROM ROW({new})"

    def _statement(self, sql: Sql, compared: str, noted: str, *, undo: bool = False) -> str:
        kind = "customer.reverted" if undo else self.change.kind
        data = {**self.change.data, "undo": True} if undo else dict(self.change.data)
        who = [sql.arg(one) for one in (self.actor.kind, self.actor.id, self.actor.name, request_id.get(), _json(data))]
        assignments = ", ".join(f"{one} = p.new_{one}" for one in self.columns)
        return f"""
        WITH given AS (SELECT * FROM unnest($2::uuid[], $3::uuid[]) AS given (id, event_id)),
        compared AS MATERIALIZED ({compared}),
        p AS MATERIALIZED (
            SELECT p.*, given.event_id, p.code IS NULL AND {"true" if undo else self._differs()} AS changed
            FROM compared AS p JOIN given ON given.id = p.id
        ), written AS (
            UPDATE crm.customer c SET {assignments}, version = p.version + 1, updated_at = $4::timestamptz
            FROM p WHERE p.changed AND c.tenant_id = $1 AND c.id = ANY($2::uuid[]) AND c.id = p.id RETURNING c.id
        ), told AS (
            INSERT INTO crm.event (tenant_id, id, at, kind, subject_type, subject_id, actor_kind, actor_id, actor_name,
                                   request_id, batch_id, changes, data)
            SELECT $1, p.event_id, $4::timestamptz, '{kind}', 'customer', p.id, {who[0]}::text, {who[1]}::uuid,
                   {who[2]}::text, {who[3]}::text, $5::uuid, {self._changes(sql)}, {who[4]}::text::jsonb
            FROM p WHERE p.changed RETURNING 1
        ){noted}
        SELECT given.id, CASE WHEN p.changed THEN 'changed' WHEN p.id IS NULL OR p.code IS NOT NULL THEN 'skipped'
               ELSE 'unchanged' END AS status, CASE WHEN p.id IS NULL THEN 'not_found' ELSE p.code END AS code
        FROM given LEFT JOIN p ON p.id = given.id
        """

    def _changes(self, sql: Sql) -> str:
        """The event's changes: {field: [before, after]} of the fields that differ."""
        parts = []
        for one in self.columns.values():
            if one.key is not None:
                old, new = one.shown(sql, f"p.old_{one.column}"), one.shown(sql, f"p.new_{one.column}")
                pair = f"CASE WHEN {old} IS DISTINCT FROM {new} THEN jsonb_build_array({old}, {new}) END"
                parts.append(f"{sql.arg(one.key)}::text, {pair}")
        return f"jsonb_strip_nulls({_build(parts)})"

    def _noted(self) -> str:
        before = _build([f"'{one}', p.old_{one}" for one in self.columns])
        return f""", noted AS (
            INSERT INTO crm.batch_item (tenant_id, batch_id, customer_id, status, code, before, version_after)
            SELECT $1, $5::uuid, given.id,
                   CASE WHEN p.changed THEN 'changed' WHEN p.id IS NULL OR p.code IS NOT NULL THEN 'skipped'
                        ELSE 'unchanged' END,
                   CASE WHEN p.id IS NULL THEN 'not_found' ELSE p.code END,
                   CASE WHEN p.changed THEN {before} END, CASE WHEN p.changed THEN p.version + 1 END
            FROM given LEFT JOIN p ON p.id = given.id
            ON CONFLICT (tenant_id, batch_id, customer_id) DO NOTHING RETURNING 1
        )"""

    async def _follow(self, connection: asyncpg.Connection, changed: list[UUID], where: Where) -> None:
        """What hangs on the columns: memberships, unique values, search words."""
        if not changed:
            return
        tenant_id = self.actor.tenant_id
        await connection.execute("SET LOCAL enable_nestloop = off")
        for column, names in MEMBERS.items():
            if column in self.columns:
                await self._join(connection, changed, column, *names)
        await connection.execute("SET LOCAL enable_nestloop = on")
        if "deleted_at" in self.columns and where == "trash":
            await connection.execute(RELEASE, tenant_id, changed)
        else:
            await self._claim(connection, changed)
        if not set(SEARCHED).isdisjoint(self.columns):
            await write_words(connection, tenant_id, changed)
        if not {"deleted_at", *duplicate_keys.LABELS}.isdisjoint(self.columns):
            await duplicate_keys.write(connection, tenant_id, self.registry.duplicate_keys, changed)

    async def _join(self, connection: asyncpg.Connection, changed: list[UUID], column: str, table: str, key: str,
                    of: str) -> None:  # fmt: skip
        """Makes the memberships what the numbers say."""
        await connection.execute(
            f"""
            DELETE FROM crm.{table} m USING crm.customer c, crm.{of} g
            WHERE m.tenant_id = $1 AND m.customer_id = ANY($2::uuid[]) AND c.tenant_id = $1 AND c.id = m.customer_id
              AND g.tenant_id = $1 AND g.id = m.{key} AND g.no <> ALL(c.{column})
            """,
            self.actor.tenant_id, changed,
        )  # fmt: skip
        await connection.execute(
            f"""
            INSERT INTO crm.{table} (tenant_id, {key}, customer_id, added_at, batch_id)
            SELECT $1, g.id, c.id, $3::timestamptz, $4::uuid
            FROM crm.customer c CROSS JOIN LATERAL unnest(c.{column}) AS one (no)
            JOIN crm.{of} g ON g.tenant_id = $1 AND g.no = one.no
            WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[])
            ON CONFLICT (tenant_id, {key}, customer_id) DO NOTHING
            """,
            self.actor.tenant_id, changed, self.moment, self.batch_id,
        )  # fmt: skip

    async def _rescore(self, connection: asyncpg.Connection, changed: list[UUID]) -> None:
        """Scores, and the tiers that follow from rules: a part of this change, so that its undo need not keep them."""
        groups = "group_nos" in self.columns and any(group.points for group in self.registry.groups.values())
        if groups or "tier_id" in self.columns:
            await scoring.recompute(self.session, self.actor, changed)
            await connection.execute(AGREE, self.actor.tenant_id, changed, self.batch_id)

    async def _claim(self, connection: asyncpg.Connection, changed: list[UUID]) -> None:
        """Takes the unique values of customers who live again."""
        if "deleted_at" not in self.columns:
            return
        for one in self.uniques:
            args = (self.actor.tenant_id, changed, one.attribute_id, one.name)
            await connection.execute(CLAIM, *args)
            if await connection.fetchval(LOST, *args):
                raise _Lost


# The notes of an undo, within the statement of `_Writing`.
UNDONE = """, noted AS (
    UPDATE crm.batch_item i
    SET undone = CASE WHEN p.changed THEN 'restored' ELSE 'kept' END,
        undo_code = CASE WHEN given.known IS NULL THEN 'purged' ELSE p.code END
    FROM (SELECT given.id, p.id AS known FROM given LEFT JOIN p ON p.id = given.id) AS given
    LEFT JOIN p ON p.id = given.id
    WHERE i.tenant_id = $1 AND i.batch_id = $5 AND i.customer_id = ANY($2::uuid[]) AND i.customer_id = given.id
      AND i.status = 'changed' AND i.undone IS NULL
    RETURNING 1
)"""


async def write_words(connection: asyncpg.Connection, tenant_id: UUID, ids: Sequence[UUID]) -> None:
    """Writes what the search box finds these customers by, from their rows."""
    rows = await connection.fetch(FOUND_BY, tenant_id, list(ids))
    words = [_json(search_words(row["name"], row["email"], row["tax_code"])) for row in rows]
    tails = [phone_tail(row["phone"]) for row in rows]
    await connection.execute(WORDS, tenant_id, [row["id"] for row in rows], words, tails)


def _trashed(at: str | None, by: str | None, reason: str | None) -> list[Assign]:
    return [Assign("deleted_at", at), Assign("deleted_by", by), Assign("deleted_reason", reason)]


def _outcome(rows: Sequence[asyncpg.Record]) -> Outcome:
    found = Outcome()
    for row in rows:
        if row["status"] == "changed":
            found.changed.append(row["id"])
        elif row["status"] == "unchanged":
            found.unchanged += 1
        else:
            found.refused[row["code"]] = found.refused.get(row["code"], 0) + 1
    return found


def _pairs(pairs: Sequence[tuple[str, str, str]]) -> str:
    return ", ".join(f"{old} AS old_{column}, {new} AS new_{column}" for column, old, new in pairs)


def _build(parts: Sequence[str]) -> str:
    """A jsonb object of any number of members."""
    groups = [parts[at : at + PAIRS] for at in range(0, len(parts), PAIRS)]
    return " || ".join(f"jsonb_build_object({', '.join(group)})" for group in groups) or "'{}'::jsonb"


def _json(value: Any) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode()
