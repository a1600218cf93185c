"""Bulk changes, edits and undos in any order: an edit made since is never lost, and everything else comes back.

Random walks over HTTP against a model in Python, from seeds that are part of the test's name.
"""

import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.bulk.steps import add, do, edit, group, names, read, throw, undo
from tests.factories.people import Workspace
from workers.main import WorkerProcess

GROUPS = ("Một", "Hai", "Ba")
TAGS = ("Nóng", "Lạnh")
STEPS = 14


@dataclass
class One:
    """What the model knows of a customer; `version` counts its changes."""

    note: str | None = None
    relationship: str | None = None
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

    async def begin(self, count: int) -> None:
        """Customers to play with."""
        for made in await add(self.client, count):
            self.model[made["id"]] = One(relationship=made["relationship"])

    async def step(self) -> None:
        """Something happens."""
        await self.random.choice((self.bulk, self.bulk, self.bulk, self.by_hand, self.take_back))()

    async def bulk(self) -> None:
        """A bulk change of some."""
        ids = self.random.sample(sorted(self.model), self.random.randint(1, len(self.model)))
        action, params, change = self.random.choice(
            (
                ("set_field", {"field": "note", "value": (note := f"n{self.random.randint(0, 3)}")}, {"note": note}),
                ("relationship", {"value": (to := self.random.choice(("Mới", "Tiềm năng")))}, {"relationship": to}),
                ("groups_move", {"groups": [(g := self.random.choice(GROUPS))]},
                 lambda _: {"groups": frozenset([g])}),
                ("groups_add", {"groups": [(a := self.random.choice(GROUPS))]},
                 lambda one: {"groups": one.groups | {a}}),
                ("groups_remove", {"groups": [(r := self.random.choice(GROUPS))]},
                 lambda one: {"groups": one.groups - {r}}),
                ("tag", {"tags": [(t := self.random.choice(TAGS))]}, lambda one: {"tags": one.tags | {t}}),
                ("untag", {"tags": [(u := self.random.choice(TAGS))]}, lambda one: {"tags": one.tags - {u}}),
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
        untouched = {one: before for one, (before, version) in batch.done.items() if self.model[one].version == version}
        assert ended["result"] == {"restored": len(untouched), "kept": len(batch.done) - len(untouched)}
        for one, before in untouched.items():
            self._set(self.model[one], before)

    async def compare(self) -> None:
        """The product and the model agree on every customer."""
        for one_id, one in self.model.items():
            row = await read(self.client, one_id)
            assert (row is None) == one.deleted, one_id
            if row is not None:
                shown = One(
                    row["note"], row["relationship"], frozenset(names(row)), frozenset(names(row, "tags")), False,
                    row["version"],
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
    for name in GROUPS:
        await group(workspace, name)
    for name in TAGS:
        await workspace.admin.post("/api/v1/tags", json={"name": name})
    walk = Walk(workspace, seed)
    await walk.begin(5)
    for _ in range(STEPS):
        await walk.step()
        await walk.compare()
    while walk.batches:
        await walk.take_back()
        await walk.compare()
