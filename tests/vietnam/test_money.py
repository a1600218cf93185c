"""Money: whole đồng as people write them, and never a wild guess."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.vietnam.money import format_vnd, parse_decimal, parse_vnd

BIGINT = 9_223_372_036_854_775_807


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1250000", 1_250_000),
        ("1.250.000", 1_250_000),
        ("1,250,000", 1_250_000),
        ("1 250 000", 1_250_000),
        ("1\u00a0250\u00a0000", 1_250_000),
        ("１.２５０.０００", 1_250_000),
        ("1250000đ", 1_250_000),
        ("1.250.000 đ", 1_250_000),
        ("1.250.000 Đ", 1_250_000),
        ("1.250.000₫", 1_250_000),
        ("₫1.250.000", 1_250_000),
        ("1.250.000 đồng", 1_250_000),
        ("1.250.000 VNĐ", 1_250_000),
        ("VND 1.250.000", 1_250_000),
        ("vnd1250000", 1_250_000),
        ("1250000.00", 1_250_000),
        ("1250000.0", 1_250_000),
        ("1.250.000,00", 1_250_000),
        ("1,250,000.00", 1_250_000),
        ("1,25 triệu", 1_250_000),
        ("1.25tr", 1_250_000),
        ("1,25 TRIỆU đồng", 1_250_000),
        ("1tr250", 1_250_000),
        ("1tr25", 1_250_000),
        ("1tr5", 1_500_000),
        ("1 triệu rưỡi", 1_500_000),
        ("1.250", 1_250),
        ("1,250", 1_250),
        ("2 tỷ", 2_000_000_000),
        ("2 tỉ", 2_000_000_000),
        ("2ty5", 2_500_000_000),
        ("2 tỷ 500 triệu", 2_500_000_000),
        ("2 tỷ 3 triệu 500 nghìn đồng", 2_003_500_000),
        ("1.250.000 triệu", 1_250_000_000_000),
        ("500k", 500_000),
        ("500 K", 500_000),
        ("500 nghìn", 500_000),
        ("500 ngàn", 500_000),
        ("0,125 triệu", 125_000),
        ("0", 0),
        ("-500k", -500_000),
        ("−1.250.000 đ", -1_250_000),
        ("(1.250.000)", -1_250_000),
        ("VND -5.000", -5_000),
        ("+5.000", 5_000),
        (str(BIGINT), BIGINT),
    ],
)
def test_amounts(text: str, amount: int) -> None:
    assert parse_vnd(text) == amount


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "đ", "abc", "--5", "-VND -5", "5-6", "1/2", "½", "1e6", "nan", "inf", ".5", "5.", "1..000"),
        # Fractions of a đồng.
        *("12.5", "12,50", "0.5", "1,2345 nghìn"),
        # Two readers would take these differently.
        *(
            "1.250 triệu",
            "1,500 tỷ",
            "1250.000",
            "1.250,000",
            "1,250.000",
            "2 tỷ 500",
            "500m",
            "1.25.000",
            "01.250.000",
        ),
        # No sum that a person would write.
        *("2 tỷ 1500 triệu", "500 triệu 2 tỷ", "1,5 tỷ 200 triệu", "10 tỷ tỷ", "2 tỷ rưỡi 5 triệu", "1,5 triệu rưỡi"),
        *("$100", "100 USD", "1.250.000 đ/tháng", "1,1234567891 tỷ", str(BIGINT + 1), "9" * 40, "1" * 5000),
    ],
)
def test_no_guess(text: str) -> None:
    assert parse_vnd(text) is None


@given(st.integers(-BIGINT, BIGINT))
def test_what_is_shown_is_read_again(amount: int) -> None:
    shown = format_vnd(amount)
    assert parse_vnd(shown) == amount
    assert parse_vnd(shown.removesuffix(" đ").replace(".", ",")) == amount
    assert parse_vnd(str(amount)) == amount
    assert parse_vnd(f"{amount}.00") == amount


@given(st.integers(1, 999), st.integers(1, 999), st.integers(1, 999))
def test_sums_of_units(billions: int, millions: int, thousands: int) -> None:
    text = f"{billions} tỷ {millions} triệu {thousands} nghìn"
    assert parse_vnd(text) == billions * 10**9 + millions * 10**6 + thousands * 1000


@given(st.text("0123456789., trđkỷ-()", max_size=24))
def test_never_raises_and_stays_in_range(text: str) -> None:
    amount = parse_vnd(text)
    assert amount is None or abs(amount) <= BIGINT
    number = parse_decimal(text)
    assert number is None or number.is_finite()


def test_format() -> None:
    assert format_vnd(1_250_000) == "1.250.000 đ"
    assert format_vnd(-500) == "-500 đ"
    assert format_vnd(0) == "0 đ"


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1234.56", "1234.56"),
        ("1234,56", "1234.56"),
        ("1.234,56", "1234.56"),
        ("1,234.56", "1234.56"),
        ("1 234,56", "1234.56"),
        ("1.234.567", "1234567"),
        ("12,5", "12.5"),
        ("-12.5", "-12.5"),
        ("−12,5", "-12.5"),
        ("0.125", "0.125"),
        ("1250.125", "1250.125"),
        ("1.250,0", "1250.0"),
        ("007", "7"),
        ("1.250", None),
        ("1,250", None),
        ("1.2.3", None),
        ("12%", None),
        ("1e5", None),
        ("NaN", None),
        ("", None),
        ("1" * 100, None),
    ],
)
def test_decimals(text: str, number: str | None) -> None:
    assert parse_decimal(text) == (None if number is None else Decimal(number))


@given(st.decimals(-(10**20), 10**20, places=2, allow_nan=False))
def test_decimals_in_both_styles(number: Decimal) -> None:
    assert parse_decimal(f"{number:,}") == number
    assert parse_decimal(f"{number:,}".translate({ord(","): ".", ord("."): ","})) == number
    assert parse_decimal(f"{number}") == number
