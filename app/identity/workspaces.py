"""Making workspaces, and the operator's commands for users: what runs with the owner's database URL."""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import system_actor
from app.core.clock import VIETNAM, new_id, now, time_zone
from app.core.db import Database, on_conflict
from app.core.errors import NotFound, invalid
from app.core.events import record
from app.core.owner import owner_transaction
from app.identity import accounts, passwords
from app.identity.errors import SlugTaken
from app.identity.models import Role, User, Workspace, WorkspaceSetting
from app.identity.permissions import ROLES, RoleKey, in_order

SLUG = re.compile(r"[a-z0-9-]{2,40}")

Seeder = Callable[[AsyncSession, UUID], Awaitable[None]]


@dataclass(frozen=True)
class UserRow:
    """A line of `chot user list`."""

    username: str
    full_name: str
    role: str
    active: bool
    last_login_at: datetime | None


async def create_workspace(
    db: Database,
    *,
    slug: str,
    name: str,
    admin_password: str,
    admin_hash: str | None = None,
    timezone: str = VIETNAM.key,
    seed_workspace: Sequence[Seeder] = (),
) -> UUID:
    """Makes a workspace with its settings, three roles, the user `admin`, and what other domains seed; returns its id.

    `db` is that of `owner_database`: the application's own role cannot write workspaces. `admin_hash` is the password's
    where it is known already.

    Raises:
        Invalid: a bad short name, time zone or password.
        SlugTaken: the short name belongs to another workspace.
    """
    if not SLUG.fullmatch(slug):
        raise invalid("slug", "slug_invalid", "Mã doanh nghiệp chỉ gồm a-z, 0-9, -, từ 2 đến 40 ký tự",
                      "2 to 40 of a-z, 0-9 and -")  # fmt: skip
    try:
        time_zone(timezone)
    except ValueError:
        raise invalid("timezone", "timezone_invalid", "Không có múi giờ này", "There is no such time zone") from None
    passwords.check_new(admin_password, accounts.ADMIN)
    password_hash = admin_hash or await passwords.hash_password(admin_password)
    tenant_id, moment = new_id(), now()
    with on_conflict({"workspace_slug_uq": SlugTaken}):
        async with owner_transaction(db, tenant_id) as session:
            await session.execute(
                insert(Workspace).values(id=tenant_id, slug=slug, name=name, timezone=timezone, created_at=moment)
            )
            await _fill(session, tenant_id, moment, password_hash)
            for seed in seed_workspace:
                await seed(session, tenant_id)
    return tenant_id


async def find_workspace(db: Database, slug: str) -> UUID | None:
    """The id of the workspace with this short name."""
    async with db.shared() as connection:
        found: UUID | None = await connection.scalar(select(Workspace.id).where(Workspace.slug == slug))
        return found


async def list_workspaces(db: Database) -> list[tuple[UUID, str, str]]:
    """Id, short name and name of every workspace."""
    async with db.shared() as connection:
        rows = await connection.execute(select(Workspace.id, Workspace.slug, Workspace.name).order_by(Workspace.slug))
        return [(row.id, row.slug, row.name) for row in rows]


async def create_user(
    db: Database, slug: str, *, username: str, password: str, full_name: str, role: RoleKey = "sale"
) -> UUID:
    """Makes a user in a workspace, as the operator.

    Raises:
        NotFound: no such workspace.
        Invalid: a bad user name or password.
        UsernameTaken: the user exists.
    """
    tenant_id = await _workspace(db, slug)
    username = accounts.checked_username(username)
    passwords.check_new(password, username)
    password_hash = await passwords.hash_password(password)
    with accounts.username_conflict():
        async with owner_transaction(db, tenant_id) as session:
            user_id = await accounts.insert_user(
                session,
                username=username,
                full_name=full_name,
                role_id=(await accounts.role_by_key(session, role)).id,
                password_hash=password_hash,
            )
            await record(session, system_actor(tenant_id), "user.created", user_id)
            return user_id


async def set_password(db: Database, slug: str, username: str, password: str) -> None:
    """Sets a user's password and ends their sessions, as the operator.

    Raises:
        NotFound: no such workspace or user.
        Invalid: a bad password.
    """
    tenant_id = await _workspace(db, slug)
    username = username.strip().lower()
    passwords.check_new(password, username)
    password_hash = await passwords.hash_password(password)
    async with owner_transaction(db, tenant_id) as session:
        user_id = await session.scalar(select(User.id).where(User.username == username))
        if user_id is None:
            raise NotFound()
        await accounts.store_password(session, user_id, password_hash)
        await record(session, system_actor(tenant_id), "user.password_set", user_id)


async def list_users(db: Database, slug: str) -> list[UserRow]:
    """The users of a workspace.

    Raises:
        NotFound: no such workspace.
    """
    async with owner_transaction(db, await _workspace(db, slug)) as session:
        rows = await session.execute(
            select(User.username, User.full_name, Role.key, User.active, User.last_login_at)
            .join(Role, (Role.tenant_id == User.tenant_id) & (Role.id == User.role_id))
            .order_by(User.username)
        )
        return [UserRow(*row) for row in rows]


async def _workspace(db: Database, slug: str) -> UUID:
    found = await find_workspace(db, slug)
    if found is None:
        raise NotFound()
    return found


async def _fill(session: AsyncSession, tenant_id: UUID, moment: datetime, password_hash: str) -> None:
    born = {"tenant_id": tenant_id, "version": 1, "created_at": moment, "updated_at": moment}
    await session.execute(insert(WorkspaceSetting).values(id=tenant_id, values={}, **born))
    await session.execute(
        insert(Role),
        [
            {"id": new_id(), "key": key, "name": name, "permissions": in_order(permissions), **born}
            for key, (name, permissions) in ROLES.items()
        ],
    )
    admin_id = await accounts.insert_user(
        session,
        username=accounts.ADMIN,
        full_name="Quản trị hệ thống",
        role_id=(await accounts.role_by_key(session, "administrator")).id,
        password_hash=password_hash,
    )
    await record(session, system_actor(tenant_id), "workspace.created", tenant_id, data={"admin_id": str(admin_id)})
