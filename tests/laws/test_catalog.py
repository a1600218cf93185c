"""Promise 9: every table is walled, as the database itself tells it."""

from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from app.core.orm import SCHEMA, kind_of
from app.tables import metadata
from tests.laws.allowed import DEFINERS, DEFINERS_TAKE, DISPATCHED, NO_TENANT
from tests.laws.test_metadata import LONGEST

TABLES = {table.name: table for table in metadata.sorted_tables}
TENANT = {name for name, table in TABLES.items() if kind_of(table) == "tenant"}
SEARCHABLE = {name for name, table in TABLES.items() if table.info.get("searchable")}
APPEND_ONLY = {name for name, table in TABLES.items() if table.info.get("append_only")}
WALL = "(tenant_id = (current_setting('app.tenant_id'::text))::uuid)"

pytestmark = pytest.mark.promise(9)


async def column(owner: asyncpg.Connection, query: str, *args: Any) -> list[str]:
    """The first column of a query's rows, sorted."""
    return sorted(str(row[0]) for row in await owner.fetch(query, *args))


async def test_the_schema_holds_the_tables_of_the_models(owner: asyncpg.Connection) -> None:
    found = await column(
        owner,
        """SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'crm'::regnamespace AND c.relkind IN ('r', 'p')
           AND NOT c.relispartition""",
    )
    assert found == sorted(TABLES)


async def test_row_security_is_on_and_forced(owner: asyncpg.Connection) -> None:
    rows = await owner.fetch(
        """SELECT coalesce(parent.relname, c.relname) AS table, c.relname AS relation,
                  c.relrowsecurity AND c.relforcerowsecurity AS walled
           FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
           LEFT JOIN pg_class parent ON parent.oid = i.inhparent
           WHERE c.relnamespace = 'crm'::regnamespace AND c.relkind IN ('r', 'p')"""
    )
    walled = {row["relation"] for row in rows if row["walled"]}
    assert walled == {row["relation"] for row in rows if row["table"] in TENANT}


async def test_one_policy_text_walls_every_table(owner: asyncpg.Connection) -> None:
    rows = await owner.fetch("SELECT * FROM pg_policies WHERE schemaname = 'crm'")
    found = {}
    for row in rows:
        policy = (row["permissive"], row["roles"], row["cmd"], row["qual"], row["with_check"])
        found[row["tablename"], row["policyname"]] = policy
    wall: tuple[Any, ...] = ("PERMISSIVE", ["crm_app"], "ALL", WALL, WALL)
    expected: dict[tuple[str, str], tuple[Any, ...]] = {(table, "tenant_isolation"): wall for table in TENANT}
    for role, tables in (("crm_search", SEARCHABLE), ("crm_dispatch", set(DISPATCHED) & TENANT)):
        reads: tuple[Any, ...] = ("PERMISSIVE", [role], "SELECT", "true", None)
        expected |= {(table, f"{role}_reads"): reads for table in tables}
    assert found == expected


async def test_the_roles_have_no_power_beyond_their_grants(owner: asyncpg.Connection) -> None:
    rows = await owner.fetch("SELECT * FROM pg_roles WHERE rolname LIKE 'crm\\_%'")
    roles = {row["rolname"]: row for row in rows}
    assert set(roles) == {"crm_owner", "crm_app", "crm_search", "crm_dispatch"}
    for role in roles.values():
        powers = [role[power] for power in ("rolsuper", "rolcreaterole", "rolcreatedb", "rolreplication")]
        assert not any(powers), role["rolname"]
    assert [name for name, role in roles.items() if role["rolbypassrls"]] == ["crm_owner"]
    assert [name for name, role in roles.items() if role["rolcanlogin"]] == ["crm_app"]
    assert not await owner.fetch(
        """SELECT c.relname FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
           WHERE r.rolname IN ('crm_app', 'crm_search', 'crm_dispatch')"""
    )
    owners = await column(
        owner, "SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relnamespace = 'crm'::regnamespace"
    )
    assert owners == ["crm_owner"]


