"""What the matrices of the contract need to know of a domain: how one of its objects is made, and what its bodies hold.

A new operation with an id in it fails the laws until its path stands in MAKERS (or its body's member in BODY_IDS).
A new body needs a line in BODIES only if the contract's example cannot be sent twice.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy import update

from app.core import jobs
from app.core.actor import Actor
from app.core.clock import now
from app.notifications.service import notify
from tests.factories.people import PASSWORD, Person, Workspace
from tests.laws.contract import Operation, Spot

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
        reply = await self.client.post(f"{API}{path}", json=body, **more)
        assert reply.status_code in (201, 202), f"{path}: {reply.text}"
        made = reply.json()
        self.others.add(made["id"])
        return Made(made["id"], reply.headers.get("etag", '"1"'), made)


Maker = Callable[[Scene], Awaitable[Made]]
Body = Callable[[Scene], Any]


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


# Contacts and their values by the customer that has them.
PARENTS: dict[str, str] = {}


def of_a_company(path: str, body: Callable[[Scene], dict[str, Any]]) -> Maker:
    """A maker of something of a company's: a contact, a phone, an address."""

    async def make(scene: Scene) -> Made:
        parent = await scene.make("/customers", customer_body(scene) | {"kind": "company"})
        made = await scene.make(f"/customers/{parent.id}/{path}", body(scene))
        PARENTS[made.id] = parent.id
        return made

    return make


def contact_body(scene: Scene) -> dict[str, Any]:
    """A contact who is not there yet."""
    return {"name": scene.text(), "note": scene.text(), "phones": [{"value": scene.phone()}]}


async def staffed(scene: Scene) -> Made:
    """A company with contacts for more than a page of one."""
    made = await scene.make("/customers", customer_body(scene) | {"kind": "company"})
    for _ in range(2):
        await scene.make(f"/customers/{made.id}/contacts", contact_body(scene))
    return made


async def of_its_customer(_: Scene, call: "Call") -> None:
    """A contact or value is one of its own customer."""
    made = next(id_ for name, id_ in call.path.items() if name != "customer_id")
    call.path["customer_id"] = PARENTS[made]


def tabs_body(scene: Scene) -> dict[str, Any]:
    """Tabs in an order of their own."""
    return {"tabs": [["contacts", "tasks"], ["orders", "contacts"], ["timeline"]][scene.number() % 3]}


async def group(scene: Scene) -> Made:
    """An empty group."""
    return await scene.make("/groups", group_body(scene))


def group_body(scene: Scene) -> dict[str, Any]:
    """A group that is not there yet."""
    return {"name": scene.text(), "description": scene.text()}


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


async def user(scene: Scene) -> Made:
    """An account."""
    return await scene.make("/users", user_body(scene))


def user_body(scene: Scene) -> dict[str, Any]:
    """An account that is not there yet."""
    return {"username": f"u{scene.number()}.{scene.canary[3:]}", "password": PASSWORD, "full_name": scene.text()}


async def role(scene: Scene) -> Made:
    """The workspace's role `sale`: roles are born with it."""
    roles = (await scene.client.get(f"{API}/roles")).json()["items"]
    found = next(one for one in roles if one["key"] == "sale")
    scene.others.add(found["id"])
    return Made(found["id"], f'"{found["version"]}"', found)


async def api_key(scene: Scene) -> Made:
    """A key of the caller's."""
    made = await scene.make("/api-keys", key_body(scene))
    scene.personal.add(made.reply["key"])
    return made


def key_body(scene: Scene) -> dict[str, Any]:
    """A key that is not there yet."""
    return {"name": scene.text(), "scopes": ["customers.view"]}


async def field_of_customers(scene: Scene) -> Made:
    """A built-in field, whose key is the same in every workspace."""
    fields = (await scene.client.get(f"{API}/fields")).json()["items"]
    found = next(one for one in fields if one["key"] == "address")
    return Made("address", f'"{found["version"]}"', found)


def customers_file(scene: Scene) -> dict[str, Any]:
    """An upload: a table of three customers."""
    lines = ["Họ tên,SĐT,Ghi chú", *(f"{scene.text()},{scene.phone()},{scene.text()}" for _ in range(3))]
    return {"file": (f"{scene.text()}.csv", "\n".join(lines).encode(), "text/csv")}


