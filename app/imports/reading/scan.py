"""One pass over a sheet's XML before the real reader sees it: could reading it hurt?

The reader keeps a sheet as a dense grid, so one cell in a far corner is enough to kill it. The quick pass
asks one question of the bytes, in C: is every cell written in the usual form and inside a box that is safe
anyway? Only a sheet that answers no is read a second time, tag by tag, counting only cells with a value
(formatted blank cells reach row 1,048,576 in honest files).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from xml.parsers import expat

from app.imports.reading.model import Limits, Unreadable

HEAD_BYTES = 1 << 20
_MAX_ROW, _MAX_COLUMN = 1_048_576, 16_384
_MAX_GAP = 1 << 20
_SMALLEST_CELL = len('<c r="A1"/>')

# Letters of the columns, by the last column they admit.
_COLUMNS = {26: "[A-Z]", 52: "A?[A-Z]", 104: "[A-C]?[A-Z]", 182: "[A-F]?[A-Z]"}
_MANY_DIGITS = 6
_USUAL_CELL = re.compile(rb'<c r="([A-Z]{1,2})(\d{1,7})"')
_ROW_NUMBERS = re.compile(rb'<c r="[A-Z]+(\d+)"')
_ERROR_CELL = re.compile(rb'<c\b[^>]*\st="e"')
_NO_VALUE = b"</f></c>"
_UNIQUE_COUNT = re.compile(rb"""uniqueCount\s*=\s*["']\s*(\d+)""")
_TAGS = frozenset({"c", "v", "is", "t", "f", "row"})
_REFERENCE = re.compile(r"([A-Za-z]{1,3})(\d{1,7})")


@dataclass(slots=True)
class SheetFacts:
    """What the scan learnt besides that the sheet is safe to read."""

    error_cells: int = 0
    merged: bool = False
    formulas_without_value: int = 0


def refuse_doctype(head: bytes, part: str) -> None:
    """No spreadsheet writes a document type; entities are declared in one. Also sees through UTF-16."""
    plain = head.replace(b"\0", b"")
    if b"<!DOCTYPE" in plain or b"<!ENTITY" in plain:
        raise Unreadable("file_hostile", reason="doctype", part=part)


def scan_strings(pieces: Iterable[bytes], part: str) -> None:
    """The shared strings: a declared count that the part cannot hold makes the reader reserve the memory."""
    size, declared, tail = 0, 0, b""
    head = _Head(part)
    for piece in pieces:
        size += len(piece)
        head.feed(piece)
        window = tail + piece
        for match in _UNIQUE_COUNT.finditer(window):
            declared = max(declared, int(match[1][:20]))
        tail = window[-64:]
    head.finish()
    if declared > size:
        raise Unreadable("file_hostile", reason="string_count", part=part)


def scan_sheet(unpack: Callable[[], Iterable[bytes]], part: str, size: int, limits: Limits) -> SheetFacts:
    """Raises `Unreadable` for a sheet that is too wide, too large or built to hurt.

    `unpack` gives the sheet from its beginning each time; `size` is what it unpacks to.
    """
    quick = _QuickScan(part, limits, count_cells=size > limits.cells * _SMALLEST_CELL)
    for piece in unpack():
        quick.feed(piece)
    if not quick.safe():
        _ExactScan(limits).run(unpack(), part)
    return quick.facts


class _Head:
    """Collects the first megabyte of a part and refuses a document type in it."""

    def __init__(self, part: str) -> None:
        self._part = part
        self._bytes: bytearray | None = bytearray()

    def feed(self, piece: bytes) -> None:
        if self._bytes is not None:
            self._bytes += piece
            if len(self._bytes) >= HEAD_BYTES:
                self.finish()

    def finish(self) -> None:
        if self._bytes is not None:
            refuse_doctype(bytes(self._bytes), self._part)
            self._bytes = None


