"""The customer screen (F2): what a front end needs to draw it, by the calls that it makes."""

import pytest

from tests.customers.test_customers import PATH, add
from tests.factories.people import Workspace

API = "/api/v1"


@pytest.mark.feature("B001")
async def test_everything_begins_at_the_list_of_customers(workspace: Workspace) -> None:
    made = [await add(workspace.admin, name=f"Khách {n}", phone=f"091234567{n}") for n in range(3)]
    sale = await workspace.person("sale")
    own = await add(sale.client, name="Khách của tôi", phone="0987654321")
    for client, expected in ((workspace.admin, [own, *reversed(made)]), (sale.client, [own])):
        view = (await client.get(f"{API}/me/views/customers")).json()
        columns = [one["key"] for one in view["columns"]["shown"]]
        assert {"name", "phone"} <= set(columns)
        params = {"fields": ",".join(columns), "count": "exact", "sort": view["sort"]}
        page = (await client.get(PATH, params=params)).json()
        assert [one["id"] for one in page["items"]] == [one["id"] for one in expected]
        assert page["count"] == len(expected)
        assert all(set(columns) <= set(one) for one in page["items"])
        stages = (await client.get(f"{PATH}/stages")).json()
        assert stages["total"] == len(expected)
        may = set((await client.get(f"{API}/me")).json()["permissions"])
        assert {"customers.view", "customers.create", "customers.edit"} <= may
