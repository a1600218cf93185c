"""The demo workspace: invented customers, users, groups and attributes, so that the first look shows a product."""

import random
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import configuration, counters
from app.core.actor import Actor, system_actor
from app.core.clock import new_id, now
from app.core.counters import TenantCounter
from app.core.db import Database, driver, tenant_of
from app.core.owner import owner_transaction
from app.customers import attributes, groups, registry
from app.customers.following import write_words
from app.customers.service import code_of
from app.customers.values import Values, check
from app.demo import dealings
from app.demo.dealings import Dealings, is_company
from app.demo.mark import STEP
from app.demo.vocabulary import Person, person
from app.identity import accounts, passwords, teams, workspaces
from app.identity.models import User
from app.identity.schemas import TeamIn
from app.seeding import SEEDERS

SALES = ("Lê Minh Châu", "Phạm Gia Bảo", "Võ Ngọc Diệp", "Hoàng Tuấn Kiệt", "Bùi Thu Hà")
MANAGERS = ("Đỗ Quang Vinh", "Ngô Bích Trâm")
# The team above, and who is in it.
TEAMS = (
    ("Phòng kinh doanh", None, ("manager1",)),
    ("Miền Bắc", "Phòng kinh doanh", ("manager2", "sale1", "sale2")),
    ("Miền Nam", "Phòng kinh doanh", ("sale3", "sale4", "sale5")),
)
GROUPS = ("Khách hàng mới", "Khách VIP", "Chăm sóc lại", "Hội thảo tháng 11")
ATTRIBUTES: tuple[dict[str, Any], ...] = (
    {"name": "Hạn mức", "type": "money"},
    {"name": "Nghề nghiệp", "type": "text"},
    {"name": "Mức quan tâm", "type": "choice", "choices": ["Thấp", "Vừa", "Cao"]},
    {"name": "Ngày hẹn gọi", "type": "date"},
)
CHUNK = 10_000
COLUMNS = (
    "tenant_id", "id", "code", "name", "phone", "phone_typed", "email", "birthday", "province", "province_typed",
    "gender", "address", "source_id", "customer_type_id", "company_name", "tax_code", "position", "note",
    "relationship_id", "owner_id", "kind", "group_nos", "tag_nos", "attributes", "t1", "t2", "n1", "d1", "created_by",
    "version", "created_at", "updated_at",
)  # fmt: skip


async def seed_demo(db: Database, *, slug: str, password: str, customers: int) -> UUID:
    """Makes the workspace and fills it; `db` is the owner's, which may COPY past row-level security.

    Raises:
        SlugTaken: the workspace exists.
    """
    password_hash = await passwords.hash_password(password)
    tenant_id = await workspaces.create_workspace(
        db, slug=slug, name="Công ty Demo", admin_password=password, admin_hash=password_hash,
        seed_workspace=[*SEEDERS, _begin],
    )  # fmt: skip
    await _complete(db, tenant_id, password_hash, customers)
    return tenant_id


async def complete_demo(db: Database, tenant_id: UUID, *, password: str, customers: int) -> bool:
    """Goes on where somebody stopped who filled this workspace, up to so many customers; False where nobody did."""
    async with owner_transaction(db, tenant_id) as session:
        if await _next_step(session) is None:
            return False
    return await _complete(db, tenant_id, await passwords.hash_password(password), customers)


async def _complete(db: Database, tenant_id: UUID, password_hash: str, customers: int) -> bool:
    """Does the steps that are left, each in a transaction; False where others were quicker with each of them."""
    did = False
    while True:
        async with owner_transaction(db, tenant_id) as session:
            step = await _next_step(session)
            if step is None:
                return did
            actor = system_actor(tenant_id)
            if step == 0:
                await _prepare(session, actor, password_hash, bool(customers))
            elif numbers := range((step - 1) * CHUNK, min(step * CHUNK, customers)):
                await _copy(session, actor, await _sales(session), numbers)
            await _did(session, step, last=step * CHUNK >= customers)
            did = True


async def _begin(session: AsyncSession, tenant_id: UUID) -> None:
    """Says that the workspace is not whole, in the transaction that makes it."""
    await session.execute(insert(TenantCounter).values(tenant_id=tenant_id, name=STEP, value=0))


async def _next_step(session: AsyncSession) -> int | None:
    """The number of the step that is due, until the transaction's end nobody else's; None where all are done."""
    step: int | None = await session.scalar(select(TenantCounter.value).where(*_mark(session)).with_for_update())
    return step


async def _did(session: AsyncSession, step: int, *, last: bool) -> None:
    mark = _mark(session)
    await session.execute(
        delete(TenantCounter).where(*mark) if last else update(TenantCounter).where(*mark).values(value=step + 1)
    )


def _mark(session: AsyncSession) -> tuple[ColumnElement[bool], ...]:
    # The owner passes row-level security, and no session names the tenant of what is not a TenantRow.
    return TenantCounter.tenant_id == tenant_of(session), TenantCounter.name == STEP


