"""Reads an uploaded table in a disposable process; knows neither the database nor any field."""

from typing import TYPE_CHECKING, Any

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
from app.imports.reading.wire import decode_chunk

if TYPE_CHECKING:
    from app.imports.reading.parent import OnChunk, read

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


def __getattr__(name: str) -> Any:
    # Late, because the reading process imports this package too and should not pay for an event loop.
    if name in ("OnChunk", "read"):
        from app.imports.reading import parent

        return getattr(parent, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