async def uploaded(scene: Scene) -> Made:
    """An import that could be started."""
    reply = await scene.client.post(f"{API}/imports", files=customers_file(scene))
    assert reply.status_code == 201, reply.text
    return await import_in(scene, reply.json()["id"], "ready")


async def import_in(scene: Scene, import_id: str, state: str) -> Made:
    """The import once it has reached a state."""
    scene.others.add(import_id)
    for _ in range(200):
        reply = await scene.client.get(f"{API}/imports/{import_id}")
        if reply.json()["state"] == state:
            return Made(import_id, reply.headers["etag"], reply.json())
        await asyncio.sleep(0.05)
    raise AssertionError(f"the import did not become {state}: {reply.text}")


async def import_after(scene: Scene, state: str, *steps: str, **choices: Any) -> Made:
    """An import after these steps of its life, in the state that they lead to."""
    made = await uploaded(scene)
    for step in steps:
        body = choices if step == "start" else None
        reply = await scene.client.post(f"{API}/imports/{made.id}/{step}", json=body)
        assert reply.status_code == 202, reply.text
    return await import_in(scene, made.id, state)


async def waiting_import(scene: Scene) -> Made:
    """An import that cannot begin, because its lane is taken."""
    await take_lane(scene)
    return await import_after(scene, "queued", "start")


async def paused_import(scene: Scene) -> Made:
    """An import that was paused before it began."""
    await take_lane(scene)
    return await import_after(scene, "paused", "start", "pause")


async def dry_run(scene: Scene) -> Made:
    """An import whose rows were looked at."""
    await free_lane(scene)
    return await import_after(scene, "succeeded", "start", dry_run=True)


async def finished_import(scene: Scene) -> Made:
    """An import that has added its customers."""
    await free_lane(scene)
    return await import_after(scene, "succeeded", "start")


async def take_lane(scene: Scene) -> None:
    """Lets no import of the workspace run: a job that seems to run holds the lane."""
    await free_lane(scene)
    moment = now()
    async with scene.workspace.resources.db.transaction(scene.workspace.id) as session:
        job_id = await jobs.enqueue(session, scene.actor, "law.hold", queue="bulk", run_at=moment + timedelta(days=1))
        await session.execute(
            update(jobs.Job)
            .where(jobs.Job.id == job_id)
            .values(
                state="running", lane="imports", lease_token=job_id, lease_until=moment + timedelta(hours=1), claims=1
            )
        )


async def free_lane(scene: Scene) -> None:
    """Ends the jobs that hold the lane."""
    ended = {"state": "succeeded", "lease_token": None, "lease_until": None, "finished_at": now()}
    held = (jobs.Job.kind == "law.hold", jobs.Job.state == "running")
    async with scene.workspace.resources.db.transaction(scene.workspace.id) as session:
        await session.execute(update(jobs.Job).where(*held).values(**ended))


def job(*steps: str) -> Maker:
    """A maker of a job of the caller's that is not due before tomorrow, after these steps."""

    async def make(scene: Scene) -> Made:
        async with scene.workspace.resources.db.transaction(scene.workspace.id) as session:
            job_id = await jobs.enqueue(
                session, scene.actor, "law.wait", queue="bulk", run_at=now() + timedelta(days=1)
            )
        scene.others.add(str(job_id))
        for step in steps:
            reply = await scene.client.post(f"{API}/jobs/{job_id}/{step}")
            assert reply.status_code == 202, reply.text
        return Made(str(job_id))

    return make


async def notification(scene: Scene) -> Made:
    """Something that the caller should know."""
    async with scene.workspace.resources.db.transaction(scene.workspace.id) as session:
        made = await notify(session, scene.person.id, "law", vi=scene.text(), en=scene.text(), subject_type="workspace")
    scene.others.add(str(made))
    return Made(str(made))


async def trashed(scene: Scene) -> Made:
    """A customer of the trash."""
    made = await customer(scene)
    url = f"{API}/customers/{made.id}"
    reply = await scene.client.delete(url, headers={"If-Match": made.etag})
    assert reply.status_code == 204, reply.text
    return Made(made.id, '"3"')


async def bulk_job(scene: Scene) -> Made:
    """A bulk change of two customers that is done."""
    ids = [(await customer(scene)).id for _ in range(2)]
    body = {"action": "set_field", "selection": {"ids": ids}, "params": {"field": "note", "value": scene.text()}}
    reply = await scene.client.post(f"{API}/customers/bulk", json=body, headers={"Idempotency-Key": uuid4().hex})
    assert reply.status_code == 200, reply.text
    scene.others.add(reply.json()["id"])
    return Made(reply.json()["id"], reply.headers["etag"], reply.json())


