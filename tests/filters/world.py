"""A few hundred made-up customers with everything that a filter can ask for, and many empty values."""

import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from app.customers import registry as registries
from app.customers.registry import Registry
from tests.factories.people import Workspace

API = "/api/v1"
MANY = 220
FAMILY = ["Nguyễn", "Trần", "Lê", "Đặng", "Hồ", "Võ", "Hoàng"]
MIDDLE = ["Văn", "Thị", "Đức", "Thanh", "Minh"]
GIVEN = ["Hòa", "Hoà", "Hoa", "Đào", "Ánh", "An", "Anh", "Thuý", "Quỳnh", "Uyên", "O'Neil", "Út-Ba"]
# Some are the same but for their accents.
SOURCES = ["Facebook", "Zalo", "Hội thảo", "Hội thao", None]
OWN_SOURCES = ["Hội thao"]
PROVINCES = ["Hà Nội", "Đà Nẵng", "Huế", None]
NOTES = ["Gọi lại chiều", "đã HẸN gặp", "100% quan_tâm\\", "Không nghe máy\nGọi lại sau", None, None]
COMPANIES = ["Công ty Hoa Sen", "CTY TNHH Ánh Dương", None, None]
GROUPS = ["15-25", "Miền Bắc", "Khách VIP", "Mien Bac"]
# Stars follow from points.
POINTS = {"15-25": 10, "Miền Bắc": 30, "Khách VIP": 50}
TIERS = ["Vàng", "Bạc"]
TAGS = ["Nóng bỏng", "Lạnh nhạt", "Đặc biệt", "La", "Lá", "Là"]
# Whose the customers are: the sales', one of whom has left, and admin's where none is named. Some are nobody's.
SALES = ["lan", "minh", "hoa", "tu"]
LEFT = "minh"
OWNERS = ["lan", "minh", None, "hoa", "lan", "tu", None]
# The team above and the members of each; some are the same but for their accents.
TEAMS: dict[str, tuple[str | None, list[str]]] = {
    "Cả nước": (None, []),
    "Đội Bắc": ("Cả nước", ["lan"]),
    "Đội Bạc": ("Cả nước", ["hoa", "admin"]),
    "Hà Nội": ("Đội Bắc", ["minh", "lan"]),
    "Cầu Giấy": ("Hà Nội", ["hoa"]),
    "Trống": (None, []),
    "Riêng": (None, ["admin"]),
}
DAYS = [date(2026, 11, 22), date(2026, 12, 29), date(2027, 2, 26), date(2028, 2, 27), date(2027, 1, 1)]
ATTRIBUTES: dict[str, dict[str, Any]] = {
    "biet_danh": {"type": "text"},
    "hang": {"type": "choice", "choices": ["A", "B", "Đồng", "Dòng"]},
    "vip": {"type": "boolean"},
    "so_lan": {"type": "integer"},
    "han_muc": {"type": "money"},
    "ti_le": {"type": "decimal"},
    "ngay_hen": {"type": "date"},
    "luc_hen": {"type": "datetime"},
    "so_thich": {"type": "choices", "choices": ["Bóng đá", "Nhạc", "Phim"]},
    "mo_ta": {"type": "long_text"},
    "sdt_phu": {"type": "phone"},
    # They fill the slots, so that the last ones live in the JSON alone.
    **{f"day_them_{number}": {"type": "date"} for number in range(2)},
    **{f"so_them_{number}": {"type": "integer"} for number in range(3)},
    "so_le": {"type": "decimal"},
    "ngay_le": {"type": "date"},
    "luc_le": {"type": "datetime"},
}


@dataclass
class Row:
    """A customer as the naive evaluator reads it."""

    id: UUID
    values: dict[str, Any]
    contracts: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class World:
    """The workspace, its registry, and every live customer in it."""

    workspace: Workspace
    registry: Registry
    rows: list[Row]


async def make_world(workspace: Workspace, owner: asyncpg.Connection) -> World:
    """Fills a workspace over HTTP, and puts days into the past behind its back."""
    chance = random.Random(7)
    await _configure(workspace)
    sales = {name: await workspace.person("sale", username=name, full_name=f"Lê Thị {name}") for name in SALES}
    people = {"admin": workspace.administrator.id} | {name: one.id for name, one in sales.items()}
    await _divide(workspace, people)
    for number in range(MANY):
        body = _customer(chance, number, OWNERS[number % len(OWNERS)])
        reply = await workspace.admin.post(f"{API}/customers", json=body)
        assert reply.status_code == 201, reply.text
        made = reply.json()["id"]
        for _ in range(chance.choice([0, 0, 0, 1, 2, 3])):
            await _contract(workspace, chance, made)
        if number % 20 == 0:
            await _throw(workspace, made)
    await _age(owner, workspace.id, chance)
    await _share(owner, workspace.id, chance, list(people.values()))
    await workspace.deactivate(sales[LEFT])
    async with workspace.resources.db.transaction(workspace.id) as session:
        registry = await registries.load(session)
    assert set(registry.owners.values()) == {"admin", *SALES} - {LEFT}
    unslotted = [one.name for one in registry.attributes if one.slot is None]
    assert {"so_le", "ngay_le", "luc_le", "so_thich", "mo_ta"} <= set(unslotted), unslotted
    return World(workspace, registry, await _read(owner, workspace.id, registry))


