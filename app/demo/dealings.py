"""What the demo's customers have beside their fields: tags and tiers, contacts, contracts, transactions with points."""

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.clock import new_id
from app.core.db import driver
from app.customers import classifications, scoring, tags
from app.demo.vocabulary import Person
from app.transactions import types

__all__ = ["TAGS", "Dealings", "rules"]

TAGS: Final = (
    ("Gọi lại", "#2563eb"), ("Quan tâm giá", "#d97706"), ("Đã gửi báo giá", "#0891b2"), ("Khách quen", "#16a34a"),
    ("Cần chăm sóc", "#dc2626"), ("Ưu tiên", "#7c3aed"),
)  # fmt: skip
# From the lowest: name, discount in percent, benefits, conditions.
TIERS: Final = (
    ("Bạc", 2, "Ưu tiên khi gọi tổng đài", {"score": 10}),
    ("Vàng", 5, "Giao hàng miễn phí", {"contract_value": 50_000_000}),
    ("Kim cương", 10, "Giao hàng miễn phí, có nhân viên chăm sóc riêng", {"contract_value": 150_000_000}),
)
CONTRACTS: Final = ("Cung cấp dịch vụ chăm sóc", "Mua bán hàng hóa", "Bảo trì hằng năm", "Tư vấn triển khai")
CONTRACT_STATES: Final = ("draft", "active", "active", "active", "finished", "cancelled")
TRANSACTIONS: Final = (
    "Hẹn gặp tại văn phòng", "Gọi tư vấn gói 12 tháng", "Gửi tài liệu sản phẩm", "Báo giá lần đầu", "Giới thiệu bản mới"
)  # fmt: skip
TRANSACTION_STATES: Final = ("not_started", "in_progress", "completed", "completed", "completed")
COLUMNS: Final = {
    "tag_member": ("tenant_id", "tag_id", "customer_id", "added_at"),
    "contact": ("tenant_id", "id", "customer_id", "name", "position", "is_primary", "version", "created_at",
                "updated_at"),
    "contract": ("tenant_id", "id", "customer_id", "number", "number_key", "name", "value", "state", "signed_on",
                 "starts_on", "ends_on", "move_to_signed", "note", "version", "created_at", "updated_at"),
    "transaction": ("tenant_id", "id", "customer_id", "type_id", "name", "description", "state", "completed_at",
                    "version", "created_at", "updated_at"),
    "event": ("tenant_id", "id", "at", "kind", "subject_type", "subject_id", "actor_kind", "actor_id", "actor_name",
              "changes", "data"),
}  # fmt: skip


async def rules(session: AsyncSession, actor: Actor) -> None:
    """The tags, and the tiers that customers get by themselves. Nobody has anything yet, so that no job need look."""
    for name, color in TAGS:
        await tags.create(session, actor, name=name, color=color)
    for name, discount, benefits, conditions in TIERS:
        details = {
            "discount_percent": discount, "benefits": benefits, "automatic": True,
            "conditions": [{"metric": metric, "at_least": least} for metric, least in conditions.items()],
        }  # fmt: skip
        await classifications.create(session, actor, "tier", name=name, details=details)


class Dealings:
    """The rows that a part of the demo's customers brings with it, by table."""

    def __init__(self, actor: Actor, kinds: Sequence[UUID], numbers: range) -> None:
        """`kinds` are the types of transactions; `numbers` the customers', so that each part draws its own."""
        self._actor, self._kinds = actor, kinds
        self._rng = random.Random(numbers.start + 7)  # noqa: S311 -- the same demo every time
        self._rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in COLUMNS}
        self._scored: list[UUID] = []

    @classmethod
    async def of(cls, session: AsyncSession, actor: Actor, numbers: range) -> "Dealings":
        """None yet, in a workspace with its types of transactions."""
        return cls(actor, list((await types.by_name(session)).values()), numbers)

    def tags(self) -> list[str]:
        """The names of the next customer's tags: a fifth have one or two."""
        if self._rng.random() > 0.2:
            return []
        return [name for name, _ in self._rng.sample(TAGS, k=self._rng.choice((1, 1, 2)))]

    def add(self, customer_id: UUID, number: int, who: Person, tag_ids: Sequence[UUID], born: datetime) -> None:
        """What this customer has: a twentieth a contract, some transactions, and every other company a contact."""
        tenant_id, draw = self._actor.tenant_id, self._rng.random
        self._rows["tag_member"] += [(tenant_id, tag_id, customer_id, born) for tag_id in tag_ids]
        if is_company(who) and draw() < 0.5:
            row = (tenant_id, new_id(), customer_id, who["name"], who["position"], True, 1, born, born)
            self._rows["contact"].append(row)
        dealt = False
        if draw() < 0.05:
            self._contract(customer_id, number, born)
            dealt = True
        if draw() < 0.04:
            for _ in range(self._rng.choice((1, 1, 1, 2, 3, 5))):
                self._transaction(customer_id, born)
            dealt = True
        if dealt:
            self._scored.append(customer_id)

    async def write(self, session: AsyncSession) -> None:
        """Writes the rows, once their customers are there, and what follows from them: points, stars, tiers."""
        raw: asyncpg.Connection = await driver(session)
        for table, columns in COLUMNS.items():
            await raw.copy_records_to_table(table, schema_name="crm", records=self._rows[table], columns=columns)
        await scoring.recompute(session, self._actor, self._scored)

    def _contract(self, customer_id: UUID, number: int, born: datetime) -> None:
        rng = self._rng
        signed = born.date() + timedelta(days=rng.randrange(30))
        state, value = rng.choice(CONTRACT_STATES), rng.randrange(4, 80) * 2_500_000
        name = f"HD-{number:06d}"
        row = (self._actor.tenant_id, new_id(), customer_id, name, name.casefold(), rng.choice(CONTRACTS), value, state,
               None if state == "draft" else signed, signed, signed + timedelta(days=365), False, "", 1, born,
               born)  # fmt: skip
        self._rows["contract"].append(row)
        fact = {"contract_id": str(row[1]), "number": name, "value": value}
        self._tell("customer.contract_added", customer_id, fact, born)

    def _transaction(self, customer_id: UUID, born: datetime) -> None:
        rng = self._rng
        place, state = rng.randrange(len(self._kinds)), rng.choice(TRANSACTION_STATES)
        name = TRANSACTIONS[place % len(TRANSACTIONS)]
        done = born + timedelta(hours=rng.randrange(1, 48)) if state == "completed" else None
        row = (self._actor.tenant_id, new_id(), customer_id, self._kinds[place], name, "", state, done, 1, born,
               done or born)  # fmt: skip
        self._rows["transaction"].append(row)
        fact = {"transaction_id": str(row[1]), "name": name, "state": state}
        self._tell("customer.transaction_added", customer_id, fact, born)

    def _tell(self, kind: str, customer_id: UUID, fact: dict[str, Any], at: datetime) -> None:
        actor = self._actor
        self._rows["event"].append(
            (actor.tenant_id, new_id(), at, kind, "customer", customer_id, actor.kind, actor.id, actor.name, "{}",
             msgspec.json.encode(fact).decode())
        )  # fmt: skip


def is_company(who: Person) -> bool:
    """Whether the customer is the company, and the invented person its contact."""
    return who["customer_type"] == "Doanh nghiệp"
