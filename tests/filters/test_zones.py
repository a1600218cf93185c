"""Days are the workspace's own: in filters, in exports and where moments are typed, wherever it is another day."""

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

import asyncpg
import pytest

from app.core.clock import VIETNAM, time_zone
from app.core.db import driver
from app.core.settings import Settings
from app.identity.parameters import parameters
from tests.bulk.steps import API, add
from tests.conftest import MakeWorkspace
from tests.exports.steps import cells, download, export
from tests.factories.people import Workspace
from tests.imports.steps import ready, run, workbook
from workers.main import WorkerProcess

SETTINGS = f"{API}/settings"
# At any moment one of them is on another day than Vietnam: they are 7 hours ahead of it, and 18 behind.
AHEAD, BEHIND = ZoneInfo("Pacific/Kiritimati"), ZoneInfo("Pacific/Pago_Pago")
MINUTE = timedelta(minutes=1)


def another_day() -> ZoneInfo:
    """A zone where it is another day than in Vietnam, which is not about to end."""
    now = datetime.now(UTC)
    for zone in (AHEAD, BEHIND):
        day = now.astimezone(zone).date()
        if day != now.astimezone(VIETNAM).date() and day == (now + 10 * MINUTE).astimezone(zone).date():
            return zone
    raise AssertionError("one of them is on another day than Vietnam at every hour")


def midnight(zone: ZoneInfo, days: int = 0) -> datetime:
    """When today, or the day so many days from it, begins in a zone."""
    day = datetime.now(zone).date() + timedelta(days=days)
    return datetime.combine(day, time(), zone).astimezone(UTC)


@pytest.fixture(params=["given by the operator", "chosen by the administrator"])
async def away(
    request: pytest.FixtureRequest, new_workspace: MakeWorkspace
) -> AsyncIterator[tuple[Workspace, ZoneInfo]]:
    """A workspace where it is another day than in Vietnam, and its zone."""
    zone = another_day()
    if request.param == "given by the operator":
        made = await new_workspace(timezone=zone.key)
    else:
        made = await new_workspace()
        # Whatever was kept of the workspace before the change must be made anew.
        await found(made, {"field": "created_at", "op": "eq", "value": "today"})
        await choose(made, zone.key)
    yield made, zone
    await made.aclose()


async def choose(workspace: Workspace, zone: str) -> None:
    """Sets the workspace's time zone."""
    etag = (await workspace.admin.get(SETTINGS)).headers["etag"]
    reply = await workspace.admin.patch(SETTINGS, json={"timezone": zone}, headers={"If-Match": etag})
    assert reply.status_code == 200, reply.text


async def found(workspace: Workspace, tree: Any) -> set[str]:
    """The names of those whom a filter finds."""
    reply = await workspace.admin.post(f"{API}/customers/search", json={"filter": tree, "limit": 50})
    assert reply.status_code == 200, reply.text
    return {one["name"] for one in reply.json()["items"]}


async def made_at(workspace: Workspace, settings: Settings, moments: dict[str, datetime]) -> dict[str, str]:
    """A customer made at each moment, behind the product's back; their ids by name."""
    ids = {}
    connection = await asyncpg.connect(settings.database_url)
    for name, moment in moments.items():
        [one] = await add(workspace.admin, 1, name=name)
        ids[name] = one["id"]
        await connection.execute(
            "UPDATE crm.customer SET created_at = $3 WHERE tenant_id = $1 AND id = $2",
            workspace.id, UUID(one["id"]), moment,
        )  # fmt: skip
    await connection.close()
    return ids


@pytest.mark.feature("D006")
async def test_days_begin_at_the_workspaces_midnight(away: tuple[Workspace, ZoneInfo], settings: Settings) -> None:
    workspace, zone = away
    begins, month = midnight(zone), datetime.now(zone).month
    moments = {
        "first": begins,
        "last": begins - MINUTE,
        "week": midnight(zone, -7),
        "older": midnight(zone, -7) - MINUTE,
    }
    await made_at(workspace, settings, moments)
    day = begins.astimezone(zone).date().isoformat()

    def asked(op: str, value: Any) -> dict[str, Any]:
        return {"field": "created_at", "op": op, "value": value}

    assert await found(workspace, asked("eq", "today")) == {"first"}
    assert await found(workspace, asked("on_day", day)) == {"first"}
    assert await found(workspace, asked("eq", "yesterday")) == {"last"}
    assert await found(workspace, asked("in_last_days", 7)) == {"first", "last", "week"}
    assert await found(workspace, asked("lt", "today-7")) == {"older"}
    assert await found(workspace, asked("between", ["today-7", "yesterday"])) == {"last", "week"}
    inside = {name for name, moment in moments.items() if moment.astimezone(zone).month == month}
    assert await found(workspace, asked("in_month", month)) == inside
    # The list's own conditions, a count, and a moment without a zone are read alike.
    simple = await workspace.admin.get(f"{API}/customers", params={"created_at__from": day})
    assert [one["name"] for one in simple.json()["items"]] == ["first"]
    body = {"filter": asked("gte", "today")}
    assert (await workspace.admin.post(f"{API}/customers/count", json=body)).json()["count"] == 1
    assert await found(workspace, asked("gte", f"{day} 00:00")) == {"first"}
    assert await found(workspace, asked("gt", f"{day} 00:00")) == set()
    assert await found(workspace, asked("gte", begins.isoformat())) == {"first"}


