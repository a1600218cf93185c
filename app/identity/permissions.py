"""The named permissions, their labels, and the sets that the three roles start with."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from app.core.errors import Forbidden
from app.core.validation import wrong

RoleKey = Literal["administrator", "manager", "sale"]


@dataclass(frozen=True, slots=True)
class Permission:
    """Something an actor may be allowed to do. `grantable` ones may be the scope of an API key."""

    key: str
    vi: str
    en: str
    grantable: bool = True


PERMISSIONS: tuple[Permission, ...] = (
    Permission("customers.view", "Xem khách hàng", "View customers"),
    Permission("customers.view_all", "Xem tất cả khách hàng", "View every customer"),
    Permission("customers.view_team", "Xem khách hàng của nhóm mình", "View the team's customers"),
    Permission("customers.create", "Thêm mới khách hàng", "Create customers"),
    Permission("customers.edit", "Sửa khách hàng", "Edit customers"),
    Permission("customers.delete", "Xóa khách hàng", "Delete customers"),
    Permission("customers.purge", "Xóa hẳn khách hàng", "Delete customers for good"),
    Permission("customers.merge", "Merge khách hàng", "Merge customers"),
    Permission("customers.import", "Nhập khách hàng từ file", "Import customers"),
    Permission("customers.export", "Xuất khách hàng ra file", "Export customers"),
    Permission("customers.reveal_phone", "Xem số điện thoại khách hàng", "See customers' phone numbers"),
    Permission("customers.lookup", "Tra cứu khách hàng của mọi người", "Look up everybody's customers"),
    Permission("groups.manage", "Quản lý nhóm khách hàng", "Manage customer groups"),
    Permission("tags.create", "Thêm mới nhãn", "Create tags"),
    Permission("lists.create", "Thêm nhanh giá trị danh mục", "Add values to lists"),
    Permission("transactions.view", "Xem giao dịch", "View transactions"),
    Permission("transactions.edit", "Thêm, sửa, xóa giao dịch", "Change transactions"),
    Permission("contracts.view", "Xem hợp đồng", "View contracts"),
    Permission("contracts.edit", "Thêm, sửa, xóa hợp đồng", "Change contracts"),
    Permission("filters.share", "Chia sẻ bộ lọc", "Share filters"),
    Permission("settings.crm", "cài đặt CRM", "CRM settings"),
    Permission("users.manage", "Quản lý sale", "Manage sales staff"),
    # A key that could grant rights would outlive whoever made it.
    Permission("roles.manage", "Quản lý vai trò và quản trị viên", "Manage roles and managers", grantable=False),
    Permission("api_keys.manage", "Thiết lập API", "Manage API keys", grantable=False),
    Permission("jobs.view_all", "Xem tiến trình của mọi người", "View everybody's background jobs"),
    Permission("jobs.control", "Dừng tiến trình của người khác", "Stop other people's background jobs"),
)
KEYS = frozenset(permission.key for permission in PERMISSIONS)
GRANTABLE = frozenset(permission.key for permission in PERMISSIONS if permission.grantable)

SALE = frozenset((
    "customers.view", "customers.create", "customers.edit", "customers.reveal_phone", "customers.lookup",
    "tags.create",
    "transactions.view", "transactions.edit", "contracts.view", "contracts.edit",
))  # fmt: skip

ROLES: dict[RoleKey, tuple[str, frozenset[str]]] = {
    "administrator": ("Quản trị hệ thống", KEYS),
    "manager": ("Quản lý", KEYS - {"roles.manage", "customers.purge"}),
    "sale": ("Sale", SALE),
}

Forbidden.labels.update({permission.key: (permission.vi, permission.en) for permission in PERMISSIONS})


def in_order(keys: Iterable[str]) -> list[str]:
    """The keys once each, in the order of the list; those that no longer exist are dropped."""
    wanted = set(keys)
    return [permission.key for permission in PERMISSIONS if permission.key in wanted]


def effective(role_key: str, of_role: Iterable[str], own: Iterable[str] | None) -> frozenset[str]:
    """What a user may do: their own set if they have one, else the role's. An administrator may do everything,
    also what later versions add."""
    if role_key == "administrator":
        return KEYS
    return KEYS.intersection(of_role if own is None else own)


def _known(keys: list[str]) -> list[str]:
    unknown = sorted(set(keys) - KEYS)
    if unknown:
        raise wrong("permission_unknown", f"Không có quyền {unknown[0]}", f"There is no permission {unknown[0]}")
    return in_order(keys)


PermissionKey = Annotated[str, Field(max_length=64, json_schema_extra={"enum": in_order(KEYS)})]
PermissionKeys = Annotated[list[PermissionKey], Field(max_length=50), AfterValidator(_known)]
