"""The filter tree as JSON and as nodes: what may stand where, and how much of it.

    {"and": [node, …]}  {"or": [node, …]}  {"not": node}  {"none_of": [node, …]}  {"not_all_of": [node, …]}
    {"field": "source", "op": "eq", "value": "Facebook"}
    {"related": "contracts", "where": node, "period": {"op": "between", "value": ["2026-01-01", "2026-06-30"]},
     "exists": false | "count": {"op": "gte", "value": 2} | "sum": {"field": "value", "op": "between", "value": [1, 9]}
     | "last": {"op": "in_last_days", "value": 30}}

A tree, a branch or a list with nothing in it sets no condition. `not` is the complement of what stands in it;
`none_of` means none of the nodes holds, `not_all_of` that at least one of them does not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from app.core.errors import FieldError, Invalid
from app.core.i18n import language

MAX_CONDITIONS: Final = 300
MAX_DEPTH: Final = 10
MAX_RELATED: Final = 40
MAX_ERRORS: Final = 20
ROOT: Final = "filter"
BRANCHES: Final = ("and", "or", "none_of", "not_all_of")
MEASURES: Final = ("exists", "count", "sum", "last")


@dataclass(frozen=True, slots=True)
class Branch:
    """Several nodes under one word: and, or, none_of, not_all_of; or one under `not`."""

    word: str
    nodes: tuple["Node", ...]
    path: str


@dataclass(frozen=True, slots=True)
class Leaf:
    """One condition on one field."""

    field: str
    op: str
    value: Any
    path: str


@dataclass(frozen=True, slots=True)
class Fact:
    """A condition on related facts: those that hold `where` within `period`, measured."""

    related: str
    where: "Node"
    period: Leaf | None
    measure: str
    field: str
    op: str
    value: Any
    path: str


Node = Branch | Leaf | Fact


def parse(raw: Any) -> Node:
    """The tree of a JSON value; None and {} mean everybody.

    Raises:
        Invalid: with the path of each wrong node, as `filter.and[1].value`.
    """
    parser = _Parser()
    node = parser.node(raw, ROOT, 1)
    if parser.errors:
        raise Invalid(errors=parser.errors)
    return node


def everybody(path: str = ROOT) -> Branch:
    """The node that sets no condition."""
    return Branch("and", (), path)


def is_everybody(node: Node) -> bool:
    """Whether the tree sets no condition at all."""
    return isinstance(node, Branch) and node.word != "not" and all(map(is_everybody, node.nodes))


def fields_of(node: Node) -> set[str]:
    """The keys of the entity's own fields that the tree names."""
    if isinstance(node, Leaf):
        return {node.field}
    return set[str]().union(*map(fields_of, node.nodes)) if isinstance(node, Branch) else set()


def error(path: str, code: str, vi: str, en: str) -> FieldError:
    """One wrong node."""
    return FieldError(field=path, code=code, message=vi if language.get() == "vi" else en)


