"""Taking back an import that contacts, points, duplicate keys and people's work hang on."""

from typing import Any

import pytest

from app.imports import undoing
from tests.contacts.test_contacts import contact, contacts, values
from tests.duplicates.conftest import a_phone, add, set_keys
from tests.factories.people import Workspace
from tests.imports.steps import API, bring, customers, ready, rows_of, run, table, undo
from tests.transactions.steps import post

pytestmark = pytest.mark.usefixtures("worker")
CONTACTS = ["Họ tên", "SĐT", "Kiểu khách hàng", "Người liên hệ", "SĐT người liên hệ"]
SEN = ["Công ty Sen", "02873001234", "công ty", "Mai", "0912345678"]


async def only(workspace: Workspace) -> dict[str, Any]:
    """The only customer of the lists."""
    [found] = (await customers(workspace)).values()
    return found


async def test_who_comes_back_from_the_trash_after_an_undo_is_whole(workspace: Workspace) -> None:
    """The doctor, who looks at the end of the suite, finds groups and numbers that agree."""
    await post(workspace.admin, "/tags", name="VIP")
    done = await bring(
        workspace.admin, [[*CONTACTS, "Nhãn"], [*SEN, "VIP"]], group={"name": "Đợt 1"}
    )  # fmt: skip
    sen = await only(workspace)
    assert await undo(workspace, done["id"]) == {"removed": 1, "restored": 0, "kept": 0}
    assert (await workspace.admin.post(f"{API}/customers/{sen['id']}/restore")).status_code == 200
    again = await only(workspace)
    moving = {"version", "updated_at"}
    assert {k: v for k, v in again.items() if k not in moving} == {k: v for k, v in sen.items() if k not in moving}
    [group] = (await workspace.admin.get(f"{API}/groups")).json()["items"]
    assert (group["name"], group["size"]) == ("Đợt 1", 1)
    [mai] = await contacts(workspace.admin, again)
    assert (mai["name"], values(mai["phones"])) == ("Mai", ["+84912345678"])


async def test_what_a_rule_did_in_consequence_is_undone_with_it(workspace: Workspace) -> None:
    await post(workspace.admin, "/groups", name="Hội thảo", description="x", points=12)
    rule = [{"metric": "score", "at_least": 10}]
    await post(workspace.admin, "/tiers", name="Vàng", automatic=True, conditions=rule)
    old = await add(workspace.admin, phone="0912345678", name="Cũ")
    done = await bring(
        workspace.admin,
        [["Họ tên", "SĐT", "Nhóm"], ["Cũ", "0912345678", "Hội thảo"], ["Mới", "0987654321", "Hội thảo"],
         ["Mới", "0987654322", ""]],
    )  # fmt: skip
    assert {one["phone"][-2:]: one["tier"] for one in (await customers(workspace)).values()} == {
        "78": "Vàng", "21": "Vàng", "22": None,
    }  # fmt: skip
    assert await undo(workspace, done["id"]) == {"removed": 2, "restored": 1, "kept": 0}
    left = await only(workspace)
    assert (left["id"], left["tier"], left["score"], left["groups"]) == (old["id"], None, 0, [])


@pytest.mark.parametrize("work", ["contact", "contract"])
async def test_whom_a_colleague_has_worked_on_is_kept(workspace: Workspace, work: str) -> None:
    lan = ["Công ty Súng", "02873009999", "công ty", "Lan", "0987654321"]
    done = await bring(workspace.admin, [CONTACTS, SEN, lan])
    sen = (await customers(workspace))["+842873001234"]
    if work == "contact":
        await contact(workspace.admin, sen, name="Kế toán trưởng", phones=[{"value": "0977000111"}])
    else:
        await post(workspace.admin, "/contracts", customer_id=sen["id"], number="1", value=400)
    assert await undo(workspace, done["id"]) == {"removed": 1, "restored": 0, "kept": 1}
    [kept] = await rows_of(workspace.admin, done["id"], "kept")
    assert (kept["row"], kept["errors"][0]["code"]) == (2, "changed_since")
    assert (await only(workspace))["id"] == sen["id"]
    # Kept as it is.
    names = [one["name"] for one in await contacts(workspace.admin, sen)]
    assert names == (["Mai", "Kế toán trưởng"] if work == "contact" else ["Mai"])


async def test_an_import_of_contacts_alone_can_be_undone(workspace: Workspace) -> None:
    await bring(workspace.admin, [CONTACTS[:3], SEN[:3], ["Công ty Súng", "02873009999", "công ty"]])
    before = await customers(workspace)
    lan = ["", "", "", "Lan", "0987654321"]
    done = await bring(workspace.admin, [CONTACTS, SEN, lan, ["Công ty Súng", "02873009999", "công ty", "", ""]])
    assert (done["counts"]["updated"], done["counts"]["unchanged"]) == (3, 1)
    told = [(row["row"], row["status"], row["unchanged"]) for row in await rows_of(workspace.admin, done["id"])]
    assert told == [(2, "updated", False), (3, "updated", False), (4, "updated", True)]
    assert await customers(workspace) == before
    sen = before["+842873001234"]
    assert len(await contacts(workspace.admin, sen)) == 2
    assert await undo(workspace, done["id"]) == {"removed": 0, "restored": 0, "kept": 0}
    assert await contacts(workspace.admin, sen) == []
    assert await rows_of(workspace.admin, done["id"], "kept") == []
    # Whoever has them already gets nothing, and there is nothing to undo.
    await run(workspace.admin, done["id"])
    again = await bring(workspace.admin, [CONTACTS, SEN, lan])
    assert again["counts"]["unchanged"] == 2
    assert (await workspace.admin.post(f"{API}/imports/{again['id']}/undo")).status_code == 409


@pytest.mark.parametrize("step", [10_000, 3])
async def test_two_rows_that_change_one_customer_are_undone_one_after_the_other(
    workspace: Workspace, small_chunks: None, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """By its e-mail address first, and chunks later by its phone."""
    monkeypatch.setattr(undoing, "STEP", step)
    await set_keys(workspace, {"fields": ["email"]})
    old = await add(workspace.admin, name="Cũ", email="cu@example.com", phone="0912345678")
    more = [[f"Khách {n}", a_phone(), ""] for n in range(12)]
    rows = [["Hai", a_phone(), "cu@example.com"], *more, ["Ba", "0912345678", ""]]
    done = await bring(workspace.admin, [["Họ tên", "SĐT", "Email"], *rows])
    assert (done["counts"]["created"], done["counts"]["updated"]) == (12, 2)
    assert (await customers(workspace))["+84912345678"]["name"] == "Ba"
    counts = await undo(workspace, done["id"])
    assert (counts["removed"], counts["kept"]) == (12, 0)
    left = await only(workspace)
    assert (left["id"], left["name"]) == (old["id"], "Cũ")
    found = (await workspace.admin.get(f"{API}/customers", params={"q": "cu@example.com"})).json()["items"]
    assert [one["id"] for one in found] == [old["id"]]


async def test_an_import_that_begins_again_after_its_undo_brings_everything_again(workspace: Workspace) -> None:
    found = await ready(workspace.admin, table([CONTACTS, SEN]))
    for _ in range(2):
        done = await run(workspace.admin, found["id"], group={"name": "Đợt 1"})
        assert done["counts"]["created"] == 1
        sen = await only(workspace)
        assert [one["name"] for one in await contacts(workspace.admin, sen)] == ["Mai"]
        await undo(workspace, found["id"])
        assert await customers(workspace) == {}
