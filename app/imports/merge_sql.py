"""The statements that bring a chunk from the staging table into the customers.

Every value is an argument; the text is joined from constant fragments, by the columns that the run fills. In all of
them $1 is the tenant, $2 the import, $3 and $4 the first and last row of the chunk, $5 the moment.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from app.core.fields import Field
from app.customers import stages
from app.customers.assigning import SEARCHED
from app.customers.changing import PAIRS
from app.customers.registry import Registry
from app.customers.visibility import entrusted, reach
from app.imports.plan import columns_of

STAGED = "s.tenant_id = $1 AND s.import_id = $2 AND s.n BETWEEN $3 AND $4"
WRITTEN = f"{STAGED} AND s.action = 'write'"
BY_PHONE = "JOIN crm.customer c ON c.tenant_id = $1 AND c.phone = s.phone AND c.deleted_at IS NULL"
BY_ID = "JOIN crm.customer c ON c.tenant_id = $1 AND c.id = s.id"
# The customer was made by an earlier row of the same file: it counts as the file's own.
OWN = """EXISTS (SELECT 1 FROM crm.import_row r WHERE r.tenant_id = $1 AND r.import_id = $2
    AND (r.n = s.first_n OR r.first_n = s.first_n) AND r.status = 'created')"""
# Columns that stand beside link tables, which remember what the import added to them.
LINKED = ("group_nos", "tag_nos")
# A field that, once filled, takes another one's value away: (field, the other, its column). Of two kinds of referrers a
# customer has one, and who is in charge of a customer has it for themselves.
CLEARED = (("referrer_user", "referrer", "referrer_id"), ("owner", "in_pool", "in_pool"))

LOCK = f"""
SELECT count(*) FROM (
    SELECT c.id FROM crm.import_staging s {BY_PHONE} WHERE {WRITTEN} ORDER BY c.id FOR UPDATE OF c
) AS locked
"""
MATCHED = f"SELECT count(*) FROM crm.import_staging s {BY_PHONE} WHERE {WRITTEN}"

# $5 the action, $6 the reason.
DECIDE = f"""
UPDATE crm.import_staging s SET action = $5::text, errors = jsonb_build_array($6::text::jsonb)
FROM crm.customer c
WHERE {WRITTEN} AND c.tenant_id = $1 AND c.phone = s.phone AND c.deleted_at IS NULL AND NOT {OWN}
"""
# Also $7 and $8, whose customers the caller sees and who it is: nobody may change others.
DECIDE_UNSEEN = f"{DECIDE} AND {reach('c', '$7', '$8')} IS NOT TRUE"
# Nor whose they are, where that is not theirs to say.
DECIDE_UNENTRUSTED = f"{DECIDE} AND ({reach('c', '$7', '$8')} AND {entrusted('c', '$7')}) IS NOT TRUE"

# The unique values that the chunk's rows bring, as a table of its own: beside the function that unpacks them the
# planner would compare each value with each.
BROUGHT = f"""
brought AS MATERIALIZED (
    SELECT s.n, s.id, s.phone, one.key::uuid AS attribute_id, one.value
    FROM crm.import_staging s CROSS JOIN LATERAL jsonb_each_text(s.uniques) AS one
    WHERE {WRITTEN}
)"""
HELD = "JOIN crm.unique_value u ON u.tenant_id = $1 AND u.attribute_id = s.attribute_id AND u.value = s.value"

# $5 the reason by attribute id. Answers how many rows were refused, and how many of those match a customer.
REFUSE_TAKEN_VALUES = f"""
WITH {BROUGHT}, taken AS MATERIALIZED (
    SELECT s.n, bool_or(c.id IS NOT NULL) AS matches,
           jsonb_agg(($5::text::jsonb -> s.attribute_id::text) || jsonb_build_object('value', s.value)) AS errors
    FROM brought s {HELD} LEFT {BY_PHONE}
    WHERE u.customer_id IS DISTINCT FROM c.id
    GROUP BY s.n
), refused AS (
    UPDATE crm.import_staging s SET action = 'failed', errors = taken.errors
    FROM taken WHERE {STAGED} AND s.n = taken.n RETURNING 1
)
SELECT (SELECT count(*) FROM refused), (SELECT count(*) FROM taken WHERE matches)
"""


def release_values(who: str) -> str:
    """Gives up the values that their customers no longer have; $5 the unique attributes, $6 whether an empty cell
    gives its value up."""
    return f"""
    WITH old AS MATERIALIZED (
        SELECT u.attribute_id, u.value
        FROM crm.import_staging s {who} JOIN crm.unique_value u ON u.tenant_id = $1 AND u.customer_id = c.id
        WHERE {WRITTEN} AND u.attribute_id = ANY($5::uuid[]) AND ($6::boolean OR s.uniques ? u.attribute_id::text)
          AND s.uniques ->> u.attribute_id::text IS DISTINCT FROM u.value
    )
    DELETE FROM crm.unique_value u USING old
    WHERE u.tenant_id = $1 AND u.attribute_id = old.attribute_id AND u.value = old.value
    """


def claim_values(who: str) -> str:
    """Takes the values of unique attributes; the status tells how many were free."""
    return f"""
    WITH {BROUGHT}
    INSERT INTO crm.unique_value AS held (tenant_id, attribute_id, value, customer_id)
    SELECT $1, s.attribute_id, s.value, c.id FROM brought s {who}
    ON CONFLICT (tenant_id, attribute_id, value) DO NOTHING
    """


def lost_values(who: str) -> str:
    """How many of the values that this chunk wants belong to somebody else."""
    return f"""
    WITH {BROUGHT}
    SELECT count(*) FROM brought s {who} {HELD} WHERE u.customer_id <> c.id
    """


def join_groups(who: str) -> str:
    """Adds the customers to their rows' groups."""
    return f"""
    INSERT INTO crm.group_member (tenant_id, group_id, customer_id, added_at, batch_id)
    SELECT $1, g.id, c.id, $5::timestamptz, $2
    FROM crm.import_staging s {who} CROSS JOIN LATERAL unnest(s.group_nos) AS wanted (no)
    JOIN crm.customer_group g ON g.tenant_id = $1 AND g.no = wanted.no
    WHERE {WRITTEN}
    ON CONFLICT (tenant_id, group_id, customer_id) DO NOTHING
    """


