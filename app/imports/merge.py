"""Brings one normalised chunk into the customers, within the caller's transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.clock import now
from app.core.db import constraint, driver
from app.core.fields import Field
from app.customers import duplicate_keys, phones, scoring
from app.customers.duplicate_keys import DuplicateKey
from app.customers.errors import Duplicate, PhoneTaken, ValueTaken
from app.customers.following import write_words
from app.customers.registry import Registry
from app.customers.visibility import owners
from app.imports import contact_sql, merge_duplicates, merge_phones
from app.imports import merge_sql as sql
from app.imports.plan import Batch, Plan, is_contact, problem_of

PART = 1 << 18
PHONE = "customer_phone_uq"
PHONE_NOT_TAKEN = (
    "Số điện thoại của dòng này không được lấy: khách hàng trùng dữ liệu đã có số khác",
    "The row's phone was not taken: the customer who has its values has another one",
)
TakeCodes = Callable[[int], Awaitable[int]]


class Collision(Exception):
    """Somebody else wrote one of the chunk's customers meanwhile; the chunk must be merged anew."""


@dataclass(frozen=True)
class Terms:
    """What a run may do, and the defaults of what it adds. `take_codes` gives the first of so many numbers."""

    plan: Plan
    registry: Registry
    actor: Actor
    on_duplicate: str
    sees_all: bool
    owner_id: UUID | None
    dry_run: bool
    take_codes: TakeCodes
    is_new: bool
    """Whether the workspace had no customers at all before the run."""

    @property
    def fields(self) -> list[Field]:
        """The mapped fields, in the order of the staging columns."""
        return [target.field for target in self.plan.targets if not is_contact(target.field)]

    @property
    def has_phone(self) -> bool:
        """Whether rows are matched with customers at all."""
        return any(one.key == "phone" for one in self.fields)

    @property
    def uniques(self) -> list[Field]:
        """The mapped unique attributes."""
        return [one for one in self.fields if one.is_attribute and one.unique]

    @property
    def duplicate_keys(self) -> list[DuplicateKey]:
        """The keys beside the phone that rows can break."""
        mapped = {one.key for one in self.fields}
        keys = self.registry.duplicate_keys
        return [key for key in keys if key.imports and not key.is_phone and not mapped.isdisjoint(key.fields)]

    @property
    def changes_all_it_matches(self) -> bool:
        """Whether a row that matches a customer changes it, whoever owns it and whatever the row holds."""
        return self.on_duplicate == "update" and self.sees_all and not self.uniques and not self.dry_run

    @property
    def joins_groups(self) -> bool:
        """Whether rows add customers to groups."""
        return self.plan.add_to_group is not None or any(one.key == "groups" for one in self.fields)

    @property
    def puts_on_tags(self) -> bool:
        """Whether rows give customers tags."""
        return any(one.key == "tags" for one in self.fields)

    @property
    def moves_scores(self) -> bool:
        """Whether rows may bring points, or take a tier away that the rules then give anew."""
        points = self.joins_groups and any(group.points for group in self.registry.groups.values())
        loses_tier = self.plan.clear and any(one.key == "tier" for one in self.fields)
        return (points or loses_tier) and not self.dry_run

    @property
    def in_turn(self) -> bool:
        """Whether a chunk must wait for the one before: whether a value is free must not depend on which of them is
        quicker."""
        contacts = any(target.field.key == "contact_phone" for target in self.plan.targets)
        return bool(self.uniques or self.duplicate_keys or contacts)

    @property
    def relationship_id(self) -> UUID | None:
        """The first status of the list (B030)."""
        first = self.registry.first_relationship
        return self.registry.ids["relationship"][first] if first else None


