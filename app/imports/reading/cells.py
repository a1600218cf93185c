"""From what a parser found in a cell to what travels: nothing is interpreted, little is repaired."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from math import isfinite
from typing import Any
from unicodedata import is_normalized, normalize

from app.imports.reading.model import DamagedNumber, SheetInfo, Unreadable
from app.imports.reading.wire import encode_rows, pack

SAFE_INTEGER = 10**15
"""Spreadsheets keep 15 digits; an integer from here on has been rounded."""
HEAD_ROWS = 300
_LOST_ZERO_DIGITS = 9
_CHUNK_CHARS = 6_000_000
_CELL_CHARS = 16
_READABLE_FLOAT = 1e21
_MOBILE_FIRST_DIGITS = frozenset("35789")
# The parser resolves the format's _xHHHH_ escapes, except halves of surrogate pairs.
_SURROGATE_PAIR = re.compile(r"_x([dD][89abAB][0-9a-fA-F]{2})__x([dD][c-fC-F][0-9a-fA-F]{2})_")
_LONE_SURROGATE = re.compile(r"_x[dD][89a-fA-F][0-9a-fA-F]{2}_")

Emit = Callable[[int, int, bytes], None]


class SheetRows:
    """Takes the rows of one sheet in order, cleans their cells and emits them in chunks.

    Raises `Unreadable` for a cell longer than a spreadsheet can hold.
    """

    def __init__(self, sheet: int, emit: Emit, *, chunk_rows: int, cell_chars: int, offset: int = 0) -> None:
        self.head: list[tuple[int, list[Any]]] = []
        """The first rows: enough to find the header and guess the columns."""
        self.count = self.last_row = self.width = self.error_cells = 0
        self.lost_zeros: Counter[int] = Counter()
        self.damaged: Counter[int] = Counter()
        self.sheet = sheet
        self._emit = emit
        self._chunk_rows, self._cell_chars = chunk_rows, cell_chars
        self._blanks: list[None] = [None] * offset
        self._rows: list[tuple[int, list[Any]]] = []
        self._chunk = self._chars = 0
        self._dates: dict[date, Any] = {}

    def add(self, number: int, values: list[Any]) -> None:
        """One row of parsed values, the first of them in the column after `offset`; blank rows vanish."""
        cells, chars = self._clean(values)
        while cells and cells[-1] is None:
            cells.pop()
        if not cells:
            return
        row = (number, cells)
        self._rows.append(row)
        if len(self.head) < HEAD_ROWS:
            self.head.append(row)
        self.last_row = number
        if len(cells) > self.width:
            self.width = len(cells)
        self._chars += chars + _CELL_CHARS * len(cells)
        if len(self._rows) >= self._chunk_rows or self._chars > _CHUNK_CHARS:
            self._flush()

    def finish(self) -> None:
        """Emit what is left."""
        if self._rows:
            self._flush()

    def info(self, name: str) -> SheetInfo:
        """What there was, after `finish`."""
        first = len(self._blanks) if self.count else 0
        return SheetInfo(self.sheet, name, True, self.count, self.last_row, self.width, first)

    def _flush(self) -> None:
        self.count += len(self._rows)
        self._emit(self.sheet, self._chunk, encode_rows(self._rows))
        self._chunk += 1
        self._chars = 0
        self._rows = []

    def _clean(self, values: list[Any]) -> tuple[list[Any], int]:
        """The row's cells as they travel, and the length of their text."""
        cells: list[Any] = self._blanks.copy()
        texts: list[str] = []
        for value in values:
            kind = type(value)
            if kind is str:
                if not value or value.isspace():
                    cells.append(None)
                    continue
                if len(value) == _LOST_ZERO_DIGITS and value[0] in _MOBILE_FIRST_DIGITS and value.isdecimal():
                    self.lost_zeros[len(cells)] += 1
                cells.append(value)
                texts.append(value)
            elif kind is float:
                cells.append(self._number(value, len(cells)))
            elif kind is date:
                cells.append(self._dates.get(value) or self._date(value))
            else:
                cells.append(self._other(value))
        # One look at the row's whole text is much quicker than one at each cell.
        text = "".join(texts)
        if len(text) > self._cell_chars and len(max(texts, key=len)) > self._cell_chars:
            raise Unreadable("file_too_complex", reason="cell_too_long", limit=self._cell_chars)
        if "_x" in text or "\0" in text or not is_normalized("NFC", text):
            cells = [_repair(cell) if type(cell) is str else cell for cell in cells]
        return cells, len(text)

    def _number(self, value: float, column: int) -> Any:
        if not value.is_integer():
            if isfinite(value):
                return value
            self.error_cells += 1
            return None
        if not -SAFE_INTEGER < value < SAFE_INTEGER:
            self.damaged[column] += 1
            text = f"{value:.0f}" if abs(value) < _READABLE_FLOAT else repr(value)
            return pack(DamagedNumber(text))
        if 300_000_000 <= value <= 999_999_999 and str(value)[0] in _MOBILE_FIRST_DIGITS:
            self.lost_zeros[column] += 1
        return int(value)

    def _date(self, value: date) -> Any:
        wire = self._dates[value] = pack(value)
        return wire

    def _other(self, value: datetime | time | timedelta | bool | int | None) -> Any:
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, datetime) and value.year < 1900:
            # The parser's answer to a date cell that holds no number.
            self.error_cells += 1
            return None
        return pack(value)


def _repair(text: str) -> str | None:
    """Composed letters, no NUL, no half of a surrogate pair."""
    paired = _SURROGATE_PAIR.sub(_join, normalize("NFC", text).replace("\0", ""))
    return _LONE_SURROGATE.sub("\ufffd", paired) or None


def _join(pair: re.Match[str]) -> str:
    high, low = int(pair[1], 16), int(pair[2], 16)
    return chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
