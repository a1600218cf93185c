"""Requests and replies of identity."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, SecretStr

from app.core import fields
from app.core.clock import VIETNAM, time_zone
from app.core.schemas import ABSENT, Strict, example, patch_of
from app.core.validation import wrong
from app.core.vietnam import text
from app.identity.permissions import PermissionKeys, RoleKey

EMAIL = fields.Field("email", "E-mail", "This", "email")
PHONE = fields.Field("phone", "Số điện thoại", "This", "phone")


def _one_line(value: str) -> str:
    cleaned = text.clean(value)
    if not cleaned:
        raise wrong("missing", "Bắt buộc nhập", "This is required")
    return cleaned


def _zone(value: str) -> str:
    try:
        return time_zone(value).key
    except ValueError:
        raise wrong("timezone_invalid", "Không có múi giờ này", "There is no such time zone") from None


def _parsed(field: fields.Field) -> AfterValidator:
    """The value as the field takes it; a blank is nothing."""

    def parse(value: str) -> Any:
        try:
            return field.parse(value)
        except fields.BadValue as bad:
            raise wrong(bad.code, bad.vi, bad.en) from None

    return AfterValidator(parse)


Line = Annotated[str, Field(min_length=1, max_length=120), AfterValidator(_one_line)]
Email = Annotated[str, Field(max_length=254, examples=["lan@congty.vn"]), _parsed(EMAIL)]
Phone = Annotated[str, Field(max_length=40, examples=["0912345678"]), _parsed(PHONE)]
TimeZone = Annotated[str, Field(min_length=1, max_length=64, examples=[VIETNAM.key]), AfterValidator(_zone)]
Typed = Annotated[str, Field(min_length=1, max_length=200)]
# Fields know no later year; the driver cannot bring the last hours of year 9999 to UTC.
LAST_MOMENT = datetime(2200, 1, 1, tzinfo=UTC)
Members = Annotated[list[UUID], Field(max_length=1000, description="Accounts that are in the team.")]
# Longer than any password that is taken, so that a long one gets the rule's own message.
Password = Annotated[SecretStr, Field(max_length=1000)]


class LoginIn(Strict):
    """A sign-in. The workspace is the company's short name."""

    model_config = example({"workspace": "demo", "username": "admin", "password": "mật khẩu của bạn"})

    workspace: Typed = Field(examples=["demo"])
    username: Typed = Field(examples=["admin"])
    password: Password


class RefreshIn(Strict):
    """The refresh token of the last reply."""

    model_config = example({"refresh_token": "the refresh_token of the last reply"})

    refresh_token: Annotated[str, Field(max_length=200)]


class TokensOut(BaseModel):
    """Send `access_token` as `Authorization: Bearer …`; trade `refresh_token` for the next pair, once."""

    access_token: str
    refresh_token: str
    token_type: str = "bearer"  # noqa: S105
    expires_in: int = Field(description="Seconds that the access token lives.")


class PasswordIn(Strict):
    """A change of one's own password."""

    model_config = example({"current_password": "mật khẩu đang dùng", "new_password": "một câu dài dễ nhớ"})

    current_password: Password
    new_password: Password


class ProfilePatch(Strict):
    """What people change about themselves; absent stays, null clears."""

    model_config = example({"full_name": "Nguyễn Thị Lan"})

    full_name: Line = ABSENT
    email: Email | None = ABSENT
    phone: Phone | None = ABSENT


class UserIn(Strict):
    """A new account."""

    model_config = example(
        {"username": "lan.nguyen", "password": "một câu dài dễ nhớ", "full_name": "Nguyễn Thị Lan", "role": "sale"}
    )

    username: Annotated[str, Field(min_length=2, max_length=64, examples=["lan.nguyen"])]
    password: Password
    full_name: Line
    email: Email | None = None
    phone: Phone | None = None
    role: RoleKey = "sale"
    permissions: PermissionKeys | None = Field(None, description="Stand in for the role's; null: the role's.")


class UserPatch(Strict):
    """Changes of an account; absent stays, null clears. The user name never changes."""

    model_config = example({"active": False})

    full_name: Line = ABSENT
    email: Email | None = ABSENT
    phone: Phone | None = ABSENT
    role: RoleKey = ABSENT
    permissions: PermissionKeys | None = ABSENT
    active: bool = ABSENT
    password: Password = ABSENT


