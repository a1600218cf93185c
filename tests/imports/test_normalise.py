"""The normaliser's short cuts change nothing: columns at once give what their fields give for each cell."""

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.db import driver
from app.core.fields import BadValue, Field
from app.customers.registry import BUILT_IN
from app.customers.words import search_words
from app.imports.normalise.columns import Column, Problems
from app.imports.normalise.copy_text import lexemes, text
from app.imports.normalise.rows import Normaliser
from app.imports.plan import EXAMPLE_NAME, EXAMPLE_PHONE, OnDuplicate, Plan, Target
from app.imports.reading.model import Cell, DamagedNumber, Row
from tests.factories.people import Workspace

AWKWARD = st.text(alphabet=st.sampled_from("ab |_x0D\\\"'\u0301e\u00a0\u200b\n\t=ĐđÂ"), max_size=12)
CELLS = st.one_of(
    st.none(), AWKWARD, st.text(max_size=30), st.integers(-10**16, 10**16), st.floats(allow_nan=False), st.booleans(),
    st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.builds(DamagedNumber, st.just("12345678901234567")),
    st.sampled_from(["Có", "x", "1", "0912345678", "Hà Nội", "05/03/1990", "Nam", "1,5", "a@example.com"]),
)  # fmt: skip
TYPES = ("text", "long_text", "integer", "decimal", "money", "date", "boolean", "phone", "email", "province", "gender")
FIELDS = {field.key: field for field in BUILT_IN}


def plan(*targets: Target, in_file: OnDuplicate = "update", clear: bool = False) -> Plan:
    """A run that maps these columns."""
    return Plan("t", "i", True, 2, list(targets), {}, {}, None, in_file, clear)


@given(st.sampled_from(TYPES), st.lists(CELLS, max_size=12))
def test_a_column_is_parsed_as_its_cells_are(kind: str, cells: list[Cell]) -> None:
    field = Field("attributes.x", "X", "X", kind, max_length=10)
    problems: Problems = {}
    found = Column(plan(), field, 0).parse(cells, problems)
    for index, cell in enumerate(cells):
        expected, code = parsed(field, cell)
        assert (found[index], type(found[index])) == (expected, type(expected))
        assert [one["code"] for one in problems.get(index, ())] == ([code] if code else [])


@given(st.lists(st.tuples(AWKWARD, AWKWARD), min_size=1, max_size=8))
def test_the_lines_hold_what_the_cells_held(values: list[tuple[str, str]]) -> None:
    targets = [Target(FIELDS["name"], 0), Target(FIELDS["note"], 1)]
    rows: list[Row] = [(number, list(cells)) for number, cells in enumerate(values, start=2)]
    batch, _, copy = Normaliser(plan(*targets)).chunk(rows)
    lines = [line.split("\t") for line in copy.decode().split("\n")[:-1]]
    assert len(lines) == len(values)
    assert {len(line) for line in lines} == {16}
    names = [FIELDS["name"].parse(name) for name, _ in values]
    notes = [FIELDS["note"].parse(note) for _, note in values]
    assert batch.failed == names.count(None)
    written = {int(line[2]): line for line in lines if line[4] == "write"}
    for number, (name, note) in enumerate(zip(names, notes, strict=True), start=2):
        if name is None:
            continue
        told = {"name": [None, name]} | ({"note": [None, note]} if note else {})
        assert json.loads(unescaped(written[number][8]) or "") == told
        assert [unescaped(value) for value in written[number][14:]] == [name, note]


@pytest.mark.parametrize("name", ["O'Neil \\ 'x'", 'Đỗ "Thị" Ngọc', "a\\'b", "''"])
async def test_postgres_reads_the_words(workspace: Workspace, name: str) -> None:
    words = [*search_words(name, "o'x@example.com", None), name.lower()]
    async with workspace.resources.db.transaction(workspace.id) as session:
        found = await (await driver(session)).fetchval(
            "SELECT tsvector_to_array($1::text::tsvector)", lexemes(list(dict.fromkeys(words)))
        )
    assert set(found) == set(words)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["", "a", "b"])), min_size=1, max_size=12),
    st.integers(1, 5),
    st.sampled_from(["update", "skip", "reject"]),
)
def test_chunks_decide_as_one_file_does(rows: list[tuple[int, str]], size: int, policy: OnDuplicate) -> None:
    """How many customers a file has, and which rows are refused, does not depend on where its chunks end."""
    targets = [Target(FIELDS["name"], 0), Target(FIELDS["phone"], 1), Target(FIELDS["note"], 2)]
    cells: list[Row] = [(n, [f"K{n}", f"091234567{phone}", note]) for n, (phone, note) in enumerate(rows, start=2)]
    whole, _, _ = Normaliser(plan(*targets, in_file=policy)).chunk(cells)
    parts, told = Normaliser(plan(*targets, in_file=policy)), []
    again = Normaliser(plan(*targets, in_file=policy))
    for start in range(0, len(cells), size):
        batch, seen, copy = parts.chunk(cells[start : start + size])
        told.append(batch)
        if start % 2:
            again.remember(seen)
        else:
            repeated, _, _ = again.chunk(cells[start : start + size])
            assert repeated == batch
            assert copy
    firsts = sum(batch.written - sum(1 for _ in batch.earlier) for batch in told)
    assert firsts == whole.written
    assert sum(batch.skipped for batch in told) == whole.skipped
    assert sum(batch.failed for batch in told) == whole.failed


def test_the_example_of_the_template_is_known_by_both_cells() -> None:
    targets = [Target(FIELDS["name"], 0), Target(FIELDS["phone"], 1)]
    pairs = [[EXAMPLE_NAME, EXAMPLE_PHONE], [EXAMPLE_NAME, "0912345678"], ["Hoa", EXAMPLE_PHONE]]
    rows: list[Row] = [(number, list[Cell](cells)) for number, cells in enumerate(pairs, start=2)]
    batch, _, _ = Normaliser(plan(*targets)).chunk(rows)
    assert (batch.skipped, batch.written) == (1, 2)


def parsed(field: Field, cell: Cell) -> tuple[Any, str | None]:
    """What a field makes of a cell, or the code of its refusal."""
    if isinstance(cell, DamagedNumber):
        return None, "number_damaged"
    try:
        return field.parse(cell), None
    except BadValue as bad:
        return None, bad.code


def unescaped(value: str) -> str | None:
    """A value of COPY's text format."""
    if value == "\\N":
        return None
    for sign, char in (("\\n", "\n"), ("\\t", "\t"), ("\\r", "\r")):
        value = value.replace("\\\\", "\0").replace(sign, char).replace("\0", "\\\\")
    return value.replace("\\\\", "\\")


@given(AWKWARD)
def test_any_text_survives_the_copy(value: str) -> None:
    assert unescaped(text(value)) == value
