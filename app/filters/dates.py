"""Days in a filter: written out, or relative to today; and anniversaries, which come again each year.

A day stands for all of it. `this_month` and its like stand for all their days; `today-7` and `today+30` count from
today. Weeks begin on Monday. Who was born on 29 February has their birthday on the 28th in a year without one.
"""

import re
from calendar import isleap, monthrange
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from app.core.fields import BadValue, Field
from app.core.vietnam import dates

MAX_DAYS: Final = 36_600
FIRST_YEAR, LAST_YEAR = 1900, 2200
DAY = timedelta(days=1)
_OFFSET = re.compile(r"today([+-][0-9]{1,5})")
_DAY_MONTH = re.compile(r"([0-9]{1,2})[/-]([0-9]{1,2})")
_MOMENT = Field("value", "Giá trị", "The value", "datetime")


@dataclass(frozen=True, slots=True)
class Days:
    """The days from `first` to `last`, both included."""

    first: date
    last: date


def _month(today: date, months: int) -> Days:
    number = today.year * 12 + today.month - 1 + months
    year, month = divmod(number, 12)
    return Days(date(year, month + 1, 1), date(year, month + 1, monthrange(year, month + 1)[1]))


def _quarter(today: date, quarters: int) -> Days:
    start = _month(today.replace(month=(today.month - 1) // 3 * 3 + 1, day=1), quarters * 3).first
    return Days(start, _month(start, 2).last)


def _week(today: date, weeks: int) -> Days:
    monday = today - today.weekday() * DAY + weeks * 7 * DAY
    return Days(monday, monday + 6 * DAY)


def _year(today: date, years: int) -> Days:
    return Days(date(today.year + years, 1, 1), date(today.year + years, 12, 31))


def _day(today: date, days: int) -> Days:
    return Days(today + days * DAY, today + days * DAY)


Span = tuple[Callable[[date, int], Days], int]
# Each word with what it means and how a sentence says it.
RELATIVE: Final[dict[str, tuple[Span, str, str]]] = {
    "today": ((_day, 0), "hôm nay", "today"),
    "yesterday": ((_day, -1), "hôm qua", "yesterday"),
    "tomorrow": ((_day, 1), "ngày mai", "tomorrow"),
    "this_week": ((_week, 0), "tuần này", "this week"),
    "last_week": ((_week, -1), "tuần trước", "last week"),
    "next_week": ((_week, 1), "tuần sau", "next week"),
    "this_month": ((_month, 0), "tháng này", "this month"),
    "last_month": ((_month, -1), "tháng trước", "last month"),
    "next_month": ((_month, 1), "tháng sau", "next month"),
    "this_quarter": ((_quarter, 0), "quý này", "this quarter"),
    "last_quarter": ((_quarter, -1), "quý trước", "last quarter"),
    "next_quarter": ((_quarter, 1), "quý sau", "next quarter"),
    "this_year": ((_year, 0), "năm nay", "this year"),
    "last_year": ((_year, -1), "năm trước", "last year"),
    "next_year": ((_year, 1), "năm sau", "next year"),
}


def days(raw: Any, today: date, zone: ZoneInfo) -> Days:
    """The days that a value of a filter stands for; `zone` is that of a value that names a midnight elsewhere.

    Raises:
        BadValue: neither a day nor a word that means days.
    """
    if isinstance(raw, str):
        word = raw.strip()
        if word in RELATIVE:
            (make, step), _, _ = RELATIVE[word]
            return make(today, step)
        if match := _OFFSET.fullmatch(word):
            return _day(today, max(-MAX_DAYS, min(MAX_DAYS, int(match[1]))))
        parsed = dates.parse_date(word, zone)
        if parsed is not None and FIRST_YEAR <= parsed.year <= LAST_YEAR:
            return Days(parsed, parsed)
    raise BadValue(
        "date_invalid",
        "Phải là ngày (dd/mm/yyyy hoặc yyyy-mm-dd) hoặc một khoảng như today, this_month, today-7",
        "A day (dd/mm/yyyy or yyyy-mm-dd) or a word such as today, this_month, today-7 is expected",
    )


def moment(raw: Any, zone: ZoneInfo) -> datetime | None:
    """The moment of a value that says a time of day as well, in `zone` unless it says another; None for all others."""
    if not isinstance(raw, str) or ":" not in raw:
        return None
    parsed: str = replace(_MOMENT, zone=zone.key).parse(raw)
    return datetime.fromisoformat(parsed)


def bounds(span: Days, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """When the days begin, and when the day after them begins, in UTC."""
    start = datetime.combine(span.first, time(), zone).astimezone(UTC)
    return start, datetime.combine(span.last + DAY, time(), zone).astimezone(UTC)


def count_of_days(raw: Any) -> int:
    """A number of days for `in_last_days` and `in_next_days`."""
    if isinstance(raw, str) and raw.isascii() and raw.isdigit():
        raw = int(raw[:9])
    if isinstance(raw, bool) or not isinstance(raw, int) or not 0 <= raw <= MAX_DAYS:
        raise BadValue(
            "days_invalid", f"Phải là số ngày từ 0 đến {MAX_DAYS}", f"A number of days from 0 to {MAX_DAYS} is expected"
        )
    return raw


def last_days(today: date, count: int) -> Days:
    """Today and the `count` days before it."""
    return Days(today - count * DAY, today)


def next_days(today: date, count: int) -> Days:
    """Today and the `count` days after it."""
    return Days(today, today + count * DAY)


def month_number(raw: Any) -> int:
    """A month, 1 to 12."""
    if isinstance(raw, str) and raw.isascii() and raw.isdigit() and len(raw) <= 2:
        raw = int(raw)
    if isinstance(raw, bool) or not isinstance(raw, int) or not 1 <= raw <= 12:
        raise BadValue("month_invalid", "Phải là tháng từ 1 đến 12", "A month from 1 to 12 is expected")
    return raw


def anniversaries(raw: Any, today: date, zone: ZoneInfo) -> list[tuple[int, int]]:
    """The days of the year, as ranges of month * 100 + day, that a value stands for: `05/03`, or any days."""
    if isinstance(raw, str) and (match := _DAY_MONTH.fullmatch(raw.strip())):
        day, month = int(match[1]), int(match[2])
        if 1 <= month <= 12 and 1 <= day <= monthrange(2024, month)[1]:
            return [(month * 100 + day, month * 100 + day)]
    return days_of_year(days(raw, today, zone))


def days_of_year(span: Days) -> list[tuple[int, int]]:
    """The ranges of month * 100 + day that the days cover: two where they pass the New Year."""
    if (span.last - span.first).days >= 365:
        return [(101, 1231)]
    last = 229 if _is_short_february_end(span.last) else _number(span.last)
    if span.first.year == span.last.year:
        return [(_number(span.first), last)]
    return [(_number(span.first), 1231), (101, last)]


def say(raw: Any, zone: ZoneInfo) -> str:
    """A value as a sentence says it."""
    if isinstance(raw, str):
        word = raw.strip()
        if word in RELATIVE:
            return RELATIVE[word][1]
        if match := _OFFSET.fullmatch(word):
            count = int(match[1])
            return f"{abs(count)} ngày {'trước' if count < 0 else 'tới'}" if count else "hôm nay"
        parsed = dates.parse_date(raw, zone)
        if parsed is not None:
            return parsed.strftime("%d/%m/%Y")
    return str(raw)


def say_on(raw: Any, zone: ZoneInfo) -> str:
    """That something is on a day, or within the days that a word stands for, as a sentence says it."""
    if isinstance(raw, str) and (word := raw.strip()) in RELATIVE:
        return f"trong {RELATIVE[word][1]}"
    counted = isinstance(raw, str) and _OFFSET.fullmatch(raw.strip())
    return f"{'vào' if counted else 'vào ngày'} {say(raw, zone)}"


def _is_short_february_end(day: date) -> bool:
    return (day.month, day.day) == (2, 28) and not isleap(day.year)


def _number(day: date) -> int:
    return day.month * 100 + day.day