def join_tags(who: str) -> str:
    """Gives the customers their rows' tags."""
    return f"""
    INSERT INTO crm.tag_member (tenant_id, tag_id, customer_id, added_at, batch_id)
    SELECT $1, g.id, c.id, $5::timestamptz, $2
    FROM crm.import_staging s {who} CROSS JOIN LATERAL unnest(s.tag_nos) AS wanted (no)
    JOIN crm.tag g ON g.tenant_id = $1 AND g.no = wanted.no
    WHERE {WRITTEN}
    ON CONFLICT (tenant_id, tag_id, customer_id) DO NOTHING
    """


FORGET_MATCHED = f"""
DELETE FROM crm.import_staging s USING crm.customer c
WHERE {WRITTEN} AND c.tenant_id = $1 AND c.phone = s.phone AND c.deleted_at IS NULL
"""

# The same where their contacts are still to be added.
LEAVE_MATCHED = f"""
UPDATE crm.import_staging s SET action = 'matched' FROM crm.customer c
WHERE {WRITTEN} AND c.tenant_id = $1 AND c.phone = s.phone AND c.deleted_at IS NULL
"""

EVENT_COLUMNS = """tenant_id, id, at, kind, subject_type, subject_id, actor_kind, actor_id, actor_name,
    batch_id, changes, data"""