class _QuickScan:
    """Keeps a box known to hold every cell seen, and widens it when a cell falls outside."""

    def __init__(self, part: str, limits: Limits, *, count_cells: bool) -> None:
        self.facts = SheetFacts()
        self._limits = limits
        self._head = _Head(part)
        self._rest = self._tail = b""
        self._state = "before"
        self._count_cells, self._cells = count_cells, 0
        self._usual = True
        self._width, self._digits = 26, 1
        self._counting_rows, self._last_row = False, 0
        self._outside = self._pattern()

    def feed(self, piece: bytes) -> None:
        """The next bytes; a tag cut in two waits for its other half."""
        self._head.feed(piece)
        window = self._rest + piece
        cut = max(window.rfind(b"<"), 0)
        if len(window) - cut > _MAX_GAP:
            raise Unreadable("file_too_complex", reason="cell_too_long")
        window, self._rest = window[:cut], window[cut:]
        if self._state == "before":
            start = window.find(b"<sheetData")
            if start < 0:
                return
            self._state, window = "inside", window[start + len(b"<sheetData") :]
        if self._state == "inside":
            end = window.find(b"</sheetData")
            self._inside(window if end < 0 else window[:end])
            if end < 0:
                return
            self._state, window = "after", window[end:]
        if b"<mergeCell " in window:
            self.facts.merged = True

    def safe(self) -> bool:
        """Whether every cell was written as usual and the box around them is small enough."""
        self._head.finish()
        rows = self._last_row if self._counting_rows else self._box_rows()
        return (
            self._usual
            and self._state == "after"
            and rows * self._width <= self._limits.area
            and rows <= self._limits.rows
            and self._width <= self._limits.columns
            and self._cells <= self._limits.cells
        )

    def _inside(self, window: bytes) -> None:
        if b' t="e"' in window:
            self.facts.error_cells += len(_ERROR_CELL.findall(window))
        joined = self._tail + window
        self.facts.formulas_without_value += joined.count(_NO_VALUE)
        self._tail = joined[1 - len(_NO_VALUE) :]
        if self._count_cells:
            self._cells += window.count(b"<c ")
        place = 0
        while self._usual and (found := self._outside.search(window, place)):
            place = found.start()
            self._usual = self._widen(_USUAL_CELL.match(window, place))
        if self._counting_rows:
            numbers = set(_ROW_NUMBERS.findall(window))
            self._last_row = max(self._last_row, *map(int, numbers), 0)

    def _widen(self, cell: re.Match[bytes] | None) -> bool:
        """Make room for this cell; false if it is not written as usual or lies too far out."""
        if cell is None:
            return False
        rows_so_far = self._box_rows()
        column = column_number(cell[1].decode())
        self._width = next((w for w in _COLUMNS if w >= max(column, self._width)), 0)
        self._digits = max(self._digits, len(cell[2]))
        # Only for large and wide sheets does the box need the true number of rows.
        if not self._counting_rows and self._width > min(_COLUMNS) and self._digits >= _MANY_DIGITS:
            self._counting_rows, self._last_row = True, rows_so_far
        self._outside = self._pattern()
        return self._width > 0 and int(cell[2]) <= _MAX_ROW

    def _box_rows(self) -> int:
        return min(int("9" * self._digits), _MAX_ROW)

    def _pattern(self) -> re.Pattern[bytes]:
        letters = _COLUMNS.get(self._width, "[A-Z]")
        return re.compile(rf'<c(?! r="{letters}\d{{1,{self._digits}}}")'.encode())


class _ExactScan:
    """Reads the tags one by one, as the reader will, and measures the box around the cells with a value."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._row, self._row_text, self._column, self._cells = 0, "", 0, 0
        self._top, self._left, self._bottom, self._right = _MAX_ROW, _MAX_COLUMN, 0, 0
        self._columns: dict[str, int] = {}
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.StartDoctypeDeclHandler = self._doctype

    def run(self, pieces: Iterable[bytes], part: str) -> None:
        """Raises `Unreadable` as soon as a limit is passed."""
        try:
            for piece in pieces:
                self._parser.Parse(piece, False)
            self._parser.Parse(b"", True)
        except (expat.ExpatError, LookupError):
            # The second for an encoding that does not exist.
            raise Unreadable("file_corrupt", reason="bad_xml", part=part) from None

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        tag = name if name in _TAGS else name.rpartition(":")[2]
        if tag == "c":
            self._cells += 1
            if self._cells > self._limits.cells:
                raise Unreadable("file_too_complex", reason="too_many_cells", limit=self._limits.cells)
            self._locate(attributes.get("r"))
        elif tag in ("v", "is", "f"):
            if not (self._left <= self._column <= self._right and self._top <= self._row <= self._bottom):
                self._extend()
        elif tag == "row":
            self._row_text = attributes.get("r") or str(self._row + 1)
            self._row = _row_number(self._row_text)
            self._column = 0

    def _locate(self, reference: str | None) -> None:
        if reference is None:
            self._column += 1
        elif reference.endswith(self._row_text) and (known := reference[: -len(self._row_text)]) in self._columns:
            self._column = self._columns[known]
        else:
            place = _REFERENCE.fullmatch(reference)
            if place is None:
                raise Unreadable("file_hostile", reason="cell_reference")
            self._row_text, self._row = place[2], _row_number(place[2])
            self._column = self._columns[place[1]] = column_number(place[1])
        if self._column > _MAX_COLUMN:
            raise Unreadable("file_hostile", reason="cell_reference")

    def _extend(self) -> None:
        self._top, self._bottom = min(self._top, self._row), max(self._bottom, self._row)
        self._left, self._right = min(self._left, self._column), max(self._right, self._column)
        if self._right > self._limits.columns:
            raise Unreadable("file_too_many_columns", columns=self._right, limit=self._limits.columns)
        if self._bottom > self._limits.rows:
            raise Unreadable("file_too_many_rows", rows=self._bottom, limit=self._limits.rows)
        if (self._bottom - self._top + 1) * (self._right - self._left + 1) > self._limits.area:
            raise Unreadable("file_too_complex", reason="area", limit=self._limits.area)

    def _doctype(self, *_: Any) -> None:
        raise Unreadable("file_hostile", reason="doctype")


def _row_number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and 1 <= int(text) <= _MAX_ROW):
        raise Unreadable("file_hostile", reason="row_number")
    return int(text)


def column_number(letters: str) -> int:
    """1 for A, 27 for AA."""
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - 64
    return number
