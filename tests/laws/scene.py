"""Where a law calls an operation: a workspace whose every text can be known again, and a call in the making."""

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx

from app.core.actor import Actor
from tests.factories.people import PASSWORD, Person, Workspace

API = "/api/v1"

_numbers = itertools.count(1)


@dataclass
class Made:
    """An object: its id, and its version's ETag."""

    id: str
    etag: str = '"1"'
    reply: dict[str, Any] = field(default_factory=dict)


class Scene:
    """A workspace whose every text holds one canary, and a caller who may do everything there."""

    def __init__(self, workspace: Workspace, person: Person) -> None:
        self.workspace, self.person = workspace, person
        self.canary = f"kin{uuid4().hex[:12]}"
        # What no log may hold; and what no other workspace may be told, which is that and every id.
        self.personal = {self.canary, PASSWORD}
        self.others = {str(workspace.id), workspace.id.hex, workspace.slug}
        self.know(person)
        # The customers of contacts and their values, and the tokens that lead to exports' files.
        self.parents: dict[str, str] = {}
        self.links: dict[str, str] = {}
        # Whether the caller may have lost the session, the role or the name by a call of their own.
        self.spent = True

    @property
    def secrets(self) -> set[str]:
        """What no other workspace may be told."""
        return self.others | self.personal - {PASSWORD}

    def know(self, person: Person) -> None:
        """Keeps the secrets of a person's."""
        self.personal |= {person.token, person.refresh_token}

    @property
    def actor(self) -> Actor:
        """The caller, for what has no HTTP."""
        return Actor(self.workspace.id, "user", self.person.id, self.person.username)

    @property
    def client(self) -> httpx.AsyncClient:
        """The caller's client."""
        return self.person.client

    async def refresh(self) -> None:
        """A new caller: the last operation may have ended the old one's session."""
        self.person = await self.workspace.person("administrator", full_name=self.text())
        self.know(self.person)
        self.spent = False

    def number(self) -> int:
        """A number that was not used before."""
        return next(_numbers)

    def text(self) -> str:
        """A text that was not used before, with the canary in it."""
        return f"Kín {self.canary} {self.number()}"

    def phone(self) -> str:
        """A phone that was not used before."""
        made = f"0987{self.number():06d}"
        self.personal |= {made, "+84" + made[1:]}
        return made

    async def make(self, path: str, body: dict[str, Any], **more: Any) -> Made:
        """Adds an object over HTTP."""
        reply = await self.client.post(f"{API}{path}", json=body, headers={"Idempotency-Key": uuid4().hex}, **more)
        assert reply.status_code in (201, 202), f"{path}: {reply.text}"
        made = reply.json()
        self.others.add(made["id"])
        return Made(made["id"], reply.headers.get("etag", '"1"'), made)


@dataclass
class Call:
    """A request that should succeed: everything of the scene's own workspace."""

    path: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


Maker = Callable[[Scene], Awaitable[Made]]

# What was made for a place and may serve again there.
Kept = dict[tuple[Maker, str], Made]

Body = Callable[[Scene], Any]

Before = Callable[[Scene, Call], Awaitable[None]]


def nobodys_id() -> str:
    """An id that exists nowhere."""
    return str(uuid4())
