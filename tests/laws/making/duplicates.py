"""How merges, and customers who may be one, are made."""

import asyncio
from typing import Any

from tests.laws.making.customers import customer, customer_body
from tests.laws.scene import API, Call, Made, Scene


async def merge(scene: Scene) -> Made:
    """A merge of two customers."""
    master, source = await customer(scene), await customer(scene)
    body = {"master_id": master.id, "source_ids": [source.id]}
    call = Call(body=body)
    await as_they_are(scene, call)
    return await scene.make("/customers/merge", call.body)


async def as_they_are(scene: Scene, call: Call) -> None:
    """A merge names the versions of its customers."""
    ids = [call.body["master_id"], *call.body["source_ids"]]
    urls = [f"{API}/customers/{one}" for one in ids]
    versions = {one: (await scene.client.get(url)).json()["version"] for one, url in zip(ids, urls, strict=True)}
    call.body = {**call.body, "versions": versions}


async def with_another(scene: Scene, call: Call) -> None:
    """It takes two customers not to be one."""
    call.body["customer_ids"].append((await customer(scene)).id)


async def dismissal(scene: Scene) -> Made:
    """Two customers who were said not to be one."""
    pair = [await customer(scene) for _ in range(2)]
    return await scene.make("/duplicates/dismiss", {"customer_ids": [one.id for one in pair]})


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


async def after_a_scan(scene: Scene, _: Call) -> None:
    """A rule merges what a scan has found."""
    await scan(scene)


def keys_body(scene: Scene) -> dict[str, Any]:
    """Duplicate keys that were not so before, and that nobody's values break."""
    return {"keys": [{"fields": ["name", "email"], "imports": bool(scene.number() % 2)}]}
