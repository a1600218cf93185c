"""The report of features tells what is proven and what is not."""

import ast

from tests.features import Feature, read_features, report, state_of
from tests.laws.source import modules

ROWS = [Feature("A001", "customers", "Một"), Feature("A002", "customers", "Hai"), Feature("A003", "calls", "Ba")]


def test_every_row_of_the_scope_is_read() -> None:
    rows = read_features()
    assert len(rows) == 276
    assert len({row.id for row in rows}) == 276
    assert all(row.name and row.domain for row in rows)


def test_every_mark_names_a_row() -> None:
    """A mark with a slip in it would prove nothing, and nobody would see it."""
    rows, found = {row.id for row in read_features()}, set()
    for path, tree in modules("tests"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("mark.feature"):
                said = {ast.literal_eval(one) for one in node.args}
                assert said, f"{path}:{node.lineno}: a mark without a row"
                assert said <= rows, f"{path}:{node.lineno}: {sorted(said - rows)}"
                found |= said
    assert len(found) > 50


def test_states() -> None:
    assert state_of([], {}) == "no test"
    assert state_of(["a"], {}) == "not run"
    assert state_of(["a", "b"], {"a": "passed"}) == "not run"
    assert state_of(["a", "b"], {"a": "passed", "b": "passed"}) == "proven"
    assert state_of(["a", "b"], {"a": "passed", "b": "failed"}) == "failed"


def test_the_report_lists_rows_with_tests_then_those_without() -> None:
    tests = {"A002": ["t.py::b[1]", "t.py::b[2]"], "A003": ["t.py::c"], "Z999": ["t.py::z"]}
    lines = report(ROWS, tests, {"t.py::b[1]": "passed", "t.py::b[2]": "passed", "t.py::c": "failed"})
    assert lines[:5] == [
        "A002  proven  Hai",
        "      + t.py::b[1]",
        "      + t.py::b[2]",
        "A003  failed  Ba",
        "      ! t.py::c",
    ]
    assert lines[lines.index("Without a test:") + 1].startswith("A001")
    assert "Marks that name no feature: Z999" in lines
    assert lines[-5:] == ["proven      1", "failed      1", "not run     0", "no test     1", "all         3"]
