"""The job that has an export's file written: pages of rows from the database, straight on to the process that writes.

PostgreSQL makes the JSON, which passes through here as it is; while the process writes a page, the next is read. A file
that was begun is of no use to the next run, so that the progress, which people see, takes no attempt back.
"""

import asyncio
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.clock import now
from app.core.run import Done, Failed, Outcome, Retry, Run, Stopped
from app.core.tasks import end
from app.customers import batches
from app.customers import registry as registries
from app.customers.registry import Registry
from app.customers.visibility import visible
from app.exports import files
from app.exports.cells import columns, page
from app.exports.child import DONE, HEAD, Heading, Shown
from app.exports.models import Export
from app.filters.search import Sql
from app.identity.access import actor_now
from app.identity.models import User
from app.imports.children import child
from app.imports.report.child import unique_headers

WRITER = "app.exports.child"
PAGE = 5_000
# Of 1,048,576, less the header.
SHEET_ROWS = 1_048_575


async def write_export(run: Run) -> Outcome:
    """Writes the file, from its beginning after every interruption."""
    async with run.transaction(checkpoint=False) as session:
        row = await session.scalar(select(Export).where(Export.id == run.subject_id))
        actor = await actor_now(session, run.actor.kind, run.actor.id)
        registry = await registries.load(session)
        people = {one.id: one.full_name for one in await session.execute(select(User.id, User.full_name))}
        run.progress = {**run.progress, "done": 0}
    if row is None or actor is None or not actor.may("customers.export"):
        return Failed(code="forbidden", effect=_forget(run))
    if row.ready_at is not None:
        return Done(result={"rows": row.rows})
    with TemporaryDirectory(prefix="chot-export-") as folder:
        path = Path(folder) / f"customers.{row.format}"
        writing = _Writing(run, row, actor, registry, people)
        try:
            written = await writing.write(path)
        except _Asked as asked:
            return asked.outcome
        if not written:
            return Retry(reason="writer_died", seconds=1)
        await run.resources.blobs.put(files.result(run.tenant_id, row.id, row.format), path)
    return Done(result={"rows": writing.rows}, effect=lambda session: _ready(session, row.id, writing.rows))


async def ended(session: AsyncSession, run: Run) -> None:
    """Cancelled, or the attempts are used up."""
    await _forget(run)(session)


class _Asked(Exception):
    """Somebody asked the job to stop."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


class _Writing:
    """One file. The columns and what the caller sees are decided once: each page has what the heading promised."""

    def __init__(self, run: Run, row: Export, actor: Actor, registry: Registry, people: dict[UUID, str]) -> None:
        self._run, self._row, self._vietnamese = run, row, row.language == "vi"
        self._zone = registry.zone
        sql = Sql(run.tenant_id, [row.id])
        self._columns = columns(sql, registry, row.columns, people, masked=row.masked, vietnamese=self._vietnamese)
        seen = f"c.id = ANY($2::uuid[]) AND c.deleted_at IS NULL AND ({visible(sql, actor)})"
        self._statement, self._args = page(self._columns, seen), sql.args
        self.rows = 0

    async def write(self, path: Path) -> bool:
        """Writes the file; False if the process died of it."""
        try:
            async with child(WRITER, TMPDIR=str(path.parent)) as process, aclosing(self._pages()) as pages:
                await _send(process, msgspec.msgpack.encode(self._heading(path)))
                async for data in pages:
                    if data:
                        await _send(process, data)
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.close()
                return await process.stdout.readexactly(1) == DONE
        except (asyncio.IncompleteReadError, ConnectionError):
            return False

    async def _pages(self) -> AsyncGenerator[bytes]:
        """The newest customer first; each page is read while the one before is written."""
        reading: asyncio.Task[tuple[bytes, int]] | None = None
        try:
            for number in reversed(range(self._row.parts)):
                async with self._run.resources.db.transaction(self._run.tenant_id) as session:
                    ids = await batches.part(session, self._row.id, number)
                ids.reverse()
                for at in range(0, len(ids), PAGE):
                    ready = await reading if reading else None
                    reading = asyncio.create_task(self._page(ids[at : at + PAGE]))
                    if ready:
                        yield await self._told(*ready)
            if reading:
                yield await self._told(*await reading)
        finally:
            if reading:
                await end(reading)

    async def _told(self, data: bytes, chosen: int) -> bytes:
        """The page, once everybody can see how far the file is; and whether to go on."""
        async with self._run.transaction(checkpoint=False):
            self._run.progress = {**self._run.progress, "done": self._run.progress["done"] + chosen}
        if self._run.control == "cancel":
            raise _Asked(Stopped(state="cancelled"))
        if self._run.control == "pause":
            raise _Asked(Stopped(state="paused"))
        return data

    async def _page(self, ids: list[UUID]) -> tuple[bytes, int]:
        """Each column's values, and how many customers were chosen."""
        tenant, _, *args = self._args
        async with self._run.resources.db.reading(self._run.tenant_id) as connection:
            row = await connection.fetchrow(self._statement, tenant, ids, *args)
        assert row is not None
        count, *values = row
        self.rows += count
        return f"[{','.join(values)}]".encode() if count else b"", len(ids)

    def _heading(self, path: Path) -> Heading:
        headers = unique_headers([one.header for one in self._columns], ())
        sheet = "Khách hàng" if self._vietnamese else "Customers"
        further = [f"{sheet} {number + 1}" for number in range(1, -(-self._row.total // SHEET_ROWS))]
        shown = [
            Shown(header, one.how, None if one.names is None else dict(one.names))
            for header, one in zip(headers, self._columns, strict=True)
        ]
        return Heading(
            str(path), self._row.format, self._row.language, self._zone.key, [sheet, *further], SHEET_ROWS, shown
        )


async def _send(process: Process, data: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(HEAD.pack(len(data)))
    process.stdin.write(data)
    await process.stdin.drain()


async def _ready(session: AsyncSession, export_id: UUID, rows: int) -> None:
    moment = now()
    await session.execute(
        update(Export)
        .where(Export.id == export_id)
        .values(ready_at=moment, rows=rows, updated_at=moment, version=Export.version + 1)
    )
    await batches.forget(session, export_id)


def _forget(run: Run) -> Any:
    async def forget(session: AsyncSession) -> None:
        if run.subject_id is not None:
            await batches.forget(session, run.subject_id)

    return forget
