"""The filter bar and the columns of the customer list: one's own, the workspace's, or the product's (Cấu hình bộ lọc,
Cấu hình hiển thị)."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.clock import now
from app.core.db import tenant_of
from app.core.errors import FieldError, Invalid, Stale
from app.core.events import record
from app.core.i18n import language
from app.customers import registry as registries
from app.customers.filterable import CustomerFields
from app.customers.queries import MEMBERS, sort_key
from app.customers.registry import Registry
from app.views.models import CustomerView
from app.views.schemas import ViewField, ViewIn, ViewOut, ViewPart

__all__ = ["own", "save_own", "save_workspace", "workspace"]

FILTERS = ("name", "phone", "owner", "relationship", "source", "groups", "created_at")
COLUMNS = ("code", "name", "phone", "relationship", "source", "owner", "groups", "created_at")
SORT = "-created_at"
Origin = Literal["mine", "workspace", "product"]


async def own(session: AsyncSession, actor: Actor) -> ViewOut:
    """What the caller's list shows. A view that was never saved has version 1."""
    rows = await _rows(session, actor.tenant_id, actor.id)
    return await _shown(session, actor, [("mine", rows.get(actor.id)), ("workspace", rows.get(actor.tenant_id))])


async def workspace(session: AsyncSession, actor: Actor) -> ViewOut:
    """What the list shows to those who chose nothing themselves."""
    rows = await _rows(session, actor.tenant_id)
    return await _shown(session, actor, [("workspace", rows.get(actor.tenant_id))])


async def save_own(session: AsyncSession, actor: Actor, given: ViewIn, *, version: int) -> ViewOut:
    """Chooses what the caller's list shows.

    Raises:
        Invalid: a field that cannot be filtered by or shown.
        Stale
    """
    await _save(session, actor, actor.id, given, version)
    return await own(session, actor)


async def save_workspace(session: AsyncSession, actor: Actor, given: ViewIn, *, version: int) -> ViewOut:
    """Chooses it for those who did not themselves.

    Raises:
        Invalid, Stale
    """
    await _save(session, actor, actor.tenant_id, given, version)
    return await workspace(session, actor)


async def _save(session: AsyncSession, actor: Actor, view_id: UUID, given: ViewIn, version: int) -> None:
    registry = await registries.load(session)
    _check(registry, actor, given)
    values = {"filters": _once(given.filters), "columns": _once(given.columns), "sort": given.sort}
    row = await session.scalar(select(CustomerView).where(CustomerView.id == view_id).with_for_update())
    if (row.version if row else 1) != version:
        raise Stale()
    moment, before = now(), {name: getattr(row, name, None) for name in values}
    if row is None:
        made = await session.scalar(
            upsert(CustomerView)
            .values(
                tenant_id=tenant_of(session), id=view_id, version=version + 1, created_at=moment, updated_at=moment,
                **values,
            )
            .on_conflict_do_nothing()
            .returning(CustomerView.id)
        )  # fmt: skip
        if made is None:
            raise Stale()
    else:
        for name, value in values.items():
            setattr(row, name, value)
        row.version, row.updated_at = version + 1, moment
        await session.flush()
    changes = {name: (before[name], value) for name, value in values.items() if before[name] != value}
    await record(session, actor, "view.updated", view_id, changes=changes)


def _check(registry: Registry, actor: Actor, given: ViewIn) -> None:
    wrong = []
    for part, known in (("filters", _filterable(registry, actor)), ("columns", _showable(registry))):
        for number, key in enumerate(getattr(given, part) or ()):
            if key not in known:
                said = f"Không có trường “{key[:80]}”" if language.get() == "vi" else f"There is no field “{key[:80]}”"
                wrong.append(FieldError(field=f"{part}[{number}]", code="field_unknown", message=said))
    if wrong:
        raise Invalid(errors=wrong[:20])
    if given.sort is not None:
        sort_key(registry, actor, given.sort.lstrip("-"))


async def _rows(session: AsyncSession, *ids: UUID) -> dict[UUID, CustomerView]:
    found = select(CustomerView).where(CustomerView.id.in_(ids)).execution_options(populate_existing=True)
    return {row.id: row for row in await session.scalars(found)}


async def _shown(session: AsyncSession, actor: Actor, chosen: Sequence[tuple[Origin, CustomerView | None]]) -> ViewOut:
    registry = await registries.load(session)
    return ViewOut(
        filters=_part(_filterable(registry, actor), "filters", chosen, FILTERS),
        columns=_part(_showable(registry), "columns", chosen, COLUMNS),
        sort=_sort(registry, actor, chosen),
        version=chosen[0][1].version if chosen[0][1] else 1,
    )


def _part(
    labels: dict[str, str], name: str, chosen: Sequence[tuple[Origin, CustomerView | None]], default: Sequence[str]
) -> ViewPart:
    """What is shown, without fields that are no more, and all others."""
    keys, origin = _choice(name, chosen, default)
    shown = [key for key in keys if key in labels]
    return ViewPart(
        shown=[ViewField(key=key, label=labels[key]) for key in shown],
        others=[ViewField(key=key, label=label) for key, label in labels.items() if key not in set(shown)],
        origin=origin,
    )


def _choice(name: str, chosen: Sequence[tuple[Origin, CustomerView | None]], default: Any) -> tuple[Any, Origin]:
    for origin, row in chosen:
        value = getattr(row, name, None)
        if value is not None:
            return value, origin
    return default, "product"


def _sort(registry: Registry, actor: Actor, chosen: Sequence[tuple[Origin, CustomerView | None]]) -> str:
    """The first choice that can still be sorted by: an attribute may be no more."""
    for _, row in chosen:
        if row is not None and row.sort is not None:
            with suppress(Invalid):
                sort_key(registry, actor, row.sort.lstrip("-"))
                return row.sort
    return SORT


def _filterable(registry: Registry, actor: Actor) -> dict[str, str]:
    return {field.key: field.label for field in CustomerFields(registry, actor).all()}


def _showable(registry: Registry) -> dict[str, str]:
    return {key: field.label for key, field in registry.fields.items() if field.is_attribute or key in MEMBERS}


def _once(keys: list[str] | None) -> list[str] | None:
    return None if keys is None else list(dict.fromkeys(keys))
