"""Provinces: 34 of today, 63 of before, and what people write for them."""

import unicodedata
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.vietnam import provinces
from app.core.vietnam.provinces import ALL, AREA_CODES, OLD, Match, by_area_code, by_code, by_old_code, find

CITIES = {"Hà Nội", "Hải Phòng", "Huế", "Đà Nẵng", "Thành phố Hồ Chí Minh", "Cần Thơ"}


def test_the_tables_are_whole() -> None:
    assert len(ALL) == len({unit.code for unit in ALL}) == len({unit.name for unit in ALL}) == 34
    assert len(OLD) == len({unit.code for unit in OLD}) == len({unit.name for unit in OLD}) == 63
    assert len(AREA_CODES) == 63
    assert {unit.name for unit in ALL if unit.is_city} == CITIES
    assert [unit.code for unit in ALL] == sorted(unit.code for unit in ALL)
    assert Counter(unit.new_code for unit in OLD) == {unit.code: len(unit.old_codes) for unit in ALL}
    for unit in ALL:
        assert unit.full_name.startswith("Thành phố " if unit.is_city else "Tỉnh ")
        assert unicodedata.is_normalized("NFC", unit.full_name)
        assert by_code(unit.code) is unit


def test_every_old_province_lies_in_a_new_one() -> None:
    for unit in OLD:
        today = by_code(unit.new_code)
        assert today is not None
        assert unit.code in today.old_codes
        assert unit.area_code in today.area_codes
        assert by_area_code(unit.area_code) is today
        assert by_old_code(unit.code) is unit


@pytest.mark.parametrize(
    ("old_code", "old_name", "new_name"),
    [
        ("24", "Bắc Giang", "Bắc Ninh"),
        ("15", "Yên Bái", "Lào Cai"),
        ("44", "Quảng Bình", "Quảng Trị"),
        ("52", "Bình Định", "Gia Lai"),
        ("80", "Long An", "Tây Ninh"),
        ("82", "Tiền Giang", "Đồng Tháp"),
        ("91", "Kiên Giang", "An Giang"),
        ("46", "Thừa Thiên Huế", "Huế"),
        ("72", "Tây Ninh", "Tây Ninh"),
        ("77", "Bà Rịa - Vũng Tàu", "Thành phố Hồ Chí Minh"),
    ],
)
def test_old_codes_have_their_old_meaning(old_code: str, old_name: str, new_name: str) -> None:
    unit = by_old_code(old_code)
    assert unit is not None
    assert unit.name == old_name
    today = by_code(unit.new_code)
    assert today is not None
    assert today.name == new_name


@pytest.mark.parametrize(("area", "code"), [("24", "01"), ("28", "79"), ("274", "79"), ("235", "48"), ("216", "15")])
def test_landline_areas(area: str, code: str) -> None:
    unit = by_area_code(area)
    assert unit is not None
    assert unit.code == code
    assert by_area_code("217") is None


HCM = "Thành phố Hồ Chí Minh"


@pytest.mark.parametrize(
    ("text", "name", "old_name"),
    [
        ("Hà Nội", "Hà Nội", None),
        ("ha noi", "Hà Nội", None),
        ("HANOI", "Hà Nội", None),
        ("TP. Hà Nội", "Hà Nội", None),
        ("Hà Nội, Việt Nam", "Hà Nội", None),
        ("Hanoi, VN", "Hà Nội", None),
        ("Thủ đô Hà Nội", "Hà Nội", None),
        ("HN", "Hà Nội", None),
        ("HCM", HCM, None),
        ("TP.HCM", HCM, None),
        ("TPHCM", HCM, None),
        ("Tp. Hồ Chí Minh", HCM, None),
        ("Hồ Chí Minh", HCM, None),
        ("Ho Chi Minh City", HCM, None),
        ("SG", HCM, None),
        ("Sài Gòn", HCM, None),
        ("BR-VT", HCM, "Bà Rịa - Vũng Tàu"),
        ("Bà Rịa – Vũng Tàu", HCM, "Bà Rịa - Vũng Tàu"),
        ("Vũng Tàu", HCM, "Bà Rịa - Vũng Tàu"),
        ("tỉnh Bình Dương", HCM, "Bình Dương"),
        ("Huế", "Huế", None),
        ("TP Huế", "Huế", None),
        ("Thừa Thiên Huế", "Huế", "Thừa Thiên Huế"),
        ("Thừa Thiên - Huế", "Huế", "Thừa Thiên Huế"),
        ("TT. Huế", "Huế", "Thừa Thiên Huế"),
        ("Thanh Hoá", "Thanh Hóa", None),
        ("T. Thanh Hóa", "Thanh Hóa", None),
        ("Đắc Lắc", "Đắk Lắk", None),
        ("Dak Lak", "Đắk Lắk", None),
        ("KonTum", "Quảng Ngãi", "Kon Tum"),
        ("Bắc Cạn", "Thái Nguyên", "Bắc Kạn"),
        ("Tuyên Quang", "Tuyên Quang", None),
        ("Hà Giang", "Tuyên Quang", "Hà Giang"),
        ("Hà Tây", "Hà Nội", "Hà Tây"),
        ("01", "Hà Nội", None),
        ("79", HCM, None),
        # Old Bắc Giang: a bare code is always a new one.
        ("24", "Bắc Ninh", None),
    ],
)
def test_find(text: str, name: str, old_name: str | None) -> None:
    for form in (text, text.upper(), f"  {text} ", unicodedata.normalize("NFD", text)):
        match = find(form)
        assert match is not None
        assert (match.name, match.old_name) == (name, old_name)
        unit = by_code(match.code)
        assert unit is not None
        assert unit.name == name


