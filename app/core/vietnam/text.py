"""Cleaning, search keys and words of Vietnamese text."""

import re
import unicodedata
from functools import lru_cache

__all__ = [
    "accented_words",
    "clean",
    "clean_multiline",
    "fold",
    "has_accents",
    "nfc",
    "tcvn3_suspect",
    "words",
]

_CACHED_LENGTH = 80

# Control, joiners, direction, byte order marks, soft hyphen, surrogates, tags: nothing a person sees.
# Tab, line ends and U+0085 are white space and stay.
_INVISIBLE_RANGES = (
    (0x00, 0x08),
    (0x0E, 0x1F),
    (0x7F, 0x84),
    (0x86, 0x9F),
    (0xAD, 0xAD),
    (0x061C, 0x061C),
    (0x180E, 0x180E),
    (0x200B, 0x200F),
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0xD800, 0xDFFF),
    (0xFEFF, 0xFEFF),
    (0xFFF9, 0xFFFB),
    (0xFFFE, 0xFFFF),
    (0xE0000, 0xE007F),
)
_INVISIBLE = dict.fromkeys(code for first, last in _INVISIBLE_RANGES for code in range(first, last + 1))
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_CONTROL = re.compile(r"_x(?:00[01][0-9A-F]|007F|00[89][0-9A-F]|D[89A-F][0-9A-F]{2}|FFF[EF])_", re.I)
# One program escapes what another has escaped. Deeper is no accident, and each level is a pass over the whole text.
_ESCAPE_DEPTH = 8

# đ has no decomposition; ð and ɖ have a capital that looks the same as Đ and stand for it in old files.
_CROSSED_D = dict.fromkeys(map(ord, "\u0111\u0110\u00f0\u00d0\u0256\u0189"), "d")


