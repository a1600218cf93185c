"""The verbs of an import. Each runs in the caller's transaction, except the upload, which has slow parts."""

import asyncio
import errno
import re
from typing import Any
from uuid import UUID

import msgspec
from fastapi import Response, UploadFile
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import jobs
from app.core.actor import Actor
from app.core.clock import new_id, now
from app.core.errors import Full
from app.core.events import record
from app.core.i18n import language
from app.core.vietnam import text as vn
from app.core.work import Work
from app.customers import registry as registries
from app.imports import files, queries
from app.imports.choices import check, undo_rights
from app.imports.errors import FileRefused, FilesGone, ImportState, ImportWritten, NothingWritten, refusal_of
from app.imports.models import NO_COUNTS, Import
from app.imports.schemas import ImportDetailOut, ImportOut, StartIn

__all__ = ["cancel", "pause", "resume", "start", "undo", "upload"]

READ, RUN, UNDO = "imports.read", "imports.run", "imports.undo"
LANE = "imports"
PATIENCE = 8.0
MAX_NAME = 255
STARTABLE = ("ready", *queries.ENDED)
UNDOABLE = ("succeeded", "failed", "cancelled")


async def upload(work: Work, actor: Actor, file: UploadFile) -> ImportDetailOut:
    """Stores the file, has it read, and waits a while for the preview.

    Raises:
        FileRefused: the file cannot be imported; the import stays, failed, with the same code.
        Full: the disk has no room.
    """
    import_id, size = new_id(), file.size or 0
    if size == 0:
        raise refusal_of("file_empty")
    await work.suspend()
    try:
        file.file.seek(0)
        await work.resources.blobs.put(files.source(actor.tenant_id, import_id), file.file)
    except OSError as error:
        if is_full(error):
            raise Full() from error
        raise
    try:
        await work.resume()
    except BaseException:
        await work.resources.blobs.delete_all(files.folder(actor.tenant_id, import_id))
        raise
    await _add(work.session, actor, import_id, _file_name(file.filename), size)
    begun = await queries.get(work.session, actor, import_id)
    await work.commit(Response(begun.model_dump_json(), 201, media_type="application/json"))
    try:
        return await _wait(work, actor, import_id)
    except FileRefused:
        await work.forget()
        raise


