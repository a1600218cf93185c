"""The contract in openapi/ is a product of its own: current, valid, complete, and honest about its errors."""

import json
import re
from collections import Counter
from string import Formatter

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from app.core.errors import AppError, known_errors
from tests.laws.allowed import PUBLIC
from tests.laws.contract import Operation, document, operations, resolve
from tests.laws.source import ROOT

each_operation = pytest.mark.parametrize("operation", operations(), ids=lambda operation: operation.id)
each_error = pytest.mark.parametrize("error", known_errors(), ids=lambda error: error.__name__)


def test_the_committed_contract_is_the_codes() -> None:
    file = ROOT / "openapi" / "openapi.json"
    assert file.exists(), "run `make openapi` and commit the result"
    assert json.loads(file.read_text()) == json.loads(json.dumps(document())), (
        "run `make openapi` and commit the result"
    )


def test_the_contract_is_valid() -> None:
    validate(document())


def test_operation_ids_are_unique_and_say_what_they_do() -> None:
    counted = Counter(operation.id for operation in operations())
    assert [name for name, count in counted.items() if count > 1] == []
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", name) for name in counted)


@each_operation
def test_an_operation_describes_itself(operation: Operation) -> None:
    for name in ("summary", "description", "tags"):
        assert operation.raw.get(name), f"{operation}: no {name}"
    assert len(operation.raw["summary"]) <= 60, f"{operation}: the summary is longer than a line"
    assert not operation.raw["summary"].endswith("."), f"{operation}: a summary is no sentence"
    for parameter in operation.parameters:
        told = parameter.get("description") or parameter["in"] == "path" or "enum" in str(parameter["schema"])
        assert told or parameter["schema"].get("examples"), f"{operation}: {parameter['name']} is not described"


@each_operation
def test_an_operation_names_who_may_call_it(operation: Operation) -> None:
    assert operation.secured != (operation.id in PUBLIC), f"{operation}: security, or a reason in PUBLIC"


@each_operation
def test_replies_have_a_schema(operation: Operation) -> None:
    successes = {status: reply for status, reply in operation.raw["responses"].items() if status.startswith("2")}
    assert successes, f"{operation}: no success"
    for status, reply in successes.items():
        content = resolve(reply).get("content", {})
        if status == "204":
            assert not content, f"{operation}: 204 has no content"
            continue
        assert content or operation.path == "/metrics", f"{operation}: {status} has no content"
        for kind, media in content.items():
            if kind == "application/json":
                assert media.get("schema"), f"{operation}: {status} has no schema"


@each_operation
def test_refusals_are_problems(operation: Operation) -> None:
    for status, reply in operation.raw["responses"].items():
        if status[0] in "45":
            content = resolve(reply).get("content", {})
            assert list(content) == ["application/problem+json"], f"{operation}: {status}"
            assert content["application/problem+json"]["schema"] == {"$ref": "#/components/schemas/Problem"}
            assert resolve(reply)["description"], f"{operation}: {status} is not described"
    if operation.path.startswith("/api/"):
        assert {"422", "429", "500", "503"} <= set(operation.raw["responses"])


@each_operation
def test_a_body_has_an_example_that_is_valid(operation: Operation) -> None:
    if operation.body is None or operation.body[0] != "application/json":
        return
    assert operation.example is not None, f"{operation}: its body has no example"
    schema = {**operation.body[1], "components": document()["components"]}
    OAS31Validator(schema).validate(operation.example)


def test_exceptions_are_still_needed() -> None:
    assert set(PUBLIC) <= {operation.id for operation in operations()}


def test_error_codes_are_unique() -> None:
    counted = Counter(error.code for error in known_errors())
    assert [code for code, count in counted.items() if count > 1] == []


@each_error
def test_an_error_is_a_fact_in_two_languages(error: type[AppError]) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z0-9]+)*", error.code), error.code
    # A redirect is told as a problem too: for clients that do not follow it.
    assert 400 <= error.status < 600 or error.status == 308
    assert error.__doc__, f"{error.__name__}: what does it mean?"
    assert error.vi != error.en
    assert placeholders(error.vi) == placeholders(error.en), f"{error.__name__}: the languages say different things"


def placeholders(sentence: str) -> set[str]:
    """The names of the values in a sentence."""
    return {name for _, name, _, _ in Formatter().parse(sentence) if name}
