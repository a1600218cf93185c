"""In which groups a customer is, and which tags it has: the links, which are the truth beside the record's numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import now
from app.core.db import on_conflict, tenant_of
from app.core.errors import Conflict

__all__ = ["GROUPS", "TAGS", "Links", "replace"]


@dataclass(frozen=True)
class Links:
    """A table of links, its column of what is linked to, and the foreign key that says what is no more."""

    table: str
    key: str
    constraint: str


GROUPS: Final = Links("group_member", "group_id", "group_member_group_fk")
TAGS: Final = Links("tag_member", "tag_id", "tag_member_tag_fk")


async def replace(session: AsyncSession, customer_id: UUID, links: Links, ids: Sequence[UUID]) -> None:
    """Lets a customer have exactly these groups or tags; those that it has already keep their day and their batch. The
    numbers in its record are the caller's to write.

    Raises:
        Conflict: one of them is deleted in this very moment.
    """
    given = {"tenant_id": tenant_of(session), "customer_id": customer_id, "ids": list(ids)}
    await session.execute(
        text(f"""
        DELETE FROM crm.{links.table} m
        WHERE m.tenant_id = :tenant_id AND m.customer_id = :customer_id AND m.{links.key} <> ALL(CAST(:ids AS uuid[]))
        """),
        given,
    )
    with on_conflict({links.constraint: Conflict}):
        await session.execute(
            text(f"""
            INSERT INTO crm.{links.table} (tenant_id, {links.key}, customer_id, added_at)
            SELECT :tenant_id, one, :customer_id, CAST(:moment AS timestamptz)
            FROM unnest(CAST(:ids AS uuid[])) AS one
            ON CONFLICT (tenant_id, {links.key}, customer_id) DO NOTHING
            """),
            {**given, "moment": now()},
        )
