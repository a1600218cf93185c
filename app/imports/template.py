"""The template: a workbook with a column for every field, in order, which imports again without any mapping."""

import io
from collections.abc import Sequence
from typing import Final

import anyio.to_thread
from openpyxl import Workbook
from openpyxl.cell.cell import Cell
from openpyxl.comments import Comment
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.worksheet import Worksheet

from app.core.fields import GENDERS, Field
from app.core.i18n import language
from app.core.vietnam import provinces
from app.customers.registry import Registry
from app.imports.plan import EXAMPLE_NAME, EXAMPLE_PHONE

MAX_ROW = 1_048_576
FILE_NAMES: Final = ("mau-nhap-khach-hang.xlsx", "customer-import-template.xlsx")
# In Vietnamese and English, or one for both.
EXAMPLES: Final[dict[str, tuple[str, ...]]] = {
    "name": (EXAMPLE_NAME,), "phone": (EXAMPLE_PHONE,), "email": ("vidu@example.com",), "birthday": ("05/03/1990",),
    "province": ("Hà Nội",), "address": ("Số 1 Tràng Tiền, phường Hoàn Kiếm",), "tax_code": ("0100109106",),
    "company_name": ("Công ty TNHH Ví Dụ", "Example Ltd"), "position": ("Giám đốc", "Director"),
    "note": ("Gọi buổi sáng", "Call in the morning"),
}  # fmt: skip
TYPE_EXAMPLES: Final = {
    "text": "…", "long_text": "…", "integer": "12", "decimal": "1,5", "money": "1.500.000", "date": "05/03/1990",
    "datetime": "05/03/2026 09:30", "phone": "0900 000 001", "email": "vidu2@example.com",
    "link": "https://example.com",
}  # fmt: skip


async def template(registry: Registry) -> tuple[str, bytes]:
    """The name and content of the workbook for a workspace's fields, in the request's language."""
    vietnamese = language.get() == "vi"
    return FILE_NAMES[0 if vietnamese else 1], await anyio.to_thread.run_sync(_build, registry, vietnamese)


def _build(registry: Registry, vietnamese: bool) -> bytes:
    book = Workbook()
    sheet, lists = book.active, book.create_sheet("_lists")
    assert isinstance(sheet, Worksheet)
    sheet.title = "Khách hàng" if vietnamese else "Customers"
    lists.sheet_state = "hidden"
    for place, field in enumerate(registry.in_template, start=1):
        _head(sheet, place, field, vietnamese)
        values = _choices(registry, field, vietnamese)
        if values:
            _drop_down(sheet, lists, place, values)
        cell = _put(sheet, 2, place, _example(field, values, vietnamese))
        cell.font, cell.number_format = Font(italic=True, color="808080"), "@"
    sheet.freeze_panes = "A2"
    _notes(book.create_sheet("Hướng dẫn" if vietnamese else "Notes"), registry, vietnamese)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _head(sheet: Worksheet, place: int, field: Field, vietnamese: bool) -> None:
    label = field.vi if vietnamese else field.en
    cell = _put(sheet, 1, place, f"{label} *" if field.required else label)
    cell.font = Font(bold=True, color="FFFFFF")
    cell.fill = PatternFill("solid", fgColor="C00000" if field.required else "1F4E79")
    cell.alignment = Alignment(wrap_text=True, vertical="center")
    cell.comment = Comment(_rule(field, vietnamese), "Chốt")
    letter = get_column_letter(place)
    sheet.column_dimensions[letter].width = max(14, min(40, len(label) + 6))
    # Text, so that a phone number keeps its leading zero and a long number its digits.
    sheet.column_dimensions[letter].number_format = "@"


def _put(sheet: Worksheet, row: int, column: int, value: str) -> Cell:
    """Writes text as text: openpyxl makes a formula of whatever begins with `=`."""
    cell = sheet.cell(row, column)
    assert isinstance(cell, Cell)
    cell.value, cell.data_type = value, "s"
    return cell


