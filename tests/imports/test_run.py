"""From a file to customers: what is created, updated, skipped and refused."""

import pytest

from tests.factories.people import Workspace
from tests.imports.steps import API, bring, customers, ready, rows_of, run, table

pytestmark = pytest.mark.usefixtures("worker")


async def test_rows_become_customers(workspace: Workspace) -> None:
    found = await bring(
        workspace.admin,
        [
            ["Họ tên", "SĐT", "Email", "Ngày sinh", "Tỉnh/Thành", "Giới tính"],
            ["Nguyễn Thị Hoa", "912345678", "HOA@Example.com", "05/03/1990", "ha noi", "nữ"],
            ["Trần Văn Nam", "0987 654 321", "", "", "", ""],
        ],
    )
    assert found["state"] == "succeeded"
    assert found["counts"] == {"rows": 2, "created": 2, "updated": 0, "unchanged": 0, "skipped": 0, "failed": 0}
    made = await customers(workspace)
    hoa = made["+84912345678"]
    assert (hoa["name"], hoa["email"], hoa["birthday"]) == ("Nguyễn Thị Hoa", "hoa@example.com", "1990-03-05")
    assert (hoa["province"], hoa["gender"], hoa["owner"]) == ("Hà Nội", "female", "admin")
    assert made["+84987654321"]["code"].startswith("KH")
