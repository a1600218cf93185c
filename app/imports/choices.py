"""What a start asks for, checked against the file and the fields, and kept with the import."""

import re
from dataclasses import dataclass
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.errors import AppError, FieldError, Invalid, invalid
from app.core.fields import BadValue, Field
from app.core.i18n import language
from app.core.vietnam import text as vn
from app.customers import groups
from app.customers.errors import GroupNameMissing
from app.customers.registry import Registry
from app.imports.errors import MappingIncomplete, SheetAmbiguous
from app.imports.plan import CONTACT_FIELDS, OnDuplicate, Plan, Target
from app.imports.reading import SheetInfo, SheetPreview, Workbook
from app.imports.schemas import StartIn
from app.imports.suggest import suggest

LETTERS = re.compile(r"[A-Za-z]{1,3}")
MAX_COLUMN = 16_384


class Choices(msgspec.Struct):
    """The checked choices of a start; `mapping` names columns by number, counted from 1."""

    sheet: int
    start_row: int
    mapping: dict[str, int]
    group_id: UUID | None
    group_name: str | None
    owner_id: UUID | None
    on_duplicate: OnDuplicate
    on_duplicate_in_file: OnDuplicate
    clear: bool
    dry_run: bool
    sees_all: bool
    rows: int
    chunks: int
    """Rows and chunks of the sheet."""


class Kept(msgspec.Struct):
    """What reading found, as the import keeps it; `chunks` counts the chunks of each sheet."""

    book: Workbook
    chunks: dict[int, int]


@dataclass(frozen=True)
class Proposal:
    """What a start does when it says nothing else."""

    sheet: SheetPreview
    mapping: dict[str, int]
    missing: list[Field]


def propose(registry: Registry, book: Workbook) -> Proposal:
    """The first of the sheets that a start may mean."""
    return _meant(registry, book)[0]


async def check(session: AsyncSession, actor: Actor, registry: Registry, kept: Kept, body: StartIn) -> Choices:
    """The choices, every mistake in them refused by its path. A new group is added in the session's transaction.

    Raises:
        Invalid, SheetAmbiguous, MappingIncomplete, GroupNameMissing
    """
    preview = _only_sheet(registry, kept.book) if body.sheet is None else _sheet(kept.book, body.sheet)
    info = _info(kept.book, preview.sheet)
    if body.mapping is not None:
        mapping = _mapping(registry, info, body.mapping)
    else:
        own = _proposal(registry, preview)
        if own.missing:
            raise _incomplete(own.missing)
        mapping = own.mapping
    owner_id = _owner(registry, actor, body)
    group_id, group_name = await _group(session, actor, registry, body)
    return Choices(
        sheet=preview.sheet,
        start_row=body.start_row or preview.first_data_row,
        mapping=mapping,
        group_id=group_id,
        group_name=group_name,
        owner_id=owner_id,
        on_duplicate=body.on_duplicate,
        on_duplicate_in_file=body.on_duplicate_in_file or body.on_duplicate,
        clear=body.empty_cells == "clear",
        dry_run=body.dry_run,
        sees_all=actor.may("customers.view_all"),
        rows=info.rows,
        chunks=kept.chunks.get(preview.sheet, 0),
    )


def make_plan(tenant_id: UUID, import_id: UUID, spoken: str, choices: Choices, registry: Registry) -> Plan | None:
    """The plan of a run, None where a field that was mapped is no more."""
    targets: list[Target] = []
    for key, column in choices.mapping.items():
        field = registry.fields.get(key) or CONTACT_FIELDS.get(key)
        if field is None or not field.writable:
            return None
        targets.append(Target(field, column - 1))
    group = next((one for one in registry.groups.values() if one.id == choices.group_id), None)
    if choices.group_id is not None and group is None and not choices.dry_run:
        return None
    ids = {key: {name: str(id_) for name, id_ in names.items()} for key, names in registry.ids.items()}
    return Plan(
        tenant_id=str(tenant_id),
        import_id=str(import_id),
        vietnamese=spoken == "vi",
        start_row=choices.start_row,
        targets=targets,
        ids={key: names for key, names in ids.items() if key in choices.mapping},
        groups={name: one.no for name, one in registry.groups.items()},
        add_to_group=group.name if group else None,
        in_file=choices.on_duplicate_in_file,
        clear=choices.clear,
        tags={name: one.no for name, one in registry.tags.items()} if "tags" in choices.mapping else {},
    )


def mappable(registry: Registry) -> list[Field]:
    """Every field that a column can be mapped to: the customer's, then those of its contact."""
    return [*registry.importable, *CONTACT_FIELDS.values()]


def _proposal(registry: Registry, preview: SheetPreview) -> Proposal:
    mapping = {one.field.key: one.column for one in suggest(mappable(registry), preview.columns)}
    return Proposal(preview, mapping, [one for one in registry.importable if one.required and one.key not in mapping])


def _meant(registry: Registry, book: Workbook) -> list[Proposal]:
    """The sheets that a start may mean which names none: of those with data the ones with every required field, so
    that notes beside the customers are in nobody's way; without such a one, all with data."""
    filled = [one for one in book.previews if _info(book, one.sheet).last_row >= one.first_data_row]
    proposals = [_proposal(registry, one) for one in filled]
    return [one for one in proposals if not one.missing] or proposals


