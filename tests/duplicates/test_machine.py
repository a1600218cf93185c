"""Merge, edit and un-merge in any order: nothing is lost, nothing doubled, every edit is kept or told of."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.duplicates.conftest import API, a_phone
from tests.factories.people import Workspace

CUSTOMERS = f"{API}/customers"
FIELDS = ("company_name", "position", "address", "note", "email")
# Nobody goes back: the first that contracts do not lead to, then those that they do.
STAGES = ("Mới", "Tiếp cận", "Chốt")
SIZE = 4
_numbers = itertools.count(1)
Await = Callable[[Coroutine[Any, Any, Any]], Any]


class Merging(RuleBasedStateMachine):
    """Customers who are merged and taken apart. `model` is what each should hold; `stack` the merges that stand."""

    def __init__(self, workspace: Workspace, wait: Await) -> None:
        super().__init__()
        self.client, self.wait = workspace.admin, wait
        self.ids: list[str] = []
        self.model: dict[str, dict[str, Any]] = {}
        self.contracts: dict[str, str] = {}
        self.stages: dict[str, str] = {}
        self.signed: dict[str, tuple[int, str]] = {}
        self.stack: list[dict[str, Any]] = []

    @initialize()
    def some_customers(self) -> None:
        for _ in range(SIZE):
            body = {"name": f"Khách {next(_numbers)}", "phone": a_phone()}
            made = self.call("POST", CUSTOMERS, json=body).json()
            self.ids.append(made["id"])
            self.model[made["id"]] = {key: made[key] for key in ("name", "phone", *FIELDS)}
            self.stages[made["id"]] = STAGES[0]

    @property
    def live(self) -> list[str]:
        """Those who are no source of a standing merge."""
        gone = {one for each in self.stack for one in each["sources"]}
        return [one for one in self.ids if one not in gone]

    @rule(which=st.integers(0, SIZE - 1), field=st.sampled_from(FIELDS), value=st.sampled_from(("a", "b", None)))
    def edit(self, which: int, field: str, value: str | None) -> None:
        customer = self.live[which % len(self.live)]
        new = f"{value}{next(_numbers)}" + ("@example.com" if field == "email" else "") if value else None
        self.change(customer, {field: new})
        self.model[customer][field] = new

    @rule(which=st.integers(0, SIZE - 1), closed=st.booleans())
    def sign(self, which: int, closed: bool) -> None:
        customer, number = self.live[which % len(self.live)], next(_numbers)
        body = {"customer_id": customer, "number": f"HĐ-{number}", "value": 1, "move_to_signed": closed}
        contract = self.call("POST", f"{API}/contracts", json=body).json()["id"]
        self.contracts[contract], self.signed[contract] = customer, (number, STAGES[2 if closed else 1])
        self.stages[customer] = farther(self.stages[customer], self.signed[contract][1])

    @precondition(lambda self: len(self.live) > 1)
    @rule(data=st.data(), action=st.sampled_from(("delete", "archive")))
    def merge(self, data: st.DataObject, action: str) -> None:
        chosen = data.draw(st.permutations(self.live))[: data.draw(st.integers(2, len(self.live)))]
        versions = {one: self.read(one)["version"] for one in chosen}
        body = {"master_id": chosen[0], "source_ids": chosen[1:], "versions": versions, "sources": action}
        made = self.call("POST", f"{CUSTOMERS}/merge", json=body).json()
        before, after = dict(self.model[chosen[0]]), self.model[chosen[0]]
        for field in FIELDS:
            values = [self.model[one][field] for one in chosen]
            filled = [value for value in values if value]
            after[field] = ("\n".join(dict.fromkeys(filled)) if field == "note" else filled[0]) if filled else None
        moved = {one: owner for one, owner in self.contracts.items() if owner in chosen[1:]}
        self.contracts.update(dict.fromkeys(moved, chosen[0]))
        stage = self.stages[chosen[0]]
        self.stages[chosen[0]] = farther(stage, *(self.signed[one][1] for one in moved))
        self.stack.append({"id": made["id"], "master": chosen[0], "sources": chosen[1:], "before": before,
                           "after": dict(after), "moved": moved, "stages": (stage, self.stages[chosen[0]]),
                           "at": next(_numbers)})  # fmt: skip

    @precondition(lambda self: self.stack)
    @rule(data=st.data())
    def undo(self, data: st.DataObject) -> None:
        gone = {one for each in self.stack for one in each["sources"]}
        possible = [each for each in self.stack if each["master"] not in gone]
        self.take_back(data.draw(st.sampled_from(possible)))

    @rule()
    def look(self) -> None:
        self.everything_is_there()

    def teardown(self) -> None:
        """At the end, everything that stands is taken apart again, the last merge first."""
        if self.ids:
            self.everything_is_there()
            while self.stack:
                self.take_back(self.stack[-1])
            assert self.live == self.ids
            self.everything_is_there()

    def take_back(self, each: dict[str, Any]) -> None:
        """Undoes a merge: fields that nobody edited since are what they were."""
        reply = self.call("POST", f"{API}/merges/{each['id']}/undo").json()
        self.stack.remove(each)
        master, edited = self.model[each["master"]], set()
        for field in FIELDS:
            if each["before"][field] == each["after"][field]:
                continue
            if master[field] == each["after"][field]:
                master[field] = each["before"][field]
            else:
                edited.add(field)
        self.contracts.update(each["moved"])
        if not self.stage_goes_back(each):
            edited.add("relationship")
        assert {one["field"] for one in reply["left"] if one["code"] == "edited"} == edited
        assert all(one["code"] == "edited" for one in reply["left"])

    def stage_goes_back(self, each: dict[str, Any]) -> bool:
        """The master is at the stage it had, and at that of what it has signed itself since; unless it moved on."""
        master, (before, after) = each["master"], each["stages"]
        if before != after:
            if self.stages[master] != after:
                return False
            came = {contract for one in self.stack if one["master"] == master for contract in one["moved"]}
            own = [stage for contract, (at, stage) in self.signed.items()
                   if at > each["at"] and self.contracts[contract] == master and contract not in came]  # fmt: skip
            self.stages[master] = farther(before, *own)
        return True

    def everything_is_there(self) -> None:
        """Every customer holds what it should, every contract is its customer's, and a phone is found once."""
        for one in self.live:
            found = self.read(one)
            assert {key: found[key] for key in self.model[one]} == self.model[one]
            assert found["relationship"] == self.stages[one]
        listed = self.call("GET", CUSTOMERS, params={"limit": 200}).json()["items"]
        assert sorted(one["id"] for one in listed if one["id"] in self.ids) == sorted(self.live)
        for contract, owner in self.contracts.items():
            assert self.call("GET", f"{API}/contracts/{contract}").json()["customer_id"] == owner
        everywhere = []
        for one in self.live:
            everywhere += [each["value"] for each in self.call("GET", f"{CUSTOMERS}/{one}/phones").json()["items"]]
        assert sorted(everywhere) == sorted(self.model[one]["phone"] for one in self.ids)

    def change(self, customer: str, fields: dict[str, Any]) -> None:
        """An edit of the customer as it is now."""
        version = self.read(customer)["version"]
        self.call("PATCH", f"{CUSTOMERS}/{customer}", json=fields, headers={"If-Match": f'"{version}"'})

    def read(self, customer: str) -> dict[str, Any]:
        """The customer as it is now."""
        body: dict[str, Any] = self.call("GET", f"{CUSTOMERS}/{customer}").json()
        return body

    def call(self, method: str, url: str, **more: Any) -> Any:
        """A request that succeeds."""
        reply = self.wait(self.client.request(method, url, **more))
        assert reply.status_code in (200, 201), reply.text
        return reply


def farther(*stages: str) -> str:
    """The one of them that is the farthest."""
    return max(stages, key=STAGES.index)


@pytest.mark.feature("B037", "E025")
@pytest.mark.promise(11)
async def test_merges_edits_and_undos_in_any_order(workspace: Workspace) -> None:
    loop = asyncio.get_running_loop()

    def wait(call: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(call, loop).result(60)

    some = settings(
        max_examples=12, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )

    class Here(Merging):
        def __init__(self) -> None:
            super().__init__(workspace, wait)

    with ThreadPoolExecutor(1) as pool:
        await loop.run_in_executor(pool, lambda: run_state_machine_as_test(Here, settings=some))
