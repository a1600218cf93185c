"""What a change of many customers sets, as the SQL of each column: its new value, its former one, and what events show.

In every expression `c` is the customer, and `r` the columns as they were before the batch.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Literal
from uuid import UUID

import msgspec
from sqlalchemy import Dialect
from sqlalchemy.dialects import postgresql

from app.customers.models import Customer
from app.customers.registry import Registry
from app.customers.values import Values
from app.filters.search import Sql

How = Literal["move", "add", "remove"]
SEARCHED: Final = ("name", "email", "tax_code", "phone")
DIALECT: Final[Dialect] = postgresql.dialect()  # type: ignore[no-untyped-call]
TYPES: Final[dict[str, str]] = {column.name: column.type.compile(DIALECT) for column in Customer.__table__.columns}


@dataclass(frozen=True)
class Assign:
    """A column that gets a value, as PostgreSQL writes it. Without a `key` it follows from another one: no event shows
    it."""

    column: str
    value: Any
    key: str | None = None
    names: Mapping[Any, str] | None = None

    def new(self, sql: Sql) -> str:
        """The value after the change."""
        return f"{sql.arg(self.value)}::text::{TYPES[self.column]}"

    def former(self, _sql: Sql) -> str:
        """The value before the batch, as far as it may come back."""
        return f"r.{self.column}"

    def shown(self, sql: Sql, value: str) -> str:
        """What an event shows of a value of the column."""
        if self.names is None:
            return f"to_jsonb({value})"
        return f"({_object(sql, self.names)} -> {value}::text)"


@dataclass(frozen=True)
class AssignAttribute(Assign):
    """One attribute within the customer's attributes; `value` is canonical, None clears."""

    name: str = ""

    def new(self, sql: Sql) -> str:
        """The attributes with this one changed."""
        if self.value is None:
            return f"(c.attributes - {sql.arg(self.name)}::text)"
        return f"(c.attributes || {sql.arg(_json({self.name: self.value}))}::text::jsonb)"

    def former(self, sql: Sql) -> str:
        """Only this attribute comes back: others may have been changed with no version, as by renaming a choice."""
        name = f"{sql.arg(self.name)}::text"
        return (
            f"(CASE WHEN r.attributes ? {name} THEN c.attributes || jsonb_build_object({name}, r.attributes -> {name}) "
            f"ELSE c.attributes - {name} END)"
        )

    def shown(self, sql: Sql, value: str) -> str:
        """The attribute's own value."""
        return f"({value} -> {sql.arg(self.name)}::text)"


@dataclass(frozen=True)
class AssignNumbers(Assign):
    """The numbers of groups or tags: `value` replaces them, is added or taken out. `names` knows all that exist."""

    how: How = "move"

    def new(self, sql: Sql) -> str:
        """The numbers after the change, in order; the same array when nothing changes."""
        given, own = f"{sql.arg(sorted(self.value))}::int[]", f"c.{self.column}"
        if self.how == "move":
            return given
        if self.how == "add":
            merged = f"ARRAY(SELECT DISTINCT one FROM unnest({own} || {given}) AS one ORDER BY one)"
            return f"(CASE WHEN {own} @> {given} THEN {own} ELSE {merged} END)"
        rest = f"ARRAY(SELECT one FROM unnest({own}) AS one WHERE one <> ALL({given}) ORDER BY one)"
        return f"(CASE WHEN {own} && {given} THEN {rest} ELSE {own} END)"

    def former(self, sql: Sql) -> str:
        """The numbers before; a group or tag that is no more stays away."""
        known = f"{sql.arg([int(one) for one in self.names or ()])}::int[]"
        return f"ARRAY(SELECT one FROM unnest(r.{self.column}) AS one WHERE one = ANY({known}) ORDER BY one)"

    def shown(self, sql: Sql, value: str) -> str:
        """Their names."""
        return f"(SELECT jsonb_agg({_object(sql, self.names or {})} -> one::text) FROM unnest({value}) AS one)"


def of_values(registry: Registry, values: Values) -> list[Assign]:
    """The assignments of checked values, as one customer's change would make them. Groups are moved."""
    made: list[Assign] = []
    by_column = {registry.fields[key].column: key for key in values.shown}
    for column, value in values.columns.items():
        key = by_column.get(column)
        made.append(Assign(column, _text(value), key, _names(registry, key)))
    for key in values.shown:
        field = registry.fields[key]
        if field.is_attribute:
            made.append(AssignAttribute("attributes", values.attributes[field.name], key, name=field.name))
    if values.groups is not None:
        made.append(of_groups(registry, [group.no for group in values.groups], "move"))
    if values.tags is not None:
        made.append(of_tags(registry, [tag.no for tag in values.tags], "move"))
    return made


def of_groups(registry: Registry, numbers: Iterable[int], how: How) -> AssignNumbers:
    """Groups by their numbers."""
    names = {group.no: group.name for group in registry.groups.values()}
    return AssignNumbers("group_nos", list(numbers), "groups", names, how)


def of_tags(registry: Registry, numbers: Iterable[int], how: How) -> AssignNumbers:
    """Tags by their numbers."""
    names = {tag.no: tag.name for tag in registry.tags.values()}
    return AssignNumbers("tag_nos", list(numbers), "tags", names, how)


def stored(one: Assign) -> dict[str, Any]:
    """An assignment as JSON: what was decided when a batch began, in ids and not in names."""
    kept: dict[str, Any] = {"column": one.column, "value": one.value, "key": one.key}
    if isinstance(one, AssignNumbers):
        kept["how"] = one.how
    if isinstance(one, AssignAttribute):
        kept["name"] = one.name
    return kept


def loaded(registry: Registry, kept: Mapping[str, Any], *, back: bool = False) -> Assign:
    """The counterpart of `stored`, with the names of now. For the way `back` its own value does not matter.

    Raises:
        LookupError: what it sets is no more: the field, the value of a list, the person.
    """
    column, value, key = kept["column"], kept["value"], kept["key"]
    if "how" in kept:
        made = of_groups if column == "group_nos" else of_tags
        return made(registry, value, kept["how"])
    if key is not None and key not in registry.fields and key != column and not back:
        raise LookupError(key)
    if "name" in kept:
        return AssignAttribute(column, value, key, name=kept["name"])
    names = _names(registry, key)
    known = names if names is not None else registry.owners if key == "owner" else None
    if value is not None and known is not None and UUID(value) not in known and not back:
        raise LookupError(value)
    return Assign(column, value, key, names)


def columns_of(assigns: Sequence[Assign]) -> dict[str, Assign]:
    """One assignment a column.

    Raises:
        ValueError: two attributes at once, which share a column.
    """
    found = {one.column: one for one in assigns}
    if len(found) != len(assigns):
        raise ValueError("a change sets a column once")
    return found


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date) else str(value)


def _names(registry: Registry, key: str | None) -> Mapping[Any, str] | None:
    return registry.labels.get(key) if key else None


def _object(sql: Sql, names: Mapping[Any, str]) -> str:
    return f"{sql.arg(_json({str(key): name for key, name in names.items()}))}::text::jsonb"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
