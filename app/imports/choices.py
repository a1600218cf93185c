"""What a start asks for, checked against the file and the fields, and kept with the import."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.errors import FieldError, Invalid, invalid
from app.core.fields import BadValue, Field
from app.core.i18n import language
from app.core.vietnam import text as vn
from app.customers import groups
from app.customers.configuring import on_field
from app.customers.errors import GroupNameMissing
from app.customers.registry import Registry
from app.imports.errors import MappingIncomplete, SheetAmbiguous
from app.imports.plan import CONTACT_FIELDS, OnDuplicate, Plan, Target
from app.imports.reading import SheetInfo, SheetPreview, Workbook
from app.imports.reading.scan import column_number
from app.imports.schemas import StartIn
from app.imports.suggest import Suggestion, suggest

IMPORT, EDIT, DELETE = "customers.import", "customers.edit", "customers.delete"
LETTERS = re.compile(r"[A-Za-z]{1,3}")
MAX_COLUMN = 16_384
# The number of a group that only the run adds: a dry run knows that nobody is in it yet.
NOT_YET = -1


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
    rows: int
    chunks: int
    """Rows and chunks of the sheet."""
    from_1904: bool = False


class Kept(msgspec.Struct):
    """What reading found, as the import keeps it; `chunks` counts the chunks of each sheet."""

    book: Workbook
    chunks: dict[int, int]


@dataclass(frozen=True)
class Proposal:
    """What a start does when it says nothing else."""

    sheet: SheetPreview
    suggestions: list[Suggestion]
    missing: list[Field]

    @property
    def mapping(self) -> dict[str, int]:
        """Fields by key, with the numbers of their columns."""
        return {one.field.key: one.column for one in self.suggestions}


def propose(registry: Registry, preview: SheetPreview) -> Proposal:
    """What the headers of a sheet suggest."""
    suggestions = suggest([*registry.importable, *CONTACT_FIELDS.values()], preview.columns)
    found = {one.field.key for one in suggestions}
    return Proposal(preview, suggestions, [one for one in registry.importable if one.required and one.key not in found])


def meant(book: Workbook, proposals: Iterable[Proposal]) -> list[Proposal]:
    """The sheets that a start may mean which names none: of those with data the ones with every required field, so
    that notes beside the customers are in nobody's way; without such a one, all with data."""
    filled = [one for one in proposals if _info(book, one.sheet.sheet).last_row >= one.sheet.first_data_row]
    return [one for one in filled if not one.missing] or filled


def rights(on_duplicate: OnDuplicate) -> tuple[str, ...]:
    """What whoever starts a run must be allowed to do, at the start and until its end."""
    return (IMPORT, EDIT) if on_duplicate == "update" else (IMPORT,)


def undo_rights(counts: Mapping[str, int]) -> tuple[str, ...]:
    """The same for an undo of a run with these counts."""
    created, changed = counts["created"] > 0, counts["updated"] > counts["unchanged"]
    return (IMPORT, *([DELETE] if created else []), *([EDIT] if changed else []))


async def check(session: AsyncSession, actor: Actor, registry: Registry, kept: Kept, body: StartIn) -> Choices:
    """The choices, every mistake in them refused by its path. A new group is added in the session's transaction.

    Raises:
        Forbidden: the run would do what the caller may not.
        Invalid, SheetAmbiguous, MappingIncomplete, GroupNameMissing
    """
    for right in rights(body.on_duplicate):
        actor.require(right)
    own = propose(registry, _sheet(kept.book, body.sheet)) if body.sheet is not None else _only(registry, kept.book)
    preview = own.sheet
    info = _info(kept.book, preview.sheet)
    if body.mapping is not None:
        mapping = _mapping(registry, info, body.mapping)
    else:
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
        rows=info.rows,
        chunks=kept.chunks.get(preview.sheet, 0),
        from_1904=kept.book.from_1904,
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
    groups, joined = {name: one.no for name, one in registry.groups.items()}, group.name if group else None
    if group is None and choices.group_name is not None:
        joined, groups = choices.group_name, {choices.group_name: NOT_YET, **groups}
        targets = [_knowing(one, choices.group_name) if one.field.key == "groups" else one for one in targets]
    ids = {key: {name: str(id_) for name, id_ in names.items()} for key, names in registry.ids.items()}
    return Plan(
        tenant_id=str(tenant_id),
        import_id=str(import_id),
        vietnamese=spoken == "vi",
        start_row=choices.start_row,
        targets=targets,
        ids={key: names for key, names in ids.items() if key in choices.mapping},
        groups=groups,
        add_to_group=joined,
        in_file=choices.on_duplicate_in_file,
        clear=choices.clear,
        tags={name: one.no for name, one in registry.tags.items()} if "tags" in choices.mapping else {},
        from_1904=choices.from_1904,
    )


def _knowing(target: Target, group: str) -> Target:
    """The column of groups, which may name one more."""
    return Target(target.field.with_choices((*target.field.choices, group)), target.column)


def _only(registry: Registry, book: Workbook) -> Proposal:
    """The sheet of a start that names none, and what it suggests.

    Raises:
        SheetAmbiguous: with the sheets to choose from.
    """
    found = meant(book, (propose(registry, one) for one in book.previews))
    if len(found) == 1:
        return found[0]
    sheets = [{"number": one.sheet.sheet + 1, "name": _info(book, one.sheet.sheet).name} for one in found]
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
        number = column_number(given)
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
        raise on_field(GroupNameMissing(), "group.name")
    folded = name.casefold()
    found = next((one for one in registry.groups.values() if one.name.casefold() == folded), None)
    if found is not None:
        return found.id, found.name
    actor.require("groups.manage")
    if body.dry_run:
        return None, name
    made = await groups.create_group(session, actor, name=name)
    return made.id, made.name


def _incomplete(missing: list[Field]) -> MappingIncomplete:
    error = MappingIncomplete(labels=", ".join(one.label for one in missing))
    error.errors = [
        _error(f"mapping.{one.key}", "required", f"Chưa chọn cột cho {one.vi}", f"No column is chosen for {one.en}")
        for one in missing
    ]
    return error


def _error(path: str, code: str, vi: str, en: str) -> FieldError:
    return FieldError(field=path, code=code, message=vi if language.get() == "vi" else en)
