"""Access tokens: only ours, only fresh; everything else is nobody."""

import asyncio
import base64
import hmac
import json
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from jose import jwt

from app.core.errors import Unauthenticated
from app.identity import tokens
from tests.factories.people import Person, Workspace, open_client

SECRET = b"the test suite's secret, which is longer than 32 bytes"
KEY = sha256(b"access tokens" + SECRET).hexdigest()  # SECRET is that of tests/conftest.py

# Text in the form of a public key, as HMAC key: the classic confusion of algorithms.
PUBLIC_PEM = (
    "-----BEGIN PUBLIC KEY-----\nMFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAK6PlMTKwM6AVSPoaAJ3tTY5r4v1Xc7l\n"
    "pZ0C1yQX8mH6Qk1gHh0yO3s2mC3w5m8vJ0kq1pYVb7c2Vd0b4n8mP9sCAwEAAQ==\n-----END PUBLIC KEY-----\n"
)


def part(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


class Forge:
    """Tokens that differ from a genuine one of `person` in one point."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(person.token.split(".")[1] + "=="))

    def signed(self, key: str = KEY, algorithm: str = "HS256", headers: Any = None, **changes: Any) -> str:
        """A token with a valid signature and other claims; `...` takes a claim away."""
        claims = {name: value for name, value in (self.claims | changes).items() if value is not ...}
        return str(jwt.encode(claims, key, algorithm=algorithm, headers=headers))

    def raw(self, header: dict[str, Any], signature: str = "") -> str:
        """A token put together by hand."""
        return f"{part(header)}.{part(self.claims)}.{signature}"


def resign(body: str, key: str = KEY) -> str:
    return f"{body}.{part(hmac.digest(key.encode(), body.encode(), 'sha256'))}"


HOUR = 3600
FORGERIES: dict[str, Callable[[Forge], str]] = {
    "no algorithm": lambda f: f.raw({"alg": "none", "typ": "JWT"}),
    "no algorithm, capitals": lambda f: f.raw({"alg": "NONE", "typ": "JWT"}),
    "no algorithm, signature kept": lambda f: f.raw({"alg": "none", "typ": "JWT"}, f.person.token.split(".")[2]),
    "algorithm missing": lambda f: f.raw({"typ": "JWT"}, f.person.token.split(".")[2]),
    "algorithm null": lambda f: f.raw({"alg": None, "typ": "JWT"}, f.person.token.split(".")[2]),
    "algorithm a list": lambda f: f.raw({"alg": ["HS256"], "typ": "JWT"}, f.person.token.split(".")[2]),
    "empty key": lambda f: resign(f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(f.claims)}", ""),
    "another key": lambda f: f.signed(key="x" * 64),
    "the secret itself as key": lambda f: f.signed(key=SECRET.decode()),
    "HS384 with our key": lambda f: f.signed(algorithm="HS384"),
    "HS512 with our key": lambda f: f.signed(algorithm="HS512"),
    "header says RS256": lambda f: resign(f"{part({'alg': 'RS256', 'typ': 'JWT'})}.{part(f.claims)}"),
    "public key as HMAC key": lambda f: resign(f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(f.claims)}", PUBLIC_PEM),
    "key id header": lambda f: f.signed(headers={"kid": "../../dev/null"}),
    "key in the header": lambda f: f.signed(headers={"jwk": {"kty": "oct", "k": "AAAA"}}),
    "key address in the header": lambda f: f.signed(headers={"jku": "http://127.0.0.1/keys"}),
    "critical header": lambda f: f.signed(headers={"crit": ["b64"], "b64": False}),
    "exp missing": lambda f: f.signed(exp=...),
    "aud missing": lambda f: f.signed(aud=...),
    "iss missing": lambda f: f.signed(iss=...),
    "sub missing": lambda f: f.signed(sub=...),
    "iat missing": lambda f: f.signed(iat=...),
    "jti missing": lambda f: f.signed(jti=...),
    "typ missing": lambda f: f.signed(typ=...),
    "tenant missing": lambda f: f.signed(tid=...),
    "session missing": lambda f: f.signed(sid=...),
    "version missing": lambda f: f.signed(ver=...),
    "expired": lambda f: f.signed(exp=int(time.time()) - 1),
    "expired long ago": lambda f: f.signed(exp=1),
    "exp a string": lambda f: f.signed(exp=str(int(time.time()) + HOUR)),
    "exp a float": lambda f: f.signed(exp=time.time() + HOUR),
    "exp true": lambda f: f.signed(exp=True),
    "exp beyond all time": lambda f: f.signed(exp="9" * 400),
    "from the future": lambda f: f.signed(iat=int(time.time()) + HOUR),
    "not yet valid": lambda f: f.signed(nbf=int(time.time()) + HOUR),
    "another audience": lambda f: f.signed(aud="chot-web"),
    "a list of audiences": lambda f: f.signed(aud=["chot-api", "other"]),
    "another issuer": lambda f: f.signed(iss="elsewhere"),
    "another kind": lambda f: f.signed(typ="refresh"),
    "another version": lambda f: f.signed(ver=99),
    "version a string": lambda f: f.signed(ver="1"),
    "another user": lambda f: f.signed(sub=uuid4().hex),
    "another session": lambda f: f.signed(sid=uuid4().hex),
    "another workspace": lambda f: f.signed(tid=uuid4().hex),
    "the nil workspace": lambda f: f.signed(tid=UUID(int=0).hex),
    "user not an id": lambda f: f.signed(sub="' OR 1=1 --"),
    "workspace a number": lambda f: f.signed(tid=1),
    "refresh token as access token": lambda f: f.person.refresh_token,
    "signature cut": lambda f: f.person.token[:-4],
    "signature gone": lambda f: f.person.token.rsplit(".", 1)[0] + ".",
    "payload changed": lambda f: swap_payload(f),
    "two parts": lambda f: f.person.token.rsplit(".", 1)[0],
    "four parts": lambda f: f.person.token + ".x",
    "five parts, as if encrypted": lambda f: ".".join([part({"alg": "dir", "enc": "A256GCM"}), "", "a", "b", "c"]),
    "payload no object": lambda f: resign(f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part([1, 2])}"),
    "payload no JSON": lambda f: resign(f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(b'{')}"),
    "payload not UTF-8": lambda f: resign(f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(bytes([0xFF, 0xFE]))}"),
    "payload deep": lambda f: resign(f"{part({'alg': 'HS256', 'typ': 'JWT'})}.{part(b'[' * 1500)}"),
    "oversized": lambda f: f.signed(more="x" * 5000),
    "not ASCII": lambda _: "một.hai.ba",
    "empty": lambda _: "",
    "dots": lambda _: "..",
}


def swap_payload(forge: Forge) -> str:
    header, _, signature = forge.person.token.split(".")
    return f"{header}.{part(forge.claims | {'ver': 2})}.{signature}"


@pytest.mark.promise(22)
async def test_forged_tokens_are_nobody(client: httpx.AsyncClient, workspace: Workspace) -> None:
    assert len(FORGERIES) >= 40
    forge = Forge(workspace.administrator)
    genuine = forge.signed()
    assert (await client.get("/api/v1/me", headers=auth(genuine))).status_code == 200, "the forge itself works"
    for name, make in FORGERIES.items():
        reply = await client.get("/api/v1/me", headers=auth(make(forge)))
        assert reply.status_code == 401, name
        assert reply.json()["code"] == "unauthenticated", name
        assert reply.headers["www-authenticate"] == "Bearer", name
    assert (await client.get("/api/v1/me", headers=auth(genuine))).status_code == 200


@pytest.mark.promise(22)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic YWRtaW46YWRtaW4="},
        {"Authorization": "bearer bearer x"},
        {"X-API-Key": ""},
        {"X-API-Key": "chot_"},
        {"X-API-Key": f"chot_{uuid4().hex}_{uuid4().hex}_{'A' * 43}"},
        {"X-API-Key": f"chot_{UUID(int=0).hex}_{uuid4().hex}_{'A' * 43}\n"},
    ],
)
async def test_callers_who_prove_nothing_are_nobody(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    reply = await client.get("/api/v1/me", headers=raw)
    assert reply.status_code == 401
    assert reply.json()["code"] == "unauthenticated"


async def test_a_token_is_read_again_when_it_has_expired(app: FastAPI, workspace: Workspace) -> None:
    """A signature that was verified once is remembered; its expiry is not."""
    forge = Forge(workspace.administrator)
    expires = int(time.time()) + 3
    token = forge.signed(exp=expires)
    async with open_client(app, {"Authorization": f"Bearer {token}"}) as client:
        assert (await client.get("/api/v1/me")).status_code == 200
        await asyncio.sleep(max(expires - time.time(), 0) + 0.01)
        assert (await client.get("/api/v1/me")).status_code == 401


CLAIMS = st.builds(
    tokens.Claims,
    tenant_id=st.uuids(),
    user_id=st.uuids(),
    session_id=st.uuids(),
    token_version=st.integers(0, 2**40),
    expires=st.integers(2**32, 2**33),
)


@given(CLAIMS, st.binary(min_size=32, max_size=64))
@settings(max_examples=50, deadline=None)
def test_what_is_issued_is_read_back(claims: tokens.Claims, secret: bytes) -> None:
    token = tokens.issue(secret, claims)
    assert tokens.read(secret, token) == claims
    with pytest.raises(Unauthenticated):
        tokens.read(secret + b"x", token)


@given(CLAIMS, st.data())
@settings(max_examples=50, deadline=None)
def test_any_changed_character_spoils_a_token(claims: tokens.Claims, data: st.DataObject) -> None:
    token = tokens.issue(SECRET, claims)
    at = data.draw(st.integers(0, len(token) - 2))  # the last character may hold unused bits
    other = data.draw(st.sampled_from("ABCxyz019-_.").filter(lambda letter: letter != token[at]))
    with pytest.raises(Unauthenticated):
        tokens.read(SECRET, token[:at] + other + token[at + 1 :])


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_no_text_makes_the_readers_fail_otherwise(text: str) -> None:
    for reader in (lambda t: tokens.read(SECRET, t), tokens.read_refresh_token, tokens.read_api_key):
        with pytest.raises(Unauthenticated):
            reader(text)


@given(st.uuids())
def test_opaque_tokens_are_read_back(tenant_id: UUID) -> None:
    made = tokens.new_opaque(tenant_id)
    assert tokens.read_api_key(made.api_key) == made
    assert tokens.read_refresh_token(made.refresh_token) == made
    assert tokens.api_key_hash(SECRET, made) != tokens.api_key_hash(SECRET + b"x", made)


def auth(token: str) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", b"Bearer " + token.encode())]
