"""How long work is made, in the state that an operation needs: imports, jobs, bulk changes, exports."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import update

from app.core import jobs
from app.core.clock import new_id, now
from tests.laws.making.customers import customer
from tests.laws.scene import API, Call, Made, Maker, Scene


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
        job_id = await jobs.enqueue(session, scene.actor, "law.hold", queue="bulk", delay=timedelta(days=1))
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
            job_id = await jobs.enqueue(session, scene.actor, "law.wait", queue="bulk", delay=timedelta(days=1))
        scene.others.add(str(job_id))
        for step in steps:
            reply = await scene.client.post(f"{API}/jobs/{job_id}/{step}")
            assert reply.status_code == 202, reply.text
        return Made(str(job_id))

    return make


async def ended_job(scene: Scene) -> Made:
    """A job of the caller's that is done: watching it ends."""
    job_id = new_id()
    async with scene.workspace.resources.db.transaction(scene.workspace.id) as session:
        await jobs.enqueue_done(session, scene.actor, "law.wait", job_id, progress={}, result={})
    scene.others.add(str(job_id))
    return Made(str(job_id))


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
            scene.links[made.id] = reply.json()["file_url"].partition("token=")[2]
            return Made(made.id, reply.headers["etag"], reply.json())
        await asyncio.sleep(0.05)
    raise AssertionError(f"the export was not written: {reply.text}")


async def by_its_link(scene: Scene, call: Call) -> None:
    """A file is taken by the token that leads to it."""
    call.query["token"] = scene.links[call.path["export_id"]]