class UserOut(BaseModel):
    """An account. `permissions` is what it may do now; `own_permissions` is null while those are the role's."""

    id: UUID
    username: str
    full_name: str
    email: str | None
    phone: str | None
    role: str
    role_id: UUID
    permissions: list[str]
    own_permissions: list[str] | None
    active: bool
    last_login_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime


class MeOut(UserOut):
    """The caller's own account and workspace, and the teams that the caller is in."""

    workspace: "WorkspaceOut"
    teams: list["TeamName"]


class WorkspaceOut(BaseModel):
    """The company."""

    id: UUID
    slug: str
    name: str
    timezone: str


class TeamName(BaseModel):
    """A team by its name."""

    id: UUID
    name: str


class UserPage(BaseModel):
    """Accounts in the order of their user names."""

    items: list[UserOut]
    next_cursor: str | None
    count: int | None


class RolePatch(Strict):
    """Changes of a role."""

    model_config = example({"permissions": ["customers.view", "customers.create"]})

    name: Line = ABSENT
    permissions: PermissionKeys = ABSENT


class RoleOut(BaseModel):
    """A role and what it may do."""

    id: UUID
    key: str
    name: str
    permissions: list[str]
    version: int
    created_at: datetime
    updated_at: datetime


class RolePage(BaseModel):
    """All roles."""

    items: list[RoleOut]
    next_cursor: str | None = None
    count: int | None


class TeamIn(Strict):
    """A new team of staff."""

    model_config = example({"name": "Miền Bắc"})

    name: Line
    parent_id: UUID | None = Field(None, description="The team that it stands below.")
    members: Members = []


class TeamPatch(Strict):
    """Changes of a team; absent stays."""

    model_config = example({"name": "Miền Bắc và Miền Trung"})

    name: Line = ABSENT
    parent_id: UUID | None = ABSENT
    members: Members = ABSENT


class TeamMemberOut(BaseModel):
    """Somebody in a team."""

    id: UUID
    username: str
    full_name: str
    active: bool


class TeamOut(BaseModel):
    """A team and who is in it: not who is only in a team below it."""

    id: UUID
    name: str
    parent_id: UUID | None
    members: list[TeamMemberOut]
    created_at: datetime
    updated_at: datetime
    version: int


class TeamPage(BaseModel):
    """Teams by name."""

    items: list[TeamOut]
    next_cursor: str | None
    count: int | None


class PermissionOut(BaseModel):
    """A named permission; `label` is in the caller's language."""

    key: str
    label: str
    label_vi: str
    label_en: str
    grantable: bool = Field(description="May be the scope of an API key.")


class PermissionPage(BaseModel):
    """All permissions."""

    items: list[PermissionOut]
    next_cursor: str | None = None
    count: int | None


class ApiKeyIn(Strict):
    """A new key for a program."""

    model_config = example({"name": "Tổng đài", "scopes": ["customers.view"]})

    name: Line
    scopes: Annotated[PermissionKeys, Field(min_length=1)]
    expires_at: Annotated[AwareDatetime, Field(le=LAST_MOMENT)] | None = Field(
        None, description="Null: until it is revoked. 2200 at the latest."
    )


class ApiKeyOut(BaseModel):
    """A key without its secret. `last_used_at` is exact to a minute."""

    id: UUID
    name: str
    scopes: list[str]
    created_by: UUID
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime


class NewApiKeyOut(ApiKeyOut):
    """A new key. `key` is shown in this reply only."""

    key: str


class ApiKeyPage(BaseModel):
    """Keys, the newest first."""

    items: list[ApiKeyOut]
    next_cursor: str | None
    count: int | None


class SystemParameters(BaseModel):
    """Thông số hệ thống: what a workspace decides for all its people."""

    group_description_required: bool = Field(False, description="Customer groups need a description.")
    trash_retention_days: int = Field(30, ge=0, le=3650, description="Days in the trash before a purge; 0: for ever.")
    timezone: TimeZone = Field(
        VIETNAM.key, description="IANA name of the zone where days begin: for filters, exports and imports."
    )


class SettingsPatch(patch_of(SystemParameters)):  # type: ignore[misc]  # its members are those of another model
    """Changes of the system parameters; absent stays."""

    model_config = example({"group_description_required": True})


class SettingsOut(SystemParameters):
    """The system parameters in force."""

    version: int
    updated_at: datetime
