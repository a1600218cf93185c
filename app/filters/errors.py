"""What a filter may be refused for, beside what is wrong in it."""

from app.core.errors import AppError


class FilterTooCostly(AppError):
    """The database did not answer the filter within the time that a request has."""

    status, code = 422, "filter_too_costly"
    vi = "Bộ lọc quá nặng: hãy thêm điều kiện để thu hẹp, hoặc bớt các điều kiện “chứa”"
    en = "The filter costs too much: narrow it by another condition, or use fewer “contains”"
