"""What a file decides does not depend on where its chunks end, nor on which of them is quicker."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from app.imports import merge as merging
from app.imports import running
from tests.contacts.test_contacts import contacts, values
from tests.duplicates.conftest import a_phone, add, set_keys
from tests.factories.people import Workspace
from tests.imports.steps import bring, customers, people, rows_of, undo

pytestmark = pytest.mark.usefixtures("worker")
HEADER = ["Họ tên", "SĐT"]
WITH_EMAIL = [*HEADER, "Email"]
WITH_CONTACT = [*HEADER, "Kiểu khách hàng", "Người liên hệ", "SĐT người liên hệ"]


@pytest.fixture
def slow_middle(monkeypatch: pytest.MonkeyPatch, small_chunks: None) -> None:
    """The chunk of rows 4 to 6 is held until that of rows 7 to 9 is written, or for a second."""
    merge, third = merging.merge, asyncio.Event()

    async def held(session: Any, terms: Any, batch: Any, copy: bytes, **options: Any) -> Any:
        if batch.low == 4:
            with suppress(TimeoutError):
                await asyncio.wait_for(third.wait(), 1)
                # Until its transaction is committed.
                await asyncio.sleep(0.3)
        counts = await merge(session, terms, batch, copy, **options)
        if batch.low == 7:
            third.set()
        return counts

    monkeypatch.setattr(running, "merge", held)


@pytest.mark.usefixtures("slow_middle")
async def test_the_last_row_of_a_phone_wins_over_three_chunks(workspace: Workspace) -> None:
    await bring(workspace.admin, [HEADER, ["Một", "0912345678"]])
    others = people(5)[1:]
    rows = [["Một", "0912345678"], others[0][:2], ["Hai", "0912345678"], others[1][:2], others[2][:2],
            ["Ba", "0912345678"], others[3][:2]]  # fmt: skip
    done = await bring(workspace.admin, [HEADER, *rows])
    assert done["counts"]["updated"] == 3
    assert (await customers(workspace))["+84912345678"]["name"] == "Ba"
    assert await undo(workspace, done["id"]) == {"removed": 4, "restored": 1, "kept": 0}
    assert {phone: one["name"] for phone, one in (await customers(workspace)).items()} == {"+84912345678": "Một"}


@pytest.mark.usefixtures("slow_middle")
async def test_who_goes_on_after_three_chunks_waits_too(workspace: Workspace) -> None:
    """Contacts of one customer, held back in the middle."""
    rows = [["Sen", "02873001234", "công ty", "", ""], *(["", "", "", f"Người {n}", ""] for n in range(7))]
    await bring(workspace.admin, [WITH_CONTACT, *rows])
    [sen] = (await customers(workspace)).values()
    assert [one["name"] for one in await contacts(workspace.admin, sen)] == [f"Người {n}" for n in range(7)]


@pytest.mark.feature("D036")
@pytest.mark.parametrize("policy", ["update", "skip", "reject"])
@pytest.mark.parametrize("dry_run", [False, True])
async def test_duplicate_keys_decide_over_chunks_as_within_one(
    workspace: Workspace, request: pytest.FixtureRequest, policy: str, dry_run: bool
) -> None:
    """The last rows hold values of customers who were there, so that a dry run can know them too."""
    await set_keys(workspace, {"fields": ["email"]})
    told = []
    for number in range(2):
        if number:
            request.getfixturevalue("small_chunks")
        await add(workspace.admin, name="Cũ", email=f"cu{number}@example.com")
        rows = [WITH_EMAIL, *([f"Khách {number} {n}", a_phone(), f"k{number}{n % 4}@example.com"] for n in range(4))]
        if not dry_run:
            rows += [[f"Lại {number} {n}", a_phone(), f"k{number}{n % 4}@example.com"] for n in range(4)]
        rows += [[f"Cũ {n}", a_phone(), f"cu{number}@example.com"] for n in range(5)]
        done = await bring(workspace.admin, rows, on_duplicate=policy, dry_run=dry_run)
        told.append([row["status"] for row in await rows_of(workspace.admin, done["id"])])
    refused = "skipped" if policy == "skip" else "failed"
    again = [] if dry_run else [refused] * 4
    assert told[0] == ["created"] * 4 + again + ["updated" if policy == "update" else refused] + [refused] * 4
    assert told[1] == told[0]


async def test_one_phone_is_the_contact_of_one_customer_of_a_file(workspace: Workspace) -> None:
    rows = [
        WITH_CONTACT,
        ["Nháp", "02873001230", "lead", "Nháp", "0912345678"],
        ["Sen", "02873001231", "công ty", "Mai", "0912345678"],
        ["Súng", "02873001232", "công ty", "Mai", "0912345678"],
        ["Súng", "02873001232", "công ty", "Lan", "0987654321"],
        ["Đào", "02873001233", "công ty", "Đào", "0977000111"],
        ["", "", "", "Nữa", "0987654321"],
    ]  # fmt: skip
    done = await bring(workspace.admin, rows)
    told = {row["row"]: [one["code"] for one in row["errors"]] for row in await rows_of(workspace.admin, done["id"])}
    assert told == {2: [], 3: [], 4: ["phone_taken"], 5: [], 6: [], 7: ["phone_taken"]}
    found = {}
    for one in (await customers(workspace)).values():
        found[one["name"]] = [values(each["phones"]) for each in await contacts(workspace.admin, one)]
    mai, lan, dao = ["+84912345678"], ["+84987654321"], ["+84977000111"]
    # A lead is its own contact, and stands outside.
    assert found == {"Nháp": [["+842873001230"], mai], "Sen": [mai], "Súng": [lan], "Đào": [dao]}


@pytest.mark.usefixtures("slow_middle")
async def test_one_phone_is_the_contact_of_one_customer_over_chunks(workspace: Workspace) -> None:
    rows = [[f"Công ty {n}", f"0287300123{n}", "công ty", "Mai", "0912345678" if n in (2, 5) else ""] for n in range(7)]
    done = await bring(workspace.admin, [WITH_CONTACT, *rows])
    told = {row["row"]: [one["code"] for one in row["errors"]] for row in await rows_of(workspace.admin, done["id"])}
    assert told == {row: ["phone_taken"] if row == 7 else [] for row in range(2, 9)}
