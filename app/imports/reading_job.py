"""The job that reads an upload: its rows into chunk files, what was found into the import."""

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
from app.core.runner import Done, Failed, Outcome, Run
from app.imports import files, reading
from app.imports.choices import Kept
from app.imports.models import Import


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
        try:
            book = await reading.read(path, filename=name, on_chunk=keep)
        except reading.Unreadable as refused:
            error = {"code": refused.code, "details": refused.details}
            return Failed(code=refused.code, effect=lambda session: _end(session, run, state="failed", error=error))
    kept = msgspec.to_builtins(Kept(book, dict(chunks)), str_keys=True)
    return Done(effect=lambda session: _end(session, run, state="ready", workbook=kept))


async def dead(session: AsyncSession, run: Run) -> None:
    """The attempts are used up: the fault is ours, not the file's."""
    await _end(session, run, state="failed", error={"code": "attempts_used_up"})


async def _end(session: AsyncSession, run: Run, **values: Any) -> None:
    import_id = UUID(run.args["import_id"])
    await session.execute(
        update(Import).where(Import.id == import_id).values(version=Import.version + 1, updated_at=now(), **values)
    )
    await record(session, run.actor, "import.read", import_id, data={"state": values["state"]})