async def merge(
    session: AsyncSession, terms: Terms, batch: Batch, copy: bytes, *, again: bool = False
) -> dict[str, int]:
    """Writes the chunk and answers how many rows got which status; `again` after a collision.

    Raises:
        Collision: nothing of the chunk may be committed.
    """
    chunk = _Chunk(await driver(session), terms, batch)
    await chunk.connection.copy_to_table(
        "import_staging", schema_name="crm", source=_parts(copy), columns=terms.plan.columns, format="text"
    )
    if batch.written and terms.duplicate_keys:
        await chunk.refuse_duplicates()
    if batch.written and terms.has_phone:
        await chunk.refuse_held_phones()
    if batch.written:
        # In a new workspace only the file itself has customers, and it knows which of its phones came before. Should
        # somebody add one meanwhile, the unique index says so.
        await chunk.write(look=again or not terms.is_new or bool(batch.earlier) or terms.dry_run)
    counts = await chunk.finish()
    if any(key.stored for key in terms.registry.duplicate_keys) and not terms.dry_run:
        ids = await chunk.customers()
        await duplicate_keys.write(chunk.connection, session.info["tenant_id"], terms.registry.duplicate_keys, ids)
    if terms.moves_scores:
        await scoring.recompute(session, terms.actor, await chunk.customers())
        await chunk.agree()
    return counts


