"""Filters and counts at 1,000,000 customers among 2,000,000, over HTTP with one client: against the best SQL that we
know by hand for the same question, in a bare handler, and against the newest 50; all in the same rounds."""

import statistics
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx

from app.core.clock import today
from app.customers.models import MONTH_DAY
from bench.dataset import Bench
from bench.servers import FLOOR, running, sign_in
from bench.table import Row

ROUNDS = 7
SAVED = 50
CAP = 10_001
NEWEST = "newest 50"
COUNTED = ("everybody", "source", "birthday in 7 days")
NAMED = "c.id IN (SELECT s.id FROM crm.customer_search s WHERE s.tenant_id = $1 AND s.words @@ '{words}'::tsquery)"
TAIL = "c.id IN (SELECT s.id FROM crm.customer_search s WHERE s.tenant_id = $1 AND s.phone_tail LIKE '77771%')"


@dataclass(frozen=True)
class Asked:
    """A question as a filter tree, and as a condition written by hand."""

    tree: dict[str, Any]
    where: str


def measure(bench: Bench) -> list[Row]:
    """Interleaved rounds of every case; medians."""
    with running(bench, "api", "floor"):
        client = sign_in()
        bare = httpx.Client(base_url=f"http://127.0.0.1:{FLOOR}", timeout=120)
        asked = _asked(client)
        saved = _save(client, asked)
        try:
            took = _rounds(client, bare, asked, saved)
        finally:
            for one in saved:
                client.delete(f"/filters/{one}", headers={"If-Match": '"1"'}).raise_for_status()
    times = {name: statistics.median(each) for name, each in took.items()}
    newest, pages = times[NEWEST], [times[f"page {name}"] for name in asked]
    rows = [_against(times, "page", name, newest, 20.0) for name in asked]
    rows.append(_of_newest("filter pages, median of all", statistics.median(pages), newest, 5.0))
    rows += [_against(times, "count", name, newest, 1.5) for name in COUNTED]
    exact = times["exact everybody"]
    floor = times["bare exact everybody"]
    rows.append(Row("exact count of 1,000,000", f"{exact:.1f} ms", f"{floor:.1f} ms", f"{exact / floor:.2f}",
                    "≤ 100 ms", exact <= 100))  # fmt: skip
    many = times["saved"]
    rows.append(Row(f"{SAVED} saved filters counted at once", f"{many:.0f} ms", "", "", "≤ 1,000 ms", many <= 1000))
    return rows


def _rounds(
    client: httpx.Client, bare: httpx.Client, asked: dict[str, Asked], saved: list[str]
) -> dict[str, list[float]]:
    took: dict[str, list[float]] = {}
    everybody = {"everybody": Asked({}, "true"), **asked}
    for number in range(ROUNDS + 1):
        timed = {NEWEST: _timed(client, "GET", "/customers?limit=50")}
        for name, one in asked.items():
            timed[f"page {name}"] = _timed(client, "POST", "/customers/search", {"filter": one.tree, "limit": 50})
            timed[f"bare page {name}"] = _timed(bare, "POST", "/page", text=one.where)
        for name in COUNTED:
            one = everybody[name]
            timed[f"count {name}"] = _timed(client, "POST", "/customers/count", {"filter": one.tree})
            timed[f"bare count {name}"] = _timed(bare, "POST", f"/count?cap={CAP}", text=one.where)
        timed["exact everybody"] = _timed(client, "POST", "/customers/count", {"exact": True})
        timed["bare exact everybody"] = _timed(bare, "POST", "/count", text="true")
        timed["saved"] = _timed(client, "POST", "/filters/counts", {"ids": saved})
        if number:
            # The first round only warms up.
            for name, milliseconds in timed.items():
                took.setdefault(name, []).append(milliseconds)
    return took


def _timed(client: httpx.Client, method: str, path: str, body: Any = None, *, text: str | None = None) -> float:
    started = time.perf_counter()
    client.request(method, path, json=body, content=text).raise_for_status()
    return (time.perf_counter() - started) * 1000


