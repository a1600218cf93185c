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

from app.core.errors import Conflict
from app.core.fields import Field
from app.customers.models import Customer
from app.customers.registry import Registry
from app.customers.values import Values
from app.filters.search import Sql

How = Literal["move", "add", "remove"]
PEOPLE: Final = ("owner", "referrer_user")
PEOPLE_SET: Final = "shared_with"
SEARCHED: Final = ("name", "email", "tax_code", "phone")
DIALECT: Final[Dialect] = postgresql.dialect()  # type: ignore[no-untyped-call]
TYPES: Final[dict[str, str]] = {column.name: column.type.compile(DIALECT) for column in Customer.__table__.columns}


class Gone(Conflict):
    """What a change sets is no more: the field, the value of a list, the group, the person."""

    code = "params_gone"
    vi, en = "Giá trị cần đặt không còn trong hệ thống", "What the change sets does not exist any more"


@dataclass(frozen=True)
class Assign:
    """A column that gets a value, as PostgreSQL writes it. Without a `key` it follows from another one: no event shows
    it. `names` knows all values that exist, where the column holds one of a list."""

    column: str
    value: Any
    key: str | None = None
    names: Mapping[Any, str] | None = None

    def new(self, sql: Sql) -> str:
        """The value after the change."""
        return f"{sql.arg(self.value)}::text::{TYPES[self.column]}"

    def former(self, sql: Sql) -> str:
        """The value before the batch; one that the list has no more stays away."""
        own = f"r.{self.column}"
        if self.names is None:
            return own
        return f"(CASE WHEN {_array(sql, self.names)} @> ARRAY[{own}::text] THEN {own} END)"

    def shown(self, sql: Sql, value: str) -> str:
        """What an event shows of a value of the column."""
        if self.names is None:
            return f"to_jsonb({value})"
        return f"({_object(sql, self.names)} -> {value}::text)"


@dataclass(frozen=True)
class AssignAttribute(Assign):
    """One attribute within the customer's attributes; `value` is canonical, None clears. `choices` are all that the
    attribute has, where it has any."""

    name: str = ""
    choices: Sequence[str] = ()

    def new(self, sql: Sql) -> str:
        """The attributes with this one changed."""
        if self.value is None:
            return f"(c.attributes - {sql.arg(self.name)}::text)"
        return f"(c.attributes || {sql.arg(_json({self.name: self.value}))}::text::jsonb)"

    def former(self, sql: Sql) -> str:
        """Only this attribute comes back, because others may have been changed with no version; and of it only what
        is still one of its choices, which may have been renamed."""
        name = f"{sql.arg(self.name)}::text"
        value = f"(r.attributes -> {name})"
        if self.choices:
            known = f"jsonb_build_array(one) <@ to_jsonb({_array(sql, self.choices)})"
            value = (
                f"(CASE WHEN jsonb_typeof{value} = 'array' THEN (SELECT jsonb_agg(one ORDER BY n) "
                f"FROM jsonb_array_elements{value} WITH ORDINALITY AS each (one, n) WHERE {known}) "
                f"WHEN {known.replace('(one)', value)} THEN {value} END)"
            )
        return (
            f"(CASE WHEN {value} IS NOT NULL THEN c.attributes || jsonb_build_object({name}, {value}) "
            f"ELSE c.attributes - {name} END)"
        )

    def shown(self, sql: Sql, value: str) -> str:
        """The attribute's own value."""
        return f"({value} -> {sql.arg(self.name)}::text)"


@dataclass(frozen=True)
class AssignSlot(Assign):
    """The typed column that an attribute fills beside its JSON; it follows from the attribute `of`."""

    of: str = ""


@dataclass(frozen=True)
class AssignSet(Assign):
    """A set of ids or numbers: `value` replaces it, is added or taken out. `names` knows all that exist."""

    how: How = "move"

    def new(self, sql: Sql) -> str:
        """The set after the change, in order; the same array when nothing changes."""
        given, own = f"{sql.arg(sorted(self.value))}::{self._type}", f"c.{self.column}"
        if self.how == "move":
            return given
        if self.how == "add":
            merged = f"ARRAY(SELECT DISTINCT one FROM unnest({own} || {given}) AS one ORDER BY one)"
            return f"(CASE WHEN {own} @> {given} THEN {own} ELSE {merged} END)"
        rest = f"ARRAY(SELECT one FROM unnest({own}) AS one WHERE one <> ALL({given}) ORDER BY one)"
        return f"(CASE WHEN {own} && {given} THEN {rest} ELSE {own} END)"

    def former(self, sql: Sql) -> str:
        """The set before; what is no more stays away. People always are, though some have left."""
        if self.column == PEOPLE_SET:
            return f"r.{self.column}"
        known = f"{sql.arg(list(self.names or ()))}::{self._type}"
        return f"ARRAY(SELECT one FROM unnest(r.{self.column}) AS one WHERE one = ANY({known}) ORDER BY one)"

    def shown(self, sql: Sql, value: str) -> str:
        """Their names; of people, who may change theirs, the ids."""
        if self.column == PEOPLE_SET:
            return f"to_jsonb({value})"
        return f"(SELECT jsonb_agg({_object(sql, self.names or {})} -> one::text) FROM unnest({value}) AS one)"

    @property
    def _type(self) -> str:
        return TYPES[self.column]


