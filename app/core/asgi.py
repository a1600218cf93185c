"""The shell around every request, in pure ASGI: id, language, size limit, access log, metrics, last resort."""

import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_to_bytes

import msgspec
import structlog
from prometheus_client import Counter, Histogram
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.core import events, i18n
from app.core.clock import new_id
from app.core.db import QUERY_CANCELLED, server_away, sqlstate
from app.core.errors import AppError, Invalid, TooLarge, TooSlow, Unavailable, invalid
from app.core.log import access, logger

REQUESTS = Counter("chot_requests_total", "Requests by route and status", ["method", "route", "status"])
SECONDS = Histogram(
    "chot_request_seconds",
    "Time to the last byte",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
SAFE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
MULTIPART_OVERHEAD = 64_000


class Shell:
    """Around the application. Whatever happens inside, the caller gets a problem with a request id."""

    def __init__(self, app: ASGIApp, *, max_body: int, max_upload: int, is_upload: Callable[[Scope], bool]) -> None:
        self.app, self.max_body, self.max_upload, self.is_upload = app, max_body, max_upload, is_upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if SAFE_ID.fullmatch(given) else new_id().hex
        events.request_id.set(request_id)
        i18n.language.set(i18n.choose(headers.get("accept-language")))
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        scope.setdefault("state", {})["request_id"] = request_id
        reply = _Reply(send, request_id, scope["state"])
        started = time.perf_counter()
        try:
            _refuse_bad_text(scope)
            upload = self.is_upload(scope)
            refusal = TooLarge(limit=self.max_upload if upload else self.max_body)
            limit = self.max_upload + MULTIPART_OVERHEAD if upload else self.max_body
            declared = headers.get("content-length", "")
            if declared.isdecimal() and int(declared[:19]) > limit:
                raise refusal
            await self.app(scope, _limited(receive, limit, refusal), reply)
        except Exception as error:  # noqa: BLE001
            await reply.fail(_as_app_error(error), scope)
        finally:
            route = _template(scope)
            seconds = time.perf_counter() - started
            REQUESTS.labels(scope["method"], route, reply.status).inc()
            SECONDS.labels(scope["method"], route).observe(seconds)
            access(
                method=scope["method"],
                route=route,
                status=reply.status,
                ms=round(seconds * 1000, 1),
                request_id=request_id,
                workspace=scope["state"].get("tenant_id"),
            )


def _template(scope: Scope) -> str:
    """The whole path template of the route that served the request, `none` if none did."""
    # An included route knows its path without the prefix; FastAPI keeps the one with it here.
    included = scope.get("fastapi", {}).get("effective_route_context")
    template: str = getattr(included or scope.get("route"), "path", "none")
    return template


class _Reply:
    """The sender, which remembers the status and adds the headers that every reply has."""

    def __init__(self, send: Send, request_id: str, state: dict[str, Any]) -> None:
        self.send, self.request_id, self.state, self.status = send, request_id, state, 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(raw=message["headers"])
            headers["X-Request-ID"] = self.request_id
            headers["X-Content-Type-Options"] = "nosniff"
            headers.setdefault("Cache-Control", "no-store")
            for name, value in self.state.get("reply_headers", {}).items():
                headers.setdefault(name, value)
        await self.send(message)

    async def fail(self, error: AppError, scope: Scope) -> None:
        """Sends the problem, unless the reply has begun: then only the cut connection can tell."""
        if self.status:
            return
        status, headers, body = render(error, self.request_id)
        if scope["method"] == "HEAD":
            body = b""
        await self({"type": "http.response.start", "status": status, "headers": headers})
        await self({"type": "http.response.body", "body": body})


class InternalError(AppError):
    """A fault of ours; the log holds its place under the request id."""

    status, code = 500, "internal_error"
    vi, en = "Có lỗi xảy ra, vui lòng thử lại", "Something went wrong; please try again"


def render(error: AppError, request_id: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body of a problem."""
    body = msgspec.json.encode(error.problem(request_id))
    headers = {
        "content-type": "application/problem+json",
        "content-language": i18n.language.get(),
        "content-length": str(len(body)),
        **error.headers,
    }
    return error.status, [(k.lower().encode(), v.encode("latin-1")) for k, v in headers.items()], body


def _as_app_error(error: Exception) -> AppError:
    if isinstance(error, AppError):
        return error
    if server_away(error):
        logger.warning("database_away", exc_info=error)
        return Unavailable()
    if sqlstate(error) == QUERY_CANCELLED:
        logger.warning("query_too_slow", exc_info=error)
        return TooSlow()
    logger.error("unhandled", exc_info=error)
    return InternalError()


def _refuse_bad_text(scope: Scope) -> None:
    """PostgreSQL text holds no NUL, and UTF-8 no lone surrogate: such a path or query can match nothing."""
    query: bytes = scope["query_string"]
    if b"%00" in query or "\x00" in scope["path"] or b"\x00" in query:
        raise _bad_text("query")
    try:
        scope["path"].encode()
        _decoded(query)
    except UnicodeError:
        raise _bad_text("query") from None


def _decoded(query: bytes) -> None:
    if b"%" in query:
        unquote_to_bytes(query).decode()
    else:
        query.decode("ascii")


def _bad_text(field: str) -> Invalid:
    return invalid(
        field, "text_invalid", "Chuỗi chứa ký tự không hợp lệ", "The text holds characters that are not valid"
    )


def _limited(receive: Receive, limit: int, refusal: TooLarge) -> Receive:
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message: dict[str, Any] = dict(await receive())
        seen += len(message.get("body", b""))
        if seen > limit:
            # FastAPI lets only this exception pass through its reading of the body.
            raise HTTPException(refusal.status) from refusal
        return message

    return counted