async def test_the_application_does_not_inherit_its_doors(owner: asyncpg.Connection) -> None:
    """A plain GRANT would make the doors' open policies apply to crm_app: the wall would be gone without a word."""
    rows = await owner.fetch(
        """SELECT roleid::regrole::text, member::regrole::text, inherit_option, set_option, admin_option
           FROM pg_auth_members WHERE member::regrole::text IN ('crm_app', 'crm_search', 'crm_dispatch')"""
    )
    assert {tuple(row.values()) for row in rows} == {
        ("crm_search", "crm_app", False, True, False),
        ("crm_dispatch", "crm_app", False, True, False),
    }


async def test_rights_are_what_the_kind_of_table_allows(owner: asyncpg.Connection) -> None:
    rows = await owner.fetch(
        """SELECT c.relname AS table, acl.grantee::regrole::text AS role, acl.privilege_type AS right
           FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) AS acl
           WHERE c.relnamespace = 'crm'::regnamespace AND acl.grantee <> c.relowner"""
    )
    found: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        found.setdefault((row["role"], row["table"]), set()).add(row["right"])
    expected: dict[tuple[str, str], set[str]] = {}
    for name, table in TABLES.items():
        rights = {"SELECT", "INSERT", "UPDATE", "DELETE"}
        if name in APPEND_ONLY:
            rights = {"SELECT", "INSERT"}
        if kind_of(table) == "reference":
            rights = {"SELECT"}
        expected["crm_app", name] = rights
        if name in SEARCHABLE:
            expected["crm_search", name] = {"SELECT"}
    for name in set(DISPATCHED) & set(NO_TENANT):
        expected["crm_dispatch", name] = {"SELECT"}
    staging = {name for name, table in TABLES.items() if kind_of(table) == "staging"}
    for name in staging:
        assert found.pop(("crm_app", name)) <= expected.pop(("crm_app", name))
    assert {pair: rights for pair, rights in found.items() if pair[0] != "-"} == expected
    assert not [pair for pair in found if pair[0] == "-"], "PUBLIC has rights"


async def test_doors_to_columns_are_only_to_read(owner: asyncpg.Connection) -> None:
    rows = await owner.fetch(
        """SELECT c.relname, acl.grantee::regrole::text, acl.privilege_type FROM pg_attribute a
           JOIN pg_class c ON c.oid = a.attrelid CROSS JOIN LATERAL aclexplode(a.attacl) AS acl
           WHERE c.relnamespace = 'crm'::regnamespace"""
    )
    for table, role, right in rows:
        assert right == "SELECT"
        assert (role == "crm_dispatch" and table in DISPATCHED) or (role == "crm_search" and table in SEARCHABLE)


async def test_nothing_that_citus_refuses(owner: asyncpg.Connection) -> None:
    assert not await column(
        owner,
        """SELECT t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
           WHERE c.relnamespace = 'crm'::regnamespace AND NOT t.tgisinternal""",
    ), "no triggers: they cannot be distributed"
    assert not await column(
        owner,
        """SELECT relname FROM pg_class
           WHERE relnamespace = 'crm'::regnamespace AND relkind NOT IN ('r', 'p', 'i', 'I', 't')""",
    ), "tables and indexes only: no sequence, view, matview or foreign table"
    assert not await column(
        owner,
        """SELECT c.relname || '.' || a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
           WHERE c.relnamespace = 'crm'::regnamespace AND a.attidentity <> ''""",
    ), "no identity columns"
    assert not await column(
        owner,
        """SELECT r.rulename FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
           WHERE c.relnamespace = 'crm'::regnamespace""",
    ), "no rules"


