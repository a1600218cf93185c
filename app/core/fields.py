"""Fields: one description of everything that a record can hold, and what each type does with a value.

A type parses what people type and what spreadsheets hold into one canonical JSON value. Forms, imports,
filters and exports read the same description, so that an attribute added at run time works in all of them.
"""

import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final, TypeGuard
from uuid import UUID
from zoneinfo import ZoneInfo

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
# What people call them, in Vietnamese and English; then every way to write one, folded.
GENDERS: Final = {"male": ("Nam", "Male"), "female": ("Nữ", "Female"), "other": ("Khác", "Other")}
GENDER_KEYS: Final = {vn.fold(name): value for value, names in GENDERS.items() for name in names} | {
    "m": "male", "f": "female", "anh": "male", "ong": "male", "chi": "female"}  # fmt: skip
MAX_NUMBER = 10**15
MAX_TEXT = 20_000
# What a spreadsheet's cell holds: no parser sees more.
MAX_TYPED = 32_767
# Binary fractions of a đồng that an amount's arithmetic leaves behind.
MONEY_NOISE = 1e-6


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

    `column` is where the value lives in the table, `slot` the typed column that filters read for an attribute; `zone`
    the name of the time zone that a moment without one is meant in.
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
    zone: str = VIETNAM.key

    def with_choices(self, choices: tuple[str, ...]) -> "Field":
        """The same field with its list of values, which may be written without case, and without accents where no two
        of them are the same then."""
        exact = {choice.casefold(): choice for choice in choices}
        shared = Counter(map(vn.fold, choices))
        folded = {key: choice for choice in choices if shared[key := vn.fold(choice)] == 1}
        return replace(self, choices=choices, choice_keys=folded | exact)

    def chosen(self, typed: str) -> str | None:
        """The value of the list that was typed (cleaned), None if there is none. Who types a word with accents means
        them: “Bán” is not “Bận”, but “ban” is."""
        exact = self.choice_keys.get(typed.casefold())
        found = exact or self.choice_keys.get(vn.fold(typed))
        if exact is not None or found is None or not self.choices:
            return found
        pairs = zip(vn.accented_words(typed), vn.accented_words(found), strict=False)
        return found if all(word == own or not vn.has_accents(word) for word, own in pairs) else None

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
        return None if raw is None else PARSERS[self.type](self, raw)


def _text(field_: Field, raw: Any) -> str:
    value = vn.clean(_as_text(raw))
    if len(value) > field_.max_length:
        raise _too_long(field_, field_.max_length)
    return value


def _long_text(field_: Field, raw: Any) -> str:
    value = vn.clean_multiline(_as_text(raw))
    if len(value) > MAX_TEXT:
        raise _too_long(field_, MAX_TEXT)
    return value


def _integer(field_: Field, raw: Any) -> int:
    number = _number(raw)
    if number is None or number != int(number):
        raise BadValue("integer_invalid", f"{field_.vi} phải là số nguyên", f"{field_.en} must be a whole number")
    return int(number)


def _decimal(field_: Field, raw: Any) -> float:
    number = _number(raw)
    if number is None:
        raise BadValue("number_invalid", f"{field_.vi} phải là số", f"{field_.en} must be a number")
    return float(number)


def _money(field_: Field, raw: Any) -> int:
    if _is_number(raw):
        amount = round(raw) if math.isfinite(raw) and abs(raw - round(raw)) <= MONEY_NOISE else None
    else:
        amount = money.parse_vnd(_as_text(raw))
    if amount is None or abs(amount) > MAX_NUMBER:
        raise BadValue("money_invalid", f"{field_.vi} không phải số tiền hợp lệ", f"{field_.en} is not an amount")
    return amount


def _date(field_: Field, raw: Any) -> str:
    if isinstance(raw, datetime):
        parsed: date | None = raw.date()
    elif isinstance(raw, date):
        parsed = raw
    elif _is_number(raw):
        serial = _from_serial(raw)
        parsed = serial.date() if serial else None
    else:
        parsed = dates.parse_date(_as_text(raw), ZoneInfo(field_.zone))
    if parsed is None or not 1900 <= parsed.year <= 2200:
        raise _only_a_year(field_, "date_invalid", raw) or BadValue(
            "date_invalid",
            f"{field_.vi} không phải ngày hợp lệ (dd/mm/yyyy)",
            f"{field_.en} is not a date (dd/mm/yyyy)",
        )
    return parsed.isoformat()


def _datetime(field_: Field, raw: Any) -> str:
    zone = ZoneInfo(field_.zone)
    if isinstance(raw, datetime):
        parsed: datetime | None = raw
    elif _is_number(raw):
        parsed = _from_serial(raw)
    else:
        parsed = _iso_moment(_as_text(raw)) or dates.parse_datetime(_as_text(raw), zone)
    if parsed is None or not 1900 <= parsed.year <= 2200:
        raise _only_a_year(field_, "datetime_invalid", raw) or BadValue(
            "datetime_invalid", f"{field_.vi} không phải ngày giờ hợp lệ", f"{field_.en} is not a moment"
        )
    aware = parsed if parsed.tzinfo else parsed.replace(tzinfo=zone)
    return aware.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _boolean(field_: Field, raw: Any) -> bool:
    if isinstance(raw, bool):
        return raw
    key = vn.fold(_as_text(raw))
    if key in YES or key in NO:
        return key in YES
    raise BadValue("boolean_invalid", f"{field_.vi} chỉ nhận Có hoặc Không", f"{field_.en} must be yes or no")


