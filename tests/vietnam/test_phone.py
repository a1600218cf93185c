"""Phones: one stored form for everything people and spreadsheets write."""

import math
import unicodedata

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.vietnam import phone
from app.core.vietnam.phone import PhoneQuery
from app.core.vietnam.provinces import AREA_CODES

MOBILE = "+84912345678"

SAME_MOBILE = [
    "0912345678",
    "0912 345 678",
    "0912.345.678",
    "0912-345-678",
    "0912/345/678",
    "(0912) 345678",
    " 0912345678\t",
    "0912\u00a0345\u00a0678",
    "0912\u2013345\u2013678",
    "0912\u2011345\u2011678",
    "\u202a0912345678\u202c",
    "\ufeff0912345678",
    "0912\u200b345678",
    "'0912345678",
    "\u20190912345678",
    " '0912 345 678",
    "０９１２３４５６７８",
    "+84912345678",
    "＋84 912 345 678",
    "+84 (0) 912 345 678",
    "(+84) 912345678",
    "84912345678",
    "840912345678",
    "+840912345678",
    "0084912345678",
    "00840912345678",
]


@pytest.mark.parametrize("text", SAME_MOBILE)
def test_every_way_of_writing_one_mobile_gives_one_number(text: str) -> None:
    assert phone.normalise(text) == MOBILE
    assert not phone.lost_zero(text)


@pytest.mark.feature("B026")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("912345678", MOBILE),
        ("912 345 678", MOBILE),
        ("912345678.0", MOBILE),
        ("'912345678", MOBILE),
        ("841234567", "+84841234567"),
        ("1629876543", "+84329876543"),
        ("2438251234", "+842438251234"),
        ("2253842576", "+842253842576"),
    ],
)
def test_a_zero_lost_by_a_spreadsheet_comes_back_and_is_reported(text: str, expected: str) -> None:
    assert phone.normalise(text) == expected
    assert phone.lost_zero(text)
    assert phone.normalise("0" + phone.national(expected)[1:]) == expected


OLD_TO_NEW = {
    **{f"016{digit}": f"03{digit}" for digit in "23456789"},
    "0120": "070",
    "0121": "079",
    "0122": "077",
    "0126": "076",
    "0128": "078",
    "0123": "083",
    "0124": "084",
    "0125": "085",
    "0127": "081",
    "0129": "082",
    "0186": "056",
    "0188": "058",
    "0199": "059",
}


@pytest.mark.parametrize(("old", "new"), OLD_TO_NEW.items())
def test_eleven_digit_mobiles_of_before_2018_become_ten_digit_ones(old: str, new: str) -> None:
    expected = "+84" + new[1:] + "1234567"
    for text in (old + "1234567", f"+84 {old[1:]} 123 4567", f"84{old[1:]}1234567", f"{old[1:]}1234567"):
        assert phone.normalise(text) == expected
    assert phone.normalise(new + "1234567") == expected


@pytest.mark.parametrize("prefix", ["0161", "0130", "0187", "0189", "0190", "0198", "0110"])
def test_eleven_digits_with_a_prefix_that_never_was_are_refused(prefix: str) -> None:
    assert phone.normalise(prefix + "1234567") is None


@pytest.mark.parametrize("area", sorted(AREA_CODES))
def test_landlines_of_every_area(area: str) -> None:
    subscriber = "38251234" if len(area) == 2 else "3825123"
    e164 = f"+84{area}{subscriber}"
    for text in (f"0{area}{subscriber}", f"(0{area}) {subscriber[:4]} {subscriber[4:]}", e164, f"84{area}{subscriber}"):
        assert phone.normalise(text) == e164
    assert phone.normalise(f"0{area}{subscriber}0") is None
    assert phone.normalise(f"0{area}{subscriber[:-1]}") is None
    assert phone.kind(e164) == "landline"
    assert phone.province_of(e164) == AREA_CODES[area]
    assert phonenumbers.is_valid_number(phonenumbers.parse(e164, None))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("04 3825 1234", "+842438251234"),
        ("+84 4 3825 1234", "+842438251234"),
        ("061 382 5123", "+842513825123"),
        ("0650 382 5123", "+842743825123"),
        ("0511 382 5123", "+842363825123"),
        ("0710 382 5123", "+842923825123"),
        ("043825123", None),
        ("06138251234", None),
        ("0672123456", None),
        ("438251234", None),
    ],
)
def test_landlines_of_before_2017_only_where_nothing_else_fits(text: str, expected: str | None) -> None:
    assert phone.normalise(text) == expected


