"""A child process that dies leaves one line in the log: of what and where, and nothing of what it was given."""

import asyncio
import json
import re
from asyncio import IncompleteReadError
from collections.abc import Callable
from typing import Any

import pytest

from app.imports import children
from app.imports.children import child

SECRET = "Nguyễn Thị Kín 0912345678"

pytestmark = pytest.mark.promise(24)


class Died(Exception):
    """What the parent makes of it."""


async def ask(how: str, *, wait: bool = True) -> None:
    """Runs a child that dies so; without `wait` the parent gives up before it has seen the end."""
    async with child("tests.laws.doomed") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"{how}\n{SECRET}\n".encode())
        try:
            await process.stdout.readexactly(1)
        except IncompleteReadError as error:
            if not wait:
                raise
            await process.wait()
            raise Died from error


def told(written: str) -> list[dict[str, Any]]:
    """The log's lines about children."""
    lines = [json.loads(line) for line in written.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == "child_died"]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("raise", {"exit": 1, "error": "RuntimeError"}),
        ("killed", {"signal": "SIGKILL", "error": "", "where": ""}),
        ("abort", {"signal": "SIGABRT", "error": "", "where": ""}),
    ],
)
async def test_a_death_is_one_line_without_values(log: Callable[[], str], how: str, expected: dict[str, Any]) -> None:
    with pytest.raises(Died):
        await ask(how)
    written = log()
    (line,) = told(written)
    assert line.items() >= {"module": "tests.laws.doomed", "level": "error", **expected}.items()
    if how == "raise":
        assert re.fullmatch(r"doomed\.py:\d+ _digest < doomed\.py:\d+ main", line["where"])
    assert not [word for word in SECRET.split() if word in written]


async def test_a_death_that_nobody_waited_for_is_told_too(log: Callable[[], str]) -> None:
    with pytest.raises(IncompleteReadError):
        await ask("raise", wait=False)
    assert [line["error"] for line in told(log())] == ["RuntimeError"]


async def test_an_end_that_was_wanted_is_no_death(log: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    await ask("wait")
    with pytest.raises(Died):
        async with child("tests.laws.doomed") as process:
            raise Died
    assert process.returncode == -9
    monkeypatch.setattr(children, "PATIENCE", 0.2)
    async with asyncio.timeout(5), child("tests.laws.doomed") as process:
        assert process.stdin is not None
        process.stdin.write(b"hang\n\n")
        await process.stdin.drain()
        await asyncio.sleep(0.5)
    assert process.returncode == -9
    assert told(log()) == []