async def export(scene: Scene) -> Made:
    """An export whose file is ready."""
    chosen = {"ids": [(await customer(scene)).id]}
    made = await scene.make("/exports", {"selection": chosen, "columns": ["name", "note"]})
    scene.others.add(made.reply["job_id"])
    for _ in range(400):
        reply = await scene.client.get(f"{API}/exports/{made.id}")
        if reply.json()["file_url"]:
            LINKS[made.id] = reply.json()["file_url"].partition("token=")[2]
            return Made(made.id, reply.headers["etag"], reply.json())
        await asyncio.sleep(0.05)
    raise AssertionError(f"the export was not written: {reply.text}")


async def merge(scene: Scene) -> Made:
    """A merge of two customers."""
    master, source = await customer(scene), await customer(scene)
    body = {"master_id": master.id, "source_ids": [source.id]}
    call = Call(body=body)
    await as_they_are(scene, call)
    return await scene.make("/customers/merge", call.body)


async def as_they_are(scene: Scene, call: "Call") -> None:
    """A merge names the versions of its customers."""
    ids = [call.body["master_id"], *call.body["source_ids"]]
    urls = [f"{API}/customers/{one}" for one in ids]
    versions = {one: (await scene.client.get(url)).json()["version"] for one, url in zip(ids, urls, strict=True)}
    call.body = {**call.body, "versions": versions}


async def with_another(scene: Scene, call: "Call") -> None:
    """It takes two customers not to be one."""
    call.body["customer_ids"].append((await customer(scene)).id)


async def cluster(scene: Scene) -> Made:
    """Two customers who may be one, as a scan has found."""
    alike = {"name": scene.text(), "birthday": "1990-03-05"}
    made = [await scene.make("/customers", customer_body(scene) | alike) for _ in range(2)]
    await scan(scene)
    return made[0]


async def scan(scene: Scene) -> None:
    """Looks for duplicates in all customers."""
    job_id = (await scene.client.post(f"{API}/duplicates/scan")).json()["job_id"]
    scene.others.add(job_id)
    for _ in range(400):
        if (await scene.client.get(f"{API}/jobs/{job_id}")).json()["state"] == "succeeded":
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the scan did not end")


async def after_a_scan(scene: Scene, _: "Call") -> None:
    """A rule merges what a scan has found."""
    await scan(scene)


def keys_body(scene: Scene) -> dict[str, Any]:
    """Duplicate keys that were not so before, and that nobody's values break."""
    return {"keys": [{"fields": ["name", "email"], "imports": bool(scene.number() % 2)}]}


# The links' tokens by their exports.
LINKS: dict[str, str] = {}


async def by_its_link(_: Scene, call: "Call") -> None:
    """A file is taken by the token that leads to it."""
    call.query["token"] = LINKS[call.path["export_id"]]


# How to make what a path's last parameter names. A key is an operation's id, or a path that ends with the parameter.
MAKERS: dict[str, Maker] = {
    f"{API}/users/{{user_id}}": user,
    f"{API}/roles/{{role_id}}": role,
    f"{API}/api-keys/{{key_id}}": api_key,
    f"{API}/customers/{{customer_id}}": customer,
    f"{API}/customers/{{customer_id}}/contacts/{{contact_id}}": of_a_company("contacts", contact_body),
    f"{API}/customers/{{customer_id}}/phones/{{point_id}}": of_a_company("phones", lambda s: {"value": s.phone()}),
    f"{API}/customers/{{customer_id}}/emails/{{point_id}}": of_a_company(
        "emails", lambda s: {"value": f"{s.canary}{s.number()}@example.com"}
    ),
    f"{API}/customers/{{customer_id}}/addresses/{{point_id}}": of_a_company("addresses", lambda s: {"value": s.text()}),
    f"{API}/customers/{{customer_id}}/links/{{point_id}}": of_a_company(
        "links", lambda s: {"value": f"https://example.com/{s.canary}/{s.number()}"}
    ),
    "convert_customer": lead,
    "list_contacts": staffed,
    f"{API}/groups/{{group_id}}": group,
    f"{API}/sources/{{value_id}}": listed("/sources"),
    f"{API}/customer-types/{{value_id}}": listed("/customer-types"),
    f"{API}/relationships/{{value_id}}": listed("/relationships"),
    f"{API}/filters/{{filter_id}}": saved_filter,
    f"{API}/tags/{{tag_id}}": listed("/tags"),
    f"{API}/tiers/{{tier_id}}": listed("/tiers"),
    f"{API}/transaction-types/{{type_id}}": listed("/transaction-types"),
    f"{API}/transactions/{{transaction_id}}": transaction,
    f"{API}/contracts/{{contract_id}}": contract,
    f"{API}/attributes/{{attribute_id}}": attribute,
    f"{API}/fields/{{key}}": field_of_customers,
    f"{API}/imports/{{import_id}}": uploaded,
    "pause_import": waiting_import,
    "resume_import": paused_import,
    "cancel_import": waiting_import,
    "undo_import": finished_import,
    "list_import_rows": dry_run,
    "get_import_result": dry_run,
    f"{API}/jobs/{{job_id}}": job(),
    "resume_job": job("pause"),
    "watch_job": job("cancel"),
    f"{API}/notifications/{{notification_id}}": notification,
    # The trash has no address of its own for one of its customers; the law of cursors asks for what a list holds.
    f"{API}/customers/trash/{{customer_id}}": trashed,
    "restore_customer": trashed,
    "purge_customer": trashed,
    "list_job_items": bulk_job,
    "undo_job": bulk_job,
    f"{API}/exports/{{export_id}}": export,
    f"{API}/merges/{{merge_id}}": merge,
    f"{API}/duplicates/{{cluster}}": cluster,
}

