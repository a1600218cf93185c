"""Exports: started, shown, taken."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import jobs
from app.core.actor import Actor, ActorKind
from app.core.clock import new_id, now
from app.core.db import driver
from app.core.errors import NotFound, invalid
from app.core.events import record
from app.core.i18n import language
from app.core.masking import sees_phones
from app.core.work import Work
from app.customers import batches
from app.customers import registry as registries
from app.customers.choosing import Choice, CountMoved
from app.customers.entity import CUSTOMERS
from app.customers.registry import Registry
from app.customers.selection import Selection, where
from app.exports import files
from app.exports.errors import ExportExpired, ExportNotReady
from app.exports.links import link, tenant_of_link
from app.exports.models import Export
from app.exports.schemas import ExportIn, ExportOut
from app.filters.search import Sql, door
from app.views import customer_view

__all__ = ["WRITE", "chosen", "get", "open_file", "start"]

WRITE: Final = "exports.write"
LANE: Final = "exports"
KEPT = timedelta(days=3)


async def start(session: AsyncSession, actor: Actor, body: ExportIn, *, expected: int | None = None) -> Export:
    """Fixes the customers and the columns, tells of it, and has the file written by a job.

    Raises:
        Forbidden, Invalid, CountMoved
    """
    actor.require("customers.export")
    registry = await registries.load(session)
    columns = _columns(registry, body.columns) if body.columns else await default_columns(session, actor, registry)
    choice = await chosen(await driver(session), registry, actor, body.selection, expected)
    export_id, moment = new_id(), now()
    job_id = await jobs.enqueue(
        session, actor, WRITE, queue="bulk", lane=LANE, subject_id=export_id, args={"export_id": str(export_id)},
        progress={"done": 0, "total": choice.count},
    )  # fmt: skip
    masked = not sees_phones(actor)
    selection = _described(body)
    made: Export | None = await session.scalar(
        insert(Export)
        .values(
            tenant_id=actor.tenant_id, id=export_id, format=body.format, columns=columns, masked=masked,
            selection=selection, language=language.get(), total=choice.count, parts=len(choice.parts), job_id=job_id,
            expires_at=moment + KEPT, created_by=actor.id, created_by_kind=actor.kind, created_by_name=actor.name,
            version=1, created_at=moment, updated_at=moment,
        )
        .returning(Export)
    )  # fmt: skip
    assert made is not None
    await batches.keep(session, export_id, choice.parts)
    data = {"count": choice.count, "columns": columns, "format": body.format, "selection": selection, "masked": masked}
    await record(session, actor, "export.created", export_id, data=data)
    return made


async def chosen(
    raw: asyncpg.Connection, registry: Registry, actor: Actor, selection: Selection, expected: int | None = None
) -> Choice:
    """Who would be in the file: also of given ids only those who live and whom the caller sees. Before the first write
    of the transaction.

    Raises:
        Invalid, CountMoved
    """
    sql = Sql(actor.tenant_id)
    wanted = where(sql, registry, actor, selection)
    # A filter that names `deleted` finds the trash too.
    wanted = replace(wanted, where=[*wanted.where, "c.deleted_at IS NULL"])
    async with door(raw) as opened:
        rows = await opened.every(CUSTOMERS, sql, wanted, size=batches.PART)
    found = Choice([row[1] for row in rows], sum(row[0] for row in rows), by_ids=selection.ids is not None)
    if expected is not None and expected != found.count:
        raise CountMoved(count=found.count, expected=expected, extra={"count": found.count})
    return found


async def get(session: AsyncSession, actor: Actor, export_id: UUID, secret: bytes) -> ExportOut:
    """An export of the caller's own, or anybody's for who sees everybody's jobs, with a fresh link once it is ready.

    Raises:
        NotFound
    """
    row = await session.scalar(select(Export).where(Export.id == export_id))
    if row is None or (row.created_by != actor.id and not actor.may("jobs.view_all")):
        raise NotFound()
    job = await jobs.get(session, row.job_id)
    kept = row.ready_at is not None and row.file_deleted_at is None and row.expires_at > now()
    # The link is its maker's: what somebody else may see of the phones was not asked.
    mine = row.created_by == actor.id
    return ExportOut(
        id=row.id, job_id=row.job_id, state=job.state, format=row.format, columns=row.columns, masked=row.masked,
        total=row.total, rows=row.rows, file_url=link(secret, actor.tenant_id, row.id) if kept and mine else None,
        expires_at=row.expires_at, created_by=row.created_by, created_by_name=row.created_by_name,
        created_at=row.created_at, version=row.version,
    )  # fmt: skip


async def open_file(work: Work, export_id: UUID, token: str) -> tuple[str, str, AsyncIterator[bytes]]:
    """The name, kind and content of an export's file, by a link; tells who took it.

    Raises:
        NotFound: the link is wrong or its time is over.
        ExportNotReady, ExportExpired
    """
    tenant_id = tenant_of_link(work.resources.settings.secret, export_id, token)
    session = await work.begin(tenant_id)
    row = await session.scalar(select(Export).where(Export.id == export_id))
    if row is None:
        raise NotFound()
    if row.file_deleted_at is not None or row.expires_at <= now():
        raise ExportExpired()
    if row.ready_at is None:
        raise ExportNotReady()
    kind: Any = row.created_by_kind
    who: ActorKind = kind
    actor = Actor(tenant_id, who, row.created_by, row.created_by_name)
    await record(session, actor, "export.downloaded", export_id, data={"rows": row.rows})
    zone = (await registries.load(session)).zone
    name = f"khach-hang-{row.created_at.astimezone(zone):%Y%m%d}.{row.format}"
    return name, row.format, work.resources.blobs.stream(files.result(tenant_id, export_id, row.format))


async def default_columns(session: AsyncSession, actor: Actor, registry: Registry) -> list[str]:
    """The columns of the caller's list, as far as they are fields that a file can hold."""
    view = await customer_view.own(session, actor)
    return [one.key for one in view.columns.shown if one.key in registry.fields] or ["code", "name"]


def _columns(registry: Registry, given: list[str]) -> list[str]:
    wanted = list(dict.fromkeys(given))
    for key in wanted:
        if registry.get(key) is None:
            raise invalid("columns", "field_unknown", f"Không có trường {key[:80]}", f"There is no field {key[:80]}")
    return [registry.get(key).key for key in wanted]  # type: ignore[union-attr]


def _described(body: ExportIn) -> dict[str, Any]:
    """The selection as history tells it: the filter, or how many ids."""
    given = body.selection.model_dump(mode="json", exclude_none=True)
    ids = given.pop("ids", None)
    excluded = given.pop("exclude", None)
    return given | ({"ids": len(ids)} if ids is not None else {}) | ({"excluded": len(excluded)} if excluded else {})
