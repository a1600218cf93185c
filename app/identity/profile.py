"""What people see and do about their own account."""

from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.db import Database
from app.core.errors import invalid
from app.core.events import record
from app.identity import accounts, passwords, throttle
from app.identity.models import User, Workspace
from app.identity.schemas import MeOut, UserOut, WorkspaceOut


async def me(session: AsyncSession, actor: Actor, user: UserOut) -> MeOut:
    """The caller's account together with the workspace."""
    row = (
        await session.execute(
            select(Workspace.id, Workspace.slug, Workspace.name, Workspace.timezone).where(
                Workspace.id == actor.tenant_id
            )
        )
    ).one()
    return MeOut(**user.model_dump(), workspace=WorkspaceOut.model_validate({**row._mapping}))


async def change_password(
    session: AsyncSession, db: Database, actor: Actor, *, current: SecretStr, new: SecretStr
) -> None:
    """Sets a new password and ends the caller's other sessions. Wrong guesses of the current one are counted like
    failed sign-ins: a stolen session must not become a stolen password.

    Raises:
        LoginThrottled: too many wrong guesses.
        Invalid: the current password is wrong, or the new one is bad.
    """
    row = (
        await session.execute(select(User.username, User.password_hash).where(User.id == actor.id))
    ).one()  # fmt: skip
    tried = throttle.attempt(actor.tenant_id.hex, actor.id.hex, "own password")
    async with throttle.turn(tried.account):
        opening = await throttle.open_attempt(db, tried, "")
        verdict = await passwords.verify(current.get_secret_value(), row.password_hash)
        if not verdict.right:
            await throttle.fail(db, tried, opening.moment)
            raise invalid("current_password", "password_wrong", "Mật khẩu hiện tại không đúng",
                          "The current password is wrong")  # fmt: skip
        await throttle.succeed(db, tried)
    if new.get_secret_value() == current.get_secret_value():
        raise invalid("new_password", "password_unchanged", "Mật khẩu mới trùng mật khẩu hiện tại",
                      "The new password is the current one")  # fmt: skip
    passwords.check_new(new.get_secret_value(), row.username, "new_password")
    password_hash = await passwords.hash_password(new.get_secret_value())
    await accounts.store_password(session, actor.id, password_hash, keep_session=actor.session_id)
    await record(session, actor, "user.password_changed", actor.id)
