"""Chunks of rows become COPY text for the staging table: values by field, duplicates within the file decided."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest
from typing import Any

from uuid_utils import uuid7

from app.customers.words import phone_tail, search_words
from app.imports.normalise.columns import Column, Problem, Problems
from app.imports.normalise.copy_text import NULL, array, escaped, json, lexemes
from app.imports.plan import EXAMPLE_NAME, EXAMPLE_PHONE, FIXED_COLUMNS, Batch, Plan, Seen
from app.imports.reading.model import Cell, Row

SEARCHED = ("name", "email", "tax_code")


class Normaliser:
    """All chunks of one run, in order: it remembers which phones the file has had."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._columns = [Column(plan, target.field, target.column) for target in plan.targets]
        self._by_key = {column.field.key: place for place, column in enumerate(self._columns)}
        self._uniques = [place for place, column in enumerate(self._columns) if _is_unique(column)]
        self._nulls = [NULL] * (len(plan.columns) - len(FIXED_COLUMNS))
        self._prefix = f"{plan.tenant_id}\t{plan.import_id}"
        self._phones: dict[str, int] = {}
        self._values: dict[tuple[str, str], int] = {}

    def remember(self, seen: Seen) -> None:
        """Takes in a chunk that an earlier claim of the job has dealt with."""
        self._phones.update(seen.phones)
        self._values.update({(attribute, value): first for attribute, value, first in seen.uniques})

    def chunk(self, rows: list[Row]) -> tuple[Batch, Seen, bytes]:
        """The staging rows of a chunk, and what the chunk adds to the memory of the file."""
        given = len(rows)
        rows = [row for row in rows if row[0] >= self._plan.start_row]
        if not rows:
            return Batch(given, 0, 0, 0, 0, 0, 0, 0, []), Seen({}, []), b""
        work = _Chunk(rows, self._columns)
        seen = self._decide(work)
        lines = [*self._written(work), *self._others(work)]
        batch = Batch(
            given=given,
            low=rows[0][0],
            high=rows[-1][0],
            rows=len(rows),
            written=len(work.leaders),
            folded=len(work.folds),
            skipped=len(work.skipped),
            failed=len(work.problems),
            earlier=sorted(set(work.firsts.values())),
        )
        return batch, seen, ("\n".join(lines) + "\n").encode()

    def _decide(self, work: _Chunk) -> Seen:
        """Sorts the rows into those that are written, folded into an earlier one, skipped and refused."""
        seen = Seen({}, [])
        phones, place = self._phones, self._by_key.get("phone")
        in_file = self._plan.in_file
        for index, number in enumerate(work.numbers):
            if self._is_example(work, index):
                work.problems.pop(index, None)
                work.skipped[index] = self._note("example_row", "Dòng ví dụ của file mẫu", "The template's example row")
                continue
            if index in work.problems:
                continue
            phone = None if place is None else work.values[place][index]
            first = phones.get(phone) if phone is not None else None
            if self._uniques and self._has_taken_value(work, index, first or number, seen):
                continue
            if first is None:
                if phone is not None:
                    phones[phone] = seen.phones[phone] = number
                work.lead(index, phone)
            elif in_file == "update":
                assert phone is not None
                work.follow(index, phone, first, clear=self._plan.clear)
            else:
                note = self._column_note(place, index, work, first)
                (work.skipped if in_file == "skip" else work.problems)[index] = [note]
        return seen

    def _has_taken_value(self, work: _Chunk, index: int, first: int, seen: Seen) -> bool:
        """Whether a unique attribute's value belongs to another customer of the file; takes it otherwise."""
        wanted = []
        for place in self._uniques:
            value = work.values[place][index]
            if value is None:
                continue
            field = self._columns[place].field
            key = (str(field.attribute_id), str(value))
            holder = self._values.get(key)
            if holder is not None and holder != first:
                problem = self._columns[place].problem(
                    "value_taken", f"{field.vi} đã tồn tại (trùng với dòng {holder} của file)",
                    f"{field.en} already exists (row {holder} of the file)", work.cells[place][index],
                )  # fmt: skip
                work.problems.setdefault(index, []).append(problem)
            else:
                wanted.append(key)
        if index in work.problems:
            return True
        for key in wanted:
            if key not in self._values:
                self._values[key] = first
                seen.uniques.append((*key, first))
        return False

    def _is_example(self, work: _Chunk, index: int) -> bool:
        name, phone = self._by_key.get("name"), self._by_key.get("phone")
        return (
            name is not None
            and phone is not None
            and work.cells[name][index] == EXAMPLE_NAME
            and work.cells[phone][index] == EXAMPLE_PHONE
        )

    def _column_note(self, place: int | None, index: int, work: _Chunk, first: int) -> Problem:
        assert place is not None
        return self._columns[place].problem(
            "duplicate_in_file", f"Trùng số điện thoại với dòng {first} của file",
            f"The same phone number as row {first} of the file", work.cells[place][index],
        )  # fmt: skip

    def _note(self, code: str, vi: str, en: str) -> list[Problem]:
        message = vi if self._plan.vietnamese else en
        return [{"field": None, "label": None, "column": None, "code": code, "message": message, "value": None}]

    def _written(self, work: _Chunk) -> Iterable[str]:
        """The lines of the rows that are written."""
        leaders = work.leaders
        values = [[column[index] for index in leaders] for column in work.values]
        cells = [[column[index] for index in leaders] for column in work.cells]
        firsts = work.firsts
        own: list[list[str]] = []
        for column, of_column, raw in zip(self._columns, values, cells, strict=True):
            own += column.fill(of_column, raw)
        groups = self._groups(values, len(leaders))
        fixed = [
            [self._prefix] * len(leaders),
            [str(work.numbers[index]) for index in leaders],
            [str(uuid7()) for _ in leaders],
            ["write"] * len(leaders),
            [str(firsts[index]) if index in firsts else NULL for index in leaders],
            [NULL] * len(leaders),
            [NULL] * len(leaders),
            self._changes(values, groups, len(leaders)),
            self._words(values, len(leaders)),
            self._tails(values, len(leaders)),
            [array(numbers) for _, numbers in groups],
            self._attributes(values, len(leaders)),
            self._unique_values(values, len(leaders)),
        ]
        return map("\t".join, zip(*fixed, *own, strict=True))

    def _others(self, work: _Chunk) -> Iterable[str]:
        """The lines of the rows that only leave a trace."""
        rest = [NULL] * 6 + self._nulls
        for index, (action, leader, first) in work.folds.items():
            yield self._line(work, index, action, str(first), str(work.numbers[leader]), NULL, rest)
        for index, problems in work.skipped.items():
            yield self._line(work, index, "skipped", NULL, NULL, escaped(json(problems)), rest)
        for index, problems in work.problems.items():
            yield self._line(work, index, "failed", NULL, NULL, escaped(json(problems)), rest)

    def _line(
        self, work: _Chunk, index: int, action: str, first: str, leader: str, errors: str, rest: list[str]
    ) -> str:
        number = str(work.numbers[index])
        return "\t".join([self._prefix, number, NULL, action, first, leader, errors, *rest])

    def _groups(self, values: list[list[Any]], count: int) -> list[tuple[list[str], list[int]]]:
        """Names and numbers of each row's groups, the import's own among them."""
        numbers, extra = self._plan.groups, self._plan.add_to_group
        always = [extra] if extra is not None else []
        place = self._by_key.get("groups")
        if place is None:
            return [(always, [numbers[name] for name in always])] * count
        found = []
        for named in values[place]:
            names = list(dict.fromkeys([*(named or ()), *always]))
            found.append((names, sorted(numbers[name] for name in names)))
        return found

    def _changes(self, values: list[list[Any]], groups: list[tuple[list[str], list[int]]], count: int) -> list[str]:
        members = [
            column.changes(of_column)
            for column, of_column in zip(self._columns, values, strict=True)
            if column.field.key != "groups"
        ]
        members.append([f'"groups":[null,{json(names)}]' if names else None for names, _ in groups])
        return _objects(members, count)

    def _attributes(self, values: list[list[Any]], count: int) -> list[str]:
        members = [
            column.members(of_column)
            for column, of_column in zip(self._columns, values, strict=True)
            if column.field.is_attribute
        ]
        return _objects(members, count) if members else ["{}"] * count

    def _unique_values(self, values: list[list[Any]], count: int) -> list[str]:
        if not self._uniques:
            return [NULL] * count
        members: list[list[str | None]] = []
        for place in self._uniques:
            key = json(str(self._columns[place].field.attribute_id))
            members.append([None if one is None else f"{key}:{json(str(one))}" for one in values[place]])
        return _objects(members, count)

    def _words(self, values: list[list[Any]], count: int) -> list[str]:
        places = [self._by_key.get(key) for key in SEARCHED]
        name, email, tax_code = ([None] * count if place is None else values[place] for place in places)
        return [
            escaped(lexemes(search_words(one, mail, None, tax)))
            for one, mail, tax in zip(name, email, tax_code, strict=True)
        ]

    def _tails(self, values: list[list[Any]], count: int) -> list[str]:
        place = self._by_key.get("phone")
        if place is None:
            return [NULL] * count
        return [phone_tail(one) or NULL for one in values[place]]


