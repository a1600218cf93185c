"""What duplicates and merges refuse, and why."""

from app.core.errors import AppError, Conflict


class KeysInvalid(AppError):
    """Two keys have the same fields."""

    status, code = 422, "duplicate_keys_invalid"
    vi, en = "Có hai khóa trùng nhau", "Two keys have the same fields"


class OtherKind(Conflict):
    """Only customers of one kind are merged: leads, people or companies (E021). Convert one of them first."""

    code = "merge_other_kind"
    vi = "Chỉ gộp được các khách hàng cùng kiểu"
    en = "Only customers of the same kind can be merged"


class MergeUndone(Conflict):
    """The merge was undone already."""

    code = "merge_undone"
    vi, en = "Lần gộp này đã được hoàn tác", "The merge was undone already"


class MergeNotUndoable(Conflict):
    """A customer of the merge is gone, or was merged further: `customer_id` names it. Undo that first."""

    code = "merge_not_undoable"
    vi = "Không thể hoàn tác: một khách hàng của lần gộp đã bị xóa hoặc đã được gộp tiếp"
    en = "Cannot be undone: a customer of the merge was deleted or merged further"


class ScanNeeded(Conflict):
    """Merging by a rule needs the values of all customers: look for duplicates first."""

    code = "scan_needed"
    vi = "Hãy quét trùng lặp trước khi gộp theo quy tắc"
    en = "Scan for duplicates before merging by a rule"


class RuleNeedsKey(Conflict):
    """No duplicate key, and nothing that a scan looks for, has only fields of the rule: make them a key first."""

    code = "rule_needs_key"
    vi = "Hãy đặt các trường này làm khóa trùng lặp trước khi gộp theo quy tắc"
    en = "Make these fields a duplicate key before merging by a rule"


class KeyNotReady(Conflict):
    """The duplicate key that finds them is being made ready: wait for its job."""

    code = "duplicate_key_not_ready"
    vi = "Khóa trùng lặp đang được chuẩn bị, vui lòng đợi trong giây lát"
    en = "The duplicate key is being made ready, please wait a moment"
