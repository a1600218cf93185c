"""What can be filtered by: one description for each field of an entity, whatever its table.

A `Filterable` says where its value lives as an SQL expression, how a caller's value becomes what is stored there, and
how it is shown in a sentence. The operators of each kind are in `operators`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import date
from decimal import Decimal
from typing import Any, Final, Literal, Protocol, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from app.core.fields import BadValue, Field
from app.core.i18n import language
from app.core.vietnam import text as vn
from app.filters.search import Entity

# name: a text whose words stand in the entity's side table. set: several values in one row.
Kind = Literal["text", "name", "phone", "number", "date", "datetime", "boolean", "choice", "set"]
# What finds a value by an index that is not the column's own: words and lexeme the side table's words, tail its
# backward phone, prefix a column that is sorted by its bytes.
Lookup = Literal["", "words", "lexeme", "tail", "prefix"]

# Stored values with what people call them, in Vietnamese and in English.
Labels = Mapping[str, tuple[str, str]]
# The lists of a workspace by their names: the ids of their values by name.
Lists = Mapping[str, Mapping[str, UUID]]
T = TypeVar("T")

MAX_TEXT = 200


class _Named:
    """What people call a thing, in both languages."""

    __slots__ = ()
    vi: str
    en: str

    @property
    def label(self) -> str:
        """The label in the request's language."""
        return self.vi if language.get() == "vi" else self.en


@dataclass(frozen=True, slots=True)
class Choice(_Named):
    """A value that a field can have, and what people call it."""

    value: str
    vi: str
    en: str


@dataclass(frozen=True, slots=True)
class Links:
    """A table that says of an entity's rows what their set of values says too, by the ids of the values: its index is
    found by them, so that the set itself needs none."""

    table: str
    key: str
    ids: Mapping[Any, UUID]


@dataclass(frozen=True, slots=True)
class Filterable(_Named):
    """A field to filter by.

    `column` is an expression over the entity's alias, `cast` its SQL type. `parse` makes a caller's value what the
    column stores and raises BadValue. `anniversary` is the expression month * 100 + day of a date that comes again
    each year; `links` where the rows of a set are found; `zone` where its days begin if not in the workspace's zone.
    `show` says a stored value in a sentence, in Vietnamese. `stands_for`, where values are not stored themselves, are
    the stored ones that each of them means; what none of them means is empty. `private` is a value that not every
    caller may see, and `whole` one that this caller may not: it is compared with one whole value, never in part.
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
    links: Links | None = None
    zone: ZoneInfo | None = None
    choices: tuple[Choice, ...] | None = None
    stands_for: Mapping[Any, frozenset[Any]] | None = None
    private: bool = False
    whole: bool = False


@dataclass(frozen=True, slots=True)
class Related(_Named):
    """Facts beside an entity: rows of `table`, named `r` in predicates, whose `customer_id` is the entity's id.

    `fields` are over that alias; `moment` is the key of the date field that a period bounds; `permission` what a caller
    needs to ask for the facts. Every related table lets `crm_search` read it: policy and grant, as in migration 0008,
    and `searchable` in its model.
    """

    table: str
    fields: Mapping[str, Filterable]
    vi: str
    en: str
    moment: str = ""
    permission: str = ""


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
    def zone(self) -> ZoneInfo:
        """The workspace's time zone, where days begin."""
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
    zone: ZoneInfo
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
    parse = Field(key, vi, en, "boolean").parse
    return Filterable(key, vi, en, "boolean", column, "boolean", parse, show=show_flag, choices=FLAGS)


def choice_field(key: str, vi: str, en: str, column: str, choices: Labels) -> Filterable:
    """One of a fixed list of stored values, each with its labels; any of them can be given."""
    listed = listing(choices)
    by_key = {vn.fold(said): one.value for one in listed for said in (one.en, one.vi, one.value)}

    def parse(raw: Any) -> str:
        found = by_key.get(vn.fold(str(raw)))
        if found is None:
            raise unknown_choice(vi, en, raw)
        return found

    return Filterable(key, vi, en, "choice", column, "text", parse, show=shower(listed), choices=listed)


def list_field(key: str, vi: str, en: str, column: str, ids: Mapping[str, UUID]) -> Filterable:
    """A value of one of the workspace's lists, by name or id."""
    names = {id_: name for name, id_ in ids.items()}
    parse = by_name(Field(key, vi, en, "choice").with_choices(tuple(ids)), ids, {str(id_): id_ for id_ in names})
    return Filterable(
        key, vi, en, "choice", column, "uuid", parse,
        show=lambda value: names.get(value, str(value)), choices=own_names(ids),
    )  # fmt: skip


def by_name(field: Field, names: Mapping[str, T], ids: Mapping[str, T]) -> Callable[[Any], T | None]:
    """A parser of what has a name and an id: names as the field, which lists them, takes them."""

    def parse(raw: Any) -> T | None:
        if (found := ids.get(str(raw).lower())) is not None:
            return found
        name = field.parse(raw)
        return None if name is None else names[name]

    return parse


def listing(labels: Labels) -> tuple[Choice, ...]:
    """The choices of stored values that the product names."""
    return tuple(Choice(value, vi, en) for value, (vi, en) in labels.items())


def own_names(names: Iterable[str]) -> tuple[Choice, ...]:
    """The choices that a workspace named itself: they have one name in every language."""
    return tuple(Choice(name, name, name) for name in names)


def shower(choices: Iterable[Choice]) -> Callable[[Any], str]:
    """What a sentence says of a stored value."""
    said = {one.value: one.vi for one in choices}
    return lambda value: said.get(value, str(value))


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


# Number of related facts, as a field.
COUNT: Final = number_field("count", "Số lượng", "Count", "count(*)", cast="bigint")
FLAGS: Final = listing({"true": ("Có", "Yes"), "false": ("Không", "No")})
