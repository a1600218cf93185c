"""Random trees: right ones over the world's fields, and wrong ones of every sort."""

from typing import Any

from hypothesis import strategies as st

from app.core.vietnam.text import words
from tests.filters.naive import CONTRACT_KINDS, KINDS
from tests.filters.world import FAMILY, GIVEN, GROUPS, MIDDLE, TAGS, TEAMS, TIERS

WORDS = [*FAMILY, *MIDDLE, *GIVEN, "hoa", "HOÀ", "ngu", "đ", "anh hai", "thi h", "gọi lại", "100%", "_", "tâm\\", "sen",
         "khach1", "máy gọi", "duong", "phe"]  # fmt: skip
CHOICES: dict[str, list[str]] = {
    "source": ["Facebook", "Zalo", "Website", "Hội thảo", "Hội thao"], "relationship": ["Mới", "Nóng"],
    "gender": ["male", "female"],
    "province": ["01", "48", "46"], "owner": ["admin", "lan", "hoa"], "team": [*TEAMS, "me"],
    "attributes.hang": ["A", "B", "Đồng", "Dòng"],
    "state": ["active", "finished", "cancelled"], "kind": ["lead", "individual", "company"], "tier": TIERS,
    "customer_type": ["Cá nhân", "Doanh nghiệp"],
}  # fmt: skip
SETS = {"groups": GROUPS, "tags": TAGS, "shared_with": ["admin", "lan", "hoa"],
        "attributes.so_thich": ["Bóng đá", "Nhạc", "Phim"]}  # fmt: skip
EXACT = {"name": ["Nguyễn Văn Hòa", "Trần Hoa", "Hồ Út-Ba"], "code": ["KH000007", "KH000100"],
         "note": ["Gọi lại chiều"],
         "email": ["khach7@example.com", "hoa.12@example.com"], "company_name": ["Công ty Hoa Sen"],
         "attributes.biet_danh": ["Bé Út", "be ut"], "attributes.mo_ta": ["ca phe den"],
         "tax_code": ["0101248141"], "address": ["12 Lê Lợi"], "website": ["https://hoasen.example.com"],
         "country": ["Việt Nam", "Lào"]}  # fmt: skip
DAYS = ["today", "yesterday", "this_week", "this_month", "last_year", "today-3", "today+40", "2026-11-22", "2026-11-25",
        "1990-02-28", "1999-11-25", "2026-10-31", "2026-11-01", "2025-12-31", "2028-02-29"]  # fmt: skip
EMPTY = st.fixed_dictionaries({"op": st.sampled_from(["is_empty", "is_not_empty"])})
NUMBERS = st.sampled_from([-2, -1, 0, 0.5, 1, 2, 2.25, 3, 5, 5_000_000, 10_000_000])
WHOLE = st.sampled_from([-1, 0, 1, 2, 3, 5, 5_000_000, 10_000_000])
WHOLE_FIELDS = ("stars", "attributes.so_lan", "attributes.han_muc")
AMOUNTS = st.sampled_from([0, 1, 2, 3, 1_000_000, 21_000_000, 55_000_000])
PHONES = ["0900000007", "090 000 0011", "+84900000013", "02438000005", "0987654321", "19001234", "02838230123"]


