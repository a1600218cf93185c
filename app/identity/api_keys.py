"""Keys of programs (Thiết lập API): made, listed, revoked."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.clock import now
from app.core.db import tenant_of
from app.core.errors import NotFound, Stale, invalid
from app.core.events import record
from app.core.paging import Pager
from app.identity import tokens
from app.identity.errors import KeyRevoked
from app.identity.models import ApiKey
from app.identity.permissions import GRANTABLE
from app.identity.schemas import ApiKeyIn, ApiKeyOut, ApiKeyPage, NewApiKeyOut
from app.identity.users import check_grant

COLUMNS = (
    ApiKey.id, ApiKey.name, ApiKey.scopes, ApiKey.created_by, ApiKey.expires_at, ApiKey.revoked_at,
    ApiKey.last_used_at, ApiKey.version, ApiKey.created_at, ApiKey.updated_at,
)  # fmt: skip


async def list_keys(session: AsyncSession, secret: bytes, *, limit: int, cursor: str | None, count: str) -> ApiKeyPage:
    """A page of keys, the newest first, revoked ones included."""
    pager = Pager(secret, tenant_of(session), "api_keys")
    position = pager.position(cursor)
    page = select(*COLUMNS).order_by(ApiKey.id.desc()).limit(limit + 1)
    if position is not None:
        page = page.where(ApiKey.id < UUID(position[0]))
    rows = (await session.execute(page)).all()
    items = [_out(row) for row in rows[:limit]]
    total = None if count == "none" else await session.scalar(select(func.count(ApiKey.id)))
    return ApiKeyPage(
        items=items, next_cursor=pager.cursor([items[-1].id.hex]) if len(rows) > limit else None, count=total
    )


async def get_key(session: AsyncSession, key_id: UUID) -> ApiKeyOut:
    """A key of the session's workspace.

    Raises:
        NotFound: no such key here.
    """
    row = (await session.execute(select(*COLUMNS).where(ApiKey.id == key_id))).one_or_none()
    if row is None:
        raise NotFound()
    return _out(row)


async def create_key(session: AsyncSession, actor: Actor, secret: bytes, body: ApiKeyIn) -> NewApiKeyOut:
    """Makes a key. Its secret is in the answer and nowhere else.

    Raises:
        Invalid: a scope that no key may have, or an expiry in the past.
        NotGrantable: a scope that the actor does not have.
    """
    scopes = frozenset(body.scopes)
    if not scopes <= GRANTABLE:
        raise invalid(
            "scopes", "scope_not_grantable", "API key không thể có quyền này", "No key may have this permission"
        )
    check_grant(actor, scopes)
    moment = now()
    if body.expires_at is not None and body.expires_at <= moment:
        raise invalid("expires_at", "expires_in_past", "Thời hạn đã qua", "The expiry is in the past")
    key = tokens.new_opaque(actor.tenant_id)
    await session.execute(
        insert(ApiKey).values(
            tenant_id=actor.tenant_id, id=key.id, name=body.name, secret_hash=tokens.api_key_hash(secret, key),
            scopes=body.scopes, created_by=actor.id, expires_at=body.expires_at, revoked_at=None, last_used_at=None,
            version=1, created_at=moment, updated_at=moment,
        )
    )  # fmt: skip
    changes = body.model_dump(mode="json")
    await record(
        session, actor, "api_key.created", key.id, changes={name: (None, value) for name, value in changes.items()}
    )
    made = await get_key(session, key.id)
    return NewApiKeyOut(**made.model_dump(), key=key.api_key)


async def revoke_key(session: AsyncSession, actor: Actor, key_id: UUID, version: int) -> None:
    """Ends a key for good: its next request is refused by every process.

    Raises:
        NotFound, Stale: no such key, or another version.
        KeyRevoked: it has been revoked before.
    """
    moment = now()
    revoked = await session.scalar(
        update(ApiKey)
        .where(ApiKey.id == key_id, ApiKey.version == version, ApiKey.revoked_at.is_(None))
        .values(revoked_at=moment, version=version + 1, updated_at=moment)
        .returning(ApiKey.id)
    )
    if revoked is None:
        found = await get_key(session, key_id)
        raise Stale() if found.version != version else KeyRevoked()
    await record(session, actor, "api_key.revoked", key_id)


def _out(row: Row[*tuple[Any, ...]]) -> ApiKeyOut:
    return ApiKeyOut.model_validate({**row._mapping})