# A new customer has the id of the event that tells of it. $6 to $8: who.
TELL_CREATED = f"""
INSERT INTO crm.event ({EVENT_COLUMNS})
SELECT $1, s.id, $5::timestamptz, 'customer.created', 'customer', s.id, $6::text, $7::uuid, $8::text, $2, s.changes,
       '{{}}'::jsonb
FROM crm.import_staging s WHERE {WRITTEN}
"""
NOTE_CREATED = f"""
INSERT INTO crm.import_row (tenant_id, import_id, n, status, customer_id, first_n, version_after)
SELECT $1, $2, s.n, 'created', s.id, s.first_n, 1 FROM crm.import_staging s WHERE {WRITTEN}
"""
NOTE_REFUSED = f"""
INSERT INTO crm.import_row (tenant_id, import_id, n, status, first_n, errors)
SELECT $1, $2, s.n, s.action, s.first_n, s.errors
FROM crm.import_staging s WHERE {STAGED} AND s.action IN ('failed', 'skipped')
"""
# What became of the row that a row was folded into is what became of it; but only one of them creates.
NOTE_FOLDED = f"""
INSERT INTO crm.import_row (tenant_id, import_id, n, status, customer_id, first_n, errors, version_after)
SELECT $1, $2, s.n,
       CASE WHEN l.status IN ('failed', 'skipped', 'unchanged') THEN l.status
            WHEN s.action = 'echo' THEN 'unchanged' ELSE 'updated' END,
       l.customer_id, s.first_n, l.errors, l.version_after
FROM crm.import_staging s
JOIN crm.import_row l ON l.tenant_id = $1 AND l.import_id = $2 AND l.n = s.leader_n
WHERE {STAGED} AND s.action IN ('fold', 'echo')
"""
# The dry run: nobody matched means created, unless an earlier row of the file would have created the customer.
NOTE_WOULD_CREATE = f"""
INSERT INTO crm.import_row (tenant_id, import_id, n, status, first_n)
SELECT $1, $2, s.n, CASE WHEN {OWN} THEN 'updated' ELSE 'created' END, s.first_n
FROM crm.import_staging s WHERE {WRITTEN}
"""
CLEAR = f"DELETE FROM crm.import_staging s WHERE {STAGED}"
COUNT = """
SELECT status, count(*) FROM crm.import_row s
WHERE s.tenant_id = $1 AND s.import_id = $2 AND s.n BETWEEN $3 AND $4 GROUP BY status
"""
CUSTOMERS = """
SELECT DISTINCT s.customer_id FROM crm.import_row s
WHERE s.tenant_id = $1 AND s.import_id = $2 AND s.n BETWEEN $3 AND $4 AND s.status IN ('created', 'updated')
  AND s.customer_id IS NOT NULL
"""
# What a rule changed in consequence belongs to the import.
AGREE = """
UPDATE crm.import_row r SET version_after = c.version FROM crm.customer c
WHERE r.tenant_id = $1 AND r.import_id = $2 AND r.n BETWEEN $3 AND $4 AND r.version_after IS NOT NULL
  AND c.tenant_id = $1 AND c.id = r.customer_id AND c.version <> r.version_after
"""


@dataclass
class Statement:
    """A statement with its arguments: the chunk's first, then what is added."""

    base: Sequence[Any]
    args: list[Any] = field(default_factory=list)
    sql: str = ""

    def __post_init__(self) -> None:
        self.args = [*self.base]

    def arg(self, value: Any) -> str:
        """Adds an argument and returns its placeholder."""
        self.args.append(value)
        return f"${len(self.args)}"


# The codes of the staged rows, in their order; the placeholder is the first number.
CODE = "'KH' || lpad({number}, greatest(6, length({number})), '0')"
NUMBER = "({first}::bigint + row_number() OVER (ORDER BY s.n) - 1)::text"


