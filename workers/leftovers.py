"""What processes that died have left lying: folders for temporary files, and uploads that no row names."""

import asyncio
import os
import shutil
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from sqlalchemy import select

from app.core.clock import id_at, now
from app.core.resources import Resources
from app.exports import files as export_files
from app.exports.models import Export
from app.imports import files as import_files
from app.imports.models import Import

__all__ = ["AGE", "delete_unnamed_files", "delete_work_folders"]

# Far longer than a request or a job's step may take.
AGE: Final = timedelta(days=1)
PREFIXES: Final = ("chot-export-", "chot-import-", "chot-result-")
PROCESSES: Final = Path("/proc")
# By where their files lie.
OWNERS: Final = ((import_files.folder, Import), (export_files.folder, Export))


async def delete_work_folders() -> int:
    """Deletes the product's folders for temporary files that nobody has written to for a day and no process has a file
    of open; answers how many."""
    return await asyncio.to_thread(_delete_work_folders, Path(tempfile.gettempdir()), time.time())


async def delete_unnamed_files(resources: Resources, tenant_id: UUID) -> int:
    """Deletes a workspace's files that lie where an import or export keeps its own, but are no one's: their process
    died before it had written the row. Answers of how many folders."""
    deleted, before = 0, id_at(now() - AGE)
    for folder, owner in OWNERS:
        top = folder(tenant_id, before).rpartition("/")[0]
        # Their names are the ids of rows, and so tell how old they are.
        ids = [one for one in map(_id, await resources.blobs.folders(top)) if one and one < before]
        async with resources.db.transaction(tenant_id) as session:
            named = set(await session.scalars(select(owner.id).where(owner.id.in_(ids)))) if ids else set()
        for one in ids:
            if one not in named:
                deleted += await resources.blobs.delete_all(folder(tenant_id, one)) > 0
    return deleted


def _delete_work_folders(top: Path, moment: float) -> int:
    mine, deleted = os.getuid(), 0
    folders = []
    for path in top.iterdir():
        if path.name.startswith(PREFIXES) and not path.is_symlink() and path.is_dir():
            state = path.stat()
            if state.st_uid == mine and max(state.st_mtime, _newest(path)) < moment - AGE.total_seconds():
                folders.append(path)
    used = _open_files() if folders else frozenset[str]()
    for path in folders:
        if not any(name.startswith(f"{path}/") or name == str(path) for name in used):
            shutil.rmtree(path, ignore_errors=True)
            deleted += not path.exists()
    return deleted


def _newest(folder: Path) -> float:
    """When something in the folder was last written; one that goes in this moment is as good as written now."""
    try:
        return max((path.lstat().st_mtime for path in folder.rglob("*")), default=0.0)
    except FileNotFoundError:
        return time.time()


def _open_files() -> frozenset[str]:
    """What the processes of this machine that may be looked at have open; where there is no /proc, nothing."""
    found = set[str]()
    for process in PROCESSES.glob("[0-9]*"):
        try:
            for link in (process / "cwd", *(process / "fd").iterdir()):
                found.add(str(link.readlink()))
        except OSError:
            continue
    return frozenset(found)


def _id(name: str) -> UUID | None:
    try:
        return UUID(name)
    except ValueError:
        return None
