"""Who may not see customers' phones sees none, whatever they call, and cannot find one out digit by digit."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from fastapi import FastAPI

from app.core.masking import REVEAL
from app.core.settings import Settings
from app.identity.permissions import KEYS
from tests.factories.people import Person, make_workspace
from tests.laws.calling import prepare, send
from tests.laws.contract import Operation, operations
from tests.laws.making.duplicates import as_they_are, scan
from tests.laws.scene import API, Call, Scene
from workers.main import WorkerProcess

SECURED = [operation for operation in operations() if operation.secured]
OF_CUSTOMERS = [one for one in SECURED if one.method == "get" and one.names("path") == ["customer_id"]]
BLIND = sorted(KEYS - {REVEAL})
# What holds phones that are no customers' yet.
UPLOADED = {"create_import": "the preview of a file repeats what the caller uploads"}


@dataclass
class Hidden:
    """A workspace with phones wherever one can stand. `rich` is the customer that has them all."""

    scene: Scene
    rich: str
    whole: str

    @property
    def numbers(self) -> set[str]:
        """Every phone of the workspace, without what stands before it."""
        return {one[1:] for one in self.scene.personal if re.fullmatch("0[0-9]{9}", one)}

    def shown(self, text: str) -> list[str]:
        """The phones that stand in a text, however they are spelled."""
        plain = re.sub(r"[ .-]", "", text)
        return [one for one in self.numbers if one in plain]


@pytest.fixture(scope="module")
async def hidden(settings: Settings, app: FastAPI, worker: WorkerProcess) -> AsyncIterator[Hidden]:
    """One workspace for all tests."""
    workspace = await make_workspace(settings, app)
    scene = Scene(workspace, workspace.administrator)
    attribute = await scene.make("/attributes", {"name": "Số phụ", "type": "phone"})
    key = attribute.reply["key"]
    rich = await scene.make("/customers", _rich(scene, key))
    await scene.make(f"/customers/{rich.id}/phones", {"value": _typed(scene.phone())})
    await scene.make(f"/customers/{rich.id}/contacts", {"name": scene.text(), "phones": [{"value": scene.phone()}]})
    etag = (await scene.client.get(f"{API}/customers/{rich.id}")).headers["etag"]
    again = {name: value for name, value in _rich(scene, key).items() if name in ("phone", "fax", "attributes")}
    changed = await scene.client.patch(f"{API}/customers/{rich.id}", json=again, headers={"If-Match": etag})
    assert changed.status_code == 200, changed.text
    for state in ("merged", "trashed"):
        other = await scene.make("/customers", _rich(scene, key))
        if state == "trashed":
            await scene.client.delete(f"{API}/customers/{other.id}", headers={"If-Match": other.etag})
            continue
        call = Call(body={"master_id": rich.id, "source_ids": [other.id], "choose": _chosen(other.id, key)})
        await as_they_are(scene, call)
        await scene.make("/customers/merge", call.body)
    # A lead may have the phone of another customer's contact, and so the centre tells the number as a reason.
    shared = scene.phone()
    await scene.make("/customers", {"name": scene.text(), "phone": shared, "kind": "lead"})
    await scene.make(f"/customers/{rich.id}/phones", {"value": shared})
    await scan(scene)
    phone = (await scene.client.get(f"{API}/customers/{rich.id}")).json()["phone"]
    yield Hidden(scene, rich.id, _typed("0" + phone[3:]))
    await workspace.aclose()


@pytest.fixture
async def caller(hidden: Hidden) -> AsyncIterator[Person]:
    """Somebody who may do everything but see phones."""
    made = await hidden.scene.workspace.person("manager", permissions=BLIND)
    yield made
    await made.client.aclose()


@pytest.mark.parametrize("operation", SECURED, ids=lambda operation: operation.id)
async def test_no_reply_shows_a_phone(operation: Operation, hidden: Hidden, caller: Person) -> None:
    call = await prepare(operation, hidden.scene)
    reply = await send(operation, caller.client, call)
    assert reply.status_code < 500, reply.text
    if operation.id in UPLOADED:
        assert hidden.shown(reply.text), f"{operation} needs no exception any more"
    else:
        assert not hidden.shown(reply.text), f"{operation} shows a phone: {reply.text}"


@pytest.mark.parametrize("operation", OF_CUSTOMERS, ids=lambda operation: operation.id)
async def test_no_reply_about_a_customer_with_many_phones_shows_one(
    operation: Operation, hidden: Hidden, caller: Person
) -> None:
    call = Call(path={"customer_id": hidden.rich})
    reply = await send(operation, caller.client, call)
    assert reply.status_code == 200, reply.text
    assert not hidden.shown(reply.text), f"{operation} shows a phone: {reply.text}"


async def test_the_permission_is_what_hides_them(hidden: Hidden) -> None:
    """The same calls show phones to who may see them: the law above does not look past them."""
    telling = {"get_customer", "list_customer_events", "list_contacts", "list_customer_phones"}
    for operation in OF_CUSTOMERS:
        reply = await send(operation, hidden.scene.client, Call(path={"customer_id": hidden.rich}))
        if hidden.shown(reply.text):
            telling.discard(operation.id)
    for path in ("/customers", "/customers/trash", "/duplicates", "/merges"):
        reply = await hidden.scene.client.get(f"{API}{path}")
        assert hidden.shown(reply.text), path
    assert not telling


async def test_masked_values_keep_their_shape(hidden: Hidden, caller: Person) -> None:
    seen = (await hidden.scene.client.get(f"{API}/customers/{hidden.rich}")).json()
    found = (await caller.client.get(f"{API}/customers/{hidden.rich}")).json()
    assert found["phone"] == _mask(seen["phone"])
    assert found["fax"] == _mask(seen["fax"])
    assert found["phone_typed"] is None
    assert seen["phone_typed"]
    (key,) = seen["attributes"]
    assert found["attributes"] == {key: _mask(seen["attributes"][key])}
    rest = {"phone", "phone_typed", "fax", "attributes"}
    assert {name: one for name, one in found.items() if name not in rest} == {
        name: one for name, one in seen.items() if name not in rest
    }


async def test_a_mask_sent_back_overwrites_nothing(hidden: Hidden, caller: Person) -> None:
    url = f"{API}/customers/{hidden.rich}"
    found = await caller.client.get(url)
    for name in ("phone", "fax"):
        body, etag = {name: found.json()[name]}, {"If-Match": found.headers["etag"]}
        reply = await caller.client.patch(url, json=body, headers=etag)
        assert reply.status_code == 422
        assert reply.json()["errors"][0]["code"] == "phone_invalid"


async def test_what_is_kept_is_not_masked(hidden: Hidden, caller: Person) -> None:
    """Somebody without the permission takes a merge back; who has it reads whole numbers of what that left."""
    scene = hidden.scene
    one, other = [{"name": scene.text(), "phone": scene.phone(), "fax": fax} for fax in (None, scene.phone())]
    master, source = await scene.make("/customers", one), await scene.make("/customers", other)
    call = Call(body={"master_id": master.id, "source_ids": [source.id]})
    await as_they_are(scene, call)
    merged = await scene.make("/customers/merge", call.body)
    url, fax = f"{API}/customers/{master.id}", scene.phone()
    etag = (await scene.client.get(url)).headers["etag"]
    assert (await scene.client.patch(url, json={"fax": fax}, headers={"If-Match": etag})).status_code == 200
    undone = await caller.client.post(f"{API}/merges/{merged.id}/undo")
    (line,) = undone.json()["left"]
    whole = "+84" + fax[1:]
    assert (line["field"], line["now"]) == ("fax", _mask(whole))
    (line,) = (await scene.client.get(f"{API}/merges/{merged.id}")).json()["left"]
    assert line["now"] == whole
    history = (await scene.client.get(f"{url}/events")).json()["items"]
    assert history[0]["data"]["left"][0]["now"] == whole


async def test_few_members_and_writes_hide_them_too(hidden: Hidden, caller: Person) -> None:
    body = {"fields": ["phone", "attributes"], "filter": {"field": "id", "op": "eq", "value": hidden.rich}}
    reply = await caller.client.post(f"{API}/customers/search", json=body)
    assert "***" in reply.text
    assert not hidden.shown(reply.text)
    number = hidden.scene.phone()
    made = await caller.client.post(f"{API}/customers", json={"name": hidden.scene.text(), "phone": number})
    assert made.status_code == 201
    assert made.json()["phone"] == _mask("+84" + number[1:])


async def test_a_whole_number_is_found_and_a_part_of_one_is_not(hidden: Hidden, caller: Person) -> None:
    number = hidden.whole.replace(" ", "")
    for q, there in ((number, True), (number[-4:], False), (number[:9], False)):
        for client, wanted in ((caller.client, there), (hidden.scene.client, True)):
            listed = (await client.get(f"{API}/customers", params={"q": q})).json()["items"]
            looked = (await client.get(f"{API}/customers/lookup", params={"q": q})).json()["items"]
            assert (hidden.rich in [one["id"] for one in listed]) is wanted, q
            assert (hidden.rich in [one["id"] for one in looked]) is wanted, q


async def test_a_hidden_phone_is_compared_only_whole(hidden: Hidden, caller: Person) -> None:
    fields = {one["key"]: one for one in (await caller.client.get(f"{API}/filters/fields")).json()["fields"]}
    phones = [one for one in fields.values() if one["kind"] == "phone"]
    assert len(phones) == 3
    assert all(one["operators"] == ["eq", "is_empty", "is_not_empty"] for one in phones)
    equal = {"field": "phone", "op": "eq", "value": hidden.whole}
    assert await _ids(caller, equal) == [hidden.rich]
    reply = await caller.client.get(f"{API}/customers", params={"phone": hidden.whole})
    assert [one["id"] for one in reply.json()["items"]] == [hidden.rich]
    for field in phones:
        for op in ("ne", "in", "not_in", "contains", "not_contains", "starts_with", "ends_with"):
            value: Any = ["0987000001"] if "in" in op.split("_") else "0987000001"
            error = await _refusal(caller, {"field": field["key"], "op": op, "value": value})
            assert error["code"] == "phone_hidden"
            assert "không có quyền xem số điện thoại" in error["message"]
    many = {"or": [equal, {"field": "fax", "op": "eq", "value": "0987000001"}]}
    assert (await _refusal(caller, many))["code"] == "phone_hidden"
    point = {"related": "contact_points", "where": {"field": "value", "op": "contains", "value": "0987"}}
    assert (await _refusal(caller, point | {"exists": True}))["code"] == "phone_hidden"


async def test_nobody_sorts_by_a_hidden_phone(hidden: Hidden, caller: Person) -> None:
    fields = (await caller.client.get(f"{API}/filters/fields")).json()["fields"]
    (key,) = [one["key"] for one in fields if one["kind"] == "phone" and one["is_attribute"]]
    reply = await caller.client.post(f"{API}/customers/search", json={"sort": key})
    assert reply.status_code == 422
    assert reply.json()["errors"][0]["code"] == "phone_hidden"
    assert (await hidden.scene.client.post(f"{API}/customers/search", json={"sort": key})).status_code == 200


async def _ids(caller: Person, tree: dict[str, Any]) -> list[str]:
    reply = await caller.client.post(f"{API}/customers/search", json={"filter": tree})
    assert reply.status_code == 200, reply.text
    return [one["id"] for one in reply.json()["items"]]


async def _refusal(caller: Person, tree: dict[str, Any]) -> dict[str, Any]:
    reply = await caller.client.post(f"{API}/customers/search", json={"filter": tree})
    assert reply.status_code == 422, f"{tree}: {reply.text}"
    found: dict[str, Any] = reply.json()["errors"][0]
    return found


def _rich(scene: Scene, key: str) -> dict[str, Any]:
    """A customer with a phone in every field that takes one."""
    return {
        "name": scene.text(),
        "kind": "company",
        "phone": _typed(scene.phone()),
        "fax": scene.phone(),
        "email": f"{uuid4().hex}@example.com",
        "attributes": {key: scene.phone()},
    }


def _chosen(customer_id: str, key: str) -> dict[str, Any]:
    return {one: {"customer_id": customer_id} for one in ("phone", "fax", f"attributes.{key}")}


def _typed(number: str) -> str:
    return f"{number[:4]} {number[4:7]} {number[7:]}"


def _mask(e164: str) -> str:
    return f"0{e164[3:6]}***{e164[-3:]}"