def create_customers(base: Sequence[Any], fields: Iterable[Field], *, first_code: int, owner: Any, relationship: Any,
                     created_by: Any) -> Statement:  # fmt: skip
    """Adds the staged rows as customers."""
    made = Statement(base)
    columns = [column for one in fields for column in columns_of(one)]
    values = {column: f"s.{column}" for column in columns}
    values["name"] = "coalesce(s.name, '')"
    if "kind" in values:
        values["kind"] = "coalesce(s.kind, 'individual')"
    if "tag_nos" in values:
        values["tag_nos"] = "coalesce(s.tag_nos, '{}')"
    if "tier_id" in values:
        values["tier_fixed"] = "s.tier_id IS NOT NULL"
    values["owner_id"] = f"coalesce(s.owner_id, {made.arg(owner)}::uuid)"
    values["relationship_id"] = f"coalesce(s.relationship_id, {made.arg(relationship)}::uuid)"
    code = CODE.format(number=NUMBER.format(first=made.arg(first_code)))
    made.sql = f"""
    INSERT INTO crm.customer (tenant_id, id, code, {", ".join(values)}, group_nos, attributes, created_by, version,
                              created_at, updated_at)
    SELECT $1, s.id, {code}, {", ".join(values.values())}, s.group_nos, s.attributes, {made.arg(created_by)}::uuid, 1,
           $5::timestamptz, $5::timestamptz
    FROM crm.import_staging s WHERE {WRITTEN} ORDER BY s.n
    """
    return made


# No join with what was just written: the planner, who has no statistics of a staging table, would compare each row
# with each.
WRITE_NEW_WORDS = f"""
INSERT INTO crm.customer_search (tenant_id, id, words, phone_tail)
SELECT $1, s.id, s.words, s.phone_tail FROM crm.import_staging s WHERE {WRITTEN}
"""


