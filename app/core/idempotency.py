"""Idempotency-Key: the same POST sent twice has one effect and one reply.

The key's row, the effect and the stored reply share one transaction. Replies hold personal data and sometimes a
secret shown once, so they are encrypted at rest.
"""

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b, sha256
from typing import Any
from uuid import UUID

import anyio.to_thread
import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from fastapi import Request, Response
from sqlalchemy import LargeBinary, delete, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column
from starlette.datastructures import FormData, UploadFile

from app.core.actor import Actor
from app.core.errors import AppError, invalid
from app.core.orm import TENANT, Base, TenantRow, keys

LIFETIME = timedelta(hours=24)
KEPT_HEADERS = ("content-type", "etag", "location")
MAX_BODY = 1_000_000


class IdempotencyKey(TenantRow, Base):
    """A key that was used, and the reply it got."""

    __tablename__ = "idempotency_key"
    __table_args__ = (*keys("idempotency_key"), {"info": TENANT})

    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int]
    headers: Mapped[dict[str, Any]]
    body: Mapped[bytes] = mapped_column(LargeBinary)
    expires_at: Mapped[datetime]


class KeyRequired(AppError):
    """A repetition would do the work twice: the request needs an Idempotency-Key."""

    status, code = 400, "idempotency_key_required"
    vi, en = "Thiếu Idempotency-Key", "This request needs an Idempotency-Key"


class KeyBusy(AppError):
    """The first request with this key is still running."""

    status, code = 409, "idempotency_in_flight"
    vi, en = "Yêu cầu trùng đang được xử lý", "A request with this Idempotency-Key is still running"


class KeyReused(AppError):
    """The key was used for another request."""

    status, code = 422, "idempotency_key_reused"
    vi, en = (
        "Idempotency-Key đã dùng cho một yêu cầu khác",
        "This Idempotency-Key was used for another request",
    )


@dataclass(frozen=True)
class Key:
    """A key that this request holds until its transaction ends."""

    tenant_id: UUID
    id: UUID
    fingerprint: bytes
    cipher: AESGCM


class Replay(Exception):
    """Ends the request with the reply that its first sending got."""

    def __init__(self, reply: Response) -> None:
        super().__init__()
        self.reply = reply


async def open_key(session: AsyncSession, request: Request, actor: Actor, secret: bytes) -> Key | None:
    """Takes the request's Idempotency-Key, if it has one and is a POST.

    Raises:
        Replay: the key's request is done; carries its reply.
        KeyBusy: it is running in this moment.
        KeyReused: it was another request.
    """
    given = request.headers.get("idempotency-key")
    if given is None or request.method != "POST":
        return None
    if not (1 <= len(given) <= 255 and given.isascii() and given.isprintable()):
        raise invalid(
            "Idempotency-Key",
            "idempotency_key_invalid",
            "Idempotency-Key không hợp lệ",
            "1 to 255 printable characters",
        )
    digest = blake2b(f"{actor.tenant_id}|{actor.id}|{given}".encode(), digest_size=16).digest()
    # The lock dies with the transaction, so a killed process leaves nothing to clean up.
    lock = int.from_bytes(digest[:8], "big", signed=True)
    if not await session.scalar(text("SELECT pg_try_advisory_xact_lock(:lock)"), {"lock": lock}):
        raise KeyBusy(headers={"Retry-After": "1"})
    key = Key(
        actor.tenant_id,
        UUID(bytes=digest),
        await _fingerprint(request),
        AESGCM(sha256(b"replies" + secret).digest()),
    )
    row = await session.scalar(
        select(IdempotencyKey).where(IdempotencyKey.id == key.id, IdempotencyKey.expires_at > func.now())
    )
    if row is None:
        return key
    if row.fingerprint != key.fingerprint:
        raise KeyReused()
    body = key.cipher.decrypt(row.body[:12], row.body[12:], key.id.bytes)
    raise Replay(Response(body, row.status, headers={**row.headers, "Idempotency-Replayed": "true"}))


async def keep(session: AsyncSession, key: Key, reply: Response) -> None:
    """Stores a success under its key. A refusal had no effect, so its repetition may simply run."""
    body = getattr(reply, "body", None)
    if not 200 <= reply.status_code < 300 or body is None or len(body) > MAX_BODY:
        return
    nonce = os.urandom(12)
    await forget(session, key)
    await session.execute(
        insert(IdempotencyKey).values(
            tenant_id=key.tenant_id,
            id=key.id,
            fingerprint=key.fingerprint,
            status=reply.status_code,
            headers={name: reply.headers[name] for name in KEPT_HEADERS if name in reply.headers},
            body=nonce + key.cipher.encrypt(nonce, bytes(body), key.id.bytes),
            expires_at=func.now() + LIFETIME,
        )
    )


async def forget(session: AsyncSession, key: Key) -> None:
    """Deletes what is kept under a key."""
    await session.execute(delete(IdempotencyKey).where(IdempotencyKey.id == key.id))


async def purge(session: AsyncSession, limit: int) -> int:
    """Deletes up to so many of the workspace's expired keys; answers how many."""
    old = select(IdempotencyKey.id).where(IdempotencyKey.expires_at < func.now()).limit(limit)
    gone = await session.scalars(delete(IdempotencyKey).where(IdempotencyKey.id.in_(old)).returning(IdempotencyKey.id))
    return len(gone.all())


async def _fingerprint(request: Request) -> bytes:
    digest = blake2b(f"{request.url.path}?{request.url.query}".encode(), digest_size=32)
    form: FormData | None = getattr(request, "_form", None)
    if form is None:
        digest.update(await request.body())
        return digest.digest()
    for name, value in form.multi_items():
        digest.update(msgspec.json.encode([name, value.filename if isinstance(value, UploadFile) else value]))
        if isinstance(value, UploadFile):
            await anyio.to_thread.run_sync(_add_file, digest, value)
    return digest.digest()


def _add_file(digest: Any, upload: UploadFile) -> None:
    upload.file.seek(0)
    while chunk := upload.file.read(1 << 20):
        digest.update(chunk)
    upload.file.seek(0)
