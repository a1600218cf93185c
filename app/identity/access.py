"""Who calls, and whether they may: the dependency that comes first in every endpoint's signature.

    CanViewCustomers = Annotated[Actor, Depends(Requires("customers.view"))]

It opens the request's transaction in the caller's workspace, so nothing reads the database before the caller is
known. One statement decides, each time: a revoked session or key ends with the next request of any process.
"""

import hmac
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Request
from sqlalchemy import or_, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor, ActorKind
from app.core.clock import now
from app.core.db import driver, tenant_of
from app.core.errors import Unauthenticated
from app.core.masking import answer_to
from app.core.ratelimit import Limit
from app.core.work import Work, current_work
from app.identity import tokens
from app.identity.errors import UserOnly
from app.identity.models import ApiKey
from app.identity.permissions import KEYS, effective

SAMPLE = timedelta(minutes=1)

USER_SQL = """
SELECT u.full_name, r.key, r.permissions AS of_role, u.permissions AS own
FROM crm.login_session s
JOIN crm.app_user u ON u.tenant_id = $1 AND u.id = s.user_id
JOIN crm.role r ON r.tenant_id = $1 AND r.id = u.role_id
WHERE s.tenant_id = $1 AND s.id = $2 AND s.revoked_at IS NULL AND s.expires_at > now()
  AND u.id = $3 AND u.token_version = $4 AND u.active
"""
PERSON_SQL = """
SELECT u.full_name AS name, r.key, r.permissions AS of_role, u.permissions AS own
FROM crm.app_user u JOIN crm.role r ON r.tenant_id = $1 AND r.id = u.role_id
WHERE u.tenant_id = $1 AND u.id = $2 AND u.active
"""
KEY_SQL = """
SELECT k.name, k.secret_hash, k.scopes, k.created_by, r.key, r.permissions AS of_role, u.permissions AS own,
       k.last_used_at IS NULL OR k.last_used_at < now() - interval '1 minute' AS unsampled
FROM crm.api_key k
JOIN crm.app_user u ON u.tenant_id = $1 AND u.id = k.created_by
JOIN crm.role r ON r.tenant_id = $1 AND r.id = u.role_id
WHERE k.tenant_id = $1 AND k.id = $2 AND k.revoked_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > now())
  AND u.active
"""
TEAM_SQL = """
WITH RECURSIVE below AS (
    SELECT mine.team_id AS id FROM crm.team_member mine WHERE mine.tenant_id = $1 AND mine.user_id = $2
    UNION
    SELECT t.id FROM below JOIN crm.team t ON t.tenant_id = $1 AND t.parent_id = below.id
)
SELECT DISTINCT m.user_id FROM below JOIN crm.team_member m ON m.tenant_id = $1 AND m.team_id = below.id
"""

# What the contract says of the two ways to prove who calls; every `Requires` takes either.
SECURITY: dict[str, dict[str, str]] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "Access token of POST /api/v1/auth/login.",
    },
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "Key of POST /api/v1/api-keys."},
}


class Requires:
    """A caller who holds all the named permissions; with none named, anybody who is signed in or has a key."""

    def __init__(self, *permissions: str, people_only: bool = False, reading: bool = False, once: bool = False) -> None:
        """`people_only` keeps API keys out: for what concerns a person's own account. `reading` opens the cheaper
        read-only transaction (`work.reader`) for an endpoint that needs no session. `once` is for what a repetition
        would do again: it asks for an Idempotency-Key.

        Raises:
            ValueError: a permission that does not exist.
        """
        if unknown := set(permissions) - KEYS:
            raise ValueError(f"no such permission: {sorted(unknown)}")
        self.permissions, self.people_only, self.reading, self.once = permissions, people_only, reading, once

    security = SECURITY

    async def __call__(self, request: Request) -> Actor:
        """The caller.

        Raises:
            Unauthenticated: nobody, or nobody any more.
            TooManyRequests: over the caller's or the workspace's rate limit.
            Forbidden: a permission is missing.
            KeyRequired: the request has no Idempotency-Key and needs one.
        """
        work = current_work(request)
        actor = await _authenticate(work, request, self.reading)
        answer_to(actor)
        _count(work, request, actor)
        if self.people_only and actor.kind != "user":
            raise UserOnly()
        for permission in self.permissions:
            actor.require(permission)
        if not self.reading:
            await work.enter(actor, once=self.once)
        return actor


