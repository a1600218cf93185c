"""Errors as facts: a stable code, a status, and a sentence in Vietnamese and English.

Every reply that is not a success is `application/problem+json` (RFC 9457). A domain declares its errors
as subclasses of `AppError`; the contract lists them from there.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from app.core.i18n import Language, language


class FieldError(BaseModel):
    """One thing wrong with one field of the request."""

    model_config = ConfigDict(json_schema_extra={"example": {"field": "phone", "code": "phone_invalid"}})

    field: str = Field(description="Path of the field: `phone`, `attributes.han_muc`, `mapping.name`.")
    code: str = Field(description="Stable code of the rule that failed.")
    message: str = Field(description="The same for a person, in the caller's language.")


class Problem(BaseModel):
    """An error (RFC 9457). `code` is stable; texts are in the language of Accept-Language, default Vietnamese."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["urn:chot:error:phone_taken"])
    title: str
    status: int
    code: str
    detail: str
    request_id: str
    errors: list[FieldError] = []


class AppError(Exception):
    """A refusal that the caller can understand and act upon."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "bad_request"
    vi: ClassVar[str] = "Yêu cầu không hợp lệ"
    en: ClassVar[str] = "The request is not valid"

    def __init__(
        self,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
        **values: object,
    ) -> None:
        """`values` fill the placeholders of the sentence; `extra` are further members of the problem."""
        super().__init__(self.code)
        self.errors, self.headers, self.values = list(errors), dict(headers or {}), values
        self.extra = dict(extra or {})

    def message(self, chosen: Language | None = None) -> str:
        """The sentence in a language, the request's by default."""
        return (self.vi if (chosen or language.get()) == "vi" else self.en).format(**self.values)

    def problem(self, request_id: str) -> dict[str, Any]:
        """The reply's body."""
        return {
            "type": f"urn:chot:error:{self.code}",
            "title": title(self.status),
            "status": self.status,
            "code": self.code,
            "detail": self.message(),
            "request_id": request_id,
            "errors": [error.model_dump() for error in self.errors],
            **self.extra,
        }

    def on(self, field: str) -> FieldError:
        """The same refusal as one line of `errors`."""
        return FieldError(field=field, code=self.code, message=self.message())


class NotFound(AppError):
    """The id does not exist for this caller: another workspace's ids look exactly the same."""

    status, code = 404, "not_found"
    vi, en = "Không tìm thấy dữ liệu", "Not found"


class Invalid(AppError):
    """One or more fields of the request are wrong; `errors` names each."""

    status, code = 422, "invalid"
    vi, en = "Dữ liệu không hợp lệ", "Some values are not valid"


class Unauthenticated(AppError):
    """Nobody, or nobody any more: sign in again."""

    status, code = 401, "unauthenticated"
    vi, en = "Vui lòng đăng nhập", "Please sign in"

    def __init__(self, **values: Any) -> None:
        super().__init__(headers={"WWW-Authenticate": "Bearer"}, **values)


class Forbidden(AppError):
    """The caller lacks the permission named in `permission`."""

    status, code = 403, "forbidden"
    vi = "Bạn không có quyền thực hiện thao tác này ({permission}). Vui lòng liên hệ quản trị hệ thống"
    en = "You lack the permission {permission}. Please contact your system administrator"
    labels: ClassVar[dict[str, tuple[str, str]]] = {}

    def __init__(self, *, permission: str) -> None:
        """`permission` is a key; the sentence says its label, which the domain that owns permissions fills in."""
        super().__init__(extra={"permission": permission}, permission=permission)

    def message(self, chosen: Language | None = None) -> str:
        """The sentence, with the permission's label in the same language."""
        spoken = chosen or language.get()
        said = self.label(str(self.values["permission"]), spoken)
        return (self.vi if spoken == "vi" else self.en).format(permission=said)

    @classmethod
    def label(cls, permission: str, spoken: Language) -> str:
        """What a permission is called."""
        vi, en = cls.labels.get(permission, (permission, permission))
        return vi if spoken == "vi" else en


class PreconditionRequired(AppError):
    """A change of a record must name the version it was made from."""

    status, code = 428, "if_match_required"
    vi = "Thiếu If-Match: hãy gửi kèm phiên bản (ETag) của bản ghi"
    en = "If-Match is missing: send the record's ETag"


class Stale(AppError):
    """Somebody else changed the record first; read it again."""

    status, code = 412, "stale"
    vi = "Dữ liệu đã được người khác thay đổi, vui lòng tải lại"
    en = "The record has changed since you read it; please reload"


class Conflict(AppError):
    """The state of the record does not allow this."""

    status, code = 409, "conflict"
    vi, en = "Trạng thái hiện tại không cho phép thao tác này", "The current state does not allow this"


class TooLarge(AppError):
    """The body is over the limit of this call."""

    status, code = 413, "too_large"
    vi, en = "Dữ liệu gửi lên vượt quá {limit}", "The body is over {limit}"

    def __init__(self, *, limit: int) -> None:
        """`limit` is in bytes, as the operator set it."""
        said = f"{limit // 10**6} MB" if limit >= 10**6 else f"{limit // 1000} KB"
        super().__init__(extra={"limit": limit}, limit=said)


class TooManyRequests(AppError):
    """Over the rate limit; `Retry-After` tells when to come back."""

    status, code = 429, "rate_limited"
    vi = "Bạn thao tác quá nhanh, vui lòng thử lại sau {seconds} giây"
    en = "Too many requests; try again in {seconds} seconds"


class Unavailable(AppError):
    """A part of the system is down or full for the moment; nothing was changed."""

    status, code = 503, "unavailable"
    vi, en = "Hệ thống đang bận, vui lòng thử lại sau ít giây", "Busy or restarting; please try again"

    def __init__(self, **values: Any) -> None:
        super().__init__(headers={"Retry-After": "2"}, **values)


class TooSlow(AppError):
    """The database gave up on a statement: the same request again would take as long."""

    status, code = 422, "query_too_slow"
    vi = "Yêu cầu này mất quá nhiều thời gian; hãy thu hẹp điều kiện lọc"
    en = "This takes too long; please narrow the conditions"


class Full(AppError):
    """The disk has no room for the upload."""

    status, code = 507, "storage_full"
    vi, en = "Máy chủ hết dung lượng lưu trữ", "The server has no room left"


def title(status: int) -> str:
    """The standard name of a status: "Not Found"."""
    return HTTPStatus(status).phrase


def invalid(field: str, code: str, vi: str, en: str) -> Invalid:
    """A refusal for one field, said in both languages."""
    return Invalid(errors=[FieldError(field=field, code=code, message=vi if language.get() == "vi" else en)])


def known_errors() -> list[type[AppError]]:
    """Every error class, for the contract and for the law that codes are unique."""
    found, queue = [], [AppError]
    while queue:
        kind = queue.pop()
        found.append(kind)
        queue.extend(kind.__subclasses__())
    return found