# Path parameters that name the same thing in every workspace, so that none is foreign.
SHARED = {f"{API}/fields/{{key}}": "built-in fields have one key everywhere"}

# Queries that an operation needs to succeed.
QUERIES: dict[str, dict[str, str]] = {
    "purge_customer": {"confirm": "Khách hàng bị xóa sẽ không thể khôi phục lại"},
}

# POSTs that must carry an Idempotency-Key.
KEY_REQUIRED = {"bulk_customers"}

# What an id in a body or a query names, by operation and place.
BODY_IDS: dict[tuple[str, str], Maker] = {
    ("create_customer", "owner"): user,
    ("update_customer", "owner"): user,
    ("create_customer", "referrer"): customer,
    ("create_customer", "referrer_user"): user,
    ("update_customer", "referrer_user"): user,
    ("update_customer", "referrer"): customer,
    ("convert_customer", "attach_to"): customer,
    ("add_group_customers", "ids[]"): customer,
    ("remove_group_customers", "ids[]"): customer,
    ("start_import", "group.id"): group,
    ("bulk_customers", "selection.ids[]"): customer,
    ("bulk_customers", "selection.exclude[]"): customer,
    ("bulk_customers", "params.owner"): user,
    ("bulk_customers", "params.groups[]"): group,
    ("preview_bulk_customers", "selection.ids[]"): customer,
    ("preview_bulk_customers", "selection.exclude[]"): customer,
    ("preview_bulk_customers", "params.owner"): user,
    ("preview_bulk_customers", "params.groups[]"): group,
    ("create_export", "selection.ids[]"): customer,
    ("create_export", "selection.exclude[]"): customer,
    ("create_filter", "users[]"): user,
    ("create_filter", "roles[]"): role,
    ("update_filter", "users[]"): user,
    ("update_filter", "roles[]"): role,
    ("count_filters", "ids[]"): saved_filter,
    ("count_customers", "ids[]"): customer,
    ("count_customers", "exclude[]"): customer,
    ("create_transaction", "customer_id"): customer,
    ("create_transaction", "type_id"): listed("/transaction-types"),
    ("create_quick_transaction", "type_id"): listed("/transaction-types"),
    ("update_transaction", "type_id"): listed("/transaction-types"),
    ("create_contract", "customer_id"): customer,
    ("dismiss_duplicates", "customer_ids[]"): customer,
    ("preview_merge", "master_id"): customer,
    ("preview_merge", "source_ids[]"): customer,
    ("merge_customers", "master_id"): customer,
    ("merge_customers", "source_ids[]"): customer,
}
# Places of a body that are filled instead of another one, never with it.
INSTEAD = {"referrer_user": "referrer"}
QUERY_IDS: dict[tuple[str, str], Maker] = {
    # Filters are not parameters of their own in the contract: any field may be one.
    ("list_customers", "id"): customer,
    ("list_transactions", "customer_id"): customer,
    ("list_transactions", "type_id"): listed("/transaction-types"),
    ("list_contracts", "customer_id"): customer,
    ("list_merges", "customer_id"): customer,
    ("list_merges", "batch_id"): job(),
    ("list_customers", "owner"): user,
    ("list_customers", "referrer"): customer,
    ("list_customers", "groups"): group,
}