async def actor_now(session: AsyncSession, kind: ActorKind, actor_id: UUID) -> Actor | None:
    """A user or API key of the session's workspace with what they may do now, for work done in their name in the
    background; None once they may do nothing any more (deactivated, revoked, expired)."""
    tenant_id, raw = tenant_of(session), await driver(session)
    if kind == "user":
        row = await raw.fetchrow(PERSON_SQL, tenant_id, actor_id)
    elif kind == "api_key":
        row = await raw.fetchrow(KEY_SQL, tenant_id, actor_id)
    else:
        return None
    if row is None:
        return None
    held = _permissions(row)
    if kind == "user":
        found = Actor(tenant_id=tenant_id, kind=kind, id=actor_id, name=row["name"], permissions=held)
        return await _with_colleagues(raw, found)
    scopes, maker = held.intersection(row["scopes"]), row["created_by"]
    found = Actor(tenant_id=tenant_id, kind=kind, id=actor_id, name=row["name"], permissions=scopes, maker=maker)
    return await _with_colleagues(raw, found)


SignedIn = Annotated[Actor, Depends(Requires())]
SignedInUser = Annotated[Actor, Depends(Requires(people_only=True))]


async def _authenticate(work: Work, request: Request, reading: bool) -> Actor:
    authorization, key = request.headers.get("authorization"), request.headers.get("x-api-key")
    if authorization is not None:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthenticated()
        return await _user(work, tokens.read(work.resources.settings.secret, token.strip()), reading)
    if key is not None:
        return await _program(work, tokens.read_api_key(key), reading)
    raise Unauthenticated()


async def _user(work: Work, claims: tokens.Claims, reading: bool) -> Actor:
    connection = await _open(work, claims.tenant_id, reading)
    row = await connection.fetchrow(USER_SQL, claims.tenant_id, claims.session_id, claims.user_id, claims.token_version)
    if row is None:
        raise Unauthenticated()
    found = Actor(
        tenant_id=claims.tenant_id,
        kind="user",
        id=claims.user_id,
        name=row["full_name"],
        permissions=_permissions(row),
        session_id=claims.session_id,
    )
    return await _with_colleagues(connection, found)


async def _program(work: Work, key: tokens.Opaque, reading: bool) -> Actor:
    connection = await _open(work, key.tenant_id, reading)
    row = await connection.fetchrow(KEY_SQL, key.tenant_id, key.id)
    given = tokens.api_key_hash(work.resources.settings.secret, key)
    if row is None or not hmac.compare_digest(row["secret_hash"], given):
        raise Unauthenticated()
    if row["unsampled"]:
        # In its own transaction: a row lock held by a long request would make the key's other requests wait.
        work.afterwards(lambda: _sample(work, key.tenant_id, key.id))
    found = Actor(
        tenant_id=key.tenant_id,
        kind="api_key",
        id=key.id,
        name=row["name"],
        # A key never outgrows its maker: what they lose, it loses.
        permissions=_permissions(row).intersection(row["scopes"]),
        maker=row["created_by"],
    )
    return await _with_colleagues(connection, found)


async def _open(work: Work, tenant_id: UUID, reading: bool) -> Any:
    return await work.begin_reading(tenant_id) if reading else await driver(await work.begin(tenant_id))


async def _with_colleagues(connection: Any, actor: Actor) -> Actor:
    """The actor with the people of their teams, where these decide what they see."""
    if not actor.may("customers.view_team") or actor.may("customers.view_all"):
        return actor
    rows = await connection.fetch(TEAM_SQL, actor.tenant_id, actor.person)
    return replace(actor, colleagues=frozenset(row["user_id"] for row in rows))


def _permissions(row: Any) -> frozenset[str]:
    return effective(row["key"], row["of_role"], row["own"])


def _count(work: Work, request: Request, actor: Actor) -> None:
    settings = work.resources.settings
    request.scope["state"]["reply_headers"] = work.resources.limits.hit(
        (
            Limit(actor.kind, f"{actor.tenant_id.hex}:{actor.id.hex}", settings.rate_limit_per_minute),
            Limit("workspace", actor.tenant_id.hex, settings.rate_limit_workspace_per_minute),
        )
    )


async def _sample(work: Work, tenant_id: UUID, key_id: UUID) -> None:
    moment = now()
    async with work.db.transaction(tenant_id) as session:
        await session.execute(
            update(ApiKey)
            .where(ApiKey.id == key_id, or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at < moment - SAMPLE))
            .values(last_used_at=moment)
        )
