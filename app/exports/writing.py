"""The job that has an export's file written: pages of rows from the database, straight on to the process that writes.

PostgreSQL makes the JSON, which passes through here as it is; while the process writes a page, the next is read.
"""

import asyncio
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.clock import now
from app.core.db import driver
from app.core.runner import Done, Failed, Outcome, Retry, Run, Stopped
from app.customers import batches
from app.customers import registry as registries
from app.customers.visibility import visible
from app.exports import files
from app.exports.cells import columns, row_of
from app.exports.child import DONE, HEAD, Heading
from app.exports.models import Export
from app.filters.search import Sql
from app.identity.access import actor_now
from app.imports.children import child
from app.imports.report.child import unique_headers

PAGE = 2_500


async def write_export(run: Run) -> Outcome:
    """Writes the file, from its beginning after every interruption."""
    async with run.transaction() as session:
        row = await session.scalar(select(Export).where(Export.id == run.subject_id))
        actor = await actor_now(session, run.actor.kind, run.actor.id)
        run.progress = {**run.progress, "done": 0}
    if row is None or actor is None or not actor.may("customers.export"):
        return Failed(code="forbidden", effect=_forget(run))
    if row.ready_at is not None:
        return Done(result={"rows": row.rows})
    with TemporaryDirectory(prefix="chot-export-") as folder:
        path = Path(folder) / f"customers.{row.format}"
        writing = _Writing(run, row, actor)
        try:
            written = await writing.write(path)
        except _Asked as asked:
            return asked.outcome
        if not written:
            return Retry(reason="writer_died", seconds=1)
        await run.resources.blobs.put(files.result(run.tenant_id, row.id, row.format), path)
    return Done(result={"rows": writing.rows}, effect=lambda session: _ready(session, row.id, writing.rows))


async def dead(session: AsyncSession, run: Run) -> None:
    """The attempts are used up."""
    await _forget(run)(session)


class _Asked(Exception):
    """Somebody asked the job to stop."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


class _Writing:
    def __init__(self, run: Run, row: Export, actor: Actor) -> None:
        self._run, self._row, self._actor = run, row, actor
        self.rows = 0

    async def write(self, path: Path) -> bool:
        """Writes the file; False if the process died of it."""
        try:
            async with child("app.exports.child", TMPDIR=str(path.parent)) as process:
                await _send(process, msgspec.msgpack.encode(await self._heading(path)))
                async for page in self._pages():
                    await _send(process, page)
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.close()
                return await process.stdout.readexactly(1) == DONE
        except (asyncio.IncompleteReadError, ConnectionError):
            return False

    async def _pages(self) -> AsyncIterator[bytes]:
        """The rows as JSON, the newest customer first; each page is read while the one before is written."""
        waiting: asyncio.Task[tuple[bytes, int]] | None = None
        try:
            for number in reversed(range(self._row.parts)):
                async with self._run.transaction() as session:
                    ids = await batches.part(session, self._row.id, number)
                ids.reverse()
                for at in range(0, len(ids), PAGE):
                    following = asyncio.create_task(self._page(ids[at : at + PAGE]))
                    if waiting is not None:
                        yield await self._taken(waiting)
                    waiting = following
            if waiting is not None:
                yield await self._taken(waiting)
        finally:
            if waiting is not None:
                waiting.cancel()
                await asyncio.gather(waiting, return_exceptions=True)

    async def _taken(self, waiting: "asyncio.Task[tuple[bytes, int]]") -> bytes:
        body, count = await waiting
        self.rows += count
        if self._run.control == "cancel":
            raise _Asked(Stopped(state="cancelled", effect=_forget(self._run)))
        if self._run.control == "pause":
            raise _Asked(Stopped(state="paused"))
        return body

    async def _page(self, ids: list[UUID]) -> tuple[bytes, int]:
        async with self._run.transaction() as session:
            registry = await registries.load(session)
            sql = Sql(self._run.tenant_id, [ids])
            vietnamese = self._row.language == "vi"
            made = columns(sql, registry, self._row.columns, masked=self._row.masked, vietnamese=vietnamese)
            row = await (await driver(session)).fetchrow(
                f"""
                SELECT '[' || coalesce(string_agg(({row_of(made)})::text, ',' ORDER BY c.id DESC), '') || ']', count(*)
                FROM crm.customer c
                WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[]) AND c.deleted_at IS NULL
                  AND ({visible(sql, self._actor)})
                """,
                *sql.args,
            )
            self._run.progress = {**self._run.progress, "done": self._run.progress["done"] + len(ids)}
        return row[0].encode(), row[1]

    async def _heading(self, path: Path) -> Heading:
        async with self._run.transaction() as session:
            registry = await registries.load(session)
        vietnamese = self._row.language == "vi"
        made = columns(Sql(self._run.tenant_id), registry, self._row.columns, masked=False, vietnamese=vietnamese)
        headers = unique_headers([one.header for one in made], ())
        sheet = "Khách hàng" if vietnamese else "Customers"
        return Heading(str(path), self._row.format, sheet, self._row.language, headers, [one.how for one in made])


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
