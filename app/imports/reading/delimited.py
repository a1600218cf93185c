"""Reads .csv and its relatives row by row: which encoding, which delimiter, then the records."""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO
from unicodedata import combining, normalize

from app.imports.reading.cells import Emit, SheetRows
from app.imports.reading.model import Limits, Notice, Unreadable, Workbook
from app.imports.reading.preview import preview_sheet, refuse_without_data

DELIMITERS = ",;\t|"
_BLOCK = 1 << 20
_SNIFF_CHARS = 256 << 10
_SNIFF_RECORDS = 200
_HIGH_BYTES_KEPT = 1 << 20
_SEPARATOR_LINE = re.compile(r'"?sep=([^\w\s"]|\t)"?(?:\r\n|\r|\n|$)', re.IGNORECASE)
_CONTROLS = bytes(set(range(32)) - {0x09, 0x0A, 0x0D, 0x0C, 0x1A})
_FEW = 0.01
_RAGGED_SHOWN = 20
_UNDEFINED_1252 = frozenset(b"\x81\x8d\x8f\x90\x9d")
_VIETNAMESE = frozenset("ăâđêôơưĂÂĐÊÔƠƯạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ")


def read_csv(path: Path, limits: Limits, *, chunk_rows: int, emit: Emit) -> Workbook:
    """Hands over the records as sheet 0, in constant memory; raises `Unreadable`."""
    with path.open("rb") as file:
        encoding = _detect_encoding(file)
        file.seek(0)
        text = io.TextIOWrapper(file, encoding.codec, errors=encoding.errors, newline="")
        try:
            return _read(text, encoding, limits, chunk_rows, emit)
        except UnicodeDecodeError:
            raise Unreadable("csv_encoding_unknown") from None


@dataclass(frozen=True, slots=True)
class _Encoding:
    codec: str
    errors: str = "strict"
    notices: list[Notice] = field(default_factory=list)


class _Lines:
    """The lines of a text, endings kept; remembers the last one. Refuses a line too long to be one."""

    def __init__(self, text: io.TextIOWrapper, limit: int) -> None:
        self.last = ""
        self._text, self._limit = text, limit

    def __iter__(self) -> Iterator[str]:
        line = self._text.readline(self._limit)
        while line:
            if len(line) >= self._limit:
                raise Unreadable("file_too_complex", reason="line_too_long", limit=self._limit)
            if "\0" in line:
                raise Unreadable("not_a_table", reason="nul")
            self.last = line
            yield line
            line = self._text.readline(self._limit)


def sniff_delimiter(sample: str, *, complete: bool) -> tuple[str, int]:
    """The delimiter that cuts most records into the same number of fields, and that number.

    A comma and one field when nothing divides the lines. `complete` says that the sample is the whole text.
    """
    if not complete:
        sample = sample[: max(sample.rfind("\n"), sample.rfind("\r")) + 1]
    best, best_score = (",", 1), 0.0
    for delimiter in DELIMITERS:
        usual, share = _regularity(sample, delimiter)
        score = share * share * math.sqrt(usual)
        if usual > 1 and score > best_score:
            best, best_score = (delimiter, usual), score
    return best


def _regularity(sample: str, delimiter: str) -> tuple[int, float]:
    """The most common number of fields, and the share of records that have it."""
    records = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter)
    try:
        widths = Counter(len(record) for record in islice(records, _SNIFF_RECORDS) if record)
    except csv.Error:
        return 1, 0.0
    if not widths:
        return 1, 0.0
    usual, count = widths.most_common(1)[0]
    return usual, count / widths.total()


def _read(text: io.TextIOWrapper, encoding: _Encoding, limits: Limits, chunk_rows: int, emit: Emit) -> Workbook:
    sample = text.read(_SNIFF_CHARS)
    told = _SEPARATOR_LINE.match(sample)
    delimiter, usual = sniff_delimiter(sample[told.end() :] if told else sample, complete=len(sample) < _SNIFF_CHARS)
    text.seek(0)
    if told:
        # Excel's own hint; it shows no such row, so rows are counted from the next line.
        delimiter = told[1]
        usual = _regularity(sample[told.end() :], delimiter)[0]
        text.readline(limits.line_chars)
    rows = SheetRows(0, emit, chunk_rows=chunk_rows, cell_chars=limits.cell_chars)
    notices = [*encoding.notices, *_read_records(_Lines(text, limits.line_chars), delimiter, usual, rows, limits)]
    rows.finish()
    infos = [rows.info("")]
    previews = [preview_sheet(rows)] if rows.count else []
    refuse_without_data(infos, previews)
    return Workbook("csv", infos, previews, notices, encoding.codec.removesuffix("-sig"), delimiter)


