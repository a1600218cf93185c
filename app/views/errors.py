"""What saved filters and views refuse, and why."""

from app.core.errors import Conflict


class FilterNameTaken(Conflict):
    """The caller has a saved filter of this name."""

    code = "filter_name_taken"
    vi, en = "Tên bộ lọc đã tồn tại", "You have a filter of this name already"


class TooManyFilters(Conflict):
    """The caller has as many saved filters as one may have."""

    code = "too_many_filters"
    vi, en = "Chỉ có thể lưu tối đa {limit} bộ lọc", "There can be at most {limit} saved filters of yours"
