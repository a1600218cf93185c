"""Finding the header, and guessing what columns hold."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from app.imports.reading import Cell
from app.imports.reading.model import column_letter
from app.imports.reading.preview import find_header, kind_of
from app.imports.reading.scan import column_number
from tests.factories.workbooks import cell, customers_xlsx, row, table, write_zip, xlsx_parts
from tests.imports.reading.reading import read_here

PEOPLE: list[list[Cell]] = [
    ["Nguyễn Văn An", "0912345678", "an@example.com", dt.date(1990, 1, 2), "Huế"],
    ["Trần Thị Bình", 987654321, None, dt.date(1985, 3, 4), "Đà Nẵng"],
    ["Lê Chi", "0905 111 222", "chi@example.com", None, "Huế"],
]


@pytest.mark.parametrize(
    ("above", "expected"),
    [
        ([["Họ tên", "SĐT", "Email", "Ngày sinh", "Tỉnh"]], 0),
        ([["Full name", "Phone", "E-mail", "Birthday", "City"]], 0),
        ([["HỌ VÀ TÊN *", "Số điện thoại (*)", "EMAIL", "NGÀY SINH", "TỈNH/THÀNH"]], 0),
        # Headers nobody knows, above columns that are plainly data.
        ([["Foo", "Bar", "Baz", "Qux", "Quux"]], 0),
        ([["DANH SÁCH KHÁCH HÀNG THÁNG 5"], ["Họ tên", "SĐT", "Email", "Ngày sinh", "Tỉnh"]], 1),
        (
            [["CÔNG TY ABC"], ["Ngày in:", dt.date(2024, 5, 1)], ["Họ tên", "SĐT", "Email", "Ngày sinh", "Tỉnh"]],
            2,
        ),
        ([], None),
    ],
)
def test_header_is_found(above: list[list[Cell]], expected: int | None) -> None:
    rows = list(enumerate([*above, *PEOPLE * 3], 1))
    assert find_header(rows) == expected


def test_header_of_one_column() -> None:
    assert find_header([(1, ["SĐT"]), (2, ["0912345678"]), (3, ["0912345679"])]) == 0
    assert find_header([(1, ["0912345677"]), (2, ["0912345678"])]) is None
    assert find_header([(1, ["Nguyễn Văn An"]), (2, ["Trần Thị Bình"])]) is None


def test_table_of_words_takes_its_first_row() -> None:
    assert find_header([(1, ["Mã màu", "Chất liệu"]), (2, ["xanh", "vải"]), (3, ["đỏ", "da"])]) == 0


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "empty"),
        ("Huế", "text"),
        ("0912 345 678", "phone"),
        ("+84 912.345.678", "phone"),
        ("01629387331", "phone"),
        ("0243 8252 222", "phone"),
        ("1900 1234", "phone"),
        (912345678, "phone"),
        ("0101248141", "text"),
        ("an@example.com", "email"),
        ("an@", "text"),
        ("31/12/1999", "date"),
        ("2024-05-01", "date"),
        ("1/5/24 8:30", "datetime"),
        ("1.250.000", "integer"),
        ("12", "integer"),
        ("1,5", "decimal"),
        ("8.49E+10", "decimal"),
        (1.5, "decimal"),
        (True, "boolean"),
        (dt.datetime(2024, 1, 1, 8), "datetime"),
        (dt.date(2024, 1, 1), "date"),
        (dt.time(8), "time"),
        ("Số 12", "text"),
    ],
)
def test_kinds(value: Cell, kind: str) -> None:
    assert kind_of(value) == kind


def test_preview_of_a_customer_list(tmp_path: Path) -> None:
    book, _ = read_here(customers_xlsx(tmp_path / "a.xlsx", 500))
    preview = book.previews[0]
    kinds = {column.header: column.kind_guess for column in preview.columns}
    assert (preview.header_row, preview.first_data_row) == (1, 2)
    assert kinds == {
        "Họ tên": "text", "SĐT": "phone", "Email": "email", "Ngày sinh": "date", "Tỉnh/Thành": "text",
        "Giới tính": "text", "Địa chỉ": "text", "Nguồn": "text", "Loại khách hàng": "text", "Công ty": "text",
        "MST": "text", "Chức vụ": "text", "Ghi chú": "text",
    }  # fmt: skip
    assert all(1 <= len(column.samples) <= 5 for column in preview.columns)
    assert preview.warnings == []


def test_lost_zeros_count_only_where_phones_are(tmp_path: Path) -> None:
    rows: list[list[object]] = [["SĐT", "Doanh thu"], [912345678, 350_000_000], [812345678, 912_000_000]]
    book, _ = read_here(write_zip(tmp_path / "a.xlsx", xlsx_parts(table([*rows, *[["0912345677", 1]] * 20]))))
    assert book.previews[0].lost_zero_phones == 2


def test_repeated_headers_and_a_missing_header_are_said(tmp_path: Path) -> None:
    twice = table([["SĐT", "SĐT"], ["0912345678", "0912345679"]])
    book, _ = read_here(write_zip(tmp_path / "a.xlsx", xlsx_parts(twice)))
    assert [(n.code, n.params) for n in book.previews[0].warnings] == [("duplicate_headers", {"headers": ["SĐT"]})]
    bare = table([["An", "0912345678"], ["Bình", "0912345679"]])
    book, _ = read_here(write_zip(tmp_path / "b.xlsx", xlsx_parts(bare)))
    assert (book.previews[0].header_row, book.previews[0].first_data_row) == (None, 1)
    assert [n.code for n in book.previews[0].warnings] == ["no_header"]


@pytest.mark.parametrize(("since_1904", "letters"), [(True, ["C", "D"]), (False, [])])
def test_days_without_a_format_are_told_of_where_they_count_from_1904(
    tmp_path: Path, since_1904: bool, letters: list[str]
) -> None:
    header = ["Họ tên", "SĐT", "Ngày sinh", "DOB", "Năm sinh", "Doanh thu"]
    data = table(
        [header, ["An", "0912345678", 31_475, 31_475.5, 1990, 31_475], ["Bình", "0912345679", None, "x", 1, 2]]
    )
    data += f'<row r="4">{cell("A4", "Chi")}{cell("C4", 31_475, style=1)}</row>'
    book, sheets = read_here(write_zip(tmp_path / "a.xlsx", xlsx_parts(data, date1904=since_1904)))
    assert [(n.code, n.params) for n in book.previews[0].warnings] == (
        [("dates_1904", {"letters": letters})] if letters else []
    )
    formatted = table([header[:3]]) + f'<row r="2">{cell("A2", "Chi")}{cell("C2", 31_475, style=1)}</row>'
    book, sheets = read_here(write_zip(tmp_path / "b.xlsx", xlsx_parts(formatted, date1904=since_1904)))
    assert book.previews[0].warnings == []
    assert sheets[0][1][1][2] == (dt.date(1990, 3, 5) if since_1904 else dt.date(1986, 3, 4))


def test_header_below_blank_rows(tmp_path: Path) -> None:
    data = row(12, {"B": "Họ tên", "C": "SĐT"}) + row(13, {"B": "An", "C": "0912345678"})
    book, _ = read_here(write_zip(tmp_path / "a.xlsx", xlsx_parts(data)))
    assert (book.previews[0].header_row, book.previews[0].first_data_row) == (12, 13)


def test_letters_and_numbers_of_columns() -> None:
    assert [column_letter(n) for n in (1, 26, 27, 200, 702, 703, 16_384)] == ["A", "Z", "AA", "GR", "ZZ", "AAA", "XFD"]
    assert all(column_number(column_letter(n)) == n for n in range(1, 16_385))
