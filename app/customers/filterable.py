"""What customers can be filtered by: the registry's fields, the columns that only the system writes, and related facts.

Deleted customers are left out unless the tree itself names one of the fields of DELETED.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property, partial
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from app.core.actor import Actor
from app.core.clock import today
from app.core.fields import GENDERS, Field
from app.core.masking import sees_phones
from app.core.vietnam import provinces
from app.customers.entity import CUSTOMERS
from app.customers.models import MONTH_DAY
from app.customers.registry import KINDS, Registry
from app.filters.fields import (
    FLAGS,
    Choice,
    Filterable,
    Kind,
    Labels,
    Links,
    Lookup,
    Related,
    by_name,
    choice_field,
    date_field,
    flag_field,
    id_field,
    list_field,
    listing,
    moment_field,
    number_field,
    own_names,
    parse_number,
    parse_whole,
    show_flag,
    shower,
    text_field,
    unknown_choice,
)
from app.filters.related import RELATED
from app.filters.search import Entity, Sql
from app.filters.tree import Node, compile_node, describe, fields_of

DELETED: Final = frozenset(("deleted", "deleted_at", "deleted_reason"))
UTC: Final = ZoneInfo("UTC")
ME: Final = "me"
TEAM: Final = "team"
TEAM_NAMES: Final = (TEAM, "Nhóm của người phụ trách", "Owner's team")
MY_TEAMS: Final = "nhóm của tôi"
LINKS: Final = {"groups": ("crm.group_member", "group_id"), "tags": ("crm.tag_member", "tag_id")}
REASONS: Final[Labels] = {"trash": ("Đã xóa", "Deleted"), "merge": ("Đã gộp", "Merged")}

# What only the system writes and no form shows.
COLUMNS: Final[tuple[Filterable, ...]] = (
    flag_field("tier_fixed", "Phân cấp đặt tay", "Tier set by hand", "c.tier_fixed"),
    flag_field("in_pool", "Trong kho chung", "In the common pool", "c.in_pool"),
    flag_field("deleted", "Đã xóa", "Deleted", "(c.deleted_at IS NOT NULL)"),
    moment_field("deleted_at", "Ngày xóa", "Deleted at", "c.deleted_at"),
    choice_field("deleted_reason", "Lý do xóa", "Why deleted", "c.deleted_reason", REASONS),
)


@dataclass(frozen=True)
class CustomerFields:
    """The fields of one workspace's customers as one caller filters by them."""

    registry: Registry
    actor: Actor
    day: date | None = None
    entity: Entity = CUSTOMERS

    @cached_property
    def today(self) -> date:
        """`day` if it is given, else the day that it is in the workspace."""
        return self.day or today(self.registry.zone)

    @property
    def zone(self) -> ZoneInfo:
        """The workspace's time zone."""
        return self.registry.zone

    @cached_property
    def related(self) -> Mapping[str, Related]:
        """The related facts that the caller may ask for, by their names."""
        made = {key: make(self.registry.lists, self.registry.zone) for key, make in RELATED.items()}
        allowed = {key: one for key, one in made.items() if not one.permission or self.actor.may(one.permission)}
        if sees_phones(self.actor):
            return allowed
        return {
            key: replace(one, fields={name: self._guarded(field) for name, field in one.fields.items()})
            for key, one in allowed.items()
        }

    def get(self, key: str) -> Filterable | None:
        """A field by its key; an attribute also by its bare key where no other field has it."""
        if key == TEAM:
            return self._team()
        field = None if key in _COLUMNS else self.registry.get(key)
        found = self._of(field) if field is not None else _COLUMNS.get(key)
        return self._guarded(found) if found is not None else None

    def all(self) -> Iterator[Filterable]:
        """Every field, the registry's first, in its order."""
        known = map(self._of, self.registry.fields.values())
        yield from (self._guarded(found) for found in known if found is not None)
        yield self._team()
        yield from COLUMNS

    def _guarded(self, field: Filterable) -> Filterable:
        """The field as the caller may compare it: a phone that is hidden from them with whole numbers only."""
        hidden = (field.private or field.kind == "phone") and not sees_phones(self.actor)
        return replace(field, whole=True) if hidden else field

    def _of(self, field: Field) -> Filterable | None:
        if field.key in ("groups", "tags"):
            return self._numbered(field)
        if field.type == "person":
            return self._person(field)
        if field.type == "people":
            return self._people(field)
        if field.key in self.registry.ids:
            # Also a value that is no longer in use.
            return list_field(field.key, field.vi, field.en, f"c.{field.column}", self.registry.ids[field.key])
        if field.is_attribute:
            return _attribute(field)
        return _column(field) if field.column is not None else None

    def _numbered(self, field: Field) -> Filterable:
        """Groups and tags, by name or id; the row holds their numbers."""
        named = self.registry.groups if field.key == "groups" else self.registry.tags
        table, key = LINKS[field.key]
        links = Links(table, key, {one.no: one.id for one in named.values()})
        numbers, ids = {name: one.no for name, one in named.items()}, {str(one.id): one.no for one in named.values()}
        names = {no: name for name, no in numbers.items()}
        single = replace(field, type="choice")
        return Filterable(
            field.key, field.vi, field.en, "set", f"c.{field.column}", "int[]", by_name(single, numbers, ids),
            show=lambda no: names.get(no, str(no)), choices=own_names(named), links=links,
        )  # fmt: skip

    def _person(self, field: Field) -> Filterable:
        """Somebody by username, id or full name; `me` is whoever asks."""
        names = self.registry.names

        def parse(raw: Any) -> Any:
            found = self._somebody(field, raw)
            return found if field.is_attribute else UUID(found) if found else None

        where = _attribute_column(field, "text") if field.is_attribute else f"c.{field.column}"
        return Filterable(
            field.key, field.vi, field.en, "choice", where, "text" if field.is_attribute else "uuid", parse,
            show=lambda value: names.get(UUID(str(value)), str(value)), choices=self._colleagues(),
        )  # fmt: skip

    def _team(self) -> Filterable:
        """Teams that the owner is in, or in one below, by name or id; `me` are those that whoever asks is in."""
        teams, me = self.registry.teams, self.actor.person
        named = list_field(*TEAM_NAMES, "c.owner_id", {name: team.id for name, team in teams.items()})
        own = [team.people for team in teams.values() if me in team.members]
        stands_for: dict[UUID | str, frozenset[UUID]] = {team.id: team.people for team in teams.values()}
        stands_for[ME] = frozenset[UUID]().union(*own)

        def parse(raw: Any) -> Any:
            return ME if isinstance(raw, str) and raw.casefold() == ME else named.parse(raw)

        def show(value: Any) -> str:
            return MY_TEAMS if value == ME else named.show(value)

        return replace(named, parse=parse, show=show, stands_for=stands_for)

    def _people(self, field: Field) -> Filterable:
        """Several of them in one row, each named as the owner is."""
        owner, names = self.registry.fields["owner"], self.registry.names

        def parse(raw: Any) -> UUID | None:
            found = self._somebody(owner, raw)
            return UUID(found) if found else None

        return Filterable(
            field.key, field.vi, field.en, "set", f"c.{field.column}", "uuid[]", parse,
            show=lambda value: names.get(value, str(value)), choices=self._colleagues(),
        )  # fmt: skip

    def _somebody(self, field: Field, raw: Any) -> str | None:
        """The id of whom a caller names. Somebody who has left may still own customers."""
        if isinstance(raw, str) and raw.casefold() == ME:
            return str(self.actor.person or self.actor.id)
        return as_id(raw) or field.parse(raw)

    def _colleagues(self) -> tuple[Choice, ...]:
        return tuple(Choice(self.registry.owners[id_], name, name) for id_, name in self.registry.names.items())


