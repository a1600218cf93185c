"""One column of a chunk at a time: cells parsed by their Field, then written as COPY text and JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import time, timedelta
from typing import Any
from unicodedata import is_normalized

from app.core.fields import PARSERS, BadValue, Field
from app.core.vietnam import dates, provinces
from app.core.vietnam import text as vn
from app.customers.words import slot_text
from app.imports.normalise.copy_text import NULL, array, column, json, text
from app.imports.plan import Plan, Problem, Target, problem_of
from app.imports.reading.model import Cell, DamagedNumber
from app.imports.reading.preview import display

Problems = dict[int, list[Problem]]

_REPEATING = frozenset(("choice", "choices", "person", "gender", "province", "boolean", "date"))
_KEPT = 50_000
_TEXT_OR_NOTHING = {str, type(None)}


class Column:
    """A mapped column: `parse` fills canonical values, and the rest writes them. It lives as long as the run."""

    def __init__(self, plan: Plan, field: Field, place: int) -> None:
        self.field, self.place, self._target = field, place, Target(field, place)
        self._start = f"{json(field.key)}:[null,"
        self._member = f"{json(field.name)}:"
        self._vietnamese = plan.vietnamese
        self._ids = plan.ids.get(field.key)
        self._tags = plan.tags
        self._from_1904 = plan.from_1904 and field.type in ("date", "datetime")
        self._known: dict[Cell, Any] = {}
        # How long a text may be that is kept as it is; 0 for what is not text.
        self._longest = {"text": field.max_length, "long_text": 20_000}.get(field.type, 0)

    def parse(self, cells: Sequence[Cell], problems: Problems) -> list[Any]:
        """The canonical value of each cell, None where it is empty or wrong; what is wrong goes to `problems`."""
        known = self._known if self.field.type in _REPEATING and len(self._known) < _KEPT else {}
        kinds = set(map(type, cells))
        if self._longest and kinds <= _TEXT_OR_NOTHING and _is_clean(cells, self._longest):
            values = list(cells)
        elif bool in kinds and not kinds.isdisjoint((int, float)):
            values = self._one_by_one(cells, problems)
        else:
            wrong = self._learn(set(cells).difference(known), known)
            values = list(map(known.get, cells))
            if wrong:
                for index, cell in enumerate(cells):
                    if cell in wrong:
                        problems.setdefault(index, []).append(wrong[cell])
        if self.field.required and None in values:
            self._require(values, cells, problems)
        return values

    def fill(self, values: list[Any], cells: Sequence[Cell]) -> list[list[bytes]]:
        """The COPY text of the field's own staging columns."""
        field = self.field
        if field.is_attribute:
            return [column([NULL if value is None else _slot(value) for value in values])] if field.slot else []
        if field.key == "groups":
            return []
        if field.key == "tags":
            return [column([NULL if named is None else self._numbers(named) for named in values])]
        if self._ids is not None:
            ids: dict[Any, str] = {None: NULL, **self._ids}
            return [column(map(ids.__getitem__, values))]
        if _is_plain(values):
            texts = column([NULL if value is None else value for value in values])
        else:
            texts = column([NULL if value is None else text(value) for value in values])
        if field.key == "phone":
            return [texts, column(map(_phone_typed, values, cells))]
        if field.key == "province":
            return [texts, column(map(_province_typed, values, cells))]
        return [texts]

    def _numbers(self, names: list[str]) -> str:
        return array(sorted(self._tags[name] for name in names))

    def changes(self, values: list[Any]) -> list[bytes]:
        """The member that each value adds to the changes of a `created` event; empty where there is none."""
        start = self._start
        if _is_plain(values):
            return column(["" if value is None else f'{start}"{value}"]' for value in values])
        return column(["" if value is None else f"{start}{json(value)}]" for value in values], escape=True)

    def members(self, values: list[Any]) -> list[bytes]:
        """The member that each value adds to the attributes; empty where there is none."""
        start = self._member
        return column(["" if value is None else start + json(value) for value in values], escape=True)

    def problem(self, code: str, vi: str, en: str, cell: Cell = None) -> Problem:
        """Something wrong with this column's cell."""
        return problem_of(self._vietnamese, self._target, code, vi, en, shown(cell))

    def _learn(self, cells: Iterable[Cell], known: dict[Cell, Any]) -> dict[Cell, Problem]:
        """Parses each different cell once; returns what is wrong with the wrong ones."""
        parse, field, wrong = PARSERS[self.field.type], self.field, dict[Cell, Problem]()
        for cell in cells:
            if cell is None or cell == "":
                continue
            try:
                given = cell if type(cell) is str else _plain(cell)
                value = parse(field, _of_1904(given) if self._from_1904 else given)
            except BadValue as bad:
                wrong[cell] = self.problem(bad.code, bad.vi, bad.en, cell)
            else:
                known[cell] = value
        return wrong

    def _one_by_one(self, cells: Sequence[Cell], problems: Problems) -> list[Any]:
        """For a column where True and 1, which are one key to a dict, stand side by side."""
        values = []
        for index, cell in enumerate(cells):
            known: dict[Cell, Any] = {}
            for problem in self._learn((cell,), known).values():
                problems.setdefault(index, []).append(problem)
            values.append(known.get(cell))
        return values

    def _require(self, values: list[Any], cells: Sequence[Cell], problems: Problems) -> None:
        field = self.field
        for index, value in enumerate(values):
            if value is None and not any(one["field"] == field.key for one in problems.get(index, ())):
                problem = self.problem("required", f"{field.vi} là bắt buộc", f"{field.en} is required", cells[index])
                problems.setdefault(index, []).append(problem)


