"""Filters and counts at 1,000,000 customers among 2,000,000, over HTTP with one client, against the newest 50 in the
same rounds."""

import statistics
import time
from typing import Any

import httpx

from bench.dataset import Bench
from bench.servers import running, sign_in
from bench.table import Row

ROUNDS = 7
SAVED = 50
NEWEST = "newest 50"


def measure(bench: Bench) -> list[Row]:
    """Interleaved rounds of every case; medians, and each against the newest page."""
    with running(bench, "api"):
        client = sign_in()
        pages, counts = _pages(client), _counts(client)
        saved = _save(client, list(pages.values()))
        try:
            took = _rounds(client, pages, counts, saved)
        finally:
            for one in saved:
                client.delete(f"/filters/{one}", headers={"If-Match": '"1"'}).raise_for_status()
    newest = statistics.median(took[NEWEST])
    found = {name: statistics.median(times) for name, times in took.items() if name in pages}
    rows = [_row(name, times, newest, 20.0) for name, times in found.items()]
    rows.append(_row("filter pages, median of all", statistics.median(found.values()), newest, 5.0))
    rows += [_row(name, statistics.median(took[name]), newest, 1.5) for name in counts]
    many = statistics.median(took["saved"])
    rows.append(Row(f"{SAVED} saved filters counted at once", f"{many:.0f} ms", "", "", "≤ 1,000 ms", many <= 1000))
    return rows


def _rounds(
    client: httpx.Client, pages: dict[str, Any], counts: dict[str, Any], saved: list[str]
) -> dict[str, list[float]]:
    took: dict[str, list[float]] = {}
    for number in range(ROUNDS + 1):
        timed = {NEWEST: _timed(client, "GET", "/customers?limit=50", None)}
        for name, tree in pages.items():
            timed[name] = _timed(client, "POST", "/customers/search", {"filter": tree, "limit": 50})
        for name, body in counts.items():
            timed[name] = _timed(client, "POST", "/customers/count", body)
        timed["saved"] = _timed(client, "POST", "/filters/counts", {"ids": saved})
        if number:
            # The first round only warms up.
            for name, milliseconds in timed.items():
                took.setdefault(name, []).append(milliseconds)
    return took


def _timed(client: httpx.Client, method: str, path: str, body: Any) -> float:
    started = time.perf_counter()
    client.request(method, path, json=body).raise_for_status()
    return (time.perf_counter() - started) * 1000


def _pages(client: httpx.Client) -> dict[str, Any]:
    """The filters to measure, with values that the workspace has."""
    listed = client.get("/filters/fields").raise_for_status().json()["fields"]
    choices = {field["key"]: [one["value"] for one in field["choices"] or ()] for field in listed}
    source = _leaf("source", "eq", choices["source"][0])
    relationship = _leaf("relationship", "in", choices["relationship"][:2])
    autumn = _leaf("created_at", "between", ["2025-09-01", "2025-11-30"])
    return {
        "source": source,
        "source and relationship": {"and": [source, relationship]},
        "relationship and a quarter": {"and": [relationship, autumn]},
        "owner, relationship, quarter": {"and": [_leaf("owner", "eq", "me"), relationship, autumn]},
        "province or source": {"or": [_leaf("province", "eq", "Hà Nội"), source]},
        "neither source nor relationship": {"none_of": [source, relationship]},
        "birthday in 7 days": _leaf("birthday", "in_next_days", 7),
        "birthday in 7 days, women": {"and": [_leaf("birthday", "in_next_days", 7), _leaf("gender", "eq", "female")]},
        "rare name": _leaf("name", "contains", "ly hoai uyen"),
        "common name and source": {"and": [_leaf("name", "contains", "nguyen"), source]},
        "rare name or last digits": {
            "or": [_leaf("name", "contains", "ly hoai uyen"), _leaf("phone", "ends_with", "17777")]
        },
        "last 5 digits of a phone": _leaf("phone", "ends_with", "17777"),
        "beginning of an e-mail": _leaf("email", "starts_with", "khach1234"),
        "no contract, source": {"and": [{"related": "contracts", "exists": False}, source]},
    }


def _counts(client: httpx.Client) -> dict[str, Any]:
    source = client.get("/sources").raise_for_status().json()["items"][0]["name"]
    return {
        "capped count of everybody": {},
        "capped count of a birthday week": {"filter": _leaf("birthday", "in_next_days", 7)},
        "capped count of a source": {"filter": _leaf("source", "eq", source)},
    }


def _save(client: httpx.Client, trees: list[Any]) -> list[str]:
    """Fifty saved filters, no two of which are the same."""
    made = []
    for number in range(SAVED):
        recent = _leaf("created_at", "gte", f"2025-{number % 12 + 1:02d}-01")
        body = {"name": f"đo {time.time_ns()} {number}", "filter": {"and": [trees[number % len(trees)], recent]}}
        made.append(client.post("/filters", json=body).raise_for_status().json()["id"])
    return made


def _leaf(field: str, op: str, value: Any) -> dict[str, Any]:
    return {"field": field, "op": op, "value": value}


def _row(name: str, milliseconds: float, newest: float, limit: float) -> Row:
    ratio = milliseconds / newest
    return Row(f"filter: {name}", f"{milliseconds:.1f} ms", f"{newest:.1f} ms ({NEWEST})", f"{ratio:.2f}",
               f"≤ {limit:g}", ratio <= limit)  # fmt: skip
