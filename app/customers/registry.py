"""The Field registry of customers: built-in fields, system fields, and the workspace's attributes.

Import mapping, templates, lists, filters and the contract read it; a new attribute is in it at once.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from functools import cached_property
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import VIETNAM, time_zone
from app.core.configuration import PerWorkspace
from app.core.db import Database
from app.core.fields import Field
from app.core.vietnam import text as vn
from app.customers import duplicate_keys
from app.customers.duplicate_keys import DuplicateKey
from app.customers.models import Attribute, Classification, CustomerGroup, FieldSetting, Tag
from app.customers.words import UNIQUE_LENGTH
from app.identity import team_tree
from app.identity.models import User
from app.identity.parameters import parameters
from app.identity.team_tree import Team

BUILT_IN: tuple[Field, ...] = (
    Field("name", "Tên khách hàng", "Name", "text", 1, required=True, column="name", max_length=255,
          aliases=("họ tên", "họ và tên", "tên", "tên kh", "tên khách", "khách hàng", "họ tên khách hàng", "ho va ten",
                   "fullname", "full name", "customer", "customer name", "contact name", "người liên hệ",
                   "tên liên hệ", "tên đầy đủ")),
    Field("phone", "Số điện thoại", "Phone", "phone", 2, required=True, unique=True, column="phone",
          aliases=("sđt", "sdt", "đt", "dt", "điện thoại", "số đt", "di động", "dđ", "mobile", "tel", "phone number",
                   "cell", "hotline", "số điện thoại di động", "số di động", "đtdđ", "dtdd", "số liên hệ",
                   "điện thoại di động", "telephone", "zalo")),
    Field("email", "Email", "E-mail", "email", 3, column="email",
          aliases=("e-mail", "mail", "thư điện tử", "địa chỉ email", "email address", "hộp thư")),
    Field("birthday", "Ngày sinh", "Birthday", "date", 4, column="birthday",
          aliases=("sinh nhật", "ns", "ngày tháng năm sinh", "birth date", "date of birth", "dob", "ngày sinh nhật")),
    Field("province", "Tỉnh/Thành phố", "Province", "province", 5, column="province",
          aliases=("tỉnh", "thành phố", "tỉnh thành", "tỉnh/thành", "tp", "tỉnh thành phố", "city", "tỉnh/tp",
                   "khu vực")),
    Field("gender", "Giới tính", "Gender", "gender", 6, column="gender", choices=("male", "female", "other"),
          aliases=("gt", "phái", "sex", "nam/nữ")),
    Field("address", "Địa chỉ", "Address", "text", 7, column="address", max_length=1000,
          aliases=("địa chỉ thường trú", "đc", "address", "nơi ở", "chỗ ở", "địa chỉ liên hệ")),
    Field("source", "Nguồn khách hàng", "Source", "choice", 8, column="source_id",
          aliases=("nguồn", "nguồn kh", "kênh", "lead source", "nguồn data", "nguồn dữ liệu")),
    Field("customer_type", "Loại hình khách hàng", "Customer type", "choice", 9, column="customer_type_id",
          aliases=("loại khách hàng", "loại kh", "loại hình", "phân loại", "type", "loại")),
    Field("company_name", "Tên công ty", "Company", "text", 10, column="company_name", max_length=255,
          aliases=("công ty", "cty", "doanh nghiệp", "tên doanh nghiệp", "company", "company name", "đơn vị",
                   "tên cty", "tổ chức")),
    Field("tax_code", "Mã số thuế", "Tax code", "tax_code", 11, column="tax_code",
          aliases=("mst", "ms thuế", "tax", "tax id", "vat", "mã thuế", "mst/cccd")),
    Field("position", "Chức vụ", "Position", "text", 12, column="position", max_length=255,
          aliases=("chức danh", "vị trí", "job title", "title", "cv")),
    Field("note", "Ghi chú", "Note", "long_text", 13, column="note",
          aliases=("ghi chu", "mô tả", "nội dung", "notes", "comment", "diễn giải", "gc")),
)  # fmt: skip

KINDS = {
    "lead": ("Khách hàng tiềm năng", "Lead", ("tiềm năng", "đầu mối")),
    "individual": ("Cá nhân", "Individual", ("contact", "khách hàng cá nhân", "person")),
    "company": ("Công ty", "Company", ("account", "doanh nghiệp", "tổ chức", "khách hàng doanh nghiệp")),
}


def _kind() -> Field:
    """A lead, a person or a company, under any of its names."""
    field = Field(
        "kind", "Kiểu khách hàng", "Kind", "choice", 80, column="kind",
        aliases=("kiểu", "kiểu kh", "đối tượng khách hàng", "customer kind"),
    ).with_choices(tuple(KINDS))  # fmt: skip
    for kind, (vi, en, others) in KINDS.items():
        for name in (vi, en, *others):
            field.choice_keys[name.casefold()] = field.choice_keys[vn.fold(name)] = kind
    return field


# Further fields of every workspace, after the 13. A workspace that gives one its place in the form or requires it gets
# it in the import's template too.
EXTRA: tuple[Field, ...] = (
    _kind(),
    Field("fax", "Số fax", "Fax", "phone", 81, column="fax", aliases=("fax", "fax number")),
    Field("registered_address", "Địa chỉ đăng ký kinh doanh", "Registered address", "text", 82,
          column="registered_address", max_length=1000,
          aliases=("địa chỉ đkkd", "đc đkkd", "địa chỉ đăng ký", "trụ sở", "địa chỉ trụ sở")),
    Field("office_address", "Địa chỉ văn phòng", "Office address", "text", 83, column="office_address",
          max_length=1000, aliases=("văn phòng", "địa chỉ vp", "đc văn phòng", "văn phòng giao dịch")),
    Field("country", "Quốc gia", "Country", "text", 84, column="country", aliases=("nước", "nation")),
    Field("district", "Quận/Huyện", "District", "text", 85, column="district",
          aliases=("quận", "huyện", "quận huyện", "thị xã")),
    Field("ward", "Phường/Xã", "Ward", "text", 86, column="ward", aliases=("phường", "xã", "phường xã", "thị trấn")),
    Field("website", "Website", "Website", "link", 87, column="website",
          aliases=("trang web", "web", "url", "homepage")),
    Field("founded_on", "Ngày thành lập", "Founding day", "date", 88, column="founded_on",
          aliases=("ngày lập", "thành lập ngày", "founded", "date founded")),
    # A customer or an employee, never both.
    Field("referrer", "Khách hàng giới thiệu", "Referring customer", "record", 89, column="referrer_id"),
    Field("referrer_user", "Nhân viên giới thiệu", "Referring employee", "person", 90, column="referrer_user_id",
          aliases=("nv giới thiệu", "người giới thiệu là nhân viên")),
)  # fmt: skip

ASSIGNABLE: tuple[Field, ...] = (
    Field("relationship", "Mối quan hệ", "Relationship", "choice", 101, column="relationship_id",
          aliases=("mqh", "trạng thái", "tình trạng", "status", "giai đoạn")),
    Field("owner", "Người phụ trách", "Owner", "person", 102, column="owner_id",
          aliases=("nv phụ trách", "nhân viên phụ trách", "nvpt", "sale", "sales", "người chăm sóc", "chủ sở hữu",
                   "nhân viên", "nhân viên kinh doanh", "nvkd", "phụ trách", "assigned to", "account owner")),
    Field("groups", "Nhóm khách hàng", "Groups", "choices", 103, column="group_nos",
          aliases=("nhóm", "nhóm kh", "tập khách hàng", "group", "tệp khách hàng", "tệp")),
    Field("tags", "Nhãn", "Tags", "choices", 104, column="tag_nos", aliases=("thẻ", "nhãn dán", "tag", "labels")),
    Field("tier", "Phân cấp khách hàng", "Tier", "choice", 105, column="tier_id",
          aliases=("phân cấp", "cấp khách hàng", "hạng khách hàng", "hạng", "level", "rank")),
)  # fmt: skip

SYSTEM: tuple[Field, ...] = (
    Field("id", "Mã định danh", "Id", "text", 200, writable=False, column="id"),
    Field("code", "Mã khách hàng", "Code", "text", 201, unique=True, writable=False, column="code",
          aliases=("mã kh", "mã", "customer code")),
    Field("score", "Điểm tiềm năng", "Score", "integer", 206, writable=False, column="score"),
    Field("stars", "Xếp hạng tiềm năng (sao)", "Stars", "integer", 207, writable=False, column="stars"),
    Field("shared_with", "Chia sẻ với", "Shared with", "people", 208, writable=False, column="shared_with"),
    Field("created_at", "Ngày tạo", "Created", "datetime", 202, writable=False, column="created_at"),
    Field("updated_at", "Ngày cập nhật", "Updated", "datetime", 203, writable=False, column="updated_at"),
    Field("version", "Phiên bản", "Version", "integer", 204, writable=False, column="version"),
)  # fmt: skip


# Lists of domains above, whose values filters take by name: who reads each (app/related.py fills it).
LISTS: Final[dict[str, Callable[[AsyncSession], Awaitable[dict[str, UUID]]]]] = {}


@dataclass(frozen=True)
class Group:
    """A group or a tag as imports and lists need it."""

    id: UUID
    no: int
    name: str
    points: int = 0
    dimension: str | None = None


@dataclass(frozen=True)
class Registry:
    """All fields of a workspace's customers, in order, and the ids behind the names of its lists.

    `owners` and `names` are the user names and full names of active people; `versions` those of fields that were
    changed (an unchanged one has version 1); `categories` those of relationships by their names; `lists` the ids of
    the values of LISTS; `teams` those of the staff by their names; `zone` where the workspace's days begin.
    """

    fields: dict[str, Field]
    ids: dict[str, dict[str, UUID]]
    groups: dict[str, Group]
    owners: dict[UUID, str]
    first_relationship: str | None
    names: dict[UUID, str] = dataclass_field(default_factory=dict)
    tags: dict[str, Group] = dataclass_field(default_factory=dict)
    categories: dict[str, str] = dataclass_field(default_factory=dict)
    versions: dict[str, int] = dataclass_field(default_factory=dict)
    duplicate_keys: tuple[DuplicateKey, ...] = duplicate_keys.DEFAULT
    lists: dict[str, dict[str, UUID]] = dataclass_field(default_factory=dict)
    teams: dict[str, Team] = dataclass_field(default_factory=dict)
    zone: ZoneInfo = VIETNAM

    def get(self, key: str) -> Field | None:
        """A field by its key; an attribute also by its bare key where no built-in field has it."""
        return self.fields.get(key) or self.fields.get(f"attributes.{key}")

    @cached_property
    def importable(self) -> list[Field]:
        """The fields that a file's columns can be mapped to, in the order of the template."""
        return [field for field in self.fields.values() if field.writable and field.type != "record"]

    @cached_property
    def in_template(self) -> list[Field]:
        """Those that the import's template has: not the further fields that the workspace never gave a place."""
        further = {field.key for field in EXTRA} - self.versions.keys()
        return [field for field in self.importable if field.key not in further]

    @cached_property
    def attributes(self) -> list[Field]:
        """The workspace's own fields, in their order."""
        return [field for field in self.fields.values() if field.is_attribute]

    @cached_property
    def labels(self) -> dict[str, dict[UUID, str]]:
        """Names of list values by their ids."""
        return {key: {id_: name for name, id_ in ids.items()} for key, ids in self.ids.items()}


