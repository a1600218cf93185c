"""Reads an uploaded table in a disposable process; knows neither the database nor any field."""

from app.imports.reading.model import (
    Cell,
    Column,
    DamagedNumber,
    Kind,
    Limits,
    Notice,
    Row,
    SheetInfo,
    SheetPreview,
    Unreadable,
    Workbook,
    column_letter,
)
from app.imports.reading.parent import OnChunk, read
from app.imports.reading.wire import decode_chunk

__all__ = [
    "Cell",
    "Column",
    "DamagedNumber",
    "Kind",
    "Limits",
    "Notice",
    "OnChunk",
    "Row",
    "SheetInfo",
    "SheetPreview",
    "Unreadable",
    "Workbook",
    "column_letter",
    "decode_chunk",
    "read",
]