class Difference:
    """What an update changes, as SQL: `old` and `new` columns of a pair, and the texts made of them."""

    def __init__(self, statement: Statement, fields: Iterable[Field], labels: dict[str, dict[str, str]],
                 group_names: dict[str, str], *, clear: bool, first_relationship: Any) -> None:  # fmt: skip
        self._statement, self._clear = statement, clear
        given = [one for one in fields if one.key not in ("phone", "groups")]
        self.attributes = [one for one in given if one.is_attribute]
        self._plain = [one for one in given if not one.is_attribute]
        self._texts = {key: _json(names) for key, names in labels.items() if self._has(key)}
        self._texts["groups"] = _json(group_names)
        # Arguments are added when they are first used: a statement takes exactly those that it names.
        self._placeholders = dict[str, str]()
        self._relationship = statement.arg(first_relationship) if clear and self._has("relationship") else ""
        self._keys = statement.arg([one.name for one in self.attributes]) if clear and self.attributes else ""
        self.columns = [str(one.column) for one in self._plain] + ["group_nos"]
        self.columns += ["attributes"] if self.attributes else []
        # What is taken away where another field is filled: shown as a change of its own.
        self.cleared = {key: column for by, key, column in CLEARED if self._has(by)}
        self.columns += self.cleared.values()
        # What follows from other columns: set with them, but no change by itself.
        self.derived = ["province_typed"] if self._has("province") else []
        self.derived += ["tier_fixed"] if self._has("tier") else []
        self.derived += [one.slot for one in self.attributes if one.slot]

    def pairs(self) -> str:
        """`old_…` and `new_…` of each column, for a SELECT over `s` and `c`."""
        return ", ".join(
            f"c.{one} AS old_{one}, {self._new(one)} AS new_{one}" for one in (*self.columns, *self.derived)
        )

    def changed(self) -> str:
        """Whether anything differs."""
        old, new = (", ".join(f"{side}_{one}" for one in self.columns) for side in ("old", "new"))
        return f"ROW({old}) IS DISTINCT FROM ROW({new})"

    def searched(self) -> str:
        """Whether something differs that a search box finds the customer by."""
        return _differ(one for one in SEARCHED if one in self.columns)

    def assignments(self) -> str:
        """The SET list of an UPDATE from the pairs `p`."""
        return ", ".join(f"{one} = p.new_{one}" for one in (*self.columns, *self.derived))

    def changes(self, *, old: str = "old", new: str = "new") -> str:
        """The event's changes: {field: [before, after]} of the fields that differ."""
        members = [
            (f"'{one.key}'", self._shown(one, f"p.{old}_{one.column}"), self._shown(one, f"p.{new}_{one.column}"))
            for one in self._plain
        ]
        for one in self.attributes:
            key, name = self._statement.arg(one.key), f"{self._statement.arg(one.name)}::text"
            members.append((f"{key}::text", f"(p.{old}_attributes -> {name})", f"(p.{new}_attributes -> {name})"))
        members.append(("'groups'", self._group_names(f"p.{old}_group_nos"), self._group_names(f"p.{new}_group_nos")))
        members += [
            (f"'{key}'", f"to_jsonb(p.{old}_{one})", f"to_jsonb(p.{new}_{one})") for key, one in self.cleared.items()
        ]
        parts = [
            f"{key}, CASE WHEN {before} IS DISTINCT FROM {after} THEN jsonb_build_array({before}, {after}) END"
            for key, before, after in members
        ]
        return f"jsonb_strip_nulls({_build(parts)})"

    def kind(self, categories: Mapping[str, str], relationships: Mapping[str, str]) -> str:
        """The kind of the event, as `stages.told_as` has it; `relationships` are names by id."""
        moving = {str(one.column): one.key for one in self._plain if one.key in stages.CLASSIFYING}
        taking = ("owner_id", "in_pool") if self._has("owner") else ()
        edited, taken, moved = (
            f"'{stages.told_as(categories, dict.fromkeys(keys, (None, None)))}'"
            for keys in (("name",), ("owner",), ("source",))
        )
        outcome = moved
        if self._has("relationship"):
            pairs = ((id_, {"relationship": (None, name)}) for id_, name in relationships.items())
            told = {id_: stages.told_as(categories, changes) for id_, changes in pairs}
            by_id = f"{self._statement.arg(_json(told))}::text::jsonb"
            outcome = f"coalesce({by_id} ->> p.new_relationship_id::text, {moved})"
        others = [one for one, key in moving.items() if key != "relationship"]
        return f"""CASE WHEN {_differ(one for one in self.columns if one not in (*moving, *taking))} THEN {edited}
            WHEN {_differ(taking)} THEN CASE WHEN {_differ(moving)} THEN {edited} ELSE {taken} END
            WHEN {_differ(others)} THEN {moved} ELSE {outcome} END"""

    def before(self) -> str:
        """The columns as they were, for the undo."""
        return _build([f"'{one}', p.old_{one}" for one in (*self.columns, *self.derived) if one not in LINKED])

    def _has(self, key: str) -> bool:
        return any(one.key == key for one in self._plain)

    def _new(self, column: str) -> str:
        if column == "group_nos":
            return """CASE WHEN c.group_nos @> s.group_nos THEN c.group_nos
                ELSE ARRAY(SELECT DISTINCT one FROM unnest(c.group_nos || s.group_nos) AS one ORDER BY one) END"""
        if column == "attributes":
            return (
                f"(c.attributes - {self._keys}::text[]) || s.attributes"
                if self._clear
                else "c.attributes || s.attributes"
            )
        if column == "tag_nos":
            return """CASE WHEN s.tag_nos IS NULL OR c.tag_nos @> s.tag_nos THEN c.tag_nos
                ELSE ARRAY(SELECT DISTINCT one FROM unnest(c.tag_nos || s.tag_nos) AS one ORDER BY one) END"""
        if column == "referrer_id":
            return "CASE WHEN s.referrer_user_id IS NULL THEN c.referrer_id END"
        if column == "in_pool":
            return "c.in_pool AND s.owner_id IS NULL"
        if column == "tier_fixed":
            return "s.tier_id IS NOT NULL" if self._clear else "s.tier_id IS NOT NULL OR c.tier_fixed"
        if column == "kind":
            return "coalesce(s.kind, 'individual')" if self._clear else "coalesce(s.kind, c.kind)"
        if column == "relationship_id" and self._clear:
            return f"coalesce(s.relationship_id, {self._relationship}::uuid)"
        if self._clear:
            return f"s.{column}"
        if column == "province_typed":
            return "CASE WHEN s.province IS NULL THEN c.province_typed ELSE s.province_typed END"
        return f"coalesce(s.{column}, c.{column})"

    def _shown(self, one: Field, value: str) -> str:
        if one.key == "tags":
            return f"(SELECT jsonb_agg({self._names('tags')} -> one::text) FROM unnest({value}) AS one)"
        return f"({self._names(one.key)} ->> {value}::text)" if one.key in self._texts else value

    def _group_names(self, numbers: str) -> str:
        return f"(SELECT jsonb_agg({self._names('groups')} -> one::text) FROM unnest({numbers}) AS one)"

    def _names(self, key: str) -> str:
        """The names of a list's values by their ids, as jsonb."""
        if key not in self._placeholders:
            self._placeholders[key] = self._statement.arg(self._texts[key])
        return f"{self._placeholders[key]}::text::jsonb"


