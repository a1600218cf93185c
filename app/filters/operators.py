"""The operators of each kind of field, as predicates.

Empty values: a predicate is true only where there is something to compare, but for `ne`, `not_in`, `not_contains` and
`none_of`, which are the complements of `eq`, `in`, `contains` and `any_of` and so hold for what is empty as well, and
for `is_empty`. Some predicates are NULL where they do not hold; whoever negates one says IS NOT TRUE.
"""

import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from app.core.db import escape_like
from app.core.fields import BadValue
from app.core.vietnam import phone
from app.core.vietnam import text as vn
from app.filters import dates, folding
from app.filters.fields import FieldSet, Filterable, Kind, Links, parse_text
from app.filters.search import Sql

MAX_VALUES: Final = 1000
COMPLEMENTS: Final = {"ne": "eq", "not_in": "in", "not_contains": "contains"}
EMPTY: Final = ("is_empty", "is_not_empty")
_TEXT = ("eq", "ne", "in", "not_in", "contains", "not_contains", "starts_with", "ends_with", *EMPTY)
_ORDER = ("gt", "gte", "lt", "lte", "between")
_DATE = ("eq", "ne", *_ORDER, "in_last_days", "in_next_days", "on_day", "in_month", *EMPTY)
OPERATORS: Final[dict[Kind, tuple[str, ...]]] = {
    "text": _TEXT,
    "name": _TEXT,
    "phone": _TEXT,
    "number": ("eq", "ne", "in", "not_in", *_ORDER, *EMPTY),
    "date": _DATE,
    "datetime": _DATE,
    "boolean": ("eq", "ne", *EMPTY),
    "choice": ("eq", "ne", "in", "not_in", "any_of", "none_of", *EMPTY),
    "set": ("any_of", "all_of", "none_of", *EMPTY),
}
# Of a value that the caller may not see, in parts or in numbers of which it would be guessed.
WHOLE: Final = ("eq", *EMPTY)
# How a condition is used: to find rows by an index, beside others that must hold as well; among other ways to hold; or
# to test rows that something else has found.
Way = Literal["find", "among", "test"]
SIGNS: Final = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}


class BadItem(BadValue):
    """One value of a list is wrong."""

    def __init__(self, at: int, bad: BadValue) -> None:
        super().__init__(bad.code, bad.vi, bad.en)
        self.at = at


def operators_of(field: Filterable) -> tuple[str, ...]:
    """What the caller may compare a field by."""
    return WHOLE if field.whole else OPERATORS[field.kind]


def predicate(sql: Sql, fields: FieldSet, field: Filterable, op: str, value: Any, *, way: Way) -> str:
    """The predicate of one condition; `op` must be one of the field's.

    Raises:
        BadValue, BadItem: the value does not fit the operator.
    """
    if op in EMPTY:
        if value not in (None, True, ""):
            raise BadValue("value_unexpected", "Điều kiện này không có giá trị", "This operator takes no value")
        empty = _is_empty(sql, field)
        return empty if op == "is_empty" else f"({empty}) IS NOT TRUE"
    if op in COMPLEMENTS:
        return f"({_POSITIVE[field.kind](sql, fields, field, COMPLEMENTS[op], value, 'test')}) IS NOT TRUE"
    if op == "none_of":
        return f"({_POSITIVE[field.kind](sql, fields, field, 'any_of', value, 'test')}) IS NOT TRUE"
    return _POSITIVE[field.kind](sql, fields, field, op, value, way)


def finds(field: Filterable, op: str) -> bool:
    """Whether the entity's side table can find the rows of a condition."""
    if field.lookup == "words":
        return op in ("eq", "in", "contains", "starts_with", "ends_with")
    if field.lookup == "lexeme":
        return op in ("eq", "in", "starts_with")
    return field.lookup == "tail" and op == "ends_with"


def compared(sql: Sql, expression: str, cast: str, op: str, low: Any, high: Any = None) -> str:
    """An ordered comparison of an expression with a value, or with two for `between`."""
    if op == "between":
        return f"{expression} BETWEEN {sql.arg(low)}::{cast} AND {sql.arg(high)}::{cast}"
    return f"{expression} {SIGNS[op]} {sql.arg(low)}::{cast}"


def number_range(parse: Callable[[Any], Any], op: str, value: Any) -> tuple[Any, Any]:
    """The value of a comparison of numbers, or both of `between`.

    Raises:
        BadValue, BadItem
    """
    if op != "between":
        return parse(value), None
    low, high = _pair(value, parse)
    if low > high:
        raise _reversed()
    return low, high


