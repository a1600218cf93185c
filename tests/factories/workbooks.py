"""Spreadsheets for tests, benchmarks and the demo: good customer lists, and files built part by part.

The hostile ones are in `hostile_workbooks`.
"""

from __future__ import annotations

import csv
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from random import Random
from xml.sax.saxutils import escape, quoteattr

from rustpy_xlsxwriter import FastExcel

from app.demo.vocabulary import Person, person, phone
from app.imports.reading import column_letter

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
DECLARATION = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'

CUSTOMER_HEADERS: Mapping[str, str] = {
    "name": "Họ tên",
    "phone": "SĐT",
    "email": "Email",
    "birthday": "Ngày sinh",
    "province": "Tỉnh/Thành",
    "gender": "Giới tính",
    "address": "Địa chỉ",
    "source": "Nguồn",
    "customer_type": "Loại khách hàng",
    "company_name": "Công ty",
    "tax_code": "MST",
    "position": "Chức vụ",
    "note": "Ghi chú",
}


def customers(
    rows: int, *, seed: int = 1, first: int = 0, duplicates: float = 0.0, invalid: float = 0.0
) -> Iterator[Person]:
    """Invented customers, the same for the same arguments.

    `first` is the number of the first one, so that two lists may overlap or not. A share of `duplicates`
    repeats the phone number of an earlier row of the list; a share of `invalid` has a phone number, an
    e-mail address or a name that no import may accept.
    """
    rng = Random(seed)
    spoil = Random(seed + 1)
    for i in range(first, first + rows):
        made = person(rng, i)
        if duplicates and i > first and spoil.random() < duplicates:
            made["phone"] = phone(spoil.randrange(first, i))
        if invalid and spoil.random() < invalid:
            _spoil(made, spoil)
        yield made


def customers_xlsx(
    path: Path,
    rows: int,
    *,
    seed: int = 1,
    first: int = 0,
    duplicates: float = 0.0,
    invalid: float = 0.0,
    shared_strings: bool = False,
    sheet: str = "Khách hàng",
) -> Path:
    """An .xlsx of invented customers under Vietnamese headers, 13 columns (about 25,000 rows a second)."""
    people = customers(rows, seed=seed, first=first, duplicates=duplicates, invalid=invalid)
    writer = FastExcel(path).format(datetime_format="dd/mm/yyyy")
    writer.sheet(sheet, _with_headers(people), dedupe_strings=shared_strings).save()
    return path


def customers_csv(
    path: Path,
    rows: int,
    *,
    seed: int = 1,
    first: int = 0,
    duplicates: float = 0.0,
    invalid: float = 0.0,
    delimiter: str = ",",
    encoding: str = "utf-8-sig",
    newline: str = "\r\n",
) -> Path:
    """The same list as .csv, dates as dd/mm/yyyy."""
    people = customers(rows, seed=seed, first=first, duplicates=duplicates, invalid=invalid)
    with path.open("w", encoding=encoding, newline="") as out:
        writer = csv.writer(out, delimiter=delimiter, lineterminator=newline)
        writer.writerow(CUSTOMER_HEADERS.values())
        for record in _with_headers(people):
            writer.writerow(_text(value) for value in record.values())
    return path


@dataclass(frozen=True)
class SheetXml:
    """One worksheet as text: `data` is what stands inside <sheetData>."""

    data: str
    name: str = "Sheet1"
    state: str = "visible"
    before: str = ""
    after: str = ""

    def xml(self) -> str:
        """The whole part."""
        return (
            f'{DECLARATION}<worksheet xmlns="{MAIN}">{self.before}<sheetData>{self.data}</sheetData>'
            f"{self.after}</worksheet>"
        )