async def load(session: AsyncSession) -> Registry:
    """The registry of the session's workspace; kept until its configuration changes."""
    return await _registries.get(session)


async def load_reading(connection: asyncpg.Connection, db: Database, tenant_id: UUID) -> Registry:
    """The same for a request that only reads."""
    return await _registries.read(connection, db, tenant_id)


def attribute_field(row: Attribute, people: Iterable[User] = ()) -> Field:
    """An attribute as a Field."""
    made = Field(
        f"attributes.{row.key}", row.name, row.name, row.type, row.position, required=row.required,
        unique=row.is_unique, attribute_id=row.id, slot=row.slot,
        max_length=UNIQUE_LENGTH if row.is_unique else 1000,
    )  # fmt: skip
    if row.type == "person":
        return replace(made, choice_keys=_people(people))
    return made.with_choices(tuple(row.choices)) if row.choices else made


async def _build(session: AsyncSession, _version: int) -> Registry:
    in_order = select(Classification).order_by(Classification.kind, Classification.position, Classification.id)
    lists = list(await session.scalars(in_order))
    groups = list(await session.scalars(select(CustomerGroup)))
    tags = list(await session.scalars(select(Tag)))
    people = list(await session.scalars(select(User).where(User.active)))
    live = select(Attribute).where(Attribute.deleted_at.is_(None)).order_by(Attribute.position, Attribute.id)
    attributes = list(await session.scalars(live))
    settings = {row.key: row for row in await session.scalars(select(FieldSetting))}
    ids = {
        kind: {row.name: row.id for row in lists if row.kind == kind}
        for kind in ("source", "customer_type", "relationship", "tier")
    }
    versions = {row.key: row.version for row in settings.values()}
    versions |= {f"attributes.{row.key}": row.version for row in attributes}
    zone = time_zone((await parameters(session)).timezone)
    active = {kind: tuple(row.name for row in lists if row.kind == kind and row.active) for kind in ids}

    def complete(field: Field) -> Field:
        field, setting = replace(field, zone=zone.key), settings.get(field.key)
        if setting:
            field = replace(field, required=setting.required, position=setting.position)
        if field.key in active:
            return field.with_choices(active[field.key])
        if field.key == "groups":
            return field.with_choices(tuple(group.name for group in groups))
        if field.key == "tags":
            return field.with_choices(tuple(tag.name for tag in tags))
        return replace(field, choice_keys=_people(people)) if field.type == "person" else field

    fields = [complete(field) for field in BUILT_IN + EXTRA + ASSIGNABLE + SYSTEM]
    fields += [replace(attribute_field(row, people), zone=zone.key) for row in attributes]
    fields.sort(key=lambda field: (field.position, field.key))
    return Registry(
        fields={field.key: field for field in fields},
        ids=ids,
        groups={row.name: Group(row.id, row.no, row.name, row.points, row.dimension) for row in groups},
        tags={row.name: Group(row.id, row.no, row.name) for row in tags},
        categories={row.name: row.category for row in lists if row.category is not None},
        owners={person.id: person.username for person in people},
        first_relationship=next(iter(active["relationship"]), None),
        names={person.id: person.full_name for person in people},
        versions=versions,
        duplicate_keys=await duplicate_keys.load(session),
        lists={name: await read(session) for name, read in LISTS.items()},
        teams=await team_tree.load(session),
        zone=zone,
    )


def _people(people: Iterable[User]) -> dict[str, str]:
    """Every way to name a person in a file or form, to the id: the username, the id, a full name nobody shares."""
    named: dict[str, str] = {}
    shared: set[str] = set()
    for person in people:
        folded = vn.fold(person.full_name)
        if folded in named:
            shared.add(folded)
        named[folded] = str(person.id)
    for folded in shared:
        named.pop(folded, None)
    for person in people:
        named[person.username.casefold()] = named[str(person.id)] = str(person.id)
    return named


_registries = PerWorkspace(_build)
