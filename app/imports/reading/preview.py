"""Finds the header of a sheet and says what its columns seem to hold."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta

from app.imports.reading.cells import SheetRows
from app.imports.reading.model import (
    Cell,
    Column,
    DamagedNumber,
    Kind,
    Notice,
    Row,
    SheetInfo,
    SheetPreview,
    Unreadable,
    column_letter,
)
from app.imports.reading.wire import decode_chunk, encode_rows

_HEADER_ROWS = 20
_LOOK_AHEAD = 10
_SAMPLES = 5
_SAMPLE_CHARS = 80
_HEADER_CHARS = 255
_LONGEST_HEADER = 80
_KIND_SHARE = 0.8

_EMAIL = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@]+")
_PHONE = re.compile(r"(?:\+?84|0)?[235789]\d{8,9}|01\d{9}|1[89]00\d{4,6}")
_PHONE_NOISE = re.compile(r"[\s.()-]")
_DATE = re.compile(r"\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}|\d{4}-\d{1,2}-\d{1,2}")
_DATETIME = re.compile(rf"(?:{_DATE.pattern})[T ]+\d{{1,2}}:\d{{2}}(?::\d{{2}})?")
# A number with a leading zero is a code.
_INTEGER = re.compile(r"-?(?:0|[1-9]\d*)|-?\d{1,3}(?:[.,]\d{3})+")
_DECIMAL = re.compile(r"-?\d+[.,]\d+|-?\d(?:[.,]\d+)?[eE]\+?\d+")
_DAY_HEADER = re.compile(r"\b(?:ngay|sinh|ns|birth|birthday|dob|date|day)\b")
_LATEST_YEAR = 2_200
# Beginnings of headers, without accents.
_KNOWN = re.compile(
    r"(?:ho|ten|khach|sdt|so dt|so dien|so tai|dien thoai|di dong|mobile|phone|tel|hotline|e-?mail|dia chi|"
    r"address|ngay|nam sinh|sinh nhat|birth|dob|date|tinh|thanh pho|tp|quan|phuong|xa|province|city|gioi tinh|"
    r"gender|sex|nguon|source|loai|type|nhom|group|cong ty|doanh nghiep|company|mst|ma|tax|code|chuc|position|"
    r"title|ghi chu|note|remark|comment|stt|no|id|name|full ?name|first|last|trang thai|status|website|zalo|"
    r"facebook|nhan vien|nguoi|owner|san pham|so tien|amount|gia|price|customer|lien he|contact|tags?|quoc gia)"
    r"\b"
)


def preview_sheet(
    rows: SheetRows, *, merged: bool = False, from_1904: bool = False, extra: Sequence[Notice] = ()
) -> SheetPreview:
    """The preview of a sheet that has at least one row; `from_1904` says that its days are counted from 1904."""
    head = decode_chunk(encode_rows(rows.head))
    place = find_header(head)
    body = head if place is None else head[place + 1 :]
    header = [] if place is None else head[place][1]
    columns = [_column(index, header, body) for index in range(rows.width)]
    columns = [column for column in columns if column.header or column.kind_guess != "empty"]
    header_row = None if place is None else head[place][0]
    first = body[0][0] if body else (header_row or 0) + 1
    phones = [column.index - 1 for column in columns if _holds_phones(column)]
    lost = sum(rows.lost_zeros[index] for index in phones)
    if from_1904 and (letters := [column.letter for column in columns if _holds_bare_days(column, body)]):
        extra = [*extra, Notice("dates_1904", {"letters": letters})]
    return SheetPreview(
        sheet=rows.sheet,
        header_row=header_row,
        first_data_row=first,
        columns=columns,
        merged=merged,
        lost_zero_phones=lost,
        error_cells=rows.error_cells,
        warnings=[*_notices(rows, columns, header_row, merged=merged, lost=lost), *extra],
    )


def refuse_without_data(infos: Sequence[SheetInfo], previews: Sequence[SheetPreview]) -> None:
    """Raises `Unreadable` when no sheet has a row below its header."""
    if not previews:
        raise Unreadable("file_empty")
    last = {info.index: info.last_row for info in infos}
    if all(last[preview.sheet] < preview.first_data_row for preview in previews):
        raise Unreadable("file_empty", reason="header_only")


def find_header(head: Sequence[Row]) -> int | None:
    """The place in `head` of the row that names the columns, among the first 20 rows; None without one.

    A header is mostly words, all different, about as wide as the rows below it. Known words, or columns of
    numbers and dates below it, tell it from a first row of data. A lone row counts if it has known words.
    """
    best, best_score = None, 0.0
    for place, (_, cells) in enumerate(head[:_HEADER_ROWS]):
        score = _header_score(cells, head[place + 1 : place + 1 + _LOOK_AHEAD])
        # Rows of words look alike; of equals the first one is the header.
        if score > best_score + 0.25:
            best, best_score = place, score
    return best


def kind_of(value: Cell) -> Kind:
    """What one value looks like."""
    match value:
        case None:
            return "empty"
        case bool():
            return "boolean"
        case datetime():
            return "datetime"
        case date():
            return "date"
        case time() | timedelta():
            return "time"
        case str():
            return _kind_of_text(value.strip())
        case int():
            return "phone" if _PHONE.fullmatch(str(value)) else "integer"
        case DamagedNumber():
            return "integer"
        case _:
            return "decimal"


def fold(text: str) -> str:
    """Lower case without accents, blanks joined: to compare headers."""
    bare = unicodedata.normalize("NFD", text.lower().replace("đ", "d"))
    return " ".join("".join(char for char in bare if not unicodedata.combining(char)).split())


def _header_score(cells: Sequence[Cell], below: Sequence[Row]) -> float:
    filled = [cell for cell in cells if cell is not None]
    names = [cell.strip() for cell in filled if isinstance(cell, str)]
    words = [name for name in names if len(name) <= _LONGEST_HEADER and kind_of(name) == "text"]
    folded = [fold(word) for word in words]
    known = sum(1 for word in folded if _KNOWN.match(word))
    widths = sorted(sum(cell is not None for cell in row) for _, row in below)
    usual_width = widths[len(widths) // 2] if widths else len(filled)
    if len(words) < 0.6 * len(filled) or len(filled) < 0.5 * usual_width:
        return 0.0
    contrast = _contrast(cells, below)
    if not known and not contrast and (len(filled) < 2 or not below):
        return 0.0
    distinct = len(set(folded)) / len(folded)
    if distinct < 0.5:
        return 0.0
    share = len(words) / len(filled)
    width = min(1.0, len(filled) / max(usual_width, 1))
    return share + width + 0.5 * distinct + 2 * known / len(filled) + contrast


def _contrast(cells: Sequence[Cell], below: Sequence[Row]) -> float:
    """The share of columns with a word here, and numbers, dates or addresses below."""
    found = total = 0
    for index, cell in enumerate(cells):
        kinds = {kind_of(row[index]) for _, row in below if index < len(row)} - {"empty"}
        if cell is None or not kinds:
            continue
        total += 1
        found += isinstance(cell, str) and kind_of(cell) == "text" and "text" not in kinds
    return found / total if total else 0.0


def _kind_of_text(text: str) -> Kind:
    if not text:
        return "empty"
    if "@" in text:
        return "email" if _EMAIL.fullmatch(text) else "text"
    if not text[-1].isdigit():
        return "text"
    if _DATE.fullmatch(text):
        return "date"
    if _PHONE.fullmatch(_PHONE_NOISE.sub("", text)):
        return "phone"
    if _DATETIME.fullmatch(text):
        return "datetime"
    if _INTEGER.fullmatch(text):
        return "integer"
    return "decimal" if _DECIMAL.fullmatch(text) else "text"


def _column(index: int, header: Sequence[Cell], body: Sequence[Row]) -> Column:
    values = [row[index] for _, row in body if index < len(row) and row[index] is not None]
    kinds = Counter(kind_of(value) for value in values)
    kind, count = kinds.most_common(1)[0] if kinds else ("empty", 0)
    name = display(header[index]) if index < len(header) else ""
    return Column(
        index=index + 1,
        letter=column_letter(index + 1),
        header=" ".join(name.split())[:_HEADER_CHARS],
        samples=list(dict.fromkeys(display(value)[:_SAMPLE_CHARS] for value in values))[:_SAMPLES],
        kind_guess=kind if not values or count >= _KIND_SHARE * len(values) else "text",
    )


def display(value: Cell) -> str:
    """A value as a Vietnamese user would type it."""
    match value:
        case None:
            return ""
        case bool():
            return "TRUE" if value else "FALSE"
        case datetime():
            return value.strftime("%d/%m/%Y %H:%M:%S")
        case date():
            return value.strftime("%d/%m/%Y")
        case DamagedNumber():
            return value.text
        case _:
            return str(value)


def _holds_phones(column: Column) -> bool:
    name = fold(column.header)
    named = any(word in name for word in ("sdt", "dien thoai", "phone", "di dong", "mobile", "tel", "zalo"))
    return named or column.kind_guess == "phone"


def _holds_bare_days(column: Column, body: Sequence[Row]) -> bool:
    """Whether dates stand in the column that lost their format: a cell does not say from where its number counts."""
    if not _DAY_HEADER.search(fold(column.header)):
        return False
    cells = (row[column.index - 1] for _, row in body if column.index <= len(row))
    return any(isinstance(cell, int | float) and cell > _LATEST_YEAR for cell in cells)


def _notices(
    rows: SheetRows, columns: Sequence[Column], header_row: int | None, *, merged: bool, lost: int
) -> list[Notice]:
    notices = []
    if header_row is None:
        notices.append(Notice("no_header"))
    repeated = [name for name, count in Counter(c.header for c in columns if c.header).items() if count > 1]
    if repeated:
        notices.append(Notice("duplicate_headers", {"headers": repeated}))
    if merged:
        notices.append(Notice("merged_cells"))
    if rows.error_cells:
        notices.append(Notice("error_cells", {"count": rows.error_cells}))
    if lost:
        notices.append(Notice("lost_zero_phones", {"count": lost}))
    for index, count in sorted(rows.damaged.items()):
        notices.append(Notice("damaged_numbers", {"column": index + 1, "letter": column_letter(index + 1),
                                                  "count": count}))  # fmt: skip
    return notices
