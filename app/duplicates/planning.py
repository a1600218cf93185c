"""The plan of a merge, which preview and execution share: what the master gets from where, and what comes to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.actor import Actor
from app.core.db import driver
from app.core.errors import FieldError, Invalid, NotFound, PreconditionRequired, Stale, invalid
from app.core.fields import Field
from app.customers import referrers
from app.customers import registry as registries
from app.customers.registry import Registry
from app.customers.values import Values, check
from app.customers.visibility import visible
from app.duplicates import advancing, related
from app.duplicates.errors import OtherKind
from app.duplicates.schemas import ChoiceIn, MergeIn
from app.filters.search import Sql

__all__ = ["SHARED", "STAGE", "Change", "Plan", "Point", "load", "make", "shown", "state", "stored"]

# What is no field of its own here: memberships are united, a kind is what all have in common.
UNITED: Final = frozenset(("groups", "tags", "kind"))
# Columns that are taken over only together; the field's own is the first.
TOGETHER: Final[dict[str, tuple[str, ...]]] = {
    "phone": ("phone", "phone_typed"),
    "province": ("province", "province_typed"),
    "tier": ("tier_id", "tier_fixed"),
    "referrer": ("referrer_id", "referrer_user_id"),
    "referrer_user": ("referrer_user_id", "referrer_id"),
}
REFERRERS: Final = frozenset(("referrer", "referrer_user"))
# E024: of these every value stays; what is not the master's field becomes a further phone, address or link of it.
POINTS: Final = {"phone": "phone", "email": "email", "address": "address", "website": "link"}
STAGE: Final = "relationship"
SHARED: Final = "shared_with"
MAX_NOTE = 20_000

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Change:
    """A field that the merge writes. States are {column: value}, with an attribute under `attributes`."""

    field: Field
    before: dict[str, Any]
    after: dict[str, Any]
    origin: str
    customer_id: UUID | None = None


@dataclass(frozen=True, eq=False)
class Point:
    """A source's phone, address or link that the master gets beside its own."""

    kind: str
    value: str
    typed: str | None
    source: Row


@dataclass
class Plan:
    """What a merge does. Rows are as the database had them, as JSON."""

    registry: Registry
    master: Row
    sources: list[Row]
    action: str
    changes: list[Change] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    by_hand: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    moves: dict[str, int] = field(default_factory=dict)

    @property
    def versions(self) -> dict[UUID, int]:
        """The versions that the plan was made from."""
        return {UUID(row["id"]): row["version"] for row in (self.master, *self.sources)}

    @property
    def own_ids(self) -> set[str]:
        """The ids of all customers of the merge, as their rows have them."""
        return {row["id"] for row in (self.master, *self.sources)}

    @property
    def source_ids(self) -> list[UUID]:
        """The sources in the order they were named."""
        return [UUID(row["id"]) for row in self.sources]


async def make(session: AsyncSession, actor: Actor, asked: MergeIn, *, binding: bool = False) -> Plan:
    """The plan. `binding` locks the customers, in the order of their ids, and needs the version of each.

    Raises:
        NotFound: the caller may not see all of them.
        Invalid, OtherKind
        PreconditionRequired, Stale: a version is missing, or is not the customer's any more.
    """
    registry = await registries.load(session)
    wanted = [asked.master_id, *dict.fromkeys(asked.source_ids)]
    if len(set(wanted)) < len(wanted):
        raise invalid(
            "source_ids", "merge_with_itself", "Không thể gộp khách hàng vào chính nó",
            "A customer cannot be merged into itself",
        )  # fmt: skip
    rows = await load(session, actor, wanted, lock=binding)
    if len(rows) < len(wanted):
        raise NotFound()
    _check_versions(asked.versions, rows, binding=binding)
    if len({row["kind"] for row in rows.values()}) > 1:
        raise OtherKind()
    plan = Plan(registry, rows[asked.master_id], [rows[one] for one in wanted[1:]], asked.sources)
    await _decide(session, actor, plan, asked.choose)
    raw = await driver(session)
    plan.moves = await related.counts(raw, actor.tenant_id, asked.master_id, plan.source_ids)
    return plan


