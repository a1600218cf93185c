"""The tree of settings (Cài đặt nâng cao): each page is there for who may set up the CRM, and for nobody else."""

from typing import Any

import pytest

from tests.factories.people import Workspace

API = "/api/v1"
# What the guides' pages are called, where each is, and something to add there.
PAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "Phòng ban": ("teams", {"name": "Phòng kinh doanh"}),
    "Dữ liệu khách hàng": ("attributes", {"name": "Thu nhập", "type": "money"}),
    "Phân loại: mối quan hệ": ("relationships", {"name": "Đang chờ", "category": "interested"}),
    "Phân loại: nguồn": ("sources", {"name": "Hội chợ"}),
    "Phân loại: loại khách hàng": ("customer-types", {"name": "Đại lý cấp 2"}),
    "Phân loại: hạng": ("tiers", {"name": "Kim cương"}),
    "Loại giao dịch": ("transaction-types", {"name": "Tư vấn tại nhà"}),
    "Thiết lập API": ("api-keys", {"name": "Tổng đài", "scopes": ["customers.view"]}),
    "Tài khoản": ("users", {"username": "nhanvien", "full_name": "Lê Thị Thử", "password": "bánh xèo 12 cái",
                            "role": "sale"}),
}  # fmt: skip


@pytest.mark.feature("A104", "A105")
@pytest.mark.parametrize("page", PAGES)
async def test_a_page_of_the_settings(workspace: Workspace, page: str) -> None:
    path, body = PAGES[page]
    sale = await workspace.person("sale")
    refused = await sale.client.post(f"{API}/{path}", json=body)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    made = await workspace.admin.post(f"{API}/{path}", json=body)
    assert made.status_code == 201, made.text
    listed = (await workspace.admin.get(f"{API}/{path}")).json()["items"]
    assert made.json()["id"] in [one["id"] for one in listed]
