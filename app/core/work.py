"""One request, one transaction: opened when the caller is known, committed before the reply is sent.

`Route` is the class of every route. It owns the transaction rather than a dependency does, because the reply
to an Idempotency-Key must be stored in the same transaction as the effect (docs/adr/0002).
"""

import asyncio
import random
import unicodedata
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import msgspec
from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import idempotency
from app.core.actor import Actor
from app.core.db import Database, Hook, retryable, run_hooks
from app.core.errors import invalid
from app.core.resources import Resources

ATTEMPTS = 3
MAX_DEPTH = 32
MAX_ITEMS = 100_000
INT64 = 2**63


class Work:
    """The unit of work of one request."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.resources: Resources = request.app.state.resources
        self.actor: Actor | None = None
        self._stack = AsyncExitStack()
        self._session: AsyncSession | None = None
        self._reader: asyncpg.Connection | None = None
        self._hooks: list[Hook] = []
        self._key: idempotency.Key | None = None

    @property
    def db(self) -> Database:
        """The database, for the few endpoints that need several transactions."""
        return self.resources.db

    @property
    def session(self) -> AsyncSession:
        """The open transaction."""
        assert self._session is not None, "the caller must be known before the session is used"
        return self._session

    @property
    def reader(self) -> asyncpg.Connection:
        """The open read-only transaction of an endpoint whose permission said `reading`."""
        assert self._reader is not None, "the endpoint's permission did not ask for reading"
        return self._reader

    async def begin(self, tenant_id: UUID) -> AsyncSession:
        """Opens the request's transaction in a workspace."""
        assert self._session is None
        self._session = await self._stack.enter_async_context(self.db.transaction(tenant_id))
        self.request.scope["state"]["tenant_id"] = str(tenant_id)
        return self._session

    async def begin_reading(self, tenant_id: UUID) -> asyncpg.Connection:
        """Opens the request's transaction to read only, on the bare driver."""
        self._reader = await self._stack.enter_async_context(self.db.reading(tenant_id))
        self.request.scope["state"]["tenant_id"] = str(tenant_id)
        return self._reader

    def afterwards(self, hook: Hook) -> None:
        """Runs `hook` once the request's transaction has ended well, before the reply is sent."""
        self._hooks.append(hook)

    async def enter(self, actor: Actor, *, once: bool = False) -> None:
        """Names the caller. A repeated Idempotency-Key ends the request here with the first reply.

        Raises:
            idempotency.Replay: the stored reply; `Route` sends it.
            idempotency.KeyRequired: without a key what must happen `once` could happen twice.
        """
        if once and "idempotency-key" not in self.request.headers:
            raise idempotency.KeyRequired()
        self.actor = actor
        self._key = await idempotency.open_key(self.session, self.request, actor, self.resources.settings.secret)

    async def commit(self, reply: Response) -> None:
        """Ends the transaction before the reply is final, for an endpoint that then waits for other processes.

        `reply` is what a repetition would get if this process died while waiting.
        """
        if self._key:
            await idempotency.keep(self.session, self._key, reply)
        await self._close()

    async def forget(self) -> None:
        """Takes back what `commit` has kept: the end was a refusal after all, and its repetition may simply run."""
        if self._key and self.actor:
            async with self.db.transaction(self.actor.tenant_id) as session:
                await idempotency.forget(session, self._key)

    async def suspend(self) -> None:
        """Ends the transaction so far, for an endpoint that has slow work to do before it writes; see `resume`."""
        await self._close()

    async def resume(self) -> None:
        """Opens the next transaction of the same caller.

        Raises:
            idempotency.Replay, idempotency.KeyBusy: another request with the same key was quicker meanwhile.
        """
        assert self.actor is not None
        await self.begin(self.actor.tenant_id)
        await self.enter(self.actor)

    async def finish(self, reply: Response) -> None:
        """Stores the reply under its key; the commit follows."""
        if self._key and self.actor:
            if self._session is None:
                await self.begin(self.actor.tenant_id)
            await idempotency.keep(self.session, self._key, reply)

    async def _close(self) -> None:
        self._session = None
        await self._stack.aclose()

    async def __aenter__(self) -> "Work":
        return self

    async def __aexit__(self, *error: Any) -> None:
        self._session = self._reader = None
        await self._stack.__aexit__(*error)
        if error[0] is None:
            await run_hooks(self._hooks)


class CheckedRequest(Request):
    """A request whose JSON holds only text that PostgreSQL can store, in NFC, of bounded depth and size."""

    async def json(self) -> Any:
        """The body as checked JSON."""
        if not hasattr(self, "_json"):
            try:
                decoded = msgspec.json.decode(await self.body())
                self._json = _checked(decoded, 0)
            except (msgspec.MsgspecError, UnicodeError, RecursionError):
                raise invalid(
                    "body", "json_invalid", "Nội dung không phải JSON hợp lệ", "The body is not valid JSON"
                ) from None
        return self._json


class Route(APIRoute):
    """Runs an endpoint in its transaction, again if PostgreSQL asks for that, and commits before replying."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        """The handler that FastAPI calls."""
        endpoint = super().get_route_handler()

        async def handle(request: Request) -> Response:
            checked = CheckedRequest(request.scope, request.receive)
            for attempt in range(ATTEMPTS):
                work = Work(checked)
                checked.scope["chot.work"] = work
                try:
                    async with work:
                        reply = await endpoint(checked)
                        await work.finish(reply)
                    return reply
                except idempotency.Replay as replay:
                    return replay.reply
                except Exception as error:
                    if not retryable(error) or attempt == ATTEMPTS - 1:
                        raise
                    await asyncio.sleep(random.uniform(0.01, 0.05) * 2**attempt)  # noqa: S311
            raise AssertionError

        return handle


def current_work(request: Request) -> Work:
    """The request's unit of work."""
    work: Work = request.scope["chot.work"]
    return work


# Dependencies are coroutines though they wait for nothing: FastAPI sends plain functions to a thread.
async def _work(request: Request) -> Work:
    return current_work(request)


async def _session(request: Request) -> AsyncSession:
    return current_work(request).session


CurrentWork = Annotated[Work, Depends(_work)]
# The request's transaction; the endpoint's permission, which comes first in its signature, opened it.
Session = Annotated[AsyncSession, Depends(_session)]


def _checked(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        if "\x00" in value:
            raise _refused("text_invalid", "Chuỗi chứa ký tự không hợp lệ", "A text holds a NUL character")
        return value if value.isascii() else unicodedata.normalize("NFC", value)
    if isinstance(value, dict | list):
        if depth >= MAX_DEPTH or len(value) > MAX_ITEMS:
            raise _refused("json_too_deep", "JSON quá sâu hoặc quá dài", "The JSON is too deep or too long")
        if isinstance(value, list):
            return [_checked(item, depth + 1) for item in value]
        return {_checked(key, depth): _checked(item, depth + 1) for key, item in value.items()}
    if isinstance(value, int) and not -INT64 <= value < INT64:
        raise _refused("number_too_large", "Số quá lớn", "A number does not fit 64 bits")
    return value


def _refused(code: str, vi: str, en: str) -> Exception:
    return invalid("body", code, vi, en)
