"""Jobs: long work as a row, written in the caller's transaction. arq and Valkey only ring the bell.

States: queued → running → succeeded | failed | dead | cancelled, with paused between. See docs/notes/jobs.md.
"""

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from arq.connections import ArqRedis
from prometheus_client import Counter
from redis.asyncio import ConnectionPool
from sqlalchemy import Index, Integer, Text, func, select, text, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app.core.actor import Actor
from app.core.clock import new_id, now
from app.core.db import after_commit, on_conflict, tenant_of
from app.core.errors import Conflict, Forbidden, NotFound
from app.core.events import record
from app.core.i18n import Language, language
from app.core.log import logger
from app.core.orm import TENANT, Base, TenantRow, Versioned, keys

Queue = Literal["interactive", "bulk", "outbound"]
QUEUES: tuple[Queue, ...] = ("interactive", "bulk", "outbound")
LIVE = ("queued", "running", "paused")
ENDED = ("succeeded", "failed", "dead", "cancelled")
CONTROL = "jobs.control"
STATES = {
    "queued": ("chờ xử lý", "queued"),
    "running": ("đang chạy", "running"),
    "paused": ("tạm dừng", "paused"),
    "succeeded": ("hoàn thành", "succeeded"),
    "failed": ("thất bại", "failed"),
    "dead": ("dừng vì lỗi", "dead"),
    "cancelled": ("đã hủy", "cancelled"),
}
# Why a job failed or is tried again, in Vietnamese and English; the domains add their own codes.
REASONS = {
    "failed": ("Không thể hoàn thành", "It could not be done"),
    "retrying": ("Có lỗi xảy ra, hệ thống sẽ tự thử lại", "Something went wrong; it will be tried again"),
    "attempts_used_up": (
        "Hệ thống gặp sự cố và đã thử lại nhiều lần không được",
        "Something went wrong, and trying again did not help",
    ),
    "forbidden": ("Người tạo không còn quyền thực hiện", "Whoever asked for it may not do that any more"),
}
# A cancelled job has nothing left to do but its end, so it goes before all that wait.
AHEAD = timedelta(days=1)
RINGS_LOST = Counter("chot_rings_lost_total", "Rings that Valkey did not take; a sweeper finds their jobs")
DEDUPED = text("dedupe_key IS NOT NULL AND state IN ('queued', 'running', 'paused')")
# Few beside the others. `lease_until` stays out of every index: each beat writes it.
ACTIVE = text("state IN ('queued', 'running')")
ACTIVE_IN_LANE = text("lane IS NOT NULL AND state IN ('queued', 'running')")


class Job(TenantRow, Versioned, Base):
    """One piece of background work: the truth about its state, progress and result."""

    __tablename__ = "job"
    __table_args__ = (
        *keys("job"),
        Index(
            "job_dedupe_uq",
            "tenant_id",
            "kind",
            "dedupe_key",
            unique=True,
            postgresql_where=DEDUPED,
        ),
        Index("job_due_ix", "tenant_id", "queue", "run_at", "id", postgresql_where=ACTIVE),
        Index("job_lane_ix", "tenant_id", "lane", postgresql_where=ACTIVE_IN_LANE),
        Index("job_recent_ix", "tenant_id", text("created_at DESC"), text("id DESC")),
        Index("job_own_ix", "tenant_id", "created_by", text("created_at DESC"), text("id DESC")),
        {"info": TENANT},
    )

    kind: Mapped[str] = mapped_column(Text, doc="`imports.run`: domain, then verb")
    queue: Mapped[Queue] = mapped_column(Text)
    state: Mapped[str]
    args: Mapped[dict[str, Any]] = mapped_column(JSONB, doc="ids only, never a customer's data")
    subject_id: Mapped[UUID | None] = mapped_column(doc="the import, export … that the job works for")
    lane: Mapped[str | None] = mapped_column(Text, doc="jobs of one lane of a workspace run one at a time")
    dedupe_key: Mapped[str | None]
    run_at: Mapped[datetime]
    attempt: Mapped[int] = mapped_column(Integer, doc="claims since the last progress")
    max_attempts: Mapped[int] = mapped_column(Integer)
    claims: Mapped[int] = mapped_column(Integer, doc="claims in all; names the ring of the bell")
    lease_until: Mapped[datetime | None]
    lease_token: Mapped[UUID | None]
    control: Mapped[str | None] = mapped_column(Text, doc="`pause` or `cancel`, asked for and not yet done")
    stoppable: Mapped[bool] = mapped_column(doc="false for what must happen, lest customers be left half changed")
    progress: Mapped[dict[str, Any]]
    result: Mapped[dict[str, Any]]
    error: Mapped[dict[str, Any] | None]
    created_by: Mapped[UUID | None]
    created_by_kind: Mapped[str]
    created_by_name: Mapped[str]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class JobNotLive(Conflict):
    """The job has ended, or is not in a state that this can follow."""

    code = "job_state"
    vi, en = (
        "Tiến trình đang ở trạng thái {state}, không thể thực hiện",
        "The job is {state}; that cannot follow",
    )

    def __init__(self, *, state: str) -> None:
        super().__init__(extra={"state": state}, state=state)

    def message(self, chosen: Language | None = None) -> str:
        """The sentence, with the state's name in the same language."""
        vi, en = STATES[str(self.values["state"])]
        spoken = chosen or language.get()
        return (self.vi if spoken == "vi" else self.en).format(state=vi if spoken == "vi" else en)