def values_of(parse: Callable[[Any], Any], raw: Any) -> list[Any]:
    """The values of a list, parsed; a single value counts as a list of one.

    Raises:
        BadValue: nothing in it, or too much.
        BadItem: one of them is wrong.
    """
    given = raw if isinstance(raw, list) else [raw]
    if not given or raw is None:
        raise BadValue("value_empty", "Cần ít nhất một giá trị", "At least one value is needed")
    if len(given) > MAX_VALUES:
        raise BadValue("too_long", f"Quá nhiều giá trị (tối đa {MAX_VALUES})", f"Over {MAX_VALUES} values")
    found = []
    for number, one in enumerate(given):
        try:
            found.append(one_value(parse, one))
        except BadValue as bad:
            raise (BadItem(number, bad) if isinstance(raw, list) else bad) from None
    return list(dict.fromkeys(found))


def one_value(parse: Callable[[Any], Any], raw: Any) -> Any:
    """A value, parsed; there must be one.

    Raises:
        BadValue
    """
    if isinstance(raw, list | dict):
        raise BadValue("value_invalid", "Cần một giá trị đơn", "A single value is expected")
    parsed = parse(raw) if raw is not None else None
    if parsed is None:
        raise BadValue("value_empty", "Giá trị không được để trống", "The value must not be empty")
    return parsed


def _is_empty(sql: Sql, field: Filterable) -> str:
    if field.stands_for is not None:
        return f"({_meant(sql, field, field.stands_for)}) IS NOT TRUE"
    if field.cast.endswith("[]"):
        return f"{field.column} = '{{}}'"
    if field.cast == "jsonb":
        return f"coalesce({field.column}, 'null') IN ('null', '[]')"
    empty = f"{field.column} IS NULL"
    return f"({empty} OR {field.column} = '')" if field.cast == "text" else empty


def _text(sql: Sql, fields: FieldSet, field: Filterable, op: str, value: Any, way: Way) -> str:
    if op in ("eq", "in"):
        return _equal(sql, fields, field, op, value, way)
    text = one_value(parse_text, value)
    if not vn.fold(text):
        # A tone mark alone, which every text would hold.
        raise BadValue("value_empty", "Giá trị không có chữ nào", "The value holds no letter or sign")
    if field.lookup == "prefix" and op == "starts_with":
        forms = dict.fromkeys((text, text.upper()))
        return " OR ".join(f"{field.column} LIKE {sql.arg(escape_like(form) + '%')}::text" for form in forms)
    pattern = {"contains": folding.anywhere, "starts_with": folding.at_start, "ends_with": folding.at_end}[op](text)
    found = f"{field.column} ~ {sql.arg(pattern)}::text"
    if field.lookup == "lexeme" and op == "starts_with" and way != "test":
        return f"{_by_words(sql, fields, way, folding.lexeme(vn.fold(text), prefix=True))} AND {found}"
    return found


def _name(sql: Sql, fields: FieldSet, field: Filterable, op: str, value: Any, way: Way) -> str:
    """Names are searched by their words, which an index knows: `contains` finds them in any order, the last one of
    the value by its beginning; `ends_with` the last words, whole; `starts_with` the first letters."""
    if op in ("eq", "in"):
        return _equal(sql, fields, field, op, value, way)
    text = one_value(parse_text, value)
    words = vn.words(text)
    if not words:
        raise BadValue("value_empty", "Giá trị không có chữ nào", "The value holds no letter or digit")
    if op == "contains":
        whole = dict.fromkeys(words[:-1])
        patterns = [*(folding.a_word(word, whole=True) for word in whole), folding.a_word(words[-1])]
        match = " & ".join([*map(folding.lexeme, whole), folding.lexeme(words[-1], prefix=True)])
    elif op == "starts_with":
        patterns = [folding.at_start(text)]
        match = " & ".join([*map(folding.lexeme, words[:-1]), folding.lexeme(words[-1], prefix=True)])
    else:
        patterns = [folding.last_words(text)]
        match = " & ".join(map(folding.lexeme, words))
    found = " AND ".join(f"{field.column} ~ {sql.arg(pattern)}::text" for pattern in patterns)
    return f"{_by_words(sql, fields, way, match)} AND {found}" if way != "test" and field.lookup == "words" else found


def _phone(sql: Sql, fields: FieldSet, field: Filterable, op: str, value: Any, way: Way) -> str:
    """`eq` and `in` take any spelling; the others digits, compared with the number as it is dialled. A beginning may
    lack its zero, as in a spreadsheet."""
    if op in ("eq", "in"):
        return _equal(sql, fields, field, op, value, way)
    forms = phone.search_forms(one_value(parse_text, value))
    if forms is None:
        raise BadValue("phone_invalid", "Phải là 3 đến 15 chữ số", "3 to 15 digits are expected")
    if forms.tail:
        digits = forms.tail
    elif forms.e164:
        digits = phone.national(forms.e164)
    else:
        digits = re.sub(r"^\+84", "0", str(forms.prefix))
    if op == "starts_with":
        prefix = forms.e164 or forms.prefix or f"+84{digits}"
        return f"{field.column} LIKE {sql.arg(prefix + '%')}::text"
    if op == "contains":
        return f"{phone.national_sql(field.column)} LIKE {sql.arg(f'%{digits}%')}::text"
    if field.lookup == "tail" and way != "test":
        return _by_side(fields, way, f"s.phone_tail LIKE {sql.arg(digits[::-1] + '%')}::text")
    return f"{phone.national_sql(field.column)} LIKE {sql.arg('%' + digits)}::text"


