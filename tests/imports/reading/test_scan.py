"""The quick look at a sheet never calls safe what the exact one refuses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.imports.reading import Limits, Unreadable, column_letter
from app.imports.reading.scan import SheetFacts, _ExactScan, _QuickScan, scan_sheet, scan_strings
from tests.factories.workbooks import SheetXml, cell, row, table

SMALL = Limits(rows=5_000, columns=60, area=60_000, cells=400)


def _pieces(xml: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(xml), size):
        yield xml[start : start + size]


def _quick(xml: bytes, size: int, limits: Limits) -> bool:
    quick = _QuickScan("sheet", limits, count_cells=True)
    for piece in _pieces(xml, size):
        quick.feed(piece)
    return quick.safe()


def _exact(xml: bytes, limits: Limits) -> str | None:
    try:
        _ExactScan(limits).run([xml], "sheet")
    except Unreadable as refusal:
        return refusal.code
    return None


_PLACES = st.tuples(st.integers(1, 70), st.integers(1, 6_000))


@settings(max_examples=120, deadline=None)
@given(places=st.lists(_PLACES, max_size=30), size=st.integers(1, 400), styled=st.booleans())
def test_quick_scan_is_never_more_lenient(places: list[tuple[int, int]], size: int, styled: bool) -> None:
    cells = "".join(
        f'<row r="{r}">{cell(f"{column_letter(c)}{r}", 1, style=1 if styled else None)}</row>' for c, r in places
    )
    xml = SheetXml(cells).xml().encode()
    if _exact(xml, SMALL) is not None:
        assert not _quick(xml, size, SMALL)


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(1, 40), columns=st.integers(1, 25), size=st.integers(1, 5_000))
def test_ordinary_sheets_need_no_second_look(rows: int, columns: int, size: int) -> None:
    limits = Limits(rows=5_000, columns=60, area=60_000, cells=2_000)
    xml = SheetXml(table([["giá trị"] * columns] * rows)).xml().encode()
    assert _quick(xml, size, limits)


@pytest.mark.parametrize(
    "data",
    [
        "<row r='1'><c r='A1'><v>1</v></c></row>",
        '<row r="1"><c s="1" r="A1"><v>1</v></c></row>',
        "<row><c><v>1</v></c></row>",
        '<row r="1"><c\n r="A1"><v>1</v></c></row>',
        '<row r="1"><c r="IV1"/></row>',
    ],
)
def test_unusual_writing_gets_the_exact_scan_and_passes(data: str) -> None:
    xml = SheetXml(data).xml().encode()
    assert not _quick(xml, 7, Limits())
    assert _exact(xml, Limits()) is None


@pytest.mark.parametrize("size", [1, 3, 64, 100_000])
def test_facts_do_not_depend_on_where_pieces_are_cut(size: int) -> None:
    data = table([["Tên", "Số"], ["#REF!", 1], ["An", "#DIV/0!"]])
    data += '<row r="4"><c r="A4"><f>NOW()</f></c></row>'
    sheet = SheetXml(data, after='<mergeCells count="1"><mergeCell ref="A1:B1"/></mergeCells>').xml().encode()
    facts = scan_sheet(lambda: _pieces(sheet, size), "sheet", len(sheet), Limits())
    assert facts == SheetFacts(error_cells=2, merged=True, formulas_without_value=1)


def test_wide_and_long_sheets_are_measured_by_their_rows() -> None:
    limits = Limits()
    wide = row(1, {"A": 1, "AZ": 1}) + row(500_000, {"A": 1, "AZ": 1})
    assert _quick(SheetXml(wide).xml().encode(), 1_000, limits)
    too_long = row(1, {"A": 1, "AZ": 1}) + row(900_000, {"A": 1, "AZ": 1})
    assert not _quick(SheetXml(too_long).xml().encode(), 1_000, limits)
    assert _exact(SheetXml(too_long).xml().encode(), limits) == "file_too_complex"


@pytest.mark.parametrize("size", [1, 5, 1_000])
def test_string_count_beyond_the_part_is_refused(size: int) -> None:
    honest = b'<sst count="9" uniqueCount="2"><si><t>a</t></si><si><t>b</t></si></sst>'
    scan_strings(_pieces(honest, size), "strings")
    with pytest.raises(Unreadable) as refused:
        scan_strings(_pieces(honest.replace(b'"2"', b'"200000"'), size), "strings")
    assert refused.value.code == "file_hostile"
