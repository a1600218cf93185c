"""Signing in and out, and the refresh tokens between."""

import hmac
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor, system_actor
from app.core.clock import NIL, new_id, now
from app.core.db import Database
from app.core.errors import Unauthenticated
from app.core.events import record
from app.core.settings import Settings
from app.identity import passwords, throttle, tokens
from app.identity.accounts import end_sessions
from app.identity.errors import InvalidCredentials
from app.identity.models import LoginSession, RefreshToken, User

MAX_AGENT = 200


@dataclass(frozen=True, slots=True)
class Grant:
    """What a successful sign-in or refresh hands out. `expires_in` is in seconds."""

    access_token: str
    refresh_token: str
    expires_in: int


@dataclass(frozen=True, slots=True)
class _Account:
    """The user that a sign-in names, as far as it is needed."""

    id: UUID
    full_name: str
    password_hash: str


async def sign_in(
    db: Database, settings: Settings, *, workspace: str, username: str, password: str, ip: str, user_agent: str
) -> Grant:
    """Checks a password and opens a session.

    No connection is held while the password is hashed. An unknown workspace or user, a wrong password and an
    inactive user are told apart neither by the reply nor by its time.

    Raises:
        InvalidCredentials: whatever was wrong.
        LoginThrottled: too many failures before.
    """
    workspace, username = workspace.strip().lower(), username.strip().lower()
    tried = throttle.attempt(workspace, username, ip)
    async with throttle.turn(tried.account):
        opening = await throttle.open_attempt(db, tried, workspace)
        tenant_id = opening.tenant_id or NIL
        account = await _find(db, tenant_id, username)
        verdict = await passwords.verify(password, account.password_hash if account else None)
        if account is None or not verdict.right:
            await throttle.fail(db, tried, opening.moment)
            raise InvalidCredentials()
        await throttle.succeed(db, tried)
    async with db.transaction(tenant_id) as session:
        moment = now()
        version = await session.scalar(
            update(User)
            .where(User.id == account.id, User.active, User.password_hash == account.password_hash)
            .values(last_login_at=moment, password_hash=verdict.new_hash or account.password_hash)
            .returning(User.token_version)
        )
        if version is None:
            raise InvalidCredentials()
        actor = Actor(tenant_id=tenant_id, kind="user", id=account.id, name=account.full_name)
        return await open_session(session, settings, actor, version, user_agent)


async def open_session(
    session: AsyncSession, settings: Settings, actor: Actor, token_version: int, user_agent: str
) -> Grant:
    """Opens a session for a user who has proven who they are."""
    session_id, moment = new_id(), now()
    expires_at = moment + timedelta(seconds=settings.refresh_token_lifetime)
    await session.execute(
        insert(LoginSession).values(
            tenant_id=actor.tenant_id, id=session_id, user_id=actor.id, created_at=moment, last_used_at=moment,
            expires_at=expires_at, revoked_at=None, revoked_reason=None, user_agent=user_agent[:MAX_AGENT],
        )
    )  # fmt: skip
    await record(session, actor, "user.signed_in", actor.id, data={"session_id": str(session_id)})
    return await _grant(session, settings, actor.tenant_id, actor.id, session_id, token_version, expires_at)


async def refresh(db: Database, settings: Settings, refresh_token: str) -> Grant:
    """Trades a refresh token for a new pair. Each works once: a second use means that somebody has a copy, and ends
    the session, in a transaction that commits although the reply is a refusal.

    Raises:
        Unauthenticated: not ours, used, expired, or of a session or user that has ended.
    """
    token = tokens.read_refresh_token(refresh_token)
    async with db.transaction(token.tenant_id) as session:
        grant = await _rotate(session, settings, token)
    if grant is None:
        raise Unauthenticated()
    return grant


async def sign_out(session: AsyncSession, actor: Actor) -> None:
    """Ends the caller's session."""
    await session.execute(
        update(LoginSession)
        .where(LoginSession.id == actor.session_id, LoginSession.revoked_at.is_(None))
        .values(revoked_at=now(), revoked_reason="signed_out")
    )
    await record(session, actor, "user.signed_out", actor.id, data={"session_id": str(actor.session_id)})


