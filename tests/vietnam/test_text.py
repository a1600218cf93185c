"""Text: storage form, search key, words."""

import sys
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.vietnam import text as vn
from app.core.vietnam.text import clean, clean_multiline, fold, has_accents, tcvn3_suspect, words

LETTERS = "aàảãáạăằẳẵắặâầẩẫấậđeèẻẽéẹêềểễếệiìỉĩíịoòỏõóọôồổỗốộơờởỡớợuùủũúụưừửữứựyỳỷỹýỵ"
VIETNAMESE = st.text(LETTERS + LETTERS.upper() + "bcghklmnpqrstvx 0123456789.,-", max_size=60)
ANY = st.one_of(VIETNAMESE, st.text(max_size=40), st.text(st.characters(categories=["L", "M", "C", "Z"]), max_size=20))


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        ("Đường Điện Biên Phủ", "duong dien bien phu"),
        ("  Nguyễn   Thị\tHoa\u00a0 ", "nguyen thi hoa"),
        ("TRẦN VĂN ĐỨC", "tran van duc"),
        ("Ðặng", "dang"),
        ("hòa hoà HÒA", "hoa hoa hoa"),
        ("thuý thúy", "thuy thuy"),
        ("a\u200bb \ufeffc", "ab c"),
        ("\U0001d4dd\U0001d4f0\U0001d4fe\U0001d502\U0001d4ee\u0302\u0303\U0001d4f7", "nguyen"),
        ("ＡＢＣ１２", "abc12"),
        ("Công ty TNHH Á-Âu", "cong ty tnhh a-au"),
        ("東京 Цой", "東京 цои"),
        ("", ""),
        (" \t\n", ""),
    ],
)
def test_fold(typed: str, key: str) -> None:
    assert fold(typed) == key


@given(ANY)
def test_fold_is_idempotent_and_blind_to_composition(typed: str) -> None:
    key = fold(typed)
    assert fold(key) == key
    assert fold(unicodedata.normalize("NFC", typed)) == fold(unicodedata.normalize("NFD", typed)) == key
    assert words(key) == words(typed)
    assert key == " ".join(key.split())


@given(VIETNAMESE)
def test_vietnamese_folds_to_plain_letters_whatever_the_case(typed: str) -> None:
    assert fold(typed).isascii()
    assert fold(typed.upper()) == fold(typed.lower()) == fold(typed)


def test_the_table_obeys_the_law_for_every_character() -> None:
    for code in range(sys.maxunicode + 1):
        char = chr(code)
        if not char.isspace():
            assert vn._fold_word(char) == vn._fold_general(char), hex(code)


def test_long_texts_fold_like_their_parts() -> None:
    name = "Nguyễn Thị Ánh Đào"
    assert fold(" ".join([name] * 500)) == " ".join([fold(name)] * 500)
    assert fold("ắ" * 5000) == "a" * 5000


def test_words_are_letters_and_digits() -> None:
    assert words("Số 12B, phố Lý Thường-Kiệt (Q.1) a_b") == [
        *("so", "12b", "pho", "ly", "thuong", "kiet", "q", "1", "a", "b"),
    ]
    assert words("!!!") == []


def test_accented_words_keep_accents_and_agree_on_the_place_of_the_tone() -> None:
    assert vn.accented_words("Hoà, HÒA; khoẻ thuỳ Quý hoàn") == ["hòa", "hòa", "khỏe", "thùy", "quý", "hoàn"]
    assert vn.accented_words(unicodedata.normalize("NFD", "Nguyễn Đức")) == ["nguyễn", "đức"]
    assert vn.accented_words("Hoa") != vn.accented_words("Hòa")


