"""The database: one pool, and one way to open a transaction, which names its tenant first.

Two walls stand here. `crm.use_tenant` sets the tenant that row-level security compares with; and every ORM
statement gets `tenant_id = …` from the session. See docs/notes/tenancy.md.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, nullcontext
from uuid import UUID

import asyncpg
from sqlalchemy import Connection, event, text
from sqlalchemy.engine.interfaces import AdaptedConnection
from sqlalchemy.exc import DBAPIError, DisconnectionError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, create_async_engine
from sqlalchemy.orm import ORMExecuteState, Session, SessionTransaction, with_loader_criteria

from app.core.errors import AppError, Unavailable
from app.core.log import logger
from app.core.orm import TenantRow
from app.core.settings import Settings, driver_url, plain_url, tls

Hook = Callable[[], Awaitable[None]]

SERIALIZATION_FAILURE, DEADLOCK, QUERY_CANCELLED = "40001", "40P01", "57014"
# The server is starting, stopping, out of connections, or cut this one.
SERVER_AWAY = re.compile(r"^(08|57P0[1-5]|53300|25P03)")

# InternalClientError: asyncpg's word for a server that died between two of its messages.
AWAY = (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError, InterfaceError, OperationalError, PoolTimeout)
# The driver's complaint of a statement of ours that was given too many or too few arguments.
MISCOUNTED = "arguments for this query"
# A file that is not there, and a wrong argument for the bare driver.
OURS = (FileNotFoundError, PermissionError, ValueError)


class TenantSession(Session):
    """A session whose `info["tenant_id"]` is sent first in its transaction and added to each statement."""


class Database:
    """The pool, with a fair queue in front of it: a request waits at most `pool_wait` seconds."""

    def __init__(self, settings: Settings, url: str, *, name: str = "chot") -> None:
        self._options = {
            "application_name": name,
            "statement_timeout": str(settings.statement_timeout * 1000),
            "idle_in_transaction_session_timeout": "60000",
            "timezone": "UTC",
        }
        self.engine = create_async_engine(
            driver_url(url),
            pool_size=settings.pool_size,
            max_overflow=0,
            pool_timeout=settings.pool_wait,
            connect_args={
                "timeout": 5,
                "server_settings": self._options,
                **tls(url),
            },
        )
        event.listen(self.engine.sync_engine, "checkout", _refuse_dead)
        self.bell: object = None
        self._readers: asyncpg.Pool | None = None
        self._dsn, self._pool_size = plain_url(url), settings.pool_size
        self._gate = asyncio.Semaphore(settings.pool_size)
        self._wait = settings.pool_wait

    @asynccontextmanager
    async def transaction(self, tenant_id: UUID, *, placed: bool = False) -> AsyncIterator[AsyncSession]:
        """One transaction within one tenant: commits at the end, rolls back on any exception.

        Hooks given to `after_commit` run once the commit is done; a failed hook is logged, never raised.
        `placed` is for who is `reading`: their place counts for this too. All places could be held by those who
        wait for one more; but a reader holds no connection of this pool, so that there is one for every place.

        Raises:
            Unavailable: no connection in time, or the server is away.
        """
        hooks: list[Hook] = []
        async with nullcontext() if placed else self._place():
            session = AsyncSession(
                self.engine,
                sync_session_class=TenantSession,
                expire_on_commit=False,
                info={"tenant_id": tenant_id, "hooks": hooks, "bell": self.bell},
            )
            async with session, session.begin():
                yield session
        await run_hooks(hooks)

    @asynccontextmanager
    async def reading(self, tenant_id: UUID) -> AsyncIterator[asyncpg.Connection]:
        """A read-only transaction within one tenant on the bare driver: a third of what a session costs.

        For the hottest reads, whose statements are written by hand and say `tenant_id = $1` themselves.

        Raises:
            Unavailable: no connection in time.
        """
        if self._readers is None:
            self._readers = await asyncpg.create_pool(
                self._dsn,
                min_size=0,
                max_size=self._pool_size,
                timeout=5,
                # A transaction's settings end with it, so there is nothing to reset.
                reset=_nothing,
                server_settings=self._options,
            )
        # As many places as the pool has connections, so that it never lets anybody wait itself.
        async with self._place(), self._readers.acquire() as connection:
            # One round trip for both. No argument fits into such a pair, and a UUID needs no quoting.
            await connection.execute(f"BEGIN READ ONLY; SELECT crm.use_tenant('{UUID(int=tenant_id.int)}')")
            try:
                yield connection
            finally:
                # It has written nothing, so this is a good end too.
                await connection.execute("ROLLBACK")

    @asynccontextmanager
    async def spare(self, tenant_id: UUID) -> AsyncIterator[asyncpg.Connection | None]:
        """A second reader for who has one, where nobody would wait for it: else None."""
        if self._gate.locked():
            yield None
            return
        async with self.reading(tenant_id) as connection:
            yield connection

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[AsyncConnection]:
        """A transaction with no tenant: it can read only the tables that belong to none (workspaces)."""
        async with self._place(), self.engine.begin() as connection:
            yield connection

    @asynccontextmanager
    async def dispatching(self) -> AsyncIterator[AsyncConnection]:
        """A transaction of the dispatcher, which sees a few columns of due work across the tenants."""
        async with self.shared() as connection:
            await connection.execute(text("SET LOCAL ROLE crm_dispatch"))
            yield connection

    async def close(self) -> None:
        """Closes every connection."""
        if self._readers is not None:
            self._readers.terminate()
        await self.engine.dispose()

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._wait):
                await self._gate.acquire()
        except TimeoutError:
            raise Unavailable() from None
        try:
            yield
        finally:
            self._gate.release()


def _refuse_dead(connection: AdaptedConnection, _record: object, _proxy: object) -> None:
    """Lets the pool replace a connection that the server cut while nobody used it: nobody need notice."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


