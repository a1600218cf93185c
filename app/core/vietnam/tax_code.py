"""Tax codes (mã số thuế): 10 digits, a branch NNNNNNNNNN-NNN, or the 12 digits of a personal id."""

import re
import unicodedata
from operator import mul

__all__ = ["checksum_ok", "normalise"]


def normalise(text: str) -> str | None:
    """The code with a hyphen before a branch number and no other separator; None when the shape is wrong.

    The shape only: ask `checksum_ok` besides, and warn rather than refuse.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(_SEPARATORS)
    if _FLOAT_TEXT(text):
        text = text[:-2]
    match = _CODE(text.strip("' \t\r\n").replace(" ", "").replace(".", "").replace("'", ""))
    if match is None:
        return None
    return f"{match[1]}-{match[2]}" if match[2] else match[0]


def checksum_ok(code: str) -> bool:
    """Whether a normalised code's check digit is right; personal ids of 12 digits have none and pass."""
    if len(code) == 12 and code.isdigit():
        return True
    if _NORMALISED(code) is None:
        return False
    digits = code.encode()
    total: int = sum(map(mul, _WEIGHTS, digits)) - ord("0") * sum(_WEIGHTS)
    return 10 - total % 11 == digits[9] - ord("0")


_WEIGHTS = (31, 29, 23, 19, 17, 13, 7, 5, 3)
_CODE = re.compile("[0-9]{12}|([0-9]{10})(?:-?(?!000)([0-9]{3}))?").fullmatch
_NORMALISED = re.compile("[0-9]{10}(?:-(?!000)[0-9]{3})?").fullmatch
_FLOAT_TEXT = re.compile(r"[0-9]{9,12}\.0").fullmatch
_SEPARATORS: dict[int, str | None] = {
    **dict.fromkeys((*range(0x2010, 0x2016), 0x2212), "-"),
    **dict.fromkeys((0xAD, *range(0x200B, 0x2010), *range(0x202A, 0x202F), 0x2060, 0xFEFF, 0x2018, 0x2019)),
}
