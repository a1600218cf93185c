"""The process that writes an export: a heading first, then pages of rows as JSON arrays.

Text is written as text, so that no cell can become a formula. In .csv, where a program must guess, whatever it could
take for a formula begins with an apostrophe.
"""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Callable, Iterator
from datetime import date, datetime
from struct import Struct
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

import msgspec
from rustpy_xlsxwriter import FastExcel

HEAD = Struct(">I")
DONE = b"\x01"
VIETNAM = ZoneInfo("Asia/Ho_Chi_Minh")
# Also in their full-width forms, which some programs fold.
DANGEROUS = "=+-@\t\r\n\x00＝＋－＠"
TRUTH = {"vi": ("Có", "Không"), "en": ("Yes", "No")}

Cell = str | int | float | date | None
Show = Callable[[Any], Cell]


class Heading(msgspec.Struct):
    """What the file looks like; `hows` says for each column how its JSON values are shown."""

    path: str
    format: str
    sheet: str
    language: str
    headers: list[str]
    hows: list[str]


def main() -> None:
    """Writes one file."""
    given, answers = sys.stdin.buffer, sys.stdout.buffer
    heading = msgspec.msgpack.decode(_receive(given), type=Heading)
    rows = _rows(heading, given)
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


def _write_xlsx(heading: Heading, rows: Iterator[list[Cell]]) -> None:
    writer = FastExcel(heading.path).format(datetime_format="dd/mm/yyyy")
    headers = heading.headers

    def records() -> Iterator[dict[str, Cell]]:
        any_row = False
        for row in rows:
            any_row = True
            yield dict(zip(headers, row, strict=True))
        if not any_row:
            yield dict.fromkeys(headers)

    writer.sheet(heading.sheet, records()).save()


def _write_csv(heading: Heading, rows: Iterator[list[Cell]]) -> None:
    with open(heading.path, "w", encoding="utf-8-sig", newline="") as file:  # noqa: PTH123
        writer = csv.writer(file)
        writer.writerow([harmless(one) for one in heading.headers])
        for row in rows:
            writer.writerow([harmless(one) if isinstance(one, str) else _plain(one) for one in row])


def _plain(value: Cell) -> Any:
    return value.strftime("%d/%m/%Y") if isinstance(value, date) else value


def _rows(heading: Heading, given: BinaryIO) -> Iterator[list[Cell]]:
    yes, no = TRUTH[heading.language]
    shows: dict[str, Show] = {
        "date": _date, "datetime": _moment, "list": _list,
        "boolean": lambda value: None if value is None else yes if value in (True, "true") else no,
    }  # fmt: skip
    columns = [(place, shows[how]) for place, how in enumerate(heading.hows) if how != "text"]
    texts = [place for place, how in enumerate(heading.hows) if how == "text"]
    while page := _receive(given):
        for row in msgspec.json.decode(page):
            for place, show in columns:
                row[place] = show(row[place])
            for place in texts:
                if isinstance(row[place], list | dict | bool):
                    row[place] = _text(row[place])
            yield row


def _text(value: Any) -> Cell:
    return _list(value) if isinstance(value, list) else str(value)


def _date(value: Any) -> Cell:
    return date.fromisoformat(value[:10]) if isinstance(value, str) else None


def _moment(value: Any) -> Cell:
    if not isinstance(value, str):
        return None
    return datetime.fromisoformat(value).astimezone(VIETNAM).strftime("%d/%m/%Y %H:%M:%S")


def _list(value: Any) -> Cell:
    if isinstance(value, list):
        return ", ".join(str(one) for one in value if one is not None) or None
    return None if value is None else str(value)


def _receive(given: BinaryIO) -> bytes:
    head = given.read(HEAD.size)
    return given.read(HEAD.unpack(head)[0]) if len(head) == HEAD.size else b""


if __name__ == "__main__":
    main()