async def _prepare(session: AsyncSession, actor: Actor, password_hash: str, deals: bool) -> None:
    """The people, teams, groups and attributes; and with `deals` what customers can have beside their fields."""
    people, made = dict[str, UUID](), dict[str, UUID]()
    for role, names in (("manager", MANAGERS), ("sale", SALES)):
        role_id = (await accounts.role_by_key(session, role)).id
        for number, name in enumerate(names, 1):
            username = f"{role}{number}"
            people[username] = await accounts.insert_user(
                session, username=username, full_name=name, role_id=role_id, password_hash=password_hash
            )
    for name, above, members in TEAMS:
        body = TeamIn(name=name, parent_id=made[above] if above else None, members=[people[one] for one in members])
        made[name] = (await teams.create(session, actor, body)).id
    for name in GROUPS:
        await groups.create_group(session, actor, name=name, description="")
    for attribute in ATTRIBUTES:
        await attributes.create(session, actor, **attribute)
    if deals:
        await dealings.rules(session, actor)
    await configuration.bump(session)


async def _sales(session: AsyncSession) -> list[UUID]:
    """Whose the customers are."""
    names = [f"sale{number}" for number, _ in enumerate(SALES, 1)]
    return list(await session.scalars(select(User.id).where(User.username.in_(names)).order_by(User.username)))


async def _copy(session: AsyncSession, actor: Actor, owners: list[UUID], numbers: range) -> None:
    rng = random.Random(20260101 + numbers.start)  # noqa: S311 -- the same demo every time
    known = await registry.load(session)
    first = await counters.take_range(session, "customer", len(numbers))
    rows, ids, members, events = list[tuple[Any, ...]](), list[UUID](), [], []
    moment = now()
    relationships = list(known.ids["relationship"].values())
    dealt = await Dealings.of(session, actor, numbers)
    for offset, number in enumerate(numbers):
        who = person(rng, number)
        given = _invented(rng, who, known)
        if tags := dealt.tags():
            given["tags"] = tags
        values = check(known, given, creating=True)
        made = moment - timedelta(minutes=rng.randrange(1, 500_000))
        row = _row(actor, values, code_of(first + offset), rng.choice(owners), rng.choice(relationships), made)
        rows.append(tuple(row.get(column) for column in COLUMNS))
        ids.append(row["id"])
        members += [(actor.tenant_id, group.id, row["id"], made, None) for group in values.groups or []]
        events.append(_event(actor, values, row["id"], made))
        dealt.add(row["id"], number, who, [tag.id for tag in values.tags or []], made)
    raw = await driver(session)
    await raw.copy_records_to_table("customer", schema_name="crm", columns=COLUMNS, records=rows)
    await write_words(raw, actor.tenant_id, ids)
    columns = ("tenant_id", "group_id", "customer_id", "added_at", "batch_id")
    await raw.copy_records_to_table("group_member", schema_name="crm", records=members, columns=columns)
    await raw.copy_records_to_table("event", schema_name="crm", records=events, columns=EVENT_COLUMNS)
    # The planner knows nothing of rows that were just copied, and would compare each with each.
    await raw.execute("SET LOCAL enable_nestloop = off")
    await dealt.write(session)


def _invented(rng: random.Random, who: Person, known: registry.Registry) -> dict[str, Any]:
    given: dict[str, Any] = {key: value for key, value in who.items() if value is not None}
    if is_company(who):
        given = {key: value for key, value in given.items() if key not in ("gender", "birthday", "position")}
        given |= {"kind": "company", "name": who["company_name"]}
    names = {field.vi: field.name for field in known.attributes}
    given["attributes"] = {
        names[one["name"]]: value
        for one, value in zip(ATTRIBUTES, _attributes(rng), strict=True)
        if value is not None and one["name"] in names
    }
    given["groups"] = rng.sample(GROUPS, k=rng.choice((0, 0, 1, 1, 2)))
    return given


def _attributes(rng: random.Random) -> Iterator[Any]:
    yield rng.choice((None, 5_000_000, 10_000_000, 25_000_000, 50_000_000))
    yield rng.choice((None, "Giáo viên", "Kỹ sư", "Kinh doanh tự do", "Nhân viên văn phòng"))
    yield rng.choice((None, "Thấp", "Vừa", "Cao"))
    yield rng.choice((None, f"{rng.randrange(1, 28):02d}/12/2026"))


def _row(actor: Actor, values: Values, code: str, owner: UUID, relationship: UUID, made: Any) -> dict[str, Any]:
    return {
        "kind": "individual",
        **values.columns,
        "tenant_id": actor.tenant_id,
        "id": new_id(),
        "code": code,
        "relationship_id": relationship,
        "owner_id": owner,
        "group_nos": sorted(group.no for group in values.groups or []),
        "tag_nos": sorted(tag.no for tag in values.tags or []),
        "attributes": msgspec.json.encode(values.attributes).decode(),
        "created_by": None,
        "version": 1,
        "created_at": made,
        "updated_at": made,
    }


EVENT_COLUMNS = ("tenant_id", "id", "at", "kind", "subject_type", "subject_id", "actor_kind", "actor_id",
                 "actor_name", "changes", "data")  # fmt: skip


def _event(actor: Actor, values: Values, customer_id: UUID, made: Any) -> tuple[Any, ...]:
    changes = {key: [None, value] for key, value in values.shown.items() if value is not None}
    return (actor.tenant_id, new_id(), made, "customer.created", "customer", customer_id, actor.kind, actor.id,
            actor.name, msgspec.json.encode(changes).decode(), "{}")  # fmt: skip
