"""Whatever is merged, undoing it brings all back: kinds, contacts, referrers, owners, unique values, kept sources."""

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from tests.duplicates.conftest import API, a_phone
from tests.factories.people import Person, Workspace

CUSTOMERS = f"{API}/customers"
SIZE = 4
MERGER = ("customers.view", "customers.create", "customers.edit", "customers.merge")
# What a merge may refuse here; it has changed nothing then.
REFUSALS = {"not_found", "merge_unique_kept", "merge_own_referrer", "phone_taken", "value_taken"}
_numbers = itertools.count(1)
Await = Callable[[Coroutine[Any, Any, Any]], Any]


class Whole(RuleBasedStateMachine):
    """Customers with everything that a customer can have. `stack` are the merges that stand, with what was before."""

    def __init__(self, workspace: Workspace, merger: Person, key: str, wait: Await) -> None:
        super().__init__()
        self.admin, self.merger, self.key, self.wait = workspace.admin, merger, key, wait
        self.ids: list[str] = []
        self.people: set[str] = set()
        self.stack: list[tuple[str, dict[str, Any]]] = []
        self.promoted = 0

    @initialize(kind=st.sampled_from(("lead", "individual", "company")), data=st.data())
    def some_customers(self, kind: str, data: st.DataObject) -> None:
        for number in range(SIZE):
            body: dict[str, Any] = {"name": f"Khách {next(_numbers)}", "phone": a_phone(), "kind": kind,
                                    "attributes": {self.key: f"T{next(_numbers)}"}}  # fmt: skip
            if some(data):
                body["owner"] = self.merger.username
            if self.ids and some(data):
                body["referrer"] = data.draw(st.sampled_from(self.ids))
            elif some(data):
                body["referrer_user"] = self.merger.username
            made = self.call(self.admin, "POST", CUSTOMERS, json=body).json()
            self.ids.append(made["id"])
            for first in (True, False)[: data.draw(st.integers(0, 2))]:
                contact = {"name": f"Chị {number}", "is_primary": first, "phones": [{"value": a_phone()}]}
                added = self.call(self.admin, "POST", f"{CUSTOMERS}/{made['id']}/contacts", json=contact)
                self.people.add(added.json()["id"])

    @property
    def live(self) -> list[str]:
        """Those who are read under their own id."""
        return [one for one in self.ids if self.call(self.admin, "GET", f"{CUSTOMERS}/{one}").status_code == 200]

    @rule(data=st.data(), action=st.sampled_from(("delete", "archive", "keep")), other=st.booleans())
    def merge(self, data: st.DataObject, action: str, other: bool) -> None:
        live = self.live
        if len(live) < 2:
            return
        chosen = data.draw(st.permutations(live))[: data.draw(st.integers(2, len(live)))]
        fields = ("owner", "referrer", "referrer_user", "name", "phone", f"attributes.{self.key}")
        wanted = data.draw(st.lists(st.sampled_from(fields), unique=True, max_size=2))
        choose = {field: {"customer_id": data.draw(st.sampled_from(chosen))} for field in wanted}
        if len({"referrer", "referrer_user"} & set(choose)) == 2:
            del choose["referrer"]
        before = self.all()
        body = {"master_id": chosen[0], "source_ids": chosen[1:], "sources": action, "choose": choose,
                "versions": {one: before[one]["version"] for one in chosen}}  # fmt: skip
        reply = self.call(self.merger.client if other else self.admin, "POST", f"{CUSTOMERS}/merge", json=body)
        if reply.status_code == 201:
            self.stack.append((reply.json()["id"], before))
        else:
            found = {reply.json()["code"], *(one["code"] for one in reply.json().get("errors", []))}
            assert found & REFUSALS, reply.text
            assert self.all() == before
        for one in self.live:
            assert self.call(self.admin, "GET", f"{CUSTOMERS}/{one}").json()["referrer"] != one

    @rule(data=st.data())
    def promote(self, data: st.DataObject) -> None:
        customer = data.draw(st.sampled_from(self.live))
        # Not one that a merge has made for a phone: it would stay, because somebody has made more of it.
        contacts = [one for one in self.contacts(customer) if one["id"] in self.people]
        if contacts:
            one = data.draw(st.sampled_from(contacts))
            url, headers = f"{CUSTOMERS}/{customer}/contacts/{one['id']}", {"If-Match": f'"{one["version"]}"'}
            body = {"is_primary": True, "position": f"Chức {next(_numbers)}"}
            reply = self.call(self.admin, "PATCH", url, json=body, headers=headers)
            assert reply.status_code == 200, reply.text
            self.promoted += 1

    @precondition(lambda self: self.stack)
    @rule(other=st.booleans())
    def undo(self, other: bool) -> None:
        self.take_back(self.merger.client if other else self.admin)

    def teardown(self) -> None:
        """At the end, everything is as in the beginning."""
        while self.stack:
            self.take_back(self.admin)

    def take_back(self, client: httpx.AsyncClient) -> None:
        """Undoes the last merge, if this caller may: all is what it was before it."""
        merge_id, before = self.stack[-1]
        reply = self.call(client, "POST", f"{API}/merges/{merge_id}/undo")
        if client is not self.admin and reply.status_code in (404, 409):
            return
        assert reply.status_code == 200, reply.text
        self.stack.pop()
        assert [one for one in reply.json()["left"] if one["field"] != "contacts"] == []
        now = self.all()
        assert {one: self.plain(of) for one, of in now.items()} == {one: self.plain(of) for one, of in before.items()}

    def all(self) -> dict[str, dict[str, Any]]:
        """Everybody, with contacts and phones."""
        found: dict[str, dict[str, Any]] = {}
        for one in self.ids:
            reply = self.call(self.admin, "GET", f"{CUSTOMERS}/{one}")
            found[one] = {"status": reply.status_code}
            if reply.status_code == 200:
                phones = self.call(self.admin, "GET", f"{CUSTOMERS}/{one}/phones").json()["items"]
                found[one] |= reply.json() | {
                    "contacts": self.contacts(one),
                    "phones": [each["value"] for each in phones],
                }
                assert sum(each["is_primary"] for each in found[one]["contacts"]) <= 1
        return found

    def plain(self, customer: dict[str, Any]) -> dict[str, Any]:
        """A customer without what any change moves; who is primary, only while nobody was promoted."""
        kept = {key: value for key, value in customer.items() if key not in ("version", "updated_at", "phones")}
        kept["phones"] = sorted(customer.get("phones", []))
        flags = ("id",) if self.promoted else ("id", "is_primary")
        kept["contacts"] = sorted([each[flag] for flag in flags] for each in customer.get("contacts", []))
        return kept

    def contacts(self, customer: str) -> list[dict[str, Any]]:
        """The contacts of a customer that are records of their own."""
        listed = self.call(self.admin, "GET", f"{CUSTOMERS}/{customer}/contacts").json()["items"]
        return [one for one in listed if one["id"] != customer]

    def call(self, client: httpx.AsyncClient, method: str, url: str, **more: Any) -> httpx.Response:
        """A request that does not fail."""
        reply: httpx.Response = self.wait(client.request(method, url, **more))
        assert reply.status_code < 500, reply.text
        return reply


def some(data: st.DataObject) -> bool:
    """Heads or tails."""
    return bool(data.draw(st.sampled_from((True, False))))


@pytest.mark.feature("B037", "B038", "E025")
@pytest.mark.promise(11)
async def test_undoing_brings_everything_back(workspace: Workspace) -> None:
    loop = asyncio.get_running_loop()
    merger = await workspace.person("sale", permissions=list(MERGER))
    made = await workspace.admin.post(f"{API}/attributes", json={"name": "Số thẻ", "type": "text", "unique": True})
    key = made.json()["key"]

    def wait(call: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(call, loop).result(60)

    few = settings(
        max_examples=8,
        stateful_step_count=8,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        # To make a failure smaller would take longer than a test may.
        phases=(Phase.generate,),
    )

    class Here(Whole):
        def __init__(self) -> None:
            super().__init__(workspace, merger, key, wait)

    with ThreadPoolExecutor(1) as pool:
        await loop.run_in_executor(pool, lambda: run_state_machine_as_test(Here, settings=few))
