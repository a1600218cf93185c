"""What filters ask of the search door finds its index."""

import json
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from fastapi import FastAPI

from app.core.settings import Settings
from tests.factories.people import Person, Workspace, make_workspace
from tests.laws.guard import GUARD
from tests.laws.test_door import index_names

API = "/api/v1"
MANY = 20_000


@pytest.fixture(scope="module")
async def crowd(settings: Settings, app: FastAPI) -> AsyncIterator[Workspace]:
    """Twenty thousand customers, of whom the oldest few have what the filters ask for: a walk from the newest fails."""
    workspace = await make_workspace(settings, app)
    for path, body in (
        ("/attributes", {"name": "Hạng", "key": "hang", "type": "text"}),
        ("/attributes", {"name": "Điểm", "key": "diem", "type": "integer"}),
        *(("/groups", {"name": name, "description": "nhóm"}) for name in ("Nhóm", "Nhóm khác")),
        *(("/tags", {"name": name}) for name in ("Nhãn", "Nhãn khác")),
    ):
        assert (await workspace.admin.post(f"{API}{path}", json=body)).status_code == 201
    owner = await asyncpg.connect(settings.database_url)
    await owner.execute(
        """
        INSERT INTO crm.customer
            (tenant_id, id, code, name, phone, email, birthday, t1, n1, stars, group_nos, tag_nos, attributes, version,
             created_at, updated_at)
        SELECT $1, uuidv7(), 'X' || n, 'Nguoi ' || n, '+84' || (900000000 + n), 'nguoi' || n || '@example.com',
               CASE WHEN n > 19990 THEN date '1990-05-17' END, CASE WHEN n > 19990 THEN 'A' ELSE 'B' || n END, n,
               CASE WHEN n > 19990 THEN 5 ELSE 0 END, CASE WHEN n > 19990 THEN '{1}'::int[] ELSE '{2}' END,
               CASE WHEN n > 19990 THEN '{1}'::int[] ELSE '{2}' END, '{}', 1, now() - n * interval '1 minute', now()
        FROM generate_series(1, $2::int) n
        """,
        workspace.id,
        MANY,
    )
    await owner.execute(
        """
        INSERT INTO crm.customer_search (tenant_id, id, words, phone_tail)
        SELECT tenant_id, id, array_to_tsvector(ARRAY['nguoi', substr(name, 7), email]),
               reverse('0' || substr(phone, 4)) FROM crm.customer WHERE tenant_id = $1
        """,
        workspace.id,
    )
    for kind, of in (("group", "customer_group"), ("tag", "tag")):
        await owner.execute(
            f"""
            INSERT INTO crm.{kind}_member (tenant_id, {kind}_id, customer_id, added_at)
            SELECT $1, g.id, c.id, now() FROM crm.customer c JOIN crm.{of} g ON g.tenant_id = $1
            WHERE c.tenant_id = $1 AND c.{kind}_nos = ARRAY[g.no]
            """,
            workspace.id,
        )
    # What autovacuum does before long: until then the pending list of an index is its dearest part.
    await owner.execute("SELECT gin_clean_pending_list('crm.customer_search_words_ix')")
    await owner.execute("ANALYZE crm.customer, crm.customer_search, crm.group_member, crm.tag_member")
    yield workspace
    # Made behind the product's back, they have no history: the doctor would say so.
    for table in ("group_member", "tag_member", "customer_search", "customer"):
        await owner.execute(f"DELETE FROM crm.{table} WHERE tenant_id = $1", workspace.id)
    await owner.close()
    await workspace.aclose()


async def plans(workspace: Workspace, tree: Any, person: Person | None = None) -> list[set[str]]:
    """The indexes of each statement through the door, in the door's role; the administrator's unless named."""
    client = person.client if person else workspace.admin
    with GUARD.recording() as statements:
        reply = await client.post(f"{API}/customers/search", json={"filter": tree, "limit": 20})
    assert reply.status_code == 200, reply.text
    assert reply.json()["items"]
    async with workspace.resources.db.reading(workspace.id) as connection:
        await connection.execute("SET LOCAL enable_seqscan = off")
        await connection.execute("SET LOCAL ROLE crm_search")
        found = list[set[str]]()
        for statement, args, role in statements:
            # The worker's statements, on other connections, are about other workspaces.
            if role == "crm_search" and "crm.customer" in statement and workspace.id in args:
                plan = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {statement}", *args)
                found.append(set(index_names(json.loads(plan)[0]["Plan"])))
        await connection.execute("SET LOCAL ROLE NONE")
    return found


