"""Exports over HTTP (xuất danh sách khách hàng)."""

from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse

from app.core.actor import Actor
from app.core.etag import set_etag
from app.core.work import CurrentWork, Route, Session
from app.exports import service
from app.exports.schemas import ExportIn, ExportOut
from app.identity.access import Requires

CanExport = Annotated[Actor, Depends(Requires("customers.export"))]
CanStart = Annotated[Actor, Depends(Requires("customers.export", once=True))]

router = APIRouter(prefix="/exports", tags=["exports"], route_class=Route)

TYPES = {
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "csv": "text/csv; charset=utf-8",
}
FILE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file.",
        "content": {
            kind.partition(";")[0]: {"schema": {"type": "string", "format": "binary"}} for kind in TYPES.values()
        },
    }
}


@router.post("", summary="Export customers to a file", status_code=202)
async def create_export(
    actor: CanStart, session: Session, work: CurrentWork, response: Response, body: ExportIn
) -> ExportOut:
    """Needs an Idempotency-Key. Written by a job: the customers that the selection holds now, in the columns asked for
    or those of the caller's view. Phones are masked for who may not see them. What was exported, and by whom, is
    recorded."""
    made = await service.start(session, actor, body)
    response.headers["Location"] = f"/api/v1/exports/{made.id}"
    return await _shown(session, actor, work, response, made.id)


@router.get("/{export_id}", summary="Read an export")
async def get_export(
    actor: CanExport, session: Session, work: CurrentWork, response: Response, export_id: UUID
) -> ExportOut:
    """Its state, and a link to the file once it is ready; each reading makes a fresh link."""
    return await _shown(session, actor, work, response, export_id)


@router.get("/{export_id}/file", summary="Download an export's file", response_class=Response, responses=FILE)
async def get_export_file(
    work: CurrentWork,
    export_id: UUID,
    token: Annotated[str, Query(max_length=200, description="As in `file_url`.")] = "",
) -> StreamingResponse:
    """By the link of `file_url`, which stands for its maker and works for a while. Every download is recorded."""
    name, kind, content = await service.open_file(work, export_id, token)
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}"}
    return StreamingResponse(content, media_type=TYPES[kind], headers=headers)


async def _shown(session: Session, actor: Actor, work: CurrentWork, response: Response, export_id: UUID) -> ExportOut:
    found = await service.get(session, actor, export_id, work.resources.settings.secret)
    set_etag(response, found.version)
    return found
