"""No file can kill or stall the process that asks for it to be read: one file of each end here, all of them through
the API in tests/imports/test_hostile_upload.py."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from app.imports.reading import Limits, Unreadable, read
from tests.factories.hostile_workbooks import HOSTILE, Hostile

ONE_OF_EACH = list({one.codes: one for one in HOSTILE}.values())


async def _ignore(_sheet: int, _chunk: int, _data: bytes) -> None: ...


@pytest.mark.promise(17)
@pytest.mark.parametrize("bad", ONE_OF_EACH, ids=lambda bad: bad.name)
async def test_hostile_file_ends_in_a_code(bad: Hostile, tmp_path: Path) -> None:
    path = tmp_path / "upload"
    bad.make(path)
    me, started = os.getpid(), time.monotonic()
    with pytest.raises(Unreadable) as refused:
        await read(path, filename=bad.filename, on_chunk=_ignore, limits=Limits(wall_seconds=30))
    assert refused.value.code in bad.codes, refused.value.details
    assert time.monotonic() - started < 20
    assert os.getpid() == me