def conditions(
    sql: Sql, fields: CustomerFields, node: Node, *, one_by_one: bool = False
) -> tuple[list[str], list[str]]:
    """The predicate of a tree over alias `c`, in two parts that must both hold: not deleted; what the tree says.

    Raises:
        Invalid: the tree is wrong; with the path of each wrong node.
        Forbidden: it asks for deleted customers, and the caller may not delete.
    """
    found = compile_node(node, sql, fields, one_by_one=one_by_one)
    tested = [found] if found != "true" else []
    if fields_of(node) & DELETED:
        fields.actor.require("customers.delete")
        return [], tested
    return ["c.deleted_at IS NULL"], tested


def sentence(node: Node, fields: CustomerFields) -> str:
    """What a tree means, in Vietnamese."""
    return describe(node, fields, everybody="Tất cả khách hàng")


def as_id(raw: Any) -> str | None:
    """The id that a text is, if it is one."""
    try:
        return str(UUID(raw)) if isinstance(raw, str) and len(raw) == 36 else None
    except ValueError:
        return None


def _column(field: Field) -> Filterable:
    """A field that has a column of its own."""
    names, where = (field.key, field.vi, field.en), f"c.{field.column}"
    if field.type in _PLAIN:
        return _PLAIN[field.type](*names, where)
    if field.key == "id":
        return id_field(*names, where)
    if field.key == "code":
        return text_field(*names, where, lookup="prefix")
    kind, lookup = _SEARCHED.get(field.key, ("text", ""))
    made = Filterable(*names, kind, where, "text", field.parse, lookup=lookup)
    match field.type:
        case "date":
            return date_field(*names, where, anniversary=MONTH_DAY.format(where) if field.key == "birthday" else "")
        case "gender":
            return _chosen(made, listing(GENDERS))
        case "province":
            return replace(made, kind="choice", show=_province, choices=own_names(one.name for one in provinces.ALL))
        case "choice":
            return _chosen(made, listing({one: KINDS[one][:2] for one in field.choices}))
        case "phone":
            return replace(made, kind="phone")
    return made


