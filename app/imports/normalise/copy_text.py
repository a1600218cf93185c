"""PostgreSQL's COPY text format, column by column: what is done once for a column need not be done for each row."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

NULL = "\\N"
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": ""})
_encode = msgspec.json.encode


def text(value: str) -> str:
    """Any text, escaped."""
    return value if value.isalnum() else value.translate(_ESCAPES)


def json(value: Any) -> str:
    """A JSON document, still to be escaped by `column`."""
    return _encode(value).decode()


def column(values: Iterable[str], *, escape: bool = False) -> list[bytes]:
    """A column's values as bytes. `escape` is for JSON, which holds no control characters, and tsvectors."""
    joined = "\0".join(values)
    if escape:
        joined = joined.replace("\\", "\\\\")
    return joined.encode().split(b"\0")


def array(numbers: list[int]) -> str:
    """An array of integers."""
    return "{" + ",".join(map(str, numbers)) + "}"


def objects(members: list[list[bytes]], count: int) -> list[bytes]:
    """JSON objects of the members that each row has; an absent one is empty."""
    if not members:
        return [b"{}"] * count
    return [b"{" + b",".join(filter(None, of_row)) + b"}" for of_row in zip(*members, strict=True)]


def lexemes(words: list[str]) -> str:
    """A tsvector without positions."""
    joined = "' '".join(words)
    if "\\" in joined or joined.count("'") != 2 * (len(words) - 1):
        joined = "' '".join([word.replace("\\", "\\\\").replace("'", "''") for word in words])
    return f"'{joined}'" if words else ""
