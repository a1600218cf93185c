"""Reads a file and keeps its rows, in a child process or right here."""

from __future__ import annotations

from pathlib import Path

from app.imports.reading import Limits, Row, Workbook, decode_chunk, read
from app.imports.reading.delimited import read_csv
from app.imports.reading.sniff import sniff
from app.imports.reading.xlsx import read_xlsx

Sheets = dict[int, list[Row]]


async def read_apart(path: Path, *, filename: str = "x", limits: Limits | None = None) -> tuple[Workbook, Sheets]:
    """As the worker reads it."""
    sheets: Sheets = {}

    async def keep(sheet: int, chunk: int, data: bytes) -> None:
        sheets.setdefault(sheet, []).extend(decode_chunk(data))

    return await read(path, filename=filename, on_chunk=keep, limits=limits or Limits()), sheets


def read_here(path: Path, *, filename: str = "x", limits: Limits | None = None) -> tuple[Workbook, Sheets]:
    """The same without a process: quick, for files that harm nobody."""
    sheets: Sheets = {}

    def keep(sheet: int, chunk: int, data: bytes) -> None:
        sheets.setdefault(sheet, []).extend(decode_chunk(data))

    reader = read_xlsx if sniff(path, filename) == "xlsx" else read_csv
    return reader(path, limits or Limits(), chunk_rows=1_000, emit=keep), sheets


def only_rows(path: Path, **options: str) -> list[Row]:
    """The rows of the first sheet."""
    return read_here(path, **options)[1].get(0, [])  # type: ignore[arg-type]
