"""Workspaces and the operator's commands, and the walls around identity's tables."""

import asyncio
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import now
from app.core.errors import AppError, Invalid, NotFound
from app.core.owner import owner_database
from app.core.resources import Resources
from app.core.settings import Settings
from app.identity import passwords, workspaces
from app.identity.errors import SlugTaken, UsernameTaken
from app.identity.models import Role, User, Workspace, WorkspaceSetting
from tests.factories.people import PASSWORD


def slug() -> str:
    return f"w-{uuid4().hex[:12]}"


async def test_a_workspace_is_born_whole(settings: Settings, resources: Resources) -> None:
    seeded: list[UUID] = []

    async def seed(session: AsyncSession, tenant_id: UUID) -> None:
        assert await session.scalar(select(Role.key).where(Role.key == "sale")) == "sale"
        seeded.append(tenant_id)

    async with owner_database(settings) as db:
        name = slug()
        tenant_id = await workspaces.create_workspace(
            db, slug=name, name="Công ty Một", admin_password=PASSWORD, seed_workspace=[seed]
        )
        assert await workspaces.find_workspace(db, name) == tenant_id
        assert (tenant_id, name, "Công ty Một") in await workspaces.list_workspaces(db)
        assert [user.username for user in await workspaces.list_users(db, name)] == ["admin"]
    assert seeded == [tenant_id]
    async with resources.db.transaction(tenant_id) as session:
        assert set(await session.scalars(select(Role.key))) == {"administrator", "manager", "sale"}
        assert (await session.execute(select(WorkspaceSetting.id))).scalar_one() == tenant_id
        assert (await session.execute(select(User.username))).scalar_one() == "admin"


async def test_a_failed_seed_leaves_nothing(settings: Settings) -> None:
    async def fail(session: AsyncSession, tenant_id: UUID) -> None:
        raise NotFound()

    async with owner_database(settings) as db:
        name = slug()
        with pytest.raises(NotFound):
            await workspaces.create_workspace(
                db, slug=name, name="X", admin_password=PASSWORD, seed_workspace=[fail]
            )  # fmt: skip
        assert await workspaces.find_workspace(db, name) is None


async def test_a_short_name_belongs_to_one_workspace(settings: Settings) -> None:
    async with owner_database(settings) as db:
        name = slug()

        async def make() -> str:
            try:
                await workspaces.create_workspace(db, slug=name, name="X", admin_password=PASSWORD)
            except SlugTaken:
                return "taken"
            return "made"

        assert sorted(await asyncio.gather(make(), make(), make())) == ["made", "taken", "taken"]


@pytest.mark.parametrize("bad", ["", "a", "A-B", "a_b", "đá", "x" * 41, "a b", "a\n"])
async def test_bad_short_names_are_refused(settings: Settings, bad: str) -> None:
    async with owner_database(settings) as db:
        with pytest.raises(Invalid) as refused:
            await workspaces.create_workspace(db, slug=bad, name="X", admin_password=PASSWORD)
    assert refused.value.errors[0].code == "slug_invalid"


async def test_a_time_zone_must_exist(settings: Settings) -> None:
    async with owner_database(settings) as db:
        for bad in ("Asia/Sai_Gon_Cu", "../etc/passwd", "", "America", "right/UTC", "posixrules", "Asia/Ho_Chi_Minh'"):
            with pytest.raises(Invalid):
                await workspaces.create_workspace(db, slug=slug(), name="X", admin_password=PASSWORD, timezone=bad)


async def test_the_operators_commands(settings: Settings, resources: Resources) -> None:
    async with owner_database(settings) as db:
        name = slug()
        tenant_id = await workspaces.create_workspace(db, slug=name, name="X", admin_password=PASSWORD)
        user_id = await workspaces.create_user(
            db, name, username="Lan", password=PASSWORD, full_name="Lan", role="manager"
        )
        with pytest.raises(UsernameTaken):
            await workspaces.create_user(db, name, username="lan", password=PASSWORD, full_name="Lan")
        await workspaces.set_password(db, name, "LAN", "một mật khẩu khác 9")
        listed = {user.username: (user.role, user.active) for user in await workspaces.list_users(db, name)}
        assert listed == {"admin": ("administrator", True), "lan": ("manager", True)}
        for missing in (
            workspaces.set_password(db, name, "nobody", "một mật khẩu khác 9"),
            workspaces.set_password(db, slug(), "lan", "một mật khẩu khác 9"),
            workspaces.list_users(db, slug()),
        ):
            with pytest.raises(AppError, match="not_found"):
                await missing
    async with resources.db.transaction(tenant_id) as session:
        user = (await session.execute(select(User).where(User.id == user_id))).scalar_one()
    assert (await passwords.verify("một mật khẩu khác 9", user.password_hash)).right
    assert not (await passwords.verify(PASSWORD, user.password_hash)).right


async def test_the_application_cannot_write_workspaces(resources: Resources) -> None:
    with pytest.raises(DBAPIError, match="permission denied"):
        async with resources.db.shared() as connection:
            await connection.execute(
                insert(Workspace).values(id=uuid4(), slug=slug(), name="X", timezone="UTC", created_at=now())
            )


@pytest.mark.promise(9)
async def test_every_table_of_identity_is_walled(resources: Resources) -> None:
    async with resources.db.shared() as connection:
        rows = await connection.execute(
            text("""
            SELECT c.relname, c.relrowsecurity, c.relforcerowsecurity
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = 'crm' AND c.relname = ANY(:names)
            """),
            {"names": ["workspace_setting", "role", "app_user", "login_session", "refresh_token", "login_throttle",
                       "api_key"]},
        )  # fmt: skip
        found = {row.relname: (row.relrowsecurity, row.relforcerowsecurity) for row in rows}
    assert len(found) == 7
    assert set(found.values()) == {(True, True)}


@pytest.mark.parametrize(
    ("password", "stored"),
    [("x" * 129, None), ("ơ" * 65, None), ("right one here", None), ("\ud800" + "x" * 12, None)],
)
async def test_what_cannot_be_right_is_wrong(password: str, stored: str | None) -> None:
    assert not (await passwords.verify(password, stored)).right


async def test_a_hash_verifies_its_own_password_only() -> None:
    stored = await passwords.hash_password("ổ bánh mì 1 nghìn")
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await passwords.verify("ổ bánh mì 1 nghìn", stored) == (True, None)
    assert not (await passwords.verify("o banh mi 1 nghin", stored)).right
