"""The trash: deleted customers, found, restored one by one, and deleted for good."""

from typing import Final
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import jobs
from app.core.actor import Actor
from app.core.db import driver
from app.core.errors import AppError, Conflict, NotFound, Stale, invalid
from app.core.masking import sees_phones
from app.core.paging import Pager
from app.core.vietnam import text as vn
from app.customers import phones
from app.customers import registry as registries
from app.customers.changing import change_many, restoration
from app.customers.claims import POINTS
from app.customers.entity import CAP, CUSTOMERS
from app.customers.errors import PhoneTaken, ValueTaken
from app.customers.purging import WARNING, old, purge_many
from app.customers.schemas import TrashOut, TrashPage
from app.customers.search_box import search_box
from app.customers.service import phone_taken
from app.customers.visibility import visible
from app.filters.search import Part, Sql, Wanted, door

__all__ = [
    "LANE",
    "PURGE_OLD",
    "Merged",
    "NotInTrash",
    "confirmed",
    "page",
    "purge_one",
    "restore_one",
    "schedule_purge",
]

PURGE_OLD: Final = "customers.purge_old"
# Bulk changes of one workspace follow each other, and so does what clears its trash.
LANE: Final = "bulk"

ROWS = """
SELECT c.id, c.code, c.name, c.phone, c.email, c.owner_id, owner.full_name AS owner_name, c.created_at, c.deleted_at,
       c.deleted_by, deleter.full_name AS deleted_by_name, coalesce(c.deleted_reason, 'trash') AS deleted_reason,
       c.merged_into, c.version
FROM crm.customer c
LEFT JOIN crm.app_user owner ON owner.tenant_id = $1 AND owner.id = c.owner_id
LEFT JOIN crm.app_user deleter ON deleter.tenant_id = $1 AND deleter.id = c.deleted_by
WHERE c.tenant_id = $1 AND c.id = ANY($2::uuid[]) ORDER BY array_position($2::uuid[], c.id)
"""
ORDER: Final = "c.deleted_at DESC, c.id DESC"


class NotInTrash(Conflict):
    """The customer lives."""

    code = "not_in_trash"
    vi, en = "Khách hàng không nằm trong danh sách đã xóa", "The customer is not in the trash"


class Merged(Conflict):
    """The customer was merged into another, and taking the merge back is the only way to it; or it was a lead that
    became a contact of another."""

    code = "customer_merged"
    vi = "Khách hàng đã được gộp hoặc gắn vào khách hàng khác; nếu là gộp, hãy hoàn tác lần gộp đó"
    en = "The customer was merged into another one or attached to it; if merged, undo that merge instead"


async def page(
    raw: asyncpg.Connection, actor: Actor, *, q: str | None, limit: int, cursor: str | None, count: str, secret: bytes
) -> TrashPage:
    """Deleted customers that the caller may see, those deleted last first."""
    pager = Pager(secret, actor.tenant_id, actor.id, "trash", q)
    position = pager.position(cursor)
    sql, wanted = _wanted(actor, q, position)
    async with door(raw) as found:
        keys = await found.page(CUSTOMERS, sql, wanted, Part(["c.deleted_at"], ORDER, limit + 1))
        counted = None
        if count == "estimate":
            counted = await found.estimate(CUSTOMERS, *_wanted(actor, q, None))
        elif count != "none":
            counted = await found.count(CUSTOMERS, *_wanted(actor, q, None), cap=CAP if count == "capped" else None)
    rows = await raw.fetch(ROWS, actor.tenant_id, [row[0] for row in keys[:limit]])
    following = None
    if len(keys) > limit:
        last = keys[limit - 1]
        following = pager.cursor([last[1].isoformat(), str(last[0])])
    return TrashPage(items=[TrashOut.model_validate(dict(row)) for row in rows], next_cursor=following, count=counted)


async def restore_one(session: AsyncSession, actor: Actor, customer_id: UUID) -> None:
    """Takes a customer out of the trash. Its phone and unique values are its own again.

    Raises:
        NotFound, NotInTrash, Merged
        PhoneTaken, PhoneInContact, ValueTaken: somebody else has them by now.
    """
    row = await _locked(session, actor, customer_id)
    outcome = await change_many(session, actor, None, [customer_id], restoration(), keep=False)
    if "merged" in outcome.refused:
        raise Merged()
    if "phone_taken" in outcome.refused:
        raise await _phone_taken(session, actor, row)
    if "value_taken" in outcome.refused:
        raise await _value_taken(session, customer_id)
    if not outcome.changed:
        raise PhoneTaken()


