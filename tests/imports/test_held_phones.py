"""A phone that a contact has is not given to another customer by an import either."""

from typing import Any

import pytest

from tests.contacts.test_contacts import company, contact
from tests.customers.test_customers import PATH, add
from tests.factories.people import Workspace
from tests.imports.steps import HEADERS, bring, customers, rows_of
from tests.imports.test_rights import IMPORTER

pytestmark = pytest.mark.usefixtures("worker")
KIND = [*HEADERS, "Kiểu khách hàng"]


async def held(workspace: Workspace, number: str = "0912345678") -> dict[str, Any]:
    """A company whose contact has the phone."""
    account = await company(workspace)
    await contact(workspace.admin, account, name="Mai", phones=[{"value": number}])
    return account


@pytest.mark.feature("D004")
@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize(("mode", "status"), [("update", "failed"), ("skip", "skipped")])
async def test_a_new_customer_does_not_get_a_contacts_phone(
    workspace: Workspace, mode: str, status: str, dry_run: bool
) -> None:
    await held(workspace)
    rows = [["Mới", "0912345678", ""], ["Khác", "0912345679", ""]]
    made = await bring(workspace.admin, [HEADERS, *rows], on_duplicate=mode, dry_run=dry_run)
    found = await rows_of(workspace.admin, made["id"])
    assert [row["status"] for row in found] == [status, "created"]
    owner = (await workspace.admin.get("/api/v1/me")).json()["full_name"]
    [told] = found[0]["errors"]
    assert (told["field"], told["code"], told["value"]) == ("phone", "phone_in_contact", "0912345678")
    assert told["message"] == (
        f"Số điện thoại 0912345678 đã tồn tại trong liên hệ của khách hàng Công ty Hoa Sen/ chủ sở hữu {owner}"
    )
    assert "+84912345678" not in await customers(workspace)


@pytest.mark.feature("D004", "E002")
async def test_a_lead_may_have_it_until_it_is_no_lead_any_more(workspace: Workspace) -> None:
    await held(workspace)
    lead = await add(workspace.admin, kind="lead", name="L", phone="0977000111")
    await workspace.admin.post(f"{PATH}/{lead['id']}/phones", json={"value": "0912345678"})
    rows = [["L2", "0912345678", "", "lead"], ["L3", "0977000111", "", ""]]
    made = await bring(workspace.admin, [KIND, *rows])
    assert [row["status"] for row in await rows_of(workspace.admin, made["id"])] == ["created", "updated"]
    for phone in ("0912345678", "0977000111"):
        made = await bring(workspace.admin, [KIND, ["L4", phone, "", "individual"]])
        [row] = await rows_of(workspace.admin, made["id"])
        assert (row["status"], row["errors"][0]["code"]) == ("failed", "phone_in_contact")
    assert {one["kind"] for one in (await customers(workspace)).values()} == {"lead", "company"}


async def test_who_may_not_know_whose_it_is_is_not_told(workspace: Workspace) -> None:
    await held(workspace)
    person = await workspace.person(permissions=[*IMPORTER, "customers.edit"])
    made = await bring(person.client, [HEADERS, ["Mới", "0912345678", ""]])
    [row] = await rows_of(person.client, made["id"])
    assert (row["status"], row["errors"][0]["code"]) == ("failed", "phone_taken")
    assert "Hoa Sen" not in row["errors"][0]["message"]


async def test_a_contact_of_the_same_file_has_its_phone_first(workspace: Workspace) -> None:
    header = [*HEADERS, "Người liên hệ", "SĐT người liên hệ", "Kiểu khách hàng"]
    rows = [["Công ty", "0912345670", "", "Mai", "0912345678", "company"]]
    await bring(workspace.admin, [header, *rows])
    made = await bring(workspace.admin, [header, *rows, ["Mai", "0912345678", "", "", "", ""]])
    assert [row["status"] for row in await rows_of(workspace.admin, made["id"])] == ["updated", "failed"]
