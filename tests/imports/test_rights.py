"""What an import does takes the same rights as elsewhere, at its start and until its end."""

from typing import Any

import httpx
import pytest

from tests.factories.people import Person, Workspace
from tests.imports.steps import API, HEADERS, ROWS, bring, customers, people, ready, rows_of, run, table, undo, until
from tests.imports.test_control import Gate, gate

__all__ = ["gate"]

pytestmark = pytest.mark.usefixtures("worker")
IMPORTER = ["customers.view", "customers.import"]


async def allow(workspace: Workspace, person: Person, *permissions: str) -> None:
    """Gives somebody these rights and no others."""
    url = f"{API}/users/{person.id}"
    etag = (await workspace.admin.get(url)).headers["etag"]
    reply = await workspace.admin.patch(url, json={"permissions": permissions}, headers={"If-Match": etag})
    assert reply.status_code == 200, reply.text


async def refused(client: httpx.AsyncClient, import_id: str, verb: str, **body: Any) -> str:
    """The permission that a call was refused for."""
    reply = await client.post(f"{API}/imports/{import_id}/{verb}", json=body)
    assert (reply.status_code, reply.json()["code"]) == (403, "forbidden"), reply.text
    permission: str = reply.json()["permission"]
    return permission


async def test_a_start_takes_what_its_effects_take(workspace: Workspace) -> None:
    person = await workspace.person(permissions=IMPORTER)
    found = await ready(person.client, table(ROWS))
    assert await refused(person.client, found["id"], "start") == "customers.edit"
    assert await refused(person.client, found["id"], "start", dry_run=True) == "customers.edit"
    new = {"on_duplicate": "skip", "group": {"name": "Mới"}}
    assert await refused(person.client, found["id"], "start", **new) == "groups.manage"
    assert (await workspace.admin.get(f"{API}/groups")).json()["items"] == []
    (await workspace.admin.post(f"{API}/groups", json={"name": "Mới"})).raise_for_status()
    done = await run(person.client, found["id"], **new)
    assert done["counts"]["created"] == 2


async def test_an_undo_takes_what_its_effects_take(workspace: Workspace) -> None:
    person = await workspace.person(permissions=IMPORTER)
    created = await ready(person.client, table(ROWS))
    await run(person.client, created["id"], on_duplicate="reject")
    assert await refused(person.client, created["id"], "undo") == "customers.delete"
    await allow(workspace, person, *IMPORTER, "customers.view_all", "customers.edit")
    changed = await bring(person.client, [HEADERS, ["Hoa Hồng", "0912345678", ""]])
    await allow(workspace, person, *IMPORTER, "customers.delete")
    assert await refused(person.client, changed["id"], "undo") == "customers.edit"
    assert await undo(workspace, changed["id"]) == {"removed": 0, "restored": 1, "kept": 0}
    assert (await person.client.post(f"{API}/imports/{created['id']}/undo")).status_code == 202
    assert (await until(person.client, created["id"], ("undone",)))["undo_counts"]["removed"] == 1


@pytest.mark.parametrize("loss", ["deactivated", "edit"])
async def test_a_run_ends_with_the_rights_of_who_started_it(workspace: Workspace, gate: Gate, loss: str) -> None:
    """They are asked for whenever the run goes on."""
    person = await workspace.person(permissions=[*IMPORTER, "customers.edit"])
    path = await paused_run(person, gate)
    if loss == "deactivated":
        await workspace.deactivate(person)
    else:
        await allow(workspace, person, *IMPORTER)
    assert (await workspace.admin.post(f"{path}/resume")).status_code == 202
    found = await until(workspace.admin, path.rpartition("/")[2], ("failed",))
    assert (found["error"]["code"], found["counts"]["created"]) == ("forbidden", len(await customers(workspace)))
    assert found["error"]["message"] == "Người tạo không còn quyền thực hiện"
    assert found["counts"]["created"] < 12