def _asked(client: httpx.Client) -> dict[str, Asked]:
    """The questions, with values that the workspace has."""
    me = client.get("/me").raise_for_status().json()["id"]
    sources = _ids(client, "/sources")
    stages = _ids(client, "/relationships")
    (source, source_id), (rare, rare_id) = sources[0], sources[-1]
    relationship = _leaf("relationship", "in", [name for name, _ in stages[:2]])
    in_stages = f"c.relationship_id IN ('{stages[0][1]}', '{stages[1][1]}')"
    autumn = _leaf("created_at", "between", ["2025-09-01", "2025-11-30"])
    in_autumn = "c.created_at >= '2025-08-31 17:00Z' AND c.created_at < '2025-11-30 17:00Z'"
    groups = client.get("/groups").raise_for_status().json()["items"]
    named = {one["name"]: index for index, one in enumerate(sorted(groups, key=lambda one: str(one["id"])), 1)}
    two = list(named)[:2]
    from_source = f"c.source_id = '{source_id}'"
    first, last = _days()
    day = MONTH_DAY.format("c.birthday")
    week = f"{day} BETWEEN {first} AND {last}" if first <= last else f"({day} >= {first} OR {day} <= {last})"
    signed = "SELECT FROM crm.contract k WHERE k.tenant_id = $1 AND k.customer_id = c.id"
    return {
        "source": Asked(_leaf("source", "eq", source), from_source),
        "rare source": Asked(_leaf("source", "eq", rare), f"c.source_id = '{rare_id}'"),
        "source and relationship": Asked(_all(_leaf("source", "eq", rare), relationship),
                                         f"c.source_id = '{rare_id}' AND {in_stages}"),
        "relationship and a quarter": Asked(_all(relationship, autumn), f"{in_stages} AND {in_autumn}"),
        "owner, relationship, quarter": Asked(_all(_leaf("owner", "eq", "me"), relationship, autumn),
                                              f"c.owner_id = '{me}' AND {in_stages} AND {in_autumn}"),
        "two attributes": Asked(
            _all(_leaf("attributes.han_muc", "between", [7_000_000, 8_000_000]),
                 _leaf("attributes.nghe_nghiep", "eq", "Kỹ sư")),
            "c.n1 BETWEEN 7000000 AND 8000000 AND c.t1 = 'Kỹ sư'"),
        "all of two groups": Asked(_leaf("groups", "all_of", two),
                                   f"c.group_nos @> ARRAY[{named[two[0]]}, {named[two[1]]}]"),
        "a tag, no group": Asked(_all(_leaf("tags", "any_of", ["Khó tính"]), _leaf("groups", "is_empty", None)),
                                 "c.tag_nos && ARRAY[3] AND c.group_nos = '{}'"),
        "owner, stage, quarter, attribute, group, contract": Asked(
            _all(_leaf("owner", "eq", "me"), relationship, autumn, _leaf("attributes.nghe_nghiep", "eq", "Giáo viên"),
                 {"not": _leaf("groups", "any_of", two[:1])}, {"related": "contracts", "exists": True}),
            f"c.owner_id = '{me}' AND {in_stages} AND {in_autumn} AND c.t1 = 'Giáo viên' "
            f"AND NOT c.group_nos && ARRAY[{named[two[0]]}] AND EXISTS ({signed})"),
        "contracts above 150 million": Asked(
            {"related": "contracts", "sum": {"field": "value", "op": "gt", "value": 150_000_000}},
            "c.id IN (SELECT k.customer_id FROM crm.contract k WHERE k.tenant_id = $1 GROUP BY 1 "
            "HAVING sum(k.value) > 150000000)"),
        "fewer than 2 transactions, source": Asked(
            _all({"related": "transactions", "count": {"op": "lt", "value": 2}}, _leaf("source", "eq", source)),
            f"{from_source} AND (SELECT count(*) FROM crm.transaction t WHERE t.tenant_id = $1 "
            "AND t.customer_id = c.id) < 2"),
        "no contract, source": Asked(_all({"related": "contracts", "exists": False}, _leaf("source", "eq", source)),
                                     f"{from_source} AND NOT EXISTS ({signed})"),
        "province or source": Asked(
            {"or": [_leaf("province", "eq", "01"), _leaf("source", "eq", source)]},
            f"c.province = '01' OR {from_source}"),
        "neither source nor relationship": Asked(
            {"none_of": [_leaf("source", "eq", source), relationship]}, f"NOT ({from_source} OR {in_stages})"),
        "birthday in 7 days": Asked(_leaf("birthday", "in_next_days", 7), week),
        "rare name": Asked(_leaf("name", "contains", "ly hoai uyen"),
                           NAMED.format(words="ly & hoai & uyen")),
        "common name and source": Asked(
            _all(_leaf("name", "contains", "nguyen"), _leaf("source", "eq", rare)),
            f"c.source_id = '{rare_id}' AND " + NAMED.format(words="nguyen")),
        "rare name or last digits": Asked(
            {"or": [_leaf("name", "contains", "ly hoai uyen"), _leaf("phone", "ends_with", "17777")]},
            "c.id = ANY(ARRAY(SELECT x.id FROM (SELECT s.id FROM crm.customer_search s WHERE s.tenant_id = $1 AND "
            "s.words @@ 'ly & hoai & uyen'::tsquery UNION SELECT s.id FROM crm.customer_search s WHERE "
            "s.tenant_id = $1 AND s.phone_tail LIKE '77771%') AS x))"),
        "last 5 digits of a phone": Asked(_leaf("phone", "ends_with", "17777"), TAIL),
        "beginning of an e-mail": Asked(_leaf("email", "starts_with", "khach1234"),
                                        "c.email COLLATE \"C\" LIKE 'khach1234%'"),
    }  # fmt: skip


