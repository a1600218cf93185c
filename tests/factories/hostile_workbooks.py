"""Files built to kill, stall, exhaust or deceive whoever reads them, each with the codes it may earn."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.factories.workbooks import DECLARATION, MAIN, SPREADSHEET, SheetXml, row, table, write_zip, xlsx_parts

Make = Callable[[Path], object]


@dataclass(frozen=True)
class Hostile:
    """A way to make a bad file. `codes` are the acceptable ends; `filename` is what its sender calls it."""

    name: str
    make: Make
    codes: frozenset[str]
    filename: str


HOSTILE: list[Hostile] = []


def _hostile(*codes: str, filename: str = "khách hàng.xlsx") -> Callable[[Make], Make]:
    def register(make: Make) -> Make:
        HOSTILE.append(Hostile(make.__name__.strip("_"), make, frozenset(codes), filename))
        return make

    return register


def _good(data: str = "", **options: str) -> dict[str, bytes]:
    header = table([["Họ tên", "SĐT"], ["Nguyễn Văn A", "0912345678"]])
    return xlsx_parts(data or header, **options)  # type: ignore[arg-type]


def _strings(body: str, attributes: str = "") -> str:
    return f'{DECLARATION}<sst xmlns="{MAIN}" {attributes}>{body}</sst>'


# Cells in the wrong place


@_hostile("file_too_many_columns")
def _corner_cell(path: Path) -> None:
    write_zip(path, xlsx_parts(row(1, {"A": 1}) + row(1_048_576, {"XFD": 1})))


@_hostile("file_too_complex")
def _far_cell_within_columns(path: Path) -> None:
    write_zip(path, xlsx_parts(row(1, {"A": 1}) + row(1_048_576, {"GR": 1})))


@_hostile("file_too_complex")
def _far_cell_in_single_quotes(path: Path) -> None:
    far = "<row r='1048576'><c r='GR1048576'><v>1</v></c></row>"
    write_zip(path, xlsx_parts(row(1, {"A": 1}) + far))


@_hostile("file_too_complex")
def _far_cell_in_another_row(path: Path) -> None:
    write_zip(path, xlsx_parts('<row r="1"><c r="A1"><v>1</v></c><c r="GA900000"><v>1</v></c></row>'))


@_hostile("file_hostile")
def _row_number_of_32_bits(path: Path) -> None:
    write_zip(path, xlsx_parts('<row r="1"><c><v>1</v></c></row><row r="4294967295"><c><v>1</v></c></row>'))


@_hostile("file_hostile")
def _cell_row_of_32_bits(path: Path) -> None:
    write_zip(path, xlsx_parts('<row r="1"><c r="A1"><v>1</v></c><c r="A4294967295"><v>1</v></c></row>'))


@_hostile("file_hostile")
def _column_of_seven_letters(path: Path) -> None:
    write_zip(path, xlsx_parts('<row r="1"><c r="ZZZZZZZ1"><v>1</v></c></row>'))


@_hostile("file_hostile")
def _row_zero(path: Path) -> None:
    write_zip(path, xlsx_parts('<row r="0"><c r="A0"><v>1</v></c></row><row><c><v>1</v></c></row>'))


@_hostile("file_too_complex")
def _text_named_again_and_again(path: Path) -> None:
    """Half a megabyte that would lie about as 1.6 gigabytes of rows."""
    cells = "".join(f'<row r="{n}"><c r="A{n}" t="s"><v>0</v></c></row>' for n in range(1, 2_501))
    strings = _strings(f"<si><t>{'a' * 32_767}</t></si>")
    write_zip(path, xlsx_parts(*(SheetXml(cells, name=f"S{n}") for n in range(20)), strings=strings))


@_hostile("file_too_many_columns")
def _every_column_used(path: Path) -> None:
    write_zip(path, xlsx_parts(table([[f"Cột {n}" for n in range(16_384)], list(range(16_384))])))


@_hostile("file_too_complex")
def _endless_cell(path: Path) -> None:
    write_zip(path, xlsx_parts(table([["Ghi chú"], ["á" * 40_000], ["xong"]])))


@_hostile("file_too_complex")
def _cell_of_two_megabytes(path: Path) -> None:
    text = "".join(Random(1).choices("abcdefghijklmnop", k=2_100_000))
    write_zip(path, xlsx_parts(table([["Ghi chú"], [text]])))


# XML tricks


@_hostile("file_hostile")
def _string_count_of_32_bits(path: Path) -> None:
    strings = _strings("<si><t>a</t></si>", 'count="1" uniqueCount="4294967295"')
    write_zip(path, xlsx_parts('<row r="1"><c r="A1" t="s"><v>0</v></c></row>', strings=strings))


@_hostile("file_hostile")
def _external_entity(path: Path) -> None:
    parts = _good()
    doctype = b'<!DOCTYPE worksheet [<!ENTITY x SYSTEM "file:///etc/hostname">]>'
    sheet = parts["xl/worksheets/sheet1.xml"].replace(b"<worksheet", doctype + b"<worksheet", 1)
    parts["xl/worksheets/sheet1.xml"] = sheet.replace(b"0912345678", b"&x;")
    write_zip(path, parts)


@_hostile("file_hostile")
def _billion_laughs(path: Path) -> None:
    entities = '<!ENTITY a "ha">' + "".join(
        f'<!ENTITY {name} "{f"&{before};" * 10}">' for before, name in zip("abcdefghi", "bcdefghij", strict=True)
    )
    strings = _strings("<si><t>&j;</t></si>").replace("<sst", f"<!DOCTYPE sst [{entities}]><sst", 1)
    write_zip(path, xlsx_parts('<row r="1"><c r="A1" t="s"><v>0</v></c></row>', strings=strings))


@_hostile("file_hostile")
def _doctype_in_utf16(path: Path) -> None:
    parts = _good()
    text = parts["xl/workbook.xml"].decode().replace("UTF-8", "UTF-16")
    parts["xl/workbook.xml"] = text.replace("<workbook", "<!DOCTYPE workbook []><workbook", 1).encode("utf-16")
    write_zip(path, parts)


@_hostile("file_hostile")
def _doctype_in_an_unread_part(path: Path) -> None:
    write_zip(path, _good() | {"docProps/core.xml": b"<!DOCTYPE x [<!ENTITY y 'z'>]><x>&y;</x>"})


@_hostile("file_corrupt")
def _sheet_cut_in_the_middle(path: Path) -> None:
    parts = _good()
    parts["xl/worksheets/sheet1.xml"] = parts["xl/worksheets/sheet1.xml"][:-60]
    write_zip(path, parts)


@_hostile("file_corrupt")
def _workbook_that_is_no_xml(path: Path) -> None:
    write_zip(path, _good() | {"xl/workbook.xml": b"<workbook><sheets></workbook>"})


@_hostile("file_corrupt")
def _unknown_cell_type(path: Path) -> None:
    write_zip(path, xlsx_parts('<row r="1"><c r="A1" t="zz"><v>1</v></c></row>'))


@_hostile("file_corrupt", "file_empty")
def _nested_a_hundred_thousand_deep(path: Path) -> None:
    deep = "<x>" * 100_000 + "</x>" * 100_000
    write_zip(path, xlsx_parts(f'<row r="1"><c r="A1" t="inlineStr"><is>{deep}</is></c></row>'))


@_hostile("file_corrupt")
def _dimension_without_sense(path: Path) -> None:
    write_zip(path, xlsx_parts(SheetXml(row(1, {"A": 1}), before='<dimension ref="???"/>')))


@_hostile("file_corrupt")
def _strings_missing(path: Path) -> None:
    write_zip(path, xlsx_parts('<row r="1"><c r="A1" t="s"><v>0</v></c></row>'))


@_hostile("file_corrupt")
def _string_out_of_range(path: Path) -> None:
    strings = _strings("<si><t>a</t></si>", 'count="1" uniqueCount="1"')
    write_zip(path, xlsx_parts('<row r="1"><c r="A1" t="s"><v>99999999</v></c></row>', strings=strings))


@_hostile("file_hostile")
def _styles_bomb(path: Path) -> None:
    styles = f'<styleSheet xmlns="{MAIN}"><cellXfs>' + '<xf numFmtId="14"/>' * 800_000 + "</cellXfs></styleSheet>"
    write_zip(path, _good(styles=styles))


# Zip tricks


@_hostile("file_hostile")
def _zip_bomb(path: Path) -> None:
    write_zip(path, _good('<row r="1"><c r="A1"/></row>' * 2_000_000))


@_hostile("file_hostile")
def _overlapping_entries(path: Path) -> None:
    write_zip(path, [*_good().items(), ("xl/media/a.bin", b"\0" * 999), ("xl/media/b.bin", b"\0" * 999)])
    data = bytearray(path.read_bytes())
    first, second = (data.rindex(b"PK\x01\x02", 0, data.rindex(name)) for name in (b"a.bin", b"b.bin"))
    data[second + 42 : second + 46] = data[first + 42 : first + 46]
    path.write_bytes(data)


@_hostile("file_hostile")
def _lying_size(path: Path) -> None:
    write_zip(path, _good())
    _patch_directory(path, "sheet1.xml", 24, struct.pack("<I", 10))


@_hostile("file_corrupt")
def _wrong_checksum(path: Path) -> None:
    write_zip(path, _good())
    _patch_directory(path, "sheet1.xml", 16, b"\1\2\3\4")


@_hostile("file_corrupt")
def _flipped_bits(path: Path) -> None:
    write_zip(path, _good(table([[n, f"tên {n}"] for n in range(500)])))
    data = bytearray(path.read_bytes())
    start = data.index(b"sheet1.xml") + 500
    data[start : start + 20] = bytes(byte ^ 0xFF for byte in data[start : start + 20])
    path.write_bytes(data)


@_hostile("file_corrupt")
def _cut_in_half(path: Path) -> None:
    write_zip(path, _good(table([[n, f"tên {n}"] for n in range(500)])))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@_hostile("file_encrypted")
def _zip_with_a_password(path: Path) -> None:
    write_zip(path, _good())
    _patch_directory(path, "sheet1.xml", 8, b"\1\0")


@_hostile("file_corrupt")
def _compressed_with_bzip2(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        for name, data in _good().items():
            archive.writestr(name, data)


@_hostile("file_hostile")
def _duplicate_entry(path: Path) -> None:
    write_zip(path, [*_good().items(), ("xl/worksheets/sheet1.xml", b"<worksheet/>")])


@_hostile("file_hostile")
def _duplicate_entry_in_capitals(path: Path) -> None:
    write_zip(path, [*_good().items(), ("XL/Worksheets/Sheet1.xml", b"<worksheet/>")])


@_hostile("file_hostile")
def _climbing_name(path: Path) -> None:
    write_zip(path, _good() | {"xl/../../../etc/cron.d/x": b"x"})


@_hostile("file_hostile")
def _climbing_name_with_backslashes(path: Path) -> None:
    write_zip(path, _good() | {"xl\\..\\..\\x.exe": b"x"})


@_hostile("file_hostile")
def _absolute_name(path: Path) -> None:
    write_zip(path, _good() | {"/etc/passwd": b"x"})


@_hostile("file_hostile")
def _thousands_of_entries(path: Path) -> None:
    write_zip(path, _good() | {f"xl/media/{n}.png": b"" for n in range(2_500)})


@_hostile("file_corrupt")
def _sheet_missing(path: Path) -> None:
    parts = _good()
    del parts["xl/worksheets/sheet1.xml"]
    write_zip(path, parts)


@_hostile("file_corrupt")
def _relations_missing(path: Path) -> None:
    parts = _good()
    del parts["xl/_rels/workbook.xml.rels"]
    write_zip(path, parts)


# Something else under a borrowed name


@_hostile("not_a_table")
def _zip_of_a_zip(path: Path) -> None:
    write_zip(path, _good())
    write_zip(path, {"khach-hang.xlsx": path.read_bytes()})


@_hostile("not_a_table", filename="hồ sơ.xlsx")
def _word_document(path: Path) -> None:
    write_zip(path, {"[Content_Types].xml": b"<Types/>", "word/document.xml": b"<w/>"})


@_hostile("file_legacy_format")
def _binary_workbook(path: Path) -> None:
    write_zip(path, {"[Content_Types].xml": b"<Types/>", "xl/workbook.bin": b"\x83\x01\0"})


@_hostile("file_legacy_format")
def _open_document(path: Path) -> None:
    mime = b"application/vnd.oasis.opendocument.spreadsheet"
    write_zip(path, {"mimetype": mime, "content.xml": b"<office/>"})


@_hostile("file_has_macros", filename="bảng.xlsm")
def _macros(path: Path) -> None:
    write_zip(path, _good() | {"xl/vbaProject.bin": b"\xd0\xcf\x11\xe0"})


@_hostile("file_has_macros")
def _macro_content_type(path: Path) -> None:
    parts = _good()
    macro = b"application/vnd.ms-excel.sheet.macroEnabled.main+xml"
    parts["[Content_Types].xml"] = parts["[Content_Types].xml"].replace(f"{SPREADSHEET}.sheet.main+xml".encode(), macro)
    write_zip(path, parts)


@_hostile("file_encrypted")
def _encrypted_workbook(path: Path) -> None:
    path.write_bytes(_OLE + b"\0" * 1000 + "EncryptedPackage".encode("utf-16-le") + b"\0" * 1000)


@_hostile("file_legacy_format", filename="cũ.xls")
def _old_workbook(path: Path) -> None:
    path.write_bytes(_OLE + b"\0" * 1000 + "Workbook".encode("utf-16-le") + b"\0" * 1000)


@_hostile("not_a_table", filename="báo cáo.xls")
def _web_page_called_xls(path: Path) -> None:
    path.write_text("\r\n <HTML><body><table><tr><td>SĐT</td></tr></table></body></HTML>")


@_hostile("not_a_table", filename="báo cáo.xls")
def _spreadsheet_xml_of_2003(path: Path) -> None:
    path.write_text('<?xml version="1.0"?><?mso-application progid="Excel.Sheet"?><Workbook/>')


@_hostile("not_a_table")
def _portable_document(path: Path) -> None:
    path.write_bytes(b"%PDF-1.7\n" + Random(1).randbytes(2_000))


@_hostile("not_a_table", filename="ảnh.csv")
def _picture(path: Path) -> None:
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + Random(1).randbytes(2_000))


@_hostile("not_a_table", filename="dữ liệu.csv")
def _json_called_csv(path: Path) -> None:
    path.write_text('[{"name": "A", "phone": "0912345678"}]')


@_hostile("file_corrupt")
def _text_called_xlsx(path: Path) -> None:
    path.write_text("đây không phải bảng tính")


@_hostile("file_corrupt")
def _noise_called_xlsx(path: Path) -> None:
    path.write_bytes(b"\x01" + Random(1).randbytes(100_000))


@_hostile("not_a_table", filename="x.csv")
def _noise_called_csv(path: Path) -> None:
    path.write_bytes(b"\x01" + Random(1).randbytes(100_000))


# Nothing to import


@_hostile("file_empty")
def _empty_file(path: Path) -> None:
    path.write_bytes(b"")


@_hostile("file_empty")
def _empty_sheet(path: Path) -> None:
    write_zip(path, xlsx_parts(""))


@_hostile("file_empty")
def _only_a_header(path: Path) -> None:
    write_zip(path, xlsx_parts(table([["Họ tên", "SĐT", "Email"]])))


@_hostile("file_empty")
def _all_sheets_hidden(path: Path) -> None:
    write_zip(path, xlsx_parts(SheetXml(table([["a", "b"], [1, 2]]), state="hidden")))


@_hostile("file_empty", filename="trống.csv")
def _blank_csv(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf\r\n;;;\r\n \r\n")


@_hostile("file_empty", filename="tiêu đề.csv")
def _only_a_header_in_csv(path: Path) -> None:
    path.write_text("Họ tên;SĐT\r\n")


# Text that is no table


@_hostile("not_a_table", filename="x.csv")
def _csv_with_nul(path: Path) -> None:
    path.write_bytes(b"ten,sdt\r\nA\0B,0912345678\r\n" * 20)


@_hostile("file_too_complex", filename="x.csv")
def _one_line_of_fifty_megabytes(path: Path) -> None:
    path.write_bytes(b"abcdefghi," * 5_000_000)


@_hostile("file_corrupt", "file_too_complex", filename="x.csv")
def _quote_never_closed(path: Path) -> None:
    path.write_text('ten,sdt\nA,1\n"B,2\n' + "C,3\n" * 100_000)


@_hostile("file_corrupt", filename="x.csv")
def _quote_never_closed_near_the_end(path: Path) -> None:
    path.write_text("ten,sdt\n" + "A,1\n" * 50 + '"B,2\nC,3\nD,4\n')


@_hostile("file_too_many_columns", filename="x.csv")
def _three_hundred_fields(path: Path) -> None:
    path.write_text("\n".join([",".join(f"cot{n}" for n in range(300)), ",".join("1" * 300)]))


@_hostile("csv_encoding_unknown", filename="x.csv")
def _utf16_without_mark(path: Path) -> None:
    path.write_bytes("Họ tên,SĐT\r\nNguyễn Văn A,0912345678\r\n".encode("utf-16-le"))


@_hostile("csv_encoding_unknown", filename="x.csv")
def _utf32(path: Path) -> None:
    path.write_bytes("Họ tên,SĐT\r\n".encode("utf-32"))


@_hostile("csv_encoding_unknown", filename="x.csv")
def _utf16_cut_in_a_character(path: Path) -> None:
    path.write_bytes("Họ tên,SĐT\r\nA,0912345678\r\n".encode("utf-16") + b"\x3d\xd8")


@_hostile("csv_encoding_unknown", filename="x.csv")
def _no_known_encoding(path: Path) -> None:
    path.write_bytes(b"ten,sdt\r\n" + bytes([0x81, 0x8D, 0x90, 0x9D, 0xFF, 0xC0]) * 30 + b",1\r\n")


_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def _patch_directory(path: Path, name: str, place: int, value: bytes) -> None:
    """Overwrite bytes of an entry in the zip's directory, counted from the entry's signature."""
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"PK\x01\x02", 0, data.rindex(name.encode()))
    data[entry + place : entry + place + len(value)] = value
    path.write_bytes(data)
