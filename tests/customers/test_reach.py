"""What a caller may write but not see afterwards, and what an API key sees."""

import pytest

from tests.customers.test_customers import PATH, add
from tests.factories.people import Workspace


async def test_a_sale_hands_a_customer_over(workspace: Workspace) -> None:
    sale, colleague = await workspace.person("sale"), await workspace.person("sale")
    own = await add(sale.client)
    given = {"owner": colleague.username}
    reply = await sale.client.patch(f"{PATH}/{own['id']}", json=given, headers={"If-Match": '"1"'})
    assert (reply.status_code, reply.json()["owner"]) == (200, colleague.username)
    assert (await sale.client.get(f"{PATH}/{own['id']}")).status_code == 404
    assert (await colleague.client.get(f"{PATH}/{own['id']}")).json() == reply.json()
    again = await sale.client.patch(f"{PATH}/{own['id']}", json=given, headers={"If-Match": '"2"'})
    assert again.status_code == 404


@pytest.mark.parametrize("owned", [True, False])
async def test_a_sale_adds_a_customer_that_is_not_theirs(workspace: Workspace, owned: bool) -> None:
    sale, colleague = await workspace.person("sale"), await workspace.person("sale")
    made = await add(sale.client, owner=colleague.username if owned else None)
    assert made["owner"] == (colleague.username if owned else None)
    assert (await sale.client.get(f"{PATH}/{made['id']}")).status_code == 404


async def test_a_key_that_may_only_add_adds(workspace: Workspace) -> None:
    async with await workspace.key("customers.create", "customers.reveal_phone") as form:
        made = await add(form)
        assert made["owner_id"] is None
        assert (await form.get(f"{PATH}/{made['id']}")).status_code == 403
    assert (await workspace.admin.get(f"{PATH}/{made['id']}")).json() == made


async def test_a_key_sees_the_customers_of_its_maker(workspace: Workspace) -> None:
    sale = await workspace.person("sale")
    own, other = await add(workspace.admin), await add(sale.client, phone="0987654321")
    async with await workspace.key("customers.view", "customers.reveal_phone") as key:
        assert [one["id"] for one in (await key.get(PATH)).json()["items"]] == [own["id"]]
        assert (await key.get(f"{PATH}/{own['id']}")).json() == own
        assert (await key.get(f"{PATH}/{other['id']}")).status_code == 404


async def test_a_referring_customer_is_named_to_whom_may_know_of_it(workspace: Workspace) -> None:
    referrer = await add(workspace.admin, name="Lê Thị Giới Thiệu")
    knowing = await workspace.person("sale")
    blind = await workspace.person("sale", permissions=["customers.view", "customers.create"])
    for number, (person, known) in enumerate(((knowing, True), (blind, False))):
        own = await add(
            workspace.admin, phone=f"098765432{number}", referrer=referrer["id"], owner=person.username
        )  # fmt: skip
        assert own["referrer_name"] == "Lê Thị Giới Thiệu"
        name = own["referrer_name"] if known else None
        read = (await person.client.get(f"{PATH}/{own['id']}")).json()
        assert (read["referrer"], read["referrer_name"]) == (referrer["id"], name)
        for params in ({}, {"q": f"098765432{number}"}, {"fields": "referrer_name"}):
            [row] = (await person.client.get(PATH, params=params)).json()["items"]
            assert row["referrer_name"] == name
