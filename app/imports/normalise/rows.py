"""Chunks of rows become COPY text for the staging table: values by field, duplicates within the file decided."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import zip_longest
from typing import Any

from uuid_utils import uuid7

from app.customers.words import phone_tail, search_words
from app.imports.normalise.columns import Column, Problems
from app.imports.normalise.copy_text import NULL, array, column, json, lexemes, objects, text
from app.imports.plan import (
    CONTACT_COLUMNS,
    CONTACT_FIELDS,
    EXAMPLE_NAME,
    EXAMPLE_PHONE,
    Batch,
    Plan,
    Problem,
    Seen,
    is_contact,
    problem_of,
)
from app.imports.reading.model import Cell, Row

# tenant, import, n, id, action, first_n, leader_n and errors
OF_EVERY_LINE = 8
_NULL = NULL.encode()
SEARCHED = ("name", "email", "tax_code")


class Normaliser:
    """All chunks of one run, in order: it remembers which phones the file has had."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._columns = [Column(plan, target.field, target.column) for target in plan.targets]
        self._by_key = {column.field.key: place for place, column in enumerate(self._columns)}
        self._uniques = [place for place, column in enumerate(self._columns) if _is_unique(column)]
        self._prefix = f"{plan.tenant_id}\t{plan.import_id}".encode()
        self._contact_places = {key: self._by_key[key] for key in CONTACT_FIELDS if key in self._by_key}
        self._last: tuple[int, int] | None = None
        self._phones: dict[str, int] = {}
        self._values: dict[tuple[str, str], int] = {}

    def remember(self, seen: Seen) -> None:
        """Takes in a chunk that an earlier claim of the job has dealt with."""
        self._phones.update(seen.phones)
        self._values.update({(attribute, value): first for attribute, value, first in seen.uniques})
        self._last = seen.last

    def chunk(self, rows: list[Row]) -> tuple[Batch, Seen, bytes]:
        """The staging rows of a chunk, and what the chunk adds to the memory of the file."""
        given = len(rows)
        rows = [row for row in rows if row[0] >= self._plan.start_row]
        if not rows:
            return Batch(given, 0, 0, 0, 0, 0, 0, 0, []), Seen({}, [], self._last), b""
        work = _Chunk(rows, self._columns)
        seen = self._decide(work)
        lines = [*self._written(work), *self._others(work), b""]
        batch = Batch(
            given=given,
            low=rows[0][0],
            high=rows[-1][0],
            rows=len(rows),
            written=len(work.leaders),
            folded=len(work.folds),
            skipped=len(work.skipped),
            failed=len(work.problems),
            earlier=sorted({*work.firsts.values(), *work.continued_from}),
        )
        return batch, seen, b"\n".join(lines)

    def _decide(self, work: _Chunk) -> Seen:
        """Sorts the rows into those that are written, folded into an earlier one, skipped and refused."""
        seen = Seen({}, [])
        self._skip_example(work)
        place, known = self._by_key.get("phone"), self._phones
        phones = [None] * len(work.numbers) if place is None else work.values[place]
        for index, (number, phone) in enumerate(zip(work.numbers, phones, strict=True)):
            if self._contact_places and self._goes_on(work, index):
                continue
            if index in work.problems or index in work.skipped:
                self._last = None
                continue
            first = known.get(phone) if phone is not None else None
            if self._uniques and self._has_taken_value(work, index, first or number, seen):
                self._last = None
                continue
            if first is not None:
                self._again(work, index, phone, first)
                self._last = work.leader_number(index, first)
                continue
            if phone is not None:
                known[phone] = seen.phones[phone] = number
            work.lead(index, phone)
            self._last = (number, number)
        seen.last = self._last
        return seen

    def _goes_on(self, work: _Chunk, index: int) -> bool:
        """Deals with a row that names a contact and nothing else: it belongs to the customer above it."""
        contact = self._contact_places.values()
        if not any(work.cells[place][index] not in (None, "") for place in contact):
            return False
        if any(cells[index] not in (None, "") for place, cells in enumerate(work.cells) if place not in contact):
            return False
        problems = [one for one in work.problems.pop(index, []) if one["code"] != "required"]
        if self._last is None:
            problems.append(self._columns[next(iter(contact))].problem(
                "customer_missing", "Người liên hệ không có khách hàng ở dòng trên",
                "The contact has no customer in a row above"))  # fmt: skip
        if problems:
            work.problems[index] = problems
        elif self._last is not None:
            leader, first = self._last
            work.folds[index] = ("fold", leader, first)
            if leader < work.numbers[0]:
                work.continued_from.add(leader)
        return True

    def _again(self, work: _Chunk, index: int, phone: str, first: int) -> None:
        """Deals with a row whose phone row `first` of the file has."""
        if self._plan.in_file == "update":
            work.follow(index, phone, first, clear=self._plan.clear)
            return
        place = self._by_key["phone"]
        problem = self._columns[place].problem(
            "duplicate_in_file", f"Trùng số điện thoại với dòng {first} của file",
            f"The same phone number as row {first} of the file", work.cells[place][index],
        )  # fmt: skip
        (work.skipped if self._plan.in_file == "skip" else work.problems)[index] = [problem]

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

    def _skip_example(self, work: _Chunk) -> None:
        """The template's example row is known by its name, and by its phone too where phones are mapped."""
        name, phone = self._by_key.get("name"), self._by_key.get("phone")
        if name is None or EXAMPLE_NAME not in work.cells[name]:
            return
        note = problem_of(
            self._plan.vietnamese, None, "example_row", "Dòng ví dụ của file mẫu", "The template's example row"
        )  # fmt: skip
        for index, cell in enumerate(work.cells[name]):
            if cell == EXAMPLE_NAME and (phone is None or work.cells[phone][index] == EXAMPLE_PHONE):
                work.problems.pop(index, None)
                work.skipped[index] = [note]

    def _written(self, work: _Chunk) -> Iterable[bytes]:
        """The lines of the rows that are written."""
        leaders, count = work.leaders, len(work.leaders)
        if not leaders:
            return []
        values, cells = work.values, work.cells
        if count < len(work.numbers):
            values = [[of_column[index] for index in leaders] for of_column in values]
            cells = [[of_column[index] for index in leaders] for of_column in cells]
        own: list[list[bytes]] = []
        for one, of_column, raw in zip(self._columns, values, cells, strict=True):
            own += [] if is_contact(one.field) else one.fill(of_column, raw)
        if self._contact_places:
            own += self._contacts(work, leaders)
        firsts, groups = work.firsts, self._groups(values, count)
        nothing = [_NULL] * count
        fixed = [
            [self._prefix] * count,
            column([str(work.numbers[index]) for index in leaders]),
            column([str(uuid7()) for _ in leaders]),
            [b"write"] * count,
            column([str(firsts[index]) if index in firsts else NULL for index in leaders]) if firsts else nothing,
            nothing,
            nothing,
            self._changes(values, groups, count),
            self._words(values, count),
            self._tails(values, count),
            column([array(numbers) for _, numbers in groups]),
            self._attributes(values, count),
            self._unique_values(values, count),
        ]
        return map(b"\t".join, zip(*fixed, *own, strict=True))

    def _others(self, work: _Chunk) -> Iterable[bytes]:
        """The lines of the rows that only leave a trace."""
        rest = [_NULL] * (len(self._plan.columns) - OF_EVERY_LINE)
        contacts = iter(zip(*self._contacts(work, list(work.folds)), strict=True)) if self._contact_places else None
        for index, (action, leader, first) in work.folds.items():
            line = rest if contacts is None else [*rest[: -len(CONTACT_COLUMNS)], *next(contacts)]
            yield self._line(work, index, action, str(first), str(leader), _NULL, line)
        for action, refused in (("skipped", work.skipped), ("failed", work.problems)):
            for index, problems in refused.items():
                yield self._line(work, index, action, NULL, NULL, column([json(problems)], escape=True)[0], rest)

    def _line(
        self, work: _Chunk, index: int, action: str, first: str, leader: str, errors: bytes, rest: list[bytes]
    ) -> bytes:
        head = "\t".join([str(work.numbers[index]), NULL, action, first, leader]).encode()
        return b"\t".join([self._prefix, head, errors, *rest])

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

    def _changes(self, values: list[list[Any]], groups: list[tuple[list[str], list[int]]], count: int) -> list[bytes]:
        members = [
            one.changes(of_column)
            for one, of_column in zip(self._columns, values, strict=True)
            if one.field.key != "groups"
        ]
        if any(names for names, _ in groups):
            told = [f'"groups":[null,{json(names)}]' if names else "" for names, _ in groups]
            members.append(column(told, escape=True))
        return objects(members, count)

    def _attributes(self, values: list[list[Any]], count: int) -> list[bytes]:
        pairs = zip(self._columns, values, strict=True)
        return objects([one.members(of_column) for one, of_column in pairs if one.field.is_attribute], count)

    def _contacts(self, work: _Chunk, indices: list[int]) -> list[list[bytes]]:
        """The columns of the contacts that these rows name; one whose only sign is a position is none."""
        nothing = [None] * len(indices)
        name, phone, email, position = (
            nothing if place is None else [work.values[place][index] for index in indices]
            for place in map(self._contact_places.get, CONTACT_FIELDS)
        )
        named = [any(one) for one in zip(name, phone, email, strict=True)]
        ids = [[str(uuid7()) if one else NULL for one in named] for _ in range(2)]
        tails = [phone_tail(one) for one in phone]
        texts = [[NULL if one is None else text(one) for one in many] for many in (name, phone, tails, email, position)]
        return [column(many) for many in (*ids, *texts)]

    def _unique_values(self, values: list[list[Any]], count: int) -> list[bytes]:
        if not self._uniques:
            return [_NULL] * count
        members = []
        for place in self._uniques:
            key = json(str(self._columns[place].field.attribute_id))
            told = ["" if one is None else f"{key}:{json(str(one))}" for one in values[place]]
            members.append(column(told, escape=True))
        return objects(members, count)

    def _words(self, values: list[list[Any]], count: int) -> list[bytes]:
        places = [self._by_key.get(key) for key in SEARCHED]
        name, email, tax_code = ([None] * count if place is None else values[place] for place in places)
        found = [lexemes(search_words(one, mail, tax)) for one, mail, tax in zip(name, email, tax_code, strict=True)]
        return column(found, escape=True)

    def _tails(self, values: list[list[Any]], count: int) -> list[bytes]:
        place = self._by_key.get("phone")
        if place is None:
            return [_NULL] * count
        return column([phone_tail(one) or NULL for one in values[place]])


