"""What can be filtered by: one description for each field of an entity, whatever its table.

A `Filterable` says where its value lives as an SQL expression, how a caller's value becomes what is stored there, and
how it is shown in a sentence. The operators of each kind are in `operators`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import date
from decimal import Decimal
from typing import Any, Literal, Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

from app.core.clock import VIETNAM
from app.core.fields import BadValue, Field
from app.core.i18n import language
from app.core.vietnam import text as vn
from app.filters.search import Entity

# name: a text whose words stand in the entity's side table. set: several values in one row.
Kind = Literal["text", "name", "phone", "number", "date", "datetime", "boolean", "choice", "set"]
# What finds a value by an index that is not the column's own: words and lexeme the side table's words, tail its
# backward phone, prefix a column that is sorted by its bytes.
Lookup = Literal["", "words", "lexeme", "tail", "prefix"]

MAX_TEXT = 200


@dataclass(frozen=True, slots=True)
class Choice:
    """A value that a field can have, and what people call it."""

    value: str
    label: str


@dataclass(frozen=True, slots=True)
class Filterable:
    """A field to filter by.

    `column` is an expression over the entity's alias, `cast` its SQL type. `parse` makes a caller's value what the
    column stores and raises BadValue. `anniversary` is the expression month * 100 + day of a date that comes again
    each year; `needs` what a predicate must also say so that a partial index serves; `zone` where days begin;
    `costly` whether each row must be looked at.
    """

    key: str
    vi: str
    en: str
    kind: Kind
    column: str
    cast: str
    parse: Callable[[Any], Any]
    show: Callable[[Any], str] = str
    lookup: Lookup = ""
    anniversary: str = ""
    needs: str = ""
    zone: ZoneInfo = VIETNAM
    choices: tuple[Choice, ...] | None = None

    @property
    def label(self) -> str:
        """The label in the request's language."""
        return self.vi if language.get() == "vi" else self.en


@dataclass(frozen=True, slots=True)
class Related:
    """Facts beside an entity: rows of `table`, named `alias`, whose `customer_column` is the entity's id.

    `fields` are over that alias; `live_predicate` leaves out rows that do not count; `moment` is the key of the date
    field that a period bounds; `permission` what a caller needs to ask for the facts. Every related table lets
    `crm_search` read it: policy and grant, as in migration 0008, and `searchable` in its model.
    """

    table: str
    alias: str
    customer_column: str
    fields: Mapping[str, Filterable]
    live_predicate: str
    vi: str
    en: str
    moment: str = ""
    permission: str = ""

    @property
    def label(self) -> str:
        """The label in the request's language."""
        return self.vi if language.get() == "vi" else self.en


class FieldSet(Protocol):
    """Everything that an entity can be filtered by, and the day that relative dates count from."""

    @property
    def entity(self) -> Entity:
        """The table, and its side table of words."""
        ...

    @property
    def today(self) -> date:
        """The day in the workspace's time zone."""
        ...

    @property
    def related(self) -> Mapping[str, Related]:
        """The related facts by their names."""
        ...

    def get(self, key: str) -> Filterable | None:
        """A field by its key."""
        ...


@dataclass(frozen=True)
class RelatedFields:
    """The fields of a related fact as a set of their own: no words, and nothing related to them in turn."""

    of: Related
    today: date
    entity: Entity = dataclass_field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "entity", Entity(self.of.table, words=""))

    @property
    def related(self) -> Mapping[str, Related]:
        """None: a fact has no facts of its own."""
        return {}

    def get(self, key: str) -> Filterable | None:
        """A field of the fact."""
        return self.of.fields.get(key)


def text_field(key: str, vi: str, en: str, column: str, *, lookup: Lookup = "") -> Filterable:
    """A text, compared as it is stored and searched without accents."""
    return Filterable(key, vi, en, "text", column, "text", parse_text, lookup=lookup)


