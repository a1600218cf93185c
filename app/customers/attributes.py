"""Fields that a workspace adds to its customers (thuộc tính)."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import jobs
from app.core.actor import Actor
from app.core.clock import new_id, now
from app.core.db import on_conflict, tenant_of
from app.core.errors import NotFound, invalid
from app.core.events import record
from app.core.fields import ATTRIBUTE_TYPES
from app.core.vietnam import text as vn
from app.customers import attribute_values, configuring
from app.customers.configuring import name_key, on_field
from app.customers.errors import AttributeKeyTaken, AttributeNameTaken, ChoiceInUse, TooManyAttributes
from app.customers.filterable import TEAM
from app.customers.models import DATE_SLOTS, NUMBER_SLOTS, TEXT_SLOTS, Attribute
from app.customers.queries import MEMBERS, OWN_PARAMETERS
from app.customers.registry import ASSIGNABLE, BUILT_IN, EXTRA, SYSTEM

__all__ = ["CLAIM_REST", "FREE_SLOT", "RENAME_CHOICES", "create", "delete", "get", "key_from", "list_all", "update"]

FREE_SLOT, RENAME_CHOICES, CLAIM_REST = "customers.free_slot", "customers.rename_choices", "customers.claim_rest"
LIMIT = 200
AT_ONCE = 5_000
MAX_KEY = 40
KEY = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*")
FAMILIES: Final[dict[str | None, tuple[str, ...]]] = {"t": TEXT_SLOTS, "n": NUMBER_SLOTS, "d": DATE_SLOTS, None: ()}
UNIQUE_TYPES = ("text", "integer", "phone", "email", "link")
CHOICE_TYPES = ("choice", "choices")
# Keys that would read as something else in a customer's JSON, in a filter or in the list's query string.
RESERVED = OWN_PARAMETERS | MEMBERS.keys() | {TEAM, *(field.key for field in BUILT_IN + EXTRA + ASSIGNABLE + SYSTEM)}
LABELS = frozenset(name_key(label) for field in BUILT_IN + EXTRA + ASSIGNABLE for label in (field.vi, field.en))
LAST_BUILT_IN = max(field.position for field in BUILT_IN)


async def list_all(session: AsyncSession) -> Sequence[Attribute]:
    """The workspace's attributes in order."""
    query = select(Attribute).where(Attribute.deleted_at.is_(None)).order_by(Attribute.position, Attribute.key)
    return (await session.scalars(query)).all()


async def get(session: AsyncSession, attribute_id: UUID) -> Attribute:
    """An attribute.

    Raises:
        NotFound
    """
    found = await session.scalar(select(Attribute).where(Attribute.id == attribute_id, Attribute.deleted_at.is_(None)))
    if found is None:
        raise NotFound()
    return found


async def create(
    session: AsyncSession,
    actor: Actor,
    *,
    name: str,
    type: str,  # noqa: A002 -- what the field's type is called everywhere
    key: str | None = None,
    position: int | None = None,
    required: bool = False,
    unique: bool = False,
    choices: Sequence[str] = (),
) -> Attribute:
    """Adds an attribute: with the commit, forms, lists and imports know it. It takes a free slot column of its type's
    family, so that lists filter and sort by it fast; without a free one it is kept and shown like the others.

    Raises:
        Invalid: a key, uniqueness or choices that its type cannot have.
        AttributeNameTaken, AttributeKeyTaken, TooManyAttributes
    """
    _check_unique(type, unique)
    _check_choices(type, choices)
    await configuring.lock(session)
    all_rows = (await session.scalars(select(Attribute))).all()
    live = [row for row in all_rows if row.deleted_at is None]
    if len(live) >= LIMIT:
        raise TooManyAttributes(limit=LIMIT)
    _check_name(name, live)
    taken = RESERVED | {row.key for row in all_rows}
    moment = now()
    with on_conflict({"attribute_name_uq": _name_taken, "attribute_key_uq": _key_taken}):
        made: Attribute | None = await session.scalar(
            insert(Attribute)
            .values(
                tenant_id=tenant_of(session), id=new_id(), name=name, name_key=name_key(name), type=type,
                key=_checked_key(key, taken) if key else key_from(name, taken),
                position=max([LAST_BUILT_IN, *(row.position for row in live)]) + 1 if position is None else position,
                required=required, is_unique=unique, choices=list(choices), slot=_free_slot(type, all_rows),
                version=1, created_at=moment, updated_at=moment,
            )
            .returning(Attribute)
        )  # fmt: skip
    assert made is not None
    await record(session, actor, "attribute.created", made.id, data={"key": made.key, "name": name, "type": type})
    return made