@given(VIETNAMESE)
def test_accented_words_are_the_folded_words_with_accents(typed: str) -> None:
    assert [fold(word) for word in vn.accented_words(typed)] == words(typed)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [("Hoa", False), ("Hòa", True), ("đa", True), (unicodedata.normalize("NFD", "Hòa"), True), ("東京 “x”", False)],
)
def test_has_accents(typed: str, expected: bool) -> None:
    assert has_accents(typed) is expected


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("  Nguyễn \u00a0 Văn\tA \n", "Nguyễn Văn A"),
        ("\ufeffHoa\u200b", "Hoa"),
        ("Ho\x00a\x07", "Hoa"),
        ("\u202eHoa\u202c", "Hoa"),
        ("Ho\ud800a", "Hoa"),
        ("\ud83d\ude00", "\U0001f600"),
        ("Hoa_x0000__xD800_", "Hoa"),
        ("_x_x0000_0000_", ""),
        ("_xD83D__xDE00_", "\U0001f600"),
        ("a_x000D_b", "a b"),
        ("_xABCD_ _x0041_", "_xABCD_ _x0041_"),
        ("a\u200b\u0301", "\u00e1"),
        (unicodedata.normalize("NFD", "Đặng Thuỳ"), "Đặng Thuỳ"),
        ("a\u2003b\u3000c\u2028d", "a b c d"),
        ("", ""),
    ],
)
def test_clean(typed: str, expected: str) -> None:
    assert clean(typed) == expected


@given(ANY)
def test_clean_is_idempotent_composed_and_storable(typed: str) -> None:
    stored = clean(typed)
    assert clean(stored) == stored
    assert unicodedata.is_normalized("NFC", stored)
    assert stored.encode().decode() == stored
    assert "\x00" not in stored
    assert clean_multiline(stored) == stored


def test_escapes_within_escapes_take_no_longer_than_others() -> None:
    """Each level of nesting once took a pass of its own: a megabyte stopped the event loop for minutes."""
    nested = "_x" * 20_000 + "0000_" * 20_000
    started = time.perf_counter()
    stored = clean(nested)
    assert time.perf_counter() - started < 0.2
    assert clean(stored) == stored
    assert "_x" not in stored
    assert clean("_x" * 8 + "0000_" * 8) == ""


def test_clean_multiline_keeps_lines() -> None:
    assert clean_multiline("\n dòng  1 \r\n\r\n dòng\x00 2\u2028dòng\t3\r") == "dòng 1\n\ndòng 2\ndòng 3"
    assert clean_multiline("một _x000A_ hai") == "một\nhai"
    assert clean_multiline("  một   dòng ") == "một dòng"


@given(ANY)
def test_clean_multiline_is_idempotent(typed: str) -> None:
    stored = clean_multiline(typed)
    assert clean_multiline(stored) == stored
    assert "\r" not in stored
    assert " ".join(stored.split()) == clean(typed)


@pytest.mark.parametrize(
    "typed",
    [
        "NguyÔn V¨n Hïng",
        "TrÇn ThÞ Hoa",
        "§Æng Hµ",
        "®\u00adêng",
        "Nguyeãn Vaên Huøng",
        "Traàn Thò Leâ",
        "NGUYEÃN VAÊN",
        "Nguyá»…n VÄƒn",
        "HÃ Ná»™i",
        "Äáº·ng",
    ],
)
def test_old_fonts_and_wrong_code_pages_are_suspected(typed: str) -> None:
    assert tcvn3_suspect(typed)


@pytest.mark.parametrize(
    "typed",
    [
        *("Nguyễn Văn Hùng", "Hoà Oanh", "Ngô Thì", "Quý", "Nguyen Van A", "Đỗ Ý Nhi", "Hà · Nội", "Tôi là ai"),
        *("café", "München", "señor Raúl", "Loïc naïve", "Straße", "Citroën", "João São Paulo", "Renée", "Ñandú"),
        *("François Müller", "m² 10µm", "©2020 Coca®", "Raphaël", "Ångström", "Søren Kjær", "25°C ± 1", "«à la»"),
        *("hoà hoá hoã thuý xoòng goòng loõng", "luân xuân khuâng yêu thuê", "quà quý già giã khoé ngoèo"),
    ],
)
def test_true_names_are_not_suspected(typed: str) -> None:
    assert not tcvn3_suspect(typed)
    assert not tcvn3_suspect(unicodedata.normalize("NFD", typed))


@given(VIETNAMESE)
def test_text_with_letters_of_unicode_alone_is_not_suspected(typed: str) -> None:
    assert not tcvn3_suspect("ệ " + typed)
