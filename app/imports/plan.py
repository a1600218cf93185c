"""What a run was asked to do, in the form that travels to the normalising process. Light to import."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from app.core.fields import Field
from app.imports.reading.model import column_letter

OnDuplicate = Literal["update", "skip", "reject"]
Action = Literal["write", "fold", "echo", "skipped", "failed"]

# The row that the template shows as an example, known again by its name, and its phone if phones are mapped.
EXAMPLE_NAME = "Nguyễn Văn A (ví dụ, dòng này không được nhập)"
EXAMPLE_PHONE = "0900 000 000"

# What every staged row has, in the order of the COPY; the columns of the mapped fields follow.
FIXED_COLUMNS = (
    "tenant_id", "import_id", "n", "id", "action", "first_n", "leader_n", "errors",
    "changes", "words", "phone_tail", "group_nos", "attributes", "uniques",
)  # fmt: skip


# What a row may say of a contact of its customer. A row that says nothing else goes on with the customer above it.
CONTACT_FIELDS: dict[str, Field] = {
    field.key: field
    for field in (
        Field("contact_name", "Tên người liên hệ", "Contact's name", "text", 121,
              aliases=("người liên hệ", "tên liên hệ", "liên hệ", "liên hệ chính", "người liên hệ chính",
                       "contact person", "contact")),
        Field("contact_phone", "Số điện thoại người liên hệ", "Contact's phone", "phone", 122,
              aliases=("sđt người liên hệ", "sdt người liên hệ", "điện thoại người liên hệ", "sđt liên hệ",
                       "đt người liên hệ", "số điện thoại liên hệ", "điện thoại liên hệ")),
        Field("contact_email", "Email người liên hệ", "Contact's e-mail", "email", 123,
              aliases=("email liên hệ", "mail người liên hệ", "mail liên hệ")),
        Field("contact_position", "Chức vụ người liên hệ", "Contact's position", "text", 124,
              aliases=("chức vụ liên hệ", "chức danh người liên hệ", "vị trí người liên hệ")),
    )
}  # fmt: skip
CONTACT_COLUMNS = (
    "contact_id", "contact_event_id", "contact_name", "contact_phone", "contact_tail", "contact_email",
    "contact_position",
)  # fmt: skip


Problem = dict[str, Any]
"""Why a row, or a field of it, was refused or skipped, or kept by an undo: as RowProblemOut shows it."""


class Target(msgspec.Struct, frozen=True):
    """A field and the column of the file (counted from 0) that fills it."""

    field: Field
    column: int

    @property
    def letter(self) -> str:
        """The column as the spreadsheet names it."""
        return column_letter(self.column + 1)


class Plan(msgspec.Struct, frozen=True):
    """One run of an import. `clear` lets empty cells empty their fields; `groups` and `tags` are numbers by
    name; `from_1904` says that numbers in columns of dates count from 1904."""

    tenant_id: str
    import_id: str
    vietnamese: bool
    start_row: int
    targets: list[Target]
    ids: dict[str, dict[str, str]]
    groups: dict[str, int]
    add_to_group: str | None
    in_file: OnDuplicate
    clear: bool
    tags: dict[str, int] = {}
    from_1904: bool = False

    @property
    def columns(self) -> list[str]:
        """The columns of the staging table that the run fills, in the order of the COPY."""
        own: list[str] = []
        for target in self.targets:
            own += columns_of(target.field)
        return [*FIXED_COLUMNS, *own, *(CONTACT_COLUMNS if self.has_contacts else ())]

    @property
    def has_contacts(self) -> bool:
        """Whether rows name contacts."""
        return any(is_contact(target.field) for target in self.targets)


class Seen(msgspec.Struct):
    """What a chunk adds to the memory of the file: phones, and values of unique attributes, by first row."""

    phones: dict[str, int]
    uniques: list[tuple[str, str, int]]
    last: tuple[int, int] | None = None
    """The row of the last customer, and the first row of the file that had its phone; None if it was refused."""


class Batch(msgspec.Struct):
    """A normalised chunk: rows `low` to `high` of the file, `rows` of the `given` ones, because those before the
    start row do not count. `earlier` are the first rows, of chunks before this, whose phones come again here."""

    given: int
    low: int
    high: int
    rows: int
    written: int
    folded: int
    skipped: int
    failed: int
    earlier: list[int]


def problem_of(
    vietnamese: bool, target: Target | None, code: str, vi: str, en: str, value: str | None = None
) -> Problem:  # fmt: skip
    """What is wrong with a row: with the cell of a field, if one is named."""
    label = None if target is None else target.field.vi if vietnamese else target.field.en
    return {
        "field": target and target.field.key, "label": label, "column": target and target.letter, "code": code,
        "message": vi if vietnamese else en, "value": value,
    }  # fmt: skip


def is_contact(field: Field) -> bool:
    """Whether the field says something of a contact."""
    return field.key in CONTACT_FIELDS


def columns_of(field: Field) -> tuple[str, ...]:
    """The staging columns of a field, beside those that every row has."""
    if field.is_attribute:
        return (field.slot,) if field.slot else ()
    if field.key == "groups" or is_contact(field):
        return ()
    assert field.column is not None
    if field.key in ("phone", "province"):
        return (field.column, f"{field.column}_typed")
    return (field.column,)
