"""What people see and do about their own account."""

from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.errors import Invalid, invalid
from app.core.events import record
from app.core.work import Work
from app.identity import accounts, passwords, teams, throttle
from app.identity.models import User, Workspace
from app.identity.parameters import parameters
from app.identity.schemas import MeOut, UserOut, WorkspaceOut


async def me(session: AsyncSession, actor: Actor, user: UserOut) -> MeOut:
    """The caller's account together with the workspace and the caller's teams."""
    found = select(Workspace.id, Workspace.slug, Workspace.name).where(Workspace.id == actor.tenant_id)
    row = (await session.execute(found)).one()
    zone = (await parameters(session)).timezone
    return MeOut(
        **user.model_dump(),
        workspace=WorkspaceOut(**row._mapping, timezone=zone),
        teams=await teams.of_person(session, actor.id),
    )


async def change_password(work: Work, actor: Actor, *, current: SecretStr, new: SecretStr) -> None:
    """Sets a new password and ends the caller's other sessions. Wrong guesses of the current one are counted like
    failed sign-ins: a stolen session must not become a stolen password.

    No connection is held while passwords wait for their turn.

    Raises:
        LoginThrottled: too many wrong guesses.
        Invalid: the current password is wrong, or the new one is bad.
    """
    row = (
        await work.session.execute(select(User.username, User.password_hash).where(User.id == actor.id))
    ).one()  # fmt: skip
    await work.suspend()
    # Counted by person: nobody else's guesses may lock this one out.
    tried = throttle.attempt(actor.tenant_id.hex, actor.id.hex, f"own password {actor.id.hex}")
    async with throttle.turn(tried.account):
        opening = await throttle.open_attempt(work.db, tried, "")
        verdict = await passwords.verify(current.get_secret_value(), row.password_hash)
        if not verdict.right:
            await throttle.fail(work.db, tried, opening.moment)
            raise _wrong_password()
        await throttle.succeed(work.db, tried)
    if new.get_secret_value() == current.get_secret_value():
        raise invalid("new_password", "password_unchanged", "Mật khẩu mới trùng mật khẩu hiện tại",
                      "The new password is the current one")  # fmt: skip
    passwords.check_new(new.get_secret_value(), row.username, "new_password")
    password_hash = await passwords.hash_password(new.get_secret_value())
    await work.resume()
    if not await accounts.store_password(
        work.session, actor.id, password_hash, was=row.password_hash, keep_session=actor.session_id
    ):
        raise _wrong_password()
    await record(work.session, actor, "user.password_changed", actor.id)


def _wrong_password() -> Invalid:
    return invalid(
        "current_password", "password_wrong", "Mật khẩu hiện tại không đúng", "The current password is wrong"
    )