async def load(
    session: AsyncSession,
    actor: Actor,
    ids: Sequence[UUID],
    *,
    lock: bool = False,
    deleted: bool = False,
    unseen: bool = False,
) -> dict[UUID, Row]:
    """Customers that the caller may see, as JSON; with `deleted`, those too who were deleted. `unseen` is for those
    whom the caller was allowed to change, and may not see any more."""
    sql = Sql(actor.tenant_id)
    seen = "true" if unseen else visible(sql, actor)
    where = f"c.tenant_id = $1 AND c.id = ANY({sql.arg(list(ids))}::uuid[]) AND {seen}"
    if not deleted:
        where += " AND c.deleted_at IS NULL"
    statement = f"SELECT c.id, to_jsonb(c)::text AS row FROM crm.customer c WHERE {where} ORDER BY c.id"
    rows = await (await driver(session)).fetch(statement + (" FOR UPDATE" if lock else ""), *sql.args)
    return {row["id"]: msgspec.json.decode(row["row"]) for row in rows}


def state(found: Field, row: Row) -> dict[str, Any]:
    """A field's columns in a row."""
    columns = {column: row[column] for column in _columns(found)}
    if found.is_attribute:
        columns["attributes"] = {found.name: row["attributes"].get(found.name)}
    return columns


def shown(registry: Registry, found: Field, state_: Mapping[str, Any]) -> Any:
    """A field's value as people see it."""
    if found.is_attribute:
        return state_["attributes"][found.name]
    value = state_[str(found.column)]
    if value is not None and found.key in registry.labels:
        return registry.labels[found.key].get(UUID(value))
    return value


def stored(key: str, state_: Mapping[str, Any]) -> Any:
    """A field's own value in a state, as the database has it; also of an attribute that is no more."""
    if "attributes" in state_:
        return next(iter(state_["attributes"].values()))
    return state_[TOGETHER[key][0]] if key in TOGETHER else next(iter(state_.values()))


def _columns(found: Field) -> tuple[str, ...]:
    if found.is_attribute:
        return (found.slot,) if found.slot else ()
    return TOGETHER.get(found.key, (str(found.column),))


def _groups(registry: Registry) -> list[list[Field]]:
    """The fields that a merge decides about; those of the same columns together."""
    groups: dict[frozenset[str], list[Field]] = {}
    for one in registry.fields.values():
        if one.writable and one.key not in UNITED:
            groups.setdefault(frozenset(TOGETHER.get(one.key, (one.key,))), []).append(one)
    return list(groups.values())


async def _decide(session: AsyncSession, actor: Actor, plan: Plan, choose: Mapping[str, ChoiceIn]) -> None:
    groups = _groups(plan.registry)
    _check_choices(plan, choose, {one.key for group in groups for one in group})
    typed = await _by_hand(session, actor, plan, choose)
    for group in groups:
        before = state(group[0], plan.master)
        chosen = _chosen(plan, group, choose, typed)
        if chosen is not None:
            origin, (customer_id, after) = "chosen", chosen
        else:
            origin, customer_id, after = _automatic(plan, group[0], before)
        for one in group:
            # Of fields that share their columns, those that show a difference: a referrer is one or the other.
            if after != before and (len(group) == 1 or stored(one.key, after) != stored(one.key, before)):
                plan.changes.append(Change(one, before, after, origin, customer_id))
                if chosen is not None and customer_id is None:
                    plan.by_hand[one.key] = (shown(plan.registry, one, before), shown(plan.registry, one, after))
    _unite_shares(plan)
    if STAGE not in choose:
        await _advance(session, plan)
    plan.points = _points(plan, await _known_points(session, actor, plan))


