"""Texts without case and accents: what finds a folded text in a stored one, or in an index of words.

The pattern holds, for each plain letter, every letter that folds to it. So the column is not folded for each row, and
the law of folding stays in one place (app/core/vietnam/text.py).
"""

import re
from functools import lru_cache

from app.core.vietnam import text as vn

# What stands between words: ASCII that is no letter or digit, general punctuation, Latin-1 signs.
_GAP = r"[\u0001-/:-@\[-`{-\u00a9\u00ab-\u00b1\u00b4\u00b6-\u00b8\u00bb\u00bf\u2000-\u206f\u3000-\u3003]"
_PLAIN = re.compile("[a-z0-9]")


def anywhere(text: str) -> str:
    """A pattern for a text that holds this one."""
    return _letters(vn.fold(text))


def at_start(text: str) -> str:
    """A pattern for a text that begins with this one."""
    return r"^\s*" + _letters(vn.fold(text))


def at_end(text: str) -> str:
    """A pattern for a text that ends with this one."""
    return _letters(vn.fold(text)) + r"\s*$"


def a_word(word: str, *, whole: bool = False) -> str:
    """A pattern for a text with this word, or with one that begins so."""
    return f"(^|{_GAP}){_letters(word)}" + (f"($|{_GAP})" if whole else "")


def last_words(text: str) -> str:
    """A pattern for a text whose last words are these."""
    return f"(^|{_GAP}){_letters(vn.fold(text))}\\s*$"


def lexeme(word: str, *, prefix: bool = False) -> str:
    """A folded word as a tsquery says it: the word itself, or all that begin with it."""
    quoted = "'" + word[:200].replace("\\", "\\\\").replace("'", "''") + "'"
    return quoted + (":*" if prefix else "")


@lru_cache(maxsize=4096)
def _letters(folded: str) -> str:
    return "".join(_letter(char) for char in folded)


@lru_cache(maxsize=4096)
def _letter(char: str) -> str:
    if char == " ":
        return r"\s+"
    if _PLAIN.fullmatch(char):
        return f"[{_FAMILY[char]}]"
    both = dict.fromkeys((char, *(one for one in (char.upper(), char.lower()) if len(one) == 1)))
    return "(" + "|".join("\\" + one if one.isascii() and not one.isalnum() else one for one in both) + ")"


def _families() -> dict[str, str]:
    found: dict[str, str] = {}
    for code in (*range(0x20, 0x250), *range(0x1E00, 0x1F00)):
        key = vn.fold(chr(code))
        if len(key) == 1 and _PLAIN.fullmatch(key):
            found[key] = found.get(key, "") + chr(code)
    return found


_FAMILY = _families()
