"""Users of a workspace: list, add, change (Quản lý sale)."""

from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import configuration
from app.core.actor import Actor
from app.core.clock import now
from app.core.db import tenant_of
from app.core.errors import NotFound, Stale, invalid
from app.core.events import record
from app.core.paging import Pager
from app.core.vietnam.text import fold
from app.core.work import Work
from app.identity import accounts, passwords
from app.identity.errors import LastAdministrator, NotGrantable
from app.identity.models import Role, User
from app.identity.permissions import effective, in_order
from app.identity.schemas import UserIn, UserOut, UserPage

PLAIN = ("full_name", "email", "phone", "permissions", "active")
COLUMNS = (
    User.id, User.username, User.full_name, User.email, User.phone, Role.key.label("role"), User.role_id,
    Role.permissions.label("of_role"), User.permissions.label("own_permissions"), User.active, User.last_login_at,
    User.version, User.created_at, User.updated_at,
)  # fmt: skip


async def list_users(
    session: AsyncSession,
    secret: bytes,
    *,
    q: str | None,
    active: bool | None,
    role: str | None,
    limit: int,
    cursor: str | None,
    count: str,
) -> UserPage:
    """A page of users in the order of their names. `q` is looked for in names, e-mail and phone, accents aside."""
    pager = Pager(secret, tenant_of(session), "users", q, active, role)
    found = _matching(q, active, role)
    position = pager.position(cursor)
    page = found if position is None else found.where(User.username > position[0])
    rows = (await session.execute(page.order_by(User.username).limit(limit + 1))).all()
    items = [_out(row) for row in rows[:limit]]
    total = None if count == "none" else await session.scalar(select(func.count()).select_from(found.subquery()))
    return UserPage(
        items=items,
        next_cursor=pager.cursor([items[-1].username]) if len(rows) > limit else None,
        count=total,
    )


async def get_user(session: AsyncSession, user_id: UUID) -> UserOut:
    """A user of the session's workspace.

    Raises:
        NotFound: no such user here.
    """
    row = (await session.execute(_matching(None, None, None).where(User.id == user_id))).one_or_none()
    if row is None:
        raise NotFound()
    return _out(row)


async def create_user(work: Work, actor: Actor, body: UserIn) -> UserOut:
    """Adds an account. No connection is held while the password is hashed.

    Raises:
        Forbidden: only who manages roles may add others than sales.
        NotGrantable: the account would be allowed what the actor is not.
        UsernameTaken: the user name is in use.
        Invalid: a bad user name or password.
    """
    _may_make(actor, await accounts.role_by_key(work.session, body.role), body.permissions)
    username, password = accounts.checked_username(body.username), body.password.get_secret_value()
    passwords.check_new(password, username)
    password_hash = await _hash_aside(work, password)
    session = work.session
    role = await accounts.role_by_key(session, body.role)
    _may_make(actor, role, body.permissions)
    with accounts.username_conflict():
        user_id = await accounts.insert_user(
            session,
            username=username,
            full_name=body.full_name,
            role_id=role.id,
            password_hash=password_hash,
            email=body.email,
            phone=body.phone,
            permissions=body.permissions,
        )
    changes = body.model_dump(mode="json", exclude={"password"}) | {"username": username}
    await record(
        session, actor, "user.created", user_id, changes={key: (None, value) for key, value in changes.items()}
    )
    return await get_user(session, user_id)


async def change_user(work: Work, actor: Actor, user_id: UUID, version: int, given: dict[str, Any]) -> UserOut:
    """Changes an account; `given` holds checked members of UserPatch. Locks the user's row, then perhaps the role's.
    Neither a connection nor a lock is held while a password is hashed.

    Raises:
        NotFound, Stale: no such user, or another version.
        Forbidden, NotGrantable: the account is, or would become, more than the actor may manage.
        LastAdministrator: nobody else could manage the workspace.
        Invalid: a bad password.
    """
    password_hash = None
    if (password := given.pop("password", None)) is not None:
        user, _ = await _managed(work.session, actor, user_id, version)
        passwords.check_new(password.get_secret_value(), user.username)
        password_hash = await _hash_aside(work, password.get_secret_value())
    session = work.session
    user, role = await _managed(session, actor, user_id, version)
    before = _facts(user, role)
    if (key := given.pop("role", role.key)) != role.key:
        await _change_role(session, actor, user, role, key)
        role = await accounts.role_by_key(session, key)
    for name in PLAIN:
        if name in given:
            setattr(user, name, given[name])
    after = _facts(user, role)
    if before["role"] == "administrator" and before["active"] and not user.active:
        await _keep_an_administrator(session, user_id)
    if after["role"] != before["role"] or after["permissions"] != before["permissions"]:
        _may_make(actor, role, user.permissions)
    if after == before and password_hash is None:
        return await get_user(session, user_id)
    if password_hash is not None:
        user.password_hash = password_hash
    await _save(session, user)
    if password_hash is not None or (before["active"] and not user.active):
        await accounts.end_sessions(session, user_id, "password_changed" if user.active else "deactivated")
    await _tell(session, actor, user_id, before, after, password_set=password_hash is not None)
    return await get_user(session, user_id)


