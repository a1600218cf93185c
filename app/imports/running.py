"""The job that runs an import: chunk by chunk through the normaliser into the customers.

The next chunk is normalised while the database merges up to two others. A chunk with customers of another one on its
way waits for that one. Every chunk's transaction saves the progress with its effect, so that a run which dies
goes on exactly where it was.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import counters
from app.core.clock import now
from app.core.db import driver, retryable
from app.core.run import Done, Failed, Outcome, Retry, Run, passed
from app.customers import registry as registries
from app.customers.visibility import EVERYBODY
from app.identity.access import actor_now
from app.imports import files, planning, queries
from app.imports.choices import Choices, make_plan, rights
from app.imports.errors import FilesGone
from app.imports.finishing import finish
from app.imports.merge import Collision, Terms, merge
from app.imports.models import NO_COUNTS, Import
from app.imports.normalise.parent import Normaliser, NormaliserDied, normaliser
from app.imports.plan import Batch

MERGES = 2
ATTEMPTS = 5
FORGET_ROWS = 50_000


async def run_import(run: Run) -> Outcome:
    """Runs the import or the dry run of the job, as far as its budget goes."""
    loaded = await _load(run)
    if isinstance(loaded, Outcome):
        return loaded
    if run.progress.get("started") is None:
        await _forget_rows(run, loaded.import_id)
        run.progress = {**run.progress, "started": True}
    try:
        async with normaliser(loaded.terms.plan) as child:
            return await _Pipeline(run, loaded).go(child)
    except NormaliserDied:
        return Retry(reason="normaliser_died", seconds=1)
    except FileNotFoundError:
        return _failed(run, loaded.import_id, FilesGone.code)


async def dead(session: AsyncSession, run: Run) -> None:
    """The attempts are used up."""
    await finish(session, run.actor, UUID(run.args["import_id"]), "failed", error={"code": "attempts_used_up"})


async def cancelled(session: AsyncSession, run: Run) -> None:
    """Somebody has ended the run, or the undo."""
    await finish(session, run.actor, UUID(run.args["import_id"]), "cancelled")


@dataclass(frozen=True)
class _Loaded:
    import_id: UUID
    choices: Choices
    terms: Terms
    size: int
    """Customers of the workspace before the run, as far as that matters."""


async def _load(run: Run) -> "_Loaded | Outcome":
    import_id = UUID(run.args["import_id"])
    async with run.transaction() as session:
        moment = now()
        row = (
            await session.execute(
                update(Import)
                .where(Import.id == import_id)
                .values(started_at=text("coalesce(started_at, :moment)").bindparams(moment=moment), updated_at=moment)
                .returning(Import)
            )
        ).scalar_one()
        actor = await actor_now(session, run.actor.kind, run.actor.id)
        registry = await registries.load(session)
        size = await planning.count_customers(session) - _created(run)
    choices = queries.choices_of(row)
    assert choices is not None
    if actor is None or not all(map(actor.may, rights(choices.on_duplicate))):
        return _failed(run, import_id, "forbidden")
    plan = make_plan(run.tenant_id, import_id, row.language, choices, registry)
    if plan is None:
        return _failed(run, import_id, "mapping_changed")
    terms = Terms(
        plan=plan,
        registry=registry,
        actor=actor,
        on_duplicate=choices.on_duplicate,
        sees_all=actor.may(EVERYBODY),
        owner_id=choices.owner_id,
        dry_run=choices.dry_run,
        take_codes=lambda count: _take_codes(run, count),
        is_new=size == 0,
    )
    return _Loaded(import_id, choices, terms, size)


class _Pipeline:
    """The chunks on their way, and which of them are done."""

    def __init__(self, run: Run, loaded: _Loaded) -> None:
        self._run, self._loaded = run, loaded
        self._merging: dict[int, tuple[Batch, asyncio.Task[None]]] = {}
        self._checkpoint, self._progress = asyncio.Lock(), run.progress
        self._width = 1 if loaded.terms.in_turn else MERGES

    async def go(self, child: Normaliser) -> Outcome:
        """Everything that is not done yet, until the end or an interruption."""
        outcome: Outcome | None = None
        try:
            for number in range(self._loaded.choices.chunks):
                if self._is_done(number):
                    await child.remember(await self._run.resources.blobs.get(self._name(files.seen, number)))
                    continue
                batch, copy = await self._normalise(child, number)
                await self._make_room(batch)
                await self._refresh_statistics(batch)
                outcome = self._run.interrupted()
                if outcome is not None:
                    break
                task = asyncio.create_task(self._merge(number, batch, copy))
                self._merging[number] = (batch, task)
            await self._wait_for(list(self._merging))
        finally:
            tasks = [task for _, task in self._merging.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._run.progress = self._progress
        return self._ended(outcome)

    def _ended(self, outcome: Outcome | None) -> Outcome:
        import_id, actor = self._loaded.import_id, self._run.actor
        if outcome is None:
            counts = self._progress.get("counts", NO_COUNTS)
            return Done(effect=lambda session: finish(session, actor, import_id, "succeeded"), result=counts)
        return outcome

    async def _normalise(self, child: Normaliser, number: int) -> tuple[Batch, bytes]:
        blobs = self._run.resources.blobs
        data = await blobs.get(
            files.chunk(self._run.tenant_id, self._loaded.import_id, self._loaded.choices.sheet, number)
        )
        batch, seen, copy = await child.chunk(data)
        await blobs.put(self._name(files.seen, number), seen)
        return batch, copy

    async def _make_room(self, batch: Batch) -> None:
        """Waits until a merge may begin: not too many at once, and none with customers of this one."""
        while len(self._merging) >= self._width:
            await self._wait_for(list(self._merging), all_of_them=False)
        needed = [
            number
            for number, (other, _) in self._merging.items()
            if any(other.low <= first <= other.high for first in batch.earlier)
            or not set(batch.earlier).isdisjoint(other.earlier)
        ]
        await self._wait_for(needed)

    async def _refresh_statistics(self, batch: Batch) -> None:
        """Once a run, when a chunk is to be compared with many customers: the statistics may not know them yet."""
        compared = batch.earlier or not self._loaded.terms.is_new or self._loaded.terms.dry_run
        if self._progress.get("known") or not compared or self._loaded.size + _created(self._run) <= planning.SMALL:
            return
        await planning.refresh_statistics(self._run.resources, self._run.tenant_id)
        self._progress = {**self._progress, "known": True}

    async def _wait_for(self, numbers: list[int], *, all_of_them: bool = True) -> None:
        tasks = {self._merging[number][1]: number for number in numbers}
        if not tasks:
            return
        when = asyncio.ALL_COMPLETED if all_of_them else asyncio.FIRST_COMPLETED
        done, _ = await asyncio.wait(tasks, return_when=when)
        for task in done:
            self._merging.pop(tasks[task])
            task.result()

    async def _merge(self, number: int, batch: Batch, copy: bytes) -> None:
        for attempt in range(ATTEMPTS):
            try:
                await self._merge_once(number, batch, copy, again=attempt > 0)
            except Collision:
                if attempt == ATTEMPTS - 1:
                    raise
            except Exception as error:
                if not retryable(error) or attempt == ATTEMPTS - 1:
                    raise
            else:
                return
            await asyncio.sleep(0.05 * 2**attempt)

    async def _merge_once(self, number: int, batch: Batch, copy: bytes, *, again: bool) -> None:
        run, held, progress = self._run, False, self._progress
        try:
            async with run.transaction() as session:
                counts = await self._write(session, batch, copy, again=again) if batch.rows else {}
                # Progress grows by one chunk at a time, and here stands what has been committed: a merge beside this
                # one that fails makes the run forget the progress in memory.
                await self._checkpoint.acquire()
                held, progress = True, self._advanced(number, batch, counts)
                await self._save_counts(session, progress["counts"])
                run.progress = progress
            self._progress = progress
        finally:
            if held:
                self._checkpoint.release()

    async def _write(self, session: AsyncSession, batch: Batch, copy: bytes, *, again: bool) -> dict[str, int]:
        if not self._progress.get("known"):
            await planning.avoid_nested_loops(session)
        return await merge(session, self._loaded.terms, batch, copy, again=again)

    def _advanced(self, number: int, batch: Batch, found: dict[str, int]) -> dict[str, Any]:
        progress = self._progress
        return {
            **progress,
            **passed(progress, number),
            "done": progress["done"] + batch.rows,
            "total": progress["total"] - (batch.given - batch.rows),
            "counts": _sum(progress.get("counts", NO_COUNTS), found),
        }

    async def _save_counts(self, session: AsyncSession, counts: dict[str, int]) -> None:
        changed = counts["created"] + counts["updated"] - counts["unchanged"]
        written = bool(changed) and not self._loaded.terms.dry_run
        await (await driver(session)).execute(
            "UPDATE crm.import SET counts = $3::text::jsonb, written = written OR $4, updated_at = $5 "
            "WHERE tenant_id = $1 AND id = $2",
            self._run.tenant_id, self._loaded.import_id, _json(counts), written, now(),
        )  # fmt: skip

    def _is_done(self, number: int) -> bool:
        return number < self._progress.get("next", 0) or number in self._progress.get("ahead", ())

    def _name(self, name: Callable[[UUID, UUID, int, int], str], number: int) -> str:
        return name(self._run.tenant_id, self._loaded.import_id, self._run.args["run"], number)


def _created(run: Run) -> int:
    created: int = run.progress.get("counts", NO_COUNTS)["created"]
    return created


async def _take_codes(run: Run, count: int) -> int:
    """In a transaction of its own: the counter must not stay locked while a chunk is merged."""
    async with run.resources.db.transaction(run.tenant_id) as session:
        return await counters.take_range(session, "customer", count)


async def _forget_rows(run: Run, import_id: UUID) -> None:
    """Deletes what an earlier dry run, or a run that was undone, noted about the rows."""
    while True:
        async with run.transaction() as session:
            status = await (await driver(session)).execute(
                """
                DELETE FROM crm.import_row WHERE tenant_id = $1 AND import_id = $2 AND n <= (
                    SELECT max(n) FROM (
                        SELECT n FROM crm.import_row WHERE tenant_id = $1 AND import_id = $2 ORDER BY n LIMIT $3
                    ) AS first)
                """,
                run.tenant_id, import_id, FORGET_ROWS,
            )  # fmt: skip
        if int(status.rpartition(" ")[2]) < FORGET_ROWS:
            return


def _failed(run: Run, import_id: UUID, code: str) -> Failed:
    return Failed(
        effect=lambda session: finish(session, run.actor, import_id, "failed", error={"code": code}), code=code
    )


def _sum(counts: dict[str, int], found: dict[str, int]) -> dict[str, int]:
    """The counts with a chunk's statuses added; `unchanged` is a part of updated."""
    added = {**found, "rows": sum(found.values()), "updated": found.get("updated", 0) + found.get("unchanged", 0)}
    return {key: counts[key] + added.get(key, 0) for key in NO_COUNTS}


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
