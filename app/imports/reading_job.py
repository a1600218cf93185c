"""The job that reads an upload: its rows into chunk files, what was found into the import.

People upload the same file again, to choose otherwise or to bring it up to date by a row. What reading a file gives
depends on its bytes alone, so the chunks of the first upload serve the next ones too.
"""

import asyncio
import hashlib
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import now
from app.core.events import record
from app.core.run import Done, Failed, Outcome, Run
from app.imports import files, reading
from app.imports.choices import Kept
from app.imports.models import Import

# To be counted up whenever reading the same bytes gives something else than before.
READER = 3


async def read(run: Run) -> Outcome:
    """Reads the file of an import in a process of its own. The file's death of it is an ordinary refusal."""
    import_id, blobs = UUID(run.args["import_id"]), run.resources.blobs
    async with run.resources.db.transaction(run.tenant_id) as session:
        name: str | None = await session.scalar(select(Import.file_name).where(Import.id == import_id))
    if name is None:
        return Failed(code="import_unknown")
    chunks: Counter[int] = Counter()

    async def keep(sheet: int, number: int, data: bytes) -> None:
        await blobs.put(files.chunk(run.tenant_id, import_id, sheet, number), data)
        chunks[sheet] += 1

    with TemporaryDirectory(prefix="chot-import-") as folder:
        path = Path(folder) / "source"
        await blobs.fetch(files.source(run.tenant_id, import_id), path)
        key = await asyncio.to_thread(_content_key, path, name)
        known = await _known(run, import_id, key)
        if known is None:
            try:
                book = await reading.read(path, filename=name, on_chunk=keep)
            except reading.Unreadable as refused:
                await blobs.delete_all(files.rows(run.tenant_id, import_id))
                error = {"code": refused.code, "details": refused.details}
                return Failed(code=refused.code, effect=lambda session: _end(session, run, state="failed", error=error))
            known = msgspec.to_builtins(Kept(book, dict(chunks)), str_keys=True)
    return Done(effect=lambda session: _end(session, run, state="ready", workbook=known, content_key=key))


async def dead(session: AsyncSession, run: Run) -> None:
    """The attempts are used up: the fault is ours, not the file's."""
    await _end(session, run, state="failed", error={"code": "attempts_used_up"})


async def cancelled(session: AsyncSession, run: Run) -> None:
    """Somebody has ended it before it was read."""
    await _end(session, run, state="cancelled", finished_at=now())


async def _known(run: Run, import_id: UUID, key: str) -> dict[str, Any] | None:
    """What an earlier upload of the same file was found to hold, its chunks copied; None if there is no such."""
    async with run.resources.db.transaction(run.tenant_id) as session:
        earlier = (
            await session.execute(
                select(Import.id, Import.workbook)
                .where(Import.content_key == key, Import.files_deleted_at.is_(None), Import.workbook.is_not(None))
                .order_by(Import.created_at.desc())
                .limit(1)
            )
        ).one_or_none()
    if earlier is None:
        return None
    kept = msgspec.convert(earlier.workbook, Kept, strict=False)
    try:
        for sheet, count in kept.chunks.items():
            for number in range(count):
                given, taken = (files.chunk(run.tenant_id, one, sheet, number) for one in (earlier.id, import_id))
                await run.resources.blobs.copy(given, taken)
    except FileNotFoundError:
        # Its files were deleted just now.
        return None
    workbook: dict[str, Any] = earlier.workbook
    return workbook


def _content_key(path: Path, name: str) -> str:
    """Everything that reading depends on: the bytes, how the name ends, and the reader."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return f"{READER}{Path(name).suffix.lower()[:10]}:{digest}"


async def _end(session: AsyncSession, run: Run, **values: Any) -> None:
    import_id = UUID(run.args["import_id"])
    await session.execute(
        update(Import).where(Import.id == import_id).values(version=Import.version + 1, updated_at=now(), **values)
    )
    await record(session, run.actor, "import.read", import_id, data={"state": values["state"]})
