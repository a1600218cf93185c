"""Nobody overwrites what they have not seen: a change of a record names the version that it is for."""

import pytest

from tests.laws.allowed import NO_VERSION
from tests.laws.calling import prepare, send
from tests.laws.contract import Operation, operations
from tests.laws.scene import Scene

CHANGES = [operation for operation in operations() if operation.method in ("patch", "put", "delete")]


def each(found: list[Operation]) -> pytest.MarkDecorator:
    """One test for each of these operations."""
    return pytest.mark.parametrize("operation", found, ids=lambda operation: operation.id)


@each(CHANGES)
def test_a_change_takes_a_version_or_has_a_reason(operation: Operation) -> None:
    assert operation.needs_version != (operation.id in NO_VERSION), f"{operation}: If-Match, or a reason in NO_VERSION"
    told = {"412", "428"} & set(operation.raw["responses"])
    assert told == ({"412", "428"} if operation.needs_version else set())


def test_exceptions_are_still_needed() -> None:
    assert set(NO_VERSION) <= {operation.id for operation in CHANGES}


@each([one for one in CHANGES if one.id not in NO_VERSION])
async def test_no_version_and_an_old_one_are_refused(scene: Scene, operation: Operation) -> None:
    call = await prepare(operation, scene)
    for version, status, code in ((None, 428, "if_match_required"), ('"999"', 412, "stale"), ('W/"1"', 412, "stale")):
        call.headers = {} if version is None else {"If-Match": version}
        reply = await send(operation, scene.client, call)
        assert (reply.status_code, reply.json()["code"]) == (status, code)


@each([one for one in CHANGES if one.id in NO_VERSION])
async def test_a_change_without_a_version_may_be_repeated(scene: Scene, operation: Operation) -> None:
    call = await prepare(operation, scene)
    first, second = [await send(operation, scene.client, call) for _ in range(2)]
    assert (first.status_code, second.status_code) == (200, 200), second.text
    assert (first.json()["changed"], second.json()["changed"]) == (1, 0)