def _one_of(values: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    one, some = st.sampled_from(values), st.lists(st.sampled_from(values), min_size=1, max_size=3)
    return st.one_of(
        st.fixed_dictionaries({"op": st.sampled_from(["eq", "ne"]), "value": one}),
        st.fixed_dictionaries({"op": st.sampled_from(["in", "not_in"]), "value": some}),
    )


def _part(values: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    ops = st.sampled_from(["contains", "not_contains", "starts_with", "ends_with"])
    return st.fixed_dictionaries({"op": ops, "value": st.sampled_from(values)})


def _compared(numbers: st.SearchStrategy[Any], *more: str) -> st.SearchStrategy[dict[str, Any]]:
    ops = st.sampled_from(["gt", "gte", "lt", "lte", "eq", "ne", *more])
    return st.one_of(
        st.fixed_dictionaries({"op": ops, "value": numbers}),
        st.fixed_dictionaries(
            {"op": st.just("between"), "value": st.lists(numbers, min_size=2, max_size=2).map(sorted)}
        ),
    )


def _dated() -> st.SearchStrategy[dict[str, Any]]:
    day, count = st.sampled_from(DAYS), st.sampled_from([0, 1, 3, 7, 10, 40, 364, 365, 400])
    return st.one_of(
        st.fixed_dictionaries({"op": st.sampled_from(["eq", "ne", "gt", "gte", "lt", "lte", "on_day"]), "value": day}),
        st.fixed_dictionaries({"op": st.just("between"), "value": st.lists(day, min_size=2, max_size=2)}),
        st.fixed_dictionaries({"op": st.sampled_from(["in_last_days", "in_next_days"]), "value": count}),
        st.fixed_dictionaries({"op": st.just("in_month"), "value": st.sampled_from([1, 2, 11, [2, 12]])}),
    )


def question(field: str, kind: str) -> st.SearchStrategy[dict[str, Any]]:
    if kind in ("date", "datetime", "birthday"):
        asked = _dated()
    elif kind == "number":
        asked = _compared(AMOUNTS if field == "value" else WHOLE if field in WHOLE_FIELDS else NUMBERS)
    elif kind in ("choice", "team"):
        more = st.fixed_dictionaries({"op": st.sampled_from(["any_of", "none_of"]),
                                      "value": st.lists(st.sampled_from(CHOICES[field]), min_size=1)})  # fmt: skip
        asked = st.one_of(_one_of(CHOICES[field]), more)
    elif kind == "set":
        ops = st.sampled_from(["any_of", "all_of", "none_of"])
        asked = st.fixed_dictionaries({"op": ops, "value": st.lists(st.sampled_from(SETS[field]), min_size=1)})
    elif kind == "boolean":
        asked = st.fixed_dictionaries({"op": st.sampled_from(["eq", "ne"]), "value": st.booleans()})
    elif kind == "phone":
        asked = st.one_of(_one_of(PHONES), _part(["0900", "007", "24380", "4321", "1900", "028730", "8230"]))
    else:
        # A name is found by its words: what holds none is refused.
        parts = {"code": ["KH0000", "kh00001", "7"], "name": [one for one in WORDS if words(one)]}.get(kind, WORDS)
        asked = st.one_of(_one_of(EXACT[field]), _part(parts))
    return st.one_of(asked, EMPTY).map(lambda said: {"field": field, **said})


LEAVES = st.sampled_from(sorted(KINDS)).flatmap(lambda field: question(field, KINDS[field]))
OF_CONTRACTS = st.sampled_from(sorted(CONTRACT_KINDS)).flatmap(lambda field: question(field, CONTRACT_KINDS[field]))
PERIOD = _dated()
FACTS = st.builds(
    lambda where, period, measure: {"related": "contracts", **where, **period, **measure},
    st.one_of(
        st.just({}),
        OF_CONTRACTS.map(lambda leaf: {"where": leaf}),
        st.lists(OF_CONTRACTS, max_size=2).map(lambda some: {"where": {"not": {"and": some}}} if some else {}),
    ),
    st.one_of(st.just({}), PERIOD.map(lambda said: {"period": said})),
    st.one_of(
        st.just({}),
        st.booleans().map(lambda wanted: {"exists": wanted}),
        _compared(st.sampled_from([0, 1, 2, 3])).map(lambda said: {"count": said}),
        _compared(AMOUNTS).map(lambda said: {"sum": {"field": "value", **said}}),
        PERIOD.map(lambda said: {"last": said}),
    ),
)
TREES = st.recursive(
    st.one_of(LEAVES, LEAVES, LEAVES, FACTS, st.just({})),
    lambda nodes: st.one_of(
        st.sampled_from(["and", "or", "none_of", "not_all_of"]).flatmap(
            lambda word: st.lists(nodes, max_size=4).map(lambda some: {word: some})
        ),
        nodes.map(lambda node: {"not": node}),
    ),
    max_leaves=8,
)

JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=8),
              st.sampled_from(["name", "eq", "and", "contracts", "created_at", "attributes.hang", "\x00", "\ud800"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(
        st.sampled_from(["and", "or", "not", "none_of", "not_all_of", "field", "op", "value", "related", "where",
                         "period", "count", "sum", "last", "exists", "x"]), inner, max_size=4)),
    max_leaves=12,
)  # fmt: skip
FIELD_KEYS = [*KINDS, "id", "version", "deleted", "tier", "referrer", "nothing", "attributes.nothing", ""]
OPS = ["eq", "ne", "in", "not_in", "contains", "not_contains", "starts_with", "ends_with", "gt", "gte", "lt", "lte",
       "between", "is_empty", "is_not_empty", "any_of", "all_of", "none_of", "in_last_days", "in_next_days", "on_day",
       "in_month", "like"]  # fmt: skip
VALUES: st.SearchStrategy[Any] = st.one_of(
    JSON,
    st.sampled_from([*WORDS, *DAYS, *PHONES, "me", "'", "\\", "[", "(", "*", "𝓗𝓸𝓪", "9" * 400, "2026-13-45",
                     "\u0301", " \u0301\u0309 ",
                     "1.000.000", "(5)", "2,5",
                     "today-99999", "0001-01-01", "9999-12-31", "25:00", "2026-11-22T10:00:00+07:00",
                     "1e999", "NaN", "Infinity"]),
    st.lists(st.sampled_from([1, "a", None, True, [], {}, "me", "today", "1.000.000"]), max_size=3),
)  # fmt: skip
# Right in form, and with any field, operator and value.
ODD_LEAVES = st.fixed_dictionaries({"field": st.sampled_from(FIELD_KEYS), "op": st.sampled_from(OPS), "value": VALUES})
MEASURED = st.fixed_dictionaries(
    {
        "op": st.sampled_from([*OPS[:2], *OPS[8:13]]),
        "value": st.one_of(VALUES, st.lists(VALUES, min_size=2, max_size=2)),
    },
    optional={"field": st.sampled_from(["value", "created_at"])},
)
ODD_FACTS = st.builds(
    lambda name, measure, said: {"related": name, measure: said},
    st.sampled_from(["contracts", "transactions", "contacts", "contact_points", "nothing"]),
    st.sampled_from(["count", "sum", "last", "exists", "where", "period"]),
    st.one_of(JSON, ODD_LEAVES, MEASURED),
)
WRONG = st.one_of(JSON, ODD_LEAVES, ODD_FACTS, st.lists(st.one_of(TREES, ODD_LEAVES, JSON), max_size=3).map(
    lambda some: {"and": some}))  # fmt: skip