def _unite_shares(plan: Plan) -> None:
    """Whoever one of them was shared with sees the master."""
    found = plan.registry.fields[SHARED]
    before = state(found, plan.master)
    everybody = {one for row in (plan.master, *plan.sources) for one in row[SHARED]}
    if everybody - set(before[SHARED]):
        plan.changes.append(Change(found, before, {SHARED: sorted(everybody)}, "union"))


async def _advance(session: AsyncSession, plan: Plan) -> None:
    """Plans the stage that the master has by what comes to it, unless somebody has chosen one."""
    found = plan.registry.fields[STAGE]
    planned = next((one for one in plan.changes if one.field is found), None)
    before = state(found, plan.master)
    at = stored(STAGE, planned.after if planned else before)
    to = await advancing.by_what_comes(session, UUID(at) if at else None, plan.source_ids)
    after = dict.fromkeys(before, str(to) if to else None)
    if stored(STAGE, after) != at:
        plan.changes = [one for one in plan.changes if one is not planned]
        plan.changes.append(Change(found, before, after, "facts"))


def _chosen(
    plan: Plan, group: Sequence[Field], choose: Mapping[str, ChoiceIn], typed: Mapping[str, dict[str, Any]]
) -> tuple[UUID | None, dict[str, Any]] | None:
    """What was chosen for these fields, and from whom; None without a choice.

    Raises:
        Invalid: the choices contradict each other, or a customer would be its own referrer.
    """
    people = {UUID(row["id"]): row for row in (plan.master, *plan.sources)}
    found: tuple[UUID | None, dict[str, Any]] | None = None
    choice: tuple[UUID | None, dict[str, Any]]
    for one in group:
        if one.key in typed:
            choice = None, {**state(one, plan.master), **typed[one.key]}
        elif one.key in choose and (customer_id := choose[one.key].customer_id) is not None:
            choice = customer_id, state(one, people[customer_id])
        else:
            continue
        if one.key in REFERRERS and choice[1]["referrer_id"] in plan.own_ids:
            raise invalid(
                f"choose.{one.key}", "merge_own_referrer", "Khách hàng không thể tự giới thiệu chính mình",
                "A customer cannot be its own referrer",
            )  # fmt: skip
        if found is not None and found[1] != choice[1]:
            raise invalid(
                f"choose.{one.key}",
                "referrer_twice",
                "Chỉ chọn được một người giới thiệu",
                "There is one referrer only",
            )
        found = found or choice
    return found


def _automatic(plan: Plan, found: Field, before: dict[str, Any]) -> tuple[str, UUID | None, dict[str, Any]]:
    """What the master gets without a choice: (origin, whose, state)."""
    if found.key == "note":
        return "union", None, {"note": _notes(plan)}
    if _filled(plan, found, plan.master):
        return "source", None, before
    source = _first(plan, found)
    if source is not None:
        return "source", UUID(source["id"]), state(found, source)
    if found.key in REFERRERS and plan.action != "keep":
        # Whoever referred the master is the master now.
        return "source", None, dict.fromkeys(before)
    return "source", None, before


def _filled(plan: Plan, found: Field, row: Row) -> bool:
    if found.key == "tier":
        # What a rule gave follows from the facts, which come to the master by themselves.
        return bool(row["tier_id"] and row["tier_fixed"])
    if found.key in REFERRERS:
        # Nobody becomes who referred themselves; a source that stays in use may have referred the master.
        own = set() if row is plan.master and plan.action == "keep" else plan.own_ids
        return bool(row["referrer_user_id"]) or row["referrer_id"] not in {None, *own}
    value = row["attributes"].get(found.name) if found.is_attribute else row[str(found.column)]
    return value not in (None, "")


def _first(plan: Plan, found: Field) -> Row | None:
    """The first source that has the field. One that stays in use keeps what only one customer can have."""
    if plan.action == "keep" and (found.key == "phone" or found.unique):
        return None
    return next((row for row in plan.sources if _filled(plan, found, row)), None)


