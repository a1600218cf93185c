"""The cells of an export: for each field, the SQL of its value and how the writer shows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from app.core.fields import Field
from app.core.vietnam import provinces
from app.customers.registry import KINDS, Registry
from app.filters.search import Sql

How = Literal["text", "date", "datetime", "boolean", "list"]
GENDERS: Final = {"male": ("Nam", "Male"), "female": ("Nữ", "Female"), "other": ("Khác", "Other")}
# jsonb_build_array takes a hundred arguments.
WIDTH: Final = 90
HOW: Final[dict[str, How]] = {"date": "date", "datetime": "datetime", "boolean": "boolean", "choices": "list"}
NUMBERS: Final = {"groups": "groups", "tags": "tags"}


@dataclass(frozen=True)
class Column:
    """A column of the file."""

    header: str
    how: How
    value: str


def columns(sql: Sql, registry: Registry, keys: Sequence[str], *, masked: bool, vietnamese: bool) -> list[Column]:
    """The columns of these fields over a customer `c`; a field that is no more is left out."""
    found = (registry.get(key) for key in keys)
    return [_column(sql, registry, field, masked=masked, vietnamese=vietnamese) for field in found if field]


def row_of(made: Sequence[Column]) -> str:
    """A jsonb array of a customer's cells."""
    parts = [made[at : at + WIDTH] for at in range(0, len(made), WIDTH)]
    return " || ".join(f"jsonb_build_array({', '.join(one.value for one in part)})" for part in parts)


def _column(sql: Sql, registry: Registry, field: Field, *, masked: bool, vietnamese: bool) -> Column:
    how = HOW.get(field.type, "text")
    header = field.vi if vietnamese else field.en
    if field.is_attribute:
        name = f"{sql.arg(field.name)}::text"
        value = f"c.attributes ->> {name}"
        if field.type == "phone":
            return Column(header, how, _phone(value, masked=masked))
        return Column(header, how, _person(value) if field.type == "person" else f"c.attributes -> {name}")
    column = f"c.{field.column}"
    if field.type == "phone":
        return Column(header, how, _phone(column, masked=masked))
    if field.key in NUMBERS:
        of = registry.groups if field.key == "groups" else registry.tags
        names = _object(sql, {str(one.no): one.name for one in of.values()})
        return Column(header, "list", f"(SELECT jsonb_agg({names} -> one::text) FROM unnest({column}) AS one)")
    if field.type == "person":
        return Column(header, how, _person(f"{column}::text"))
    if field.type == "record":
        code = f"(SELECT o.code FROM crm.customer o WHERE o.tenant_id = $1 AND o.id = {column})"
        return Column(header, how, code)
    names_of = _names(registry, field, vietnamese=vietnamese)
    return Column(header, how, column if names_of is None else f"({_object(sql, names_of)} ->> {column}::text)")


def _names(registry: Registry, field: Field, *, vietnamese: bool) -> dict[str, str] | None:
    """What people call the values that the column holds."""
    place = 0 if vietnamese else 1
    if field.key in registry.labels:
        return {str(id_): name for id_, name in registry.labels[field.key].items()}
    if field.type == "province":
        return {one.code: one.name for one in provinces.ALL}
    if field.type == "gender":
        return {value: names[place] for value, names in GENDERS.items()}
    if field.key != "kind":
        return None
    return {value: vi if vietnamese else en for value, (vi, en, _) in KINDS.items()}


def _phone(value: str, *, masked: bool) -> str:
    """As it is dialled at home; masked, only its ends."""
    national = f"(CASE WHEN {value} LIKE '+84%' THEN '0' || substr({value}, 4) ELSE {value} END)"
    return f"(left({national}, 4) || '***' || right({national}, 3))" if masked else national


def _person(value: str) -> str:
    return f"(SELECT p.full_name FROM crm.app_user p WHERE p.tenant_id = $1 AND p.id::text = {value})"


def _object(sql: Sql, names: dict[str, str]) -> str:
    return f"{sql.arg(_json(names))}::text::jsonb"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
