"""From nodes to one predicate over the entity's alias `c`."""

from typing import Any

from app.core.errors import FieldError, Invalid
from app.core.fields import BadValue
from app.filters.fields import COUNT, FieldSet, Filterable, Related, RelatedFields
from app.filters.nodes import MAX_ERRORS, Branch, Fact, Leaf, Node, error
from app.filters.operators import (
    OPERATORS,
    WHOLE,
    BadItem,
    Way,
    compared,
    finds,
    number_range,
    one_value,
    operators_of,
    predicate,
)
from app.filters.search import Sql

COMPARISONS = ("eq", "ne", "gt", "gte", "lt", "lte", "between")


def compile_node(node: Node, sql: Sql, entity_fields: FieldSet, *, one_by_one: bool = False) -> str:
    """The predicate of a tree, over alias `c`; "true" where it sets no condition.

    `one_by_one` is for a predicate that few rows are tested with: it looks at each instead of finding all in an index.

    Raises:
        Invalid: unknown fields, operators that a field lacks, values that do not fit, each with its path.
    """
    compiler = _Compiler(sql, one_by_one)
    found = compiler.node(node, entity_fields, "test" if one_by_one else "find")
    if compiler.errors:
        raise Invalid(errors=compiler.errors[:MAX_ERRORS])
    return found


