"""What imports refuse, and why."""

from typing import Final

from app.core.errors import AppError, Conflict, Unavailable
from app.core.i18n import Language, language

# What people call the states of an import, in Vietnamese and English.
STATES: Final = {
    "reading": ("đang đọc file", "being read"),
    "ready": ("sẵn sàng", "ready"),
    "queued": ("đang chờ", "waiting"),
    "running": ("đang chạy", "running"),
    "paused": ("tạm dừng", "paused"),
    "succeeded": ("đã xong", "finished"),
    "failed": ("thất bại", "failed"),
    "cancelled": ("đã hủy", "cancelled"),
    "undone": ("đã hoàn tác", "undone"),
}


class FileRefused(AppError):
    """The uploaded file cannot be imported."""

    status, code = 422, "file_refused"
    vi, en = "Không đọc được file này", "This file cannot be read"


class FileEmpty(FileRefused):
    """There is no row below the header."""

    code = "file_empty"
    vi, en = "File không có dòng dữ liệu nào", "The file has no row of data"


class NotATable(FileRefused):
    """Neither .xlsx nor .csv."""

    status, code = 415, "not_a_table"
    vi = "File này không phải bảng tính; hãy tải lên file .xlsx hoặc .csv"
    en = "This is not a spreadsheet; upload an .xlsx or .csv file"


class FileEncrypted(FileRefused):
    """The workbook has a password."""

    code = "file_encrypted"
    vi = "File đang đặt mật khẩu; hãy bỏ mật khẩu, lưu lại rồi tải lên"
    en = "The file has a password; remove it, save and upload again"


class FileHasMacros(FileRefused):
    """The workbook carries programs."""

    code = "file_has_macros"
    vi = "File có chứa macro; hãy lưu lại dưới dạng .xlsx rồi tải lên"
    en = "The file contains macros; save it as .xlsx and upload again"


class FileLegacyFormat(FileRefused):
    """An old or foreign spreadsheet format."""

    status, code = 415, "file_legacy_format"
    vi = "Định dạng bảng tính này không được hỗ trợ; hãy lưu lại dưới dạng .xlsx rồi tải lên"
    en = "This spreadsheet format is not supported; save it as .xlsx and upload again"


class FileCorrupt(FileRefused):
    """The workbook is damaged."""

    code = "file_corrupt"
    vi = "File bị hỏng; hãy mở bằng Excel, lưu lại rồi tải lên"
    en = "The file is damaged; open it in a spreadsheet program, save and upload again"


class FileHostile(FileRefused):
    """The file is built to do harm."""

    code = "file_hostile"
    vi, en = "File có nội dung không an toàn nên bị từ chối", "The file holds unsafe content and was refused"


class FileTooComplex(FileRefused):
    """Reading would take too much time or memory."""

    code = "file_too_complex"
    vi = "File quá phức tạp; hãy chép riêng bảng dữ liệu sang một file mới rồi tải lên"
    en = "The file is too complex; copy only the table into a new file and upload that"


class FileCrashedParser(FileRefused):
    """The reading process died of the file."""

    code = "file_crashed_parser"
    vi = "Không đọc được file này; hãy chép bảng dữ liệu sang một file mới rồi tải lên"
    en = "The file could not be read; copy the table into a new file and upload that"


class TooManyColumns(FileRefused):
    """A sheet is too wide."""

    code = "file_too_many_columns"
    vi, en = "File có quá nhiều cột (tối đa 200)", "The file has too many columns (200 at most)"


class TooManyRows(FileRefused):
    """A sheet is too long."""

    code = "file_too_many_rows"
    vi, en = "File có quá nhiều dòng (tối đa 1.048.576)", "The file has too many rows (1,048,576 at most)"


class CsvEncodingUnknown(FileRefused):
    """The text's encoding cannot be told."""

    code = "csv_encoding_unknown"
    vi = "Không nhận ra bảng mã của file .csv; hãy lưu lại dưới dạng CSV UTF-8 rồi tải lên"
    en = "The .csv file's encoding is unknown; save it as CSV UTF-8 and upload again"


class MappingIncomplete(AppError):
    """No mapping was given, and the suggestions leave a required field out."""

    status, code = 422, "mapping_incomplete"
    vi = "Chưa chọn cột cho: {labels}"
    en = "No column is chosen for: {labels}"


class SheetAmbiguous(AppError):
    """Several sheets hold customers, and the start names none of them."""

    status, code = 422, "sheet_ambiguous"
    vi = "File có nhiều sheet có dữ liệu ({names}); hãy chọn một sheet để nhập"
    en = "Several sheets of the file hold data ({names}); choose the one to import"


class ImportState(Conflict):
    """The import is in a state that this cannot follow."""

    code = "import_state"
    vi = "Lần nhập đang ở trạng thái “{state}”, nên không thể thực hiện thao tác này"
    en = "The import is {state}; that cannot follow"

    def __init__(self, *, state: str) -> None:
        super().__init__(extra={"state": state}, state=state)

    def message(self, chosen: Language | None = None) -> str:
        """The sentence, with the state's name in the same language."""
        vi, en = STATES[str(self.values["state"])]
        spoken = chosen or language.get()
        return (self.vi if spoken == "vi" else self.en).format(state=vi if spoken == "vi" else en)


class ImportWritten(Conflict):
    """Rows were written already: undo them before a new start."""

    code = "import_written"
    vi = "Lần nhập này đã ghi dữ liệu; hãy hoàn tác hoặc tải file lên lại"
    en = "This import has written rows already; undo it, or upload the file again"


class NothingWritten(Conflict):
    """There is nothing to undo."""

    code = "import_not_written"
    vi, en = "Lần nhập này chưa ghi dữ liệu nào", "This import has written nothing"


class FilesGone(AppError):
    """The upload's files were deleted after their time."""

    status, code = 410, "files_deleted"
    vi, en = (
        "File của lần nhập này đã hết hạn lưu trữ và bị xóa",
        "The files of this import were deleted after their time",
    )


class ResultNotReady(Unavailable):
    """The result file is still being made."""

    code = "result_not_ready"
    vi = "File kết quả đang được tạo, vui lòng thử lại sau ít giây"
    en = "The result file is being made; please try again in a few seconds"


REFUSALS: Final = {kind.code: kind for kind in FileRefused.__subclasses__()}


def refusal_of(code: str) -> FileRefused:
    """The refusal of reading with this code."""
    return REFUSALS.get(code, FileRefused)()
