"""What a workspace sees of its fields, and what it may change about the built-in ones (định nghĩa dữ liệu)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.clock import new_id, now
from app.core.db import tenant_of
from app.core.errors import NotFound, Stale, invalid
from app.core.events import record
from app.core.fields import Field
from app.core.i18n import language
from app.core.vietnam import provinces
from app.customers import attributes, configuring
from app.customers import registry as registries
from app.customers.config_schemas import ChoiceOut, FieldOut, Labels
from app.customers.models import FieldSetting
from app.customers.queries import SORTABLE
from app.customers.registry import ASSIGNABLE, BUILT_IN, EXTRA, KINDS, Registry

__all__ = ["list_all", "update"]

GENDERS = {"male": ("Nam", "Male"), "female": ("Nữ", "Female"), "other": ("Khác", "Other")}
BUILT_IN_KEYS = frozenset(field.key for field in BUILT_IN + EXTRA)
DEFAULTS = {field.key: field for field in BUILT_IN + EXTRA + ASSIGNABLE}
# A customer whom one can neither name nor call is no customer.
IDENTITY = ("name", "phone")


async def list_all(session: AsyncSession) -> list[FieldOut]:
    """Every field of the registry, in order."""
    registry = await registries.load(session)
    return [shown(registry, field, registry.versions.get(field.key, 1)) for field in registry.fields.values()]


async def update(session: AsyncSession, actor: Actor, key: str, given: Mapping[str, Any], *, version: int) -> FieldOut:
    """Changes whether a field is required, or its place. A built-in field that was never changed has version 1.

    Raises:
        NotFound: no such field, or one that the system writes.
        Stale
        Invalid: a field that cannot be required; neither name nor phone would be required.
    """
    # Before the lock, whose new version no cache may remember until it is committed.
    registry = await registries.load(session)
    field = registry.fields.get(key)
    if field is None or not field.writable:
        raise NotFound()
    if field.attribute_id is not None:
        row = await attributes.update(session, actor, field.attribute_id, given, version=version)
        changed = replace(field, required=row.required, position=row.position)
        return shown(registry, changed, row.version)
    if "required" in given and key not in BUILT_IN_KEYS:
        raise invalid(
            "required", "required_fixed", "Không thể đổi tính bắt buộc của trường này",
            "Whether this field is required cannot be changed",
        )  # fmt: skip
    await configuring.lock(session)
    return await _update_built_in(session, actor, registry, field, given, version)


def shown(registry: Registry, field: Field, version: int) -> FieldOut:
    """A field as callers see it."""
    stored = field.slot is not None or (field.column is not None and not field.is_attribute)
    return FieldOut(
        key=field.key,
        label=field.label,
        labels=Labels(vi=field.vi, en=field.en),
        type=field.type,
        position=field.position,
        required=field.required,
        unique=field.unique,
        writable=field.writable,
        importable=field.writable and field.type != "record",
        filterable=stored,
        sortable=field.slot is not None or field.key in SORTABLE,
        choices=_choices(registry, field),
        is_attribute=field.is_attribute,
        attribute_id=field.attribute_id,
        version=version,
    )


async def _update_built_in(
    session: AsyncSession, actor: Actor, registry: Registry, field: Field, given: Mapping[str, Any], version: int
) -> FieldOut:
    rows = {row.key: row for row in await session.scalars(select(FieldSetting))}
    row, default = rows.get(field.key), DEFAULTS[field.key]
    if (row.version if row else 1) != version:
        raise Stale()
    before = {
        "required": row.required if row else default.required,
        "position": row.position if row else default.position,
    }
    after = {**before, **given}
    changes = {name: (before[name], after[name]) for name in after if before[name] != after[name]}
    if changes:
        if field.key in IDENTITY and not after["required"]:
            _require(rows.get(next(key for key in IDENTITY if key != field.key)))
        moment = now()
        if row is None:
            row = FieldSetting(
                tenant_id=tenant_of(session),
                id=new_id(),
                key=field.key,
                version=1,
                created_at=moment,
                updated_at=moment,
            )
            session.add(row)
        row.required, row.position = bool(after["required"]), int(after["position"])
        row.version, row.updated_at = version + 1, moment
        await session.flush()
        await record(session, actor, "field.updated", row.id, changes=changes, data={"key": field.key})
    changed = replace(field, required=bool(after["required"]), position=int(after["position"]))
    return shown(registry, changed, version + 1 if changes else version)


def _require(row: FieldSetting | None) -> None:
    if row is not None and not row.required:
        raise invalid(
            "required", "identity_required", "Tên khách hàng hoặc Số điện thoại: ít nhất một trường phải bắt buộc",
            "Name or phone: at least one of the two must be required",
        )  # fmt: skip


def _choices(registry: Registry, field: Field) -> list[ChoiceOut] | None:
    vietnamese = language.get() == "vi"
    if field.type == "gender":
        return [ChoiceOut(value=value, label=vi if vietnamese else en) for value, (vi, en) in GENDERS.items()]
    if field.key == "kind":
        return [ChoiceOut(value=key, label=vi if vietnamese else en) for key, (vi, en, _) in KINDS.items()]
    if field.type == "province":
        return [ChoiceOut(value=one.name, label=one.name) for one in provinces.ALL]
    if field.type in ("person", "people"):
        # An owner is shown by user name, a person in an attribute by id.
        by_id = field.is_attribute
        people = sorted(registry.owners.items(), key=lambda person: person[1])
        return [ChoiceOut(value=str(id_) if by_id else name, label=registry.names[id_]) for id_, name in people]
    if field.type in ("choice", "choices"):
        return [ChoiceOut(value=choice, label=choice) for choice in field.choices]
    return None
