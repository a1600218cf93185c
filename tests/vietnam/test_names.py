"""Names: given name last, order of a Vietnamese list, salutations."""

import random
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.vietnam.names import family_name, given_name, guess_gender, salutation, sort_key
from app.core.vietnam.text import fold

PARTS = ["Nguyễn", "Trần", "Lê", "Văn", "Thị", "An", "Ân", "Anh", "Ánh", "Hoa", "Hòa", "Đỗ", "Tuấn", "Tuân"]
FULL = st.lists(st.sampled_from(PARTS), min_size=1, max_size=4).map(" ".join)


@pytest.mark.parametrize(
    ("full", "family", "given"),
    [
        ("Nguyễn Thị Hoa", "Nguyễn", "Hoa"),
        ("  Lê  An ", "Lê", "An"),
        ("Hoa", "", "Hoa"),
        ("", "", ""),
        (unicodedata.normalize("NFD", "Đặng Tuấn"), "Đặng", "Tuấn"),
    ],
)
def test_parts(full: str, family: str, given: str) -> None:
    assert family_name(full) == family
    assert given_name(full) == given


def _shuffled(names: list[str]) -> list[str]:
    return random.Random(7).sample(names, len(names))


def test_a_list_is_in_the_order_people_expect() -> None:
    expected = [
        # Accents decide only between names that are equal without them.
        "Lê An",
        "Lê Ân",
        "Trần An",
        "Đỗ Anh",
        "Đỗ Ánh",
        "Hoa",
        "Lê Hoa",
        "Lê Thị Hoa",
        "Lê Thị Hòa",
        "Nguyễn Tuấn",
        "Nguyễn Văn Tuấn",
        "Trần Văn Tuấn",
    ]
    assert sorted(_shuffled(expected), key=lambda name: sort_key(name).encode()) == expected


def test_tones_follow_the_dictionary() -> None:
    tones = ["Lê Ma", "Lê Mà", "Lê Mả", "Lê Mã", "Lê Má", "Lê Mạ", "Lê Mă", "Lê Mắ", "Lê Mâ", "Lê Mậ"]
    assert sorted(_shuffled(tones), key=sort_key) == tones
    assert sort_key("Lê Da") < sort_key("Lê Đa")


@given(FULL, FULL)
def test_sort_key_puts_the_given_name_first(one: str, other: str) -> None:
    assert sort_key(one) == sort_key(unicodedata.normalize("NFD", one)) == sort_key(f" {one} ".replace(" ", "  "))
    assert (sort_key(one) == sort_key(other)) == (one == other)
    first, second = fold(given_name(one)), fold(given_name(other))
    if first != second:
        assert (sort_key(one) < sort_key(other)) == (first < second)


def test_sort_key_of_nothing() -> None:
    assert sort_key(" ") == ""


def test_salutations() -> None:
    assert [salutation(gender) for gender in ("male", "female", None, "other")] == ["Anh", "Chị", "Anh/Chị", "Anh/Chị"]


@pytest.mark.parametrize(
    ("full", "gender"),
    [
        ("Nguyễn Thị Hoa", "female"),
        ("NGUYỄN THỊ HOA", "female"),
        ("Nguyen Thi Hoa", "female"),
        ("Trần Văn Tuấn", "male"),
        ("Tran Van Tuan", "male"),
        ("Văn Thị Hoa", "female"),
        ("Trần Vân Anh", None),
        ("Lê Thi Hòa", None),
        ("Nguyễn Văn", None),
        ("Trần Văn Thị Hoa", None),
        ("Hoa", None),
        ("", None),
    ],
)
def test_gender_hint(full: str, gender: str | None) -> None:
    assert guess_gender(full) == gender
