"""The download of a result file: there already, or made while the caller waits a little."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

from app.core.actor import Actor
from app.core.masking import REVEAL
from app.core.work import Work
from app.imports import files, queries
from app.imports.errors import FilesGone, ImportState, ResultNotReady
from app.imports.finishing import enqueue_report
from app.imports.models import Import

PATIENCE = 25.0
EVERY = 0.2


async def open_result(work: Work, actor: Actor, import_id: UUID) -> tuple[str, AsyncIterator[bytes]]:
    """The name and content of the result file.

    Raises:
        NotFound
        Forbidden: somebody else uploaded the phones in it, and the caller may not see phones.
        ImportState: it has not run to an end.
        FilesGone: its files were deleted after their time.
        ResultNotReady: it is still being made.
    """
    row = await queries.load(work.session, actor, import_id)
    found: Import = row["Import"]
    if queries.hides_phones(actor, found):
        actor.require(REVEAL)
    state = queries.state_of(found.state, row["job_state"], row["claims"])
    if found.choices is None or state not in queries.ENDED:
        raise ImportState(state=state)
    if found.files_deleted_at is not None:
        raise FilesGone()
    blobs, name = work.resources.blobs, files.result(actor.tenant_id, import_id, found.runs)
    if not await blobs.exists(name):
        await enqueue_report(work.session, actor, import_id, found.runs)
        await work.suspend()
        until = asyncio.get_running_loop().time() + PATIENCE
        while not await blobs.exists(name):
            if asyncio.get_running_loop().time() > until:
                raise ResultNotReady()
            await asyncio.sleep(EVERY)
    return _download_name(found.file_name, vietnamese=found.language == "vi"), blobs.stream(name)


def _download_name(name: str, *, vietnamese: bool) -> str:
    stem = name.rpartition(".")[0] or name
    return f"{stem} - {'kết quả' if vietnamese else 'result'}.xlsx"