class _Compiler:
    """Compiles on after an error, so that the caller learns of every one."""

    def __init__(self, sql: Sql, one_by_one: bool) -> None:
        self.errors: list[FieldError] = []
        self._sql, self._one_by_one = sql, one_by_one
        self._asked: set[str] = set()

    def node(self, node: Node, fields: FieldSet, way: Way) -> str:
        if isinstance(node, Leaf):
            return self._leaf(node, fields, way)
        if isinstance(node, Fact):
            return self._fact(node, fields)
        if way == "find" and node.word != "and" and not self._each_finds(node, fields):
            way = "among"
        if node.word == "not":
            return f"({self.node(node.nodes[0], fields, way)}) IS NOT TRUE"
        if not node.nodes:
            return "true"
        parts = [f"({self.node(one, fields, way)})" for one in node.nodes]
        match node.word:
            case "and":
                return " AND ".join(parts)
            case "or":
                return " OR ".join(parts)
            case "none_of":
                return " AND ".join(f"{part} IS NOT TRUE" for part in parts)
            case _:
                return f"({' AND '.join(parts)}) IS NOT TRUE"

    def _each_finds(self, node: Branch, fields: FieldSet) -> bool:
        """Whether an OR is answered by looking up each of its conditions: then nobody need be tested."""
        leaves = [one for one in node.nodes if isinstance(one, Leaf)]
        known = [(fields.get(leaf.field), leaf.op) for leaf in leaves]
        every = all(field is not None and finds(field, op) for field, op in known)
        return node.word == "or" and len(leaves) == len(node.nodes) and every

    def _leaf(self, leaf: Leaf, fields: FieldSet, way: Way) -> str:
        field = fields.get(leaf.field)
        if field is None:
            return self._wrong(
                f"{leaf.path}.field",
                "field_unknown",
                f"Không lọc được theo trường “{leaf.field[:80]}”",
                f"There is no field “{leaf.field[:80]}” to filter by",
            )
        return self._condition(field, leaf, fields, way)

    def _condition(self, field: Filterable, leaf: Leaf, fields: FieldSet, way: Way = "test") -> str:
        known = ", ".join(operators_of(field))
        if field.whole and self._guesses(field, leaf):
            return self._wrong(
                f"{leaf.path}.op",
                "phone_hidden",
                f"Bạn không có quyền xem số điện thoại: {field.vi} chỉ so sánh được với một số đầy đủ (có: {known})",
                f"You may not see phone numbers: {field.en} is compared with one whole number only; there are {known}",
            )
        if leaf.op not in operators_of(field):
            return self._wrong(
                f"{leaf.path}.op",
                "operator_unknown",
                f"{field.vi} không có phép so sánh “{leaf.op[:80]}” (có: {known})",
                f"{field.en} has no operator “{leaf.op[:80]}”; there are {known}",
            )
        try:
            return predicate(self._sql, fields, field, leaf.op, leaf.value, way=way)
        except BadValue as bad:
            return self._bad(f"{leaf.path}.value", bad)

    def _guesses(self, field: Filterable, leaf: Leaf) -> bool:
        """Whether a condition finds out a hidden value: from a part of it, or as one of many in the same tree."""
        if leaf.op == "eq":
            self._asked.add(str(leaf.value))
        return len(self._asked) > 1 or (leaf.op in OPERATORS[field.kind] and leaf.op not in WHOLE)

    def _fact(self, fact: Fact, fields: FieldSet) -> str:
        related = fields.related.get(fact.related)
        if related is None:
            known = ", ".join(fields.related) or "–"
            return self._wrong(
                f"{fact.path}.related",
                "related_unknown",
                f"Không có dữ liệu liên quan “{fact.related[:80]}” (có: {known})",
                f"There are no related facts “{fact.related[:80]}”; there are {known}",
            )
        own = RelatedFields(related, fields.today, fields.zone)
        where = ["r.tenant_id = $1"]
        if not (isinstance(fact.where, Branch) and not fact.where.nodes):
            where.append(f"({self.node(fact.where, own, 'test')})")
        if fact.period is not None:
            where.append(f"({self._period(related, fact.period, own)})")
        if fact.measure == "exists":
            return _exists(related, where, wanted=bool(fact.value))
        return self._measured(related, fact, where, own)

    def _period(self, related: Related, period: Leaf, own: FieldSet) -> str:
        moment = related.fields.get(related.moment)
        if moment is None:
            return self._wrong(
                period.path,
                "period_unknown",
                f"{related.vi} không có ngày để giới hạn",
                f"{related.en} have no date that a period could bound",
            )
        return self._condition(moment, period, own)

    def _measured(self, related: Related, fact: Fact, where: list[str], own: FieldSet) -> str:
        path = f"{fact.path}.{fact.measure}"
        if fact.measure == "last":
            return self._last(related, fact, where, own)
        field, measure, cast = COUNT, COUNT.column, COUNT.cast
        if fact.measure == "sum":
            found = related.fields.get(fact.field)
            if found is None or found.kind != "number":
                return self._wrong(
                    f"{path}.field",
                    "field_unknown",
                    f"{related.vi} không có trường số “{fact.field[:80]}”",
                    f"{related.en} have no number “{fact.field[:80]}”",
                )
            field, measure, cast = found, f"coalesce(sum({found.column}), 0)", "numeric"
        if fact.op not in COMPARISONS:
            return self._wrong(
                f"{path}.op",
                "operator_unknown",
                f"Không có phép so sánh “{fact.op[:80]}” (có: {', '.join(COMPARISONS)})",
                f"There is no operator “{fact.op[:80]}”; there are {', '.join(COMPARISONS)}",
            )
        op = "eq" if fact.op == "ne" else fact.op
        try:
            low, high = number_range(lambda raw: one_value(field.parse, raw), op, fact.value)
        except BadValue as bad:
            return self._bad(f"{path}.value", bad)
        # Who has no such fact counts 0, and stands in no group: then the others are looked for.
        if _holds(0, op, low, high) != (fact.op == "ne"):
            op_sql = compared(self._sql, measure, cast, op, low, high)
            having = op_sql if fact.op == "ne" else f"NOT ({op_sql})"
            return self._grouped(related, where, having, among=False)
        # Before anything else takes an argument: PostgreSQL refuses one that the statement does not use.
        if op == "gte" and low == 1 and fact.measure == "count":
            return _exists(related, where, wanted=True)
        having = compared(self._sql, measure, cast, op, low, high)
        return self._grouped(related, where, having if fact.op != "ne" else f"NOT ({having})", among=True)

    def _last(self, related: Related, fact: Fact, where: list[str], own: FieldSet) -> str:
        """The newest date of the facts; who has none has no newest."""
        path = f"{fact.path}.last"
        field = related.fields.get(fact.field or related.moment)
        if field is None or field.kind not in ("date", "datetime"):
            return self._wrong(
                f"{path}.field",
                "field_unknown",
                f"{related.vi} không có trường ngày “{fact.field[:80]}”",
                f"{related.en} have no date “{fact.field[:80]}”",
            )
        newest = Filterable(
            field.key, field.vi, field.en, field.kind, f"max({field.column})", field.cast, field.parse, zone=field.zone
        )
        return self._grouped(
            related, where, self._condition(newest, Leaf(field.key, fact.op, fact.value, path), own), among=True
        )

    def _grouped(self, related: Related, where: list[str], having: str, *, among: bool) -> str:
        """Who is among those whose facts measure so, or not among them.

        The facts are grouped once for everybody, and the planner joins the groups; or for each row by itself.
        """
        own = ["r.customer_id = c.id"] if self._one_by_one else []
        groups = (
            f"SELECT r.customer_id AS id FROM {related.table} r WHERE {' AND '.join([*where, *own])} "
            f"GROUP BY r.customer_id HAVING {having}"
        )
        return f"{'' if among else 'NOT '}EXISTS (SELECT 1 FROM ({groups}) AS m WHERE m.id = c.id)"

    def _bad(self, path: str, bad: BadValue) -> str:
        if isinstance(bad, BadItem):
            path = f"{path}[{bad.at}]"
        self.errors.append(FieldError(field=path, code=bad.code, message=bad.message))
        return "false"

    def _wrong(self, path: str, code: str, vi: str, en: str) -> str:
        self.errors.append(error(path, code, vi, en))
        return "false"


def _exists(related: Related, where: list[str], *, wanted: bool) -> str:
    found = " AND ".join([*where, "r.customer_id = c.id"])
    return f"{'' if wanted else 'NOT '}EXISTS (SELECT 1 FROM {related.table} r WHERE {found})"


def _holds(number: int, op: str, low: Any, high: Any) -> bool:
    match op:
        case "eq":
            return bool(number == low)
        case "gt":
            return bool(number > low)
        case "gte":
            return bool(number >= low)
        case "lt":
            return bool(number < low)
        case "lte":
            return bool(number <= low)
        case _:
            return bool(low <= number <= high)
