"""Fields: one description of everything that a record can hold, and what each type does with a value.

A type parses what people type and what spreadsheets hold into one canonical JSON value. Forms, imports,
filters and exports read the same description, so that an attribute added at run time works in all of them.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from app.core.clock import VIETNAM
from app.core.i18n import language
from app.core.vietnam import dates, money, phone, provinces, tax_code
from app.core.vietnam import text as vn

EMAIL = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]+)+"
)
LINK = re.compile(r"https?://[^\s<>\"]{1,2000}", re.I)
YES = frozenset(("1", "true", "yes", "y", "co", "x", "dung", "v"))
NO = frozenset(("0", "false", "no", "n", "khong", "sai"))
GENDERS = {"nam": "male", "male": "male", "m": "male", "nu": "female", "female": "female", "f": "female",
           "khac": "other", "other": "other", "anh": "male", "ong": "male", "chi": "female"}  # fmt: skip
MAX_NUMBER = 10**15


class BadValue(Exception):
    """The value breaks a rule of its field: a stable code and the sentence in both languages."""

    def __init__(self, code: str, vi: str, en: str) -> None:
        super().__init__(code)
        self.code, self.vi, self.en = code, vi, en

    @property
    def message(self) -> str:
        """The sentence in the request's language."""
        return self.vi if language.get() == "vi" else self.en


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record.

    `column` is where the value lives in the table, `slot` the typed column that filters read for an attribute.
    """

    key: str
    vi: str
    en: str
    type: str
    position: int = 0
    required: bool = False
    unique: bool = False
    writable: bool = True
    column: str | None = None
    attribute_id: UUID | None = None
    slot: str | None = None
    choices: tuple[str, ...] = ()
    max_length: int = 255
    aliases: tuple[str, ...] = ()
    choice_keys: dict[str, str] = field(default_factory=dict, compare=False)

    def with_choices(self, choices: tuple[str, ...]) -> "Field":
        """The same field with its list of values, which may be written with or without case and accents."""
        exact = {choice.casefold(): choice for choice in choices}
        folded = {vn.fold(choice): choice for choice in reversed(choices)}
        return replace(self, choices=choices, choice_keys=folded | exact)

    @property
    def label(self) -> str:
        """The label in the request's language."""
        return self.vi if language.get() == "vi" else self.en

    @property
    def name(self) -> str:
        """The key within its container: `han_muc` of `attributes.han_muc`."""
        return self.key.removeprefix("attributes.")

    @property
    def is_attribute(self) -> bool:
        """Whether the workspace added it."""
        return self.attribute_id is not None

    def parse(self, raw: Any) -> Any:
        """The canonical value of what was typed or stood in a cell; None for nothing.

        Raises:
            BadValue: the value breaks the type's rule.
        """
        if raw is None or raw == "":
            return None
        return PARSERS[self.type](self, raw)


def _text(field_: Field, raw: Any) -> str | None:
    value = vn.clean(_as_text(raw))
    if len(value) > field_.max_length:
        raise BadValue(
            "too_long", f"{field_.vi} quá dài (tối đa {field_.max_length} ký tự)",
            f"{field_.en} is longer than {field_.max_length} characters",
        )  # fmt: skip
    return value or None


def _long_text(field_: Field, raw: Any) -> str | None:
    value = vn.clean_multiline(_as_text(raw))
    if len(value) > 20_000:
        raise BadValue("too_long", f"{field_.vi} quá dài (tối đa 20000 ký tự)", f"{field_.en} is too long")
    return value or None


def _integer(field_: Field, raw: Any) -> int | None:
    number = _number(raw)
    if number is None or number != int(number):
        raise BadValue("integer_invalid", f"{field_.vi} phải là số nguyên", f"{field_.en} must be a whole number")
    return int(number)


def _decimal(field_: Field, raw: Any) -> float | None:
    number = _number(raw)
    if number is None:
        raise BadValue("number_invalid", f"{field_.vi} phải là số", f"{field_.en} must be a number")
    return float(number)


