"""FastAPI's own refusals as our problems: field paths, stable codes, and a sentence in the caller's language."""

from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic_core import PydanticCustomError
from starlette.exceptions import HTTPException

from app.core.errors import AppError, FieldError, Invalid, NotFound
from app.core.i18n import language

VIETNAMESE: dict[str, str] = {
    "missing": "Bắt buộc nhập",
    "extra_forbidden": "Trường không được hỗ trợ",
    "json_invalid": "Nội dung không phải JSON hợp lệ",
    "string_too_short": "Quá ngắn (tối thiểu {min_length} ký tự)",
    "string_too_long": "Quá dài (tối đa {max_length} ký tự)",
    "too_long": "Quá nhiều phần tử (tối đa {max_length})",
    "too_short": "Quá ít phần tử (tối thiểu {min_length})",
    "greater_than_equal": "Phải lớn hơn hoặc bằng {ge}",
    "less_than_equal": "Phải nhỏ hơn hoặc bằng {le}",
    "greater_than": "Phải lớn hơn {gt}",
    "less_than": "Phải nhỏ hơn {lt}",
    "literal_error": "Chỉ nhận một trong các giá trị: {expected}",
    "enum": "Chỉ nhận một trong các giá trị: {expected}",
    "uuid_parsing": "Không phải mã định danh hợp lệ",
    "int_parsing": "Phải là số nguyên",
    "bool_parsing": "Phải là đúng hoặc sai",
    "string_type": "Phải là chuỗi ký tự",
    "list_type": "Phải là danh sách",
    "dict_type": "Phải là đối tượng",
    "model_attributes_type": "Phải là đối tượng",
    "string_pattern_mismatch": "Sai định dạng",
}


class MethodNotAllowed(AppError):
    """The path exists, the method does not."""

    status, code = 405, "method_not_allowed"
    vi, en = "Phương thức không được hỗ trợ", "The method is not allowed here"


class UnsupportedMediaType(AppError):
    """The body is of a kind that this call does not take."""

    status, code = 415, "unsupported_media_type"
    vi, en = "Kiểu nội dung không được hỗ trợ", "The content type is not supported"


class RouteNotFound(NotFound):
    """No such path."""

    code = "route_not_found"
    vi, en = "Đường dẫn không tồn tại", "There is no such path"


def wrong(code: str, vi: str, en: str) -> PydanticCustomError:
    """What a model's validator raises: a stable code, and the sentence in the request's language."""
    return PydanticCustomError(code, "{said}", {"said": vi if language.get() == "vi" else en})


def from_validation(error: RequestValidationError) -> Invalid:
    """Pydantic's list of errors as a problem; input values are left out of it."""
    return Invalid(errors=[_field_error(item) for item in error.errors()[:100]])


def from_http(error: HTTPException) -> AppError:
    """Starlette's refusals (404, 405, a bad form) as problems."""
    if isinstance(error.__cause__, AppError):
        # Reading the body raised it, and FastAPI lets nothing but an HTTPException pass from there.
        return error.__cause__
    headers = dict(error.headers or {})
    match error.status_code:
        case 404:
            return RouteNotFound(headers=headers)
        case 405:
            return MethodNotAllowed(headers=headers)
        case 415:
            return UnsupportedMediaType(headers=headers)
        case _:
            return AppError(headers=headers)


def _field_error(item: dict[str, Any]) -> FieldError:
    path = [str(part) for part in item["loc"] if part not in ("body", "query", "path", "header")]
    kind = str(item["type"])
    message = str(item["msg"]).removeprefix("Value error, ")
    if language.get() == "vi" and "said" not in item.get("ctx", {}):
        context = {key: str(value) for key, value in item.get("ctx", {}).items()}
        if "expected" in context:
            # pydantic's own list, "'a', 'b' or 'c'".
            context["expected"] = context["expected"].replace(" or ", ", ")
        template = VIETNAMESE.get(kind, "Giá trị không hợp lệ" if kind != "value_error" else message)
        message = template.format_map(context) if "{" in template and context else template
    return FieldError(field=".".join(path) or "body", code=kind, message=message)