async def update(
    session: AsyncSession, actor: Actor, attribute_id: UUID, given: Mapping[str, Any], *, version: int
) -> Attribute:
    """Changes an attribute. `required` and `choices` bind what is written from now on. Where many customers hold a
    renamed choice, they get its new name in a job (RENAME_CHOICES).

    Raises:
        NotFound, Stale
        Invalid: another type; uniqueness or choices that the type cannot have.
        AttributeNameTaken
        NotUniqueYet: customers share values, so it cannot become unique; Invalid: some are too long for it.
        ChoiceInUse: customers hold a choice that would go.
    """
    await configuring.lock(session)
    row = await configuring.locked(session, Attribute, attribute_id, version, Attribute.deleted_at.is_(None))
    if given.get("type", row.type) != row.type:
        raise invalid(
            "type", "type_immutable",
            "Không thể đổi loại của thuộc tính; hãy thêm một thuộc tính mới",
            "The type of a field cannot change; add a new field instead",
        )  # fmt: skip
    values = {name: given[name] for name in ("name", "position", "required") if name in given}
    if "name" in values and name_key(values["name"]) != row.name_key:
        _check_name(values["name"], ())
    renamed = _renamed(row, given.get("renamed") or {})
    if "choices" in given or renamed:
        values["choices"] = await _new_choices(session, row, given.get("choices"), renamed)
        await _rename(session, actor, row, renamed)
    if given.get("unique", row.is_unique) != row.is_unique:
        values["is_unique"] = given["unique"]
        await _switch_unique(session, actor, row, on=given["unique"])
    with on_conflict({"attribute_name_uq": _name_taken}):
        await configuring.save(session, actor, "attribute.updated", row, values)
    return row


async def delete(session: AsyncSession, actor: Actor, attribute_id: UUID, *, version: int) -> None:
    """Takes an attribute away from forms, lists and imports. What customers hold stays in their records, unseen; its
    slot is emptied by a job (FREE_SLOT), and only then given to another.

    Raises:
        NotFound, Stale
    """
    await configuring.lock(session)
    row = await configuring.locked(session, Attribute, attribute_id, version, Attribute.deleted_at.is_(None))
    row.deleted_at = row.updated_at = now()
    row.version += 1
    await session.flush()
    if row.slot or row.is_unique:
        await jobs.enqueue(
            session, actor, FREE_SLOT, queue="bulk", subject_id=row.id, dedupe_key=str(row.id), stoppable=False
        )
    await record(session, actor, "attribute.deleted", row.id, data={"key": row.key, "name": row.name})


async def _new_choices(
    session: AsyncSession, row: Attribute, wanted: Sequence[str] | None, renamed: Mapping[str, str]
) -> list[str]:
    after = list(wanted) if wanted is not None else [renamed.get(choice, choice) for choice in row.choices]
    _check_choices(row.type, after)
    for new in renamed.values():
        if new not in after:
            raise invalid("renamed", "choice_unknown", f"Danh sách thiếu giá trị “{new}”", f"“{new}” is not in choices")
    gone = [choice for choice in row.choices if choice not in after and choice not in renamed]
    used = await attribute_values.count_choices(session, row, gone) if gone else {}
    if used:
        refusals = [ChoiceInUse(count=used[choice], choice=choice) for choice in gone if choice in used]
        refusals[0].errors = [refusal.on("choices") for refusal in refusals]
        refusals[0].extra = {"count": used[str(refusals[0].values["choice"])], "choices": used}
        raise refusals[0]
    return after