def of_values(registry: Registry, values: Values) -> list[Assign]:
    """The assignments of checked values, as one customer's change would make them. Groups are moved."""
    made: list[Assign] = []
    by_column = {registry.fields[key].column: key for key in values.shown}
    slots = {registry.fields[key].slot: registry.fields[key] for key in values.shown}
    for column, value in values.columns.items():
        key = by_column.get(column)
        if column in slots:
            made.append(_slot(slots[column], column, _text(value)))
        else:
            made.append(Assign(column, _text(value), key, _names(registry, key)))
    for key in values.shown:
        field = registry.fields[key]
        if field.is_attribute:
            made.append(_attribute(field, values.attributes[field.name]))
    if values.groups is not None:
        made.append(of_groups(registry, [group.no for group in values.groups], "move"))
    if values.tags is not None:
        made.append(of_tags(registry, [tag.no for tag in values.tags], "move"))
    return made


def of_groups(registry: Registry, numbers: Iterable[int], how: How) -> AssignSet:
    """Groups by their numbers."""
    names = {group.no: group.name for group in registry.groups.values()}
    return AssignSet("group_nos", list(numbers), "groups", names, how)


def of_tags(registry: Registry, numbers: Iterable[int], how: How) -> AssignSet:
    """Tags by their numbers."""
    names = {tag.no: tag.name for tag in registry.tags.values()}
    return AssignSet("tag_nos", list(numbers), "tags", names, how)


def of_people(registry: Registry, ids: Iterable[UUID], how: How) -> AssignSet:
    """The colleagues whom customers are shared with, by their ids."""
    return AssignSet(PEOPLE_SET, list(ids), PEOPLE_SET, registry.owners, how)


def stored(one: Assign) -> dict[str, Any]:
    """An assignment as JSON: what was decided when a batch began, in ids and not in names."""
    kept: dict[str, Any] = {"column": one.column, "value": one.value, "key": one.key}
    if isinstance(one, AssignSet):
        kept["how"] = one.how
    if one.column == PEOPLE_SET:
        kept["value"] = [str(each) for each in one.value]
    if isinstance(one, AssignSlot):
        kept["of"] = one.of
    return kept


def loaded(registry: Registry, kept: Mapping[str, Any], *, back: bool = False) -> Assign:
    """The counterpart of `stored`, with the names of now. For the way `back` its own value does not matter.

    Raises:
        Gone: what it sets is no more: the field, the value of a list or attribute, the group, the tag, the person. On
            the way back only an attribute's field matters: nothing else could take its values.
    """
    column, value, key = kept["column"], kept["value"], kept["key"]
    if "of" in kept or column == "attributes":
        field = registry.fields.get(kept.get("of", key))
        if field is None or ("of" in kept and field.slot != column):
            raise Gone()
        if "of" in kept:
            return _slot(field, column, value)
        _require(back or value is None or _holds(registry, field, value))
        return _attribute(field, value)
    if column == PEOPLE_SET:
        people = of_people(registry, map(UUID, value), kept["how"])
        _require(back or kept["how"] == "remove" or set(people.value) <= registry.owners.keys())
        return people
    if "how" in kept:
        made = (of_groups if column == "group_nos" else of_tags)(registry, value, kept["how"])
        _require(back or set(value) <= set(made.names or ()))
        return made
    names = _names(registry, key)
    known = names if names is not None else registry.owners if key in PEOPLE else None
    _require(back or value is None or known is None or UUID(value) in known)
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


def _require(there: bool) -> None:
    if not there:
        raise Gone()


def _attribute(field: Field, value: Any) -> AssignAttribute:
    return AssignAttribute("attributes", value, field.key, name=field.name, choices=field.choices)


def _slot(field: Field, column: str, value: Any) -> AssignSlot:
    # What the slot holds of a choice is the choice itself.
    names = dict.fromkeys(field.choices, "") if field.choices else None
    return AssignSlot(column, value, None, names, of=field.key)


def _holds(registry: Registry, field: Field, value: Any) -> bool:
    """Whether an attribute can still have a value: one of its choices, an active person."""
    if field.type == "person":
        return UUID(value) in registry.owners
    return not field.choices or set(value if isinstance(value, list) else [value]) <= set(field.choices)


def _names(registry: Registry, key: str | None) -> Mapping[Any, str] | None:
    return registry.labels.get(key) if key else None


def _array(sql: Sql, names: Iterable[Any]) -> str:
    return f"{sql.arg([str(one) for one in names])}::text[]"


def _object(sql: Sql, names: Mapping[Any, str]) -> str:
    return f"{sql.arg(_json({str(key): name for key, name in names.items()}))}::text::jsonb"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
