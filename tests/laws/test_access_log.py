"""The access log and the metrics name the route of every request as the contract does, and never the path itself."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import uuid4

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.laws.contract import Operation, operations


def lines(written: str) -> list[dict[str, object]]:
    """The access log's lines."""
    return [json.loads(line) for line in written.splitlines() if line.startswith('{"event":"request"')]


async def counted(client: httpx.AsyncClient) -> dict[tuple[str, str, int], float]:
    """How many replies the metrics count, by method, route and status."""
    written = (await client.get("/metrics")).text.splitlines()
    # To parse the thousands of other lines would take longer than all else here.
    ours = [line for line in written if line.startswith("chot_requests_total")]
    families = text_string_to_metric_families("\n".join(["# TYPE chot_requests counter", *ours, ""]))
    return {
        (sample.labels["method"], sample.labels["route"], int(sample.labels["status"])): sample.value
        for family in families
        for sample in family.samples
    }


@pytest.mark.parametrize("operation", operations(), ids=lambda operation: operation.id)
async def test_a_request_is_known_by_its_whole_route(
    client: httpx.AsyncClient, log: Callable[[], str], operation: Operation
) -> None:
    unknown = str(uuid4())
    url = operation.path.format(**dict.fromkeys(operation.names("path"), unknown))
    reply = await client.request(operation.method.upper(), url)
    (line,) = lines(written := log())
    assert line["level"] == "info"
    assert abs((datetime.now(UTC) - datetime.fromisoformat(str(line["timestamp"]))).total_seconds()) < 5
    assert (line["method"], line["route"]) == (operation.method.upper(), operation.path)
    assert (line["status"], line["request_id"]) == (reply.status_code, reply.headers["x-request-id"])
    assert unknown not in written


async def test_each_route_is_counted_by_itself(client: httpx.AsyncClient) -> None:
    before, sent = await counted(client), dict[tuple[str, str, int], Operation]()
    for operation in operations():
        url = operation.path.format(**dict.fromkeys(operation.names("path"), str(uuid4())))
        reply = await client.request(operation.method.upper(), url)
        sent[operation.method.upper(), operation.path, reply.status_code] = operation
    after = await counted(client)
    assert len(sent) == len(operations())
    for key, operation in sent.items():
        # The first look at the metrics was a request as well.
        assert after[key] == before.get(key, 0) + 1 + (operation.path == "/metrics"), operation


async def test_a_path_that_no_route_has_is_not_told(client: httpx.AsyncClient, log: Callable[[], str]) -> None:
    assert (await client.get("/api/v1/khach-hang/0912345678")).status_code == 404
    written = log()
    (line,) = lines(written)
    assert (line["route"], line["status"]) == ("none", 404)
    assert "0912345678" not in written