async def change_profile(
    session: AsyncSession, actor: Actor, user_id: UUID, version: int, given: dict[str, Any]
) -> UserOut:
    """Changes what people may change about themselves.

    Raises:
        Stale: another version.
    """
    user, role = await _locked(session, user_id, version)
    before = _facts(user, role)
    for name in ("full_name", "email", "phone"):
        if name in given:
            setattr(user, name, given[name])
    after = _facts(user, role)
    if after != before:
        await _save(session, user)
        await _tell(session, actor, user_id, before, after, password_set=False)
    return await get_user(session, user_id)


def check_grant(actor: Actor, granted: frozenset[str]) -> None:
    """Nobody gives what they do not have.

    Raises:
        NotGrantable: names what is too much.
    """
    excess = granted - actor.permissions
    if excess:
        raise NotGrantable(permissions=in_order(excess))


async def _hash_aside(work: Work, password: str) -> str:
    """The password's hash. The request's transaction ends before, and another begins after the hashing."""
    await work.suspend()
    password_hash = await passwords.hash_password(password)
    await work.resume()
    return password_hash


def _may_manage(actor: Actor, role: Role, own: list[str] | None) -> None:
    """Sales are managed by their managers; others, and whoever may do more than the actor, by who manages roles."""
    if role.key != "sale" or not effective(role.key, role.permissions, own) <= actor.permissions:
        actor.require("roles.manage")


def _may_make(actor: Actor, role: Role, own: list[str] | None) -> None:
    """Whether the actor may let an account have this role and these permissions of its own."""
    if role.key != "sale":
        actor.require("roles.manage")
    check_grant(actor, effective(role.key, role.permissions, own))
    if role.key == "administrator" and own is not None:
        raise invalid("permissions", "permissions_fixed", "Quản trị hệ thống luôn có mọi quyền",
                      "An administrator always has every permission")  # fmt: skip


async def _change_role(session: AsyncSession, actor: Actor, user: User, role: Role, key: str) -> None:
    actor.require("roles.manage")
    if role.key == "administrator" and user.active:
        await _keep_an_administrator(session, user.id)
    user.role_id = (await accounts.role_by_key(session, key)).id


async def _keep_an_administrator(session: AsyncSession, leaving: UUID) -> None:
    # Two administrators who demote each other at the same moment meet at this lock.
    role_id = await session.scalar(
        select(Role.id).where(Role.key == "administrator").with_for_update(key_share=True)
    )  # fmt: skip
    others = await session.scalar(
        select(func.count()).select_from(User).where(User.role_id == role_id, User.active, User.id != leaving)
    )
    if not others:
        raise LastAdministrator()


async def _managed(session: AsyncSession, actor: Actor, user_id: UUID, version: int) -> tuple[User, Role]:
    user, role = await _locked(session, user_id, version)
    _may_manage(actor, role, user.permissions)
    return user, role


async def _locked(session: AsyncSession, user_id: UUID, version: int) -> tuple[User, Role]:
    user = await session.scalar(select(User).where(User.id == user_id).with_for_update(key_share=True))
    if user is None:
        raise NotFound()
    if user.version != version:
        raise Stale()
    role = (await session.execute(select(Role).where(Role.id == user.role_id))).scalar_one()
    return user, role


async def _save(session: AsyncSession, user: User) -> None:
    user.search_text = accounts.search_text(user.username, user.full_name, user.email, user.phone)
    user.version += 1
    user.updated_at = now()
    await session.flush()
    await configuration.bump(session)


async def _tell(
    session: AsyncSession,
    actor: Actor,
    user_id: UUID,
    before: dict[str, Any],
    after: dict[str, Any],
    *,
    password_set: bool,
) -> None:
    changes = {key: (before[key], after[key]) for key in before if before[key] != after[key]}
    await record(
        session, actor, "user.changed", user_id, changes=changes, data={"password_set": True} if password_set else {}
    )  # fmt: skip


def _matching(q: str | None, active: bool | None, role: str | None) -> Select[*tuple[Any, ...]]:
    found = select(*COLUMNS).join(Role, (Role.tenant_id == User.tenant_id) & (Role.id == User.role_id))
    if q and (folded := fold(q)):
        found = found.where(User.search_text.contains(folded, autoescape=True))
    if active is not None:
        found = found.where(User.active.is_(active))
    return found if role is None else found.where(Role.key == role)


def _facts(user: User, role: Role) -> dict[str, Any]:
    return {"role": role.key} | {name: getattr(user, name) for name in PLAIN}


def _out(row: Row[*tuple[Any, ...]]) -> UserOut:
    held = effective(row.role, row.of_role, row.own_permissions)
    return UserOut.model_validate({**row._mapping, "permissions": in_order(held)})