def _notes(plan: Plan) -> str | None:
    """All notes, each once, as far as they fit; the sources' records keep their own anyway."""
    found: list[str] = []
    for row in (plan.master, *plan.sources):
        note = row["note"]
        if note and note not in found and len("\n".join([*found, note])) <= MAX_NOTE:
            found.append(note)
    return "\n".join(found) or None


def _points(plan: Plan, kept: set[tuple[str, str]]) -> list[Point]:
    written = {column: value for change in plan.changes for column, value in change.after.items()}
    points = []
    for column, kind in POINTS.items():
        if kind == "phone" and plan.action == "keep":
            continue
        known = {written.get(column, plan.master[column])}
        for row in (plan.master, *plan.sources):
            value = row[column]
            if value and value not in known and (kind, value) not in kept:
                known.add(value)
                points.append(Point(kind, value, row["phone_typed"] if kind == "phone" else None, row))
    return points


async def _known_points(session: AsyncSession, actor: Actor, plan: Plan) -> set[tuple[str, str]]:
    """The further phones, addresses and links of all of them: these come to the master as they are."""
    rows = await (await driver(session)).fetch(
        "SELECT DISTINCT kind, value FROM crm.contact_point WHERE tenant_id = $1 AND customer_id = ANY($2::uuid[])",
        actor.tenant_id, list(plan.versions),
    )  # fmt: skip
    return {(row["kind"], row["value"]) for row in rows}


async def _by_hand(
    session: AsyncSession, actor: Actor, plan: Plan, choose: Mapping[str, ChoiceIn]
) -> dict[str, dict[str, Any]]:
    """The states of the fields that were typed, parsed as on a form."""
    given = {key: one.value for key, one in choose.items() if one.customer_id is None and key not in UNITED}
    plain = {key: value for key, value in given.items() if not key.startswith("attributes.")}
    attributes = {key.removeprefix("attributes."): value for key, value in given.items() if key not in plain}
    try:
        resolved = await referrers.resolved(session, actor, plain, UUID(plan.master["id"]))
        values = check(plan.registry, {**resolved, "attributes": attributes}, creating=False)
    except Invalid as bad:
        lines = [FieldError(field=f"choose.{one.field}", code=one.code, message=one.message) for one in bad.errors]
        raise Invalid(errors=lines) from None
    return {key: _typed(plan.registry.fields[key], values) for key in values.shown if key in given}


def _typed(found: Field, values: Values) -> dict[str, Any]:
    columns = {name: values.columns[name] for name in _columns(found) if name in values.columns}
    state_: dict[str, Any] = msgspec.to_builtins(columns, enc_hook=str)
    if found.is_attribute:
        state_["attributes"] = {found.name: values.attributes[found.name]}
    return state_


def _check_choices(plan: Plan, choose: Mapping[str, ChoiceIn], known: set[str]) -> None:
    for key, one in choose.items():
        if key not in known:
            raise invalid(f"choose.{key[:200]}", "field_unknown", "Không có trường này", "There is no such field")
        if one.customer_id is not None and str(one.customer_id) not in plan.own_ids:
            raise invalid(
                f"choose.{key}.customer_id", "merge_stranger", "Khách hàng không thuộc lần gộp này",
                "The customer is not part of this merge",
            )  # fmt: skip
        found = plan.registry.fields[key]
        unique = key == "phone" or found.unique
        if unique and plan.action == "keep" and one.customer_id not in (None, UUID(plan.master["id"])):
            raise invalid(
                f"choose.{key}.customer_id", "merge_unique_kept",
                "Khách hàng được giữ lại thì giữ cả giá trị không được trùng của mình",
                "A customer that is kept keeps its own value of a field that must be unique",
            )  # fmt: skip


def _check_versions(given: Mapping[UUID, int], rows: Mapping[UUID, Row], *, binding: bool) -> None:
    if binding and set(rows) - set(given):
        raise PreconditionRequired()
    now = {str(one): row["version"] for one, row in rows.items() if one in given and row["version"] != given[one]}
    if now:
        raise Stale(extra={"versions": now})
