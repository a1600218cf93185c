"""An import is faithful: what is read equals what a second reader, openpyxl, finds in the same file."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from unicodedata import normalize

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl.utils.datetime import CALENDAR_MAC_1904

from app.imports.reading import DamagedNumber
from tests.factories.workbooks import (
    SheetXml,
    cell,
    customers,
    customers_csv,
    customers_xlsx,
    row,
    table,
    write_zip,
    xlsx_parts,
)
from tests.imports.reading.reading import only_rows, read_apart, read_here

pytestmark = pytest.mark.promise(18)

_TEXT = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"), min_size=1, max_size=40
).filter(lambda text: not text.startswith("=") and not text.isspace() and "_x" not in text)
_VALUES = st.one_of(
    st.none(),
    _TEXT,
    st.sampled_from(["0912345678", "00123", "Đỗ Thị Hường", normalize("NFD", "Nguyễn Văn Đức"), "  giữ nguyên  "]),
    st.booleans(),
    st.integers(-(10**15) + 1, 10**15 - 1),
    st.floats(-1e9, 1e9, allow_nan=False).map(lambda number: round(number, 6)),
    st.dates(dt.date(1900, 3, 1), dt.date(2199, 12, 31)),
    st.datetimes(dt.datetime(1900, 3, 1), dt.datetime(2199, 12, 31)).map(lambda at: at.replace(microsecond=0)),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.lists(_VALUES, max_size=6), min_size=1, max_size=8),
    top=st.integers(0, 5),
    left=st.integers(0, 30),
    mac=st.booleans(),
)
def test_equals_a_second_reader(tmp_path: Path, rows: list[list[object]], top: int, left: int, mac: bool) -> None:
    path = tmp_path / "table.xlsx"
    book = openpyxl.Workbook()
    if mac:
        book.epoch = CALENDAR_MAC_1904
        rows = [[None if _before_1904(value) else value for value in values] for values in rows]
    sheet = book.active
    assert sheet is not None
    for r, values in enumerate(rows, top + 1):
        for c, value in enumerate(values, left + 1):
            sheet.cell(r, c).value = value  # type: ignore[assignment]
    # A last row of text and number, so that the file is never empty.
    sheet.cell(top + len(rows) + 1, left + 1).value = "cuối"
    sheet.cell(top + len(rows) + 1, left + 2).value = 7
    book.save(path)
    assert {number: list(cells) for number, cells in only_rows(path)} == _second_reader(path)


def _before_1904(value: object) -> bool:
    return isinstance(value, dt.date) and value.year < 1905


def _second_reader(path: Path) -> dict[int, list[object]]:
    sheet = openpyxl.load_workbook(path).active
    assert sheet is not None
    found = {}
    for number, values in enumerate(sheet.iter_rows(min_row=1, min_col=1, values_only=True), 1):
        cells = [_canonical(value) for value in values]
        while cells and cells[-1] is None:
            cells.pop()
        if cells:
            found[number] = cells
    return found


def _canonical(value: object) -> object:
    if isinstance(value, str):
        return normalize("NFC", value) if value and not value.isspace() else None
    if isinstance(value, dt.datetime) and value.time() == dt.time(0):
        return value.date()
    if isinstance(value, float) and not isinstance(value, bool):
        return int(value) if value.is_integer() else pytest.approx(value)
    return value


async def test_customer_list_arrives_whole(tmp_path: Path) -> None:
    path = customers_xlsx(tmp_path / "a.xlsx", 4_321, seed=3)
    book, sheets = await read_apart(path)
    expected = [[made["name"], made["phone"], made["email"], made["birthday"]] for made in customers(4_321, seed=3)]
    assert [cells[:4] for _, cells in sheets[0][1:]] == expected
    assert [number for number, _ in sheets[0]] == list(range(1, 4_323))
    assert (book.sheets[0].rows, book.sheets[0].columns, book.previews[0].header_row) == (4_322, 13, 1)


def test_shared_strings_and_csv_hold_the_same(tmp_path: Path) -> None:
    inline = only_rows(customers_xlsx(tmp_path / "a.xlsx", 300))
    shared = only_rows(customers_xlsx(tmp_path / "b.xlsx", 300, shared_strings=True))
    text = only_rows(customers_csv(tmp_path / "c.csv", 300))
    assert inline == shared
    dates = [[f"{value:%d/%m/%Y}" if isinstance(value, dt.date) else value for value in cells] for _, cells in inline]
    assert [cells for _, cells in text] == dates


def test_row_and_column_numbers_are_those_on_screen(tmp_path: Path) -> None:
    data = row(3, {"C": "Họ tên", "D": "SĐT"}) + row(7, {"C": "An", "D": "0912345678"}) + row(9, {"AB": "xa"})
    book, sheets = read_here(write_zip(tmp_path / "a.xlsx", xlsx_parts(data)))
    assert [(number, len(cells)) for number, cells in sheets[0]] == [(3, 4), (7, 4), (9, 28)]
    assert sheets[0][1][1] == [None, None, "An", "0912345678"]
    info, preview = book.sheets[0], book.previews[0]
    assert (info.rows, info.last_row, info.columns, info.first_column) == (3, 9, 28, 2)
    assert (preview.header_row, preview.first_data_row) == (3, 7)
    assert [(column.index, column.letter, column.header) for column in preview.columns] == [
        (3, "C", "Họ tên"),
        (4, "D", "SĐT"),
        (28, "AB", ""),
    ]


def test_dates_of_both_epochs_and_times(tmp_path: Path) -> None:
    serials = [1, 59, 61, 45_000]
    data = '<row r="1">' + "".join(cell(f"{'ABCD'[n]}1", v, style=1) for n, v in enumerate(serials)) + "</row>"
    data += f'<row r="2">{cell("A2", 45_000.75, style=2)}{cell("B2", 0.5, style=4)}{cell("C2", 1.5, style=3)}</row>'
    since_1900 = only_rows(write_zip(tmp_path / "a.xlsx", xlsx_parts(data)))
    since_1904 = only_rows(write_zip(tmp_path / "b.xlsx", xlsx_parts(data, date1904=True)))
    assert since_1900[0][1] == [dt.date(1900, 1, 1), dt.date(1900, 2, 28), dt.date(1900, 3, 1), dt.date(2023, 3, 15)]
    assert since_1904[0][1] == [dt.date(1904, 1, 2), dt.date(1904, 2, 29), dt.date(1904, 3, 2), dt.date(2027, 3, 16)]
    assert since_1900[1][1] == [dt.datetime(2023, 3, 15, 18), dt.time(12), dt.timedelta(days=1, hours=12)]


def test_numbers_keep_their_digits_or_say_so(tmp_path: Path) -> None:
    values = [912_345_678, 84_912_345_678, 999_999_999_999_999, 1_234_567_890_123_456, 1.25, "0912345678", "00079"]
    book, sheets = read_here(write_zip(tmp_path / "a.xlsx", xlsx_parts(table([list("abcdefg"), values]))))
    cells = sheets[0][1][1]
    assert cells == [*values[:3], DamagedNumber("1234567890123456"), *values[4:]]
    assert all(type(cells[n]) is int for n in range(3))
    notices = {notice.code: notice.params for notice in book.previews[0].warnings}
    assert notices["damaged_numbers"] == {"column": 4, "letter": "D", "count": 1}
    assert notices["lost_zero_phones"] == {"count": 1}
    assert book.previews[0].lost_zero_phones == 1


def test_error_cells_are_counted_and_empty(tmp_path: Path) -> None:
    data = table([["Họ tên", "Doanh thu"], ["An", "#REF!"], ["Bình", "#N/A"], ["Chi", 5]])
    book, sheets = read_here(write_zip(tmp_path / "a.xlsx", xlsx_parts(data)))
    assert sheets[0][1:] == [(2, ["An"]), (3, ["Bình"]), (4, ["Chi", 5])]
    assert book.previews[0].error_cells == 2


def test_text_is_kept_as_typed_but_composed(tmp_path: Path) -> None:
    typed = [normalize("NFD", "Trần Thị Hường"), " cách ", "=1+1", "a_x0000_b", "_xD83D__xDE00_ _xD800_", "dòng\n2"]
    book, sheets = read_here(write_zip(tmp_path / "a.xlsx", xlsx_parts(table([list("abcdef"), typed]))))
    assert sheets[0][1][1] == ["Trần Thị Hường", " cách ", "=1+1", "ab", "😀 \ufffd", "dòng\n2"]
    assert book.format == "xlsx"


def test_formulas_give_the_saved_value_and_missing_ones_are_counted(tmp_path: Path) -> None:
    formulas = '<row r="2"><c r="A2"><f>1+1</f><v>2</v></c><c r="B2"><f>NOW()</f></c><c r="C2"><v>3</v></c></row>'
    book, sheets = read_here(write_zip(tmp_path / "a.xlsx", xlsx_parts(table([["Tổng", "Giờ", "Số"]]) + formulas)))
    assert sheets[0][1] == (2, [2, None, 3])
    assert [notice.params for notice in book.previews[0].warnings if notice.code == "formulas_without_value"] == [
        {"count": 1}
    ]


def test_hidden_sheets_are_named_and_left_out(tmp_path: Path) -> None:
    body = table([["Họ tên", "SĐT"], ["An", "0912345678"]])
    sheets = [
        SheetXml(body, name="Nháp & cũ", state="hidden"),
        SheetXml(body, name="Khách"),
        SheetXml(body, name="Ẩn", state="veryHidden"),
        SheetXml("", name="Trống"),
    ]
    book, rows = read_here(write_zip(tmp_path / "a.xlsx", xlsx_parts(*sheets)))
    assert list(rows) == [1]
    assert [(sheet.name, sheet.visible, sheet.rows) for sheet in book.sheets] == [
        ("Nháp & cũ", False, 0),
        ("Khách", True, 2),
        ("Ẩn", False, 0),
        ("Trống", True, 0),
    ]
    assert [preview.sheet for preview in book.previews] == [1]
    assert [(notice.code, notice.params) for notice in book.warnings] == [
        ("hidden_sheets", {"names": ["Nháp & cũ", "Ẩn"]})
    ]


def test_merged_cells_are_reported(tmp_path: Path) -> None:
    sheet = SheetXml(
        table([["DANH SÁCH"], ["Họ tên", "SĐT"], ["An", "0912345678"]]),
        after='<mergeCells count="1"><mergeCell ref="A1:B1"/></mergeCells>',
    )
    book, _ = read_here(write_zip(tmp_path / "a.xlsx", xlsx_parts(sheet)))
    assert book.previews[0].merged
    assert book.previews[0].header_row == 2


def test_formatted_blank_cells_in_the_far_corner_do_no_harm(tmp_path: Path) -> None:
    blank = '<row r="1048576"><c r="A1048576" s="1"/><c r="XFD1048576" s="1"/></row>'
    data = table([["Họ tên", "SĐT"], ["An", "0912345678"]]) + blank
    book, _ = read_here(write_zip(tmp_path / "a.xlsx", xlsx_parts(data)))
    assert (book.sheets[0].rows, book.sheets[0].last_row) == (2, 2)


def test_names_with_backslashes_and_capitals_are_found(tmp_path: Path) -> None:
    parts = xlsx_parts(table([["Họ tên", "SĐT"], ["An", "0912345678"]]))
    parts["xl\\worksheets\\sheet1.xml"] = parts.pop("xl/worksheets/sheet1.xml")
    _, sheets = read_here(write_zip(tmp_path / "a.xlsx", parts))
    assert len(sheets[0]) == 2