async def sign_out_everywhere(session: AsyncSession, actor: Actor) -> None:
    """Ends all sessions of the caller, and every access token with them."""
    await session.execute(
        update(User).where(User.id == actor.id).values(token_version=User.token_version + 1, updated_at=now())
    )
    await end_sessions(session, actor.id, "signed_out_everywhere")
    await record(session, actor, "user.signed_out_everywhere", actor.id)


async def purge(session: AsyncSession, limit: int) -> int:
    """Deletes up to so many of the workspace's sessions that have expired, with their refresh tokens; answers how many.

    One that was ended before its time stays until then: what its tokens do not open, they still tell of.
    """
    old = select(LoginSession.id).where(LoginSession.expires_at < func.now()).limit(limit)
    gone = await session.scalars(delete(LoginSession).where(LoginSession.id.in_(old)).returning(LoginSession.id))
    return len(gone.all())


async def _find(db: Database, tenant_id: UUID, username: str) -> _Account | None:
    async with db.transaction(tenant_id) as session:
        row = (
            await session.execute(
                select(User.id, User.full_name, User.password_hash).where(User.username == username, User.active)
            )
        ).one_or_none()
    return None if row is None else _Account(*row)


async def _rotate(session: AsyncSession, settings: Settings, token: tokens.Opaque) -> Grant | None:
    moment, digest = now(), tokens.refresh_hash(token)
    session_id = await session.scalar(
        update(RefreshToken)
        .where(
            RefreshToken.id == token.id,
            RefreshToken.token_hash == digest,
            RefreshToken.used_at.is_(None),
            RefreshToken.expires_at > func.now(),
        )
        .values(used_at=moment)
        .returning(RefreshToken.session_id)
    )
    if session_id is None:
        await _end_if_stolen(session, token, digest)
        return None
    family = (
        await session.execute(
            update(LoginSession)
            .where(
                LoginSession.id == session_id,
                LoginSession.revoked_at.is_(None),
                LoginSession.expires_at > func.now(),
            )
            .values(last_used_at=moment)
            .returning(LoginSession.user_id, LoginSession.expires_at)
        )
    ).one_or_none()
    if family is None:
        return None
    version = await session.scalar(select(User.token_version).where(User.id == family.user_id, User.active))
    if version is None:
        return None
    return await _grant(
        session, settings, token.tenant_id, family.user_id, session_id, version, family.expires_at
    )  # fmt: skip


async def _end_if_stolen(session: AsyncSession, token: tokens.Opaque, digest: bytes) -> None:
    row = (
        await session.execute(
            select(RefreshToken.session_id, RefreshToken.token_hash).where(
                RefreshToken.id == token.id, RefreshToken.used_at.is_not(None)
            )
        )
    ).one_or_none()
    if row is None or not hmac.compare_digest(row.token_hash, digest):
        return
    user_id = await session.scalar(
        update(LoginSession)
        .where(LoginSession.id == row.session_id, LoginSession.revoked_at.is_(None))
        .values(revoked_at=now(), revoked_reason="refresh_token_reused")
        .returning(LoginSession.user_id)
    )
    if user_id is not None:
        system, data = system_actor(token.tenant_id), {"session_id": str(row.session_id)}
        await record(session, system, "user.refresh_token_reused", user_id, data=data)


async def _grant(
    session: AsyncSession,
    settings: Settings,
    tenant_id: UUID,
    user_id: UUID,
    session_id: UUID,
    token_version: int,
    session_ends: datetime,
) -> Grant:
    token, moment = tokens.new_opaque(tenant_id), now()
    await session.execute(
        insert(RefreshToken).values(
            tenant_id=tenant_id, id=token.id, session_id=session_id, token_hash=tokens.refresh_hash(token),
            created_at=moment, used_at=None, expires_at=session_ends,
        )
    )  # fmt: skip
    lifetime = max(1, min(settings.access_token_lifetime, int((session_ends - moment).total_seconds())))
    claims = tokens.Claims(tenant_id, user_id, session_id, token_version, int(time.time()) + lifetime)
    return Grant(tokens.issue(settings.secret, claims), token.refresh_token, lifetime)