def _number(sql: Sql, _: FieldSet, field: Filterable, op: str, value: Any, _way: Way) -> str:
    if op in ("eq", "in"):
        return _among(sql, field, values_of(field.parse, value) if op == "in" else [one_value(field.parse, value)])
    return compared(
        sql, field.column, field.cast, op, *number_range(lambda raw: one_value(field.parse, raw), op, value)
    )


def _date(sql: Sql, fields: FieldSet, field: Filterable, op: str, value: Any, _way: Way) -> str:
    if op == "in_month":
        months = values_of(dates.month_number, value)
        if field.anniversary:
            return _ranges(sql, field.anniversary, [(month * 100 + 1, month * 100 + 31) for month in months])
        local = field.column if field.cast == "date" else f"({field.column} AT TIME ZONE '{_zone(fields, field).key}')"
        return f"extract(month FROM {local})::int = ANY({sql.arg(months)}::int[])"
    if op in ("in_last_days", "in_next_days"):
        count = dates.count_of_days(value)
        make = dates.last_days if op == "in_last_days" else dates.next_days
        span = make(fields.today, count)
        if field.anniversary:
            return _ranges(sql, field.anniversary, dates.days_of_year(span))
        return _within(sql, fields, field, span)
    if op == "on_day":
        if field.anniversary:
            return _ranges(sql, field.anniversary, dates.anniversaries(_single(value), fields.today, fields.zone))
        return _within(sql, fields, field, dates.days(_single(value), fields.today, fields.zone))
    if op == "between":
        low, high = _pair(value, lambda raw: _when(fields, field, raw))
        if _span(fields, field, low)[0] > _span(fields, field, high)[1]:
            raise _reversed()
        return f"{_edge(sql, fields, field, 'gte', low)} AND {_edge(sql, fields, field, 'lte', high)}"
    return _edge(sql, fields, field, op, _when(fields, field, value))


def _when(fields: FieldSet, field: Filterable, raw: Any) -> dates.Days | datetime:
    """The days of a value, or its moment where the field has a time of day and the value says one."""
    # Where its days begin elsewhere, the column holds days.
    timed = field.cast == "timestamptz" and field.zone is None
    moment = dates.moment(_single(raw), fields.zone) if timed else None
    return moment or dates.days(_single(raw), fields.today, fields.zone)


def _zone(fields: FieldSet, field: Filterable) -> ZoneInfo:
    return field.zone or fields.zone


def _span(fields: FieldSet, field: Filterable, when: dates.Days | datetime) -> tuple[datetime, datetime]:
    """Its first and its last moment."""
    if isinstance(when, datetime):
        return when, when
    start, end = dates.bounds(when, _zone(fields, field))
    return start, end - timedelta.resolution


def _edge(sql: Sql, fields: FieldSet, field: Filterable, op: str, when: dates.Days | datetime) -> str:
    """One side of a comparison with days or a moment: after them means after the last, before them before the first."""
    if isinstance(when, datetime):
        return compared(sql, field.column, field.cast, op, when)
    if op == "eq":
        return _within(sql, fields, field, when)
    if field.cast == "date":
        return compared(sql, field.column, "date", op, when.last if op in ("gt", "lte") else when.first)
    start, end = dates.bounds(when, _zone(fields, field))
    if op in ("gt", "lte"):
        return compared(sql, field.column, field.cast, {"gt": "gte", "lte": "lt"}[op], end)
    return compared(sql, field.column, field.cast, op, start)


def _within(sql: Sql, fields: FieldSet, field: Filterable, span: dates.Days) -> str:
    if field.cast == "date":
        if span.first == span.last:
            return compared(sql, field.column, "date", "eq", span.first)
        return compared(sql, field.column, "date", "between", span.first, span.last)
    start, end = dates.bounds(span, _zone(fields, field))
    return (
        f"{compared(sql, field.column, field.cast, 'gte', start)} AND "
        f"{compared(sql, field.column, field.cast, 'lt', end)}"
    )


def _ranges(sql: Sql, expression: str, ranges: list[tuple[int, int]]) -> str:
    return " OR ".join(compared(sql, expression, "smallint", "between", low, high) for low, high in ranges)


