"""Phone numbers: one stored form, E.164, decided here and nowhere else.

Numbers of +84 are decided by our own tables, because libphonenumber rejects the old mobile prefixes and
lags behind new ranges; foreign numbers by libphonenumber.

Hotlines (1800…, 1900…) are stored as `+84` and the digits as dialled: "+8419001234". No collision is
possible: after +84 a mobile starts with 3, 5, 7, 8 or 9 and a landline with 2. `national` gives back "19001234".
"""

import re
import unicodedata
from functools import lru_cache
from typing import Literal, NamedTuple

from app.core.vietnam.provinces import AREA_CODES

__all__ = [
    "Kind",
    "PhoneQuery",
    "carrier",
    "display",
    "from_number",
    "is_mobile",
    "kind",
    "lost_zero",
    "mask",
    "mask_sql",
    "national",
    "national_sql",
    "normalise",
    "province_of",
    "search_forms",
]

Kind = Literal["mobile", "landline", "hotline", "special", "foreign"]


class PhoneQuery(NamedTuple):
    """What a search box text means as a phone; at least one of the fields is set.

    `e164` is a complete number, to be compared whole. `tail` holds digits to compare with the end of the
    stored form. `prefix` is the start of the stored form, when the text begins as a number does (0962…).
    """

    e164: str | None
    tail: str | None
    prefix: str | None


def normalise(text: str) -> str | None:
    """The E.164 form of what a person or a spreadsheet wrote, or None when it cannot be a phone.

    Takes separators, full-width digits, +84, 84, 0084 with or without 0, a zero lost by a spreadsheet, mobile
    numbers of before 2018 and those landlines of before 2017 that nothing else can be. Letters give None.
    """
    match = _MOBILE(text)
    if match is not None:
        return "+84" + match[1]
    text = _strip(text)
    if match := _MOBILE(text) or _LANDLINE(text) or _HOTLINE(text) or _SPECIAL(text):
        return "+84" + match[1]
    if match := _MOBILE_OLD(text):
        return f"+84{_MOBILE_2018[match[1]]}{match[2]}"
    if match := _LANDLINE_OLD(text):
        return f"+84{_AREA_2017[match[1]]}{match[2]}"
    if text.startswith(("+", "00")) and not text.startswith(("+84", "0084")):
        return _foreign(text)
    return None


def from_number(value: float) -> str | None:
    """The E.164 form of a numeric spreadsheet cell, its lost zero restored; None when it cannot be a phone."""
    if not 0 < value < 1e15 or value != int(value):
        return None
    return normalise(str(int(value)))


def lost_zero(text: str) -> bool:
    """Whether `normalise` has to put back a leading zero that a spreadsheet dropped (a preview warning)."""
    return _LOST_ZERO(_strip(text)) is not None


def kind(e164: str) -> Kind:
    """What a stored number is. "special" are the networks 069 and 080 of army, police and government."""
    if not e164.startswith("+84"):
        return "foreign"
    first = e164[3:4]
    if len(e164) == 12 and first in "35789":
        return "mobile"
    if first == "2":
        return "landline"
    return "hotline" if first == "1" else "special"


def is_mobile(e164: str) -> bool:
    """Whether a stored number is a Vietnamese mobile, which can receive SMS and Zalo."""
    return kind(e164) == "mobile"


def carrier(e164: str) -> str | None:
    """The network that issued a Vietnamese mobile number: a hint, because numbers are portable."""
    return _CARRIERS.get(e164[3:5]) if is_mobile(e164) else None


def province_of(e164: str) -> str | None:
    """The new province code of a Vietnamese landline."""
    if kind(e164) != "landline":
        return None
    return AREA_CODES.get(e164[3:5]) or AREA_CODES.get(e164[3:6])


def national(e164: str) -> str:
    """As dialled in Vietnam: "0962938733", "19001234"; a foreign number stays E.164."""
    if not e164.startswith("+84"):
        return e164
    return e164[3:] if e164[3:4] == "1" else "0" + e164[3:]


