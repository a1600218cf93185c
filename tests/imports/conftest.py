"""Fixtures of the import tests."""

import functools

import pytest

from app.imports import reading


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are read in chunks of three rows, so that a short one has many."""
    monkeypatch.setattr(reading, "read", functools.partial(reading.read, chunk_rows=3))
