"""Dates: day before month, spreadsheet serials, local time."""

import math
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.vietnam.dates import LOCAL, from_serial, parse_date, parse_datetime, parse_year, to_utc, today

DAY = date(1990, 3, 5)


@pytest.mark.parametrize(
    "text",
    [
        *("05/03/1990", "5/3/1990", "5/3/90", "05-03-1990", "05.03.1990", "1990-03-05", "1990/3/5", " 05/03/1990 "),
        *("05 / 03 / 1990", "０５/０３/１９９０", "05/03/1990 00:00", "1990-03-05 00:00:00", "1990-03-05T00:00:00.000"),
        *("ngày 5 tháng 3 năm 1990", "Ngày 05 tháng 03, 1990", "5 tháng 3 1990", "5 thang 3 nam 1990"),
        "ngày 05/03/1990",
    ],
)
def test_one_day_in_every_form(text: str) -> None:
    assert parse_date(text) == DAY
    assert parse_datetime(text) == datetime(1990, 3, 5)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "abc", "13/13/2020", "31/02/2020", "29/02/2023", "00/01/2020", "1/0/2020", "05/03-1990", "5/3"),
        # An American date is refused, never turned.
        *("3/25/1990", "12/31/2020"),
        *("05031990", "1990", "0090-01-01", "1/1/199", "05/03/1990 14:30", "2024-02-30T00:00:00Z", "5" * 500),
    ],
)
def test_no_date(text: str) -> None:
    assert parse_date(text) is None


@pytest.mark.parametrize(("year", "full"), [("00", 2000), ("29", 2029), ("30", 1930), ("99", 1999)])
def test_two_digit_years_turn_at_thirty(year: str, full: int) -> None:
    assert parse_date(f"5/3/{year}") == date(full, 3, 5)


@given(st.dates(date(1000, 1, 1)))
def test_every_day_is_read_again(day: date) -> None:
    year = f"{day.year:04}"
    assert parse_date(f"{day.day:02}/{day.month:02}/{year}") == day
    assert parse_date(f"{day.day}.{day.month}.{year}") == day
    assert parse_date(day.isoformat()) == day
    assert parse_date(f"ngày {day.day} tháng {day.month} năm {year}") == day


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("05/03/1990 14:30", datetime(1990, 3, 5, 14, 30)),
        ("05/03/1990 14:30:05", datetime(1990, 3, 5, 14, 30, 5)),
        ("14:30 05/03/1990", datetime(1990, 3, 5, 14, 30)),
        ("14:30, 05/03/1990", datetime(1990, 3, 5, 14, 30)),
        ("14h30 ngày 5/3/1990", datetime(1990, 3, 5, 14, 30)),
        ("14h 5/3/1990", datetime(1990, 3, 5, 14)),
        ("14 giờ 30 phút, ngày 5 tháng 3 năm 1990", datetime(1990, 3, 5, 14, 30)),
        ("05/03/1990 2:30 PM", datetime(1990, 3, 5, 14, 30)),
        ("05/03/1990 2:30 CH", datetime(1990, 3, 5, 14, 30)),
        ("05/03/1990 12:15 SA", datetime(1990, 3, 5, 0, 15)),
        ("05/03/1990 12:15 CH", datetime(1990, 3, 5, 12, 15)),
        ("1990-03-05T14:30:05.123456", datetime(1990, 3, 5, 14, 30, 5, 123456)),
        ("1990-03-05 14:30:05.1234567", datetime(1990, 3, 5, 14, 30, 5, 123456)),
        ("2024-03-05T20:00:00Z", datetime(2024, 3, 6, 3)),
        ("2024-03-05T20:00:00+07:00", datetime(2024, 3, 5, 20)),
        ("05/03/1990 24:00", None),
        ("05/03/1990 14:60", None),
        ("05/03/1990 14:00 SA", None),
        ("05/03/1990 14", None),
        ("14:30", None),
        ("9999-12-31T23:59:59Z", None),
    ],
)
def test_moments(text: str, moment: datetime | None) -> None:
    assert parse_datetime(text) == moment


@given(st.datetimes(datetime(1000, 1, 1)))
def test_iso_moments_are_read_again(moment: datetime) -> None:
    assert parse_datetime(moment.isoformat()) == moment
    assert parse_datetime(moment.isoformat(" ")) == moment


@given(st.datetimes(datetime(1900, 1, 2), datetime(2200, 1, 1)))
def test_storage_and_back(moment: datetime) -> None:
    stored = to_utc(moment)
    assert stored.tzinfo is UTC
    assert parse_datetime(stored.isoformat()) == moment.replace(fold=0)


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (1, datetime(1900, 1, 1)),
        (59, datetime(1900, 2, 28)),
        (60, None),
        (60.5, None),
        (61, datetime(1900, 3, 1)),
        (45292, datetime(2024, 1, 1)),
        (45292.5, datetime(2024, 1, 1, 12)),
        (44197.4375, datetime(2021, 1, 1, 10, 30)),
        (45292.999999999, datetime(2024, 1, 2)),
        (2958465, datetime(9999, 12, 31)),
        (2958466, None),
        (0, None),
        (0.5, None),
        (-1, None),
        (math.nan, None),
        (math.inf, None),
    ],
)
def test_serials_of_1900(number: float, moment: datetime | None) -> None:
    assert from_serial(number) == moment


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (0, datetime(1904, 1, 1)),
        (60, datetime(1904, 3, 1)),
        (43830.25, datetime(2024, 1, 1, 6)),
        (2957003, datetime(9999, 12, 31)),
        (2957004, None),
        (-1, None),
    ],
)
def test_serials_of_1904(number: float, moment: datetime | None) -> None:
    assert from_serial(number, date1904=True) == moment


@given(st.integers(61, 2_958_465), st.integers(0, 86_399))
def test_serials_hold_seconds(days: int, seconds: int) -> None:
    expected = datetime(1899, 12, 30) + timedelta(days=days, seconds=seconds)
    assert from_serial(days + seconds / 86_400) == expected


def test_today_is_vietnams() -> None:
    assert today(datetime(2026, 1, 1, 16, 59, tzinfo=UTC)) == date(2026, 1, 1)
    assert today(datetime(2026, 1, 1, 17, 0, tzinfo=UTC)) == date(2026, 1, 2)
    assert today(datetime(2026, 1, 2, 0, 30, tzinfo=LOCAL)) == date(2026, 1, 2)
    with pytest.raises(ValueError, match="aware"):
        today(datetime(2026, 1, 1))


@pytest.mark.parametrize(
    ("text", "year"),
    [
        ("1990", 1990),
        ("năm 1990", 1990),
        ("sinh năm 1990", 1990),
        ("2099", 2099),
        ("1890", None),
        ("90", None),
        ("", None),
    ],
)
def test_years_alone(text: str, year: int | None) -> None:
    assert parse_year(text) == year
