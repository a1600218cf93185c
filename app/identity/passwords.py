"""Passwords: argon2id in a bounded thread, and the rules for a new one."""

import asyncio
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple, TypeVar

import anyio
import anyio.to_thread
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from app.core.errors import Unavailable, invalid
from app.core.vietnam.text import fold
from app.identity.common_passwords import COMMON

# OWASP's floor, 55 ms here; more would only let fewer people sign in at once.
HASHER = PasswordHash((Argon2Hasher(memory_cost=19_456, time_cost=2, parallelism=1),))
MAX_BYTES = 128
MIN_LENGTH = 10
AT_ONCE = 2
MAX_WAITING = 200
T = TypeVar("T")

_waiting = 0


class Verdict(NamedTuple):
    """Whether the password is right, and its new hash when the old one was made with weaker parameters."""

    right: bool
    new_hash: str | None


async def hash_password(password: str) -> str:
    """The hash to store.

    Raises:
        Unavailable: too many passwords are waiting to be hashed.
    """
    return await _in_thread(_hash, password)


async def verify(password: str, stored: str | None) -> Verdict:
    """Compares a password with a stored hash. Without a hash (no such user) it takes as long, and is wrong.

    Raises:
        Unavailable: too many passwords are waiting to be checked.
    """
    return await _in_thread(_verify, password, stored)


def check_new(password: str, username: str, field: str = "password") -> None:
    """Checks a password that somebody chose.

    Raises:
        Invalid: too short, too long, the user name, or known to everybody.
    """
    if len(password) < MIN_LENGTH:
        raise invalid(field, "password_too_short", f"Mật khẩu phải có ít nhất {MIN_LENGTH} ký tự",
                      f"The password needs at least {MIN_LENGTH} characters")  # fmt: skip
    if too_long(password):
        raise invalid(field, "password_too_long", f"Mật khẩu quá dài (tối đa {MAX_BYTES} byte)",
                      f"The password is longer than {MAX_BYTES} bytes")  # fmt: skip
    plain = fold(password).replace(" ", "")
    stem = plain.strip("0123456789!@#$%^&*().,_-+=?")
    if username in (plain, stem) or plain in COMMON or stem in COMMON or len(set(plain)) < 4:
        raise invalid(field, "password_too_common", "Mật khẩu quá dễ đoán", "The password is too easy to guess")


def too_long(password: str) -> bool:
    """Whether the password is over the limit in bytes, or no text at all; asked before any hashing."""
    try:
        return len(password) > MAX_BYTES or len(password.encode()) > MAX_BYTES
    except UnicodeEncodeError:
        return True


@lru_cache(maxsize=1)
def _nobody() -> str:
    return HASHER.hash("nobody has this password")


def _hash(password: str) -> str:
    return HASHER.hash(password)


def _verify(password: str, stored: str | None) -> Verdict:
    if too_long(password):
        password, stored = "", None
    right, new_hash = HASHER.verify_and_update(password, stored or _nobody())
    return Verdict(right and stored is not None, new_hash if right else None)


async def _in_thread(work: Callable[..., T], *args: object) -> T:
    global _waiting
    if _waiting >= MAX_WAITING:
        raise Unavailable()
    _waiting += 1
    try:
        return await anyio.to_thread.run_sync(work, *args, limiter=_limiter(asyncio.get_running_loop()))
    finally:
        _waiting -= 1


@lru_cache(maxsize=1)
def _limiter(_loop: asyncio.AbstractEventLoop) -> anyio.CapacityLimiter:
    return anyio.CapacityLimiter(AT_ONCE)
