"""Amounts of đồng (VND), whole numbers, and decimal numbers as Vietnamese people write them."""

import re
from decimal import Decimal
from functools import lru_cache

from app.core.vietnam.text import fold

__all__ = ["format_vnd", "parse_decimal", "parse_vnd"]


def parse_vnd(text: str) -> int | None:
    """Whole đồng from "1.250.000", "1,250,000 đ", "1,25 triệu", "2 tỷ 500 triệu", "1tr5", "500k", "-3 nghìn".

    A point or comma before exactly three digits separates thousands. None for fractions of a đồng, for
    other currencies, for what a bigint can't hold, and for what two readers could take differently, such as
    "1.250 triệu".
    """
    if len(text) <= 18 and text.isascii() and text.isdigit():
        return int(text)
    if match := _COMMON(text):
        return int(match[1].replace(match[2], ""))
    return _parse_vnd(text) if len(text) <= _LONGEST else None


def format_vnd(amount: int) -> str:
    """As in "1.250.000 đ"."""
    return f"{amount:,} đ".replace(",", ".")


def parse_decimal(text: str) -> Decimal | None:
    """A number in Vietnamese (1.234,5) or plain (1234.5) style.

    None when both readings are possible: "1.250" may be 1250 or 1.25. With four digits or a zero before the
    separator only one reading is left.
    """
    if len(text) > _LONGEST:
        return None
    body, negative = _unsigned(text)
    if _ONE_GROUP(body):
        return None
    number = _number(body)
    return number.copy_negate() if negative and number else number


_LONGEST = 60
_MAX = 9_223_372_036_854_775_807
_UNITS = {
    "k": 1_000,
    "nghin": 1_000,
    "ngan": 1_000,
    "tr": 1_000_000,
    "trieu": 1_000_000,
    "ty": 1_000_000_000,
    "ti": 1_000_000_000,
}
_UNIT = "(ty|ti|trieu|tr|nghin|ngan|k)"

_COMMON = re.compile(r"([1-9][0-9]{0,2}([.,])[0-9]{3}(?:\2[0-9]{3}){0,4})(?: ?(?:đ|₫|VND|VNĐ))?").fullmatch
_CURRENCY = re.compile(r"(?:(?:vnd|d) ?)?(-?) ?([0-9].*?) ?(?:vnd|dong|d)?").fullmatch
_SIMPLE = re.compile("[0-9]+(?:[.,]([0-9]+))?").fullmatch
_ONE_GROUP = re.compile("[1-9][0-9]{0,2}[.,][0-9]{3}").fullmatch
_GROUPS = re.compile(
    r"[1-9][0-9]{0,2}(?:(?:\.[0-9]{3})+(?:,[0-9]+)?|(?:,[0-9]{3})+(?:\.[0-9]+)?|(?: [0-9]{3})+(?:[.,][0-9]+)?)"
).fullmatch
# One separator too few for thousands (1250.000), a last group that may be a fraction (1.250,000), and
# fractions past what a decimal holds exactly.
_DOUBTFUL = re.compile(r"[0-9 ]{4,}[.,][0-9]{3}|.*\.[0-9]{3},[0-9]{3}|.*,[0-9]{3}\.[0-9]{3}|.*[.,][0-9]{10,}").fullmatch
_SHORT = re.compile("([0-9]{1,3})(ty|ti|trieu|tr|k)([0-9]{1,3})").fullmatch
_PART = re.compile(f"([0-9][0-9.,]*) ?{_UNIT}(?![a-z])( ?ruoi)? ?")
_PARTS = re.compile(f"(?:[0-9][0-9.,]* ?{_UNIT}(?![a-z])(?: ?ruoi)? ?)+").fullmatch


@lru_cache(maxsize=4096)
def _parse_vnd(text: str) -> int | None:
    body, negative = _unsigned(text.replace("\u20ab", " d"))
    match = _CURRENCY(body)
    if match is None or (negative and match[1]):
        return None
    amount = _amount(match[2])
    if amount is None or amount > _MAX or amount != int(amount):
        return None
    return -int(amount) if negative or match[1] else int(amount)


def _unsigned(text: str) -> tuple[str, bool]:
    """The folded text without its sign, and whether that was negative: -5, −5 or, in accounts, (5)."""
    body = fold(text.replace("\u2212", "-").replace("\u2013", "-"))
    if body.startswith("(") and body.endswith(")"):
        return body[1:-1].strip(), True
    if body.startswith(("-", "+")):
        return body[1:].lstrip(), body[0] == "-"
    return body, False


def _amount(body: str) -> Decimal | None:
    """Đồng of a folded text without sign and currency, perhaps with a fraction."""
    if _DOUBTFUL(body):
        return None
    number = _number(body)
    if number is not None:
        return number
    if match := _SHORT(body):
        return Decimal(f"{match[1]}.{match[3]}") * _UNITS[match[2]]
    return _sum_of_parts(_PART.findall(body)) if _PARTS(body) else None


def _sum_of_parts(parts: list[tuple[str, str, str]]) -> Decimal | None:
    """Of number, unit and rưỡi (a half more). Units fall, and only a single part may have a fraction."""
    total = Decimal(0)
    above = 0
    for place, (digits, name, half) in enumerate(parts, start=1):
        unit = _UNITS[name]
        number = None if _ONE_GROUP(digits) or _DOUBTFUL(digits) else _number(digits)
        if number is None or (above and (unit >= above or number * unit >= above)):
            return None
        if (len(parts) > 1 or half) and number != int(number):
            return None
        if half and place < len(parts):
            return None
        total += number * unit + (unit // 2 if half else 0)
        above = unit
    return total


def _number(body: str) -> Decimal | None:
    """A plain or grouped number; one group of three digits counts as thousands."""
    if _GROUPS(body):
        point = max(body.rfind("."), body.rfind(","))
        if point > 0 and body.count(body[point]) == 1 and not _ONE_GROUP(body):
            body = f"{body[:point]}p{body[point + 1 :]}"
        body = body.replace(".", "").replace(",", "").replace(" ", "").replace("p", ".")
        return Decimal(body)
    return Decimal(body.replace(",", ".")) if _SIMPLE(body) else None
