"""Access tokens (JWT), refresh tokens and API keys: how each is written, read and hashed. The only user of python-jose.

python-jose alone accepts an empty key, a missing `exp`, and a missing `aud` although one is asked for; so the
algorithm and the key are pinned here and every claim is checked again.
"""

import hmac
import re
import secrets
import time
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any
from uuid import UUID

from jose import jwt

from app.core.clock import new_id
from app.core.errors import Unauthenticated

ISSUER, AUDIENCE, KIND = "chot", "chot-api", "access"
ALGORITHM = "HS256"
MAX_TOKEN = 4096
LEEWAY = 5
REQUIRED = ("exp", "iat", "sub", "aud", "iss", "jti")
RANDOM = r"[A-Za-z0-9_-]{43}"
API_KEY = re.compile(rf"chot_([0-9a-f]{{32}})_([0-9a-f]{{32}})_({RANDOM})")
REFRESH = re.compile(rf"([0-9a-f]{{32}})\.([0-9a-f]{{32}})\.({RANDOM})")


@dataclass(frozen=True, slots=True)
class Claims:
    """What a genuine access token says. `expires` is in seconds since 1970."""

    tenant_id: UUID
    user_id: UUID
    session_id: UUID
    token_version: int
    expires: int


@dataclass(frozen=True, slots=True)
class Opaque:
    """A refresh token or an API key: whose it is, and the secret that proves it."""

    tenant_id: UUID
    id: UUID
    secret: str

    @property
    def refresh_token(self) -> str:
        """As the caller of /auth/refresh sends it."""
        return f"{self.tenant_id.hex}.{self.id.hex}.{self.secret}"

    @property
    def api_key(self) -> str:
        """As X-API-Key carries it."""
        return f"chot_{self.tenant_id.hex}_{self.id.hex}_{self.secret}"


def new_opaque(tenant_id: UUID) -> Opaque:
    """A token with a new id and 256 random bits."""
    return Opaque(tenant_id, new_id(), secrets.token_urlsafe(32))


def issue(secret: bytes, claims: Claims) -> str:
    """A signed access token."""
    return str(
        jwt.encode(
            {
                "iss": ISSUER,
                "aud": AUDIENCE,
                "typ": KIND,
                "sub": claims.user_id.hex,
                "tid": claims.tenant_id.hex,
                "sid": claims.session_id.hex,
                "ver": claims.token_version,
                "jti": new_id().hex,
                "iat": int(time.time()),
                "exp": claims.expires,
            },
            _key(secret),
            algorithm=ALGORITHM,
        )
    )


def read(secret: bytes, token: str) -> Claims:
    """The claims of an access token of ours that has not expired.

    Raises:
        Unauthenticated: anything else.
    """
    if len(token) > MAX_TOKEN or not token.isascii():
        raise Unauthenticated()
    try:
        claims = _verified(secret, token)
    except Exception:  # noqa: BLE001 -- whatever a hostile token makes the library raise, it is not ours
        raise Unauthenticated() from None
    if claims.expires <= time.time():
        raise Unauthenticated()
    return claims


def read_refresh_token(token: str) -> Opaque:
    """The parts of a refresh token.

    Raises:
        Unauthenticated: it does not have the form of one.
    """
    return _opaque(REFRESH, token)


def read_api_key(token: str) -> Opaque:
    """The parts of an API key.

    Raises:
        Unauthenticated: it does not have the form of one.
    """
    return _opaque(API_KEY, token)


def refresh_hash(token: Opaque) -> bytes:
    """What is stored of a refresh token. Its secret has 256 random bits, so a plain hash cannot be guessed back."""
    return sha256(token.refresh_token.encode()).digest()


def api_key_hash(secret: bytes, key: Opaque) -> bytes:
    """What is stored of an API key; a copy of the database alone cannot test guesses."""
    return hmac.digest(sha256(b"api keys" + secret).digest(), key.api_key.encode(), "sha256")


@lru_cache(maxsize=4096)
def _verified(secret: bytes, token: str) -> Claims:
    """A signature stays true, so it is checked once; the library takes a third of a millisecond."""
    if jwt.get_unverified_header(token) != {"alg": ALGORITHM, "typ": "JWT"}:
        raise ValueError("header")
    claims: dict[str, Any] = jwt.decode(
        token,
        _key(secret),
        algorithms=[ALGORITHM],
        audience=AUDIENCE,
        issuer=ISSUER,
        options={"leeway": LEEWAY, **{f"require_{name}": True for name in REQUIRED}},
    )
    if (claims["iss"], claims["aud"], claims["typ"]) != (ISSUER, AUDIENCE, KIND):
        raise ValueError("iss, aud or typ")
    numbers = (claims["exp"], claims["iat"], claims["ver"])
    if any(type(number) is not int for number in numbers) or not isinstance(claims["jti"], str):
        raise ValueError("claim of a wrong type")
    if claims["iat"] > time.time() + LEEWAY:
        raise ValueError("from the future")
    return Claims(
        tenant_id=UUID(claims["tid"]),
        user_id=UUID(claims["sub"]),
        session_id=UUID(claims["sid"]),
        token_version=claims["ver"],
        expires=claims["exp"],
    )


@lru_cache(maxsize=8)
def _key(secret: bytes) -> str:
    return sha256(b"access tokens" + secret).hexdigest()


def _opaque(form: re.Pattern[str], token: str) -> Opaque:
    match = form.fullmatch(token)
    if match is None:
        raise Unauthenticated()
    return Opaque(UUID(hex=match[1]), UUID(hex=match[2]), match[3])
