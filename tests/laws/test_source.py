"""Laws that a look at the source can prove: single doors, no commits in services, nothing that Citus refuses."""

import re

import pytest

from tests.laws.allowed import CONNECTIONS, ROLE_CHANGES
from tests.laws.source import called, calls, modules, texts

PRODUCT = ("app", "workers")
ROLE = re.compile(r"\bSET\s+(?:LOCAL\s+|SESSION\s+)?ROLE\s+\"?(\w+|\{\})", re.I)
DATABASE = re.compile(r"(session|connection|transaction|raw|engine|db)\b")
OPENERS = {"create_async_engine", "create_engine", "create_pool"}


def test_each_role_is_taken_in_one_place() -> None:
    found = {
        (path, role)
        for path, tree in modules(*PRODUCT, "migrations")
        for text in texts(tree)
        for role in ROLE.findall(text)
    }
    assert found == set(ROLE_CHANGES)


@pytest.mark.promise(7)
def test_the_tenant_is_named_in_one_place() -> None:
    found = {path for path, tree in modules(*PRODUCT) for text in texts(tree) if "use_tenant" in text}
    assert found == {"app/core/db.py"}
    for path, tree in modules(*PRODUCT):
        for text in texts(tree):
            assert not re.search(r"\bSET\s+(LOCAL\s+|SESSION\s+)?\"?app\.", text, re.I), path


def test_only_the_boundary_ends_a_transaction() -> None:
    for path, tree in modules(*PRODUCT):
        if path.startswith("app/core/"):
            continue
        for receiver, method in calls(tree):
            if method in ("commit", "rollback", "begin") and DATABASE.search(receiver):
                raise AssertionError(f"{path}: {receiver}.{method}() -- only the boundary ends a transaction")


def test_connections_come_from_the_pool() -> None:
    found = {
        path
        for path, tree in modules(*PRODUCT, "migrations")
        if called(tree) & OPENERS or ("asyncpg", "connect") in set(calls(tree))
    }
    assert found <= set(CONNECTIONS), f"{sorted(found - set(CONNECTIONS))}: use resources.db"


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        (r"\bset_config\s*\(", "under Citus it reaches no worker, and every table looks empty"),
        (r"\bMERGE\s+INTO\b", "Citus refuses it; use INSERT … ON CONFLICT"),
        (r"\bCREATE\s+(OR\s+REPLACE\s+)?(TRIGGER|RULE|SEQUENCE|MATERIALIZED)\b", "not over tenant tables"),
        (r"\bLISTEN\s|\bNOTIFY\s", "a bell only, and ours rings through Valkey"),
        (r"\bOFFSET\s+(\$|:|\{|\d)", "pages are keyset"),
        (r"\bpg_advisory_lock\b", "a session's lock outlives its transaction in the pool; use the xact form"),
    ],
)
def test_no_statement_that_breaks_the_house(pattern: str, reason: str) -> None:
    found = re.compile(pattern)
    for path, tree in modules(*PRODUCT, "migrations/versions"):
        for text in texts(tree):
            assert not found.search(re.sub(r"--.*", "", text)), f"{path}: {reason}"