def _choice(field_: Field, raw: Any) -> str:
    typed = vn.clean(_as_text(raw))
    found = field_.chosen(typed)
    if found is None:
        raise BadValue(
            "choice_unknown", f"{field_.vi}: không có giá trị “{typed[:80]}” trong hệ thống",
            f"{field_.en}: the value “{typed[:80]}” does not exist",
        )  # fmt: skip
    return found


def _choices(field_: Field, raw: Any) -> list[str] | None:
    parts = raw if isinstance(raw, list) else re.split(r"[,;\n]", _as_text(raw))
    found = dict.fromkeys(_choice(field_, part) for part in parts if not _is_blank(part))
    return list(found) or None


def _gender(field_: Field, raw: Any) -> str:
    typed = vn.clean(_as_text(raw))
    found = GENDER_KEYS.get(vn.fold(typed))
    if found is None:
        raise BadValue(
            "choice_unknown", f"{field_.vi}: không có giá trị “{typed[:80]}” (Nam, Nữ, Khác)",
            f"{field_.en}: “{typed[:80]}” is not male, female or other",
        )  # fmt: skip
    return found


def _phone(field_: Field, raw: Any) -> str:
    found = phone.from_number(raw) if _is_number(raw) else phone.normalise(_as_text(raw).strip())
    if found is None:
        raise BadValue("phone_invalid", f"{field_.vi} không hợp lệ", f"{field_.en} is not a phone number")
    return found


def _email(field_: Field, raw: Any) -> str:
    value = vn.clean(_as_text(raw)).lower()
    if len(value) > 254 or not EMAIL.fullmatch(value) or ".." in value:
        raise BadValue("email_invalid", f"{field_.vi} không hợp lệ", f"{field_.en} is not an e-mail address")
    return value


def _link(field_: Field, raw: Any) -> str:
    value = vn.clean(_as_text(raw))
    full = value if "://" in value else f"https://{value}"
    if not LINK.fullmatch(full) or "." not in full:
        raise BadValue("link_invalid", f"{field_.vi} không phải đường dẫn hợp lệ", f"{field_.en} is not a link")
    if field_.unique and len(full) > field_.max_length:
        raise _too_long(field_, field_.max_length)
    return full


def _record(field_: Field, raw: Any) -> str:
    """The id of another record; that it exists is for the domain to say."""
    try:
        return str(UUID(_as_text(raw).strip()))
    except ValueError:
        raise BadValue("id_invalid", f"{field_.vi} không hợp lệ", f"{field_.en} is not an id") from None


def _province(field_: Field, raw: Any) -> str:
    typed = vn.clean(_as_text(raw))
    found = provinces.find(typed)
    if found is None:
        raise BadValue(
            "province_unknown", f"{field_.vi}: không có tỉnh/thành “{typed[:80]}”",
            f"{field_.en}: there is no province “{typed[:80]}”",
        )  # fmt: skip
    return found.code


def _tax_code(field_: Field, raw: Any) -> str:
    found = tax_code.normalise(_as_text(raw).strip())
    if found is None:
        raise BadValue(
            "tax_code_invalid", f"{field_.vi} phải có 10 số, 10 số kèm -NNN, hoặc 12 số",
            f"{field_.en} must be 10 digits, 10 digits and -NNN, or 12 digits",
        )  # fmt: skip
    return found


def _number(raw: Any) -> float | Decimal | None:
    """A number that JSON and int64 hold exactly, or None."""
    number: float | Decimal | None = raw if _is_number(raw) else money.parse_decimal(_as_text(raw))
    return None if number is None or not math.isfinite(number) or abs(float(number)) > MAX_NUMBER else number


def _is_number(raw: Any) -> TypeGuard[float]:
    return isinstance(raw, int | float) and not isinstance(raw, bool)


def _is_blank(raw: Any) -> bool:
    """Whether it is a text in which a person sees nothing."""
    if not isinstance(raw, str):
        return False
    return not (raw if raw.isprintable() and "_x" not in raw else vn.clean(raw)).strip()


def _unless_blank(parse: Callable[[Field, Any], Any]) -> Callable[[Field, Any], Any]:
    """The parser as everybody calls it: what is blank is nothing, and too much is not looked at."""

    def parse_typed(field_: Field, raw: Any) -> Any:
        if isinstance(raw, str) and len(raw) > MAX_TYPED:
            raise _too_long(field_, MAX_TYPED)
        return None if _is_blank(raw) else parse(field_, raw)

    return parse_typed


def _too_long(field_: Field, most: int) -> BadValue:
    return BadValue(
        "too_long", f"{field_.vi} quá dài (tối đa {most} ký tự)", f"{field_.en} is longer than {most} characters"
    )


def _from_serial(raw: float) -> datetime | None:
    """The moment of a spreadsheet's day number. A whole number that reads as a year is one: a column of years of
    birth is common, one of days in 1905 is not."""
    return None if _year(raw) else dates.from_serial(raw)


def _only_a_year(field_: Field, code: str, raw: Any) -> BadValue | None:
    if isinstance(raw, date) or _year(raw) is None:
        return None
    return BadValue(
        code, f"{field_.vi} chỉ có năm; cần đủ ngày/tháng/năm (dd/mm/yyyy)",
        f"{field_.en} is only a year; day, month and year are needed (dd/mm/yyyy)",
    )  # fmt: skip


def _year(raw: Any) -> int | None:
    return dates.parse_year(_as_text(raw))


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


_PARSERS: Final[dict[str, Callable[[Field, Any], Any]]] = {
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
PARSERS: Final = {type_: _unless_blank(parse) for type_, parse in _PARSERS.items()}
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