def test_a_mobile_with_a_digit_too_many_is_not_taken_for_an_old_landline() -> None:
    for prefix in ("0320", "0321", "0350", "0351", "0780", "0781"):
        assert phone.normalise(prefix + "3825123") is None


@pytest.mark.parametrize(
    ("text", "expected", "dialled"),
    [
        ("19001234", "+8419001234", "19001234"),
        ("1900 1234", "+8419001234", "19001234"),
        ("+84 1900 1234", "+8419001234", "19001234"),
        ("1800.1234", "+8418001234", "18001234"),
        ("1900 12345", "+84190012345", "190012345"),
        ("1900 123 456", "+841900123456", "1900123456"),
        ("069 123 456", "+8469123456", "069123456"),
        ("080 43162", "+848043162", "08043162"),
    ],
)
def test_hotlines_and_special_networks(text: str, expected: str, dialled: str) -> None:
    assert phone.normalise(text) == expected
    assert phone.national(expected) == dialled
    assert phone.normalise(dialled) == expected
    assert not phone.is_mobile(expected)
    assert not phone.lost_zero(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("+1 202 555 0123", "+12025550123"),
        ("001 202 555 0123", "+12025550123"),
        ("+44 (0)20 7946 0958", "+442079460958"),
        ("+65 9123 4567", "+6591234567"),
        ("+39 06 1234 5678", "+390612345678"),
        ("+82-10-1234-5678", "+821012345678"),
        # A slip of the finger, not Jordan: 00 asks for more than a possible length.
        ("00962 938 733", None),
        ("+999123456789", None),
        # Without its trunk zero it would be too short to be read again.
        ("+43 04927", None),
        ("+1202", None),
        ("12025550123", None),
    ],
)
def test_foreign_numbers(text: str, expected: str | None) -> None:
    assert phone.normalise(text) == expected
    if expected is not None:
        assert phone.kind(expected) == "foreign"
        assert phone.national(expected) == expected
        assert phone.province_of(expected) is None
        assert phone.carrier(expected) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "+",
        "++84912345678",
        "+84",
        "0084",
        "113",
        "12345",
        "091234567",
        "09123456789",
        "0412345678",
        "0212345678",
        "091234567a",
        "0912345678 (Zalo)",
        "tel:0912345678",
        "0912345678/0987654321",
        "0912345678,",
        "9.12E+08",
        "91234567.0",
        "096293873.0",
        "019001234",
        "+84412345678",
        "٠٩١٢٣٤٥٦٧٨",
        "\ud800",
        "0912345678\x00",
        "9" * 5000,
        "+" + "9" * 5000,
    ],
)
def test_what_cannot_be_a_phone_is_none(text: str) -> None:
    assert phone.normalise(text) is None


def test_new_ranges_that_libphonenumber_refuses_are_taken() -> None:
    assert phone.normalise("0892222222") == "+84892222222"
    assert phone.normalise("0552222222") == "+84552222222"


@pytest.mark.feature("B026")
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (912345678.0, MOBILE),
        (912345678, MOBILE),
        (84912345678.0, MOBILE),
        (1629876543.0, "+84329876543"),
        (2438251234.0, "+842438251234"),
        (19001234.0, "+8419001234"),
        (912345678.5, None),
        (math.nan, None),
        (math.inf, None),
        (-math.inf, None),
        (-912345678, None),
        (0, None),
        (1e300, None),
        (12345, None),
    ],
)
def test_numeric_cells(value: float, expected: str | None) -> None:
    assert phone.from_number(value) == expected


@pytest.mark.parametrize(
    ("e164", "national", "display", "mask"),
    [
        (MOBILE, "0912345678", "0912 345 678", "0912***678"),
        ("+842438251234", "02438251234", "024 3825 1234", "0243***234"),
        ("+842253842576", "02253842576", "0225 3842 576", "0225***576"),
        ("+8419001234", "19001234", "1900 1234", "190***34"),
        ("+8469123456", "069123456", "069 123456", "069***56"),
        ("+6591234567", "+6591234567", "+65 9123 4567", "+659***567"),
    ],
)
def test_shown_forms(e164: str, national: str, display: str, mask: str) -> None:
    assert phone.national(e164) == national
    assert phone.display(e164) == display
    assert phone.mask(e164) == mask