class JobNotStoppable(Conflict):
    """The job brings customers in line with a change that has been made; without its end they would contradict it."""

    code = "job_not_stoppable"
    vi = "Tiến trình này bắt buộc phải hoàn thành, không thể tạm dừng hoặc hủy"
    en = "This job must be done; it can be neither paused nor cancelled"


class Bell:
    """Wakes a worker at once. Losing a ring costs one sweep, never a job."""

    def __init__(self, redis_url: str) -> None:
        pool = ConnectionPool.from_url(redis_url, socket_timeout=1, socket_connect_timeout=0.5, max_connections=50)
        self._arq = ArqRedis(connection_pool=pool, job_serializer=serialize, job_deserializer=deserialize)
        self._rings: set[asyncio.Task[None]] = set()
        self._silent = False

    def ring(self, queue: Queue, tenant_id: UUID, job_id: UUID, claims: int) -> None:
        """Rings without waiting: the caller's reply does not depend on Valkey."""
        task = asyncio.ensure_future(self._ring(queue, tenant_id, job_id, claims))
        self._rings.add(task)
        task.add_done_callback(self._rings.discard)

    async def close(self) -> None:
        """Lets the last rings out and closes the connections."""
        if self._rings:
            await asyncio.wait(self._rings, timeout=1)
        await self._arq.aclose(close_connection_pool=True)

    async def _ring(self, queue: Queue, tenant_id: UUID, job_id: UUID, claims: int) -> None:
        try:
            await self._arq.enqueue_job(
                "wake",
                str(tenant_id),
                str(job_id),
                _job_id=f"{job_id}:{claims}",
                _queue_name=queue_name(queue),
            )
            self._silent = False
        except Exception as error:  # noqa: BLE001 -- whatever Valkey says, the sweeper finds the job
            RINGS_LOST.inc()
            if not self._silent:
                logger.warning("bell_silent", error=type(error).__name__)
            self._silent = True


async def enqueue(
    session: AsyncSession,
    actor: Actor,
    kind: str,
    *,
    queue: Queue,
    args: Mapping[str, Any] | None = None,
    subject_id: UUID | None = None,
    lane: str | None = None,
    dedupe_key: str | None = None,
    delay: timedelta | None = None,
    stoppable: bool = True,
    max_attempts: int = 5,
    progress: Mapping[str, Any] | None = None,
) -> UUID:
    """Writes a job in the caller's transaction and rings once it has committed.

    It is due at once, or after `delay`, by the database's clock. People cannot stop it unless it is `stoppable`, but
    once it is `dead` it can be resumed. A live job of the same kind and `dedupe_key` is returned instead of a second
    one; if another transaction is just writing that one, this waits for its end.
    """
    job_id, moment = new_id(), now()
    writing = (
        insert(Job)
        .values(
            tenant_id=actor.tenant_id, id=job_id, kind=kind, queue=queue, state="queued", args=dict(args or {}),
            subject_id=subject_id, lane=lane, dedupe_key=dedupe_key,
            run_at=func.now() + (delay or timedelta(0)), stoppable=stoppable,
            attempt=0, max_attempts=max_attempts, claims=0, progress=dict(progress or {}), result={},
            created_by=actor.id, created_by_kind=actor.kind, created_by_name=actor.name,
            version=1, created_at=moment, updated_at=moment,
        )
        .on_conflict_do_nothing(index_elements=["tenant_id", "kind", "dedupe_key"], index_where=DEDUPED)
        .returning(Job.id)
    )  # fmt: skip
    while await session.scalar(writing) is None:
        live: UUID | None = await session.scalar(
            select(Job.id).where(Job.kind == kind, Job.dedupe_key == dedupe_key, Job.state.in_(LIVE))
        )
        if live:
            return live
    if delay is None:
        ring_after_commit(session, queue, job_id, 0)
    return job_id


async def enqueue_done(
    session: AsyncSession,
    actor: Actor,
    kind: str,
    job_id: UUID,
    *,
    progress: Mapping[str, Any],
    result: Mapping[str, Any],
) -> None:
    """Writes a job that the caller's transaction has done itself, for its items and its undo."""
    moment = now()
    await session.execute(
        insert(Job).values(
            tenant_id=actor.tenant_id, id=job_id, kind=kind, queue="bulk", state="succeeded", args={},
            run_at=func.now(), stoppable=True, attempt=0, max_attempts=1, claims=0, progress=dict(progress),
            result=dict(result), created_by=actor.id,
            created_by_kind=actor.kind, created_by_name=actor.name, version=1, created_at=moment, updated_at=moment,
            started_at=moment, finished_at=moment,
        )
    )  # fmt: skip


