"""Looking up customers of all owners, for whoever answers a call."""

import pytest

from tests.contacts.test_contacts import company, contact
from tests.customers.test_customers import PATH, add
from tests.factories.people import Workspace

LOOKUP = f"{PATH}/lookup"


@pytest.mark.feature("D034", "D004")
async def test_a_call_is_recognised_whoever_owns_the_customer(workspace: Workspace) -> None:
    owner = await workspace.person("sale", full_name="Nguyễn Thị Lan")
    customer = await company(
        workspace, owner=owner.username, registered_address="1 Lê Lợi", office_address="2 Nguyễn Huệ"
    )
    await contact(workspace.admin, customer, name="Mai", phones=[{"value": "0912345678"}])
    sale = await workspace.person("sale")
    found = (await sale.client.get(LOOKUP, params={"q": "02873001234"})).json()
    known = {
        "id": None, "code": customer["code"], "name": "Công ty Hoa Sen", "kind": "company", "owner": "Nguyễn Thị Lan",
        "registered_address": "1 Lê Lợi", "office_address": "2 Nguyễn Huệ", "phone": None, "contact": None,
        "message": None,
    }  # fmt: skip
    assert found == {"items": [known], "more": False, "add": None}
    through = (await sale.client.get(LOOKUP, params={"q": "0912 345 678"})).json()["items"]
    words = (
        "Số điện thoại 0912345678 đã tồn tại trong liên hệ của khách hàng Công ty Hoa Sen/ chủ sở hữu Nguyễn Thị Lan"
    )
    assert through == [known | {"contact": "Mai", "message": words}]
    # By its last digits too, which give neither the number nor the contact away.
    for q in (customer["code"], "hoa sen", "678", "5678"):
        assert (await sale.client.get(LOOKUP, params={"q": q})).json()["items"] == [known], q
    [told] = (await owner.client.get(LOOKUP, params={"q": "5678"})).json()["items"]
    assert (told["contact"], told["message"]) == ("Mai", words)
    [mine] = (await owner.client.get(LOOKUP, params={"q": "0912345678"})).json()["items"]
    assert (mine["id"], mine["phone"]) == (customer["id"], "+842873001234")


@pytest.mark.feature("D034")
async def test_who_is_unknown_can_be_added(workspace: Workspace) -> None:
    sale = await workspace.person("sale")
    found = (await sale.client.get(LOOKUP, params={"q": "0912.345.678"})).json()
    assert found == {"items": [], "more": False, "add": {"name": None, "phone": "+84912345678"}}
    named = (await sale.client.get(LOOKUP, params={"q": "Nguyễn Văn Lạ"})).json()
    assert named["add"] == {"name": "Nguyễn Văn Lạ", "phone": None}
    made = await add(sale.client, phone=found["add"]["phone"])
    assert (await sale.client.get(LOOKUP, params={"q": "0912345678"})).json()["items"][0]["id"] == made["id"]
    viewer = await workspace.person("sale", permissions=["customers.view", "customers.lookup"])
    assert (await viewer.client.get(LOOKUP, params={"q": "0999888777"})).json()["add"] is None
    assert (await viewer.client.get(LOOKUP, params={"q": " "})).json() == {"items": [], "more": False, "add": None}
    blind = await workspace.person("sale", permissions=["customers.view"])
    assert (await blind.client.get(LOOKUP, params={"q": "0912345678"})).status_code == 403


async def test_the_trash_and_other_workspaces_are_not_looked_up(workspace: Workspace, new_workspace) -> None:  # type: ignore[no-untyped-def]
    other = await new_workspace()
    await add(other.admin)
    gone = await add(workspace.admin)
    await workspace.admin.delete(f"{PATH}/{gone['id']}", headers={"If-Match": '"1"'})
    assert (await workspace.admin.get(LOOKUP, params={"q": "0912345678"})).json()["items"] == []
    await other.aclose()


async def test_it_stops_at_twenty(workspace: Workspace) -> None:
    for n in range(21):
        await add(workspace.admin, phone=f"09120000{n:02d}", name="Nguyễn Văn Nhiều")
    found = (await workspace.admin.get(LOOKUP, params={"q": "nhieu"})).json()
    assert (len(found["items"]), found["more"]) == (20, True)
