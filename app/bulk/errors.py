"""What bulk work refuses, and why."""

from typing import Final

from app.core.errors import AppError, Conflict
from app.core.i18n import language


class KeyRequired(AppError):
    """A repetition would do the work twice: the request needs an Idempotency-Key."""

    status, code = 400, "idempotency_key_required"
    vi, en = "Thiếu Idempotency-Key", "This request needs an Idempotency-Key"


class NotUndoable(Conflict):
    """The job is none that can be undone, has not ended, or was undone already."""

    code = "job_not_undoable"
    vi, en = "Tiến trình này không thể hoàn tác", "This job cannot be undone"


# Why a customer was skipped, or kept by an undo.
REASONS: Final[dict[str, tuple[str, str]]] = {
    "not_found": ("Không tìm thấy khách hàng, hoặc bạn không có quyền với khách hàng này", "No such customer for you"),
    "in_trash": ("Khách hàng đã bị xóa", "The customer is in the trash"),
    "not_in_trash": ("Khách hàng không nằm trong danh sách đã xóa", "The customer is not in the trash"),
    "merged": ("Khách hàng đã được gộp vào khách hàng khác", "The customer was merged into another one"),
    "phone_taken": ("Số điện thoại đã tồn tại", "This phone number already exists"),
    "value_taken": ("Một giá trị duy nhất đã thuộc khách hàng khác", "Another customer has one of its unique values"),
    "changed_since": ("Khách hàng đã được sửa sau thao tác này", "The customer was changed since"),
    "merge_other_kind": ("Chỉ gộp được các khách hàng cùng loại", "Only customers of one kind can be merged"),
    "purged": ("Khách hàng đã bị xóa hẳn", "The customer was deleted for good"),
}


def reason(code: str) -> str:
    """The sentence of a reason in the caller's language."""
    return REASONS.get(code, (code, code))[0 if language.get() == "vi" else 1]