@pytest.mark.parametrize(
    ("prefixes", "name"),
    [
        ("032 033 034 035 036 037 038 039 086 096 097 098", "Viettel"),
        ("070 076 077 078 079 089 090 093", "MobiFone"),
        ("081 082 083 084 085 088 091 094", "VinaPhone"),
        ("052 056 058 092", "Vietnamobile"),
        ("059 099", "Gmobile"),
        ("087", "iTel"),
        ("055", "Wintel"),
    ],
)
def test_carrier_hints(prefixes: str, name: str) -> None:
    for prefix in prefixes.split():
        e164 = phone.normalise(prefix + "1234567")
        assert e164 is not None
        assert phone.carrier(e164) == name
    assert phone.carrier("+842438251234") is None
    assert phone.carrier("+84571234567") is None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("0912 345 678", PhoneQuery(MOBILE, None, None)),
        ("912345678", PhoneQuery(MOBILE, None, None)),
        ("01629876543", PhoneQuery("+84329876543", None, None)),
        ("678", PhoneQuery(None, "678", None)),
        ("5 678", PhoneQuery(None, "5678", None)),
        ("0912", PhoneQuery(None, "0912", "+84912")),
        ("+84 912", PhoneQuery(None, None, "+84912")),
        ("0084912", PhoneQuery(None, "0084912", "+84912")),
        ("849", PhoneQuery(None, "849", "+849")),
        ("0162987", PhoneQuery(None, "0162987", "+8432987")),
        ("+1202", PhoneQuery(None, None, "+1202")),
        ("0012", PhoneQuery(None, "0012", "+12")),
        ("19001234", PhoneQuery("+8419001234", "19001234", None)),
        ("12", None),
        ("", None),
        ("+", None),
        ("Hoa", None),
        ("KH000123", None),
        ("1" * 16, None),
    ],
)
def test_search_box(query: str, expected: PhoneQuery | None) -> None:
    assert phone.search_forms(query) == expected


DIGITS = st.text("0123456789", min_size=1, max_size=14)
SEPARATED = st.text("0123456789 .-()/+'\u00a0\u2013０９", max_size=24)
MOBILES = st.from_regex(r"0[35789][0-9]{8}", fullmatch=True)


@given(st.one_of(DIGITS, SEPARATED, st.text(max_size=30), DIGITS.map("+".__add__), DIGITS.map("00".__add__)))
def test_normalise_is_idempotent_and_its_forms_lead_back(text: str) -> None:
    e164 = phone.normalise(text)
    if e164 is None:
        return
    assert e164[0] == "+"
    assert 8 <= len(e164) <= 16
    for form in (e164, phone.national(e164), phone.display(e164), f" {e164} "):
        assert phone.normalise(form) == e164


@given(MOBILES, st.lists(st.sampled_from([" ", ".", "-", "", "\u00a0", "/"]), min_size=10, max_size=10))
def test_separators_never_matter(number: str, separators: list[str]) -> None:
    spread = "".join(digit + separator for digit, separator in zip(number, separators, strict=True))
    assert phone.normalise(spread) == "+84" + number[1:]
    wide = number.translate({ord(digit): chr(ord(digit) + 0xFEE0) for digit in "0123456789"})
    assert unicodedata.normalize("NFKC", wide) == number
    assert phone.normalise(wide) == "+84" + number[1:]


@given(MOBILES)
def test_mask_hides_and_numeric_cells_agree(number: str) -> None:
    e164 = phone.normalise(number)
    assert e164 is not None
    assert number[4:7] not in phone.mask(e164)[4:7]
    assert phone.from_number(float(number)) == e164
    assert phone.is_mobile(e164)
    for length in range(3, 9):
        found = phone.search_forms(number[-length:])
        assert found is not None
        assert (found.tail is not None and e164.endswith(found.tail)) or found.e164 is not None


@given(st.from_regex(r"0[2-9][0-9]{8,9}", fullmatch=True))
def test_agrees_with_libphonenumber_wherever_that_is_sure(number: str) -> None:
    parsed = phonenumbers.parse(number, "VN")
    kinds = (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE)
    if phonenumbers.is_valid_number(parsed) and phonenumbers.number_type(parsed) in kinds:
        e164 = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
        assert phone.normalise(number) == e164