def xlsx_parts(
    *sheets: SheetXml | str, strings: str | None = None, styles: str | None = None, date1904: bool = False
) -> dict[str, bytes]:
    """The parts of a workbook, to be changed and then written with `write_zip`.

    Cell formats: s="1" is a date, s="2" a date and time, s="3" an elapsed time, s="4" a time of day.
    """
    made = [SheetXml(sheet) if isinstance(sheet, str) else sheet for sheet in sheets]
    entries = "".join(
        f'<sheet name={quoteattr(sheet.name)} sheetId="{n}" state="{sheet.state}" r:id="rId{n}"/>'
        for n, sheet in enumerate(made, 1)
    )
    relations = "".join(
        f'<Relationship Id="rId{n}" Type="{OFFICE}/worksheet" Target="worksheets/sheet{n}.xml"/>'
        for n in range(1, len(made) + 1)
    )
    relations += f'<Relationship Id="rIdS" Type="{OFFICE}/styles" Target="styles.xml"/>'
    epoch = '<workbookPr date1904="1"/>' if date1904 else ""
    parts = {
        "[Content_Types].xml": f'{DECLARATION}<Types xmlns="{PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{SPREADSHEET}.sheet.main+xml"/></Types>',
        "_rels/.rels": f'{DECLARATION}<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="rId1" '
        f'Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'{DECLARATION}<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}">{epoch}'
        f"<sheets>{entries}</sheets></workbook>",
        "xl/styles.xml": styles or STYLES,
    }
    for n, sheet in enumerate(made, 1):
        parts[f"xl/worksheets/sheet{n}.xml"] = sheet.xml()
    if strings is not None:
        parts["xl/sharedStrings.xml"] = strings
        relations += f'<Relationship Id="rIdT" Type="{OFFICE}/sharedStrings" Target="sharedStrings.xml"/>'
    parts["xl/_rels/workbook.xml.rels"] = (
        f'{DECLARATION}<Relationships xmlns="{PACKAGE}/relationships">{relations}</Relationships>'
    )
    return {name: text.encode() for name, text in parts.items()}


def write_zip(path: Path, parts: Mapping[str, bytes] | Sequence[tuple[str, bytes]]) -> Path:
    """Write the parts as a zip; a sequence may repeat a name."""
    pairs = parts.items() if isinstance(parts, Mapping) else parts
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, data in pairs:
            archive.writestr(name, data)
    return path


def cell(reference: str, value: object, *, style: int | None = None) -> str:
    """One cell: text inline, a number or a boolean; an error when the text is like "#REF!"."""
    shown = f' s="{style}"' if style is not None else ""
    if isinstance(value, bool):
        return f'<c r="{reference}"{shown} t="b"><v>{int(value)}</v></c>'
    if isinstance(value, int | float):
        return f'<c r="{reference}"{shown}><v>{value!r}</v></c>'
    text = str(value)
    if text.startswith("#") and text.endswith(("!", "?", "A")):
        return f'<c r="{reference}"{shown} t="e"><v>{text}</v></c>'
    return f'<c r="{reference}"{shown} t="inlineStr"><is><t xml:space="preserve">{escape(text)}</t></is></c>'


def row(number: int, values: Mapping[str, object]) -> str:
    """One row from its values by column letter."""
    cells = "".join(cell(f"{letters}{number}", value) for letters, value in values.items())
    return f'<row r="{number}">{cells}</row>'


def table(rows: Iterable[Sequence[object]], *, first_row: int = 1) -> str:
    """Rows of values from column A on; None leaves a gap."""
    return "".join(
        row(number, {column_letter(n): value for n, value in enumerate(values, 1) if value is not None})
        for number, values in enumerate(rows, first_row)
    )


SPREADSHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml"
STYLES = (
    f'{DECLARATION}<styleSheet xmlns="{MAIN}"><numFmts count="1"><numFmt numFmtId="164" '
    'formatCode="[h]:mm:ss"/></numFmts><fonts count="1"><font/></fonts><fills count="1"><fill/></fills>'
    '<borders count="1"><border/></borders><cellStyleXfs count="1"><xf/></cellStyleXfs><cellXfs count="5">'
    '<xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="22"/><xf numFmtId="164"/><xf numFmtId="20"/>'
    "</cellXfs></styleSheet>"
)


def _with_headers(people: Iterable[Person]) -> Iterator[dict[str, object]]:
    for made in people:
        values: Mapping[str, object] = dict(made)
        yield {header: values[key] for key, header in CUSTOMER_HEADERS.items()}


def _spoil(made: Person, rng: Random) -> None:
    kind = rng.randrange(4)
    if kind == 0:
        made["phone"] = made["phone"][:5]
    elif kind == 1:
        made["phone"] = "không có"
    elif kind == 2:
        made["email"] = "thiếu-a-còng.example"
    else:
        made["name"] = ""


def _text(value: object) -> str:
    if value is None:
        return ""
    return value.strftime("%d/%m/%Y") if isinstance(value, date) else str(value)