class _Chunk:
    """The rows of one chunk by column, and what was decided about each."""

    def __init__(self, rows: list[Row], columns: list[Column]) -> None:
        self.numbers = [number for number, _ in rows]
        width = max(column.column for column in columns) + 1
        by_column = list(zip_longest(*(cells for _, cells in rows)))
        blank: tuple[Cell, ...] = (None,) * len(rows)
        by_column += [blank] * (width - len(by_column))
        self.problems: Problems = {}
        self.cells: list[list[Cell]] = [list(by_column[column.column]) for column in columns]
        self.values = [column.parse(cells, self.problems) for column, cells in zip(columns, self.cells, strict=True)]
        self.keys = [column.field.key for column in columns]
        self.leaders: list[int] = []
        self.firsts: dict[int, int] = {}
        self.folds: dict[int, tuple[str, int, int]] = {}
        self.skipped: dict[int, list[Problem]] = {}
        self._leader_of: dict[str, int] = {}

    def lead(self, index: int, phone: str | None) -> None:
        """The row is written."""
        self.leaders.append(index)
        if phone is not None:
            self._leader_of[phone] = index

    def follow(self, index: int, phone: str, first: int, *, clear: bool) -> None:
        """The row has the phone of row `first` of the file: it goes into that one if it is of this chunk."""
        leader = self._leader_of.get(phone)
        if leader is None:
            self.lead(index, phone)
            self.firsts[index] = first
            return
        same = True
        for key, values, cells in zip(self.keys, self.values, self.cells, strict=True):
            value, before = values[index], values[leader]
            if key == "phone" or (value is None and not clear) or value == before:
                continue
            if key == "groups":
                value = list(dict.fromkeys([*(before or ()), *(value or ())])) or None
                if value == before:
                    continue
            values[leader], cells[leader], same = value, cells[index], False
        self.folds[index] = ("echo" if same else "fold", leader, first)


def _is_unique(column: Column) -> bool:
    return column.field.unique and column.field.is_attribute


def _objects(members: list[list[str | None]], count: int) -> list[str]:
    """JSON objects of the members that each row has, escaped for COPY."""
    if not members:
        return ["{}"] * count
    return [escaped("{" + ",".join(filter(None, of_row)) + "}") for of_row in zip(*members, strict=True)]
