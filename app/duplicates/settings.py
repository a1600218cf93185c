"""The workspace's duplicate keys: read, changed, and made ready for the customers there are."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import configuration, jobs
from app.core.actor import Actor
from app.core.clock import now
from app.core.db import tenant_of
from app.core.errors import Stale
from app.core.events import record
from app.customers import duplicate_keys
from app.customers.duplicate_keys import DuplicateKey
from app.duplicates.errors import KeysInvalid
from app.duplicates.models import DuplicateSetting
from app.duplicates.schemas import DuplicateKeyIn, DuplicateKeyOut, DuplicateKeysOut

__all__ = ["BUILD", "SETTLE", "change", "read", "ready"]

BUILD = "duplicates.build"
# A writer who read the keys just before they changed has committed by then.
SETTLE = timedelta(seconds=60)


async def read(session: AsyncSession) -> DuplicateKeysOut:
    """The keys in force. Version 0 is what every workspace starts with."""
    row = await _row(session)
    keys = duplicate_keys.from_rows(row.keys) if row else duplicate_keys.DEFAULT
    return _out(keys, row.version if row else 0)


async def change(
    session: AsyncSession, actor: Actor, given: Sequence[DuplicateKeyIn], *, version: int
) -> DuplicateKeysOut:
    """Replaces the keys. New ones that need it are made ready in a job.

    Raises:
        Stale, KeysInvalid
    """
    # First: it makes changes of one workspace's configuration happen one after another.
    await configuration.bump(session)
    row = await _row(session)
    if version != (row.version if row else 0):
        raise Stale()
    before = duplicate_keys.from_rows(row.keys) if row else duplicate_keys.DEFAULT
    keys, last_no = _numbered(given, before, row.last_no if row else duplicate_keys.LAST_NO)
    if keys == before:
        return _out(before, version)
    await _save(session, keys, last_no)
    await record(
        session, actor, "duplicate_keys.changed", actor.tenant_id,
        changes={"keys": (_shown(before), _shown(keys))},
    )  # fmt: skip
    job_id = None
    if {key.no for key in keys if key.stored} != {key.no for key in before if key.stored}:
        job_id = await jobs.enqueue(session, actor, BUILD, queue="bulk", lane="duplicates", stoppable=False)
        await jobs.enqueue(session, actor, BUILD, queue="bulk", lane="duplicates", delay=SETTLE, stoppable=False)
    return _out(keys, version + 1, job_id)


async def ready(session: AsyncSession, numbers: Sequence[int]) -> None:
    """Notes that these keys have the values of all customers."""
    await configuration.bump(session)
    row = await _row(session)
    if row and any(not one["ready"] and one["no"] in numbers for one in row.keys):
        row.keys = [{**one, "ready": one["ready"] or one["no"] in numbers} for one in row.keys]
        # No new version: nobody changed what the keys are.
        row.updated_at = now()
        await session.flush()


async def _row(session: AsyncSession) -> DuplicateSetting | None:
    return await session.scalar(select(DuplicateSetting).where(DuplicateSetting.id == tenant_of(session)))


def _numbered(
    given: Sequence[DuplicateKeyIn], before: Sequence[DuplicateKey], last_no: int
) -> tuple[tuple[DuplicateKey, ...], int]:
    """The keys with their numbers: a key that was there keeps its own."""
    known = {frozenset(key.fields): key for key in before}
    wanted: dict[frozenset[str], DuplicateKey] = {frozenset(duplicate_keys.PHONE.fields): duplicate_keys.PHONE}
    for one in given:
        fields = frozenset(one.fields)
        if fields == {"phone"}:
            continue
        if fields in wanted:
            raise KeysInvalid()
        old = known.get(fields)
        if old is None and fields == {"email"}:
            old = duplicate_keys.EMAIL
        if old is None:
            last_no += 1
            # In the order of the nine, so that equal sets are one key however they were sent.
            ordered = tuple(name for name in duplicate_keys.LABELS if name in fields)
            old = DuplicateKey(last_no, ordered, ready=False)
        wanted[fields] = DuplicateKey(old.no, old.fields, one.imports, old.ready)
    return tuple(sorted(wanted.values(), key=lambda key: key.no)), last_no


async def _save(session: AsyncSession, keys: Sequence[DuplicateKey], last_no: int) -> None:
    moment = now()
    rows = [{"no": key.no, "fields": list(key.fields), "imports": key.imports, "ready": key.ready} for key in keys]
    tenant_id = tenant_of(session)
    writing = insert(DuplicateSetting).values(
        tenant_id=tenant_id, id=tenant_id, keys=rows, last_no=last_no, version=1, created_at=moment, updated_at=moment
    )
    await session.execute(
        writing.on_conflict_do_update(
            index_elements=["tenant_id", "id"],
            set_={
                "keys": writing.excluded["keys"],
                "last_no": writing.excluded.last_no,
                "updated_at": writing.excluded.updated_at,
                "version": DuplicateSetting.version + 1,
            },
        )
    )


def _shown(keys: Sequence[DuplicateKey]) -> list[Any]:
    return [{"fields": list(key.fields), "imports": key.imports} for key in keys]


def _out(keys: Sequence[DuplicateKey], version: int, job_id: UUID | None = None) -> DuplicateKeysOut:
    return DuplicateKeysOut(
        keys=[
            DuplicateKeyOut.model_validate(
                {
                    "fields": list(key.fields),
                    "label": key.label,
                    "imports": key.imports or key.is_phone,
                    "ready": key.ready,
                }
            )
            for key in keys
        ],
        job_id=job_id,
        version=version,
    )