def _boolean(sql: Sql, _: FieldSet, field: Filterable, _op: str, value: Any, _way: Way) -> str:
    wanted = one_value(field.parse, value)
    return _among(sql, field, [("true" if wanted else "false") if field.cast == "text" else wanted])


def _choice(sql: Sql, _: FieldSet, field: Filterable, op: str, value: Any, _way: Way) -> str:
    wanted = [one_value(field.parse, value)] if op == "eq" else values_of(field.parse, value)
    return _among(sql, field, wanted) if field.stands_for is None else _meant(sql, field, wanted)


def _meant(sql: Sql, field: Filterable, wanted: Iterable[Any]) -> str:
    """Whose stored value is one of those that these stand for."""
    stands_for = field.stands_for or {}
    stored = frozenset[Any]().union(*(stands_for[one] for one in wanted))
    return f"{field.column} = ANY({sql.arg(sorted(stored))}::{field.cast}[])"


def _set(sql: Sql, _: FieldSet, field: Filterable, op: str, value: Any, way: Way) -> str:
    wanted = values_of(field.parse, value)
    if way == "find" and field.links is not None:
        return _linked(sql, field.links, [wanted] if op == "any_of" else [[one] for one in wanted])
    if field.cast == "jsonb":
        return f"{field.column} {'?|' if op == 'any_of' else '?&'} {sql.arg(wanted)}::text[]"
    # An index of sets leaves out the empty ones.
    some = f"{field.column} {'&&' if op == 'any_of' else '@>'} {sql.arg(wanted)}::{field.cast}"
    return f"{field.column} <> '{{}}' AND {some}"


def _linked(sql: Sql, links: Links, each: list[list[Any]]) -> str:
    """Who has a link to one of each of these. As one set: joined one after another, the planner would begin with
    everybody (600 ms at a million customers where the intersection takes 50)."""
    found = (
        f"SELECT l.customer_id FROM {links.table} l WHERE l.tenant_id = $1 "
        f"AND l.{links.key} = ANY({sql.arg([links.ids[one] for one in wanted])}::uuid[])"
        for wanted in each
    )
    return f"c.id IN ({' INTERSECT '.join(found)})"


def _equal(sql: Sql, fields: FieldSet, field: Filterable, op: str, value: Any, way: Way) -> str:
    """Equal as stored, case and accents included."""
    wanted = values_of(field.parse, value) if op == "in" else [one_value(field.parse, value)]
    found = _among(sql, field, wanted)
    if way == "test" or field.lookup not in ("words", "lexeme"):
        return found
    each = []
    for one in wanted:
        words = vn.words(one) if field.lookup == "words" else [one]
        if not words:
            return found
        each.append(f"({' & '.join(map(folding.lexeme, words[:20]))})")
    return f"{found} AND {_by_words(sql, fields, way, ' | '.join(each))}"


def _among(sql: Sql, field: Filterable, wanted: list[Any]) -> str:
    if len(wanted) == 1:
        return f"{field.column} = {sql.arg(wanted[0])}::{field.cast}"
    return f"{field.column} = ANY({sql.arg(wanted)}::{field.cast}[])"


def _by_words(sql: Sql, fields: FieldSet, way: Way, match: str) -> str:
    return _by_side(fields, way, f"s.words @@ {sql.arg(match)}::text::tsquery")


def _by_side(fields: FieldSet, way: Way, condition: str) -> str:
    """The rows that the entity's side table finds: first of all, as an array, or as a set to look into.

    A planner that is free takes a rare word for a common one, and tests everybody.
    """
    found = f"SELECT s.id FROM {fields.entity.words} s WHERE s.tenant_id = $1 AND {condition}"
    return f"c.id = ANY(ARRAY({found}))" if way == "find" else f"c.id IN ({found})"


def _pair(raw: Any, parse: Callable[[Any], Any]) -> tuple[Any, Any]:
    if not isinstance(raw, list) or len(raw) != 2:
        raise BadValue("pair_expected", "Cần đúng hai giá trị [từ, đến]", "Two values are expected: [from, to]")
    found = []
    for number, one in enumerate(raw):
        try:
            found.append(parse(one))
        except BadValue as bad:
            raise BadItem(number, bad) from None
    return found[0], found[1]


def _reversed() -> BadValue:
    return BadValue("range_reversed", "Khoảng bị đảo ngược", "The range is the wrong way round")


def _single(raw: Any) -> Any:
    if isinstance(raw, list | dict):
        raise BadValue("value_invalid", "Cần một giá trị đơn", "A single value is expected")
    return raw


Positive = Callable[[Sql, FieldSet, Filterable, str, Any, Way], str]
_POSITIVE: Final[dict[Kind, Positive]] = {
    "text": _text,
    "name": _name,
    "phone": _phone,
    "number": _number,
    "date": _date,
    "datetime": _date,
    "boolean": _boolean,
    "choice": _choice,
    "set": _set,
}