class _Chunk:
    def __init__(self, connection: asyncpg.Connection, terms: Terms, batch: Batch) -> None:
        self.connection, self.terms, self.batch = connection, terms, batch
        self.base: list[Any] = [UUID(terms.plan.tenant_id), UUID(terms.plan.import_id), batch.low, batch.high, now()]
        self.remaining = batch.written

    async def refuse_duplicates(self) -> None:
        """Refuses the rows that are somebody already by one of the workspace's keys, or gives them to that customer.
        Nobody else takes a value before the chunk is committed."""
        terms, keys = self.terms, self.terms.duplicate_keys
        mapped = {one.key for one in terms.fields}
        if not terms.dry_run:
            await duplicate_keys.lock_all(self.connection, self.base[0])
        text = merge_duplicates.refuse_duplicates(keys, mapped, clear=terms.plan.clear)
        action = "skipped" if terms.on_duplicate == "skip" else "failed"
        update = terms.on_duplicate == "update" and terms.has_phone
        unused = _problem(terms, "phone", "phone_not_taken", *PHONE_NOT_TAKEN) if update else "{}"
        self.remaining -= await self.connection.fetchval(
            text,
            *self.base[:4],
            action,
            self._duplicates(mapped),
            terms.sees_all,
            owners(terms.actor),
            update,
            unused,
            terms.actor.person,
        )

    async def refuse_held_phones(self) -> None:
        """Refuses the rows whose phones contacts of other customers have; none gets one before the chunk is
        committed."""
        terms = self.terms
        if not terms.dry_run:
            await phones.share_with_imports(self.connection, self.base[0])
        self.remaining -= await merge_phones.refuse_held(
            self.connection, self.base[:4], terms.plan, terms.actor, sees_all=terms.sees_all,
            action="skipped" if terms.on_duplicate == "skip" else "failed",
        )  # fmt: skip

    async def write(self, *, look: bool) -> None:
        """Decides about the rows that are to be written, and writes them; `look` for customers with their phones."""
        if look and self.terms.has_phone and self.terms.changes_all_it_matches:
            await self._change()
        else:
            await self._decide_and_change(look=look)
        if self.remaining:
            await (self._run(sql.NOTE_WOULD_CREATE) if self.terms.dry_run else self._create())

    async def finish(self) -> dict[str, int]:
        """Notes the other rows, empties the staging table and counts."""
        if self.batch.failed or self.batch.skipped or self.remaining < self.batch.written:
            await self._run(sql.NOTE_REFUSED)
        if self.batch.folded:
            await self._run(sql.NOTE_FOLDED)
        if self.terms.plan.has_contacts and not self.terms.dry_run:
            await self._add_contacts()
        await self._run(sql.CLEAR)
        rows = await self.connection.fetch(sql.COUNT, *self.base[:4])
        counts = {row[0]: row[1] for row in rows}
        if sum(counts.values()) != self.batch.rows:
            raise Collision
        return counts

    async def customers(self) -> list[UUID]:
        """The customers that the chunk added or changed."""
        return [row[0] for row in await self.connection.fetch(sql.CUSTOMERS, *self.base[:4])]

    async def agree(self) -> None:
        """Notes the versions that the chunk's customers have by now."""
        await self._run(sql.AGREE)

    async def _decide_and_change(self, *, look: bool) -> None:
        """Locks the matched customers, decides about each row, and changes those that may be changed."""
        matched = 0
        if look and self.terms.has_phone:
            lock = sql.MATCHED if self.terms.dry_run else sql.LOCK
            matched = await self.connection.fetchval(lock, *self.base[:4])
        if matched:
            decided = await self._decide()
            self.remaining, matched = self.remaining - decided, matched - decided
        if self.terms.uniques:
            row = await self.connection.fetchrow(sql.REFUSE_TAKEN_VALUES, *self.base[:4], self._taken())
            self.remaining, matched = self.remaining - row[0], matched - row[1]
        if matched:
            await self._change(matched)

    async def _decide(self) -> int:
        """Skips or refuses the rows whose customers exist, where that was asked for or they are not the caller's."""
        if self.terms.on_duplicate != "update":
            action = "skipped" if self.terms.on_duplicate == "skip" else "failed"
            return await self._run(sql.DECIDE, action, self._phone_taken())
        if not self.terms.sees_all:
            actor, owned = self.terms.actor, any(one.key == "owner" for one in self.terms.fields)
            decide = sql.DECIDE_UNENTRUSTED if owned else sql.DECIDE_UNSEEN
            return await self._run(decide, "failed", self._phone_taken(), owners(actor), actor.person)
        return 0

    async def _change(self, matched: int | None = None) -> None:
        """Changes the matched customers; their rows leave the staging table. `matched` where rows were decided about.

        Raises:
            Collision: they are no longer those that were locked and decided about.
        """
        # The dry run notes no moment, and PostgreSQL refuses an argument that a statement does not use.
        statement = sql.Statement(self.base[:4] if self.terms.dry_run else self.base)
        registry, labels = self.terms.registry, sql.labels_of(self.terms.registry)
        difference = sql.Difference(
            statement, self.terms.fields, labels, sql.names_of_groups(registry),
            clear=self.terms.plan.clear, first_relationship=self.terms.relationship_id,
        )  # fmt: skip
        if self.terms.dry_run:
            text = sql.compare_customers(difference)
            pairs = _affected(await self.connection.execute(text, *statement.args))
        else:
            actor = (self.terms.actor.kind, self.terms.actor.id, self.terms.actor.name)
            told_as = difference.kind(registry.categories, labels["relationship"])
            text = sql.update_customers(statement, difference, actor, told_as)
            pairs, searched = await self.connection.fetchrow(text, *statement.args)
            if pairs:
                await self._join(sql.BY_PHONE)
                await self._claim(sql.BY_PHONE, release=True)
            if searched:
                # From the rows as they are now: whom the chunk waited for may have written other columns.
                await write_words(self.connection, self.base[0], searched)
        if matched not in (pairs, None):
            raise Collision
        # The staging table is emptied at the end anyway.
        if 0 < pairs < self.remaining and pairs != await self._run(self._forget()):
            raise Collision
        self.remaining -= pairs

    def _forget(self) -> str:
        return sql.LEAVE_MATCHED if self.terms.plan.has_contacts else sql.FORGET_MATCHED

    async def _add_contacts(self) -> None:
        """Adds the contacts that the rows name, wherever their customers were written."""
        actor = self.terms.actor
        if any(target.field.key == "contact_phone" for target in self.terms.plan.targets):
            taken = _problem(self.terms, "contact_phone", "phone_taken", PhoneTaken.vi, PhoneTaken.en)
            await self._run(contact_sql.REFUSE_HELD, taken)
        await self._run(contact_sql.ADD, actor.kind, actor.id, actor.name, timed=True)

    async def _create(self) -> None:
        first, actor = await self.terms.take_codes(self.remaining), self.terms.actor
        statement = sql.create_customers(
            self.base, self.terms.fields, first_code=first, owner=self.terms.owner_id,
            relationship=self.terms.relationship_id, created_by=actor.id,
        )  # fmt: skip
        try:
            created = _affected(await self.connection.execute(statement.sql, *statement.args))
        except asyncpg.UniqueViolationError as error:
            if constraint(error) != PHONE:
                raise
            raise Collision from error
        if created != self.remaining:
            raise Collision
        await self._run(sql.WRITE_NEW_WORDS)
        await self._run(sql.TELL_CREATED, actor.kind, actor.id, actor.name, timed=True)
        await self._run(sql.NOTE_CREATED)
        await self._join(sql.BY_ID)
        await self._claim(sql.BY_ID, release=False)

    async def _join(self, who: str) -> None:
        if self.terms.joins_groups:
            await self._run(sql.join_groups(who), timed=True)
        if self.terms.puts_on_tags:
            await self._run(sql.join_tags(who), timed=True)

    async def _claim(self, who: str, *, release: bool) -> None:
        """Takes the values of unique attributes, as the primary key decides."""
        if not self.terms.uniques:
            return
        if release:
            ids = [one.attribute_id for one in self.terms.uniques]
            await self._run(sql.release_values(who), ids, self.terms.plan.clear)
        await self._run(sql.claim_values(who))
        if await self.connection.fetchval(sql.lost_values(who), *self.base[:4]):
            raise Collision

    async def _run(self, text: str, *args: Any, timed: bool = False) -> int:
        """Executes a statement on the chunk; answers how many rows it touched."""
        return _affected(await self.connection.execute(text, *(self.base if timed else self.base[:4]), *args))

    def _phone_taken(self) -> str:
        return _problem(self.terms, "phone", "phone_taken", PhoneTaken.vi, PhoneTaken.en)

    def _duplicates(self, mapped: set[str]) -> str:
        problems = {}
        for key in self.terms.duplicate_keys:
            spoken = 0 if self.terms.plan.vietnamese else 1
            label = " + ".join(duplicate_keys.LABELS[one][spoken] for one in key.fields)
            short = (Duplicate.vi, Duplicate.en)[spoken].format(label=label)
            named = merge_duplicates.NAMED[spoken].replace("{label}", label)
            owned, ownerless = (named.replace("{whose}", of[spoken]) for of in merge_duplicates.OWNERS)
            field = next(one for one in key.fields if one in mapped)
            problem = msgspec.json.decode(_problem(self.terms, field, "duplicate", short, short))
            problems[str(key.no)] = problem | {"short": short, "owned": owned, "ownerless": ownerless}
        return msgspec.json.encode(problems).decode()

    def _taken(self) -> str:
        problems = {}
        for one in self.terms.uniques:
            vi, en = ValueTaken.vi.format(label=one.vi), ValueTaken.en.format(label=one.en)
            problems[str(one.attribute_id)] = msgspec.Raw(_problem(self.terms, one.key, "value_taken", vi, en).encode())
        return msgspec.json.encode(problems).decode()


def _problem(terms: Terms, key: str, code: str, vi: str, en: str) -> str:
    target = next(target for target in terms.plan.targets if target.field.key == key)
    return msgspec.json.encode(problem_of(terms.plan.vietnamese, target, code, vi, en)).decode()


def _affected(status: str) -> int:
    """The number of rows in a command's status: "INSERT 0 12", "UPDATE 3"."""
    return int(status.rpartition(" ")[2])


async def _parts(data: bytes) -> AsyncIterator[bytes]:
    view = memoryview(data)
    for start in range(0, len(view), PART):
        yield bytes(view[start : start + PART])