@event.listens_for(TenantSession, "after_begin")
def _name_the_tenant(session: Session, transaction: SessionTransaction, connection: Connection) -> None:
    # Inside a savepoint the setting would outlive a rollback to it; the outer one still holds.
    if not transaction.nested:
        connection.exec_driver_sql("SELECT crm.use_tenant($1)", (session.info["tenant_id"],))


@event.listens_for(TenantSession, "do_orm_execute")
def _name_the_tenant_again(state: ORMExecuteState) -> None:
    if state.is_select or state.is_update or state.is_delete:
        tenant_id: UUID = state.session.info["tenant_id"]
        state.statement = state.statement.options(
            with_loader_criteria(TenantRow, lambda row: row.tenant_id == tenant_id, include_aliases=True)
        )


async def _nothing(_connection: asyncpg.Connection) -> None:
    """What a reader's connection needs before its next use."""


def tenant_of(session: AsyncSession) -> UUID:
    """The tenant that the session's transaction belongs to."""
    tenant_id: UUID = session.info["tenant_id"]
    return tenant_id


def after_commit(session: AsyncSession, hook: Hook) -> None:
    """Runs `hook` once the session's transaction has committed; never if it rolls back."""
    session.info["hooks"].append(hook)


async def run_hooks(hooks: list[Hook]) -> None:
    """Runs what waited for the commit. The work is safe in the database: a failure here only delays it."""
    for hook in hooks:
        try:
            await hook()
        except Exception as error:  # noqa: BLE001
            logger.warning("hook_failed", exc_info=error)


async def driver(session: AsyncSession) -> asyncpg.Connection:
    """The bare asyncpg connection of the session's transaction: for COPY and for the hottest statements."""
    known: asyncpg.Connection | None = session.info.get("driver")
    if known is not None:
        return known
    connection = await session.connection()
    raw: asyncpg.Connection = (await connection.get_raw_connection()).driver_connection
    # A session of ours lives for one transaction, and so for one connection.
    session.info["driver"] = raw
    return raw


def sqlstate(error: BaseException) -> str:
    """The SQLSTATE of a database error, "" for anything else."""
    cause: BaseException | None = error
    while cause is not None:
        state = getattr(cause, "sqlstate", None) or getattr(getattr(cause, "orig", None), "sqlstate", None)
        if state:
            return str(state)
        cause = cause.__cause__
    return ""


def constraint(error: BaseException) -> str:
    """The name of the violated constraint, read from the message: Citus leaves the driver's field empty,
    and appends the shard's number to the name."""
    match = re.search(r'constraint "([^"]+?)(?:_\d{6,})?"', str(error))
    return match[1] if match else ""


def retryable(error: BaseException) -> bool:
    """Whether the same transaction may succeed when it is run again."""
    return sqlstate(error) in (SERIALIZATION_FAILURE, DEADLOCK)


def server_away(error: BaseException) -> bool:
    """Whether the error says that the database is away, and nothing about the request."""
    if isinstance(error, OURS) or sqlstate(error) == QUERY_CANCELLED:
        return False
    if isinstance(error, asyncpg.InterfaceError) and MISCOUNTED in str(error):
        return False
    if isinstance(error, AWAY):
        return True
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return bool(SERVER_AWAY.match(sqlstate(error)))


@contextmanager
def on_conflict(errors: Mapping[str, Callable[[], AppError]]) -> Iterator[None]:
    """Turns a violated constraint into the error that its name maps to."""
    try:
        yield
    except IntegrityError as error:
        make = errors.get(constraint(error))
        if make is None:
            raise
        raise make() from error


def escape_like(value: str) -> str:
    """Text that matches itself in LIKE."""
    return re.sub(r"([\\%_])", r"\\\1", value)