async def _rename(session: AsyncSession, actor: Actor, row: Attribute, renamed: Mapping[str, str]) -> None:
    if not renamed:
        return
    used = await attribute_values.count_choices(session, row, list(renamed))
    if sum(used.values()) > AT_ONCE:
        args = {"renamed": dict(renamed)}
        await jobs.enqueue(
            session, actor, RENAME_CHOICES, queue="bulk", subject_id=row.id, args=args, lane=str(row.id),
            stoppable=False,
        )  # fmt: skip
    else:
        await attribute_values.rename_choices(session, row, renamed)


async def _switch_unique(session: AsyncSession, actor: Actor, row: Attribute, *, on: bool) -> None:
    _check_unique(row.type, on)
    if not on:
        await attribute_values.release(session, row.id)
        return
    await attribute_values.claim(session, row)
    # Whoever wrote a customer in this moment did not know yet; their values are taken a little later.
    await jobs.enqueue(
        session, actor, CLAIM_REST, queue="bulk", subject_id=row.id, delay=attribute_values.SETTLE, stoppable=False
    )


def _renamed(row: Attribute, renamed: Mapping[str, str]) -> dict[str, str]:
    """The renamings that change something, checked."""
    real = {old: new for old, new in renamed.items() if old != new}
    after = Counter(name_key(real.get(choice, choice)) for choice in row.choices)
    for old, new in real.items():
        if old not in row.choices:
            raise invalid("renamed", "choice_unknown", f"Không có giá trị “{old}”", f"There is no value “{old}”")
        if new in row.choices or after[name_key(new)] > 1:
            raise invalid("renamed", "choice_exists", f"Đã có giá trị “{new}”", f"There is a value “{new}” already")
    return real


def _free_slot(type_: str, rows: Sequence[Attribute]) -> str | None:
    """The first free slot of the type's family. A deleted attribute keeps its slot until that has been emptied."""
    held = {row.slot for row in rows}
    return next((slot for slot in FAMILIES[ATTRIBUTE_TYPES[type_]] if slot not in held), None)


def key_from(name: str, taken: frozenset[str]) -> str:
    """A key made from a name: `Hạn mức` is `han_muc`, or `han_muc_2` where that is taken."""
    stem = "_".join(re.findall("[a-z0-9]+", vn.fold(name)))[:MAX_KEY].strip("_") or "thuoc_tinh"
    key, number = stem, 1
    while key in taken:
        number += 1
        key = f"{stem[: MAX_KEY - len(str(number)) - 1].rstrip('_')}_{number}"
    return key


def _checked_key(key: str, taken: frozenset[str]) -> str:
    if len(key) > MAX_KEY or not KEY.fullmatch(key):
        raise invalid(
            "key", "key_invalid", "Khóa chỉ gồm a-z, 0-9 và dấu _ đơn, tối đa 40 ký tự",
            "A key is made of a-z, 0-9 and single _, at most 40",
        )  # fmt: skip
    if key in taken:
        raise _key_taken()
    return key


def _check_name(name: str, live: Sequence[Attribute]) -> None:
    key = name_key(name)
    if key in LABELS or any(row.name_key == key for row in live):
        raise _name_taken()


def _check_unique(type_: str, unique: bool) -> None:
    if unique and type_ not in UNIQUE_TYPES:
        raise invalid(
            "unique", "unique_not_allowed", "Loại thuộc tính này không thể đặt là duy nhất",
            "A field of this type cannot be unique",
        )  # fmt: skip


def _check_choices(type_: str, choices: Sequence[str]) -> None:
    if type_ not in CHOICE_TYPES:
        if choices:
            raise invalid(
                "choices", "choices_not_allowed", "Loại thuộc tính này không có danh sách giá trị",
                "A field of this type has no choices",
            )  # fmt: skip
    elif not choices:
        raise invalid("choices", "choices_required", "Vui lòng nhập danh sách giá trị", "Please name the choices")
    elif type_ == "choices" and any(re.search("[,;]", choice) for choice in choices):
        raise invalid(
            "choices", "choice_separator", "Giá trị không được chứa dấu phẩy hoặc chấm phẩy",
            "A choice must not contain a comma or semicolon",
        )  # fmt: skip


def _name_taken() -> AttributeNameTaken:
    return on_field(AttributeNameTaken(), "name")


def _key_taken() -> AttributeKeyTaken:
    return on_field(AttributeKeyTaken(), "key")
