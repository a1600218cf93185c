"""Failed sign-ins are counted in PostgreSQL, so that the loss of Valkey opens no door.

Counted are the account as it was typed, the address, and both together; an account that does not exist like one that
does. The reply to a failed sign-in rolls its transaction back, so each call here commits one of its own.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from ipaddress import IPv6Network, ip_address
from uuid import UUID
from weakref import WeakValueDictionary

from sqlalchemy import delete, func, select, text, update

from app.core.clock import NIL
from app.core.db import Database
from app.identity.errors import LoginThrottled
from app.identity.models import LoginThrottle, Workspace

START = timedelta(seconds=30)
DAY = timedelta(hours=24)

COUNT = text("""
INSERT INTO crm.login_throttle AS t (tenant_id, id, failures, locked_until, updated_at)
VALUES (:tenant_id, :id, 1, NULL, :moment)
ON CONFLICT (tenant_id, id) DO UPDATE SET
  failures = CASE WHEN t.updated_at < :forget THEN 1 ELSE t.failures + 1 END, updated_at = excluded.updated_at
RETURNING failures
""")

_turns: WeakValueDictionary[UUID, asyncio.Lock] = WeakValueDictionary()


@dataclass(frozen=True, slots=True)
class Subject:
    """Something that is counted: `free` failures lock it for 30 s, each further one twice as long, up to `cap`.
    After `memory` without a failure the count begins anew."""

    id: UUID
    free: int
    cap: timedelta
    memory: timedelta

    def lock(self, failures: int) -> timedelta | None:
        """How long the subject is locked after so many failures."""
        if failures < self.free:
            return None
        return min(self.cap, START * (1 << min(failures - self.free, 20)))


@dataclass(frozen=True, slots=True)
class Attempt:
    """A sign-in: who was typed, and from where."""

    account: Subject
    address: Subject
    pair: Subject

    @property
    def subjects(self) -> Sequence[Subject]:
        """All three in the order in which their rows are locked."""
        return sorted((self.account, self.address, self.pair), key=lambda subject: subject.id)


@dataclass(frozen=True, slots=True)
class Opening:
    """What may be known before the password: the workspace, if it exists, and the database's time."""

    tenant_id: UUID | None
    moment: datetime


def attempt(workspace: str, username: str, ip: str) -> Attempt:
    """The subjects of a sign-in. A whole office may stand behind one address: a morning's typing errors of two
    hundred people must not lock it, a dictionary must."""
    quarter, hour = timedelta(minutes=15), timedelta(hours=1)
    place = _place(ip)
    return Attempt(
        account=Subject(_id("account", workspace, username), 5, quarter, DAY),
        address=Subject(_id("address", place), 100, quarter, quarter),
        pair=Subject(_id("pair", workspace, username, place), 5, hour, DAY),
    )


@asynccontextmanager
async def turn(subject: Subject) -> AsyncIterator[None]:
    """Sign-ins to one account wait for each other: a hundred guesses at once are five guesses and a lock."""
    lock = _turns.get(subject.id)
    if lock is None:
        lock = _turns[subject.id] = asyncio.Lock()
    async with lock:
        yield


async def open_attempt(db: Database, tried: Attempt, workspace: str) -> Opening:
    """Finds the workspace, and refuses while a subject is locked.

    Raises:
        LoginThrottled: with the seconds to wait; the same whether or not the account exists.
    """
    ids = [subject.id for subject in tried.subjects]
    async with db.transaction(NIL) as session:
        found = await session.scalar(select(Workspace.id).where(Workspace.slug == workspace))
        row = (
            await session.execute(
                select(func.now().label("moment"), func.max(LoginThrottle.locked_until).label("locked_until")).where(
                    LoginThrottle.id.in_(ids), LoginThrottle.locked_until > func.now()
                )
            )
        ).one()
    moment, locked_until = row.moment, row.locked_until
    if locked_until is not None:
        seconds = max(1, math.ceil((locked_until - moment).total_seconds()))
        raise LoginThrottled(seconds=seconds, headers={"Retry-After": str(seconds)})
    return Opening(found, moment)


async def fail(db: Database, tried: Attempt, moment: datetime) -> None:
    """Counts a failure; `moment` is the database's time."""
    async with db.transaction(NIL) as session:
        for subject in tried.subjects:
            values = {"tenant_id": NIL, "id": subject.id, "moment": moment, "forget": moment - subject.memory}
            failures: int = (await session.execute(COUNT, values)).scalar_one()
            if (span := subject.lock(failures)) is not None:
                await session.execute(
                    update(LoginThrottle).where(LoginThrottle.id == subject.id).values(locked_until=moment + span)
                )


async def succeed(db: Database, tried: Attempt) -> None:
    """Forgets the account's failures. The address keeps its own: one right password does not excuse many wrong ones."""
    async with db.transaction(NIL) as session:
        await session.execute(delete(LoginThrottle).where(LoginThrottle.id.in_([tried.account.id, tried.pair.id])))


async def purge(db: Database) -> None:
    """Deletes what is too old to count."""
    async with db.transaction(NIL) as session:
        await session.execute(delete(LoginThrottle).where(LoginThrottle.updated_at < func.now() - DAY))


def _place(ip: str) -> str:
    """The address; of IPv6 the network, because one subscriber has 2^64 addresses."""
    try:
        address = ip_address(ip.partition("%")[0])
    except ValueError:
        return ip
    return str(address) if address.version == 4 else str(IPv6Network((int(address), 64), strict=False))


def _id(*parts: str) -> UUID:
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(4) + part.encode())
    return UUID(bytes=digest.digest())
