"""docs/promises.md names the tests that keep each promise, and only tests that say so themselves."""

import ast
import re

from tests.laws.source import ROOT, modules

LISTED = re.compile(r"^\| (\d+) \|.*\|(.*)\|$", re.M)


def listed() -> dict[int, set[str]]:
    """The files that the list names for each promise; those that are no tests but watch them are left out."""
    text = (ROOT / "docs" / "promises.md").read_text()
    return {
        int(number): set(re.findall(r"`(tests/[\w/]*test_\w+\.py)`", cell)) for number, cell in LISTED.findall(text)
    }


def marked() -> dict[int, set[str]]:
    """The files with a test that carries each promise's mark."""
    found: dict[int, set[str]] = {}
    for path, tree in modules("tests"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.promise":
                for number in node.args:
                    assert isinstance(number, ast.Constant)
                    assert isinstance(number.value, int)
                    found.setdefault(number.value, set()).add(path)
    return found


def test_the_list_and_the_marks_agree() -> None:
    wanted, found = listed(), marked()
    assert set(wanted) == set(found)
    for number, files in wanted.items():
        assert files, f"promise {number} is kept by nothing"
        assert files <= found[number], f"promise {number}: {sorted(files - found[number])} do not carry its mark"