def _drop_down(sheet: Worksheet, lists: Worksheet, place: int, values: Sequence[str]) -> None:
    letter = get_column_letter(place)
    for row, value in enumerate(values, start=1):
        _put(lists, row, place, value)
    rule = DataValidation(
        type="list", formula1=f"'{lists.title}'!${letter}$1:${letter}${len(values)}", allow_blank=True,
        # Several groups go into one cell, and names are understood without accents: only a hint.
        showErrorMessage=False,
    )  # fmt: skip
    rule.add(f"{letter}2:{letter}{MAX_ROW}")
    sheet.add_data_validation(rule)


def _choices(registry: Registry, field: Field, vietnamese: bool) -> list[str]:
    if field.type == "gender":
        return [names[0 if vietnamese else 1] for names in GENDERS.values()]
    if field.type == "province":
        return [one.name for one in provinces.ALL]
    if field.type == "person":
        return sorted(registry.owners.values())
    if field.type == "boolean":
        return ["Có", "Không"] if vietnamese else ["yes", "no"]
    return list(field.choices)


def _example(field: Field, values: Sequence[str], vietnamese: bool) -> str:
    if field.type == "person":
        return ""
    if field.key in EXAMPLES:
        return EXAMPLES[field.key][0 if vietnamese else -1]
    return values[0] if values else TYPE_EXAMPLES.get(field.type, "")


def _rule(field: Field, vietnamese: bool) -> str:
    vi, en = RULES.get(field.type, ("", ""))
    required = ("Bắt buộc. ", "Required. ") if field.required else ("", "")
    return (required[0] + vi if vietnamese else required[1] + en).strip() or (field.vi if vietnamese else field.en)


RULES = {
    "phone": ("Mỗi khách hàng một số; thiếu số 0 ở đầu sẽ được tự động thêm.",
              "One number a customer; a missing leading 0 is added."),
    "date": ("Ngày/tháng/năm, ví dụ 05/03/1990.", "Day/month/year, as 05/03/1990."),
    "datetime": ("Ngày giờ, ví dụ 05/03/2026 09:30.", "Day and time, as 05/03/2026 09:30."),
    "choice": ("Chọn một giá trị có trong danh sách.", "A value of the list."),
    "choices": ("Chọn giá trị có trong danh sách; nhiều giá trị cách nhau bằng dấu phẩy.",
                "Values of the list; several are separated by commas."),
    "person": ("Tên đăng nhập của nhân viên.", "The user name of a colleague."),
    "gender": ("Nam, Nữ hoặc Khác.", "Male, Female or Other."),
    "province": ("Tên tỉnh/thành, có dấu hay không dấu.", "The name of a province, with accents or none."),
    "money": ("Số tiền, ví dụ 1.500.000.", "An amount, as 1.500.000."),
    "integer": ("Số nguyên.", "A whole number."),
    "decimal": ("Số, ví dụ 1,5.", "A number, as 1,5."),
    "boolean": ("Có hoặc Không.", "yes or no."),
    "tax_code": ("10 số, 10 số kèm -NNN, hoặc 12 số.", "10 digits, 10 digits and -NNN, or 12 digits."),
}  # fmt: skip


def _notes(sheet: Worksheet, registry: Registry, vietnamese: bool) -> None:
    lines = [
        ("Điền mỗi khách hàng một dòng, bắt đầu từ dòng 2. Cột có dấu * là bắt buộc.",
         "One customer a row, from row 2 on. Columns with * are required."),
        ("Dòng ví dụ (dòng 2) không được nhập; có thể để nguyên hoặc xóa.",
         "The example (row 2) is not imported; leave or delete it."),
        ("Có thể xóa các cột không dùng. Không gộp ô.",
         "Columns that are not used may be deleted. Do not merge cells."),
        ("Số điện thoại đã có trong hệ thống: thông tin khách hàng được cập nhật, trừ khi chọn khác khi nhập.",
         "A phone number that exists updates that customer, unless chosen otherwise."),
    ]  # fmt: skip
    for row, (vi, en) in enumerate(lines, start=1):
        _put(sheet, row, 1, vi if vietnamese else en)
    start = len(lines) + 2
    for row, field in enumerate(registry.in_template, start=start):
        _put(sheet, row, 1, field.vi if vietnamese else field.en).font = Font(bold=True)
        _put(sheet, row, 2, _rule(field, vietnamese))
    sheet.column_dimensions["A"].width, sheet.column_dimensions["B"].width = 36, 70