def _read_records(lines: _Lines, delimiter: str, usual: int, rows: SheetRows, limits: Limits) -> list[Notice]:
    ragged: list[int] = []
    count = number = 0
    record: list[str] = []
    try:
        for number, record in enumerate(csv.reader(lines, delimiter=delimiter), 1):
            if number > limits.rows:
                raise Unreadable("file_too_many_rows", limit=limits.rows)
            if len(record) != usual and record:
                count += 1
                if len(ragged) < _RAGGED_SHOWN:
                    ragged.append(number)
            rows.add(number, record)
            if rows.width > limits.columns:
                raise Unreadable("file_too_many_columns", columns=rows.width, limit=limits.columns)
    except csv.Error:
        raise Unreadable("file_corrupt", reason="unclosed_quote", row=number + 1) from None
    if any("\n" in value or "\r" in value for value in record) and '"' not in lines.last:
        raise Unreadable("file_corrupt", reason="unclosed_quote", row=number)
    return [Notice("ragged_rows", {"count": count, "rows": ragged, "usual": usual})] if count else []


def _detect_encoding(file: BinaryIO) -> _Encoding:
    head = file.read(4)
    if not head:
        raise Unreadable("file_empty")
    if head in (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE):
        raise Unreadable("csv_encoding_unknown", reason="utf-32")
    if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return _Encoding("utf-16")
    codec = "utf-8-sig" if head[:3] == codecs.BOM_UTF8 else "utf-8"
    if _is_utf8(file):
        return _Encoding(codec)
    bad, good, sample = _survey(file)
    if good and bad <= good * _FEW:
        return _Encoding(codec, "replace", [Notice("csv_bad_bytes", {"count": bad})])
    legacy = guess_legacy(sample)
    return _Encoding(legacy, "strict", [Notice("csv_encoding_guessed", {"encoding": legacy})])


def guess_legacy(sample: bytes) -> str:
    """Vietnamese Windows (cp1258) or Western (cp1252), by whether the loose accents find their letters."""
    text = normalize("NFC", sample.decode("cp1258", "replace"))
    composed = sum(char in _VIETNAMESE for char in text)
    loose = sum(combining(char) > 0 for char in text) + text.count("\ufffd")
    if composed and loose * 20 <= composed:
        return "cp1258"
    if _UNDEFINED_1252.isdisjoint(sample):
        return "cp1252"
    raise Unreadable("csv_encoding_unknown")


def _is_utf8(file: BinaryIO) -> bool:
    """Also raises `Unreadable` for bytes that no text has."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    valid, size, controls = True, 0, 0
    for block in _blocks(file):
        nuls = block.count(b"\0")
        if nuls * 5 > len(block):
            raise Unreadable("csv_encoding_unknown", reason="utf-16 without a mark")
        if nuls:
            raise Unreadable("not_a_table", reason="nul")
        size += len(block)
        controls += len(block) - len(block.translate(None, _CONTROLS))
        if controls * 1000 > max(size, 4096):
            raise Unreadable("not_a_table", reason="binary")
        try:
            if valid:
                decoder.decode(block)
        except UnicodeDecodeError:
            valid = False
    try:
        decoder.decode(b"", True)
    except UnicodeDecodeError:
        return False
    return valid


def _survey(file: BinaryIO) -> tuple[int, int, bytes]:
    """Of a text that is not UTF-8: sequences that are not, characters that are, and bytes for a guess."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    bad = good = 0
    sample = bytearray()
    for block in _blocks(file):
        text = decoder.decode(block)
        wrong = text.count("\ufffd")
        bad += wrong
        good += len(text) - len(text.encode("ascii", "ignore")) - wrong
        if len(sample) < _HIGH_BYTES_KEPT:
            sample += block
    return bad, good, bytes(sample[:_HIGH_BYTES_KEPT])


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while block := file.read(_BLOCK):
        yield block