class _Chunk:
    """The rows of one chunk by column, and what was decided about each."""

    def __init__(self, rows: list[Row], columns: list[Column]) -> None:
        self.numbers = [number for number, _ in rows]
        width = max(column.place for column in columns) + 1
        by_column = list(zip_longest(*(cells for _, cells in rows)))
        blank: tuple[Cell, ...] = (None,) * len(rows)
        by_column += [blank] * (width - len(by_column))
        self.problems: Problems = {}
        self.cells: list[list[Cell]] = [list(by_column[column.place]) for column in columns]
        self.values = [column.parse(cells, self.problems) for column, cells in zip(columns, self.cells, strict=True)]
        self.keys = [column.field.key for column in columns]
        self.leaders: list[int] = []
        self.firsts: dict[int, int] = {}
        # By index: the action, the row whose customer it is, and the first row of the file with that phone.
        self.folds: dict[int, tuple[str, int, int]] = {}
        self.continued_from: set[int] = set()
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
            if key in CONTACT_FIELDS:
                # Each row keeps its own contact.
                same = same and value is None
                continue
            if key == "phone" or (value is None and not clear) or value == before:
                continue
            if key in ("groups", "tags"):
                value = list(dict.fromkeys([*(before or ()), *(value or ())])) or None
                if value == before:
                    continue
            values[leader], cells[leader], same = value, cells[index], False
        self.folds[index] = ("echo" if same else "fold", self.numbers[leader], first)

    def leader_number(self, index: int, first: int) -> tuple[int, int] | None:
        """The row that writes the customer of a row whose phone came before, and the first with that phone."""
        if index in self.folds:
            return self.folds[index][1], first
        return (self.numbers[index], first) if index in self.firsts else None


def _is_unique(column: Column) -> bool:
    return column.field.unique and column.field.is_attribute
