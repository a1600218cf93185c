"""What a change of an attribute does to the values that customers hold: counted, claimed, renamed, set-based."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.db import tenant_of
from app.core.errors import invalid
from app.customers.errors import NotUniqueYet
from app.customers.models import SLOTS, Attribute
from app.customers.words import UNIQUE_LENGTH

# A writer who read the configuration just before a change has committed or failed by then.
SETTLE = timedelta(seconds=60)
FIRST, LAST = UUID(int=0), UUID(int=2**128 - 1)


async def claim(session: AsyncSession, attribute: Attribute) -> None:
    """Takes the values that live customers hold, for an attribute that becomes unique: some 25 s for a million.

    Raises:
        Invalid: some are longer than a unique value may be.
        NotUniqueYet: with the number of values that several customers share.
    """
    await session.execute(text("SET LOCAL statement_timeout = '5min'"))
    about: dict[str, Any] = {"tenant_id": tenant_of(session), "key": attribute.key}
    long = await session.scalar(
        text("""
        SELECT count(*) FROM crm.customer
        WHERE tenant_id = :tenant_id AND deleted_at IS NULL AND length(attributes ->> :key) > :length
        """),
        {**about, "length": UNIQUE_LENGTH},
    )
    if long:
        raise invalid(
            "unique", "too_long", f"Có {long} giá trị dài hơn {UNIQUE_LENGTH} ký tự, chưa thể đặt là duy nhất",
            f"{long} values are longer than {UNIQUE_LENGTH} characters, so they cannot be unique yet",
        )  # fmt: skip
    repeated = await session.scalar(
        text("""
        SELECT count(*) FROM (
            SELECT 1 FROM crm.customer
            WHERE tenant_id = :tenant_id AND deleted_at IS NULL AND attributes ->> :key IS NOT NULL
            GROUP BY attributes ->> :key HAVING count(*) > 1) AS repeated
        """),
        about,
    )
    if repeated:
        raise NotUniqueYet(count=repeated, extra={"count": repeated})
    await claim_rest(session, attribute)


async def claim_rest(session: AsyncSession, attribute: Attribute) -> None:
    """Takes the values that nobody holds yet, of whoever comes first."""
    await session.execute(
        text("""
        INSERT INTO crm.unique_value (tenant_id, attribute_id, value, customer_id)
        SELECT tenant_id, :attribute_id, attributes ->> :key, id FROM crm.customer
        WHERE tenant_id = :tenant_id AND deleted_at IS NULL AND attributes ->> :key IS NOT NULL
        ON CONFLICT (tenant_id, attribute_id, value) DO NOTHING
        """),
        {"tenant_id": tenant_of(session), "attribute_id": attribute.id, "key": attribute.key},
    )


async def release(session: AsyncSession, attribute_id: UUID) -> None:
    """Gives back every value of an attribute that is not unique any more."""
    await session.execute(
        text("DELETE FROM crm.unique_value WHERE tenant_id = :tenant_id AND attribute_id = :attribute_id"),
        {"tenant_id": tenant_of(session), "attribute_id": attribute_id},
    )


async def count_choices(session: AsyncSession, attribute: Attribute, choices: Sequence[str]) -> dict[str, int]:
    """How many live customers hold each of these choices; those that nobody holds are left out."""
    if attribute.type == "choices":
        held, more = (
            "held.choice",
            "CROSS JOIN LATERAL jsonb_array_elements_text(c.attributes -> :key) AS held (choice)",
        )
    else:
        held, more = f"c.{_slot(attribute.slot)}" if attribute.slot else "c.attributes ->> :key", ""
    rows = await session.execute(
        text(f"""
        SELECT {held}, count(*) FROM crm.customer c {more}
        WHERE c.tenant_id = :tenant_id AND c.deleted_at IS NULL AND {held} = ANY(:choices) GROUP BY 1
        """),
        {"tenant_id": tenant_of(session), "choices": list(choices)}
        | ({"key": attribute.key} if ":key" in held + more else {}),
    )
    return {row[0]: row[1] for row in rows}


async def rename_choices(
    session: AsyncSession, attribute: Attribute, renamed: Mapping[str, str], after: UUID = FIRST, last: UUID = LAST
) -> None:
    """Gives customers with after < id <= last the new names of their choices. Neither versions nor events: it is the
    attribute that changed, and its event tells how."""
    for old, new in renamed.items():
        about = {
            "tenant_id": tenant_of(session), "after": after, "last": last, "key": attribute.key,
            "path": [attribute.key], "old": old, "new": msgspec.json.encode(new).decode(),
        }  # fmt: skip
        if attribute.type == "choices":
            value = "(attributes -> :key) - CAST(:old AS text) || CAST(CAST(:new AS text) AS jsonb)"
            held = "(attributes -> :key) ? :old"
        else:
            value, held = "CAST(CAST(:new AS text) AS jsonb)", "attributes ->> :key = :old"
        slot = f", {_slot(attribute.slot)} = :bare" if attribute.slot else ""
        await session.execute(
            text(f"""
            UPDATE crm.customer SET attributes = jsonb_set(attributes, CAST(:path AS text[]), {value}){slot}
            WHERE tenant_id = :tenant_id AND id > :after AND id <= :last AND {held}
            """),
            about | ({"bare": new} if slot else {}),
        )


async def clear_slot(session: AsyncSession, slot: str, after: UUID, last: UUID) -> None:
    """Empties the slot of customers with after < id <= last, so that another attribute may have it."""
    await session.execute(
        text(f"""
        UPDATE crm.customer SET {_slot(slot)} = NULL
        WHERE tenant_id = :tenant_id AND id > :after AND id <= :last AND {slot} IS NOT NULL
        """),
        {"tenant_id": tenant_of(session), "after": after, "last": last},
    )


def _slot(name: str) -> str:
    assert name in SLOTS
    return name
