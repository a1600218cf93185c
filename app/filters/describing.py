"""A filter as a Vietnamese sentence, so that a person can check what they are about to act on.

Always in Vietnamese: it is written into histories and read by the people of the workspace.
"""

from typing import Any
from zoneinfo import ZoneInfo

from app.core.fields import BadValue
from app.filters import dates
from app.filters.fields import COUNT, FieldSet, Filterable, RelatedFields
from app.filters.nodes import Branch, Fact, Leaf, Node, is_everybody

EVERYBODY = "Tất cả"
MAX_SHOWN = 5
WORDS = {
    "eq": "là",
    "ne": "không phải",
    "in": "là một trong",
    "not_in": "không thuộc",
    "contains": "chứa",
    "not_contains": "không chứa",
    "starts_with": "bắt đầu bằng",
    "ends_with": "kết thúc bằng",
    "gt": "lớn hơn",
    "gte": "từ",
    "lt": "nhỏ hơn",
    "lte": "đến",
    "any_of": "có ít nhất một trong",
    "all_of": "có đủ",
    "none_of": "không có",
    "in_month": "trong tháng",
}
DATE_WORDS = {"gt": "sau", "gte": "từ", "lt": "trước", "lte": "đến hết"}
JOINTS = {"and": " và ", "or": " hoặc ", "none_of": " và không ", "not_all_of": " hoặc không "}


def describe(node: Node, fields: FieldSet, *, everybody: str = EVERYBODY) -> str:
    """The sentence of a tree that compiles: “Nguồn khách hàng là “Facebook” và (…)”."""
    if is_everybody(node):
        return everybody
    said = _node(node, fields)
    return said[:1].upper() + said[1:]


def _node(node: Node, fields: FieldSet) -> str:
    if isinstance(node, Leaf):
        field = fields.get(node.field)
        return _leaf(field, node.op, node.value, fields.zone) if field else node.field
    if isinstance(node, Fact):
        return _fact(node, fields)
    if node.word == "not":
        return f"không phải ({_node(node.nodes[0], fields)})"
    if not node.nodes:
        return EVERYBODY.lower()
    parts = [_nested(one, fields) for one in node.nodes]
    first = "không " if node.word in ("none_of", "not_all_of") else ""
    return first + JOINTS[node.word].join(parts)


def _nested(node: Node, fields: FieldSet) -> str:
    said = _node(node, fields)
    return f"({said})" if isinstance(node, Branch) and node.word != "not" and len(node.nodes) > 1 else said


def _leaf(field: Filterable, op: str, value: Any, zone: ZoneInfo) -> str:
    return f"{field.vi} {_condition(field, op, value, zone)}"


def _condition(field: Filterable, op: str, value: Any, zone: ZoneInfo) -> str:
    """What a condition says of its field."""
    if op == "is_empty":
        return "chưa có"
    if op == "is_not_empty":
        return "đã có"
    dated = field.kind in ("date", "datetime")
    if op in ("in_last_days", "in_next_days"):
        return f"trong {value} ngày {'qua' if op == 'in_last_days' else 'tới'}"
    if op == "between":
        low, high = (_say(field, one, zone if dated else None) for one in value)
        return f"từ {low} đến {high}"
    if op == "in_month":
        return f"{WORDS[op]} {_list(value, str)}"
    if dated and op in ("eq", "on_day"):
        return dates.say_on(value, zone)
    word = DATE_WORDS.get(op, WORDS[op]) if dated else WORDS[op]
    said_in = zone if dated else None
    raw = op in ("contains", "not_contains", "starts_with", "ends_with")
    return f"{word} {_list(value, lambda one: f'“{one}”' if raw else _say(field, one, said_in))}"


def _say(field: Filterable, value: Any, zone: ZoneInfo | None) -> str:
    if zone is not None:
        return dates.say(value, zone)
    try:
        shown = field.show(field.parse(value))
    except BadValue:
        shown = str(value)
    return shown if field.kind in ("number", "boolean") else f"“{shown}”"


def _list(value: Any, say: Any) -> str:
    if not isinstance(value, list):
        return str(say(value))
    said = ", ".join(say(one) for one in value[:MAX_SHOWN])
    return said if len(value) <= MAX_SHOWN else f"{said} và {len(value) - MAX_SHOWN} giá trị khác"


def _fact(fact: Fact, fields: FieldSet) -> str:
    related = fields.related.get(fact.related)
    if related is None:
        return fact.related
    own = RelatedFields(related, fields.today, fields.zone)
    name = related.vi.lower()
    which = "" if is_everybody(fact.where) else f" có {_node(fact.where, own)}"
    moment = related.fields.get(related.moment)
    if fact.period is not None and moment is not None:
        which += f" ({_leaf(moment, fact.period.op, fact.period.value, own.zone)})"
    if fact.measure == "exists":
        return f"{'có' if fact.value else 'chưa có'} {name}{which}"
    if fact.measure == "last":
        dated = related.fields[fact.field or related.moment]
        return f"{name}{which} gần nhất: {_leaf(dated, fact.op, fact.value, own.zone)}"
    if fact.measure == "sum":
        field = related.fields[fact.field]
        return f"tổng {field.vi.lower()} của {name}{which} {_condition(field, fact.op, fact.value, own.zone)}"
    return f"số {name}{which} {_condition(COUNT, fact.op, fact.value, own.zone)}"