async def test_birthdays_and_days_of_attributes_are_the_workspaces(away: tuple[Workspace, ZoneInfo]) -> None:
    workspace, zone = away
    reply = await workspace.admin.post(f"{API}/attributes", json={"name": "Hẹn", "key": "hen", "type": "date"})
    assert reply.status_code == 201, reply.text
    for days in (0, 1, 8):
        day = datetime.now(zone).date() + timedelta(days=days)
        born = day.replace(year=1988) if (day.month, day.day) == (2, 29) else day.replace(year=1990)
        await add(workspace.admin, 1, name=f"in {days}", birthday=born.isoformat(), attributes={"hen": day.isoformat()})
    for field in ("birthday", "attributes.hen"):
        assert await found(workspace, {"field": field, "op": "on_day", "value": "today"}) == {"in 0"}, field
        assert await found(workspace, {"field": field, "op": "in_next_days", "value": 7}) == {"in 0", "in 1"}, field


async def test_a_contract_without_a_day_of_signing_has_that_of_its_entry(
    away: tuple[Workspace, ZoneInfo], settings: Settings
) -> None:
    workspace, zone = away
    connection = await asyncpg.connect(settings.database_url)
    for name, moment in (("today", midnight(zone)), ("yesterday", midnight(zone) - MINUTE)):
        [one] = await add(workspace.admin, 1, name=name)
        body = {"customer_id": one["id"], "number": f"HD-{name}", "value": 1}
        reply = await workspace.admin.post(f"{API}/contracts", json=body)
        assert reply.status_code == 201, reply.text
        await connection.execute(
            "UPDATE crm.contract SET created_at = $3 WHERE tenant_id = $1 AND id = $2",
            workspace.id, UUID(reply.json()["id"]), moment,
        )  # fmt: skip
    await connection.close()
    for name, days in (("today", 0), ("yesterday", -1)):
        for value in (name, midnight(zone, days).astimezone(zone).date().isoformat()):
            tree = {"related": "contracts", "where": {"field": "date", "op": "eq", "value": value}}
            assert await found(workspace, tree) == {name}, value


@pytest.mark.feature("E009")
@pytest.mark.parametrize("kind", ["xlsx", "csv"])
async def test_moments_are_typed_and_exported_as_the_workspaces_clock_shows_them(
    away: tuple[Workspace, ZoneInfo], settings: Settings, worker: WorkerProcess, kind: str
) -> None:
    workspace, zone = away
    reply = await workspace.admin.post(f"{API}/attributes", json={"name": "Gọi", "key": "goi", "type": "datetime"})
    assert reply.status_code == 201, reply.text
    ids = await made_at(workspace, settings, {"Hoa": midnight(zone) - MINUTE})
    url = f"{API}/customers/{ids['Hoa']}"
    etag = (await workspace.admin.get(url)).headers["etag"]
    changed = await workspace.admin.patch(
        url, json={"attributes": {"goi": "05/03/2026 09:30"}}, headers={"If-Match": etag}
    )
    stored = datetime(2026, 3, 5, 9, 30, tzinfo=zone).astimezone(UTC)
    assert datetime.fromisoformat(changed.json()["attributes"]["goi"]) == stored
    made = await export(workspace.admin, columns=["created_at", "attributes.goi"], format=kind)
    _, row = await cells(workspace, made)
    yesterday = midnight(zone, -1).astimezone(zone)
    assert row == [f"{yesterday:%d/%m/%Y} 23:59:00", "05/03/2026 09:30:00"]
    name = (await download(workspace, made)).headers["content-disposition"]
    assert f"{datetime.fromisoformat(made['created_at']).astimezone(zone):%Y%m%d}" in name


