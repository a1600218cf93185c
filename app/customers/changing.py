"""Changing many customers at once: set-based, one event for each that really changes, and a way back.

Both verbs lock the customers in the order of their ids, then compare and write in one statement. They run in the
caller's transaction; a batch's caller gives them parts of some thousands.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
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
from app.core.fields import Field
from app.customers import claims, duplicate_keys, following, scoring
from app.customers import registry as registries
from app.customers.assigning import SEARCHED, TYPES, Assign, AssignAttribute, AssignSet, Gone, columns_of
from app.customers.errors import NotEntrusted
from app.customers.following import write_words
from app.customers.registry import Registry
from app.customers.visibility import EVERYBODY, entrusted, owners, visible
from app.filters.search import Sql

__all__ = [
    "Change",
    "Gone",
    "Outcome",
    "Overtaken",
    "change_many",
    "deleter",
    "deletion",
    "preview_many",
    "restoration",
    "revert_many",
    "write_words",
]

Where = Literal["live", "trash"]
ATTEMPTS = 3
# The columns that say whose a customer is, and who else sees it.
HANDED_ON: Final = frozenset(("owner_id", "in_pool", "shared_with"))
# jsonb_build_object takes a hundred arguments.
PAIRS: Final = 40
# What may be taken by somebody in the very moment; who comes late looks again.
RACES: Final = ("customer_phone_uq", "group_member_group_fk", "tag_member_tag_fk", "unique_value_attribute_fk")

LOCK = """
SELECT count(*) FROM (
    SELECT c.id FROM crm.customer c WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[]) ORDER BY c.id FOR NO KEY UPDATE
) AS locked
"""
# What a rule changed in consequence belongs to the batch.
AGREE = """
UPDATE crm.batch_item i SET version_after = c.version FROM crm.customer c
WHERE i.tenant_id = $1 AND i.batch_id = $3::uuid AND i.customer_id = ANY($2::uuid[]) AND i.status = 'changed'
  AND i.undone IS NULL AND c.tenant_id = $1 AND c.id = ANY($2::uuid[]) AND c.id = i.customer_id
  AND c.version <> i.version_after
