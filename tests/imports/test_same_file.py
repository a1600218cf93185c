"""The same file again is not read again, and is an import of its own all the same."""

from typing import Any

import pytest

from app.imports import files
from tests.factories.people import Workspace
from tests.imports.steps import ready, run, table

pytestmark = pytest.mark.usefixtures("worker")

ROWS = table([["Họ tên", "Di động"], ["Hoa", "0912345678"], ["Nam", "0987654321"]])


async def spoil(workspace: Workspace, found: dict[str, Any]) -> None:
    """Puts something into the upload's chunk that only a copy of it can have."""
    name = files.chunk(workspace.id, found["id"], 0, 0)
    blobs = workspace.resources.blobs
    await blobs.put(name, (await blobs.get(name)).replace(b"Hoa", b"Mai"))


async def names(workspace: Workspace) -> list[str]:
    reply = await workspace.admin.get("/api/v1/customers", params={"sort": "name"})
    return [one["name"] for one in reply.json()["items"]]


async def test_its_chunks_serve_again(workspace: Workspace) -> None:
    first = await ready(workspace.admin, ROWS)
    await spoil(workspace, first)
    again = await ready(workspace.admin, ROWS, "tên khác.csv")
    assert again["preview"] == first["preview"]
    assert again["id"] != first["id"]
    await run(workspace.admin, again["id"])
    assert await names(workspace) == ["Mai", "Nam"]


async def test_chunks_that_are_gone_are_read_anew(workspace: Workspace) -> None:
    first = await ready(workspace.admin, ROWS)
    await spoil(workspace, first)
    await workspace.resources.blobs.delete_all(files.folder(workspace.id, first["id"]) + "/rows")
    await run(workspace.admin, (await ready(workspace.admin, ROWS))["id"])
    assert await names(workspace) == ["Hoa", "Nam"]


async def test_other_bytes_and_other_companies_have_their_own(workspace: Workspace, new_workspace: Any) -> None:
    first = await ready(workspace.admin, ROWS)
    await spoil(workspace, first)
    stranger = await new_workspace()
    await run(stranger.admin, (await ready(stranger.admin, ROWS))["id"])
    assert await names(stranger) == ["Hoa", "Nam"]
    await run(workspace.admin, (await ready(workspace.admin, ROWS.replace(b"Nam", b"Tam")))["id"])
    assert await names(workspace) == ["Hoa", "Tam"]
