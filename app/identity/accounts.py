"""What users' rows must satisfy, and the writes that several use cases share."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import configuration
from app.core.clock import new_id, now
from app.core.db import on_conflict, tenant_of
from app.core.errors import NotFound, invalid
from app.core.vietnam.text import fold
from app.identity.errors import UsernameTaken
from app.identity.models import LoginSession, Role, User

ADMIN = "admin"
USERNAME = re.compile(r"[a-z0-9][a-z0-9._@-]{1,63}")


def checked_username(typed: str) -> str:
    """The user name as it is stored.

    Raises:
        Invalid: characters that a user name does not have, or fewer than 2 or more than 64.
    """
    username = typed.strip().lower()
    if not USERNAME.fullmatch(username):
        raise invalid("username", "username_invalid", "Tên đăng nhập chỉ gồm a-z, 0-9, . _ @ -, từ 2 đến 64 ký tự",
                      "2 to 64 of a-z, 0-9 and . _ @ -, beginning with a letter or digit")  # fmt: skip
    return username


@contextmanager
def username_conflict() -> Iterator[None]:
    """Turns a second row with the same user name into its error."""
    with on_conflict({"app_user_username_uq": UsernameTaken}):
        yield


def search_text(username: str, full_name: str, email: str | None, phone: str | None) -> str:
    """What the search box of users looks into."""
    return fold(" ".join(filter(None, (full_name, username, email, phone))))


async def role_by_key(session: AsyncSession, key: str) -> Role:
    """A role of the session's workspace.

    Raises:
        NotFound: no such role.
    """
    role = await session.scalar(select(Role).where(Role.key == key))
    if role is None:
        raise NotFound()
    return role


async def insert_user(
    session: AsyncSession,
    *,
    username: str,
    full_name: str,
    role_id: UUID,
    password_hash: str,
    email: str | None = None,
    phone: str | None = None,
    permissions: list[str] | None = None,
) -> UUID:
    """Writes an active user and returns the id. `username` has been checked."""
    user_id, moment = new_id(), now()
    await session.execute(
        insert(User).values(
            tenant_id=tenant_of(session), id=user_id, username=username, full_name=full_name, email=email, phone=phone,
            search_text=search_text(username, full_name, email, phone), password_hash=password_hash, role_id=role_id,
            permissions=permissions, active=True, token_version=1, last_login_at=None,
            version=1, created_at=moment, updated_at=moment,
        )
    )  # fmt: skip
    # Users are the values of a customer's owner: what caches know of them is old now.
    await configuration.bump(session)
    return user_id


async def store_password(
    session: AsyncSession,
    user_id: UUID,
    password_hash: str,
    *,
    was: str | None = None,
    keep_session: UUID | None = None,
) -> bool:
    """Stores a new hash and ends the user's sessions, all but `keep_session`. False, and nothing is done, when the old
    hash is not `was` any more."""
    stored = await session.scalar(
        update(User)
        .where(User.id == user_id, true() if was is None else User.password_hash == was)
        .values(password_hash=password_hash, version=User.version + 1, updated_at=now())
        .returning(User.id)
    )
    if stored is None:
        return False
    await end_sessions(session, user_id, "password_changed", but=keep_session)
    return True


async def end_sessions(session: AsyncSession, user_id: UUID, reason: str, *, but: UUID | None = None) -> None:
    """Ends the user's sessions: from the next request on, their tokens are nobody's."""
    conditions: list[Any] = [LoginSession.user_id == user_id, LoginSession.revoked_at.is_(None)]
    if but is not None:
        conditions.append(LoginSession.id != but)
    await session.execute(
        update(LoginSession).where(*conditions).values(revoked_at=now(), revoked_reason=reason),
        execution_options={"synchronize_session": False},
    )
