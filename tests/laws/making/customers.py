"""How customers and what belongs to them are made: contacts, groups, lists, filters, deals, attributes."""

from collections.abc import Callable
from typing import Any

from tests.laws.making.people import user
from tests.laws.scene import API, Call, Made, Maker, Scene


async def customer(scene: Scene) -> Made:
    """A customer with a short history."""
    made = await scene.make("/customers", customer_body(scene))
    url = f"{API}/customers/{made.id}"
    changed = await scene.client.patch(url, json={"note": scene.text()}, headers={"If-Match": made.etag})
    assert changed.status_code == 200, changed.text
    return Made(made.id, changed.headers["etag"], changed.json())


def customer_body(scene: Scene) -> dict[str, Any]:
    """A customer who is not there yet."""
    return {
        "name": scene.text(),
        "phone": scene.phone(),
        "email": f"{scene.canary}{scene.number()}@example.com",
        "note": scene.text(),
    }


async def shared_with_somebody(scene: Scene) -> Made:
    """A colleague whom a customer is shared with."""
    parent, colleague = await scene.make("/customers", customer_body(scene)), await user(scene)
    url = f"{API}/customers/{parent.id}/shares"
    shared = await scene.client.post(url, json={"users": [colleague.id]})
    assert shared.status_code == 200, shared.text
    scene.parents[colleague.id] = parent.id
    return Made(colleague.id)


async def lead(scene: Scene) -> Made:
    """A customer who may become another's contact."""
    return await scene.make("/customers", customer_body(scene) | {"kind": "lead"})


async def saved_filter(scene: Scene) -> Made:
    """A saved filter of one's own."""
    return await scene.make("/filters", filter_body(scene))


def filter_body(scene: Scene) -> dict[str, Any]:
    """A saved filter that is not there yet."""
    return {"name": scene.text(), "filter": {"field": "name", "op": "contains", "value": scene.text()},
            "visibility": "shared"}  # fmt: skip


def view_body(scene: Scene) -> dict[str, Any]:
    """A view."""
    return {"filters": ["owner", "source"][: scene.number() % 3], "columns": ["code", "name"]}


def of_a_company(path: str, body: Callable[[Scene], dict[str, Any]]) -> Maker:
    """A maker of something of a company's: a contact, a phone, an address."""

    async def make(scene: Scene) -> Made:
        parent = await scene.make("/customers", customer_body(scene) | {"kind": "company"})
        made = await scene.make(f"/customers/{parent.id}/{path}", body(scene))
        scene.parents[made.id] = parent.id
        return made

    return make


def contact_body(scene: Scene) -> dict[str, Any]:
    """A contact who is not there yet."""
    return {"name": scene.text(), "note": scene.text(), "phones": [{"value": scene.phone()}]}


def with_two(path: str, body: Callable[[Scene], dict[str, Any]]) -> Maker:
    """A maker of a company with enough contacts, phones or addresses for more than a page of one."""

    async def make(scene: Scene) -> Made:
        made = await scene.make("/customers", customer_body(scene) | {"kind": "company"})
        for _ in range(2):
            await scene.make(f"/customers/{made.id}/{path}", body(scene))
        return made

    return make


def phone_body(scene: Scene) -> dict[str, Any]:
    """A phone that nobody has yet."""
    return {"value": scene.phone()}


def email_body(scene: Scene) -> dict[str, Any]:
    """An e-mail address that nobody has yet."""
    return {"value": f"{scene.canary}{scene.number()}@example.com"}


def address_body(scene: Scene) -> dict[str, Any]:
    """A postal address that is not there yet."""
    return {"value": scene.text()}


def link_body(scene: Scene) -> dict[str, Any]:
    """A link that is not there yet."""
    return {"value": f"https://example.com/{scene.canary}/{scene.number()}"}


async def of_its_customer(scene: Scene, call: Call) -> None:
    """A contact or value is one of its own customer."""
    made = next(id_ for name, id_ in call.path.items() if name != "customer_id")
    call.path["customer_id"] = scene.parents[made]


def tabs_body(scene: Scene) -> dict[str, Any]:
    """Tabs in an order of their own."""
    return {"tabs": [["contacts", "tasks"], ["orders", "contacts"], ["timeline"]][scene.number() % 3]}


async def group(scene: Scene) -> Made:
    """An empty group."""
    return await scene.make("/groups", group_body(scene))


def group_body(scene: Scene) -> dict[str, Any]:
    """A group that is not there yet."""
    return {"name": scene.text(), "description": scene.text()}


async def in_the_group(scene: Scene, call: Call) -> None:
    """Who is to be taken out of a group must be in it."""
    url = f"{API}/groups/{call.path['group_id']}/customers"
    reply = await scene.client.post(url, json=call.body)
    assert reply.status_code == 200, reply.text


def listed(path: str) -> Maker:
    """A maker of a value of one of the workspace's lists."""

    async def value(scene: Scene) -> Made:
        return await scene.make(path, {"name": scene.text()})

    return value


async def transaction(scene: Scene) -> Made:
    """A transaction with a customer."""
    return await scene.make("/transactions", await transaction_body(scene))


async def transaction_body(scene: Scene) -> dict[str, Any]:
    """A transaction that is not there yet, with a customer and a type of its own."""
    of, type_ = await customer(scene), await listed("/transaction-types")(scene)
    return {"customer_id": of.id, "type_id": type_.id, "name": scene.text(), "description": scene.text()}


async def contract(scene: Scene) -> Made:
    """A contract with a customer."""
    of = await customer(scene)
    return await scene.make("/contracts", {**contract_body(scene), "customer_id": of.id})


def contract_body(scene: Scene) -> dict[str, Any]:
    """A contract that is not there yet."""
    return {"number": scene.text(), "value": scene.number(), "note": scene.text()}


async def attribute(scene: Scene) -> Made:
    """An attribute that takes texts."""
    return await scene.make("/attributes", attribute_body(scene))


def attribute_body(scene: Scene) -> dict[str, Any]:
    """An attribute that is not there yet; without a slot of its own, of which there are few."""
    return {"name": scene.text(), "type": "long_text"}


async def field_of_customers(scene: Scene) -> Made:
    """A built-in field, whose key is the same in every workspace."""
    fields = (await scene.client.get(f"{API}/fields")).json()["items"]
    found = next(one for one in fields if one["key"] == "address")
    return Made("address", f'"{found["version"]}"', found)


async def trashed(scene: Scene) -> Made:
    """A customer of the trash."""
    made = await customer(scene)
    url = f"{API}/customers/{made.id}"
    reply = await scene.client.delete(url, headers={"If-Match": made.etag})
    assert reply.status_code == 204, reply.text
    return Made(made.id, '"3"')