async def test_functions_that_run_as_their_owner_are_few_and_closed(owner: asyncpg.Connection) -> None:
    """The owner bypasses the wall."""
    rows = await owner.fetch(
        "SELECT proname, pronargs, prorettype::regtype::text AS returns, proconfig,"
        " has_function_privilege('public', oid, 'EXECUTE') AS open"
        " FROM pg_proc WHERE pronamespace = 'crm'::regnamespace AND prosecdef"
    )
    assert {row["proname"] for row in rows} == set(DEFINERS)
    for row in rows:
        assert (row["pronargs"], row["returns"]) == (DEFINERS_TAKE.get(row["proname"], 0), "void")
        assert "search_path=pg_catalog" in row["proconfig"]
        assert not row["open"], f"{row['proname']}: PUBLIC may call it"


async def test_keys_begin_with_the_tenant_in_the_catalog(owner: asyncpg.Connection) -> None:
    rows = await owner.fetch(
        """SELECT c.relname AS table, k.conname AS name, k.contype::text AS type, k.confdeltype::text AS on_delete,
                  k.confupdtype::text AS on_update, target.relname AS target,
                  mine.attname AS first, theirs.attname AS theirs
           FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
           JOIN pg_attribute mine ON mine.attrelid = k.conrelid AND mine.attnum = k.conkey[1]
           LEFT JOIN pg_class target ON target.oid = k.confrelid
           LEFT JOIN pg_attribute theirs ON theirs.attrelid = k.confrelid AND theirs.attnum = k.confkey[1]
           WHERE c.relnamespace = 'crm'::regnamespace AND k.contype <> 'n'"""
    )
    for row in rows:
        assert len(row["name"]) <= LONGEST, row["name"]
        if row["type"] in ("p", "u", "x") and row["table"] not in NO_TENANT:
            assert row["first"] == "tenant_id", row["name"]
        if row["type"] == "f":
            assert row["on_delete"] in ("a", "r", "c"), row["name"]
            assert row["on_update"] in ("a", "r"), row["name"]
            if row["target"] not in NO_TENANT:
                assert (row["first"], row["theirs"]) == ("tenant_id", "tenant_id"), row["name"]
    unique = await owner.fetch(
        """SELECT c.relname AS table, i.indexrelid::regclass::text AS name, a.attname AS first
           FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
           LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
           WHERE c.relnamespace = 'crm'::regnamespace AND i.indisunique"""
    )
    assert unique
    for row in unique:
        assert len(row["name"].removeprefix("crm.")) <= LONGEST, row["name"]
        assert row["first"] == "tenant_id" or row["table"] in NO_TENANT, row["name"]


async def test_tenant_ids_are_never_null(owner: asyncpg.Connection) -> None:
    found = await column(
        owner,
        """SELECT c.relname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
           WHERE c.relnamespace = 'crm'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
             AND a.attname = 'tenant_id' AND a.attnotnull AND a.atttypid = 'uuid'::regtype""",
    )
    assert found == sorted(set(TABLES) - set(NO_TENANT))


async def test_the_schema_stands_in_no_search_path(owner: asyncpg.Connection, app_role: asyncpg.Connection) -> None:
    assert SCHEMA not in await app_role.fetchval("SHOW search_path")
    assert not await owner.fetch("SELECT 1 FROM pg_db_role_setting WHERE setconfig::text LIKE '%search_path%'")


@pytest.mark.promise(30)
@pytest.mark.parametrize("table", sorted(APPEND_ONLY))
@pytest.mark.parametrize("statement", ["UPDATE {} SET tenant_id = tenant_id", "DELETE FROM {}", "TRUNCATE {}"])
async def test_history_cannot_be_changed(app_role: asyncpg.Connection, table: str, statement: str) -> None:
    await app_role.execute("SELECT crm.use_tenant($1)", uuid4())
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await app_role.execute(statement.format(f"{SCHEMA}.{table}"))


async def test_no_tenant_is_an_error_and_not_an_empty_answer(app_role: asyncpg.Connection) -> None:
    for name in sorted(TENANT):
        with pytest.raises((asyncpg.UndefinedObjectError, asyncpg.InvalidTextRepresentationError)):
            async with app_role.transaction():
                await app_role.fetch(f"SELECT 1 FROM {SCHEMA}.{name} WHERE tenant_id IS NOT NULL LIMIT 1")
