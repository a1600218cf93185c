"""What a filter means, said again without SQL: slow, plain, and sharing nothing with the compiler but how texts are
folded and phones normalised."""

from calendar import isleap, monthrange
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from app.core.vietnam import phone
from app.core.vietnam import text as vn
from tests.filters.world import TEAMS, Row

DAY = timedelta(days=1)
KINDS = {
    "name": "name", "code": "code", "email": "text", "company_name": "text", "note": "text", "phone": "phone",
    "birthday": "birthday", "created_at": "datetime", "source": "choice", "relationship": "choice", "gender": "choice",
    "kind": "choice", "tier": "choice", "customer_type": "choice", "tax_code": "text", "address": "text",
    "website": "text", "fax": "phone", "country": "text", "founded_on": "date", "updated_at": "datetime",
    "province": "choice", "owner": "choice", "team": "team", "in_pool": "boolean", "stars": "number",
    "groups": "set", "tags": "set", "shared_with": "set",
    "attributes.biet_danh": "text", "attributes.hang": "choice", "attributes.vip": "boolean",
    "attributes.so_lan": "number", "attributes.han_muc": "number", "attributes.ti_le": "number",
    "attributes.ngay_hen": "date", "attributes.luc_hen": "datetime", "attributes.so_thich": "set",
    "attributes.mo_ta": "text", "attributes.sdt_phu": "phone", "attributes.so_le": "number",
    "attributes.ngay_le": "date", "attributes.luc_le": "datetime",
}  # fmt: skip
# Those of who asks.
OWN_TEAMS = {name for name, (_, members) in TEAMS.items() if "admin" in members}
CONTRACT_KINDS = {"value": "number", "state": "choice", "signed_on": "date", "date": "date"}
BRANCHES = ("and", "or", "none_of", "not_all_of")
OPPOSITE = {"ne": "eq", "not_in": "in", "not_contains": "contains", "none_of": "any_of", "is_not_empty": "is_empty"}


def rows_in(rows: list[Row], zone: ZoneInfo) -> list[Row]:
    """The customers with the day of a zone for each moment: conditions on trees ask for no more of it."""
    moments = [key for key, kind in KINDS.items() if kind == "datetime"]
    return [
        Row(
            row.id,
            row.values | {key: _day_in(row.values[key], zone) for key in moments if row.values.get(key)},
            [one | {"created_at": _day_in(one["created_at"], zone)} for one in row.contracts],
        )
        for row in rows
    ]


def _day_in(moment: datetime | str, zone: ZoneInfo) -> date:
    known = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    return known.astimezone(zone).date()


def holds(node: Any, row: Row, today: date) -> bool:
    """Whether a customer is one of those whom a tree means."""
    if empty(node):
        return True
    if "not" in node:
        return not holds(node["not"], row, today)
    for word in BRANCHES:
        if word in node:
            answers = [holds(one, row, today) for one in node[word] if not empty(one)]
            return {"and": all(answers), "or": any(answers), "none_of": not any(answers),
                    "not_all_of": not all(answers)}[word]  # fmt: skip
    if "related" in node:
        return _facts(node, row, today)
    return condition(KINDS[node["field"]], row.values.get(node["field"]), node["op"], node.get("value"), today)


def reversed_in(node: Any, today: date) -> bool:
    """Whether some `between` of days in the tree begins after its end, which is refused."""
    if isinstance(node, list):
        return any(reversed_in(one, today) for one in node)
    if not isinstance(node, dict):
        return False
    if node.get("op") == "between" and isinstance(node["value"][0], str):
        low, high = node["value"]
        return _days(low, today)[0] > _days(high, today)[1]
    return any(reversed_in(one, today) for one in node.values())


def empty(node: Any) -> bool:
    """Whether a node sets no condition: it is as if it were not there."""
    return not node or any(all(map(empty, node[word])) for word in BRANCHES if word in node)


def condition(kind: str, have: Any, op: str, value: Any, today: date) -> bool:
    """One condition on one value."""
    if op in OPPOSITE:
        return not condition(kind, have, OPPOSITE[op], value, today)
    if op == "is_empty":
        return have in (None, "", [], set())
    if have is None:
        return False
    if kind in ("date", "datetime", "birthday"):
        return _dated(kind, have, op, value, today)
    if kind == "team":
        asked = set(value if isinstance(value, list) else [value])
        return bool(have & (asked - {"me"} | (OWN_TEAMS if "me" in asked else set())))
    if kind == "set":
        return bool(set(have) & set(value)) if op == "any_of" else set(value) <= set(have)
    if kind == "number":
        return _number(Decimal(str(have)), op, value)
    if op == "any_of":
        op = "in"
    if op in ("eq", "in"):
        wanted = value if isinstance(value, list) else [value]
        return have in ([phone.normalise(one) for one in wanted] if kind == "phone" else wanted)
    return _within_text(kind, have, op, value)


