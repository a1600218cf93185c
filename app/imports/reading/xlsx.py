"""Reads an .xlsx: first its description and a scan for safety, then the rows of each visible sheet."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.parsers import expat

import python_calamine

from app.imports.reading.archive import Archive, Part
from app.imports.reading.cells import Emit, SheetRows
from app.imports.reading.model import Limits, Notice, SheetInfo, SheetPreview, Unreadable, Workbook
from app.imports.reading.preview import preview_sheet, refuse_without_data
from app.imports.reading.scan import HEAD_BYTES, SheetFacts, refuse_doctype, scan_sheet, scan_strings

_WORKBOOK = "xl/workbook.xml"
_RELATIONS = "xl/_rels/workbook.xml.rels"
_CONTENT_TYPES = "[content_types].xml"


@dataclass(frozen=True, slots=True)
class _Sheet:
    name: str
    visible: bool
    part: Part | None
    """None for a sheet without cells, such as a chart."""


def read_xlsx(path: Path, limits: Limits, *, chunk_rows: int, emit: Emit) -> Workbook:
    """Hands over the rows of every visible sheet and describes the whole.

    Raises `Unreadable`. A crash of the parser kills this process: call it in one that may die.
    """
    with path.open("rb") as file:
        archive = Archive(file, limits)
        sheets, from_1904 = _describe(archive)
        facts = _scan(archive, sheets, limits)
    with _parser_errors():
        book = python_calamine.CalamineWorkbook.from_path(path)
    if len(book.sheet_names) != len(sheets):
        raise Unreadable("file_corrupt", reason="sheet_list")
    infos: list[SheetInfo] = []
    previews: list[SheetPreview] = []
    for index, sheet in enumerate(sheets):
        if index not in facts:
            infos.append(SheetInfo(index, sheet.name, sheet.visible))
            continue
        rows = _read_sheet(book, index, limits, chunk_rows, emit)
        infos.append(rows.info(sheet.name))
        if rows.count:
            rows.error_cells += facts[index].error_cells
            notices = _sheet_notices(facts[index])
            previews.append(preview_sheet(rows, merged=facts[index].merged, from_1904=from_1904, extra=notices))
    refuse_without_data(infos, previews)
    return Workbook("xlsx", infos, previews, _notices(sheets), from_1904=from_1904)


def _describe(archive: Archive) -> tuple[list[_Sheet], bool]:
    """The sheets, and whether days are counted from 1904."""
    parts = archive.parts
    _refuse_kind(archive)
    targets: dict[str, str] = {}
    if _RELATIONS in parts:
        for tag, attributes in _tags(archive, _RELATIONS):
            if tag == "Relationship" and attributes.get("Type", "").endswith("/worksheet"):
                target = attributes.get("Target", "").replace("\\", "/").lower()
                targets[attributes.get("Id", "")] = posixpath.normpath(posixpath.join("/xl", target))[1:]
    sheets, from_1904 = [], False
    for tag, attributes in _tags(archive, _WORKBOOK):
        if tag == "workbookPr":
            from_1904 = attributes.get("date1904") in ("1", "true")
        if tag != "sheet":
            continue
        relation = next((value for key, value in attributes.items() if key.endswith(":id")), "")
        path = targets.get(relation)
        if path is not None and path not in parts:
            raise Unreadable("file_corrupt", reason="sheet_missing")
        visible = attributes.get("state", "visible") == "visible"
        sheets.append(_Sheet(attributes.get("name", ""), visible, parts[path] if path else None))
    if not any(sheet.part for sheet in sheets):
        raise Unreadable("file_corrupt", reason="no_sheets")
    return sheets, from_1904


def _refuse_kind(archive: Archive) -> None:
    parts = archive.parts
    if any(name.endswith("vbaproject.bin") or name.startswith("xl/macrosheets/") for name in parts):
        raise Unreadable("file_has_macros")
    if "xl/workbook.bin" in parts:
        raise Unreadable("file_legacy_format", format="xlsb")
    if _WORKBOOK not in parts or _CONTENT_TYPES not in parts:
        if "content.xml" in parts and "mimetype" in parts:
            raise Unreadable("file_legacy_format", format="ods")
        raise Unreadable("not_a_table", reason="zip_without_workbook")
    if b"macroenabled" in archive.read(parts[_CONTENT_TYPES]).lower():
        raise Unreadable("file_has_macros")


def _tags(archive: Archive, name: str) -> list[tuple[str, dict[str, str]]]:
    """The start tags of a small part, names without their prefix."""
    data = archive.read(archive.parts[name])
    refuse_doctype(data, name)
    found: list[tuple[str, dict[str, str]]] = []
    parser = expat.ParserCreate()
    parser.StartElementHandler = lambda tag, attributes: found.append((tag.rpartition(":")[2], attributes))
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError):
        raise Unreadable("file_corrupt", reason="bad_xml", part=name) from None
    return found


def _scan(archive: Archive, sheets: list[_Sheet], limits: Limits) -> dict[int, SheetFacts]:
    """The facts of each sheet that will be read, by its index."""
    for name, part in archive.parts.items():
        if name.endswith("sharedstrings.xml"):
            scan_strings(archive.unpack(part), name)
        elif name.endswith("styles.xml"):
            refuse_doctype(archive.read(part), name)
        elif name.endswith((".xml", ".rels")) and "/worksheets/sheet" not in name:
            refuse_doctype(_head(archive, part), name)
    facts = {
        index: _scan_part(archive, sheet.part, limits)
        for index, sheet in enumerate(sheets)
        if sheet.visible and sheet.part
    }
    if not facts:
        raise Unreadable("file_empty", reason="all_sheets_hidden")
    return facts


def _scan_part(archive: Archive, part: Part, limits: Limits) -> SheetFacts:
    return scan_sheet(lambda: archive.unpack(part), part.name, part.declared, limits)


def _head(archive: Archive, part: Part) -> bytes:
    head = b""
    for piece in archive.unpack(part):
        head += piece
        if len(head) >= HEAD_BYTES:
            break
    return head


def _read_sheet(
    book: python_calamine.CalamineWorkbook, index: int, limits: Limits, chunk_rows: int, emit: Emit
) -> SheetRows:
    with _parser_errors():
        sheet = book.get_sheet_by_index(index)
    offset = sheet.start[1] if sheet.start else 0
    rows = SheetRows(index, emit, chunk_rows=chunk_rows, cell_chars=limits.cell_chars, offset=offset)
    for number, values in enumerate(_iterate(sheet), 1):
        rows.add(number, values)
    rows.finish()
    return rows


def _iterate(sheet: python_calamine.CalamineSheet) -> Iterator[list[Any]]:
    # Unlike to_python(), iter_rows() begins at row 1 whatever is blank; it does leave out blank columns.
    with _parser_errors():
        yield from sheet.iter_rows()


@contextmanager
def _parser_errors() -> Iterator[None]:
    try:
        yield
    except python_calamine.PasswordError:
        raise Unreadable("file_encrypted") from None
    except (python_calamine.CalamineError, OSError, ValueError, OverflowError) as error:
        raise Unreadable("file_corrupt", reason=type(error).__name__) from None
    except BaseException as error:
        # A Rust panic is no Exception, and its class has no importable name.
        if type(error).__name__ != "PanicException":
            raise
        raise Unreadable("file_corrupt", reason="panic") from None


def _sheet_notices(facts: SheetFacts) -> list[Notice]:
    if not facts.formulas_without_value:
        return []
    return [Notice("formulas_without_value", {"count": facts.formulas_without_value})]


def _notices(sheets: list[_Sheet]) -> list[Notice]:
    hidden = [sheet.name for sheet in sheets if not sheet.visible]
    return [Notice("hidden_sheets", {"names": hidden})] if hidden else []