def _money(field_: Field, raw: Any) -> int | None:
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        amount = round(raw) if math.isfinite(raw) else None
    else:
        amount = money.parse_vnd(_as_text(raw))
    if amount is None or abs(amount) > MAX_NUMBER:
        raise BadValue("money_invalid", f"{field_.vi} không phải số tiền hợp lệ", f"{field_.en} is not an amount")
    return amount


def _date(field_: Field, raw: Any) -> str | None:
    if isinstance(raw, datetime):
        parsed: date | None = raw.date()
    elif isinstance(raw, date):
        parsed = raw
    elif isinstance(raw, int | float) and not isinstance(raw, bool):
        serial = dates.from_serial(raw)
        parsed = serial.date() if serial else None
    else:
        parsed = dates.parse_date(_as_text(raw))
    if parsed is None or not 1900 <= parsed.year <= 2200:
        raise BadValue(
            "date_invalid",
            f"{field_.vi} không phải ngày hợp lệ (dd/mm/yyyy)",
            f"{field_.en} is not a date (dd/mm/yyyy)",
        )
    return parsed.isoformat()


def _datetime(field_: Field, raw: Any) -> str | None:
    if isinstance(raw, datetime):
        parsed: datetime | None = raw
    elif isinstance(raw, int | float) and not isinstance(raw, bool):
        parsed = dates.from_serial(raw)
    else:
        parsed = _iso_moment(_as_text(raw)) or dates.parse_datetime(_as_text(raw))
    if parsed is None or not 1900 <= parsed.year <= 2200:
        raise BadValue("datetime_invalid", f"{field_.vi} không phải ngày giờ hợp lệ", f"{field_.en} is not a moment")
    aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=VIETNAM)
    return aware.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _boolean(field_: Field, raw: Any) -> bool | None:
    if isinstance(raw, bool):
        return raw
    key = vn.fold(_as_text(raw))
    if key in YES or key in NO:
        return key in YES
    raise BadValue("boolean_invalid", f"{field_.vi} chỉ nhận Có hoặc Không", f"{field_.en} must be yes or no")


def _choice(field_: Field, raw: Any) -> str | None:
    typed = vn.clean(_as_text(raw))
    if not typed:
        return None
    found = field_.choice_keys.get(typed.casefold()) or field_.choice_keys.get(vn.fold(typed))
    if found is None:
        raise BadValue(
            "choice_unknown", f"{field_.vi}: không có giá trị “{typed[:80]}” trong hệ thống",
            f"{field_.en}: the value “{typed[:80]}” does not exist",
        )  # fmt: skip
    return found


def _choices(field_: Field, raw: Any) -> list[str] | None:
    parts = raw if isinstance(raw, list) else re.split(r"[,;\n]", _as_text(raw))
    found = dict.fromkeys(choice for part in parts if (choice := _choice(field_, part)) is not None)
    return list(found) or None


def _gender(field_: Field, raw: Any) -> str | None:
    typed = vn.clean(_as_text(raw))
    found = GENDERS.get(vn.fold(typed))
    if found is None and typed:
        raise BadValue(
            "choice_unknown", f"{field_.vi}: không có giá trị “{typed[:80]}” (Nam, Nữ, Khác)",
            f"{field_.en}: “{typed[:80]}” is not male, female or other",
        )  # fmt: skip
    return found


def _phone(field_: Field, raw: Any) -> str | None:
    if isinstance(raw, int | float) and not isinstance(raw, bool):
        found = phone.from_number(raw)
    else:
        typed = _as_text(raw).strip()
        if not typed:
            return None
        found = phone.normalise(typed)
    if found is None:
        raise BadValue("phone_invalid", f"{field_.vi} không hợp lệ", f"{field_.en} is not a phone number")
    return found


def _email(field_: Field, raw: Any) -> str | None:
    value = vn.clean(_as_text(raw)).lower()
    if not value:
        return None
    if len(value) > 254 or not EMAIL.fullmatch(value) or ".." in value:
        raise BadValue("email_invalid", f"{field_.vi} không hợp lệ", f"{field_.en} is not an e-mail address")
    return value


