"""Which features are proven by which tests: `python -m tests.features` (`make features`).

A test says what it proves by `@pytest.mark.feature("A066")`; tests/conftest.py takes the two hooks below, which keep
how each test ended in pytest's cache. The report lists every row of docs/features.tsv.
"""

import contextlib
import csv
import io
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FEATURES = ROOT / "docs" / "features.tsv"
CACHE = "chot/outcomes"
_outcomes: dict[str, str] = {}


@dataclass(frozen=True)
class Feature:
    """A row of docs/features.tsv."""

    id: str
    domain: str
    name: str


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remembers how a test ended; a failure before or after its body counts."""
    if report.when == "call" or report.outcome != "passed":
        worse = _outcomes.get(report.nodeid) == "failed"
        _outcomes[report.nodeid] = "failed" if worse else report.outcome


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Adds this run's outcomes to those of earlier, perhaps partial, runs."""
    cache = getattr(session.config, "cache", None)
    if cache is not None and _outcomes and not hasattr(session.config, "workerinput"):
        cache.set(CACHE, {**cache.get(CACHE, {}), **_outcomes})


class Collector:
    """A plugin that keeps the marked tests of a collection, and the outcomes of earlier runs."""

    def __init__(self) -> None:
        self.tests: dict[str, list[str]] = defaultdict(list)
        self.outcomes: dict[str, str] = {}
        self.errors: list[str] = []

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keeps the tests of each feature."""
        assert config.cache is not None
        self.outcomes = config.cache.get(CACHE, {})
        for item in items:
            for mark in item.iter_markers("feature"):
                for feature in mark.args:
                    self.tests[feature].append(item.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keeps what could not be collected."""
        if report.failed:
            self.errors.append(report.nodeid)


def read_features() -> list[Feature]:
    """The rows of docs/features.tsv."""
    with FEATURES.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [Feature(row["id"], row["domain"], row["name_vi"] or row["name_en"]) for row in rows]


def state_of(tests: list[str], outcomes: dict[str, str]) -> str:
    """What the last runs say of a feature: proven, failed, not run, or no test."""
    if not tests:
        return "no test"
    ended = {outcomes.get(test, "") for test in tests}
    if "failed" in ended:
        return "failed"
    return "proven" if ended == {"passed"} else "not run"


def report(features: list[Feature], tests: dict[str, list[str]], outcomes: dict[str, str]) -> list[str]:
    """The lines of the report: rows with tests, rows without, unknown marks, counts."""
    states = {one.id: state_of(tests.get(one.id, []), outcomes) for one in features}
    lines = []
    for one in features:
        if states[one.id] != "no test":
            lines.append(f"{one.id}  {states[one.id]:8}{one.name}")
            lines += [f"      {_mark(outcomes.get(test, ''))} {test}" for test in _short(tests[one.id])]
    lines += ["", "Without a test:"]
    lines += [f"{one.id}  {one.domain:16}{one.name}" for one in features if states[one.id] == "no test"]
    unknown = sorted(set(tests) - {one.id for one in features})
    if unknown:
        lines += ["", f"Marks that name no feature: {', '.join(unknown)}"]
    counted = {state: list(states.values()).count(state) for state in ("proven", "failed", "not run", "no test")}
    return [*lines, "", *(f"{state:8} {count:4}" for state, count in counted.items()), f"all      {len(features):4}"]


def main() -> int:
    """Collects the tests, silently, and prints the report. Ends with 1 if a mark or a test is broken."""
    collector = Collector()
    with contextlib.redirect_stdout(io.StringIO()):
        pytest.main(["--collect-only", "-q", "-m", "", str(ROOT / "tests")], plugins=[collector])
    features = read_features()
    print("\n".join(report(features, collector.tests, collector.outcomes)))
    if collector.errors:
        print(f"Not collected: {', '.join(collector.errors)}")
    return int(bool(collector.errors or set(collector.tests) - {one.id for one in features}))


def _short(tests: list[str]) -> list[str]:
    """The first of a test's many parameter sets stands for all, if they are more than three."""
    by_test: dict[str, list[str]] = defaultdict(list)
    for test in tests:
        by_test[test.partition("[")[0]].append(test)
    return [test for group in by_test.values() for test in (group if len(group) <= 3 else group[:1])]


def _mark(outcome: str) -> str:
    return {"passed": "+", "failed": "!", "": "?"}.get(outcome, "-")


if __name__ == "__main__":
    sys.exit(main())
