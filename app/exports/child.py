"""The process that writes an export: a heading first, then pages of customers, each the columns' values as JSON.

Text is written as text, so that no cell can become a formula. In .csv, where a program must guess, whatever it could
take for a formula begins with an apostrophe.
"""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from functools import partial
from itertools import chain, islice, repeat
from struct import Struct
from types import NoneType
from typing import Any, BinaryIO, Literal, cast
from zoneinfo import ZoneInfo

import msgspec
from rustpy_xlsxwriter import FastExcel

How = Literal["text", "date", "datetime", "boolean", "list"]
Cell = str | int | float | date | None
Row = tuple[Cell, ...]
Show = Callable[[Any], Cell]

HEAD = Struct(">I")
DONE = b"\x01"
# Also in their full-width forms, which some programs fold.
DANGEROUS = "=+-@\t\r\n\x00＝＋－＠"
TRUTH = {"vi": ("Có", "Không"), "en": ("Yes", "No")}
# What the writer takes as it is.
PLAIN = {str, int, float, NoneType}


class Shown(msgspec.Struct):
    """A column: its header, and how its values are shown; with `names`, by these."""

    header: str
    how: How
    names: dict[str, str] | None


class Heading(msgspec.Struct):
    """What the file looks like; a workbook begins its next sheet after so many `rows`. `zone` is where moments are
    told."""

    path: str
    format: str
    language: str
    zone: str
    sheets: list[str]
    rows: int
    columns: list[Shown]


def main() -> None:
    """Writes one file."""
    given, answers = sys.stdin.buffer, sys.stdout.buffer
    heading = msgspec.msgpack.decode(_receive(given), type=Heading)
    rows = chain.from_iterable(_pages(heading, given))
    if heading.format == "csv":
        _write_csv(heading, rows)
    else:
        _write_xlsx(heading, rows)
    # Whoever reads the answer learns that the file is whole.
    answers.write(DONE)
    answers.flush()
    os._exit(0)


def harmless(text: str) -> str:
    """Text that a spreadsheet program opening a .csv takes for text."""
    return f"'{text}" if text and (text[0] in DANGEROUS or text.lstrip()[:1] in tuple("=+-@＝＋－＠")) else text


def _write_xlsx(heading: Heading, rows: Iterator[Row]) -> None:
    headers = [one.header for one in heading.columns]
    # Made by C alone, because each row costs what the writer's own work is measured by.
    records = cast("Iterator[dict[str, Cell]]", map(dict, map(zip, repeat(headers), rows)))

    def sheet() -> Iterator[dict[str, Cell]]:
        yield next(records, dict.fromkeys(headers))
        yield from islice(records, heading.rows - 1)

    writer = FastExcel(heading.path).format(datetime_format="dd/mm/yyyy")
    for name in heading.sheets:
        writer = writer.sheet(name, sheet())
    writer.save()


def _write_csv(heading: Heading, rows: Iterator[Row]) -> None:
    with open(heading.path, "w", encoding="utf-8-sig", newline="") as file:  # noqa: PTH123
        writer = csv.writer(file)
        writer.writerow([harmless(one.header) for one in heading.columns])
        for row in rows:
            writer.writerow([harmless(one) if isinstance(one, str) else _plain(one) for one in row])


def _plain(value: Cell) -> Any:
    return value.strftime("%d/%m/%Y") if isinstance(value, date) else value


def _pages(heading: Heading, given: BinaryIO) -> Iterator[Iterator[Row]]:
    """The rows of each page, made column by column."""
    shows = [_show(one, heading.language, ZoneInfo(heading.zone)) for one in heading.columns]
    while page := _receive(given):
        values: list[list[Any]] = msgspec.json.decode(page)
        yield zip(*(_column(show, column) for show, column in zip(shows, values, strict=True)), strict=True)


def _column(show: Show | None, values: list[Any]) -> list[Cell]:
    if show is not None:
        return [show(one) for one in values]
    return values if PLAIN.issuperset(map(type, values)) else [_text(one) for one in values]


def _show(column: Shown, language: str, zone: ZoneInfo) -> Show | None:
    """What is done with each value of a column; None where nothing is."""
    names = column.names
    if column.how == "list":
        return lambda value: _list(value, names)
    if names is not None:
        return names.get
    if column.how == "boolean":
        yes, no = TRUTH[language]
        return lambda value: None if value is None else yes if value in (True, "true") else no
    if column.how == "datetime":
        return partial(_moment, zone)
    return _date if column.how == "date" else None


def _text(value: Any) -> Cell:
    return _list(value, None) if isinstance(value, list) else str(value) if isinstance(value, dict | bool) else value


def _date(value: Any) -> Cell:
    return date.fromisoformat(value[:10]) if isinstance(value, str) else None


def _moment(zone: ZoneInfo, value: Any) -> Cell:
    if not isinstance(value, str):
        return None
    return datetime.fromisoformat(value).astimezone(zone).strftime("%d/%m/%Y %H:%M:%S")


def _list(value: Any, names: Mapping[str, str] | None) -> Cell:
    if not isinstance(value, list):
        return None if value is None else str(value)
    shown = (str(one) if names is None else names.get(str(one)) for one in value if one is not None)
    return ", ".join(filter(None, shown)) or None


def _receive(given: BinaryIO) -> bytes:
    head = given.read(HEAD.size)
    return given.read(HEAD.unpack(head)[0]) if len(head) == HEAD.size else b""


if __name__ == "__main__":
    main()
