"""A filter's answer is what a naive evaluator says, over random trees and data; and no tree breaks anything."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.actor import Actor
from app.core.clock import VIETNAM, today
from app.core.errors import Invalid
from app.core.masking import REVEAL
from app.customers.filterable import CustomerFields, conditions
from app.filters.nodes import Branch, Fact, Node
from app.filters.search import Sql
from app.filters.tree import describe, fields_of, parse
from tests.filters import trees
from tests.filters.naive import KINDS, holds, reversed_in, rows_in
from tests.filters.world import API, DAYS, Row, World

EXAMPLES = 400
MANY = settings(
    max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True
)


# A day ahead of Vietnam's, one behind, and one whose days do not begin at the full hour in UTC.
ZONES = [VIETNAM, ZoneInfo("Pacific/Auckland"), ZoneInfo("America/New_York"), ZoneInfo("Asia/Kolkata")]


async def found(world: World, tree: Any, today: date, zone: ZoneInfo, *, one_by_one: bool = False) -> set[UUID]:
    """Whom the compiled tree finds, read as the search door reads."""
    actor = Actor(
        world.workspace.id, "user", world.workspace.administrator.id, "x", frozenset({"contracts.view", REVEAL})
    )
    fields = CustomerFields(replace(world.registry, zone=zone), actor, today)
    sql = Sql(world.workspace.id)
    where, tested = conditions(sql, fields, parse(tree), one_by_one=one_by_one)
    predicate = " AND ".join(f"({one})" for one in (*where, *tested))
    async with world.workspace.resources.db.reading(world.workspace.id) as connection:
        rows = await connection.fetch(
            f"SELECT c.id FROM crm.customer c WHERE c.tenant_id = $1 AND {predicate}", *sql.args
        )
    check_sentence(describe(parse(tree), fields), parse(tree), fields)
    return {row[0] for row in rows}


def check_sentence(said: str, node: Node, fields: CustomerFields) -> None:
    """It names every field and fact of the tree, and says nothing as only a program would."""
    labels = {field.vi.lower() for key in fields_of(node) if (field := fields.get(key)) is not None}
    labels |= {fields.related[fact].vi.lower() for fact in facts_of(node)}
    assert all(label in said.lower() for label in labels), (said, labels)
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}-|this_|last_|today|yesterday|None|[\[{]", said), said


def facts_of(node: Node) -> set[str]:
    """The related facts that a tree names."""
    if isinstance(node, Fact):
        return {node.related}
    return set[str]().union(*map(facts_of, node.nodes)) if isinstance(node, Branch) else set()


async def agrees(world: World, tree: Any, today: date, zone: ZoneInfo = VIETNAM) -> None:
    """The compiled tree finds whom the naive evaluator finds, and is refused where it must be."""
    if reversed_in(tree, today):
        with pytest.raises(Invalid) as refused:
            await found(world, tree, today, zone)
        assert {error.code for error in refused.value.errors} == {"range_reversed"}
        return
    wanted = {row.id for row in rows_in(world.rows, zone) if holds(tree, row, today)}
    for one_by_one in (False, True):
        answer = await found(world, tree, today, zone, one_by_one=one_by_one)
        assert answer == wanted, f"{zone}: {explain(world, tree, answer, wanted)}"


def in_this_loop(call: Callable[[Any], Awaitable[None]]) -> Callable[[Any], None]:
    """A coroutine as Hypothesis, which runs in a thread of its own, can call it."""
    loop = asyncio.get_running_loop()

    def run(example: Any) -> None:
        asyncio.run_coroutine_threadsafe(_awaited(call, example), loop).result()

    return run


async def _awaited(call: Callable[[Any], Awaitable[None]], example: Any) -> None:
    await call(example)


@pytest.mark.feature("D001", "D002", "D005", "D006", "D007", "D008")
@pytest.mark.timeout(300)
async def test_the_compiled_filter_means_what_the_naive_evaluator_says(world: World) -> None:
    async def check(example: tuple[Any, date, ZoneInfo]) -> None:
        await agrees(world, *example)

    strategy = st.tuples(trees.TREES, st.sampled_from(DAYS), st.sampled_from(ZONES))
    await asyncio.to_thread(MANY(given(strategy)(in_this_loop(check))))


@pytest.mark.long
@pytest.mark.timeout(7200)
async def test_the_compiled_filter_means_the_same_for_other_trees(world: World) -> None:
    """Trees that are others each time."""

    async def check(example: tuple[Any, date, ZoneInfo]) -> None:
        await agrees(world, *example)

    many = settings(MANY, derandomize=False, max_examples=20_000, print_blob=True)
    strategy = st.tuples(trees.TREES, st.sampled_from(DAYS), st.sampled_from(ZONES))
    await asyncio.to_thread(many(given(strategy)(in_this_loop(check))))


@pytest.mark.timeout(300)
async def test_pages_of_a_search_are_what_the_naive_evaluator_says(world: World) -> None:
    """Over HTTP: page after page, each customer once and in order, as many as were counted."""

    async def check(tree: Any) -> None:
        day = today()
        reply = await world.workspace.admin.post(f"{API}/customers/search", json=page_of(tree))
        if reversed_in(tree, day):
            assert reply.status_code == 422
            return
        ids = {row.id for row in rows_in(world.rows, VIETNAM) if holds(tree, row, day)}
        wanted = sorted((row for row in world.rows if row.id in ids), key=newest, reverse=True)
        answer = list[str]()
        while True:
            assert reply.status_code == 200, reply.text
            page = reply.json()
            assert page["count"] == len(wanted), tree
            answer += [one["id"] for one in page["items"]]
            if page["next_cursor"] is None:
                break
            reply = await world.workspace.admin.post(
                f"{API}/customers/search", json=page_of(tree) | {"cursor": page["next_cursor"]}
            )
        assert answer == [str(row.id) for row in wanted], tree

    await asyncio.to_thread(settings(MANY, max_examples=50)(given(trees.TREES)(in_this_loop(check))))


def page_of(tree: Any) -> dict[str, Any]:
    """A question for a short page."""
    return {"filter": tree, "limit": 7, "count": "exact", "fields": ["name"]}


def newest(row: Row) -> tuple[Any, UUID]:
    """The order of a search that asks for none."""
    return row.values["created_at"], row.id


@pytest.mark.parametrize("field", sorted(KINDS))
async def test_every_operator_of_every_field_means_the_same(world: World, field: str) -> None:
    """Single conditions: each kind is reached for certain."""

    async def check(example: tuple[Any, ZoneInfo]) -> None:
        await agrees(world, example[0], DAYS[0], example[1])

    strategy = st.tuples(trees.question(field, KINDS[field]), st.sampled_from(ZONES))
    await asyncio.to_thread(settings(MANY, max_examples=60)(given(strategy)(in_this_loop(check))))


@pytest.mark.promise(10)
@pytest.mark.timeout(300)
async def test_no_tree_breaks_anything(world: World) -> None:
    """Whatever is sent as a tree, the answer is 200, or 422 with the path of a wrong node."""

    async def check(tree: Any) -> None:
        try:
            body = json.dumps({"filter": tree})
            body.encode()
        except (UnicodeError, ValueError):
            return
        for path in ("/customers/search", "/filters/validate"):
            reply = await world.workspace.admin.post(
                f"{API}{path}", content=body, headers={"Content-Type": "application/json"}
            )
            assert reply.status_code in (200, 422), f"{tree}: {reply.text}"
            if reply.status_code == 422 and reply.json()["code"] == "invalid":
                paths = [error["field"] for error in reply.json()["errors"]]
                assert paths
                assert all(path.startswith(("filter", "body")) for path in paths), paths

    await asyncio.to_thread(MANY(given(trees.WRONG)(in_this_loop(check))))


def explain(world: World, tree: Any, answer: set[UUID], wanted: set[UUID]) -> str:
    """One customer on whom the two disagree."""
    wrong = next(iter(answer ^ wanted))
    row = next(row for row in world.rows if row.id == wrong)
    side = "found wrongly" if wrong in answer else "missed"
    return f"{json.dumps(tree, ensure_ascii=False)}: {side}: {row.values} {row.contracts}"