def _link(field_: Field, raw: Any) -> str | None:
    value = vn.clean(_as_text(raw))
    if not value:
        return None
    full = value if "://" in value else f"https://{value}"
    if not LINK.fullmatch(full) or "." not in full:
        raise BadValue("link_invalid", f"{field_.vi} không phải đường dẫn hợp lệ", f"{field_.en} is not a link")
    return full


def _record(field_: Field, raw: Any) -> str | None:
    """The id of another record; that it exists is for the domain to say."""
    typed = _as_text(raw).strip()
    if not typed:
        return None
    try:
        return str(UUID(typed))
    except ValueError:
        raise BadValue("id_invalid", f"{field_.vi} không hợp lệ", f"{field_.en} is not an id") from None


def _province(field_: Field, raw: Any) -> str | None:
    typed = vn.clean(_as_text(raw))
    if not typed:
        return None
    found = provinces.find(typed)
    if found is None:
        raise BadValue(
            "province_unknown", f"{field_.vi}: không có tỉnh/thành “{typed[:80]}”",
            f"{field_.en}: there is no province “{typed[:80]}”",
        )  # fmt: skip
    return found.code


def _tax_code(field_: Field, raw: Any) -> str | None:
    typed = _as_text(raw).strip()
    if not typed:
        return None
    found = tax_code.normalise(typed)
    if found is None:
        raise BadValue(
            "tax_code_invalid", f"{field_.vi} phải có 10 số, 10 số kèm -NNN, hoặc 12 số",
            f"{field_.en} must be 10 digits, 10 digits and -NNN, or 12 digits",
        )  # fmt: skip
    return found


def _number(raw: Any) -> float | Decimal | None:
    """A number that JSON and int64 hold exactly, or None."""
    typed = not isinstance(raw, int | float) or isinstance(raw, bool)
    number: float | Decimal | None = money.parse_decimal(_as_text(raw)) if typed else raw
    return None if number is None or not math.isfinite(number) or abs(float(number)) > MAX_NUMBER else number


def _as_text(raw: Any) -> str:
    """What a person would have typed for a cell's value."""
    if isinstance(raw, str):
        return raw
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, float) and raw.is_integer() and abs(raw) < 2**53:
        return str(int(raw))
    if isinstance(raw, datetime):
        return raw.strftime("%d/%m/%Y %H:%M") if raw.hour or raw.minute else raw.strftime("%d/%m/%Y")
    if isinstance(raw, date):
        return raw.strftime("%d/%m/%Y")
    if isinstance(raw, int | float):
        return str(raw)
    raise BadValue("value_invalid", "Giá trị không hợp lệ", "The value is of a wrong kind")


def _iso_moment(value: str) -> datetime | None:
    try:
        return datetime.fromisoformat(value) if "T" in value else None
    except ValueError:
        return None


PARSERS: Final[dict[str, Callable[[Field, Any], Any]]] = {
    "text": _text,
    "long_text": _long_text,
    "integer": _integer,
    "decimal": _decimal,
    "money": _money,
    "date": _date,
    "datetime": _datetime,
    "boolean": _boolean,
    "choice": _choice,
    "choices": _choices,
    "phone": _phone,
    "email": _email,
    "link": _link,
    "person": _choice,
    "record": _record,
    "gender": _gender,
    "province": _province,
    "tax_code": _tax_code,
}
# The types that a workspace may give to an attribute, with the slot family that filters and sorts read.
ATTRIBUTE_TYPES: Final[dict[str, str | None]] = {
    "text": "t",
    "long_text": None,
    "integer": "n",
    "decimal": "n",
    "money": "n",
    "date": "d",
    "datetime": "d",
    "boolean": "t",
    "choice": "t",
    "choices": None,
    "phone": "t",
    "email": "t",
    "link": "t",
    "person": "t",
}