def shown(cell: Cell) -> str | None:
    """A cell's value for a person, short."""
    return None if cell is None else vn.clean(display(cell))[:200]


def _plain(cell: Cell) -> Any:
    """A cell as the fields know values.

    Raises:
        BadValue: the spreadsheet had rounded the number before it was saved.
    """
    if isinstance(cell, DamagedNumber):
        raise BadValue(
            "number_damaged",
            "Số dài quá 15 chữ số đã bị bảng tính làm tròn; hãy định dạng cột là Văn bản rồi nhập lại",
            "The spreadsheet has rounded this number of more than 15 digits; format the column as text, type it anew",
        )
    if isinstance(cell, time):
        return cell.strftime("%H:%M:%S" if cell.second else "%H:%M")
    return str(cell) if isinstance(cell, timedelta) else cell


def _of_1904(given: Any) -> Any:
    """The moment of a day number that counts from 1904. Years alone, and whatever is no day, are the field's to judge,
    as in any other file."""
    if isinstance(given, bool) or not isinstance(given, int | float) or dates.parse_year(f"{given:g}") is not None:
        return given
    moment = dates.from_serial(given, date1904=True)
    return given if moment is None else moment


def _is_clean(cells: Sequence[Any], longest: int) -> bool:
    """Whether `clean` would leave every text of the column as it is, found out for all of them at once."""
    texts = [cell for cell in cells if cell]
    joined = "|".join(texts)
    return (
        joined.isprintable()
        and not any(pattern in joined for pattern in ("_x", "  ", "| ", " |"))
        and joined == joined.strip()
        and max(map(len, texts), default=0) <= longest
        and "" not in cells
        and is_normalized("NFC", joined)
    )


def _is_plain(values: list[Any]) -> bool:
    """Whether COPY and JSON can take all the values as they are: canonical text holds no control character but \\n."""
    try:
        joined = "".join([value for value in values if value is not None])
    except TypeError:
        return False
    return "\\" not in joined and '"' not in joined and "\n" not in joined


def _slot(value: Any) -> str:
    """As customers.values.slot_value stores it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return text(slot_text(value))


def _phone_typed(value: str | None, cell: Cell) -> str:
    if value is None or not isinstance(cell, str):
        return NULL
    typed = cell.strip()[:50]
    return NULL if typed == value else text(typed)


def _province_typed(value: str | None, cell: Cell) -> str:
    found = provinces.find(str(cell)) if value is not None else None
    return NULL if found is None or found.old_name is None else text(found.old_name)
