"""Fields: what people type and what spreadsheets hold, as one canonical value."""

from typing import Any

import pytest

from app.core.fields import MAX_TYPED, PARSERS, BadValue, Field


def field(type_: str) -> Field:
    made = Field("value", "Giá trị", "The value", type_)
    return made.with_choices(("Nóng", "Lạnh")) if type_ in ("choice", "choices", "person") else made


def refused(type_: str, raw: Any) -> BadValue:
    with pytest.raises(BadValue) as caught:
        field(type_).parse(raw)
    return caught.value


@pytest.mark.parametrize("type_", PARSERS)
@pytest.mark.parametrize("blank", [None, "", " ", " \t\n", "\u00a0", "\u200b", "\ufeff ", "_x0000_", "\x00"])
def test_a_blank_is_nothing_for_every_type(type_: str, blank: str | None) -> None:
    assert field(type_).parse(blank) is None


@pytest.mark.parametrize("type_", PARSERS)
def test_no_parser_looks_at_a_megabyte(type_: str) -> None:
    assert refused(type_, "1" * (MAX_TYPED + 1)).code == "too_long"


@pytest.mark.parametrize("type_", ["date", "datetime"])
@pytest.mark.parametrize("year", [1900, 1990, 1990.0, 2099, "1990", "năm 1990"])
def test_a_year_alone_is_no_day(type_: str, year: float | str) -> None:
    """As a spreadsheet's day number, 1990 is 12 June 1905."""
    bad = refused(type_, year)
    assert bad.code == f"{type_}_invalid"
    assert "chỉ có năm" in bad.vi
    assert "only a year" in bad.en


@pytest.mark.parametrize(
    ("number", "day"), [(32937, "1990-03-05"), (32937.75, "1990-03-05"), (1899, "1905-03-13"), (2100, "1905-09-30")]
)
def test_a_day_number_is_a_day(number: float, day: str) -> None:
    assert field("date").parse(number) == day


@pytest.mark.parametrize("number", [float("inf"), float("nan"), -1, 0, 60, 10**12])
def test_a_number_that_is_no_day_is_refused(number: float) -> None:
    assert "hợp lệ" in refused("date", number).vi


@pytest.mark.parametrize(("raw", "amount"), [(2, 2), (2.0, 2), (1250000.0000000002, 1250000), (-5.0, -5), (0.0, 0)])
def test_whole_amounts(raw: float, amount: int) -> None:
    assert field("money").parse(raw) == amount


@pytest.mark.parametrize("raw", [2.5, 1250000.5, 0.01, float("nan"), float("inf"), 1e16, "1250000,5", True])
def test_no_amount_is_rounded_in_silence(raw: Any) -> None:
    assert refused("money", raw).code == "money_invalid"


def test_blanks_among_choices_are_left_out() -> None:
    assert field("choices").parse("nong, ,\u200b;Lạnh,") == ["Nóng", "Lạnh"]
    assert field("choices").parse(["", "nóng", " "]) == ["Nóng"]
    assert field("choices").parse([" "]) is None
