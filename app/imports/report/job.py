"""The job that has the result file made, and puts it where the download finds it."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db import driver
from app.core.i18n import Language
from app.core.run import Done, Failed, Outcome, Retry, Run
from app.imports import files, queries
from app.imports.children import child
from app.imports.choices import Choices, Kept
from app.imports.models import Import
from app.imports.report.child import HEAD, RANGE, Heading

STATUSES: Final[dict[str, tuple[str, str]]] = {
    "created": ("Thêm mới", "Created"),
    "updated": ("Cập nhật", "Updated"),
    "unchanged": ("Không thay đổi", "Unchanged"),
    "skipped": ("Bỏ qua", "Skipped"),
    "failed": ("Lỗi", "Failed"),
    "removed": ("Đã gỡ", "Removed"),
    "restored": ("Đã khôi phục", "Restored"),
    "kept": ("Giữ nguyên", "Kept"),
    "": ("Chưa xử lý", "Not processed"),
}
# Of 1,048,576, less the header.
SHEET_ROWS = 1_048_575
# A chunk takes about a second, and saving a file of a million rows a minute.
PATIENCE = 300.0
_ROWS = """
SELECT n, status, undone, first_n, errors::text FROM crm.import_row
WHERE tenant_id = $1 AND import_id = $2 AND n BETWEEN $3 AND $4
"""


async def report(run: Run) -> Outcome:
    """Makes the result file of an import, once for each run and undo."""
    import_id = UUID(run.args["import_id"])
    name = files.result(run.tenant_id, import_id, run.args["run"])
    async with run.resources.db.transaction(run.tenant_id) as session:
        row = await session.scalar(select(Import).where(Import.id == import_id))
    if row is None or row.runs != run.args["run"]:
        return Done()
    kept, choices = queries.kept_of(row), queries.choices_of(row)
    if kept is None or choices is None or row.files_deleted_at is not None:
        return Failed(code="files_deleted")
    with TemporaryDirectory(prefix="chot-result-") as folder:
        path = Path(folder) / "result.xlsx"
        writing = _Writing(run, import_id, "vi" if row.language == "vi" else "en", choices)
        if not await writing.write(path, kept):
            return Retry(reason="writer_died", seconds=1)
        await run.resources.blobs.put(name, path)
    return Done()


class _Writing:
    def __init__(self, run: Run, import_id: UUID, spoken: Language, choices: Choices) -> None:
        self._run, self._import_id, self._choices = run, import_id, choices
        self._vietnamese = spoken == "vi"

    async def write(self, path: Path, kept: Kept) -> bool:
        """Writes the file; False if the process died of it, or hangs."""
        try:
            async with child("app.imports.report.child", TMPDIR=str(path.parent)) as process:
                await self._send(process, msgspec.msgpack.encode(self._heading(path, kept)))
                for number in range(self._choices.chunks):
                    await self._chunk(process, number)
                assert process.stdin is not None
                process.stdin.close()
                await self._answer(process)
        except (asyncio.IncompleteReadError, ConnectionError, _TooSlow):
            return False
        return True

    async def _chunk(self, process: Process, number: int) -> None:
        data = await self._run.resources.blobs.get(
            files.chunk(self._run.tenant_id, self._import_id, self._choices.sheet, number)
        )
        await self._send(process, data)
        low, high = await self._answer(process)
        async with self._run.resources.db.transaction(self._run.tenant_id) as session:
            outcomes = await self._outcomes(session, low, high)
        await self._send(process, msgspec.msgpack.encode(outcomes))

    async def _outcomes(self, session: AsyncSession, low: int, high: int) -> dict[int, tuple[str, str]]:
        connection = await driver(session)
        rows = await connection.fetch(_ROWS, self._run.tenant_id, self._import_id, low, high)
        found = dict[int, tuple[str, str]]()
        for number, status, undone, first, errors in rows:
            reasons = [self._reason(one) for one in msgspec.json.decode(errors)] if errors else []
            if first is not None and not errors:
                reasons.append(self._same_phone(first))
            found[number] = (self._word(undone or status), "; ".join(reasons))
        return found

    def _heading(self, path: Path, kept: Kept) -> Heading:
        info = next(info for info in kept.book.sheets if info.index == self._choices.sheet)
        preview = next(one for one in kept.book.previews if one.sheet == self._choices.sheet)
        headers = [""] * info.columns
        if preview.header_row is not None and preview.header_row < self._choices.start_row:
            for column in preview.columns:
                headers[column.index - 1] = column.header
        status, reason = ("Trạng thái", "Lý do") if self._vietnamese else ("Status", "Reason")
        sheet = "Kết quả" if self._vietnamese else "Result"
        # A sheet without a header can be full: that of the result leaves no room for its last row.
        rows = min(info.rows, info.last_row - self._choices.start_row + 1)
        sheets = [sheet] if rows <= SHEET_ROWS else [sheet, f"{sheet} 2"]
        return Heading(
            str(path), sheets, SHEET_ROWS, headers, status, reason, self._word(""), self._choices.start_row
        )  # fmt: skip

    def _word(self, status: str) -> str:
        return STATUSES[status][0 if self._vietnamese else 1]

    def _reason(self, problem: dict[str, Any]) -> str:
        if problem["column"] is None:
            return str(problem["message"])
        return f"{'Cột' if self._vietnamese else 'Column'} {problem['column']}: {problem['message']}"

    def _same_phone(self, row: int) -> str:
        if self._vietnamese:
            return f"Trùng số điện thoại với dòng {row} của file"
        return f"The same phone number as row {row} of the file"

    async def _send(self, process: Process, data: bytes) -> None:
        assert process.stdin is not None
        async with _patience():
            process.stdin.write(HEAD.pack(len(data)))
            process.stdin.write(data)
            await process.stdin.drain()

    async def _answer(self, process: Process) -> tuple[int, int]:
        assert process.stdout is not None
        async with _patience():
            low, high = RANGE.unpack(await process.stdout.readexactly(RANGE.size))
        return low, high


class _TooSlow(Exception):
    """The process did not answer in time."""


@asynccontextmanager
async def _patience() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(PATIENCE):
            yield
    except TimeoutError as error:
        raise _TooSlow from error