def number_field(
    key: str,
    vi: str,
    en: str,
    column: str,
    *,
    cast: str = "numeric",
    parse: Callable[[Any], Any] | None = None,
) -> Filterable:
    """A number; `cast` is bigint for a column of whole ones."""
    parse = parse or (parse_whole if cast == "bigint" else parse_number)
    return Filterable(key, vi, en, "number", column, cast, parse, show=show_number)


def date_field(key: str, vi: str, en: str, column: str, *, anniversary: str = "") -> Filterable:
    """A calendar day."""
    return Filterable(key, vi, en, "date", column, "date", parse_text, anniversary=anniversary)


def moment_field(key: str, vi: str, en: str, column: str) -> Filterable:
    """A moment (timestamptz); a day means the whole day in the workspace's time zone."""
    return Filterable(key, vi, en, "datetime", column, "timestamptz", parse_text)


def flag_field(key: str, vi: str, en: str, column: str) -> Filterable:
    """Yes or no."""
    return Filterable(key, vi, en, "boolean", column, "boolean", Field(key, vi, en, "boolean").parse, show=show_flag)


def choice_field(
    key: str, vi: str, en: str, column: str, choices: Mapping[str, str], *, cast: str = "text"
) -> Filterable:
    """One of a fixed list of stored values, each with its label; either can be given."""
    by_key = {vn.fold(label): value for value, label in choices.items()} | {vn.fold(value): value for value in choices}

    def parse(raw: Any) -> str:
        found = by_key.get(vn.fold(str(raw)))
        if found is None:
            raise unknown_choice(vi, en, raw)
        return found

    listed = tuple(Choice(value, label) for value, label in choices.items())
    return Filterable(
        key, vi, en, "choice", column, cast, parse, show=lambda value: choices.get(value, str(value)), choices=listed
    )


def id_field(key: str, vi: str, en: str, column: str) -> Filterable:
    """A reference, compared by its id."""

    def parse(raw: Any) -> UUID:
        try:
            return UUID(str(raw))
        except ValueError:
            raise BadValue("id_invalid", f"{vi} phải là mã định danh", f"{en} must be an id") from None

    return Filterable(key, vi, en, "choice", column, "uuid", parse)


def parse_text(raw: Any) -> str:
    """A text of one line, of bounded length, not empty."""
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise BadValue("text_expected", "Giá trị phải là chuỗi ký tự", "The value must be a text")
    value = vn.clean(raw if isinstance(raw, str) else str(raw))
    if not value:
        raise BadValue("value_empty", "Giá trị không được để trống", "The value must not be empty")
    if len(value) > MAX_TEXT:
        raise BadValue(
            "too_long", f"Giá trị quá dài (tối đa {MAX_TEXT} ký tự)", f"The value is over {MAX_TEXT} characters"
        )
    return value


def parse_number(raw: Any) -> Decimal:
    """A number as JSON or as people type it (5.000.000)."""
    parsed = None if isinstance(raw, bool) else Field("value", "Giá trị", "The value", "decimal").parse(raw)
    if parsed is None:
        raise BadValue("number_invalid", "Giá trị phải là số", "The value must be a number")
    return Decimal(str(parsed))


def parse_whole(raw: Any) -> int:
    """A whole number."""
    number = parse_number(raw)
    if number != int(number):
        raise BadValue("integer_invalid", "Giá trị phải là số nguyên", "The value must be a whole number")
    return int(number)


def unknown_choice(vi: str, en: str, raw: Any) -> BadValue:
    """The refusal of a value that no list holds."""
    said = str(raw)[:80]
    return BadValue(
        "choice_unknown",
        f"{vi}: không có giá trị “{said}” trong hệ thống",
        f"{en}: the value “{said}” does not exist",
    )


def show_number(value: Any) -> str:
    """A number as Vietnamese write it: 5.000.000 and 2,5."""
    number = Decimal(value)
    if number == number.to_integral_value():
        return f"{int(number):,}".replace(",", ".")
    return f"{number:,f}".rstrip("0").translate({ord(","): ".", ord("."): ","})


def show_flag(value: Any) -> str:
    """Có or Không."""
    return "Có" if value in (True, "true") else "Không"