def display(e164: str) -> str:
    """As people write it: "0962 938 733", "024 3825 1234", "0225 3842 576", "1900 1234"."""
    if not e164.startswith("+84"):
        return _display_foreign(e164)
    digits = national(e164)
    match kind(e164):
        case "mobile":
            return f"{digits[:4]} {digits[4:7]} {digits[7:]}"
        case "landline" if digits[:3] in ("024", "028"):
            return f"{digits[:3]} {digits[3:7]} {digits[7:]}"
        case "landline":
            return f"{digits[:4]} {digits[4:8]} {digits[8:]}"
        case "hotline":
            return f"{digits[:4]} {digits[4:]}"
        case _:
            return f"{digits[:3]} {digits[3:]}"


def mask(e164: str) -> str:
    """For those who may not see the number: "0962***733". At least three digits are hidden."""
    digits = national(e164)
    return f"{digits[:4]}***{digits[-3:]}" if len(digits) >= 10 else f"{digits[:3]}***{digits[-2:]}"


def national_sql(stored: str) -> str:
    """`national` as an SQL expression over one that gives a stored number."""
    return (
        f"(CASE WHEN {stored} LIKE '+841%' THEN substr({stored}, 4) "
        f"WHEN {stored} LIKE '+84%' THEN '0' || substr({stored}, 4) ELSE {stored} END)"
    )


def mask_sql(stored: str) -> str:
    """`mask` as an SQL expression over one that gives a stored number."""
    digits = national_sql(stored)
    long, short = (f"left({digits}, {first}) || '***' || right({digits}, {last})" for first, last in ((4, 3), (3, 2)))
    return f"(CASE WHEN length({digits}) >= 10 THEN {long} ELSE {short} END)"


def search_forms(query: str) -> PhoneQuery | None:
    """How a search box text is to be looked up as a phone; None when it is not phone-like.

    Phone-like are 3 to 15 digits with nothing but phone separators between.
    """
    digits = _strip(query)
    if _PARTIAL(digits) is None:
        return None
    e164 = normalise(digits)
    if e164 is not None:
        # Eight digits such as 19001234 are a hotline, and as well the end of a mobile number.
        tail = digits if len(digits) < 9 and digits.isdigit() else None
        return PhoneQuery(e164, tail, None)
    return PhoneQuery(None, None if digits[0] == "+" else digits, _stored_prefix(digits))


def _stored_prefix(digits: str) -> str | None:
    """How stored numbers begin whose first digits were typed, or None when the text may be any part."""
    if digits.startswith(("+", "00")) and not digits.startswith(("+84", "0084")):
        return "+" + digits.lstrip("+0")
    match = _CALLED(digits)
    if match is None:
        return None
    rest = match[1]
    return f"+84{_MOBILE_2018.get(rest[:3], rest[:3])}{rest[3:]}"


