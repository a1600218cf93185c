"""Which field a column of a file means, by its header: Vietnamese or English, with accents or none, abbreviated."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from app.core.fields import Field
from app.core.vietnam import text as vn
from app.imports.plan import is_contact
from app.imports.reading import Column

EXACT, NAMED, ALIAS, CONTACT, PART, KIND = 1.0, 0.98, 0.95, 0.9, 0.6, 0.5
NOISE = re.compile(r"[^0-9a-z]+")
# A part of a header counts only if it is longer than an abbreviation.
SHORTEST_PART = 5


@dataclass(frozen=True)
class Suggestion:
    """A field for a column; `confidence` is 1 where the header is the field's own name."""

    field: Field
    column: int
    confidence: float


def suggest(fields: Sequence[Field], columns: Sequence[Column]) -> list[Suggestion]:
    """At most one column for each field and one field for each column, the surest first."""
    found = [one for column in columns for one in _candidates(fields, column)]
    found.sort(key=lambda one: (-one.confidence, one.column, one.field.position))
    used_fields, used_columns, chosen = set[str](), set[int](), list[Suggestion]()
    for one in found:
        if one.field.key not in used_fields and one.column not in used_columns:
            used_fields.add(one.field.key)
            used_columns.add(one.column)
            chosen.append(one)
    return chosen


def _candidates(fields: Sequence[Field], column: Column) -> Iterable[Suggestion]:
    header = key_of(column.header)
    for field in fields:
        confidence = _confidence(field, header) if header else 0.0
        if is_contact(field):
            # The customer's own fields come first: a list of people calls them contacts too.
            confidence = CONTACT if confidence >= ALIAS else 0.0
        if not header and field.type == column.kind_guess and field.key in ("phone", "email"):
            confidence = KIND
        if confidence:
            yield Suggestion(field, column.index, confidence)


def _confidence(field: Field, header: str) -> float:
    if header in (key_of(field.vi), key_of(field.en)):
        return EXACT
    if header in (key_of(field.name), key_of(field.key)):
        return NAMED
    aliases = [key_of(alias) for alias in field.aliases]
    if header in aliases:
        return ALIAS
    parts = [
        name for name in (key_of(field.vi), *aliases) if len(name) >= SHORTEST_PART and f" {name} " in f" {header} "
    ]
    return max((_part(name, header) for name in parts), default=0.0)


def _part(name: str, header: str) -> float:
    """Vietnamese says the main word first: `ghi chú khách hàng` is a note."""
    return round(PART + (0.15 if header.startswith(name) else 0) + 0.1 * len(name) / len(header), 2)


@lru_cache(maxsize=16_384)
def key_of(header: str) -> str:
    """A header for comparison: folded, without punctuation and marks such as the star of a required field."""
    return NOISE.sub(" ", vn.fold(header)).strip()
