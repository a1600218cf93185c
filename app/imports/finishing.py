"""The end of a run: state, event and notification in one transaction, and the job that makes the result file."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import jobs
from app.core.actor import Actor
from app.core.clock import now
from app.core.events import record
from app.imports.models import Import
from app.notifications.service import notify

REPORT = "imports.report"
ENDED: Final = {
    "succeeded": ("kết thúc", "ended"),
    "undone": ("kết thúc", "ended"),
    "cancelled": ("đã bị hủy", "was cancelled"),
    "failed": ("thất bại", "failed"),
}
ACTIVITIES: Final = {
    "run": ("Import", "The import"),
    "dry_run": ("Kiểm tra thử lần nhập", "The dry run"),
    "undo": ("Hoàn tác lần nhập", "The undo of the import"),
}
DONE: Final = {
    "created": ("thêm mới", "created"), "updated": ("cập nhật", "updated"), "skipped": ("bỏ qua", "skipped"),
    "failed": ("lỗi", "failed"),
}  # fmt: skip
UNDONE: Final = {
    "removed": ("đã gỡ", "removed"), "restored": ("đã khôi phục", "restored"), "kept": ("giữ nguyên", "kept"),
}  # fmt: skip


async def finish(
    session: AsyncSession, actor: Actor, import_id: UUID, state: str, *, error: dict[str, Any] | None = None
) -> None:
    """Ends a run or an undo with a state, tells the uploader, and has the result file made."""
    moment = now()
    row = (
        await session.execute(
            update(Import)
            .where(Import.id == import_id)
            .values(state=state, error=error, finished_at=moment, updated_at=moment, version=Import.version + 1)
            .returning(Import)
        )
    ).scalar_one()
    counts = row.undo_counts if row.activity == "undo" else row.counts
    data = {"state": state, "activity": row.activity, "counts": counts}
    await record(session, actor, "import.finished", import_id, data=data)
    if row.created_by_kind == "user" and row.created_by is not None:
        vi, en = message(row.activity, state, row.file_name, counts or {})
        await notify(
            session, row.created_by, "import_finished", vi=vi, en=en, subject_type="import", subject_id=import_id,
            data=data,
        )  # fmt: skip
    await enqueue_report(session, actor, import_id, row.runs)


async def enqueue_report(session: AsyncSession, actor: Actor, import_id: UUID, run: int) -> UUID:
    """Has the result file made, unless that is under way."""
    return await jobs.enqueue(
        session, actor, REPORT, queue="bulk", args={"import_id": str(import_id), "run": run}, subject_id=import_id,
        dedupe_key=f"{import_id}:{run}",
    )  # fmt: skip


def message(activity: str, state: str, name: str, counts: dict[str, int]) -> tuple[str, str]:
    """The notification's sentence in Vietnamese and English."""
    ended, what = ENDED[state], ACTIVITIES[activity]
    told = UNDONE if activity == "undo" else DONE
    return (
        f"{what[0]} {ended[0]}: {name} – " + ", ".join(f"{counts.get(key, 0)} {vi}" for key, (vi, _) in told.items()),
        f"{what[1]} {ended[1]}: {name} – " + ", ".join(f"{counts.get(key, 0)} {en}" for key, (_, en) in told.items()),
    )