@pytest.mark.promise(9)
@pytest.mark.parametrize(
    ("leaf", "index"),
    [
        ({"field": "name", "op": "contains", "value": "19995"}, "customer_search_words_ix"),
        ({"field": "email", "op": "eq", "value": "nguoi19995@example.com"}, "customer_email_ix"),
        ({"field": "email", "op": "starts_with", "value": "nguoi1999"}, "customer_search_words_ix"),
        ({"field": "phone", "op": "ends_with", "value": "19995"}, "customer_search_phone_ix"),
        ({"field": "phone", "op": "eq", "value": "0900019995"}, "customer_phone_uq"),
        ({"field": "code", "op": "starts_with", "value": "x19995"}, "customer_code_uq"),
        ({"field": "groups", "op": "any_of", "value": ["Nhóm"]}, "group_member_pk"),
        ({"field": "tags", "op": "all_of", "value": ["Nhãn"]}, "tag_member_pk"),
        ({"field": "birthday", "op": "on_day", "value": "17/05"}, "customer_birthday_ix"),
        ({"field": "attributes.hang", "op": "in", "value": ["A", "Z"]}, "customer_t1_ix"),
        ({"field": "attributes.diem", "op": "between", "value": [19991, 19999]}, "customer_n1_ix"),
        ({"field": "stars", "op": "gte", "value": 4}, "customer_stars_ix"),
        ({"field": "created_at", "op": "lt", "value": "today-12"}, "customer_created_ix"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value['field']}-{value['op']}",
)
async def test_conditions_use_their_index(crowd: Workspace, leaf: dict[str, Any], index: str) -> None:
    found = await plans(crowd, leaf)
    assert "customer_created_ix" in found[0], "the newest are looked at first"
    assert index in found[-1], found


@pytest.mark.promise(9)
async def test_a_combination_keeps_its_indexes(crowd: Workspace) -> None:
    """Within AND beside a condition that has no index."""
    tree = {
        "and": [
            {"field": "groups", "op": "any_of", "value": ["Nhóm"]},
            {"field": "note", "op": "is_empty"},
            {"not": {"field": "tags", "op": "is_empty"}},
        ]
    }
    assert "group_member_pk" in (await plans(crowd, tree))[-1]


@pytest.mark.promise(9)
@pytest.mark.parametrize("tree", [None, {"field": "gender", "op": "is_empty"}], ids=["list", "filter"])
async def test_nobody_walks_through_others_customers(crowd: Workspace, settings: Settings, tree: Any) -> None:
    """A sale whose own lie behind everybody's, and a leader of a team of such: each way has its index."""
    sale = await crowd.person()
    leader = await crowd.person(permissions=["customers.view", "customers.view_team"])
    body = {"name": f"Nhóm {sale.username}", "members": [str(sale.id), str(leader.id)]}
    assert (await crowd.admin.post(f"{API}/teams", json=body)).status_code == 201
    owner = await asyncpg.connect(settings.database_url)
    await owner.execute(
        """
        UPDATE crm.customer SET owner_id = CASE WHEN n1 > 18000 THEN $2::uuid END, in_pool = n1 BETWEEN 17990 AND 18000,
               shared_with = CASE WHEN n1 BETWEEN 17970 AND 17980 THEN ARRAY[$2::uuid] ELSE '{}' END
        WHERE tenant_id = $1
        """,
        crowd.id, sale.id,
    )  # fmt: skip
    await owner.execute("ANALYZE crm.customer")
    await owner.close()
    for person in (sale, leader):
        for found in await plans(crowd, tree, person):
            assert {"customer_owner_ix", "customer_pool_ix", "customer_shared_ix"} <= found, person.username
            assert not {"customer_created_ix", "customer_name_ix"} & found, person.username
