"""The end of a run: state, event and notification in one transaction, and the job that makes the result file."""

from typing import Any
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
        vi, en = _message(row.activity, state, row.file_name, counts or {})
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


def _message(activity: str, state: str, name: str, counts: dict[str, int]) -> tuple[str, str]:
    if activity == "undo":
        removed, restored, kept = (counts.get(key, 0) for key in ("removed", "restored", "kept"))
        return (
            f"Hoàn tác import kết thúc: {name} – {removed} đã gỡ, {restored} đã khôi phục, {kept} giữ nguyên",
            f"Undo of the import ended: {name} – {removed} removed, {restored} restored, {kept} kept",
        )
    ended = {
        "succeeded": ("kết thúc", "ended"),
        "cancelled": ("đã bị hủy", "was cancelled"),
        "failed": ("thất bại", "failed"),
    }[state]
    what = ("Kiểm tra thử import", "The dry run") if activity == "dry_run" else ("Import", "The import")
    created, updated, skipped, failed = (counts.get(key, 0) for key in ("created", "updated", "skipped", "failed"))
    return (
        f"{what[0]} {ended[0]}: {name} – {created} thêm mới, {updated} cập nhật, {skipped} bỏ qua, {failed} lỗi",
        f"{what[1]} {ended[1]}: {name} – {created} created, {updated} updated, {skipped} skipped, {failed} failed",
    )