def nfc(text: str) -> str:
    """The composed form (NFC); macOS and iOS send the decomposed one."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def clean(text: str) -> str:
    """One line fit for storage: NFC, nothing invisible, every run of white space one space, trimmed.

    Removes control, zero-width and bidirectional characters, the byte order mark, NUL and lone surrogates,
    also where a spreadsheet wrote them as `_x0000_`.
    """
    return " ".join(_visible(text).split())


def clean_multiline(text: str) -> str:
    """As `clean`, but line ends stay, as `\\n`; empty lines before and after the text go."""
    if text.isprintable() and "_x" not in text:
        return clean(text)
    return "\n".join([" ".join(line.split()) for line in _visible(text).splitlines()]).strip("\n")


def fold(text: str) -> str:
    """Search key: lower case without accents, đ as d, white space collapsed.

    The same for composed and decomposed text and for both places of the tone mark (hòa, hoà). Letters of
    other scripts stay; the ornamental alphabets that people use in nicknames become plain letters.
    """
    if text.isascii() and text.isprintable():
        return " ".join(text.lower().split())
    if len(text) <= _CACHED_LENGTH:
        return " ".join(filter(None, map(_fold_cached, text.split())))
    parts = [_fold_cached(part) if len(part) <= _CACHED_LENGTH else _fold_word(part) for part in text.split()]
    return " ".join(filter(None, parts))


def words(text: str) -> list[str]:
    """The folded words (letters and digits) of a text, in order, repeats kept."""
    key = fold(text)
    return key.split() if key.replace(" ", "").isalnum() else _WORD.findall(key)


def accented_words(text: str) -> list[str]:
    """The words in lower case with their accents, for ranking exact matches first.

    Both places of the tone mark give the same word: hoà → hòa, thuý → thúy.
    """
    lowered = nfc(nfc(text).lower())
    found = lowered.split() if lowered.replace(" ", "").isalnum() else _ACCENTED_WORD.findall(lowered)
    return [_place_tone(word) for word in found]


def has_accents(text: str) -> bool:
    """Whether the text carries any accent or đ, so that its writer meant the accents."""
    return not text.isascii() and _ACCENT.search(text) is not None


def tcvn3_suspect(text: str) -> bool:
    """Whether the text looks like TCVN3 or VNI fonts, or like UTF-8 read in a wrong code page.

    A hint for a warning: it stays silent where foreign names could explain the letters.
    """
    if text.isascii():
        return False
    if _UTF8_MISREAD.search(text):
        return True
    return _OLD_FONT.search(text) is not None and not _UNICODE_VIETNAMESE.search(text)


def _visible(text: str) -> str:
    """The text in NFC without invisible characters; its white space is untouched."""
    if not text.isprintable():
        text = _strip_invisible(text)
    depth = 0
    while "_x" in text and _ESCAPED_CONTROL.search(text):
        if depth == _ESCAPE_DEPTH:
            text = text.replace("_x", " x")
        else:
            text = _strip_invisible(_ESCAPED_CONTROL.sub(_unescape, text))
        depth += 1
    return nfc(text)


def _strip_invisible(text: str) -> str:
    if _SURROGATE.search(text):
        # Two halves side by side are one character that a UTF-16 writer split.
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
        text = _SURROGATE.sub("", text)
    return text.translate(_INVISIBLE)


def _unescape(match: re.Match[str]) -> str:
    return chr(int(match[0][2:6], 16))


def _fold_word(word: str) -> str:
    key = word.translate(_FOLD)
    return key if key.isascii() else _fold_general(word)


def _fold_general(word: str) -> str:
    """The folding law itself, for any script; `_FOLD` holds its results for Latin letters."""
    parts = unicodedata.normalize("NFKD", word.translate(_INVISIBLE))
    bare = "".join([char for char in parts if unicodedata.category(char) != "Mn"])
    key = unicodedata.normalize("NFC", bare.lower().translate(_CROSSED_D))
    return " ".join(key.split())


def _fold_table() -> dict[int, str | None]:
    table: dict[int, str | None] = dict.fromkeys((*range(0x0300, 0x0370), *range(0x200B, 0x2010), 0xFEFF))
    for code in (*range(0x250), *_CROSSED_D, *range(0x1E00, 0x1F00)):
        key = _fold_general(chr(code))
        if key.isascii():
            table[code] = key
    return table


def _place_tone(word: str) -> str:
    end = _OPEN_TONE.get(word[-2:])
    if end is None or (end[1] == "y" and word[-3:-2] == "q"):
        return word
    return word[:-2] + end


_FOLD = _fold_table()
_fold_cached = lru_cache(maxsize=32_768)(_fold_word)

_WORD = re.compile(r"[^\W_]+")
_ACCENTED_WORD = re.compile(r"(?:[^\W_][\u0300-\u036f]*)+")
_ACCENT = re.compile("[{}]".format("".join(chr(code) for code in _FOLD if code in range(0xC0, 0x2000))))
_OPEN_TONE = {
    vowel + marked: toned + bare
    for vowel, tones, bare, marks in (
        ("o", "òóỏõọ", "a", "àáảãạ"),
        ("o", "òóỏõọ", "e", "èéẻẽẹ"),
        ("u", "ùúủũụ", "y", "ỳýỷỹỵ"),
    )
    for toned, marked in zip(tones, marks, strict=True)
}

_UNICODE_VIETNAMESE = re.compile("[ăĂđĐơƠưƯ\u1ea0-\u1ef9]")
_UTF8_MISREAD = re.compile("\u00e1[\u00ba\u00bb]|\u00c4[\u0090\u0091\u2018]|\u00c6[\u00a1\u00b0]|\u00c3[\u00a1-\u00bf]")
_OLD_FONT = re.compile(
    # TCVN3: a symbol within a word (V¨n, Hµ), a capital after a small letter (TrÇn, ThÞ), đ and Đ (®, §).
    "[A-Za-z][\u00a8-\u00ac\u00b5-\u00b9\u00bb-\u00be](?=[a-z])"
    r"|[A-Za-z][\u00b5\u00b6\u00b8](?![^\W_])"
    r"|[a-z][\u00c6-\u00cb\u00ce-\u00d6\u00d8\u00dc-\u00de](?=[a-z]|\W|$)"
    r"|(?<![^\W_])[\u00a7\u00ae][a-z\u00a8-\u00ad\u00b5-\u00b9\u00bb-\u00be\u00c6-\u00de]"
    # VNI: a plain vowel followed by a letter that stands for its mark (Nguyeãn, Vaên, Huøng).
    "|a[âåãäêøùûõ]|e[âåãäøùûõ]|o[âåäøù]|u[øùûõ]|y[øùûõ]|[öô][øùûõ]"
    "|A[ÂÅÃÄÊØÙÛÕ]|E[ÂÅÃÄØÙÛÕ]|O[ÂÅÄØÙ]|U[ØÙÛÕ]|Y[ØÙÛÕ]|[ÖÔ][ØÙÛÕ]"
)
