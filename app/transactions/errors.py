"""What transactions refuse, and why."""

from app.core.errors import Conflict


class TypeInUse(Conflict):
    """Transactions have this type, so it cannot go; switch it off instead."""

    code = "transaction_type_in_use"
    vi = "Đang có {count} giao dịch thuộc loại này nên không thể xóa; hãy chuyển sang ngừng sử dụng"
    en = "{count} transactions have this type, so it cannot be deleted; deactivate it instead"