async def test_a_run_sees_what_who_started_it_sees_by_now(workspace: Workspace, gate: Gate) -> None:
    rows = people(12)
    person = await workspace.person(permissions=[*IMPORTER, "customers.edit", "customers.view_all"])
    path = await paused_run(person, gate, rows)
    for phone, one in (await customers(workspace)).items():
        assert one["owner"] == person.username, phone
    (await workspace.admin.post(f"{API}/customers", json={"name": "Riêng", "phone": rows[12][1]})).raise_for_status()
    await allow(workspace, person, *IMPORTER, "customers.edit")
    for _ in range(12):
        gate.open.release()
    assert (await workspace.admin.post(f"{path}/resume")).status_code == 202
    found = await until(workspace.admin, path.rpartition("/")[2], ("succeeded",))
    assert (found["counts"]["created"], found["counts"]["failed"]) == (11, 1)
    [row] = await rows_of(workspace.admin, found["id"], "failed")
    assert (row["row"], row["errors"][0]["code"]) == (13, "phone_taken")


async def test_an_undo_ends_with_the_rights_of_who_asked(workspace: Workspace, gate: Gate) -> None:
    gate.open.release()
    person = await workspace.person(permissions=[*IMPORTER, "customers.edit", "customers.delete"])
    done = await bring(person.client, ROWS)
    # It waits behind an import that is on its way.
    other = await ready(workspace.admin, table([HEADERS, ["Lan", "0912345679", ""]]))
    gate.waiting.clear()
    assert (await workspace.admin.post(f"{API}/imports/{other['id']}/start", json={})).status_code == 202
    await gate.waiting.wait()
    assert (await person.client.post(f"{API}/imports/{done['id']}/undo")).status_code == 202
    await allow(workspace, person, *IMPORTER)
    gate.open.release()
    ended = await until(person.client, done["id"], ("failed",))
    assert (ended["error"]["code"], len(await customers(workspace))) == ("forbidden", 3)
    [told, _] = (await person.client.get(f"{API}/notifications")).json()["items"]
    assert told["message"].startswith("Hoàn tác lần nhập thất bại: khach.csv – 0 đã gỡ")


async def paused_run(person: Person, gate: Gate, rows: list[list[str]] | None = None) -> str:
    """The address of a run that is paused with some of its chunks written."""
    found = await ready(person.client, table(rows or people(12)))
    path = f"{API}/imports/{found['id']}"
    assert (await person.client.post(f"{path}/start", json={})).status_code == 202
    await gate.waiting.wait()
    await person.client.post(f"{path}/pause")
    gate.open.release()
    await until(person.client, found["id"], ("paused",))
    return path


async def test_only_who_uploaded_a_file_reads_its_phones_without_the_permission(workspace: Workspace) -> None:
    person = await workspace.person(permissions=[*IMPORTER, "customers.edit"])
    typed = ["0912 345 678", "84912345679; a@example.com", "0912345680-0912345681", "12.500.000", "05-03-1990", "+1"]
    rows = [["Tên", "SĐT", "Khác"], *(["Hoa", f"091234560{n}", one] for n, one in enumerate(typed[:5]))]
    rows.append(["Hoa", "0912345600x", typed[5]])
    found = await ready(person.client, table(rows))
    path = f"{API}/imports/{found['id']}"
    await run(person.client, found["id"])

    async def seen(client: httpx.AsyncClient) -> tuple[list[str], list[str], str | None, int]:
        columns = (await client.get(path)).json()["preview"]["sheets"][0]["columns"]
        [failed] = await rows_of(client, found["id"], "failed")
        result = await client.get(f"{path}/result", timeout=60)
        return columns[1]["samples"], columns[2]["samples"], failed["errors"][0]["value"], result.status_code

    whole = [f"091234560{n}" for n in range(5)], typed[:5], "0912345600x", 200
    assert await seen(person.client) == await seen(workspace.admin) == whole
    blind = await workspace.person(permissions=[*IMPORTER, "jobs.view_all"])
    phones, others, value, status = await seen(blind.client)
    assert phones == [f"0912***60{n}" for n in range(5)]
    assert others == ["0912***678", "0912***679; a@example.com", "0912***681", "12.500.000", "05-03-1990"]
    assert (value, status) == ("0912***600x", 403)
