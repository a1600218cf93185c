"""A unique attribute costs an import a little, however many values there are."""

import time

import pytest

from tests.factories.people import Workspace
from tests.imports.steps import API, bring

pytestmark = pytest.mark.usefixtures("worker")

ROWS = 22_000
ENOUGH = 30.0


async def test_unique_values_are_compared_as_sets(workspace: Workspace) -> None:
    """Three chunks into a workspace that no statistics know; compared one by one they take minutes."""
    made = await workspace.admin.post(f"{API}/attributes", json={"name": "CCCD", "type": "text", "unique": True})
    assert made.status_code == 201
    rows = [["Họ tên", "SĐT", "CCCD"], *([f"Khách {n}", f"09{n:08d}", f"C{n:09d}"] for n in range(ROWS))]
    began = time.perf_counter()
    found = await bring(workspace.admin, rows)
    assert found["counts"]["created"] == ROWS
    again = await bring(workspace.admin, [rows[0], *([name + " Mới", *rest] for name, *rest in rows[1:])])
    assert (again["counts"]["updated"], again["counts"]["unchanged"]) == (ROWS, 0)
    assert time.perf_counter() - began < ENOUGH
