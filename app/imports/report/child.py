"""The process that writes a result file: a heading first, then chunks of rows, each followed by their outcomes.

Cells stay what they were. Text is written as text, so that nothing in the file can become a formula.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import islice
from struct import Struct
from typing import Any, BinaryIO

import msgspec
from rustpy_xlsxwriter import FastExcel

from app.imports.reading.model import Cell, DamagedNumber, Limits, column_letter
from app.imports.reading.preview import display
from app.imports.reading.sandbox import confine
from app.imports.reading.wire import decode_chunk

# For a million wide rows, read and written again.
LIMITS = Limits(cpu_seconds=1_800, file_bytes=4 << 30)
HEAD = Struct(">I")
RANGE = Struct(">II")


class Heading(msgspec.Struct):
    """What the file looks like; `headers` are those of the upload, by place; a next sheet begins after
    so many `rows`. `untouched` is the status of a row that the import has not come to."""

    path: str
    sheets: list[str]
    rows: int
    headers: list[str]
    status: str
    reason: str
    untouched: str
    start_row: int


Outcomes = dict[int, tuple[str, str]]


def main() -> None:
    """Writes one file."""
    confine(LIMITS)
    given, answers = sys.stdin.buffer, sys.stdout.buffer
    heading = msgspec.msgpack.decode(_receive(given), type=Heading)
    writer = FastExcel(heading.path).format(datetime_format="dd/mm/yyyy")
    records = _records(heading, given, answers)
    for name in heading.sheets:
        writer = writer.sheet(name, islice(records, heading.rows))
    writer.save()
    # Whoever reads the answers learns that the file is whole.
    answers.write(RANGE.pack(0, 0))
    answers.flush()
    os._exit(0)


def _records(heading: Heading, given: BinaryIO, answers: BinaryIO) -> Iterator[dict[str, Any]]:
    keys = unique_headers(heading.headers, (heading.status, heading.reason))
    width = len(keys)
    any_row, untouched = False, (heading.untouched, "")
    while data := _receive(given):
        rows = [row for row in decode_chunk(data) if row[0] >= heading.start_row]
        low, high = (rows[0][0], rows[-1][0]) if rows else (1, 0)
        answers.write(RANGE.pack(low, high))
        answers.flush()
        outcomes = msgspec.msgpack.decode(_receive(given), type=Outcomes)
        for number, cells in rows:
            any_row = True
            record = dict(
                zip(keys, [_shown(cell) for cell in cells[:width]] + [None] * (width - len(cells)), strict=True)
            )
            record[heading.status], record[heading.reason] = outcomes.get(number, untouched)
            yield record
    if not any_row:
        yield dict.fromkeys((*keys, heading.status, heading.reason))


def unique_headers(headers: list[str], taken: tuple[str, ...]) -> list[str]:
    """The headers, those without a name or with a repeated one told apart by their letters."""
    used, found = set(taken), list[str]()
    for place, header in enumerate(headers):
        letter = column_letter(place + 1)
        name = header or letter
        while name in used:
            name = f"{name} ({letter})"
        used.add(name)
        found.append(name)
    return found


def _shown(cell: Cell) -> str | int | float | bool | date | None:
    if isinstance(cell, datetime | DamagedNumber | time | timedelta):
        return display(cell)
    return cell


def _receive(given: BinaryIO) -> bytes:
    head = given.read(HEAD.size)
    return given.read(HEAD.unpack(head)[0]) if len(head) == HEAD.size else b""


if __name__ == "__main__":
    main()
