"""Files built to do harm, sent to a real API and read by a real worker: each is refused, and both live on."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx
import psutil
import pytest

from app.imports.errors import refusal_of
from tests.factories.hostile_workbooks import HOSTILE, Hostile
from tests.faults.house import House, Process, house, until
from tests.imports.steps import table

AT_ONCE = 3
SECONDS = 60.0
VIETNAMESE = re.compile(r"[àáảãạăắằẵặâấầậèéẹêếềệìíịòóỏọôốồổộơớờợùúủụưứừựỳýđ]", re.IGNORECASE)


@pytest.fixture(scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """An installation with processes of its own."""
    async with house(tmp_path_factory.mktemp("house")) as made:
        yield made


@pytest.mark.promise(17)
async def test_no_file_kills_or_stalls_us(home: House, tmp_path: Path) -> None:
    """Every file ends within a minute in a refusal with its code and a sentence; the processes stay who they are,
    nothing that they started lives on, nothing that they unpacked lies about, and they still do ordinary work."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    api, worker = await home.api(), await home.worker(TMPDIR=str(scratch))
    lives = [psutil.Process(one.pid).create_time() for one in (api, worker)]
    async with home.signed_in(api) as client:
        turns = asyncio.Semaphore(AT_ONCE)
        found = await asyncio.gather(*(_refused(client, turns, one, tmp_path / one.name) for one in HOSTILE))
        wrong = {one.name: fault for one, fault in zip(HOSTILE, found, strict=True) if fault}
        assert wrong == {}
        await _imports([["Họ tên", "SĐT"], ["Hoa", "0912345678"], ["Nam", "0987654321"]], client)
    assert api.lives
    assert worker.lives
    assert [psutil.Process(one.pid).create_time() for one in (api, worker)] == lives
    assert await _children(worker) == []
    # The last import's result is written after its end, in a folder that goes with it.
    await until(lambda: _is_empty(scratch), seconds=30)
    await home.stop(api, worker)


async def _is_empty(folder: Path) -> bool:
    return not any(folder.iterdir())


async def _refused(client: httpx.AsyncClient, turns: asyncio.Semaphore, one: Hostile, folder: Path) -> str:
    """What is wrong with the answer to a hostile file; nothing, if it is a refusal as promised."""
    async with turns:
        folder.mkdir()
        path = folder / "file"
        await asyncio.to_thread(one.make, path)
        content = await asyncio.to_thread(path.read_bytes)
        path.unlink()
        began = time.perf_counter()
        reply = await client.post("/imports", files={"file": (one.filename, content)}, timeout=SECONDS)
        body = reply.json()
        if reply.status_code == 201:
            body = await _until_ended(client, body["id"], began)
            status, code, sentence = 422, (body["error"] or {}).get("code"), (body["error"] or {}).get("message")
        else:
            status, code, sentence = reply.status_code, body["code"], body["detail"]
            if reply.headers["content-type"] != "application/problem+json":
                return reply.headers["content-type"]
        took = time.perf_counter() - began
    if took > SECONDS:
        return f"{took:.0f} s"
    if code not in one.codes or status != refusal_of(code).status:
        return f"{status} {code}, and not {sorted(one.codes)}"
    if sentence != refusal_of(code).message("vi") or not VIETNAMESE.search(sentence):
        return f"{code} says {sentence}"
    if "import_id" in body:
        kept = (await client.get(f"/imports/{body['import_id']}")).json()
        if (kept["state"], kept["error"]) != ("failed", {"code": code, "message": sentence}):
            return f"the import is {kept['state']} with {kept['error']}"
    return ""


async def _until_ended(client: httpx.AsyncClient, import_id: str, began: float) -> dict[str, dict[str, str] | None]:
    """The import once it is read, or when a minute has passed."""
    while True:
        found: dict[str, dict[str, str] | None] = (await client.get(f"/imports/{import_id}")).json()
        if str(found["state"]) != "reading" or time.perf_counter() - began > SECONDS:
            return found
        await asyncio.sleep(0.2)


async def _imports(rows: Sequence[Sequence[str]], client: httpx.AsyncClient) -> None:
    """An ordinary list still becomes customers."""
    reply = await client.post("/imports", files={"file": ("khach.csv", table(rows))})
    assert (reply.status_code, reply.json()["state"]) == (201, "ready")
    import_id = reply.json()["id"]
    assert (await client.post(f"/imports/{import_id}/start", json={})).status_code == 202
    async with asyncio.timeout(20):
        while (found := (await client.get(f"/imports/{import_id}")).json())["state"] != "succeeded":  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert found["counts"]["created"] == len(rows) - 1


async def _children(process: Process) -> list[psutil.Process]:
    """What a process has started and not seen the end of, once the report of the last import is made."""
    async with asyncio.timeout(20):
        while left := psutil.Process(process.pid).children(recursive=True):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    return left