def _strip(text: str) -> str:
    """The digits, with a plus sign in front if there was one; anything else stays and spoils the match."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(_SEPARATORS)
    if text.endswith(".0") and _FLOAT_TEXT(text):
        return text[: text.index(".")]
    if not text.isascii():
        return text
    return text.encode().translate(None, b" .-()/\t\r\n").decode().lstrip("'")


@lru_cache(maxsize=4096)
def _foreign(text: str) -> str | None:
    """E.164 of a number that starts with + or 00 and is not ours.

    After + the length must be possible; after 00, which may be a slip, the number must be valid.
    """
    if _WORLD(text) is None:
        return None
    import phonenumbers

    try:
        number = phonenumbers.parse("+" + text.lstrip("+0"), None)
    except phonenumbers.NumberParseException:
        return None
    if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return None
    if text[0] == "0" and not phonenumbers.is_valid_number(number):
        return None
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    # A trunk zero may have gone; what is left must stand for itself, or the same number had two forms.
    return e164 if e164 == text or _foreign(e164) == e164 else None


@lru_cache(maxsize=4096)
def _display_foreign(e164: str) -> str:
    import phonenumbers

    try:
        number = phonenumbers.parse(e164, None)
    except phonenumbers.NumberParseException:
        return e164
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def _pairs(text: str) -> dict[str, str]:
    return dict(pair.split(":") for pair in text.split())


# Prefixes of 11-digit mobiles that became 10-digit ones in 2018, without the leading zero.
_MOBILE_2018 = _pairs(
    "162:32 163:33 164:34 165:35 166:36 167:37 168:38 169:39 120:70 121:79 122:77 126:76 128:78 "
    "123:83 124:84 125:85 127:81 129:82 186:56 188:58 199:59"
)

# Landline areas of before 2017. Only those that no number of today, and no mobile with one digit too many
# or new landline with one too few, can be taken for; 031, 0350 and their like are gone for good.
_AREA_2017 = _pairs(
    "4:24 60:260 61:251 62:252 63:263 64:254 66:276 67:277 68:259 500:262 501:261 510:235 511:236 "
    "650:274 651:271 710:292 711:293"
)

# The first two digits after +84.
_CARRIERS = {
    prefix: name
    for name, prefixes in (
        ("Viettel", "31 32 33 34 35 36 37 38 39 86 96 97 98"),
        ("MobiFone", "30 51 70 76 77 78 79 89 90 93"),
        ("VinaPhone", "81 82 83 84 85 88 91 94"),
        ("Vietnamobile", "52 56 58 92"),
        ("Gmobile", "59 99"),
        ("iTel", "87"),
        ("Wintel", "55"),
    )
    for prefix in prefixes.split()
}

_CALLING = r"(?:(?:\+|00)?840?|0)"
_AREAS = "|".join(sorted(area for area in AREA_CODES if len(area) == 3))
_LANDLINE_DIGITS = f"2[48][0-9]{{8}}|(?:{_AREAS})[0-9]{{7}}"
_OLD_MOBILE_DIGITS = f"({'|'.join(_MOBILE_2018)})([0-9]{{7}})"

_MOBILE = re.compile(_CALLING + "?([35789][0-9]{8})").fullmatch
_LANDLINE = re.compile(f"{_CALLING}?({_LANDLINE_DIGITS})").fullmatch
_HOTLINE = re.compile(r"(?:(?:\+|00)?84)?(1[89]00[0-9]{4,6})").fullmatch
_SPECIAL = re.compile(_CALLING + "(69[0-9]{5,6}|80[0-9]{5})").fullmatch
_MOBILE_OLD = re.compile(f"{_CALLING}?{_OLD_MOBILE_DIGITS}").fullmatch
_OLD_AREAS = "|".join(area for area in _AREA_2017 if area != "4")
_LANDLINE_OLD = re.compile(f"{_CALLING}(4(?=[2-9].{{7}}$)|(?:{_OLD_AREAS})(?=[3-9].{{6}}$))([0-9]+)").fullmatch
_LOST_ZERO = re.compile(f"[35789][0-9]{{8}}|{_LANDLINE_DIGITS}|{_OLD_MOBILE_DIGITS}").fullmatch
_CALLED = re.compile(_CALLING + "([0-9]*)").fullmatch
_WORLD = re.compile(r"(?:\+|00)[1-9][0-9]{6,14}").fullmatch
_PARTIAL = re.compile(r"\+?[0-9]{3,15}").fullmatch
_FLOAT_TEXT = re.compile(r"[0-9]+\.0").fullmatch

# White space other than the ASCII one, dashes, dots and invisible marks that come with pasted numbers.
_SEPARATORS: dict[int, str | None] = {
    **dict.fromkeys((0x85, 0xAD, 0xB7, 0x2022, 0x2212, 0xFEFF)),
    **dict.fromkeys((*range(0x200B, 0x2016), *range(0x2028, 0x202F), *range(0x2060, 0x2070))),
    0x2018: "'",
    0x2019: "'",
}
