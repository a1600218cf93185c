"""Refusals of identity."""

from collections.abc import Sequence
from typing import Any

from app.core.errors import AppError, Conflict, Forbidden, TooManyRequests
from app.core.i18n import Language, language


class InvalidCredentials(AppError):
    """The sign-in failed; the reply is the same whatever was wrong."""

    status, code = 401, "invalid_credentials"
    vi, en = "Sai tên đăng nhập hoặc mật khẩu", "Wrong user name or password"

    def __init__(self, **values: Any) -> None:
        super().__init__(headers={"WWW-Authenticate": "Bearer"}, **values)


class LoginThrottled(TooManyRequests):
    """Too many failed sign-ins with this name or from this address."""

    code = "login_throttled"
    vi = "Đăng nhập sai quá nhiều lần, vui lòng thử lại sau {seconds} giây"
    en = "Too many failed sign-ins; try again in {seconds} seconds"


class UserOnly(AppError):
    """Only a person who has signed in can do this, not an API key."""

    status, code = 403, "user_only"
    vi, en = "Chức năng này chỉ dành cho người dùng đã đăng nhập", "Only a signed-in user can do this"


class UsernameTaken(Conflict):
    """Another user of the workspace has this user name."""

    code = "username_taken"
    vi, en = "Tên đăng nhập đã tồn tại", "The user name is taken"


class NameTaken(Conflict):
    """The list has a value of this name."""

    code = "name_taken"
    vi, en = "Tên đã tồn tại", "This name already exists"


class TeamCircle(Conflict):
    """A team cannot stand below itself, or below one that stands below it."""

    code = "team_circle"
    vi = "Nhóm không thể trực thuộc chính nó hoặc nhóm cấp dưới của nó"
    en = "A team cannot be below itself or below one of the teams below it"


class TeamHasTeams(Conflict):
    """Teams stand below this one, so it cannot go."""

    code = "team_has_teams"
    vi = "Nhóm còn nhóm cấp dưới; hãy chuyển hoặc xóa các nhóm đó trước"
    en = "There are teams below this one; move or delete them first"


class TooManyTeams(Conflict):
    """The workspace has as many teams as one may have."""

    code = "too_many_teams"
    vi, en = "Chỉ có thể có tối đa {limit} nhóm nhân viên", "There can be at most {limit} teams"


class LastAdministrator(Conflict):
    """A workspace keeps at least one active administrator."""

    code = "last_administrator"
    vi = "Phải còn ít nhất một quản trị hệ thống đang hoạt động"
    en = "The last active administrator must stay"


class RoleFixed(Conflict):
    """The administrator's permissions are all permissions, and stay so."""

    code = "role_fixed"
    vi, en = "Không thể đổi quyền của quản trị hệ thống", "The administrator's permissions cannot be changed"


class NotGrantable(AppError):
    """Nobody can give a permission that they do not have."""

    status, code = 403, "permission_not_grantable"
    vi = "Bạn không thể cấp quyền mà bạn không có: {permissions}"
    en = "You cannot grant permissions that you do not have: {permissions}"

    def __init__(self, *, permissions: Sequence[str]) -> None:
        """`permissions` are keys; the sentence says their labels."""
        super().__init__(extra={"permissions": list(permissions)})
        self.permissions = permissions

    def message(self, chosen: Language | None = None) -> str:
        """The sentence, with the permissions' labels in the same language."""
        spoken = chosen or language.get()
        said = ", ".join(Forbidden.label(one, spoken) for one in self.permissions)
        return (self.vi if spoken == "vi" else self.en).format(permissions=said)


class KeyRevoked(Conflict):
    """The API key has been revoked already."""

    code = "api_key_revoked"
    vi, en = "API key đã bị thu hồi", "The API key has been revoked"


class SlugTaken(Conflict):
    """Another workspace has this short name."""

    code = "workspace_slug_taken"
    vi, en = "Mã doanh nghiệp đã tồn tại", "The workspace's short name is taken"
