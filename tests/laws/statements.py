"""What may stand in a statement of the application's: rules of CITUS.md that a look at the text can check."""

import re
from collections.abc import Iterator
from functools import cache

from app.core.orm import SCHEMA, kind_of
from app.tables import metadata

TABLES = {table.name for table in metadata.sorted_tables if kind_of(table) != "reference"}

REFERENCE = re.compile(
    rf"\b(FROM|JOIN|UPDATE|INTO|USING|,|TABLE|ONLY)\s+\(?\s*{SCHEMA}\.\"?(\w+)\"?(?:\s+(?:AS\s+)?\"?(\w+)\"?)?", re.I
)
NOT_AN_ALIAS = re.compile(
    "where|set|on|join|left|right|inner|cross|full|using|values|select|order|group|limit|for|union|as|returning|default"
    "|natural|window|having|fetch|except|intersect|overriding|tablesample|lateral",
    re.I,
)
CONSTANT = r"(?:\$\d+|ANY\s*\(\s*\$\d+|\(\s*\$\d+)"
# The tenant as a parameter: compared with one, or inserted as one.
BOUND = re.compile(
    rf"tenant_id\"?\s*(=|IN)\s*{CONSTANT}|{CONSTANT}\)?\s*=\s*[\w.]*tenant_id"
    rf"|INSERT\s+INTO\s+{SCHEMA}\.\S+(\s+AS\s+\w+)?\s*\([^)]*\btenant_id\b[^)]*\)\s*(VALUES\s*\(\s*\$|SELECT\s+\$)",
    re.I,
)
# What opens a query of its own, and what stands between two of them.
QUERY = re.compile(r"\((?=\s*\(*\s*(?:SELECT|WITH|INSERT|UPDATE|DELETE)\b)", re.I)
SIDES = re.compile(r"\b(?:UNION|INTERSECT|EXCEPT)\b", re.I)
EVERYWHERE = (
    (re.compile(r"\bset_config\s*\(", re.I), "set_config() reaches no Citus worker: crm.use_tenant()"),
    (re.compile(r"\bMERGE\s+INTO\b", re.I), "Citus refuses MERGE: INSERT … ON CONFLICT"),
    (re.compile(r";\s*\S"), "several statements in one"),
    (re.compile(r"\bSET\s+(?!LOCAL\b)\"?app\.", re.I), "a session's setting outlives its transaction in the pool"),
)
VOLATILE = re.compile(r"\b(uuidv7|uuidv4|gen_random_uuid|random|clock_timestamp|timeofday|nextval)\s*\(", re.I)
STABLE_OVER_COLUMN = re.compile(
    r"\b(date_trunc|jsonb_build_object|json_build_object|concat|concat_ws|to_char|age)\s*\(|\bCASE\b[^;]*\bnow\s*\(\s*\)"
    r"|\bcoalesce\s*\([^()]*\bnow\s*\(",
    re.I,
)
NOW = re.compile(r"\b(now\s*\(|current_timestamp|current_date|localtimestamp)", re.I)


@cache
def faults(statement: str) -> tuple[str, ...]:
    """What is wrong with a statement; nothing, as a rule."""
    bare = _bare(statement)
    if re.match(r"\s*(BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE)\b", bare, re.I):
        return ()
    found = [reason for pattern, reason in EVERYWHERE if pattern.search(bare)]
    if f"{SCHEMA}." in bare:
        found += _tenant(bare)
        found += _changes(bare)
        if re.search(r"\bpg_(try_)?advisory", bare, re.I):
            found.append("an advisory lock inside a query over a table is taken on a worker: alone, or a row lock")
    return tuple(found)


@cache
def names_tenant_table(statement: str) -> bool:
    """Whether the statement touches a table whose rows belong to tenants."""
    return any(table in TABLES for table, _ in references(_bare(statement)))


@cache
def writes(statement: str) -> bool:
    """Whether the statement changes rows of tenants."""
    bare = _bare(statement)
    return bool(re.search(r"\b(INSERT\s+INTO|UPDATE|DELETE\s+FROM)\s+(ONLY\s+)?" + SCHEMA + r"\.", bare, re.I))


