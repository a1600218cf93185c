"""The facts that customers can be filtered by: one entry for each, so that no domain below knows those above it."""

from collections.abc import Callable
from dataclasses import replace
from zoneinfo import ZoneInfo

from app.core.fields import GENDERS
from app.customers.registry import LISTS
from app.filters.fields import (
    Filterable,
    Labels,
    Lists,
    Related,
    choice_field,
    date_field,
    flag_field,
    list_field,
    moment_field,
    number_field,
    text_field,
)
from app.filters.related import RELATED
from app.transactions import types

__all__ = ["register"]


def register() -> None:
    """Makes the facts known to filters; called once by the application and by a worker, before anybody filters."""
    RELATED.update(FACTS)
    LISTS["transaction_type"] = types.by_name


CONTRACT_STATES: Labels = {
    "draft": ("Nháp", "Draft"),
    "active": ("Đang hiệu lực", "Active"),
    "finished": ("Đã kết thúc", "Finished"),
    "cancelled": ("Đã hủy", "Cancelled"),
}
TRANSACTION_STATES: Labels = {
    "not_started": ("Chưa thực hiện", "Not started"),
    "in_progress": ("Đang thực hiện", "In progress"),
    "completed": ("Đã hoàn thành", "Completed"),
}
POINTS: Labels = {
    "phone": ("Điện thoại", "Phone"),
    "email": ("Email", "E-mail"),
    "address": ("Địa chỉ", "Address"),
    "link": ("Liên kết", "Link"),
}
# The day it was signed, or was entered where nobody said.
CONTRACT_DAY = "coalesce(r.signed_on, (r.created_at AT TIME ZONE '{zone}')::date)"


def _by_key(*fields: Filterable) -> dict[str, Filterable]:
    return {field.key: field for field in fields}


def _contracts(_: Lists, zone: ZoneInfo) -> Related:
    return Related(
        "crm.contract",
        _by_key(
            text_field("number", "Số hợp đồng", "Number", "r.number"),
            text_field("name", "Tên hợp đồng", "Name", "r.name"),
            number_field("value", "Giá trị hợp đồng", "Value", "r.value", cast="bigint"),
            choice_field("state", "Trạng thái hợp đồng", "State", "r.state", CONTRACT_STATES),
            date_field("date", "Ngày hợp đồng", "Date", CONTRACT_DAY.format(zone=zone.key)),
            date_field("signed_on", "Ngày ký", "Signed on", "r.signed_on"),
            date_field("starts_on", "Ngày bắt đầu", "Starts on", "r.starts_on"),
            date_field("ends_on", "Ngày kết thúc", "Ends on", "r.ends_on"),
            moment_field("created_at", "Ngày tạo hợp đồng", "Created", "r.created_at"),
        ),
        "Hợp đồng",
        "Contracts",
        moment="date",
        permission="contracts.view",
    )


def _transactions(lists: Lists, _: ZoneInfo) -> Related:
    return Related(
        "crm.transaction",
        _by_key(
            text_field("name", "Tên giao dịch", "Name", "r.name"),
            list_field("type", "Loại giao dịch", "Type", "r.type_id", lists["transaction_type"]),
            choice_field("state", "Trạng thái giao dịch", "State", "r.state", TRANSACTION_STATES),
            moment_field("created_at", "Ngày giao dịch", "Created", "r.created_at"),
            moment_field("completed_at", "Ngày hoàn thành", "Completed", "r.completed_at"),
        ),
        "Giao dịch",
        "Transactions",
        moment="created_at",
        permission="transactions.view",
    )


CONTACTS = Related(
    "crm.contact",
    _by_key(
        text_field("name", "Tên người liên hệ", "Name", "r.name"),
        text_field("position", "Chức vụ", "Position", "r.position"),
        choice_field("gender", "Giới tính", "Gender", "r.gender", GENDERS),
        date_field("birthday", "Ngày sinh", "Birthday", "r.birthday"),
        flag_field("is_primary", "Là liên hệ chính", "Is primary", "r.is_primary"),
        moment_field("created_at", "Ngày thêm liên hệ", "Added", "r.created_at"),
    ),
    "Người liên hệ",
    "Contacts",
    moment="created_at",
)
CONTACT_POINTS = Related(
    "crm.contact_point",
    _by_key(
        choice_field("kind", "Loại", "Kind", "r.kind", POINTS),
        text_field("label", "Nhãn", "Label", "r.label"),
        # A phone among others.
        replace(text_field("value", "Giá trị", "Value", "r.value"), private=True),
        moment_field("created_at", "Ngày thêm", "Added", "r.created_at"),
    ),
    "Thông tin liên hệ khác",
    "Further phones, e-mails, addresses and links",
    moment="created_at",
)
FACTS: dict[str, Callable[[Lists, ZoneInfo], Related]] = {
    "contracts": _contracts,
    "transactions": _transactions,
    "contacts": lambda *_: CONTACTS,
    "contact_points": lambda *_: CONTACT_POINTS,
}
