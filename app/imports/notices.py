"""What reading noticed about a file, as sentences."""

from typing import Any, Final

from app.core.i18n import language
from app.imports.reading import Notice
from app.imports.schemas import NoticeOut

TEXTS: Final[dict[str, tuple[str, str]]] = {
    "no_header": (
        "Không thấy dòng tiêu đề; hãy chọn cột cho từng trường",
        "No header row was found; choose a column for each field",
    ),
    "duplicate_headers": ("Có cột trùng tên: {headers}", "Some columns have the same name: {headers}"),
    "merged_cells": (
        "File có ô gộp (merge): chỉ ô đầu tiên có giá trị",
        "The file has merged cells: only the first cell has a value",
    ),
    "error_cells": (
        "Có {count} ô báo lỗi công thức (#REF!, #N/A…); chúng được coi là trống",
        "{count} cells show an error (#REF!, #N/A…); they count as empty",
    ),
    "lost_zero_phones": (
        "Có {count} số điện thoại bị mất số 0 ở đầu; số 0 sẽ được tự động thêm",
        "{count} phone numbers have lost their leading 0; it will be added",
    ),
    "damaged_numbers": (
        "Cột {letter} có {count} số dài quá 15 chữ số đã bị làm tròn; hãy định dạng cột là Văn bản",
        "Column {letter} has {count} rounded numbers of more than 15 digits; format the column as text",
    ),
    "dates_1904": (
        "File tính ngày từ năm 1904: số ở cột {letters} được hiểu là ngày tính từ năm đó; hãy xem lại kết quả",
        "The file counts days from 1904: numbers of column {letters} are read as days from then; check the outcome",
    ),
    "hidden_sheets": ("Sheet ẩn không được đọc: {names}", "Hidden sheets were not read: {names}"),
    "formulas_without_value": (
        "Có {count} công thức không kèm kết quả; chúng được coi là trống",
        "{count} formulas have no stored result; they count as empty",
    ),
    "csv_bad_bytes": (
        "Có {count} chỗ không đúng bảng mã và đã bị thay thế",
        "{count} places do not fit the encoding and were replaced",
    ),
    "csv_encoding_guessed": (
        "Bảng mã được đoán là {encoding}; hãy xem lại chữ có dấu",
        "The encoding was guessed to be {encoding}; check the accents",
    ),
    "several_sheets": ("File có nhiều sheet; hãy chọn một sheet", "The file has several sheets; choose one"),
    "ragged_rows": (
        "Có {count} dòng thừa hoặc thiếu cột so với phần lớn các dòng",
        "{count} rows have more or fewer columns than most",
    ),
}


def notice_out(notice: Notice) -> NoticeOut:
    """A notice in the request's language."""
    vi, en = TEXTS[notice.code]
    words: dict[str, Any] = {
        key: ", ".join(map(str, value)) if isinstance(value, list) else value for key, value in notice.params.items()
    }
    message = (vi if language.get() == "vi" else en).format(**words)
    return NoticeOut(code=notice.code, message=message, params=notice.params)
