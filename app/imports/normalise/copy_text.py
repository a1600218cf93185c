"""PostgreSQL's COPY text format: one string per value."""

from __future__ import annotations

from typing import Any

import msgspec

NULL = "\\N"
_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": ""})
_encode = msgspec.json.encode


def text(value: str) -> str:
    """Any text."""
    return value if value.isalnum() else value.translate(_ESCAPES)


def json(value: Any) -> str:
    """A JSON document, as text still to be escaped once with `escaped`."""
    return _encode(value).decode()


def escaped(document: str) -> str:
    """JSON, which holds no control characters, or a tsvector made by `lexemes`."""
    return document.replace("\\", "\\\\")


def array(numbers: list[int]) -> str:
    """An array of integers."""
    return "{" + ",".join(map(str, numbers)) + "}"


def lexemes(words: list[str]) -> str:
    """A tsvector without positions."""
    joined = "' '".join(words)
    if "\\" in joined or joined.count("'") != 2 * (len(words) - 1):
        joined = "' '".join(word.replace("\\", "\\\\").replace("'", "''") for word in words)
    return f"'{joined}'" if words else ""
