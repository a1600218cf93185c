"""Imports over HTTP."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response, UploadFile
from fastapi.responses import StreamingResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.exceptions import HTTPException

from app.core.actor import Actor
from app.core.errors import Full
from app.core.etag import set_etag
from app.core.paging import Cursor, Limit
from app.core.work import CurrentWork, Route, Session, Work, current_work
from app.customers import registry as registries
from app.identity.access import Requires
from app.imports import queries, service
from app.imports.choices import IMPORT
from app.imports.downloading import open_result
from app.imports.schemas import ImportDetailOut, ImportOut, ImportPage, RowPage, RowStatus, StartIn
from app.imports.template import template
from app.jobs.stream import watch

CanImport = Annotated[Actor, Depends(Requires(IMPORT))]
XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
XLSX: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file", "content": {XLSX_TYPE: {"schema": {"type": "string", "format": "binary"}}}}
}


class UploadRoute(Route):
    """Asks who calls before a byte of the body is read: FastAPI reads a form before it asks any dependency."""

    upload = True

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        """The handler that FastAPI calls."""
        receive = super().get_route_handler()
        ask = Requires(IMPORT, reading=True)

        async def handle(request: Request) -> Response:
            request.scope["chot.work"] = work = Work(request)
            async with work:
                request.scope["chot.admitted"] = await ask(request)
            try:
                return await receive(request)
            except HTTPException as error:
                # What goes wrong while a form is received is none of FastAPI's affairs; it says 400.
                if service.is_full(error.__cause__):
                    raise Full() from error
                raise

        return handle


class Admitted(Requires):
    """The caller whom the `UploadRoute` has let in."""

    async def __call__(self, request: Request) -> Actor:
        """The caller, in a transaction of their workspace."""
        actor: Actor = request.scope["chot.admitted"]
        work = current_work(request)
        await work.begin(actor.tenant_id)
        await work.enter(actor)
        return actor


router = APIRouter(prefix="/imports", tags=["imports"], route_class=Route)


async def _watched(actor: CanImport, session: Session, import_id: UUID) -> UUID:
    await queries.load(session, actor, import_id)
    return import_id


async def create_import(
    actor: Annotated[Actor, Depends(Admitted(IMPORT))], work: CurrentWork, response: Response, file: UploadFile
) -> ImportDetailOut:
    """.xlsx or .csv, up to a million rows. The reply is the preview, or `reading` for a file that takes longer:
    poll it, or watch its events. What cannot be imported is refused with a code."""
    found = await service.upload(work, actor, file)
    response.headers["Location"] = f"/api/v1/imports/{found.id}"
    set_etag(response, found.version)
    return found


router.add_api_route(
    "", create_import, methods=["POST"], status_code=201, summary="Upload a file of customers",
    route_class_override=UploadRoute,
)  # fmt: skip


@router.get("", summary="List imports")
async def list_imports(
    actor: CanImport, session: Session, work: CurrentWork, limit: Limit = 50, cursor: Cursor = None
) -> ImportPage:
    """One's own, or everybody's with `jobs.view_all`; the newest first."""
    return await queries.page(session, actor, limit=limit, cursor=cursor, secret=work.resources.settings.secret)


@router.get("/template", summary="Download the template", response_class=Response, responses=XLSX)
async def get_import_template(_actor: CanImport, session: Session) -> Response:
    """An .xlsx with a column for every field of the workspace, lists to choose from, and an example that is not
    imported. Filled in and uploaded, it needs no mapping."""
    name, content = await template(await registries.load(session))
    return Response(content, media_type=XLSX_TYPE, headers=_attachment(name))


@router.get("/{import_id}", summary="Read an import")
async def get_import(actor: CanImport, session: Session, response: Response, import_id: UUID) -> ImportDetailOut:
    """State, counts, preview and choices. What looks like a phone in somebody else's file is masked without
    `customers.reveal_phone`."""
    found = await queries.get(session, actor, import_id)
    set_etag(response, found.version)
    return found


@router.post("/{import_id}/start", summary="Start an import or its dry run", status_code=202)
async def start_import(actor: CanImport, session: Session, import_id: UUID, body: StartIn) -> ImportDetailOut:
    """Without a mapping, the proposal of the preview is followed if it has every required field. A start may follow
    a dry run, an undo, or a run that has written nothing. To update existing customers takes `customers.edit`, a new
    group `groups.manage`."""
    return await service.start(session, actor, import_id, body)


@router.post("/{import_id}/pause", summary="Pause an import", status_code=202)
async def pause_import(actor: CanImport, session: Session, import_id: UUID) -> ImportOut:
    """It stops within a second or so."""
    return await service.pause(session, actor, import_id)


@router.post("/{import_id}/resume", summary="Resume an import", status_code=202)
async def resume_import(actor: CanImport, session: Session, import_id: UUID) -> ImportOut:
    """It goes on where it stopped."""
    return await service.resume(session, actor, import_id)


@router.post("/{import_id}/cancel", summary="Cancel an import", status_code=202)
async def cancel_import(actor: CanImport, session: Session, import_id: UUID) -> ImportOut:
    """What was written stays; `undo` takes it back."""
    return await service.cancel(session, actor, import_id)


@router.post("/{import_id}/undo", summary="Undo an import", status_code=202)
async def undo_import(actor: CanImport, session: Session, import_id: UUID) -> ImportOut:
    """Removes the customers that it created and restores those that it changed. Whoever cannot be taken back
    (changed since, a unique value taken by another) is kept, and listed under `rows?status=kept` with the reason. Takes
    `customers.delete` where customers were created, `customers.edit` where they were changed."""
    return await service.undo(session, actor, import_id)


@router.get("/{import_id}/rows", summary="List the rows of an import")
async def list_import_rows(
    actor: CanImport,
    session: Session,
    work: CurrentWork,
    import_id: UUID,
    status: Annotated[RowStatus | None, Query(description="Only rows with this outcome.")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> RowPage:
    """In the order of the file, each with everything that was wrong with it."""
    secret = work.resources.settings.secret
    return await queries.rows_page(
        session, actor, import_id, status=status, limit=limit, cursor=cursor, secret=secret
    )  # fmt: skip


@router.get("/{import_id}/result", summary="Download the result file", response_class=Response, responses=XLSX)
async def get_import_result(actor: CanImport, work: CurrentWork, import_id: UUID) -> StreamingResponse:
    """The rows of the upload as .xlsx, each with its status and the reason for it. Text stays text: nothing in it can
    become a formula. Somebody else's takes `customers.reveal_phone`."""
    name, content = await open_result(work, actor, import_id)
    return StreamingResponse(content, media_type=XLSX_TYPE, headers=_attachment(name))


@router.get("/{import_id}/events", summary="Watch an import", response_class=EventSourceResponse)
async def watch_import(
    watched: Annotated[UUID, Depends(_watched)], work: CurrentWork
) -> AsyncIterator[ServerSentEvent]:
    """Server-Sent Events: `progress` with the import whenever it has changed, then `end`."""
    assert work.actor is not None
    tenant_id = work.actor.tenant_id

    async def read() -> tuple[ImportOut, bool]:
        async with work.db.transaction(tenant_id) as session:
            found = await queries.snapshot(session, watched)
        return found, found.state in ("ready", *queries.ENDED)

    async for event in watch(read):
        yield event


def _attachment(name: str) -> dict[str, str]:
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
