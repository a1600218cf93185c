"""What reading an uploaded table gives back, and the limits it works under."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any, Literal

Kind = Literal["empty", "text", "integer", "decimal", "boolean", "date", "datetime", "time", "phone", "email"]


class Unreadable(Exception):
    """The file cannot be imported. `code` is stable; `details` holds numbers and reasons, no cell values.

    Codes: file_empty, not_a_table, file_encrypted, file_has_macros, file_legacy_format, file_corrupt,
    file_hostile, file_too_complex, file_crashed_parser, file_too_many_columns, file_too_many_rows,
    csv_encoding_unknown.
    """

    def __init__(self, code: str, **details: Any) -> None:
        super().__init__(code, details)
        self.code = code
        self.details = details


@dataclass(frozen=True, slots=True)
class DamagedNumber:
    """A number of more than 15 digits, which the spreadsheet has already rounded.

    An identity number or a card number stored as a number looks like this: only formatting the column as
    text before typing keeps its digits.
    """

    text: str


Cell = str | int | float | bool | date | datetime | time | timedelta | DamagedNumber | None
Row = tuple[int, list[Cell]]
"""The row's number as the spreadsheet shows it (1-based), and its cells from column A on."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost. Past `wall_seconds` or `cpu_seconds` the file is too complex.

    `wall_seconds` counts the time spent waiting for the reader, not the time of the caller's `on_chunk`.
    """

    wall_seconds: float = 180.0
    cpu_seconds: int = 120
    memory_bytes: int = 2 << 30
    open_files: int = 32
    file_bytes: int = 0
    """What the process may write to disk, file by file; what it hands over is `kept_bytes`, of all sheets."""
    kept_bytes: int = 1_500_000_000
    zip_entries: int = 2_000
    unpacked_bytes: int = 1_500_000_000
    small_part_bytes: int = 32 << 20
    ratio: int = 200
    ratio_floor_bytes: int = 10 << 20
    rows: int = 1_048_576
    columns: int = 200
    area: int = 40_000_000
    cells: int = 30_000_000
    cell_chars: int = 32_767
    line_chars: int = 1 << 20


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the user should know about the file: a stable code and the values its text needs."""

    code: str
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SheetInfo:
    """One sheet. The figures are zero for a sheet that was not read (hidden, or a chart)."""

    index: int
    name: str
    visible: bool
    rows: int = 0
    """Rows with at least one value: exactly those handed to `on_chunk`."""
    last_row: int = 0
    columns: int = 0
    """The last used column, counted from A."""
    first_column: int = 0
    """The first used column as an offset from A."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column as it was found: `index` is 1-based and counts from A, whatever columns are blank."""

    index: int
    letter: str
    header: str
    samples: list[str]
    kind_guess: Kind


@dataclass(frozen=True, slots=True)
class SheetPreview:
    """What a mapping screen needs to know of one visible sheet with rows."""

    sheet: int
    header_row: int | None
    first_data_row: int
    columns: list[Column]
    merged: bool
    lost_zero_phones: int
    """Phone cells of nine digits: the spreadsheet took the leading 0 away."""
    error_cells: int
    """Cells showing #REF! or the like; they arrive empty."""
    warnings: list[Notice]


@dataclass(frozen=True, slots=True)
class Workbook:
    """The whole file, after its rows have been handed over."""

    format: Literal["xlsx", "csv"]
    sheets: list[SheetInfo]
    previews: list[SheetPreview]
    warnings: list[Notice]
    encoding: str | None = None
    delimiter: str | None = None
    from_1904: bool = False
    """Whether numbers that stand for days count from 1904. Cells that say they are dates come as dates anyway."""


def column_letter(index: int) -> str:
    """The letters of a 1-based column number: 1 is A, 27 is AA."""
    letters = ""
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(65 + rest) + letters
    return letters