def _attribute(field: Field) -> Filterable:
    """A field that the workspace added."""
    names, where = (field.key, field.vi, field.en), _attribute_column(field, "text")
    made = Filterable(*names, "text", where, "text", field.parse, choices=own_names(field.choices))
    match field.type:
        case "integer" | "decimal" | "money":
            parse = {"integer": parse_whole, "decimal": parse_number, "money": _money(field)}[field.type]
            return number_field(*names, _attribute_column(field, "numeric"), parse=parse)
        case "datetime":
            return moment_field(*names, _attribute_column(field, "timestamptz"))
        case "date" if field.slot:
            # A slot holds a day as its midnight in UTC.
            return replace(moment_field(*names, where), zone=UTC)
        case "date":
            return date_field(*names, _attribute_column(field, "date"))
        case "boolean":
            return replace(made, kind="boolean", show=show_flag, choices=FLAGS)
        case "choice":
            return replace(made, kind="choice")
        case "choices":
            where = f"(c.attributes -> {_quoted(field.name)})"
            return replace(made, kind="set", column=where, cast="jsonb", parse=_one_choice(field))
        case "phone":
            return replace(made, kind="phone", choices=None)
    return replace(made, choices=None)


def _attribute_column(field: Field, cast: str) -> str:
    """Where an attribute's value is read: its typed slot, else the JSON, of which only values of the type count."""
    if field.slot:
        return f"c.{field.slot}"
    value = f"(c.attributes ->> {_quoted(field.name)})"
    if cast == "text":
        return value
    return f"CASE WHEN pg_input_is_valid({value}, '{cast}') THEN {value}::{cast} END"


def _chosen(made: Filterable, choices: tuple[Choice, ...]) -> Filterable:
    return replace(made, kind="choice", show=shower(choices), choices=choices)


def _one_choice(field: Field) -> Callable[[Any], Any]:
    def parse(raw: Any) -> Any:
        found = field.parse([raw]) if isinstance(raw, str) else None
        if not found:
            raise unknown_choice(field.vi, field.en, raw)
        return found[0]

    return parse


def _money(field: Field) -> Callable[[Any], Any]:
    def parse(raw: Any) -> Any:
        return None if isinstance(raw, bool) else parse_number(field.parse(raw))

    return parse


def _province(code: str) -> str:
    found = provinces.by_code(code)
    return found.name if found else code


def _quoted(text: str) -> str:
    doubled = text.replace("'", "''")
    return f"'{doubled}'"


_COLUMNS: Final = {one.key: one for one in COLUMNS}
_PLAIN: Final[dict[str, Callable[[str, str, str, str], Filterable]]] = {
    "datetime": moment_field,
    "integer": partial(number_field, cast="bigint"),
    "decimal": number_field,
    "money": number_field,
    "boolean": flag_field,
    "record": id_field,
}
# Fields that the search words or the backward phones find.
_SEARCHED: Final[dict[str, tuple[Kind, Lookup]]] = {
    "name": ("name", "words"),
    "phone": ("phone", "tail"),
    "email": ("text", "lexeme"),
    "tax_code": ("text", "lexeme"),
}