async def purge_one(session: AsyncSession, actor: Actor, customer_id: UUID, *, version: int, confirm: str) -> None:
    """Deletes a customer of the trash for good. `confirm` is the warning, repeated.

    Raises:
        Invalid: the warning was not repeated.
        NotFound, Stale, NotInTrash, Merged
    """
    confirmed(confirm, "confirm")
    await _locked(session, actor, customer_id, version)
    await purge_many(session, actor, None, [customer_id])


def confirmed(given: object, field: str) -> None:
    """Whether the warning was repeated, word for word.

    Raises:
        Invalid
    """
    if not isinstance(given, str) or vn.clean(given) not in WARNING.values():
        text = f"{WARNING['vi']}. Để xóa hẳn, hãy gửi lại nguyên văn câu cảnh báo này"
        raise invalid(
            field, "purge_unconfirmed", text, f"{WARNING['en']}. To go on, send this sentence back as it stands"
        )


async def schedule_purge(session: AsyncSession, actor: Actor, days: int) -> UUID | None:
    """Enqueues the purge of who has been there for too long, if there is anybody; `days` 0 keeps everybody."""
    if days == 0:
        return None
    if not await old(session, days=days, limit=1):
        return None
    return await jobs.enqueue(session, actor, PURGE_OLD, queue="bulk", dedupe_key="trash", lane=LANE, stoppable=False)


def _wanted(actor: Actor, q: str | None, position: list[str] | None) -> tuple[Sql, Wanted]:
    sql = Sql(actor.tenant_id)
    where, match = ["c.deleted_at IS NOT NULL"], ""
    if position is not None:
        where.append(
            f"(c.deleted_at, c.id) < ({sql.arg(position[0])}::text::timestamptz, {sql.arg(UUID(position[1]))})"
        )
    if q and q.strip():
        found, match = search_box(sql, q.strip(), vn.words(q), partly=sees_phones(actor))
        where += [found] if found else []
    return sql, Wanted(visible(sql, actor), where, match)


async def _locked(session: AsyncSession, actor: Actor, customer_id: UUID, version: int | None = None) -> asyncpg.Record:
    raw = await driver(session)
    sql = Sql(actor.tenant_id)
    where = f"c.tenant_id = $1 AND c.id = {sql.arg(customer_id)} AND {visible(sql, actor)}"
    row = await raw.fetchrow(f"SELECT c.* FROM crm.customer c WHERE {where} FOR UPDATE", *sql.args)
    if row is None:
        raise NotFound()
    if version is not None and row["version"] != version:
        raise Stale()
    if row["deleted_at"] is None:
        raise NotInTrash()
    if row["deleted_reason"] == "merge":
        raise Merged()
    return row


async def _phone_taken(session: AsyncSession, actor: Actor, row: asyncpg.Record) -> AppError:
    """Whose the phone is: another customer's, or a contact's of another. It may also be one of its own contacts' phones
    that another customer has."""
    numbers = [one["value"] for one in await (await driver(session)).fetch(POINTS, actor.tenant_id, [row["id"]])]
    if row["phone"]:
        numbers.insert(0, row["phone"])
    for number in numbers:
        refusal = await phone_taken(session, actor, number)
        if "existing_id" in refusal.extra:
            return refusal
    return await phones.held(session, actor, numbers, row["id"]) or PhoneTaken(extra={"field": "phone"})


async def _value_taken(session: AsyncSession, customer_id: UUID) -> ValueTaken:
    registry, raw = await registries.load(session), await driver(session)
    keys = await raw.fetch(
        "SELECT u.attribute_id FROM crm.unique_value u "
        "JOIN crm.attribute a ON a.tenant_id = $1 AND a.id = u.attribute_id "
        "JOIN crm.customer c ON c.tenant_id = $1 AND c.id = $2 AND u.value = c.attributes ->> a.key "
        "WHERE u.tenant_id = $1 AND u.customer_id <> $2",
        session.info["tenant_id"],
        customer_id,
    )
    taken = {row[0] for row in keys}
    field = next((one for one in registry.attributes if one.attribute_id in taken), None)
    if field is None:
        return ValueTaken(label="")
    error = ValueTaken(label=field.label, extra={"field": field.key})
    error.errors = [error.on(field.key)]
    return error