def references(bare: str) -> Iterator[tuple[str, str]]:
    """(table, alias or "") of each table that a statement names."""
    for _, table, alias in REFERENCE.findall(bare):
        yield table, "" if NOT_AN_ALIAS.fullmatch(alias) else alias


def _tenant(bare: str) -> Iterator[str]:
    """Every table's rows are those of the tenant that the statement says, and one says it by a parameter."""
    scopes = [(scope, [one for one in references(scope) if one[0] in TABLES]) for scope in _scopes(bare)]
    for scope, named in scopes:
        for table, alias in named:
            inserted = re.search(rf"INSERT\s+INTO\s+{SCHEMA}\.\"?{table}\"?(\s+AS\s+\w+)?\s*\(([^)]*)\)", scope, re.I)
            if inserted and "tenant_id" in inserted[2]:
                continue
            if not any(re.search(form, scope, re.I) for form in _predicates(table, alias)):
                yield f"{SCHEMA}.{table} {alias} without tenant_id"
    if any(named for _, named in scopes) and not BOUND.search(bare):
        yield "no tenant_id = $n: on Citus it would ask every shard"


def _scopes(bare: str) -> Iterator[str]:
    """The statement and each query within it, without the queries within those: one in parentheses, or one side of a
    UNION. What one of them asks of an alias says nothing of the same alias in another."""
    inner = 0
    while opening := QUERY.search(bare, inner):
        end = _closing(bare, opening.end())
        yield from _scopes(bare[opening.end() : end])
        bare = f"{bare[: opening.end()]}{bare[end:]}"
        inner = opening.end()
    yield from SIDES.split(bare)


def _closing(bare: str, begin: int) -> int:
    """Where the parenthesis ends that was opened just before."""
    depth = 1
    for place in range(begin, len(bare)):
        depth += {"(": 1, ")": -1}.get(bare[place], 0)
        if depth == 0:
            return place
    return len(bare)


def _predicates(table: str, alias: str) -> tuple[str, ...]:
    """The forms that an equality of a table's tenant may have."""
    name = re.escape(alias) if alias else rf"(?:{SCHEMA}\.)?\"?{table}\"?"
    column = rf"\b{name}\.\"?tenant_id\"?"
    bare = () if alias else (r"(?<![\w.\"])\"?tenant_id\"?\s*(=|IN\b)", r"\(\s*tenant_id\s*,[^)]*\)\s*(=|IN\b)")
    return (
        rf"{column}\s*(=|IN\b)",
        rf"=\s*{column}",
        rf"\(\s*{column}\s*,[^)]*\)\s*(=|IN\b)",
        r"\bUSING\s*\(\s*tenant_id\b",
        *bare,
    )


def _changes(bare: str) -> Iterator[str]:
    """What Citus refuses in UPDATE, DELETE and ON CONFLICT DO UPDATE."""
    for change in re.findall(r"\bDO\s+UPDATE\s+SET\b(.*?)(?:\bWHERE\b|\bRETURNING\b|$)", bare, re.I | re.S):
        if NOW.search(change) or VOLATILE.search(change):
            yield "ON CONFLICT DO UPDATE SET takes only excluded.… and parameters"
    for change in re.findall(rf"\bUPDATE\s+(?:ONLY\s+)?{SCHEMA}\..*?\bSET\b(.*)", bare, re.I | re.S):
        assignments = re.split(r"\b(?:FROM|WHERE|RETURNING)\b", change, maxsplit=1, flags=re.I)[0]
        if VOLATILE.search(assignments) or STABLE_OVER_COLUMN.search(assignments):
            yield "UPDATE SET takes no volatile function, and no stable one over a column"
    for change in re.findall(rf"\bDELETE\s+FROM\s+{SCHEMA}\.(.*)", bare, re.I | re.S):
        if VOLATILE.search(change):
            yield "DELETE takes no volatile function"
    for target in re.findall(r"\bON\s+CONFLICT\s*\(([^)]*)\)", bare, re.I):
        if not target.strip().strip('"').startswith("tenant_id"):
            yield "ON CONFLICT (…) begins with tenant_id"


def _bare(statement: str) -> str:
    """The statement without its comments and texts."""
    return re.sub(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", " ", statement, flags=re.S)
