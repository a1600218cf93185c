"""Pages and searches at 1,000,000 customers among 2,000,000, over HTTP, against the floor in the same run."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

import httpx

from bench import load
from bench.dataset import Bench
from bench.servers import API, FLOOR, running, sign_in
from bench.table import Row

# What the floor answers: the ids of lists are names here.
BARE = (
    "code,name,phone,phone_typed,email,birthday,province_code,gender,address,source,customer_type,company_name,tax_code,"
    "position,note,relationship,owner_id,attributes,created_at,updated_at"
)
ROUNDS = 5
CLIENTS = 16
# Who sees their own eighth of the customers, and the common pool, and what is shared with them.
A_SALE = "sale1"
SECONDS = 3.0


@dataclass(frozen=True)
class Case:
    """One page: the product's path and the floor's, and who asks for it."""

    name: str
    path: str
    floor: str
    goal: str
    reached: Callable[[float], bool]
    who: str = "admin"


def measure(bench: Bench) -> list[Row]:
    """Interleaved rounds of each case; the ratio of each round, and their median."""
    rows = []
    with running(bench, "api", "floor"):
        client = sign_in()
        headers = {who: {"Authorization": sign_in(username=who).headers["Authorization"]} for who in ("admin", A_SALE)}
        p50: dict[str, float] = {}
        for case in _cases(client):
            ratios, ours, floors = [], [], []
            for _ in range(ROUNDS):
                mine = load.run(
                    f"http://127.0.0.1:{API}{case.path}", headers[case.who], clients=CLIENTS, seconds=SECONDS
                )
                bare = load.run(f"http://127.0.0.1:{FLOOR}{case.floor}", {}, clients=CLIENTS, seconds=SECONDS)
                if mine.failed or bare.failed:
                    raise SystemExit(f"bench: {case.name}: {mine.failed} and {bare.failed} replies were not 2xx")
                ratios.append(mine.rps / bare.rps)
                ours.append(mine)
                floors.append(bare)
            ratio = statistics.median(ratios)
            p50[case.name] = statistics.median(one.p50 for one in ours)
            rows.append(
                Row(
                    case.name,
                    f"{statistics.median(one.rps for one in ours):.0f} req/s",
                    f"{statistics.median(one.rps for one in floors):.0f} req/s",
                    f"{ratio:.2f}",
                    case.goal,
                    case.reached(ratio),
                )
            )
        rows += _against_first_page(p50)
    return rows


def _against_first_page(p50: dict[str, float]) -> list[Row]:
    first = p50["newest 50"]
    wanted = {"page 10,000 rows deep": 1.2, "page 500,000 rows deep": 1.2, "last 5 digits of a phone": 1.5,
              "whole phone": 1.5, "rare name": 10.0, "common name": 10.0}  # fmt: skip
    return [
        Row(f"{name}, p50", f"{p50[name]:.1f} ms", f"{first:.1f} ms (newest 50)", f"{p50[name] / first:.2f}",
            f"≤ {limit}", p50[name] / first <= limit)
        for name, limit in wanted.items()
    ]  # fmt: skip


def _cases(client: httpx.Client) -> list[Case]:

    def position(depth: int) -> tuple[str, str]:
        """A cursor at that depth, walked once; and the same place for the floor."""
        cursor, page, seen = None, {}, 0
        while seen < depth:
            asked: dict[str, str | int] = {"limit": 200, "fields": "created_at"}
            if cursor:
                asked["cursor"] = cursor
            page = client.get("/customers", params=asked).raise_for_status().json()
            cursor, seen = page["next_cursor"], seen + 200
        last = page["items"][-1]
        return str(cursor), f"/deep?at={quote(last['created_at'])}&id={last['id']}"

    half: Callable[[float], bool] = lambda ratio: ratio >= 0.5  # noqa: E731
    cases = [
        Case("newest 50", "/api/v1/customers?limit=50", "/newest", "≥ 0.5", half),
        Case("newest 50, the floor's members", f"/api/v1/customers?limit=50&fields={BARE}", "/newest", "≥ 0.5", half),
    ]
    cases.append(Case("newest 50 of a sale's own", "/api/v1/customers?limit=50", "/newest", "≥ 0.5", half, A_SALE))
    for depth in (10_000, 500_000):
        cursor, floor = position(depth)
        cases.append(
            Case(f"page {depth:,} rows deep", f"/api/v1/customers?limit=50&cursor={cursor}", floor, "≥ 0.5", half)
        )
    search = "/api/v1/customers?limit=50&q="
    phone = client.get("/customers", params={"limit": 1, "fields": "phone"}).json()["items"][0]["phone"]
    dialled = "0" + phone.removeprefix("+84")
    cases += [
        Case("last 5 digits of a phone", f"{search}17777", "/tail?q=77771%25", "≥ 0.4", lambda r: r >= 0.4),
        Case("whole phone", f"{search}{dialled}", f"/tail?q={dialled[::-1]}%25", "≥ 0.4", lambda r: r >= 0.4),
        Case("rare name", search + quote("ly hoai uyen"), "/words?q=" + quote("'ly' & 'hoai' & 'uyen':*"), "≥ 0.5",
             half),
        Case("common name", search + quote("nguyen van an"), "/words?q=" + quote("'nguyen' & 'van' & 'an':*"), "≥ 0.5",
             half),
    ]  # fmt: skip
    for case in cases:
        assert client.get(case.path.removeprefix("/api/v1")).raise_for_status().json()["items"], case
    return cases
