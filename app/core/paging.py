"""Keyset pages: a signed, opaque cursor holds where the last page ended; no OFFSET anywhere."""

import base64
import hmac
from collections.abc import Sequence
from hashlib import blake2b, sha256
from typing import Annotated, Any, Literal

import msgspec
from fastapi import Query

from app.core.errors import AppError

MAX_LIMIT = 200

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Rows of a page.")]
Cursor = Annotated[
    str | None,
    Query(max_length=4000, description="`next_cursor` of the page before; opaque, with the same query."),
]
Count = Annotated[
    Literal["none", "capped", "exact", "estimate"],
    Query(description="`capped` stops at 10,001; `estimate` is the planner's; `exact` counts every row."),
]


class BadCursor(AppError):
    """The cursor is not one of ours, or belongs to another query."""

    status, code = 422, "cursor_invalid"
    vi = "Trang tiếp theo không hợp lệ, vui lòng tải lại danh sách từ đầu"
    en = "The cursor is not valid for this query; start from the first page"


class Pager:
    """Makes and checks the cursors of one query. The query's own words are signed with the position."""

    def __init__(self, secret: bytes, *query: object) -> None:
        scope = blake2b(msgspec.json.encode(query, enc_hook=str), digest_size=12).digest()
        self._key = sha256(b"cursor" + secret + scope).digest()

    def cursor(self, position: Sequence[Any]) -> str:
        """The cursor for the rows after `position` (JSON values: the sort keys, then the id)."""
        body = msgspec.json.encode(list(position))
        return base64.urlsafe_b64encode(self._sign(body) + body).decode().rstrip("=")

    def position(self, cursor: str | None) -> list[Any] | None:
        """The position in a cursor, None for the first page.

        Raises:
            BadCursor: forged, damaged, or from another query.
        """
        if cursor is None:
            return None
        try:
            raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            if not hmac.compare_digest(raw[:12], self._sign(raw[12:])):
                raise BadCursor()
            return msgspec.json.decode(raw[12:], type=list[Any])
        except (ValueError, msgspec.MsgspecError):
            raise BadCursor() from None

    def _sign(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")[:12]
