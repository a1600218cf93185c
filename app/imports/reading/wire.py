"""How rows travel from the reading process: MessagePack, with dates and damaged numbers as extensions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from struct import Struct
from typing import Any

import msgspec

from app.imports.reading.model import DamagedNumber, Limits, Row

FRAME = Struct(">cIII")
"""Before each frame: its kind, sheet index, chunk number, and the payload's length in bytes."""
CHUNK, DONE, REFUSED = b"C", b"D", b"R"
MAX_FRAME_BYTES = 128 << 20


@dataclass(frozen=True, slots=True)
class Request:
    """What the reading process is asked to do."""

    path: str
    filename: str
    limits: Limits
    chunk_rows: int


_DATE, _DATETIME, _TIME, _SPAN, _DAMAGED = range(1, 6)
_SECONDS = Struct(">d")


def decode_chunk(data: bytes) -> list[Row]:
    """The rows of one chunk, in the order of the sheet."""
    return _decoder.decode(data)


def encode_rows(rows: list[tuple[int, list[Any]]]) -> bytes:
    """Rows whose cells are plain scalars or came from `pack`."""
    return _encoder.encode(rows)


def pack(value: date | datetime | time | timedelta | DamagedNumber) -> msgspec.msgpack.Ext:
    """The wire form of a cell that is no plain scalar."""
    match value:
        case datetime():
            return msgspec.msgpack.Ext(_DATETIME, value.isoformat().encode())
        case date():
            return msgspec.msgpack.Ext(_DATE, value.toordinal().to_bytes(3, "big"))
        case time():
            return msgspec.msgpack.Ext(_TIME, value.isoformat().encode())
        case timedelta():
            return msgspec.msgpack.Ext(_SPAN, _SECONDS.pack(value.total_seconds()))
        case DamagedNumber():
            return msgspec.msgpack.Ext(_DAMAGED, value.text.encode())


def unpack(code: int, data: memoryview) -> date | datetime | time | timedelta | DamagedNumber:
    """The inverse of `pack`."""
    raw = bytes(data)
    if code == _DATE:
        return date.fromordinal(int.from_bytes(raw, "big"))
    if code == _DATETIME:
        return datetime.fromisoformat(raw.decode())
    if code == _TIME:
        return time.fromisoformat(raw.decode())
    if code == _SPAN:
        return timedelta(seconds=_SECONDS.unpack(raw)[0])
    if code == _DAMAGED:
        return DamagedNumber(raw.decode())
    raise ValueError(f"unknown extension {code}")


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[tuple[int, list[Any]]], ext_hook=unpack)
