"""What contracts refuse, and why."""

from app.core.errors import Conflict


class NumberTaken(Conflict):
    """The workspace has a contract of this number."""

    code = "contract_number_taken"
    vi, en = "Số hợp đồng đã tồn tại", "This contract number already exists"
