"""Workspaces and people for tests: made through the product's own services, signed in without the cost of a login."""

import itertools
import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import httpx
from fastapi import FastAPI
from sqlalchemy import select

from app.core.actor import Actor
from app.core.clock import VIETNAM
from app.core.db import Database
from app.core.owner import owner_database
from app.core.resources import Resources
from app.core.settings import Settings
from app.identity import accounts, passwords, sessions, workspaces
from app.identity.models import User
from app.identity.permissions import PermissionKeys
from app.seeding import SEEDERS

PASSWORD = "bánh mì ốp la 47"
_numbers = itertools.count(1)
_hashes: dict[str, str] = {}
_owners: dict[str, Database] = {}


@dataclass
class Person:
    """A user of a workspace, and a client that is signed in as them."""

    id: UUID
    username: str
    password: str
    client: httpx.AsyncClient
    refresh_token: str

    @property
    def token(self) -> str:
        """The access token that the client sends."""
        return self.client.headers["Authorization"].removeprefix("Bearer ")


@dataclass
class Workspace:
    """A fresh workspace. `admin` is a client signed in as its administrator."""

    id: UUID
    slug: str
    app: FastAPI
    administrator: Person
    people: list[Person] = field(default_factory=list)

    @property
    def admin(self) -> httpx.AsyncClient:
        """The administrator's client."""
        return self.administrator.client

    @property
    def resources(self) -> Resources:
        """The application's connections."""
        found: Resources = self.app.state.resources
        return found

    async def person(
        self,
        role: str = "sale",
        *,
        username: str | None = None,
        full_name: str = "Nguyễn Thị Thử",
        permissions: PermissionKeys | None = None,
    ) -> Person:
        """A new user who is signed in."""
        name = username or f"{role}{next(_numbers)}"
        await self.account(name, role, full_name=full_name, permissions=permissions)
        made = await sign_in(self.app, self.id, name)
        self.people.append(made)
        return made

    async def account(
        self, username: str, role: str = "sale", *, full_name: str, permissions: PermissionKeys | None = None
    ) -> UUID:
        """A new user who is not signed in; the password is PASSWORD."""
        async with self.resources.db.transaction(self.id) as session:
            return await accounts.insert_user(
                session,
                username=username,
                full_name=full_name,
                role_id=(await accounts.role_by_key(session, role)).id,
                password_hash=await _hash(PASSWORD),
                permissions=permissions,
            )

    async def deactivate(self, person: Person) -> None:
        """Takes somebody's account away, as an administrator does."""
        url = f"/api/v1/users/{person.id}"
        etag = (await self.admin.get(url)).headers["etag"]
        (await self.admin.patch(url, json={"active": False}, headers={"If-Match": etag})).raise_for_status()

    async def key(self, *scopes: str, **fields: Any) -> httpx.AsyncClient:
        """A client with an API key of the administrator's."""
        reply = await self.admin.post("/api/v1/api-keys", json={"name": "thử", "scopes": list(scopes), **fields})
        reply.raise_for_status()
        return open_client(self.app, {"X-API-Key": reply.json()["key"]})

    async def aclose(self) -> None:
        """Closes the clients."""
        for person in (self.administrator, *self.people):
            await person.client.aclose()


async def make_workspace(
    settings: Settings,
    app: FastAPI,
    *,
    slug: str | None = None,
    name: str = "Công ty Thử",
    timezone: str = VIETNAM.key,
) -> Workspace:
    """Makes a workspace with what all domains seed; the administrator's password is PASSWORD."""
    slug = slug or f"thu-{os.getpid()}-{next(_numbers)}"
    async with _owner(settings) as db:
        tenant_id = await workspaces.create_workspace(
            db, slug=slug, name=name, admin_password=PASSWORD, admin_hash=await _hash(PASSWORD), timezone=timezone,
            seed_workspace=SEEDERS,
        )  # fmt: skip
    return Workspace(tenant_id, slug, app, await sign_in(app, tenant_id, accounts.ADMIN))


async def sign_in(app: FastAPI, tenant_id: UUID, username: str) -> Person:
    """Opens a session for a user without checking the password."""
    resources: Resources = app.state.resources
    async with resources.db.transaction(tenant_id) as session:
        user = (await session.execute(select(User).where(User.username == username))).scalar_one()
        actor = Actor(tenant_id=tenant_id, kind="user", id=user.id, name=user.full_name)
        grant = await sessions.open_session(session, resources.settings, actor, user.token_version, "tests")
    client = open_client(app, {"Authorization": f"Bearer {grant.access_token}"})
    return Person(user.id, username, PASSWORD, client, grant.refresh_token)


def open_client(app: FastAPI, headers: dict[str, str] | None = None) -> httpx.AsyncClient:
    """HTTP without a socket; with no headers, nobody calls."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://chot.test", headers=headers)


@asynccontextmanager
async def owner_connections(settings: Settings) -> AsyncIterator[None]:
    """Keeps the owner's connections open for all workspaces that are made meanwhile."""
    async with owner_database(settings) as db:
        _owners[str(settings.database_url)] = db
        yield
        del _owners[str(settings.database_url)]


def _owner(settings: Settings) -> AbstractAsyncContextManager[Database]:
    kept = _owners.get(str(settings.database_url))
    return owner_database(settings) if kept is None else nullcontext(kept)


async def _hash(password: str) -> str:
    if password not in _hashes:
        _hashes[password] = await passwords.hash_password(password)
    return _hashes[password]
