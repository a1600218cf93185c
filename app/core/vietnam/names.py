"""Vietnamese personal names: family name first, given name last; people are called by the given name."""

from functools import lru_cache
from typing import Literal

from app.core.vietnam.text import clean, fold, has_accents, nfc

__all__ = ["Gender", "family_name", "given_name", "guess_gender", "salutation", "sort_key"]

Gender = Literal["male", "female"]


def given_name(full: str) -> str:
    """The last word, by which the person is addressed: "Nguyễn Thị Hoa" → "Hoa"; empty for an empty name."""
    parts = clean(full).split()
    return parts[-1] if parts else ""


def family_name(full: str) -> str:
    """The first word of a name of two words or more, otherwise empty."""
    parts = clean(full).split()
    return parts[0] if len(parts) > 1 else ""


def sort_key(full: str) -> str:
    """A key whose plain byte order is the order of a Vietnamese list of people.

    By given name, then family, then middle names, without accents; accents decide between equals (ngang,
    huyền, hỏi, ngã, sắc, nặng). It needs no collation of the database.
    """
    parts = clean(full).split()
    if not parts:
        return ""
    ordered = [parts[-1], *parts[:-1]]
    # Two spaces end the folded part: below any letter, so that a shorter name comes first.
    return f"{fold(' '.join(ordered))}  {' '.join(map(_ranks, ordered))}"


def salutation(gender: str | None) -> str:
    """Danh xưng for "male", "female" or unknown."""
    if gender == "male":
        return "Anh"
    return "Chị" if gender == "female" else "Anh/Chị"


def guess_gender(full: str) -> Gender | None:
    """A hint from the middle names: Thị is female, Văn is male; None when neither or both are there."""
    middle = clean(full).lower().split()[1:-1]
    if not has_accents(full):
        middle = [_UNACCENTED.get(fold(part), part) for part in middle]
    female, male = "thị" in middle, "văn" in middle
    if female == male:
        return None
    return "female" if female else "male"


@lru_cache(maxsize=16_384)
def _ranks(word: str) -> str:
    return "".join([_RANKS.get(char, "0") for char in nfc(word.lower())])


_UNACCENTED = {"thi": "thị", "van": "văn"}

# Each letter's form (a ă â, d đ, o ô ơ) times six and its tone, as one character in byte order.
_RANKS = {
    char: chr(ord("0") + rank)
    for row in (
        "aàảãáạăằẳẵắặâầẩẫấậ",
        "eèẻẽéẹêềểễếệ",
        "iìỉĩíị",
        "oòỏõóọôồổỗốộơờởỡớợ",
        "uùủũúụưừửữứự",
        "yỳỷỹýỵ",
    )
    for rank, char in enumerate(row)
} | {"đ": "6"}
