"""The normalising process: the plan first, then chunks on stdin, each answered on stdout, until stdin ends."""

from __future__ import annotations

import sys
from typing import BinaryIO

import msgspec

from app.imports.normalise.rows import Normaliser
from app.imports.normalise.wire import CHUNK, HEAD, PLAN, REPLY, SEEN
from app.imports.plan import Plan, Seen
from app.imports.reading.model import Limits
from app.imports.reading.sandbox import confine
from app.imports.reading.wire import decode_chunk

# Within one claim. What it writes are last words.
LIMITS = Limits(cpu_seconds=300, file_bytes=1 << 20)


def main() -> None:
    """Serves one run."""
    confine(LIMITS)
    given, answers = sys.stdin.buffer, sys.stdout.buffer
    kind, plan = _receive(given)
    assert kind == PLAN
    normaliser = Normaliser(msgspec.msgpack.decode(plan, type=Plan))
    while True:
        kind, data = _receive(given)
        if kind == SEEN:
            normaliser.remember(msgspec.msgpack.decode(data, type=Seen))
        elif kind == CHUNK:
            batch, seen, copy = normaliser.chunk(decode_chunk(data))
            _answer(answers, msgspec.msgpack.encode(batch), msgspec.msgpack.encode(seen), copy)
        else:
            return


def _receive(given: BinaryIO) -> tuple[bytes, bytes]:
    head = given.read(HEAD.size)
    if len(head) < HEAD.size:
        return b"", b""
    kind, size = HEAD.unpack(head)
    return kind, given.read(size)


def _answer(answers: BinaryIO, *parts: bytes) -> None:
    answers.write(REPLY.pack(*map(len, parts)))
    for part in parts:
        answers.write(part)
    answers.flush()


if __name__ == "__main__":
    main()
