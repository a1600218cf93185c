"""What bulk work refuses, and why."""

from functools import cache
from typing import Final

from app.core import jobs
from app.core.errors import Conflict, known_errors
from app.core.i18n import language
from app.customers.changing import Gone


class NotUndoable(Conflict):
    """The job is none that can be undone, has not ended, or was undone already."""

    code = "job_not_undoable"
    vi, en = "Tiến trình này không thể hoàn tác", "This job cannot be undone"


# Why a customer was skipped, or kept by an undo, where that is no error or the error's sentence needs its details.
REASONS: Final[dict[str, tuple[str, str]]] = {
    "not_found": ("Không tìm thấy khách hàng, hoặc bạn không có quyền với khách hàng này", "No such customer for you"),
    "in_trash": ("Khách hàng đã bị xóa", "The customer is in the trash"),
    "merged": ("Khách hàng đã được gộp vào khách hàng khác", "The customer was merged into another one"),
    "phone_in_contact": ("Số điện thoại đã có trong liên hệ của khách hàng khác", "Another's contact has its phone"),
    "value_taken": ("Một giá trị duy nhất đã thuộc khách hàng khác", "Another customer has one of its unique values"),
    "duplicate": ("Trùng với khách hàng khác", "It would repeat another customer"),
    "changed_since": ("Khách hàng đã được sửa sau thao tác này", "The customer was changed since"),
    "dismissed": ("Đã được xác nhận không phải là cùng một khách hàng", "Somebody said that they are not the same"),
    "purged": ("Khách hàng đã bị xóa hẳn", "The customer was deleted for good"),
}
OTHER: Final = ("Không thực hiện được", "It could not be done")
jobs.REASONS[Gone.code] = (Gone.vi, Gone.en)


def reason(code: str) -> str:
    """The sentence of a reason in the caller's language; an error's own where the code is one's."""
    return _sentences(code)[0 if language.get() == "vi" else 1]


@cache
def _sentences(code: str) -> tuple[str, str]:
    whole = ((one.vi, one.en) for one in known_errors() if one.code == code and "{" not in one.vi)
    return REASONS.get(code) or next(whole, OTHER)