def update_customers(statement: Statement, difference: Difference, actor: Sequence[Any], told_as: str) -> str:
    """Changes the customers that the staged rows match and really differ from, tells of it as `told_as` says, and notes
    the rows.

    Answers (pairs, ids of the customers that are to be searched by something else now).
    """
    kind, actor_id, name = (statement.arg(value) for value in actor)
    return f"""
    WITH compared AS MATERIALIZED (
        SELECT s.n, s.id AS event_id, s.first_n, s.errors, c.id, c.version, {difference.pairs()}
        FROM crm.import_staging s {BY_PHONE} WHERE {WRITTEN} ORDER BY c.id FOR UPDATE OF c
    ), p AS MATERIALIZED (SELECT *, {difference.changed()} AS changed FROM compared
    ), written AS (
        UPDATE crm.customer c SET {difference.assignments()}, version = p.version + 1, updated_at = $5::timestamptz
        FROM p WHERE p.changed AND c.tenant_id = $1 AND c.id = p.id RETURNING c.id
    ), told AS (
        INSERT INTO crm.event ({EVENT_COLUMNS})
        SELECT $1, p.event_id, $5::timestamptz, {told_as}, 'customer', p.id, {kind}::text, {actor_id}::uuid,
               {name}::text, $2, {difference.changes()}, '{{}}'::jsonb
        FROM p WHERE p.changed RETURNING 1
    ), noted AS (
        INSERT INTO crm.import_row (tenant_id, import_id, n, status, customer_id, first_n, errors, before,
                                    version_after)
        SELECT $1, $2, p.n, CASE WHEN p.changed THEN 'updated' ELSE 'unchanged' END, p.id, p.first_n, p.errors,
               CASE WHEN p.changed THEN {difference.before()} END, CASE WHEN p.changed THEN p.version + 1 END
        FROM p RETURNING 1
    )
    SELECT count(*), coalesce(array_agg(p.id) FILTER (WHERE p.changed AND ({difference.searched()})), '{{}}') FROM p
    """


def compare_customers(difference: Difference) -> str:
    """The dry run of `update_customers`: notes what would become of the rows."""
    return f"""
    INSERT INTO crm.import_row (tenant_id, import_id, n, status, customer_id, first_n, errors)
    SELECT $1, $2, p.n, CASE WHEN {difference.changed()} THEN 'updated' ELSE 'unchanged' END, p.id, p.first_n, p.errors
    FROM (
        SELECT s.n, s.first_n, s.errors, c.id, {difference.pairs()} FROM crm.import_staging s {BY_PHONE} WHERE {WRITTEN}
    ) AS p
    """


def labels_of(registry: Registry) -> dict[str, dict[str, str]]:
    """Names of list values by their ids, and of tags by their numbers, as JSON keys."""
    labels = {key: {str(id_): name for id_, name in names.items()} for key, names in registry.labels.items()}
    return labels | {"tags": {str(tag.no): tag.name for tag in registry.tags.values()}}


def names_of_groups(registry: Registry) -> dict[str, str]:
    """Names of groups by their numbers, as JSON keys."""
    return {str(group.no): group.name for group in registry.groups.values()}


def _differ(columns: Iterable[str]) -> str:
    """Whether any of these columns of the pairs `p` differs."""
    return " OR ".join(f"p.old_{one} IS DISTINCT FROM p.new_{one}" for one in columns) or "false"


def _build(parts: list[str]) -> str:
    """A jsonb object of any number of members."""
    groups = [parts[at : at + PAIRS] for at in range(0, len(parts), PAIRS)]
    return " || ".join(f"jsonb_build_object({', '.join(group)})" for group in groups) or "'{}'::jsonb"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