@pytest.mark.parametrize(
    "text", ["", " ", "ĐN", "QN", "BD", "02", "1", "100", "Paris", "Việt Nam", "VN", "T", "x" * 500]
)
def test_unknown_and_ambiguous_texts_are_not_guessed(text: str) -> None:
    assert find(text) is None


@given(st.sampled_from(ALL), st.sampled_from(["", "Tỉnh ", "TP. ", "TP ", "Thành phố ", "T. ", "tinh "]))
def test_every_new_name_is_found_with_every_prefix(unit: provinces.Province, prefix: str) -> None:
    bare = unit.name.removeprefix("Thành phố ")
    assert find(prefix + bare) == find(unit.full_name) == Match(unit.code, unit.name, None, None)


@given(st.sampled_from(OLD), st.sampled_from(["", "Tỉnh ", "TP. "]))
def test_every_old_name_is_found(unit: provinces.OldProvince, prefix: str) -> None:
    match = find(prefix + unit.name)
    assert match is not None
    assert match.code == unit.new_code
    if match.old_name is not None:
        assert (match.old_name, match.old_code) == (unit.name, unit.code)


def test_no_short_form_hides_another_province() -> None:
    forms = Counter(form for unit in ALL for form in {unit.name, *provinces._ALIASES.get(unit.code, ())})
    forms.update(form for unit in OLD for form in provinces._OLD_ALIASES.get(unit.code, ()))
    assert max(forms.values()) == 1
    named = {unit.name for unit in ALL} | {unit.name for unit in OLD}
    for name in named:
        match = find(name)
        assert match is not None
        assert name in (match.name, match.old_name)


OLD_AREAS = (
    "Hà Nội 24, Thành phố Hồ Chí Minh 28, Quảng Ninh 203, Bắc Giang 204, Lạng Sơn 205, Cao Bằng 206, "
    "Tuyên Quang 207, Thái Nguyên 208, Bắc Kạn 209, Phú Thọ 210, Vĩnh Phúc 211, Sơn La 212, Lai Châu 213, "
    "Lào Cai 214, Điện Biên 215, Yên Bái 216, Hòa Bình 218, Hà Giang 219, Hải Dương 220, Hưng Yên 221, "
    "Bắc Ninh 222, Hải Phòng 225, Hà Nam 226, Thái Bình 227, Nam Định 228, Ninh Bình 229, Quảng Bình 232, "
    "Quảng Trị 233, Thừa Thiên Huế 234, Quảng Nam 235, Đà Nẵng 236, Thanh Hóa 237, Nghệ An 238, Hà Tĩnh 239, "
    "Đồng Nai 251, Bình Thuận 252, Bà Rịa - Vũng Tàu 254, Quảng Ngãi 255, Bình Định 256, Phú Yên 257, "
    "Khánh Hòa 258, Ninh Thuận 259, Kon Tum 260, Đắk Nông 261, Đắk Lắk 262, Lâm Đồng 263, Gia Lai 269, "
    "Vĩnh Long 270, Bình Phước 271, Long An 272, Tiền Giang 273, Bình Dương 274, Bến Tre 275, Tây Ninh 276, "
    "Đồng Tháp 277, Cà Mau 290, Bạc Liêu 291, Cần Thơ 292, Hậu Giang 293, Trà Vinh 294, An Giang 296, "
    "Kiên Giang 297, Sóc Trăng 299"
)


def test_each_old_province_keeps_its_own_area() -> None:
    assert sorted(OLD_AREAS.split(", ")) == sorted(f"{unit.name} {unit.area_code}" for unit in OLD)
