"""Imports as the API shows them."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, RowMapping, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from app.core.actor import Actor
from app.core.errors import NotFound
from app.core.i18n import Language, language
from app.core.jobs import REASONS, Job
from app.core.masking import masked_typed, sees_phones
from app.core.paging import Pager
from app.customers import registry as registries
from app.customers.registry import Registry
from app.imports.choices import Choices, Kept, Proposal, meant, propose
from app.imports.errors import REFUSALS, FileRefused, FilesGone
from app.imports.models import Import, ImportRow
from app.imports.notices import notice_out
from app.imports.reading import Notice, Workbook
from app.imports.schemas import (
    ChoicesOut,
    ColumnOut,
    CountsOut,
    FailureOut,
    ImportDetailOut,
    ImportOut,
    ImportPage,
    PreviewOut,
    ProgressOut,
    ProposalOut,
    RowOut,
    RowPage,
    RowProblemOut,
    SheetOut,
    SuggestionOut,
    UndoCountsOut,
)

# How the state of the live job shows in that of the import, which itself says no more than `queued` meanwhile.
LIVE = {"paused": "paused", "running": "running", "cancelled": "cancelled", "dead": "failed"}
FAILURES = {
    "attempts_used_up": (
        "Hệ thống gặp sự cố khi xử lý file này; vui lòng thử lại",
        "Something went wrong while this file was processed; please try again",
    ),
    "mapping_changed": (
        "Trường dữ liệu hoặc nhóm đã chọn không còn nữa; hãy chọn lại rồi nhập lại",
        "A mapped field or the chosen group is no more; choose again and restart",
    ),
    "import_unknown": ("Lần nhập này không còn nữa", "This import is no more"),
    FilesGone.code: (FilesGone.vi, FilesGone.en),
}
REASONS.update({code: said for code, said in FAILURES.items() if code not in REASONS})
REASONS.update({code: (kind.vi, kind.en) for code, kind in REFUSALS.items()})
WHOLE = select(Import, Job.state.label("job_state"), Job.claims, Job.progress).outerjoin(
    Job, (Job.tenant_id == Import.tenant_id) & (Job.id == Import.job_id)
)
# Without what reading found, which can be long.
HEAD = WHOLE.options(defer(Import.workbook))
SHOWN = (
    ImportRow.n, ImportRow.status, ImportRow.undone, ImportRow.customer_id, ImportRow.first_n, ImportRow.errors,
)  # fmt: skip
ENDED = ("succeeded", "failed", "cancelled", "undone")


def state_of(state: str, job_state: str | None, claims: int | None) -> str:
    """The state of an import whose job may have been paused, cancelled or buried meanwhile."""
    if state not in ("queued", "reading"):
        return state
    if state == "reading":
        return "failed" if job_state in ("dead", "cancelled") else "reading"
    return LIVE.get(job_state or "", "running" if claims else "queued")


async def get(session: AsyncSession, actor: Actor, import_id: UUID) -> ImportDetailOut:
    """An import with its preview.

    Raises:
        NotFound: there is none, or it is somebody else's.
    """
    row = await load(session, actor, import_id, whole=True)
    kept = kept_of(row["Import"])
    preview = None
    if kept is not None and kept.book.previews:
        preview = preview_out(await registries.load(session), kept.book)
        if hides_phones(actor, row["Import"]):
            _mask_preview(preview)
    choices = choices_of(row["Import"])
    return ImportDetailOut(
        **_head(row), preview=preview, choices=None if choices is None else _choices_out(choices)
    )  # fmt: skip


async def load(
    session: AsyncSession, actor: Actor, import_id: UUID, *, lock: bool = False, whole: bool = False
) -> RowMapping:
    """The import with its job's state, as far as the caller may see it; `whole` with what reading found.

    Raises:
        NotFound
    """
    query = (WHOLE if whole else HEAD).where(Import.id == import_id)
    if lock:
        query = query.with_for_update(of=Import)
    row = (await session.execute(query)).mappings().one_or_none()
    if row is None or not _may_see(actor, row["Import"]):
        raise NotFound()
    return row


async def snapshot(session: AsyncSession, import_id: UUID) -> ImportOut:
    """The import as it stands, for whoever was allowed to watch it."""
    row = (await session.execute(HEAD.where(Import.id == import_id))).mappings().one()
    return ImportOut(**_head(row))


async def page(session: AsyncSession, actor: Actor, *, limit: int, cursor: str | None, secret: bytes) -> ImportPage:
    """The caller's imports, the newest first; everybody's for who may view all jobs."""
    pager = Pager(secret, actor.tenant_id, actor.id, "imports")
    position = pager.position(cursor)
    query = HEAD.order_by(Import.created_at.desc(), Import.id.desc()).limit(limit + 1)
    if not actor.may("jobs.view_all"):
        query = query.where(Import.created_by == actor.id)
    if position:
        after = select(Import.created_at).where(Import.id == UUID(position[0])).scalar_subquery()
        query = query.where(tuple_(Import.created_at, Import.id) < tuple_(after, UUID(position[0])))
    rows = (await session.execute(query)).mappings().all()
    items = [ImportOut(**_head(row)) for row in rows[:limit]]
    return ImportPage(items=items, next_cursor=pager.cursor([str(items[-1].id)]) if len(rows) > limit else None)


async def rows_page(
    session: AsyncSession, actor: Actor, import_id: UUID, *, status: str | None, limit: int, cursor: str | None,
    secret: bytes,
) -> RowPage:  # fmt: skip
    """Rows of the file in their order, with what became of them.

    Raises:
        NotFound
    """
    head = await load(session, actor, import_id)
    pager = Pager(secret, actor.tenant_id, import_id, status)
    position = pager.position(cursor)
    query = select(*SHOWN).where(ImportRow.tenant_id == actor.tenant_id, ImportRow.import_id == import_id)
    if status == "updated":
        query = query.where(ImportRow.status.in_(("updated", "unchanged")))
    elif status in ("removed", "restored", "kept"):
        query = query.where(ImportRow.undone == status)
    elif status is not None:
        query = query.where(ImportRow.status == status)
    if position:
        query = query.where(ImportRow.n > int(position[0]))
    found = (await session.execute(query.order_by(ImportRow.n).limit(limit + 1))).all()
    items = [_row_out(row) for row in found[:limit]]
    if hides_phones(actor, head["Import"]):
        for problem in (one for item in items for one in item.errors):
            problem.value = problem.value and masked_typed(problem.value)
            problem.message = masked_typed(problem.message)
    return RowPage(items=items, next_cursor=pager.cursor([items[-1].row]) if len(found) > limit else None)


def preview_out(registry: Registry, book: Workbook) -> PreviewOut:
    """What reading found, with a suggestion for each column."""
    previews = {one.sheet: one for one in book.previews}
    proposals = {one.sheet: propose(registry, one) for one in book.previews}
    possible = meant(book, proposals.values())
    proposal = possible[0]
    several = [Notice("several_sheets")] if len(possible) > 1 else []
    sheets = []
    for info in book.sheets:
        found = previews.get(info.index)
        sheets.append(
            SheetOut(
                number=info.index + 1,
                name=info.name,
                visible=info.visible,
                rows=info.rows,
                header_row=found.header_row if found else None,
                first_data_row=found.first_data_row if found else None,
                columns=_columns(proposals[info.index]) if found else [],
                warnings=[notice_out(one) for one in found.warnings] if found else [],
            )
        )
    return PreviewOut(
        format=book.format,
        encoding=book.encoding,
        delimiter=book.delimiter,
        sheets=sheets,
        warnings=[notice_out(one) for one in (*book.warnings, *several)],
        proposal=ProposalOut(
            sheet=proposal.sheet.sheet + 1,
            start_row=proposal.sheet.first_data_row,
            mapping=proposal.mapping,
            missing=[one.key for one in proposal.missing],
        ),
    )


def hides_phones(actor: Actor, row: Import) -> bool:
    """Whether phones of the file are masked for the caller: who uploaded it knows it anyway."""
    return not (sees_phones(actor) or _is_own(actor, row))


def kept_of(row: Import) -> Kept | None:
    """What reading found, as it is kept."""
    return None if row.workbook is None else msgspec.convert(row.workbook, Kept, strict=False)


def choices_of(row: Import) -> Choices | None:
    """The choices of the last start."""
    return None if row.choices is None else msgspec.convert(row.choices, Choices)


def _columns(proposal: Proposal) -> list[ColumnOut]:
    suggested = {one.column: one for one in proposal.suggestions}
    found = []
    for column in proposal.sheet.columns:
        one = suggested.get(column.index)
        found.append(
            ColumnOut(
                number=column.index,
                letter=column.letter,
                header=column.header,
                samples=column.samples,
                kind=column.kind_guess,
                suggestion=SuggestionOut(field=one.field.key, label=one.field.label, confidence=one.confidence)
                if one
                else None,
            )
        )
    return found


def _may_see(actor: Actor, row: Import) -> bool:
    return actor.may("jobs.view_all") or _is_own(actor, row)


def _is_own(actor: Actor, row: Import) -> bool:
    return row.created_by is not None and row.created_by == actor.id


def _mask_preview(preview: PreviewOut) -> None:
    for column in (column for sheet in preview.sheets for column in sheet.columns):
        # A sheet without a header may have a first row of values taken for one.
        column.header = masked_typed(column.header)
        column.samples = [masked_typed(one) for one in column.samples]


def _head(row: Mapping[str, Any] | RowMapping) -> dict[str, Any]:
    found: Import = row["Import"]
    state = state_of(found.state, row["job_state"], row["claims"])
    progress = row["progress"] or {}
    counts = CountsOut.model_validate(found.counts)
    choices = choices_of(found)
    ended = state in ENDED
    total = int(progress.get("total", counts.rows)) if not ended else max(counts.rows, progress.get("total", 0))
    return {
        "id": found.id,
        "state": state,
        "activity": found.activity,
        "dry_run": bool(choices and choices.dry_run),
        "file_name": found.file_name,
        "file_size": found.file_size,
        "counts": counts,
        "undo_counts": UndoCountsOut.model_validate(found.undo_counts) if found.undo_counts else None,
        "progress": ProgressOut(done=int(progress.get("done", 0)), total=total),
        "error": _failure(found, state),
        "job_id": found.job_id,
        "created_by": found.created_by,
        "created_by_name": found.created_by_name,
        "created_at": found.created_at,
        "started_at": found.started_at,
        "finished_at": found.finished_at,
        "version": found.version,
    }


def _failure(row: Import, state: str) -> FailureOut | None:
    if state != "failed":
        return None
    code = (row.error or {}).get("code", "attempts_used_up")
    return FailureOut(code=code, message=failure_text(code, language.get()))


def failure_text(code: str, spoken: Language) -> str:
    """Why an import failed, as a sentence."""
    vi, en = FAILURES.get(code) or REASONS.get(code, (FileRefused.vi, FileRefused.en))
    return vi if spoken == "vi" else en


def _choices_out(choices: Choices) -> ChoicesOut:
    return ChoicesOut(
        sheet=choices.sheet + 1,
        start_row=choices.start_row,
        mapping=choices.mapping,
        group_id=choices.group_id,
        group_name=choices.group_name,
        owner_id=choices.owner_id,
        on_duplicate=choices.on_duplicate,
        on_duplicate_in_file=choices.on_duplicate_in_file,
        empty_cells="clear" if choices.clear else "keep",
    )


def _row_out(row: Row[Any]) -> RowOut:
    return RowOut(
        row=row.n,
        status="updated" if row.status == "unchanged" else row.status,
        unchanged=row.status == "unchanged",
        undone=row.undone,
        customer_id=row.customer_id,
        same_phone_as_row=row.first_n,
        errors=[RowProblemOut.model_validate(one) for one in row.errors or ()],
    )
