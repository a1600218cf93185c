"""The cells of an export: for each field, the SQL of its value, and how the writer shows what that gives.

PostgreSQL gives little more than what it stores: the writer, a process of its own, puts the names in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from app.core.fields import GENDERS, Field
from app.core.vietnam import phone, provinces
from app.customers.registry import KINDS, Registry
from app.exports.child import How
from app.filters.search import Sql

HOW: Final[dict[str, How]] = {"date": "date", "datetime": "datetime", "boolean": "boolean", "choices": "list"}
MOMENT: Final = "to_char({} AT TIME ZONE '{}', 'DD/MM/YYYY HH24:MI:SS')"


@dataclass(frozen=True)
class Column:
    """A column of the file. `names` are those of the values, if they are not shown as they are."""

    header: str
    value: str
    how: How = "text"
    names: Mapping[str, str] | None = field(default=None, compare=False)


def columns(
    sql: Sql, registry: Registry, keys: Sequence[str], people: Mapping[UUID, str], *, masked: bool, vietnamese: bool
) -> list[Column]:
    """The columns of these fields over a customer `c`; a field that is no more is left out. `people` are the full names
    of everybody who ever was a user."""
    found = (registry.get(key) for key in keys)
    return [_column(sql, registry, field, people, masked=masked, vietnamese=vietnamese) for field in found if field]


def page(made: Sequence[Column], where: str) -> str:
    """A statement for the customers `c` of a predicate: their number, and the JSON array of each column's values, the
    newest customer first."""
    parts = [f"json_agg({one.value} ORDER BY c.id DESC)::text" for one in made]
    return f"SELECT {', '.join(['count(*)', *parts])} FROM crm.customer c WHERE c.tenant_id = $1 AND {where}"


def _column(
    sql: Sql, registry: Registry, field: Field, people: Mapping[UUID, str], *, masked: bool, vietnamese: bool
) -> Column:
    header = field.vi if vietnamese else field.en
    # As text where it is one, else as JSON, which still tells a number from a text.
    plain = f"c.attributes ->> {sql.arg(field.name)}::text" if field.is_attribute else f"c.{field.column}"
    if field.type == "phone":
        return Column(header, phone.mask_sql(plain) if masked else phone.national_sql(plain))
    if field.type == "person":
        return Column(header, plain, names={str(id_): name for id_, name in people.items()})
    if field.type == "people":
        return Column(header, plain, "list", {str(id_): name for id_, name in people.items()})
    if field.is_attribute:
        return Column(header, plain.replace("->>", "->"), HOW.get(field.type, "text"))
    if field.key in ("groups", "tags"):
        of = registry.groups if field.key == "groups" else registry.tags
        return Column(header, plain, "list", {str(one.no): one.name for one in of.values()})
    if field.type == "record":
        return Column(header, f"(SELECT o.code FROM crm.customer o WHERE o.tenant_id = $1 AND o.id = {plain})")
    if field.type == "datetime":
        return Column(header, MOMENT.format(plain, registry.zone.key))
    return Column(header, plain, HOW.get(field.type, "text"), _names(registry, field, vietnamese=vietnamese))


def _names(registry: Registry, field: Field, *, vietnamese: bool) -> dict[str, str] | None:
    """What people call the values that the column holds."""
    if field.key in registry.labels:
        return {str(id_): name for id_, name in registry.labels[field.key].items()}
    if field.type == "province":
        return {one.code: one.name for one in provinces.ALL}
    if field.type == "gender":
        return {value: vi if vietnamese else en for value, (vi, en) in GENDERS.items()}
    if field.key != "kind":
        return None
    return {value: vi if vietnamese else en for value, (vi, en, _) in KINDS.items()}