async def _configure(workspace: Workspace) -> None:
    for key, more in ATTRIBUTES.items():
        reply = await workspace.admin.post(f"{API}/attributes", json={"name": f"Trường {key}", "key": key, **more})
        assert reply.status_code == 201, reply.text
    for name in OWN_SOURCES:
        reply = await workspace.admin.post(f"{API}/sources", json={"name": name})
        assert reply.status_code == 201, reply.text
    for name in GROUPS:
        body = {"name": name, "description": "để thử", "points": POINTS.get(name, 0)}
        reply = await workspace.admin.post(f"{API}/groups", json=body)
        assert reply.status_code == 201, reply.text
    for name in TIERS:
        reply = await workspace.admin.post(f"{API}/tiers", json={"name": name})
        assert reply.status_code == 201, reply.text
    for name in TAGS:
        reply = await workspace.admin.post(f"{API}/tags", json={"name": name})
        assert reply.status_code == 201, reply.text


async def _divide(workspace: Workspace, people: dict[str, UUID]) -> None:
    """The staff into their teams."""
    made = dict[str, str]()
    for name, (above, members) in TEAMS.items():
        body = {"name": name, "parent_id": above and made[above], "members": [str(people[one]) for one in members]}
        reply = await workspace.admin.post(f"{API}/teams", json=body)
        assert reply.status_code == 201, reply.text
        made[name] = reply.json()["id"]


def _customer(chance: random.Random, number: int, owner: str | None) -> dict[str, Any]:
    words = [chance.choice(FAMILY), chance.choice(MIDDLE), chance.choice(GIVEN)]
    attributes = {
        "biet_danh": chance.choice(["Bé Út", "be ut", "Anh Hai", None]),
        "hang": chance.choice(["A", "B", "Đồng", "Dòng", None]),
        "vip": chance.choice([True, False, None]),
        "so_lan": chance.choice([0, 1, 2, 5, None]),
        "han_muc": chance.choice([0, 5_000_000, 10_000_000, None]),
        "ti_le": chance.choice([0.5, 2.25, -1.0, None]),
        "ngay_hen": chance.choice(["2026-11-22", "2026-11-25", "2026-12-31", "2028-02-29", None]),
        "luc_hen": chance.choice(["2026-11-21T23:30:00+07:00", "2026-11-22T00:00:00+07:00", None]),
        "so_thich": chance.choice([["Nhạc"], ["Nhạc", "Phim"], ["Bóng đá", "Nhạc", "Phim"], None]),
        "mo_ta": chance.choice(["Thích cà phê\nsữa đá", "ca phe den", None]),
        "sdt_phu": chance.choice(["0987654321", "02873001234", "19001234", None]),
        "so_le": chance.choice([1.5, 3, -2, None]),
        "ngay_le": chance.choice(["2026-11-22", "2027-02-28", None]),
        "luc_le": chance.choice(["2026-11-22T16:59:59.500000Z", "2026-11-22T17:00:00Z", None]),
    }  # fmt: skip
    sent = {
        "name": " ".join(words[: chance.choice([2, 3, 3])]),
        "phone": f"09{number:08d}" if number % 5 else f"024{38000000 + number}",
        "email": chance.choice([f"khach{number}@example.com", f"HOA.{number}@example.com", None]),
        "birthday": chance.choice(["1990-02-28", "1992-02-29", "1985-12-31", "2000-01-01", "1999-11-25", None]),
        "province": chance.choice(PROVINCES),
        "gender": chance.choice(["male", "female", None]),
        "source": chance.choice(SOURCES),
        "company_name": chance.choice(COMPANIES),
        "note": chance.choice(NOTES),
        "owner": owner,
        "groups": [name for name in GROUPS if chance.random() < 0.3],
        "tags": [name for name in TAGS if chance.random() < 0.2],
        "attributes": {key: value for key, value in attributes.items() if value is not None},
        "kind": chance.choice(["individual", "company", "lead"]),
        "tier": chance.choice([*TIERS, None]),
        "customer_type": chance.choice(["Cá nhân", "Doanh nghiệp", None]),
        "tax_code": chance.choice(["0101248141", "0100109106", None]),
        "address": chance.choice(["12 Lê Lợi", "Ngõ Đào, Hoà Bình", None]),
        "website": chance.choice(["hoasen.example.com", "anhduong.example.com", None]),
        "fax": chance.choice(["02838230123", "02438230123", None]),
        "country": chance.choice(["Việt Nam", "Lào", None]),
        "founded_on": chance.choice(["2026-11-22", "2025-12-31", "2028-02-29", None]),
    }
    return {key: value for key, value in sent.items() if value not in (None, [])}


