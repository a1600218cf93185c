"""Bulk changes, edits and undos in any order: an edit made since is never lost, and everything else comes back, as far
as it still exists.

Random walks over HTTP against a model in Python, from seeds that are part of the test's name.
"""

import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.doctor import examine
from tests.bulk.steps import API, add, do, edit, names, read, throw, undo
from tests.factories.people import Workspace
from workers.main import WorkerProcess

GROUPS = ("Một", "Hai", "Ba")
TAGS = ("Nóng", "Lạnh")
SOURCES, RANKS = ("Chợ", "Biển"), ("A", "B")
STEPS = 16


@dataclass
class One:
    """What the model knows of a customer; `version` counts its changes."""

    note: str | None = None
    relationship: str | None = None
    source: str | None = None
    rank: str | None = None
    groups: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    deleted: bool = False
    version: int = 1

    def as_dict(self) -> dict[str, Any]:
        """Everything but the version."""
        return {key: value for key, value in vars(self).items() if key != "version"}


@dataclass
class Batch:
    """A bulk change that could be undone: by customer, the values before and the version after."""

    job_id: str
    done: dict[str, tuple[dict[str, Any], int]] = field(default_factory=dict)


class Walk:
    """One random walk."""

    def __init__(self, workspace: Workspace, seed: int) -> None:
        self.client, self.random = workspace.admin, random.Random(seed)
        self.model: dict[str, One] = {}
        self.batches: list[Batch] = []
        # What can go while the walk lasts: groups, tags, sources and choices, by their ids.
        self.there: dict[str, dict[str, str]] = {}

    async def begin(self, count: int) -> None:
        """Customers to play with."""
        for made in await add(self.client, count):
            self.model[made["id"]] = One(relationship=made["relationship"])

    async def step(self) -> None:
        """Something happens."""
        await self.random.choice((self.bulk, self.bulk, self.bulk, self.by_hand, self.take_back, self.lose))()

    async def bulk(self) -> None:
        """A bulk change of some."""
        ids = self.random.sample(sorted(self.model), self.random.randint(1, len(self.model)))
        groups, tags, sources, ranks = ([*self.there[kind]] for kind in ("groups", "tags", "sources", "ranks"))
        action, params, change = self.random.choice(
            (
                ("source", {"value": (s := self.random.choice([*sources, None]))}, {"source": s}),
                ("set_field", {"field": "attributes.hang", "value": (k := self.random.choice([*ranks, None]))},
                 {"rank": k}),
                ("set_field", {"field": "note", "value": (note := f"n{self.random.randint(0, 3)}")}, {"note": note}),
                ("relationship", {"value": (to := self.random.choice(("Mới", "Tiềm năng")))}, {"relationship": to}),
                ("groups_move", {"groups": [(g := self.random.choice(groups))]},
                 lambda _: {"groups": frozenset([g])}),
                ("groups_add", {"groups": [(a := self.random.choice(groups))]},
                 lambda one: {"groups": one.groups | {a}}),
                ("groups_remove", {"groups": [(r := self.random.choice(groups))]},
                 lambda one: {"groups": one.groups - {r}}),
                ("tag", {"tags": [(t := self.random.choice(tags))]}, lambda one: {"tags": one.tags | {t}}),
                ("untag", {"tags": [(u := self.random.choice(tags))]}, lambda one: {"tags": one.tags - {u}}),
                ("delete", {}, {"deleted": True}),
                ("restore", {}, {"deleted": False}),
            )
        )  # fmt: skip
        job = await do(self.client, action, ids, **params)
        batch = Batch(job["id"])
        for one_id in ids:
            one = self.model[one_id]
            if one.deleted != (action == "restore"):
                continue
            before, wanted = one.as_dict(), change(one) if callable(change) else change
            if any(getattr(one, key) != value for key, value in wanted.items()):
                self._set(one, wanted)
                batch.done[one_id] = ({key: before[key] for key in wanted}, one.version)
        assert job["result"]["changed"] == len(batch.done), (action, params, job)
        self.batches.append(batch)

    async def by_hand(self) -> None:
        """Somebody edits or deletes one."""
        living = [one for one in sorted(self.model) if not self.model[one].deleted]
        if not living:
            return
        one_id = self.random.choice(living)
        if self.random.random() < 0.2:
            await throw(self.client, one_id)
            self._set(self.model[one_id], {"deleted": True})
            return
        note = f"tay {self.random.random()}"
        await edit(self.client, one_id, note=note)
        self._set(self.model[one_id], {"note": note})

    async def take_back(self) -> None:
        """One of the bulk changes is undone; whoever was changed since keeps everything."""
        if not self.batches:
            return
        batch = self.batches.pop(self.random.randrange(len(self.batches)))
        ended = await undo(self.client, batch.job_id)
        untouched = {
            one: {key: self._known(key, value) for key, value in before.items()}
            for one, (before, version) in batch.done.items()
            if self.model[one].version == version
        }
        assert ended["result"] == {"restored": len(untouched), "kept": len(batch.done) - len(untouched)}
        for one, before in untouched.items():
            self._set(self.model[one], before)

    async def lose(self) -> None:
        """A group or tag is deleted; or a source or choice that nobody has."""
        kind = self.random.choice(sorted(self.there))
        if len(self.there[kind]) == 1:
            return
        name = self.random.choice(sorted(self.there[kind]))
        key = {"sources": "source", "ranks": "rank"}.get(kind)
        # A choice is missed by those in the trash too late: only the living keep it.
        if key and any(getattr(one, key) == name for one in self.model.values()):
            return
        path = f"{API}/{'attributes' if kind == 'ranks' else kind}/{self.there[kind].pop(name)}"
        headers = {"If-Match": (await self.client.get(path)).headers["etag"]}
        if kind == "ranks":
            reply = await self.client.patch(path, json={"choices": sorted(self.there[kind])}, headers=headers)
        else:
            reply = await self.client.delete(path, headers=headers)
        assert reply.status_code in (200, 204), reply.text
        if key is None:
            for one in self.model.values():
                setattr(one, kind, getattr(one, kind) - {name})

    def _known(self, key: str, value: Any) -> Any:
        """What is left of a former value."""
        if key in ("groups", "tags"):
            return value & self.there[key].keys()
        kind = {"source": "sources", "rank": "ranks"}.get(key)
        return value if kind is None or value in self.there[kind] else None

    async def compare(self) -> None:
        """The product and the model agree on every customer."""
        for one_id, one in self.model.items():
            row = await read(self.client, one_id)
            assert (row is None) == one.deleted, one_id
            if row is not None:
                shown = One(
                    row["note"], row["relationship"], row["source"], row["attributes"].get("hang"),
                    frozenset(names(row)), frozenset(names(row, "tags")), False, row["version"],
                )  # fmt: skip
                assert shown == one, one_id

    @staticmethod
    def _set(one: One, values: dict[str, Any]) -> None:
        for key, value in values.items():
            setattr(one, key, value)
        one.version += 1


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.promise(11)
async def test_an_undo_never_loses_an_edit(workspace: Workspace, worker: WorkerProcess, seed: int) -> None:
    walk = Walk(workspace, seed)
    for kind, wanted in (("groups", GROUPS), ("tags", TAGS), ("sources", SOURCES)):
        made = [await workspace.admin.post(f"{API}/{kind}", json={"name": name}) for name in wanted]
        walk.there[kind] = {one.json()["name"]: one.json()["id"] for one in made}
    rank = {"name": "Hạng", "key": "hang", "type": "choice", "choices": [*RANKS]}
    field = await workspace.admin.post(f"{API}/attributes", json=rank)
    walk.there["ranks"] = dict.fromkeys(RANKS, field.json()["id"])
    await walk.begin(5)
    for _ in range(STEPS):
        await walk.step()
        await walk.compare()
    while walk.batches:
        await walk.take_back()
        await walk.compare()
    found = await examine(str(workspace.resources.settings.database_url))
    assert [one for one in found if str(workspace.id) in " ".join(one.examples)] == []
