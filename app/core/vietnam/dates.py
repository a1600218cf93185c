"""Dates as Vietnamese people and spreadsheets write them: day before month, never month before day."""

import re
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from app.core.vietnam.text import fold

__all__ = ["LOCAL", "from_serial", "parse_date", "parse_datetime", "parse_year", "to_utc", "today"]

LOCAL = ZoneInfo("Asia/Ho_Chi_Minh")


def parse_date(text: str, zone: ZoneInfo = LOCAL) -> date | None:
    """The day in dd/mm/yyyy, d/m/yy, dd-mm-yyyy, dd.mm.yyyy, yyyy-mm-dd or "ngày 5 tháng 3 năm 1990".

    Two-digit years follow the spreadsheets' rule: 00 to 29 are 2000 to 2029, 30 to 99 are 1930 to 1999.
    Midnight may follow, as spreadsheets and dumps write it; any other time of day gives None. `zone` as in
    `parse_datetime`.
    """
    return _parse_date(text, zone) if len(text) <= _LONGEST else None


def parse_datetime(text: str, zone: ZoneInfo = LOCAL) -> datetime | None:
    """Naive local time from a date alone (midnight) or with a time of day after or before it.

    Times are 14:30, 14:30:05, 14h30, 14 giờ 30, 2:30 PM or 2:30 CH (SA and CH as Vietnamese spreadsheets
    write them). An ISO time with Z or an offset is brought to `zone`.
    """
    return _parse_datetime(text, zone) if len(text) <= _LONGEST else None


def parse_year(text: str) -> int | None:
    """A year alone, 1900 to 2099, as in a birthday of which no more is known: "1990", "năm 1990"."""
    match = _YEAR(fold(text)) if len(text) <= _LONGEST else None
    return None if match is None else int(match[1])


def from_serial(number: float, *, date1904: bool = False) -> datetime | None:
    """The naive local moment of a spreadsheet's day number, to the millisecond; None when it is no date.

    The 1900 system counts a 29 February 1900 that never was: number 60 gives None. Numbers below 1 are
    times of day alone. The 1904 system starts with 0 on 1904-01-01.
    """
    last_day = 2_957_003 if date1904 else 2_958_465
    if not 0 <= number < last_day + 1:
        return None
    milliseconds = round(number * _DAY)
    days = milliseconds // _DAY
    if days > last_day:
        return None
    if date1904:
        start = _START_1904
    elif days < 1 or days == 60:
        return None
    else:
        start = _START_1900 if days > 60 else _START_1900 + timedelta(days=1)
    return start + timedelta(milliseconds=milliseconds)


def today(now_utc: datetime) -> date:
    """The calendar day in Vietnam at an aware moment; ValueError for a naive one."""
    if now_utc.tzinfo is None:
        raise ValueError("an aware datetime is needed")
    return now_utc.astimezone(LOCAL).date()


def to_utc(local: datetime) -> datetime:
    """The UTC moment of a naive local time, as it is stored."""
    return local.replace(tzinfo=LOCAL).astimezone(UTC)


_LONGEST = 60
_DAY = 86_400_000
_START_1900 = datetime.combine(date(1899, 12, 30), time.min)
_START_1904 = datetime.combine(date(1904, 1, 1), time.min)

_DAY_FIRST = re.compile(r"([0-9]{1,2})([/.-])([0-9]{1,2})\2([0-9]{4}|[0-9]{2})").fullmatch
_YEAR_FIRST = re.compile(r"([0-9]{4})([/.-])([0-9]{1,2})\2([0-9]{1,2})").fullmatch
_YEAR = re.compile("(?:sinh )?(?:nam )?((?:19|20)[0-9]{2})").fullmatch
_IN_WORDS = re.compile("([0-9]{1,2}) thang ([0-9]{1,2})(?: nam)? ([0-9]{4})").fullmatch
_CLOCK = re.compile(
    r"([0-9]{1,2})(?::([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?| ?(?:h|gio) ?([0-9]{2})?(?: phut)?)"
    "(?: ?(am|pm|sa|ch))?"
).fullmatch
_ZONED = re.compile(
    "[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}"
    r"(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})"
).fullmatch
_DATE_FORM = (
    "(?:ngay )?(?P<date>[0-9]{1,4}[/.-][0-9]{1,2}[/.-][0-9]{1,4}|[0-9]{1,2} thang [0-9]{1,2}(?: nam)? [0-9]{4})"
)
_DATE_TIME = re.compile(f"{_DATE_FORM}(?:[t ](?P<time>[0-9].*))?").fullmatch
_TIME_DATE = re.compile(f"(?P<time>[0-9].*?) {_DATE_FORM}").fullmatch
_ROUND_SEPARATORS = re.compile(r"(?<=[0-9]) ?([/.-]) ?(?=[0-9])")


@lru_cache(maxsize=8192)
def _parse_date(text: str, zone: ZoneInfo) -> date | None:
    if match := _DAY_FIRST(text):
        return _day(match[4], match[3], match[1])
    if match := _YEAR_FIRST(text):
        return _day(match[1], match[3], match[4])
    moment = _parse_datetime(text, zone)
    return moment.date() if moment is not None and moment.time() == time.min else None


@lru_cache(maxsize=4096)
def _parse_datetime(text: str, zone: ZoneInfo) -> datetime | None:
    if _ZONED(text):
        return _from_zoned(text, zone)
    body = _ROUND_SEPARATORS.sub(r"\1", fold(text.replace(",", " ")))
    match = _DATE_TIME(body) or _TIME_DATE(body)
    if match is None:
        return None
    day = _date_part(match["date"])
    clock = time.min if match["time"] is None else _time_part(match["time"])
    return None if day is None or clock is None else datetime.combine(day, clock)


def _from_zoned(text: str, zone: ZoneInfo) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(zone).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None


def _date_part(text: str) -> date | None:
    if match := _DAY_FIRST(text):
        return _day(match[4], match[3], match[1])
    if match := _YEAR_FIRST(text):
        return _day(match[1], match[3], match[4])
    if match := _IN_WORDS(text):
        return _day(match[3], match[2], match[1])
    return None


def _day(year: str, month: str, day: str) -> date | None:
    number = int(year)
    if len(year) == 2:
        number += 2000 if number <= 29 else 1900
    if number < 1000:
        return None
    try:
        return date(number, int(month), int(day))
    except ValueError:
        return None


def _time_part(text: str) -> time | None:
    match = _CLOCK(text)
    if match is None:
        return None
    hour, minute, second = int(match[1]), int(match[2] or match[5] or 0), int(match[3] or 0)
    half = match[6]
    if half in ("pm", "ch") and hour < 12:
        hour += 12
    elif half in ("am", "sa"):
        if hour > 12:
            return None
        hour %= 12
    if hour > 23 or minute > 59 or second > 59:
        return None
    return time(hour, minute, second, int((match[4] or "0").ljust(6, "0")[:6]))
