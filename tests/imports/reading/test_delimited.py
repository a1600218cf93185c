"""Text tables as people really save them."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from unicodedata import normalize

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.imports.reading import Limits, Unreadable
from app.imports.reading.delimited import guess_legacy, sniff_delimiter
from tests.factories.workbooks import customers_csv
from tests.imports.reading.reading import only_rows, read_apart, read_here

LIST = "Họ tên,SĐT,Địa chỉ\r\nNguyễn Văn Đức,0912345678,Số 5 Lê Lợi\r\nTrần Thị Hường,0987654321,Huế\r\n"
ROWS = [
    (1, ["Họ tên", "SĐT", "Địa chỉ"]),
    (2, ["Nguyễn Văn Đức", "0912345678", "Số 5 Lê Lợi"]),
    (3, ["Trần Thị Hường", "0987654321", "Huế"]),
]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1258"])
def test_encodings_found(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(_vietnamese_windows(LIST) if encoding == "cp1258" else LIST.encode(encoding))
    book, sheets = read_here(path)
    assert sheets[0] == ROWS
    assert book.encoding == encoding.removesuffix("-sig")
    assert [notice.code for notice in book.warnings] == (["csv_encoding_guessed"] if encoding == "cp1258" else [])


def _vietnamese_windows(text: str) -> bytes:
    """The bytes Windows writes: a letter with its hat or horn, then the tone as a mark of its own."""
    out = ""
    for char in text:
        bare = normalize("NFD", char)
        tones = "".join(mark for mark in bare if mark in "\u0300\u0301\u0303\u0309\u0323")
        out += normalize("NFC", "".join(mark for mark in bare if mark not in tones)) + tones
    return out.encode("cp1258")


def test_western_text_is_guessed(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("Name,City\nFrançois,Besançon\nJürgen,Köln\n".encode("cp1252"))
    assert guess_legacy("Müller, £5 • naïve “quoted”".encode("cp1252")) == "cp1252"
    assert only_rows(path)[1] == (2, ["François", "Besançon"])


def test_a_few_broken_bytes_are_reported_not_fatal(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes((LIST * 40).encode() + b"An,09\xff12345678,x\r\n")
    book, sheets = read_here(path)
    assert [(notice.code, notice.params) for notice in book.warnings] == [("csv_bad_bytes", {"count": 1})]
    assert sheets[0][-1][1][1] == "09\ufffd12345678"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("newline", ["\r\n", "\n", "\r"])
def test_delimiters_and_line_ends(tmp_path: Path, delimiter: str, newline: str) -> None:
    path = customers_csv(tmp_path / "a.csv", 40, delimiter=delimiter, newline=newline)
    book, sheets = read_here(path)
    assert book.delimiter == delimiter
    assert [number for number, _ in sheets[0]] == list(range(1, 42))
    assert sheets[0][0][1][:3] == ["Họ tên", "SĐT", "Email"]
    assert book.warnings == []


def test_semicolons_win_over_commas_in_numbers_and_addresses() -> None:
    text = "Tên;Địa chỉ;Doanh thu\nAn;5 Lê Lợi, Huế;1,5\nBình;7 Hùng Vương, Huế;2,75\nChi;Đông Hà, Quảng Trị;3,1\n"
    assert sniff_delimiter(text, complete=True) == (";", 3)
    assert sniff_delimiter("SĐT\n0912345678\n0987654321\n", complete=True) == (",", 1)


def test_separator_line_of_excel_is_honoured_and_is_no_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("\ufeffsep=|\r\nHọ tên|Ghi chú\r\nAn|a;b;c\r\n".encode())
    book, sheets = read_here(path)
    assert book.delimiter == "|"
    assert sheets[0] == [(1, ["Họ tên", "Ghi chú"]), (2, ["An", "a;b;c"])]


def test_a_first_row_that_only_resembles_the_separator_line_is_a_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("sep=abc,SĐT\nAn,0912345678\n")
    assert only_rows(path)[0] == (1, ["sep=abc", "SĐT"])


def test_quoted_line_breaks_blank_lines_and_ragged_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('Họ tên,Ghi chú\n\nAn,"hai\ndòng, ""trích"""\nBình\nChi,x,thừa\n\n', newline="")
    book, sheets = read_here(path)
    assert sheets[0] == [
        (1, ["Họ tên", "Ghi chú"]),
        (3, ["An", 'hai\ndòng, "trích"']),
        (4, ["Bình"]),
        (5, ["Chi", "x", "thừa"]),
    ]
    assert [notice.params for notice in book.warnings if notice.code == "ragged_rows"] == [
        {"count": 2, "rows": [4, 5], "usual": 2}
    ]


def test_values_stay_text_and_lost_zeros_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("SĐT,MST,Ngày\n912345678,0101248141,01/02/2024\n0912345679,0300588569,3/4/2024\n")
    book, sheets = read_here(path)
    assert sheets[0][1] == (2, ["912345678", "0101248141", "01/02/2024"])
    assert book.previews[0].lost_zero_phones == 1
    assert [column.kind_guess for column in book.previews[0].columns] == ["phone", "text", "date"]


def test_limits_of_rows_and_lines(tmp_path: Path) -> None:
    path = customers_csv(tmp_path / "a.csv", 50)
    with pytest.raises(Unreadable) as refused:
        read_here(path, limits=Limits(rows=50))
    assert refused.value.code == "file_too_many_rows"
    with pytest.raises(Unreadable) as refused:
        read_here(path, limits=Limits(line_chars=60))
    assert refused.value.code == "file_too_complex"


async def test_a_large_file_needs_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("Họ tên,SĐT,Ghi chú\n" + "Nguyễn Văn A,0912345678,gọi lại\n" * 200_000)
    # Kept whole, the rows alone would take 60 MB; an interpreter with its libraries maps about 40.
    book, sheets = await read_apart(path, limits=Limits(memory_bytes=70 << 20))
    assert (book.sheets[0].rows, len(sheets[0])) == (200_001, 200_001)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(
        st.lists(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs"))), min_size=3, max_size=3),
        min_size=1,
        max_size=6,
    ),
    delimiter=st.sampled_from(",;\t|"),
)
def test_what_was_written_is_read(tmp_path: Path, rows: list[list[str]], delimiter: str) -> None:
    """Told the delimiter by Excel's line, every quoted text comes back."""
    path = tmp_path / "a.csv"
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows(
        [["tên", "sđt", "số"], ["An", "1", "2"], *rows]
    )
    path.write_bytes(f"sep={delimiter}\r\n{out.getvalue()}".encode())
    found = dict(only_rows(path))
    for number, values in enumerate(rows, 3):
        kept = [None if not value or value.isspace() else normalize("NFC", value) for value in values]
        while kept and kept[-1] is None:
            kept.pop()
        assert found.get(number, []) == kept