class _Parser:
    """Walks the JSON once and collects what is wrong; counts stop it early."""

    def __init__(self) -> None:
        self.errors: list[FieldError] = []
        self._conditions = self._facts = 0

    def node(self, raw: Any, path: str, depth: int) -> Node:
        if raw is None or raw == {}:
            return everybody(path)
        if not isinstance(raw, Mapping):
            return self._wrong(path, "node_invalid", "Điều kiện phải là một đối tượng JSON", "A node is an object")
        if depth > MAX_DEPTH:
            return self._wrong(
                path, "filter_too_deep", f"Bộ lọc lồng quá {MAX_DEPTH} cấp", f"The filter is over {MAX_DEPTH} deep"
            )
        words = [word for word in (*BRANCHES, "not", "field", "related") if word in raw]
        if len(words) != 1:
            return self._wrong(
                path,
                "node_invalid",
                "Mỗi điều kiện cần đúng một trong: and, or, not, none_of, not_all_of, field, related",
                "A node holds exactly one of and, or, not, none_of, not_all_of, field, related",
            )
        if words[0] == "field":
            return self._leaf(raw, path)
        if words[0] == "related":
            return self._fact(raw, path, depth)
        self._only(raw, (words[0],), path)
        if words[0] == "not":
            return Branch("not", (self.node(raw["not"], f"{path}.not", depth + 1),), path)
        return self._branch(words[0], raw[words[0]], path, depth)

    def _branch(self, word: str, nodes: Any, path: str, depth: int) -> Node:
        if not isinstance(nodes, list):
            return self._wrong(f"{path}.{word}", "list_expected", "Phải là một danh sách", "A list is expected")
        found = []
        for number, node in enumerate(nodes):
            if len(self.errors) >= MAX_ERRORS or self._conditions > MAX_CONDITIONS:
                break
            found.append(self.node(node, f"{path}.{word}[{number}]", depth + 1))
        return Branch(word, tuple(node for node in found if not is_everybody(node)), path)

    def _leaf(self, raw: Mapping[str, Any], path: str) -> Node:
        self._only(raw, ("field", "op", "value"), path)
        self._count(path)
        return Leaf(self._word(raw, "field", path), self._word(raw, "op", path), raw.get("value"), path)

    def _fact(self, raw: Mapping[str, Any], path: str, depth: int) -> Node:
        self._only(raw, ("related", "where", "period", *MEASURES), path)
        self._count(path)
        self._facts += 1
        if self._facts == MAX_RELATED + 1:
            self._wrong(
                path,
                "filter_too_costly",
                f"Bộ lọc có quá {MAX_RELATED} điều kiện trên dữ liệu liên quan",
                f"The filter has over {MAX_RELATED} conditions on related facts",
            )
        where = self.node(raw.get("where"), f"{path}.where", depth + 1)
        period = self._period(raw.get("period"), f"{path}.period")
        measures = [name for name in MEASURES if name in raw]
        if len(measures) > 1:
            return self._wrong(
                path,
                "node_invalid",
                "Chỉ dùng một trong: exists, count, sum, last",
                "Use only one of exists, count, sum, last",
            )
        name = self._word(raw, "related", path)
        measure = measures[0] if measures else "exists"
        if measure == "exists":
            wanted = raw.get("exists", True)
            if not isinstance(wanted, bool):
                self._wrong(f"{path}.exists", "boolean_invalid", "Phải là true hoặc false", "True or false is expected")
            return Fact(name, where, period, "exists", "", "eq", wanted, path)
        return self._measured(name, where, period, measure, raw[measure], path)

    def _measured(self, name: str, where: Node, period: Leaf | None, measure: str, said: Any, path: str) -> Node:
        inner = f"{path}.{measure}"
        if not isinstance(said, Mapping):
            return self._wrong(inner, "node_invalid", "Phải là một đối tượng JSON", "An object is expected")
        self._only(said, ("op", "value") if measure == "count" else ("field", "op", "value"), inner)
        field = self._word(said, "field", inner) if measure == "sum" or "field" in said else ""
        return Fact(name, where, period, measure, field, self._word(said, "op", inner), said.get("value"), path)

    def _period(self, raw: Any, path: str) -> Leaf | None:
        if raw is None:
            return None
        if not isinstance(raw, Mapping):
            self._wrong(path, "node_invalid", "Phải là một đối tượng JSON", "An object is expected")
            return None
        self._only(raw, ("op", "value"), path)
        return Leaf("", self._word(raw, "op", path), raw.get("value"), path)

    def _word(self, raw: Mapping[str, Any], name: str, path: str) -> str:
        found = raw.get(name)
        if isinstance(found, str) and found:
            return found
        self._wrong(f"{path}.{name}", "missing", "Bắt buộc nhập", "This is required")
        return ""

    def _only(self, raw: Mapping[str, Any], known: tuple[str, ...], path: str) -> None:
        for name in raw:
            if name not in known:
                self._wrong(
                    f"{path}.{name[:80]}", "extra_forbidden", "Trường không được hỗ trợ", "This member is not known"
                )

    def _count(self, path: str) -> None:
        self._conditions += 1
        if self._conditions == MAX_CONDITIONS + 1:
            self._wrong(
                path,
                "filter_too_large",
                f"Bộ lọc có quá {MAX_CONDITIONS} điều kiện",
                f"The filter has over {MAX_CONDITIONS} conditions",
            )

    def _wrong(self, path: str, code: str, vi: str, en: str) -> Node:
        if len(self.errors) < MAX_ERRORS:
            self.errors.append(error(path, code, vi, en))
        return everybody(path)
