"""Tags, tiers and scores through an import and its undo."""

from typing import Any

import pytest
from sqlalchemy import func, select

from app.customers.models import Customer, TagMember
from tests.customers.test_customers import add
from tests.customers.test_scoring import scores
from tests.factories.people import Workspace
from tests.imports.steps import bring, customers, rows_of, undo
from tests.transactions.steps import post

pytestmark = pytest.mark.usefixtures("worker")
HEADERS = ["Họ tên", "SĐT", "Nhãn", "Hạng khách hàng", "Nhóm"]


def facts(customer: dict[str, Any]) -> tuple[list[str], str | None, bool, int]:
    """What the import gives: tags, the tier, whether it is fixed, and the score."""
    return [one["name"] for one in customer["tags"]], customer["tier"], customer["tier_fixed"], customer["score"]


async def test_an_import_gives_tags_tiers_and_points_and_its_undo_takes_them_back(workspace: Workspace) -> None:
    for name in ("VIP", "Lạnh", "Cũ"):
        await post(workspace.admin, "/tags", name=name)
    for name in ("Bạc", "Vàng"):
        await post(workspace.admin, "/tiers", name=name)
    await post(workspace.admin, "/groups", name="Hội thảo", description="x", points=12)
    await add(workspace.admin, phone="0912345678", tags=["Cũ", "VIP"])
    await add(workspace.admin, phone="0912345679", tier="Bạc")
    before = await customers(workspace)
    done = await bring(
        workspace.admin,
        [
            HEADERS,
            ["Hoa", "0912345678", "VIP, Lạnh", "vang", "Hội thảo"],
            ["Lan", "0912345679", "", "", ""],
            ["Nam", "0912345670", "lanh", "", "Hội thảo"],
            ["Nam", "0912345670", "VIP", "Bạc", ""],
            ["Tèo", "0912345671", "Không có", "", ""],
        ],
    )
    assert (done["counts"]["created"], done["counts"]["updated"], done["counts"]["failed"]) == (1, 3, 1)
    after = await customers(workspace)
    assert facts(after["+84912345678"]) == (["Cũ", "Lạnh", "VIP"], "Vàng", True, 12)
    assert facts(after["+84912345679"]) == ([], "Bạc", True, 0)
    assert facts(after["+84912345670"]) == (["Lạnh", "VIP"], "Bạc", True, 12)
    [refused] = await rows_of(workspace.admin, done["id"], "failed")
    assert [(one["field"], one["code"]) for one in refused["errors"]] == [("tags", "choice_unknown")]
    await scores(workspace)
    events = f"/api/v1/customers/{after['+84912345678']['id']}/events"
    changes = (await workspace.admin.get(events)).json()["items"][0]["changes"]
    assert changes["tags"] == [["VIP", "Cũ"], ["VIP", "Lạnh", "Cũ"]]
    assert changes["tier"] == [None, "Vàng"]

    assert await undo(workspace, done["id"]) == {"removed": 1, "restored": 2, "kept": 0}
    restored = await customers(workspace)
    assert {phone: facts(one) for phone, one in restored.items()} == {
        phone: facts(one) for phone, one in before.items()
    }
    await scores(workspace)
    async with workspace.resources.db.transaction(workspace.id) as session:
        living = select(Customer.id).where(Customer.tenant_id == workspace.id, Customer.deleted_at.is_(None))
        members = select(func.count()).where(TagMember.tenant_id == workspace.id, TagMember.customer_id.in_(living))
        assert await session.scalar(members) == 2
