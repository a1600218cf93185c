"""Cấu hình bộ lọc and Cấu hình hiển thị: one's own, the workspace's, the product's."""

from typing import Any

import httpx
import pytest

from tests.factories.people import Workspace

API = "/api/v1"
MINE, ALL = f"{API}/me/views/customers", f"{API}/views/customers"


async def put(client: httpx.AsyncClient, url: str, **body: Any) -> dict[str, Any]:
    """Chooses a view."""
    etag = (await client.get(url)).headers["etag"]
    reply = await client.put(url, json=body, headers={"If-Match": etag})
    assert reply.status_code == 200, reply.text
    chosen: dict[str, Any] = reply.json()
    return chosen


def keys(part: list[dict[str, str]]) -> list[str]:
    """The keys of a part's fields."""
    return [one["key"] for one in part]


@pytest.mark.feature("A087")
async def test_the_filter_bar(workspace: Workspace) -> None:
    """From the other fields to those shown; an attribute is among the others as soon as it exists."""
    await workspace.admin.post(f"{API}/attributes", json={"name": "Hạn mức", "key": "han_muc", "type": "money"})
    before = (await workspace.admin.get(MINE)).json()["filters"]
    assert before["origin"] == "product"
    assert "attributes.han_muc" in keys(before["others"])
    chosen = await put(workspace.admin, MINE, filters=["attributes.han_muc", "source", "source"])
    assert chosen["filters"]["shown"] == [
        {"key": "attributes.han_muc", "label": "Hạn mức"},
        {"key": "source", "label": "Nguồn khách hàng"},
    ]
    everything = set(keys(before["shown"])) | set(keys(before["others"]))
    assert set(keys(chosen["filters"]["others"])) == everything - {"attributes.han_muc", "source"}
    attribute = (await workspace.admin.get(f"{API}/attributes")).json()["items"][0]
    url = f"{API}/attributes/{attribute['id']}"
    await workspace.admin.delete(url, headers={"If-Match": f'"{attribute["version"]}"'})
    assert keys((await workspace.admin.get(MINE)).json()["filters"]["shown"]) == ["source"]


@pytest.mark.feature("A088")
async def test_the_columns(workspace: Workspace) -> None:
    """One's own before the workspace's before the product's; null goes back."""
    mai = await workspace.person("sale")
    await put(workspace.admin, ALL, columns=["code", "name"], sort="name")
    theirs = (await mai.client.get(MINE)).json()
    assert (keys(theirs["columns"]["shown"]), theirs["columns"]["origin"]) == (["code", "name"], "workspace")
    assert theirs["sort"] == "name"
    own = await put(mai.client, MINE, columns=["phone"])
    assert (keys(own["columns"]["shown"]), own["columns"]["origin"], own["sort"]) == (["phone"], "mine", "name")
    assert (await workspace.admin.get(MINE)).json()["columns"]["origin"] == "workspace"
    back = await put(mai.client, MINE, columns=None)
    assert back["columns"]["origin"] == "workspace"
    forbidden = await mai.client.put(ALL, json={}, headers={"If-Match": '"2"'})
    assert forbidden.status_code == 403


async def test_a_sort_that_is_no_more_falls_to_the_next(workspace: Workspace) -> None:
    """Whoever opens the list with what the view says gets a page."""
    body = {"name": "Hạng", "key": "hang", "type": "text"}
    attribute = (await workspace.admin.post(f"{API}/attributes", json=body)).json()
    await put(workspace.admin, ALL, sort="name")
    await put(workspace.admin, MINE, sort="-attributes.hang")
    assert (await workspace.admin.get(MINE)).json()["sort"] == "-attributes.hang"
    gone = await workspace.admin.delete(f"{API}/attributes/{attribute['id']}", headers={"If-Match": '"1"'})
    assert gone.is_success, gone.text
    sort = (await workspace.admin.get(MINE)).json()["sort"]
    assert sort == "name"
    assert (await workspace.admin.get(f"{API}/customers", params={"sort": sort})).status_code == 200


async def test_a_wrong_view_is_refused(workspace: Workspace) -> None:
    version = {"If-Match": '"1"'}
    reply = await workspace.admin.put(MINE, json={"columns": ["name", "salary"], "filters": ["x"]}, headers=version)
    assert [one["field"] for one in reply.json()["errors"]] == ["filters[0]", "columns[1]"]
    assert (await workspace.admin.put(MINE, json={}, headers={"If-Match": '"7"'})).status_code == 412
    assert (await workspace.admin.put(MINE, json={})).status_code == 428