async def test_moments_of_a_file_are_meant_in_the_workspaces_zone(
    away: tuple[Workspace, ZoneInfo], worker: WorkerProcess
) -> None:
    workspace, zone = away
    for name, key, kind in (("Gọi", "goi", "datetime"), ("Hẹn", "hen", "date")):
        reply = await workspace.admin.post(f"{API}/attributes", json={"name": name, "key": key, "type": kind})
        assert reply.status_code == 201, reply.text
    told = datetime(2026, 3, 5, 9, 30, tzinfo=zone)
    begins = datetime(2026, 3, 5, tzinfo=zone).astimezone(UTC)
    rows: list[list[Any]] = [
        ["Họ tên", "SĐT", "Gọi", "Hẹn"],
        ["text", "0912345671", "05/03/2026 09:30", "05/03/2026"],
        ["cell", "0912345672", datetime(2026, 3, 5, 9, 30), datetime(2026, 3, 5)],
        ["zoned", "0912345673", f"{told.astimezone(UTC):%Y-%m-%d %H:%M}Z", f"{begins:%Y-%m-%dT%H:%M:%S}Z"],
    ]
    made = await ready(workspace.admin, workbook(Khách=rows), "khach.xlsx")
    done = await run(workspace.admin, made["id"])
    assert (done["state"], done["counts"]["created"]) == ("succeeded", 3), done
    items = (await workspace.admin.get(f"{API}/customers")).json()["items"]
    kept = {one["name"]: (datetime.fromisoformat(one["attributes"]["goi"]), one["attributes"]["hen"]) for one in items}
    assert kept == dict.fromkeys(("text", "cell", "zoned"), (told, "2026-03-05"))
    day = {"field": "attributes.hen", "op": "eq", "value": f"{begins:%Y-%m-%dT%H:%M:%S}Z"}
    sentence = await workspace.admin.post(f"{API}/filters/validate", json={"filter": day})
    assert sentence.json()["sentence"] == "Hẹn vào ngày 05/03/2026", sentence.text
    assert await found(workspace, day) == set(kept)


async def test_the_zone_is_a_parameter_that_administrators_change(workspace: Workspace) -> None:
    me = f"{API}/me"
    assert (await workspace.admin.get(SETTINGS)).json()["timezone"] == VIETNAM.key
    for wrong in ("Asia/Sai_Gon_Cu", "../etc/passwd", "", "America", "localtime", "asia/tokyo", None):
        bad = await workspace.admin.patch(SETTINGS, json={"timezone": wrong}, headers={"If-Match": '"1"'})
        assert (bad.status_code, [one["field"] for one in bad.json()["errors"]]) == (422, ["timezone"]), wrong
    await choose(workspace, BEHIND.key)
    assert (await workspace.admin.get(me)).json()["workspace"]["timezone"] == BEHIND.key
    # Back to what the operator gave it: nothing of its own is kept, and nothing else of the parameters is lost.
    etag = (await workspace.admin.get(SETTINGS)).headers["etag"]
    body = {"timezone": VIETNAM.key, "trash_retention_days": 7}
    back = await workspace.admin.patch(SETTINGS, json=body, headers={"If-Match": etag})
    assert (back.json()["timezone"], back.json()["trash_retention_days"]) == (VIETNAM.key, 7)
    async with workspace.resources.db.transaction(workspace.id) as session:
        assert (await parameters(session)).timezone == VIETNAM.key


async def test_the_operators_zone_stays_until_another_is_chosen(new_workspace: MakeWorkspace) -> None:
    made = await new_workspace(timezone=AHEAD.key)
    etag = (await made.admin.get(SETTINGS)).headers["etag"]
    changed = await made.admin.patch(SETTINGS, json={"trash_retention_days": 7}, headers={"If-Match": etag})
    assert changed.json()["timezone"] == AHEAD.key
    await choose(made, VIETNAM.key)
    assert (await made.admin.get(SETTINGS)).json()["timezone"] == VIETNAM.key
    await made.aclose()


async def test_the_database_knows_every_zone_that_a_workspace_can_have(workspace: Workspace) -> None:
    """Old names of zones among them: a browser may call Vietnam's Asia/Saigon."""
    zones = []
    for name in available_timezones():
        with suppress(ValueError):
            zones.append(time_zone(name).key)
    assert {"Asia/Saigon", "Asia/Calcutta", "Europe/Kiev"} <= set(zones)
    async with workspace.resources.db.transaction(workspace.id) as session:
        rows = await (await driver(session)).fetch("SELECT name FROM pg_timezone_names")
    assert set(zones) - {row["name"] for row in rows} == set()


async def test_an_old_name_of_the_zone_means_the_same_days(workspace: Workspace) -> None:
    [one] = await add(workspace.admin, 1)
    for zone in (VIETNAM.key, "Asia/Saigon"):
        await choose(workspace, zone)
        assert await found(workspace, {"field": "created_at", "op": "eq", "value": "today"}) == {one["name"]}