def _ids(client: httpx.Client, path: str) -> list[tuple[str, str]]:
    return [(one["name"], one["id"]) for one in client.get(path).raise_for_status().json()["items"]]


def _days() -> tuple[int, int]:
    """The first and last day of the next seven as month and day, as a birthday's column has them."""
    first, last = (day.month * 100 + day.day for day in (today(), today() + timedelta(days=7)))
    return first, last


def _save(client: httpx.Client, asked: dict[str, Asked]) -> list[str]:
    """Fifty saved filters, no two of which are the same."""
    made, trees = [], [one.tree for one in asked.values()]
    for number in range(SAVED):
        recent = _leaf("created_at", "gte", f"2025-{number % 12 + 1:02d}-01")
        body = {"name": f"đo {time.time_ns()} {number}", "filter": _all(trees[number % len(trees)], recent)}
        made.append(client.post("/filters", json=body).raise_for_status().json()["id"])
    return made


def _leaf(field: str, op: str, value: Any) -> dict[str, Any]:
    return {"field": field, "op": op} if value is None else {"field": field, "op": op, "value": value}


def _all(*nodes: dict[str, Any]) -> dict[str, Any]:
    return {"and": list(nodes)}


def _against(times: dict[str, float], kind: str, name: str, newest: float, limit: float) -> Row:
    """Against the same question by hand; the goal is in newest pages."""
    ours, floor = times[f"{kind} {name}"], times[f"bare {kind} {name}"]
    of_newest = ours / newest
    return Row(f"{'filter' if kind == 'page' else 'capped count'}: {name}", f"{ours:.1f} ms", f"{floor:.1f} ms",
               f"{ours / floor:.2f}", f"{of_newest:.1f} newest pages (≤ {limit:g})", of_newest <= limit)  # fmt: skip


def _of_newest(name: str, milliseconds: float, newest: float, limit: float) -> Row:
    ratio = milliseconds / newest
    return Row(name, f"{milliseconds:.1f} ms", f"{newest:.1f} ms ({NEWEST})", f"{ratio:.2f}", f"≤ {limit:g}",
               ratio <= limit)  # fmt: skip
