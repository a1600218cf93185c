"""Files of imports go after their time."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from app.core.clock import now
from app.imports import files
from app.imports.expiry import delete_old_files
from app.imports.models import Import
from tests.factories.people import Workspace
from tests.imports.steps import API, bring

pytestmark = pytest.mark.usefixtures("worker")


async def test_old_files_go_and_the_rows_stay(workspace: Workspace) -> None:
    resources = workspace.resources
    old = await bring(workspace.admin, [["Tên", "SĐT"], ["Hoa", "0912345678"], ["Sai", "1"]])
    recent = await bring(workspace.admin, [["Tên", "SĐT"], ["Nam", "0987654321"]])
    for one in (old, recent):
        assert (await workspace.admin.get(f"{API}/imports/{one['id']}/result", timeout=60)).status_code == 200
    async with resources.db.transaction(workspace.id) as session:
        born = now() - timedelta(days=resources.settings.upload_retention_days, minutes=1)
        await session.execute(update(Import).where(Import.id == old["id"]).values(created_at=born))
    assert await delete_old_files(resources, workspace.id) == 1
    assert await delete_old_files(resources, workspace.id) == 0
    assert not await resources.blobs.exists(files.source(workspace.id, old["id"]))
    assert await resources.blobs.exists(files.source(workspace.id, recent["id"]))
    reply = await workspace.admin.get(f"{API}/imports/{old['id']}/result")
    assert (reply.status_code, reply.json()["code"]) == (410, "files_deleted")
    rows = (await workspace.admin.get(f"{API}/imports/{old['id']}/rows", params={"status": "failed"})).json()["items"]
    assert [row["row"] for row in rows] == [3]
    assert (await workspace.admin.post(f"{API}/imports/{old['id']}/undo")).status_code == 202