"""


class Overtaken(Conflict):
    """Somebody took what this change needed in this very moment, again and again."""

    code = "overtaken"
    vi = "Dữ liệu vừa được người khác thay đổi, vui lòng thử lại"
    en = "Somebody changed the same data in this moment; please try again"


@dataclass(frozen=True)
class Change:
    """What to do with each of many customers.

    `where` says whom it is for: those of the lists, or those in the trash.
    """

    assigns: Sequence[Assign] = ()
    kind: str = "customer.updated"
    where: Where = "live"

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


def deletion(actor: Actor, moment: datetime) -> Change:
    """Into the trash."""
    by = deleter(actor)
    return Change(_trashed(moment.isoformat(), str(by) if by else None, "trash"), "customer.deleted")


def deleter(actor: Actor) -> UUID | None:
    """Who the trash says has deleted a customer: only users have a name there."""
    return actor.id if actor.kind == "user" else None


def restoration() -> Change:
    """Out of the trash; also of a merge whose master is gone for good."""
    alone = Assign("merged_into", None)
    return Change([*_trashed(None, None, None), alone], "customer.restored", where="trash")


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
    see counts as `not_found`. Nothing is written about those that are as wanted already. No batch may offer a customer
    twice.

    Raises:
        Gone: a group or tag that they would get was deleted.
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
        except following.Taken:
            pass
    raise Overtaken()


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
        connection = await driver(self.session)
        await self._keep_numbers(connection)
        await self._lock(connection)
        taken = await self._taken(connection)
        sql = self._sql()
        pairs = [(one.column, f"c.{one.column}", one.new(sql)) for one in self.columns.values()]
        compared = f"""
        SELECT c.id, c.version, coalesce({self._refusal(sql)}, {_reason(sql, taken)}) AS code, {_pairs(pairs)}
        FROM crm.customer c WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[])
        """
        rows = await self._write(connection, self._statement(sql, compared, self._noted() if keep else ""), sql)
        outcome = _outcome(rows)
        await self._follow(connection, outcome.changed, self.change.leaves)
        await self._rescore(connection, outcome.changed)
        return outcome

    async def look(self) -> Outcome:
        connection = await driver(self.session)
        taken = await self._taken(connection, lock=False)
        sql = Sql(self.actor.tenant_id, [self.ids])
        pairs = [(one.column, f"c.{one.column}", one.new(sql)) for one in self.columns.values()]
        rows = await connection.fetch(
            f"""
            SELECT given.id, CASE WHEN p.id IS NULL THEN 'skipped' WHEN p.code IS NOT NULL THEN 'skipped'
                   WHEN {self._differs()} THEN 'changed' ELSE 'unchanged' END AS status,
                   CASE WHEN p.id IS NULL THEN 'not_found' ELSE p.code END AS code
            FROM unnest($2::uuid[]) AS given (id) LEFT JOIN (
                SELECT c.id, coalesce({self._refusal(sql)}, {_reason(sql, taken)}) AS code, {_pairs(pairs)}
                FROM crm.customer c WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[])
            ) AS p ON p.id = given.id
            """,
            *sql.args,
        )
        return _outcome(rows)

    async def undo(self) -> Outcome:
        connection = await driver(self.session)
        await self._lock(connection)
        taken = await self._taken(connection, back=True)
        sql = self._sql()
        pairs = [(one.column, f"c.{one.column}", one.former(sql)) for one in self.columns.values()]
        shape = ", ".join(f"{column} {TYPES[column]}" for column in self.columns)
        compared = f"""
        SELECT c.id, c.version, CASE WHEN c.version <> i.version_after THEN 'changed_since'
               ELSE {_reason(sql, taken)} END AS code,
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
        await self._follow(connection, outcome.changed, self.change.where)
        await self._rescore(connection, outcome.changed)
        return outcome

    async def _lock(self, connection: asyncpg.Connection) -> None:
        await connection.execute(LOCK, self.actor.tenant_id, self.ids)

    async def _keep_numbers(self, connection: asyncpg.Connection) -> None:
        """Holds the groups or tags that the customers get."""
        for one in self.columns.values():
            if one.column not in following.MEMBERS or not isinstance(one, AssignSet) or one.how == "remove":
                continue
            if not await following.keep(connection, self.actor.tenant_id, one.column, one.value):
                raise Gone()

    async def _write(self, connection: asyncpg.Connection, statement: str, sql: Sql) -> list[asyncpg.Record]:
        async with _hashed(connection):
            rows: list[asyncpg.Record] = await connection.fetch(statement, *sql.args)
        return rows

    def _sql(self) -> Sql:
        """$1 tenant, $2 customers, $3 as many event ids, $4 the moment, $5 the batch."""
        return Sql(self.actor.tenant_id, [self.ids, [new_id() for _ in self.ids], self.moment, self.batch_id])

    def _refusal(self, sql: Sql) -> str:
        """Why a customer is not touched, as SQL; NULL for who is."""
        seen = f"CASE WHEN {visible(sql, self.actor)} IS NOT TRUE THEN 'not_found'"
        if self.change.where == "live":
            return f"{seen} WHEN c.deleted_at IS NOT NULL THEN 'in_trash'{self._unentrusted(sql)} END"
        # Who was archived by a merge comes back by its undo, as long as there is somebody to take it back from.
        master = "EXISTS (SELECT FROM crm.customer m WHERE m.tenant_id = $1 AND m.id = c.merged_into)"
        merged = f"c.deleted_reason = 'merge' OR c.merged_into IS NOT NULL AND {master}"
        return f"{seen} WHEN c.deleted_at IS NULL THEN 'not_in_trash' WHEN {merged} THEN 'merged' END"

    def _unentrusted(self, sql: Sql) -> str:
        """Who sees a customer only because it is shared with them does not pass it on; nor does the pool's become
        theirs to see for good."""
        if self.actor.may(EVERYBODY) or HANDED_ON.isdisjoint(self.columns):
            return ""
        mine = entrusted("c", sql.arg(owners(self.actor)), pool="shared_with" not in self.columns)
        return f" WHEN {mine} IS NOT TRUE THEN '{NotEntrusted.code}'"

    async def _taken(self, connection: asyncpg.Connection, *, back: bool = False, lock: bool = True) -> dict[UUID, str]:
        """Who cannot have a phone or unique value again that this change, or its way `back`, would give it."""
        change = self.change
        before, after = (change.leaves, change.where) if back else (change.where, change.leaves)
        returns = (before, after) == ("trash", "live")
        # While the customers live, only the way back gives them what another may have.
        given = self.uniques if returns else self._assigned() if back else []
        if not (returns or given or (back and "phone" in self.columns)):
            return {}
        sql = Sql(self.actor.tenant_id, [self.ids])
        old, phone, part = "c.attributes", "c.phone", f"crm.customer c WHERE ({self._refusal(sql)}) IS NULL"
        if back:
            part = f"""crm.batch_item i JOIN crm.customer c ON c.tenant_id = $1 AND c.id = i.customer_id
                WHERE i.tenant_id = $1 AND i.batch_id = {sql.arg(self.batch_id)} AND i.customer_id = ANY($2::uuid[])
                  AND i.status = 'changed' AND i.undone IS NULL AND i.version_after = c.version"""
        if not returns:
            old, phone = "(i.before -> 'attributes')", "i.before ->> 'phone'"
        values = ", ".join(f"{old} ->> {sql.arg(one.name)}::text" for one in given)
        async with _hashed(connection):
            rows = await connection.fetch(
                f"""SELECT c.id, c.kind <> 'lead' AS firm, {phone} AS phone, ARRAY[{values}]::text[] AS held
                FROM {part} AND c.tenant_id = $1 AND c.id = ANY($2::uuid[])""",
                *sql.args,
            )
        wanted = [
            claims.Claim(row["id"], row["firm"], returns, row["phone"], {
                one.attribute_id: value for one, value in zip(given, row["held"], strict=True)
                if value is not None and one.attribute_id is not None
            })
            for row in rows
        ]  # fmt: skip
        return await claims.refused(self.session, wanted, lock=lock)

    def _assigned(self) -> list[Field]:
        """The unique attributes that this change sets."""
        names = {one.name for one in self.change.assigns if isinstance(one, AssignAttribute)}
        return [one for one in self.uniques if one.name in names]

    def _differs(self) -> str:
        old, new = (", ".join(f"p.{side}_{one}" for one in self.columns) for side in ("old", "new"))
        return f"ROW({old}) IS DISTINCT FROM ROW({new})"

    def _statement(self, sql: Sql, compared: str, noted: str, *, undo: bool = False) -> str:
        kind = "customer.reverted" if undo else self.change.kind
        data = {"undo": True} if undo else {}
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
                before, after = f"p.old_{one.column}", f"p.new_{one.column}"
                old, new = one.shown(sql, before), one.shown(sql, after)
                if isinstance(one, AssignAttribute):
                    # One of those that share the column.
                    before, after = old, new
                pair = f"CASE WHEN {before} IS DISTINCT FROM {after} THEN jsonb_build_array({old}, {new}) END"
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
            RETURNING 1
        )"""

    async def _follow(self, connection: asyncpg.Connection, changed: list[UUID], where: Where) -> None:
        """What hangs on the columns: memberships, unique values, search words."""
        if not changed:
            return
        tenant_id = self.actor.tenant_id
        async with _hashed(connection):
            for column in following.MEMBERS.keys() & self.columns.keys():
                await following.join(connection, tenant_id, changed, column, self.moment, self.batch_id)
        if "deleted_at" in self.columns and where == "trash":
            await following.release(connection, tenant_id, changed)
        else:
            # All unique values of those who live again, else those that were set.
            uniques = self.uniques if "deleted_at" in self.columns else self._assigned()
            await following.claim(connection, tenant_id, changed, uniques)
        if not set(SEARCHED).isdisjoint(self.columns):
            await write_words(connection, tenant_id, changed)
        if not {"deleted_at", *duplicate_keys.LABELS}.isdisjoint(self.columns):
            await duplicate_keys.write(connection, tenant_id, self.registry.duplicate_keys, changed)

    async def _rescore(self, connection: asyncpg.Connection, changed: list[UUID]) -> None:
        """Scores, and the tiers that follow from rules: a part of this change, so that its undo need not keep them."""
        groups = "group_nos" in self.columns and any(group.points for group in self.registry.groups.values())
        if groups or "tier_id" in self.columns:
            await scoring.recompute(self.session, self.actor, changed)
            await connection.execute(AGREE, self.actor.tenant_id, changed, self.batch_id)


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


@asynccontextmanager
async def _hashed(connection: asyncpg.Connection) -> AsyncIterator[None]:
    """For statements whose joins are of a part with a part. The planner, who knows nothing of a batch that has just
    begun, would go through one for each row of the other (33 s for ten thousand)."""
    await connection.execute("SET LOCAL enable_nestloop = off")
    yield
    await connection.execute("SET LOCAL enable_nestloop TO DEFAULT")


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


def _reason(sql: Sql, reasons: Mapping[UUID, str]) -> str:
    """The reason of a customer, as SQL."""
    return f"({sql.arg(_json({str(one): code for one, code in reasons.items()}))}::text::jsonb ->> c.id::text)"


def _pairs(pairs: Sequence[tuple[str, str, str]]) -> str:
    return ", ".join(f"{old} AS old_{column}, {new} AS new_{column}" for column, old, new in pairs)


def _build(parts: Sequence[str]) -> str:
    """A jsonb object of any number of members."""
    groups = [parts[at : at + PAIRS] for at in range(0, len(parts), PAIRS)]
    return " || ".join(f"jsonb_build_object({', '.join(group)})" for group in groups) or "'{}'::jsonb"


def _json(value: Any) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode()