async def _contract(workspace: Workspace, chance: random.Random, customer_id: str) -> None:
    body = {
        "customer_id": customer_id,
        "number": f"HD-{chance.random()}",
        "value": chance.choice([0, 1_000_000, 20_000_000, 55_000_000]),
        "state": chance.choice(["active", "finished", "cancelled"]),
        "signed_on": chance.choice(["2026-11-22", "2026-11-01", "2025-06-30", None]),
    }
    reply = await workspace.admin.post(f"{API}/contracts", json=body)
    assert reply.status_code == 201, reply.text


async def _throw(workspace: Workspace, customer_id: str) -> None:
    url = f"{API}/customers/{customer_id}"
    etag = (await workspace.admin.get(url)).headers["etag"]
    assert (await workspace.admin.delete(url, headers={"If-Match": etag})).status_code == 204


async def _age(owner: asyncpg.Connection, tenant_id: UUID, chance: random.Random) -> None:
    """Creation times around the ends of days, months and years in Vietnam, all different; a pool; and some who are
    nobody's."""
    moments = [
        datetime(2026, 11, 21, 17, 0, tzinfo=UTC),
        datetime(2026, 11, 22, 16, 59, 59, tzinfo=UTC),
        datetime(2026, 10, 31, 17, 0, tzinfo=UTC),
        datetime(2025, 12, 31, 16, 59, tzinfo=UTC),
        datetime(2026, 11, 15, 3, 0, tzinfo=UTC),
    ]
    ids = await owner.fetch("SELECT id FROM crm.customer WHERE tenant_id = $1 ORDER BY code", tenant_id)
    for number, row in enumerate(ids):
        await owner.execute(
            "UPDATE crm.customer SET created_at = $3, in_pool = $4, owner_id = CASE WHEN $5 THEN owner_id END "
            "WHERE tenant_id = $1 AND id = $2",
            tenant_id, row["id"], chance.choice(moments) + timedelta(microseconds=number), number % 7 == 0,
            number % 9 > 0,
        )  # fmt: skip


async def _share(owner: asyncpg.Connection, tenant_id: UUID, chance: random.Random, people: list[UUID]) -> None:
    """Some customers are shared, with one of the people or with several."""
    for row in await owner.fetch("SELECT id FROM crm.customer WHERE tenant_id = $1 ORDER BY code", tenant_id):
        shared = sorted(one for one in people if chance.random() < 0.25)
        await owner.execute(
            "UPDATE crm.customer SET shared_with = $3 WHERE tenant_id = $1 AND id = $2", tenant_id, row["id"], shared
        )


async def _read(owner: asyncpg.Connection, tenant_id: UUID, registry: Registry) -> list[Row]:
    import json

    names = {id_: name for ids in registry.ids.values() for name, id_ in ids.items()}
    groups = {one.no: name for name, one in registry.groups.items()}
    tags = {one.no: name for name, one in registry.tags.items()}
    users = await owner.fetch("SELECT id, username FROM crm.app_user WHERE tenant_id = $1", tenant_id)
    people = {record["id"]: record["username"] for record in users}
    rows = {}
    live = "SELECT * FROM crm.customer WHERE tenant_id = $1 AND deleted_at IS NULL"
    for record in await owner.fetch(live, tenant_id):
        values = dict(record)
        values["source"] = names.get(record["source_id"])
        values["customer_type"] = names.get(record["customer_type_id"])
        values["tier"] = names.get(record["tier_id"])
        values["relationship"] = names.get(record["relationship_id"])
        values["owner"] = people.get(record["owner_id"])
        values["team"] = _teams_of(values["owner"])
        values["shared_with"] = {people[one] for one in record["shared_with"]}
        values["groups"] = {groups[no] for no in record["group_nos"]}
        values["tags"] = {tags[no] for no in record["tag_nos"]}
        values |= {f"attributes.{key}": value for key, value in json.loads(record["attributes"]).items()}
        rows[record["id"]] = Row(record["id"], values)
    for record in await owner.fetch("SELECT * FROM crm.contract WHERE tenant_id = $1", tenant_id):
        if record["customer_id"] in rows:
            rows[record["customer_id"]].contracts.append(dict(record))
    return list(rows.values())


def _teams_of(person: str | None) -> set[str]:
    """The teams that somebody is in, and those above them."""
    found = {name for name, (_, members) in TEAMS.items() if person in members}
    while higher := {above for name in found if (above := TEAMS[name][0]) is not None} - found:
        found |= higher
    return found