def _only_sheet(registry: Registry, book: Workbook) -> SheetPreview:
    """The sheet of a start that names none.

    Raises:
        SheetAmbiguous: with the sheets to choose from.
    """
    meant = [one.sheet for one in _meant(registry, book)]
    if len(meant) == 1:
        return meant[0]
    sheets = [{"number": one.sheet + 1, "name": _info(book, one.sheet).name} for one in meant]
    error = SheetAmbiguous(names=", ".join(f"“{one['name']}”" for one in sheets), extra={"sheets": sheets})
    error.errors = [error.on("sheet")]
    raise error


def _sheet(book: Workbook, wanted: int | str) -> SheetPreview:
    """A sheet by its number, counted from 1, or its name."""
    for preview in book.previews:
        info = _info(book, preview.sheet)
        if wanted == preview.sheet + 1 or (isinstance(wanted, str) and vn.nfc(wanted) == vn.nfc(info.name)):
            return preview
    raise invalid("sheet", "sheet_unknown", "Không có sheet này, hoặc sheet trống hay bị ẩn",
                  "There is no such sheet, or it is empty or hidden")  # fmt: skip


def _info(book: Workbook, sheet: int) -> SheetInfo:
    return next(info for info in book.sheets if info.index == sheet)


def _mapping(registry: Registry, info: SheetInfo, given: dict[str, int | str]) -> dict[str, int]:
    mapping, errors = dict[str, int](), list[FieldError]()
    for key, column in given.items():
        field = registry.get(key) or CONTACT_FIELDS.get(key)
        number = _column(column)
        path = f"mapping.{key[:200]}"
        if field is None or not field.writable:
            errors.append(_error(path, "field_unknown", "Không có trường này", "There is no such field"))
        elif field.key in mapping:
            errors.append(_error(path, "field_repeated", "Trường này được chọn hai lần", "The field is mapped twice"))
        elif number is None:
            errors.append(_error(path, "column_invalid", "Cột phải là số (từ 1) hoặc chữ cái như “C”",
                                 "A column is a number from 1, or letters such as “C”"))  # fmt: skip
        elif number > info.columns:
            errors.append(_error(path, "column_out_of_range", f"File chỉ có {info.columns} cột",
                                 f"The file has only {info.columns} columns"))  # fmt: skip
        else:
            mapping[field.key] = number
    if not errors:
        missing = [one for one in registry.importable if one.required and one.key not in mapping]
        errors += [
            _error(f"mapping.{one.key}", "required", f"Chưa chọn cột cho {one.vi}", f"No column is chosen for {one.en}")
            for one in missing
        ]
    if not errors and not mapping:
        errors.append(_error("mapping", "required", "Chưa chọn cột nào", "No column is chosen"))
    if errors:
        raise Invalid(errors=errors)
    return mapping


def _column(given: int | str) -> int | None:
    """A column's number from 3, "3" or "C"."""
    number = 0
    if isinstance(given, int):
        number = given
    elif given.isascii() and given.isdigit() and len(given) <= 5:
        number = int(given)
    elif LETTERS.fullmatch(given):
        for letter in given.upper():
            number = number * 26 + ord(letter) - 64
    return number if 1 <= number <= MAX_COLUMN else None


def _owner(registry: Registry, actor: Actor, body: StartIn) -> UUID | None:
    """Who is in charge of new customers: the one asked for, else who imports."""
    if body.owner is None:
        return actor.id if actor.kind == "user" else None
    try:
        found = registry.fields["owner"].parse(body.owner)
    except BadValue as bad:
        raise invalid("owner", bad.code, bad.vi, bad.en) from None
    return UUID(found) if found else None


async def _group(
    session: AsyncSession, actor: Actor, registry: Registry, body: StartIn
) -> tuple[UUID | None, str | None]:
    """The group that all customers of the file join. One of that name is taken as it is."""
    if body.group is None:
        return None, None
    if body.group.id is not None:
        known = next((one for one in registry.groups.values() if one.id == body.group.id), None)
        if known is None:
            raise invalid("group.id", "group_unknown", "Không có nhóm này", "There is no such group")
        return known.id, known.name
    name = vn.clean(body.group.name or "")
    if not name:
        raise on_path(GroupNameMissing(), "group.name")
    folded = name.casefold()
    found = next((one for one in registry.groups.values() if one.name.casefold() == folded), None)
    if found is not None:
        return found.id, found.name
    if body.dry_run:
        return None, name
    made = await groups.create_group(session, actor, name=name)
    return made.id, made.name


def on_path(error: AppError, path: str) -> AppError:
    """The refusal, with the path of what it refuses."""
    error.errors = [error.on(path)]
    return error


def _incomplete(missing: list[Field]) -> MappingIncomplete:
    error = MappingIncomplete(labels=", ".join(one.label for one in missing))
    error.errors = [
        _error(f"mapping.{one.key}", "required", f"Chưa chọn cột cho {one.vi}", f"No column is chosen for {one.en}")
        for one in missing
    ]
    return error


def _error(path: str, code: str, vi: str, en: str) -> FieldError:
    return FieldError(field=path, code=code, message=vi if language.get() == "vi" else en)