def _within_text(kind: str, have: str, op: str, value: str) -> bool:
    if kind == "phone":
        dialled, digits = phone.national(have), value
        return {"contains": digits in dialled, "starts_with": dialled.startswith((digits, f"0{digits}")),
                "ends_with": dialled.endswith(digits)}[op]  # fmt: skip
    if kind == "code" and op == "starts_with":
        return have.startswith((value, value.upper()))
    folded, sought = vn.fold(have), vn.fold(value)
    if kind != "name":
        return {"contains": sought in folded, "starts_with": folded.startswith(sought),
                "ends_with": folded.endswith(sought)}[op]  # fmt: skip
    words = vn.words(have)
    if op == "contains":
        *whole, last = vn.words(value)
        return set(whole) <= set(words) and any(word.startswith(last) for word in words)
    if op == "ends_with":
        return words[-len(vn.words(value)) :] == vn.words(value)
    return folded.startswith(sought)


def _number(have: Decimal, op: str, value: Any) -> bool:
    if op in ("eq", "in"):
        return have in [Decimal(str(one)) for one in (value if isinstance(value, list) else [value])]
    if op == "between":
        return Decimal(str(value[0])) <= have <= Decimal(str(value[1]))
    wanted = Decimal(str(value))
    return {"gt": have > wanted, "gte": have >= wanted, "lt": have < wanted, "lte": have <= wanted}[op]


def _dated(kind: str, have: Any, op: str, value: Any, today: date) -> bool:
    day = _day(have)
    if op == "in_month":
        return day.month in (value if isinstance(value, list) else [value])
    if op in ("in_last_days", "in_next_days"):
        first, last = (today - value * DAY, today) if op == "in_last_days" else (today, today + value * DAY)
        return _celebrated(day, first, last) if kind == "birthday" else first <= day <= last
    if op == "on_day":
        first, last = _days(value, today)
        return _celebrated(day, first, last) if kind == "birthday" else first <= day <= last
    if op == "between":
        return _days(value[0], today)[0] <= day <= _days(value[1], today)[1]
    first, last = _days(value, today)
    return {"eq": first <= day <= last, "gt": day > last, "gte": day >= first, "lt": day < first,
            "lte": day <= last}[op]  # fmt: skip


def _celebrated(born: date, first: date, last: date) -> bool:
    """Walks the days: whose birthday is celebrated on one of them?"""
    for number in range((last - first).days + 1):
        day = first + number * DAY
        if (day.month, day.day) == (born.month, born.day):
            return True
        if (born.month, born.day) == (2, 29) and (day.month, day.day) == (2, 28) and not isleap(day.year):
            return True
    return False


def _day(have: Any) -> date:
    return have if isinstance(have, date) else date.fromisoformat(have)


def _days(value: str, today: date) -> tuple[date, date]:
    if value == "today":
        return today, today
    if value == "yesterday":
        return today - DAY, today - DAY
    if value == "this_week":
        return today - today.weekday() * DAY, today + (6 - today.weekday()) * DAY
    if value == "this_month":
        return today.replace(day=1), today.replace(day=monthrange(today.year, today.month)[1])
    if value == "last_year":
        return date(today.year - 1, 1, 1), date(today.year - 1, 12, 31)
    if value.startswith("today"):
        day = today + int(value[5:]) * DAY
        return day, day
    return date.fromisoformat(value), date.fromisoformat(value)


def _facts(node: dict[str, Any], row: Row, today: date) -> bool:
    found = [one for one in row.contracts if _counts(node, one, today)]
    if "count" in node:
        return _compared(Decimal(len(found)), node["count"])
    if "sum" in node:
        return _compared(Decimal(sum(one["value"] for one in found)), node["sum"])
    if "last" in node:
        newest = max((_contract_day(one) for one in found), default=None)
        return newest is not None and condition("date", newest, node["last"]["op"], node["last"]["value"], today)
    return bool(found) is bool(node.get("exists", True))


def _counts(node: dict[str, Any], contract: dict[str, Any], today: date) -> bool:
    values = {**contract, "date": _contract_day(contract)}
    period = node.get("period")
    if period and not condition("date", values["date"], period["op"], period["value"], today):
        return False
    return _holds_of(node.get("where"), values, today)


def _holds_of(node: Any, values: dict[str, Any], today: date) -> bool:
    if not node:
        return True
    if "and" in node:
        return all(_holds_of(one, values, today) for one in node["and"])
    if "not" in node:
        return not _holds_of(node["not"], values, today)
    return condition(CONTRACT_KINDS[node["field"]], values[node["field"]], node["op"], node.get("value"), today)


def _contract_day(contract: dict[str, Any]) -> date:
    day: date = contract["signed_on"] or contract["created_at"]
    return day


def _compared(number: Decimal, said: dict[str, Any]) -> bool:
    if said["op"] == "ne":
        return not _number(number, "eq", said["value"])
    return _number(number, said["op"], said["value"])