# Bodies by operation, for those whose example in the contract cannot be sent twice or names what is not there.
BODIES: dict[str, Body] = {
    "login": lambda scene: {"workspace": scene.workspace.slug, "username": scene.person.username, "password": PASSWORD},
    "refresh_tokens": lambda scene: {"refresh_token": scene.person.refresh_token},
    "update_me": lambda scene: {"full_name": scene.text()},
    "change_my_password": lambda scene: {
        "current_password": PASSWORD,
        "new_password": f"cà phê trứng {scene.number()}",
    },
    "create_user": user_body,
    "update_user": lambda scene: {"full_name": scene.text()},
    "update_role": lambda scene: {"name": scene.text()},
    "create_api_key": key_body,
    "update_settings": lambda _: {},
    "create_customer": customer_body,
    "update_customer": lambda scene: {"note": scene.text()},
    "create_contact": contact_body,
    "update_contact": lambda scene: {"note": scene.text()},
    "convert_customer": lambda _: {"kind": "individual"},
    "add_customer_phone": lambda scene: {"value": scene.phone()},
    "add_customer_email_address": lambda scene: {"value": f"{scene.canary}{scene.number()}@example.com"},
    "add_customer_postal_address": lambda scene: {"value": scene.text()},
    "add_customer_link": lambda scene: {"value": f"https://example.com/{scene.canary}/{scene.number()}"},
    "put_my_customer_tabs": tabs_body,
    "put_customer_tabs": tabs_body,
    "create_group": group_body,
    "update_group": lambda scene: {"name": scene.text()},
    "add_group_customers": lambda _: {},
    "remove_group_customers": lambda _: {},
    "create_source": lambda scene: {"name": scene.text()},
    "create_customer_type": lambda scene: {"name": scene.text()},
    "create_relationship": lambda scene: {"name": scene.text()},
    "update_source": lambda scene: {"name": scene.text()},
    "update_customer_type": lambda scene: {"name": scene.text()},
    "update_relationship": lambda scene: {"name": scene.text()},
    "create_filter": filter_body,
    "update_filter": lambda scene: {"name": scene.text(), "visibility": "shared"},
    "count_filters": lambda _: {},
    "count_customers": lambda _: {},
    "put_my_view": view_body,
    "put_view": view_body,
    "create_tag": lambda scene: {"name": scene.text()},
    "update_tag": lambda scene: {"name": scene.text()},
    "create_tier": lambda scene: {"name": scene.text(), "benefits": scene.text()},
    "update_tier": lambda scene: {"name": scene.text()},
    "create_transaction_type": lambda scene: {"name": scene.text()},
    "update_transaction_type": lambda scene: {"name": scene.text()},
    "create_transaction": lambda scene: {"name": scene.text()},
    "create_quick_transaction": lambda scene: {"name": scene.text()},
    "update_transaction": lambda scene: {"name": scene.text()},
    "create_contract": contract_body,
    "update_contract": lambda scene: {"note": scene.text()},
    "move_customer": lambda _: {"relationship": "Nóng"},
    "update_score_rules": lambda scene: {"thresholds": [scene.number() * 10 + star for star in range(1, 6)]},
    "create_attribute": attribute_body,
    "update_attribute": lambda scene: {"name": scene.text()},
    "create_import": customers_file,
    "start_import": lambda _: {"dry_run": True},
    # Between them, they read every id that a bulk change can hold.
    "bulk_customers": lambda _: {"action": "owner", "selection": {}, "params": {}},
    "preview_bulk_customers": lambda _: {"action": "groups_add", "selection": {}, "params": {}},
    "create_export": lambda _: {"selection": {}, "columns": ["name", "phone"]},
    "set_duplicate_keys": keys_body,
    "dismiss_duplicates": lambda _: {},
    "preview_merge": lambda _: {},
    "merge_customers": lambda _: {},
    "update_field": lambda scene: {"position": scene.number() % 100 + 1},
}