def ring_after_commit(session: AsyncSession, queue: Queue, job_id: UUID, claims: int) -> None:
    """Rings the bell for a job of the session's tenant once the transaction has committed."""
    bell: Bell | None = session.info.get("bell")
    tenant_id = tenant_of(session)

    async def ring() -> None:
        if bell is not None:
            bell.ring(queue, tenant_id, job_id, claims)

    after_commit(session, ring)


async def get(session: AsyncSession, job_id: UUID) -> Job:
    """A job of the session's workspace."""
    job = await session.scalar(select(Job).where(Job.id == job_id))
    if job is None:
        raise NotFound()
    return job


async def pause(session: AsyncSession, actor: Actor, job_id: UUID) -> str:
    """Asks a job to stop at its next checkpoint and stay; a queued one stops at once. Returns the state now.

    Raises:
        NotFound, Forbidden, JobNotStoppable, JobNotLive
    """
    job = await _stoppable(session, actor, job_id, ("queued", "running"))
    if job.control == "cancel":
        # No pause takes that back.
        values = {}
    elif job.state == "queued":
        values = {"state": "paused", "control": None}
    else:
        values = {"control": "pause"}
    return await _change(session, actor, job, "job.pause_requested", values)


async def cancel(session: AsyncSession, actor: Actor, job_id: UUID) -> str:
    """Asks a job to end: a running one at its next checkpoint, any other at its next turn, which comes at once.

    It is the runner that ends it, so that its domain always gets to know. Returns the state now.

    Raises:
        NotFound, Forbidden, JobNotStoppable, JobNotLive
    """
    job = await _stoppable(session, actor, job_id, LIVE)
    values: dict[str, Any] = {"control": "cancel"}
    if job.state != "running":
        # It need not wait for its lane any more, nor does anybody wait for it.
        values |= {"state": "queued", "run_at": func.now() - AHEAD, "lane": None}
    return await _change(session, actor, job, "job.cancel_requested", values)


async def resume(session: AsyncSession, actor: Actor, job_id: UUID) -> str:
    """Puts a paused job back into its queue, and a dead one that must happen. Returns the state now.

    Raises:
        NotFound, Forbidden, JobNotLive
    """
    job = await _controllable(session, actor, job_id)
    # The domain of a job that must happen knows nothing of its death, so that it may simply go on.
    if job.state == "paused" or (job.state == "dead" and not job.stoppable):
        values = {"state": "queued", "control": None, "run_at": func.now(), "attempt": 0, "finished_at": None}
    elif job.state in LIVE and job.control == "pause":
        # No worker has seen the pause yet.
        values = {"control": None}
    else:
        raise JobNotLive(state=job.state)
    with on_conflict({"job_dedupe_uq": lambda: JobNotLive(state="dead")}):
        return await _change(session, actor, job, "job.resumed", values)


async def _stoppable(session: AsyncSession, actor: Actor, job_id: UUID, states: tuple[str, ...]) -> Job:
    job = await _controllable(session, actor, job_id)
    if not job.stoppable:
        raise JobNotStoppable()
    if job.state not in states:
        raise JobNotLive(state=job.state)
    return job


async def _controllable(session: AsyncSession, actor: Actor, job_id: UUID) -> Job:
    """The job, locked, if it is the caller's own or they may stop everybody's."""
    job = await session.scalar(
        select(Job).where(Job.id == job_id).with_for_update().execution_options(populate_existing=True)
    )
    if job is None:
        raise NotFound()
    if job.created_by != actor.id and not actor.may(CONTROL):
        raise Forbidden(permission=CONTROL)
    return job


async def _change(session: AsyncSession, actor: Actor, job: Job, event: str, values: Mapping[str, Any]) -> str:
    changed = await session.execute(
        update(Job)
        .where(Job.id == job.id)
        .values(updated_at=now(), version=Job.version + 1, **values)
        .returning(Job.state)
        .execution_options(synchronize_session=False)
    )
    state: str = changed.scalar_one()
    if state == "queued":
        ring_after_commit(session, job.queue, job.id, job.claims)
    await record(session, actor, event, job.id)
    return state


def queue_name(queue: Queue) -> str:
    """The name of a queue in Valkey."""
    return f"chot:{queue}"


def serialize(value: dict[str, Any]) -> bytes:
    """JSON instead of arq's pickle: whoever can write to Valkey must not be able to run code here."""
    return json.dumps(value, default=str).encode()


def deserialize(raw: bytes) -> dict[str, Any]:
    """The counterpart of `serialize`."""
    value: dict[str, Any] = json.loads(raw)
    return value
