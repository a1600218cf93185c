"""What processes that died left lying goes, and nothing else."""

import os
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from app.core.clock import id_at, new_id, now
from app.exports import files as export_files
from app.imports import files as import_files
from tests.factories.people import Workspace
from tests.imports.steps import bring
from workers.leftovers import AGE, delete_unnamed_files, delete_work_folders
from workers.main import WorkerProcess


def folder(top: Path, name: str, *, hours: float) -> Path:
    """A folder with a file, both written so long ago."""
    made = top / name
    (made / "deep").mkdir(parents=True)
    (made / "deep" / "source").write_bytes(b"x")
    moment = time.time() - hours * 3600
    for path in (made / "deep" / "source", made / "deep", made):
        os.utime(path, (moment, moment))
    return made


async def test_old_work_folders_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    old = [folder(tmp_path, f"chot-{kind}-abc", hours=25) for kind in ("export", "import", "result")]
    young = folder(tmp_path, "chot-import-young", hours=23)
    written = folder(tmp_path, "chot-export-written", hours=25)
    os.utime(written / "deep" / "source")
    used = folder(tmp_path, "chot-result-used", hours=25)
    foreign = [folder(tmp_path, name, hours=25) for name in ("chot-other-abc", "export-abc")]
    elsewhere = folder(tmp_path, "elsewhere", hours=25)
    link = tmp_path / "chot-import-link"
    link.symlink_to(elsewhere)
    single = tmp_path / "chot-export-file"
    single.write_bytes(b"x")
    os.utime(single, (0, 0))
    if not Path("/proc/self/fd").exists():
        (used / "deep" / "source").touch()
    with (used / "deep" / "source").open("rb"):
        assert await delete_work_folders() == 3
    assert not any(path.exists() for path in old)
    assert all((path / "deep" / "source").exists() for path in (young, written, used, elsewhere, *foreign))
    assert link.is_symlink()
    assert single.exists()
    assert await delete_work_folders() == Path("/proc/self/fd").exists()


async def put(workspace: Workspace, name: str) -> str:
    """A file in the store."""
    await workspace.resources.blobs.put(name, b"x")
    return name


async def test_uploads_that_no_row_names_go(workspace: Workspace, worker: WorkerProcess) -> None:
    resources, old = workspace.resources, id_at(now() - AGE - timedelta(minutes=1))
    orphans = [
        await put(workspace, import_files.source(workspace.id, old)),
        await put(workspace, import_files.chunk(workspace.id, old, 0, 0)),
        await put(workspace, export_files.result(workspace.id, old, "csv")),
    ]
    stranger = new_id()
    kept = [
        await put(workspace, import_files.source(workspace.id, new_id())),
        await put(workspace, import_files.source(stranger, old)),
        await put(workspace, f"imports/{workspace.id}/not-an-id/source"),
    ]
    brought = await bring(workspace.admin, [["Tên", "SĐT"], ["Hoa", "0912345678"]])
    named = import_files.source(workspace.id, UUID(brought["id"]))
    assert await delete_unnamed_files(resources, workspace.id) == 2
    assert await delete_unnamed_files(resources, workspace.id) == 0
    assert [await resources.blobs.exists(name) for name in orphans] == [False] * 3
    assert [await resources.blobs.exists(name) for name in (*kept, named)] == [True] * 4


async def test_an_old_upload_that_a_row_names_stays(
    workspace: Workspace, worker: WorkerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought = await bring(workspace.admin, [["Tên", "SĐT"], ["Hoa", "0912345678"]])
    name = await put(workspace, import_files.source(workspace.id, old := new_id()))
    monkeypatch.setattr("workers.leftovers.AGE", timedelta(seconds=-10))
    assert await delete_unnamed_files(workspace.resources, workspace.id) == 1
    assert not await workspace.resources.blobs.exists(name)
    assert old != UUID(brought["id"])
    assert await workspace.resources.blobs.exists(import_files.source(workspace.id, UUID(brought["id"])))