# Where an operation's version comes from when no path parameter says it.
VERSIONS: dict[str, str] = {
    "update_me": "/me",
    "set_duplicate_keys": "/duplicate-keys",
    "update_settings": "/settings",
    "update_score_rules": "/score-rules",
    "put_my_view": "/me/views/customers",
    "put_view": "/views/customers",
    "put_my_customer_tabs": "/me/tabs/customers",
    "put_customer_tabs": "/tabs/customers",
}


async def in_the_group(scene: Scene, call: "Call") -> None:
    """Who is to be taken out of a group must be in it."""
    url = f"{API}/groups/{call.path['group_id']}/customers"
    reply = await scene.client.post(url, json=call.body)
    assert reply.status_code == 200, reply.text


async def other_settings(scene: Scene, call: "Call") -> None:
    """A change of the settings is one only if they were not so before."""
    now_ = (await scene.client.get(f"{API}/settings")).json()
    call.body = {"group_description_required": not now_["group_description_required"]}


# What must be so before the operation has something to do.
BEFORE: dict[str, Callable[[Scene, "Call"], Awaitable[None]]] = {
    "remove_group_customers": in_the_group,
    **dict.fromkeys(
        (
            "get_contact",
            "update_contact",
            "delete_contact",
            "remove_customer_phone",
            "remove_customer_email_address",
            "remove_customer_postal_address",
            "remove_customer_link",
        ),
        of_its_customer,
    ),
    "update_settings": other_settings,
    "get_export_file": by_its_link,
    "merge_customers": as_they_are,
    "dismiss_duplicates": with_another,
    "merge_by_rule": after_a_scan,
}


@dataclass
class Call:
    """A request that should succeed: everything of the scene's own workspace."""

    path: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


def maker_of(operation: Operation, name: str, *, light: bool = False) -> Maker:
    """How to make what a path parameter of the operation names; `light` in any state, not in the one it needs.

    Raises:
        AssertionError: nobody has said how; a line in MAKERS is missing.
    """
    prefix = operation.path[: operation.path.index(f"{{{name}}}")] + f"{{{name}}}"
    maker = (None if light else MAKERS.get(operation.id)) or MAKERS.get(prefix)
    assert maker, f"{operation}: tests/laws/registry.py does not say how {prefix} is made"
    return maker


async def prepare(operation: Operation, scene: Scene, without: Spot | None = None, *, light: bool = False) -> Call:
    """A call of the operation that should succeed, on fresh objects of the scene's (if it is not `light`).

    What stands at the spot `without` is not made, because the caller will put another id there.
    """
    call = Call(query=dict(QUERIES.get(operation.id, {})))
    for name in operation.names("path"):
        if without == Spot("path", name):
            call.headers["If-Match"] = '"1"'
            continue
        made = await maker_of(operation, name, light=light)(scene)
        call.path[name] = made.id
        call.headers["If-Match"] = made.etag
    if operation.id in VERSIONS:
        call.headers["If-Match"] = (await scene.client.get(f"{API}{VERSIONS[operation.id]}")).headers["etag"]
    if not operation.needs_version:
        call.headers.pop("If-Match", None)
    if operation.body is not None:
        call.body = BODIES[operation.id](scene) if operation.id in BODIES else operation.example
        for (owner, place), make in BODY_IDS.items():
            asked = without.name if without is not None else ""
            if owner == operation.id and place not in INSTEAD and INSTEAD.get(asked) != place:
                put(call.body, place, (await make(scene)).id)
    if operation.id in BEFORE and without is None and not light:
        await BEFORE[operation.id](scene, call)
    return call


async def send(operation: Operation, client: httpx.AsyncClient, call: Call, **headers: str) -> httpx.Response:
    """Sends a call."""
    kind = operation.body[0] if operation.body else ""
    content: dict[str, Any] = {}
    if kind == "multipart/form-data":
        content = {"files": call.body}
    elif call.body is not None:
        content = {"json": call.body}
    url = operation.path.format(**call.path)
    if operation.id in KEY_REQUIRED:
        headers = {"Idempotency-Key": uuid4().hex, **headers}
    return await client.request(
        operation.method.upper(), url, params=call.query or None, headers={**call.headers, **headers}, **content
    )


def put(body: Any, place: str, value: str) -> None:
    """Puts an id into a body: `owner`, `group.id`, `ids[]`."""
    *parents, last = place.split(".")
    for parent in parents:
        body = body.setdefault(parent, {})
    body[last.removesuffix("[]")] = [value] if last.endswith("[]") else value


def nobodys_id() -> str:
    """An id that exists nowhere."""
    return str(uuid4())