def is_full(error: BaseException | None) -> bool:
    """Whether it says that the disk has no room."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


async def start(session: AsyncSession, actor: Actor, import_id: UUID, body: StartIn) -> ImportDetailOut:
    """Checks the choices and enqueues the run, or the dry run.

    Raises:
        NotFound, ImportState, ImportWritten, FilesGone
        Forbidden, Invalid, SheetAmbiguous, MappingIncomplete, GroupNameMissing: see `choices.check`.
    """
    row = await queries.load(session, actor, import_id, lock=True, whole=True)
    found: Import = row["Import"]
    state = queries.state_of(found.state, row["job_state"], row["claims"])
    kept = queries.kept_of(found)
    if state not in STARTABLE or kept is None:
        raise ImportState(state=state)
    if found.written and state != "undone":
        raise ImportWritten()
    if found.files_deleted_at is not None:
        raise FilesGone()
    choices = await check(session, actor, await registries.load(session), kept, body)
    run = found.runs + 1
    job_id = await jobs.enqueue(
        session, actor, RUN, queue="bulk", lane=LANE, args={"import_id": str(import_id), "run": run},
        subject_id=import_id, progress={"done": 0, "total": choices.rows},
    )  # fmt: skip
    await _set(
        session, import_id, state="queued", activity="dry_run" if choices.dry_run else "run", job_id=job_id, runs=run,
        choices=msgspec.to_builtins(choices), counts=NO_COUNTS, undo_counts=None, error=None, language=language.get(),
        started_at=None, finished_at=None, written=False,
    )  # fmt: skip
    await record(session, actor, "import.started", import_id, data={"dry_run": choices.dry_run, "run": run})
    return await queries.get(session, actor, import_id)


async def pause(session: AsyncSession, actor: Actor, import_id: UUID) -> ImportOut:
    """Asks the run to stop at its next checkpoint and stay.

    Raises:
        NotFound, ImportState
    """
    await jobs.pause(session, actor, await _live_job(session, actor, import_id))
    return await queries.snapshot(session, import_id)


async def resume(session: AsyncSession, actor: Actor, import_id: UUID) -> ImportOut:
    """Lets a paused run go on where it stopped.

    Raises:
        NotFound, ImportState
    """
    await jobs.resume(session, actor, await _live_job(session, actor, import_id))
    return await queries.snapshot(session, import_id)


async def cancel(session: AsyncSession, actor: Actor, import_id: UUID) -> ImportOut:
    """Stops the run for good. What it has written stays, and can be undone.

    Raises:
        NotFound, ImportState
    """
    await jobs.cancel(session, actor, await _live_job(session, actor, import_id))
    return await queries.snapshot(session, import_id)


async def undo(session: AsyncSession, actor: Actor, import_id: UUID) -> ImportOut:
    """Enqueues the undo of what the import has written.

    Raises:
        NotFound, ImportState, NothingWritten
        Forbidden: customers would be deleted or changed, which the caller may not do.
    """
    row = await queries.load(session, actor, import_id, lock=True)
    found: Import = row["Import"]
    state = queries.state_of(found.state, row["job_state"], row["claims"])
    if state not in UNDOABLE:
        raise ImportState(state=state)
    if not found.written:
        raise NothingWritten()
    for right in undo_rights(found.counts):
        actor.require(right)
    job_id = await jobs.enqueue(
        session, actor, UNDO, queue="bulk", lane=LANE, args={"import_id": str(import_id), "run": found.runs + 1},
        subject_id=import_id, progress={"done": 0, "total": found.counts["rows"]},
    )  # fmt: skip
    await _set(
        session, import_id, state="queued", activity="undo", job_id=job_id, runs=found.runs + 1, error=None,
        finished_at=None,
    )  # fmt: skip
    await record(session, actor, "import.undo_requested", import_id)
    return await queries.snapshot(session, import_id)


async def _add(session: AsyncSession, actor: Actor, import_id: UUID, name: str, size: int) -> None:
    moment = now()
    job_id = await jobs.enqueue(
        session, actor, READ, queue="interactive", args={"import_id": str(import_id)}, subject_id=import_id,
        max_attempts=3,
    )  # fmt: skip
    await session.execute(
        insert(Import).values(
            tenant_id=actor.tenant_id, id=import_id, state="reading", activity="read", file_name=name, file_size=size,
            language=language.get(), counts=NO_COUNTS, job_id=job_id, runs=0, written=False, created_by=actor.id,
            created_by_kind=actor.kind, created_by_name=actor.name, version=1, created_at=moment, updated_at=moment,
        )
    )  # fmt: skip
    await record(session, actor, "import.uploaded", import_id, data={"file_name": name, "file_size": size})


async def _wait(work: Work, actor: Actor, import_id: UUID) -> ImportDetailOut:
    """The import once it is read, or as it is when patience ends."""
    clock = asyncio.get_running_loop().time
    until, pause_ = clock() + PATIENCE, 0.03
    while True:
        await asyncio.sleep(pause_)
        pause_ = min(pause_ * 1.3, 0.25)
        async with work.db.transaction(actor.tenant_id) as session:
            state = await session.scalar(select(Import.state).where(Import.id == import_id))
            if state != "reading" or clock() > until:
                found = await queries.get(session, actor, import_id)
                break
    if found.state == "failed" and found.error is not None:
        error = refusal_of(found.error.code)
        error.extra["import_id"] = str(import_id)
        raise error
    return found


async def _live_job(session: AsyncSession, actor: Actor, import_id: UUID) -> UUID:
    row = await queries.load(session, actor, import_id, lock=True)
    found: Import = row["Import"]
    state = queries.state_of(found.state, row["job_state"], row["claims"])
    if state not in ("queued", "running", "paused") or found.job_id is None:
        raise ImportState(state=state)
    return found.job_id


async def _set(session: AsyncSession, import_id: UUID, **values: Any) -> None:
    await session.execute(
        update(Import).where(Import.id == import_id).values(version=Import.version + 1, updated_at=now(), **values)
    )


def _file_name(given: str | None) -> str:
    """The name without folders, of either kind of machine, and without what nobody sees."""
    name = vn.clean(re.split(r"[/\\]", given or "")[-1])
    return name[-MAX_NAME:] or "file"
