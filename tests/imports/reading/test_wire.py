"""What is put on the wire comes off it the same."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.imports.reading import Cell, DamagedNumber, decode_chunk
from app.imports.reading.cells import SheetRows
from app.imports.reading.wire import encode_rows, pack

_PACKED = st.one_of(
    st.dates(),
    st.datetimes(),
    st.times(),
    st.timedeltas(dt.timedelta(0), dt.timedelta(days=3_000_000)).map(lambda span: dt.timedelta(seconds=span.seconds)),
    st.from_regex(r"[1-9][0-9]{15,20}", fullmatch=True).map(DamagedNumber),
)
_PLAIN = st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False), st.text())


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.integers(1, 1_048_576), st.lists(st.one_of(_PACKED, _PLAIN), max_size=8)), max_size=8)
)
def test_round_trip(rows: list[tuple[int, list[Cell]]]) -> None:
    sent = [
        (n, [pack(c) if isinstance(c, dt.date | dt.time | dt.timedelta | DamagedNumber) else c for c in cells])
        for n, cells in rows
    ]
    assert decode_chunk(encode_rows(sent)) == rows


def test_an_unknown_extension_is_an_error() -> None:
    with pytest.raises(ValueError, match="extension"):
        decode_chunk(b"\x91\x92\x01\x91\xd4\x63\x00")


def test_long_text_ends_a_chunk_early() -> None:
    chunks: list[bytes] = []
    rows = SheetRows(0, lambda *frame: chunks.append(frame[2]), chunk_rows=10_000, cell_chars=32_767)
    for number in range(1, 1_001):
        rows.add(number, ["đ" * 30_000])
    rows.finish()
    assert len(chunks) > 4
    assert max(map(len, chunks)) < 16 << 20
    assert sum(len(decode_chunk(chunk)) for chunk in chunks) == 1_000
