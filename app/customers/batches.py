"""What a batch was given and what it did: the chosen customers, fixed as they were counted, and each one's outcome."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Integer, PrimaryKeyConstraint, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import driver, tenant_of
from app.core.orm import TENANT, Base

PART = 10_000

KEEP = """
INSERT INTO crm.chosen_part (tenant_id, batch_id, n, ids)
SELECT $1, $2, given.n - 1, given.ids::uuid[] FROM unnest($3::text[]) WITH ORDINALITY AS given (ids, n)
ON CONFLICT (tenant_id, batch_id, n) DO NOTHING
"""


class ChosenPart(Base):
    """A part of the customers that a batch is about, in the order of their ids. Its job lets it go at its end,
    be it done, failed, dead or cancelled."""

    __tablename__ = "chosen_part"
    __table_args__ = (PrimaryKeyConstraint("tenant_id", "batch_id", "n", name="chosen_part_pk"), {"info": TENANT})

    tenant_id: Mapped[UUID]
    batch_id: Mapped[UUID]
    n: Mapped[int] = mapped_column(Integer)
    ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid(as_uuid=True)))


class BatchItem(Base):
    """What became of one customer in a batch, and what a change needs to be taken back.

    No foreign key to the customer: what was done stays told when the customer is purged, without its data.
    """

    __tablename__ = "batch_item"
    __table_args__ = (
        PrimaryKeyConstraint("tenant_id", "batch_id", "customer_id", name="batch_item_pk"),
        {"info": TENANT},
    )

    tenant_id: Mapped[UUID]
    batch_id: Mapped[UUID]
    customer_id: Mapped[UUID]
    status: Mapped[str] = mapped_column(Text, doc="changed, unchanged, skipped")
    code: Mapped[str | None] = mapped_column(Text, doc="why it was skipped")
    before: Mapped[dict[str, Any] | None] = mapped_column(JSONB, doc="the columns that the batch changed, as they were")
    version_after: Mapped[int | None]
    undone: Mapped[str | None] = mapped_column(Text, doc="restored, kept")
    undo_code: Mapped[str | None] = mapped_column(Text, doc="why it was kept")


def cut(ids: Sequence[UUID]) -> list[str]:
    """Ids as the parts of a choice: sorted, each once, as the texts of arrays."""
    every = [str(one) for one in sorted(set(ids))]
    return [f"{{{','.join(every[at : at + PART])}}}" for at in range(0, len(every), PART)]


async def keep(session: AsyncSession, batch_id: UUID, parts: Sequence[str]) -> None:
    """Fixes the customers of a batch; texts, because a million ids need not become objects on their way."""
    await (await driver(session)).execute(KEEP, tenant_of(session), batch_id, list(parts))


async def part(session: AsyncSession, batch_id: UUID, number: int) -> list[UUID]:
    """The customers of a part."""
    found: list[UUID] | None = await (await driver(session)).fetchval(
        "SELECT ids FROM crm.chosen_part WHERE tenant_id = $1 AND batch_id = $2 AND n = $3",
        tenant_of(session), batch_id, number,
    )  # fmt: skip
    return found or []


async def forget(session: AsyncSession, batch_id: UUID) -> None:
    """Lets the parts go; the items stay."""
    await (await driver(session)).execute(
        "DELETE FROM crm.chosen_part WHERE tenant_id = $1 AND batch_id = $2", tenant_of(session), batch_id
    )
