"""The disposable process that reads one file: a request on stdin, frames on stdout, then it ends."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import BinaryIO

import msgspec

from app.imports.reading.delimited import read_csv
from app.imports.reading.model import Unreadable, Workbook
from app.imports.reading.sandbox import confine
from app.imports.reading.sniff import sniff
from app.imports.reading.wire import CHUNK, DONE, FRAME, REFUSED, Request
from app.imports.reading.xlsx import read_xlsx


def main() -> None:
    """Serve the one request; every end that is no death by signal is a frame."""
    request = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Request)
    out = _own_stdout()
    confine(request.limits)
    # Millions of small lists and no cycles: the collector would only cost time.
    gc.disable()
    try:
        book = _read(request, out)
    except Unreadable as refusal:
        _send(out, REFUSED, msgspec.msgpack.encode([refusal.code, refusal.details]))
    except MemoryError:
        _send(out, REFUSED, msgspec.msgpack.encode(["file_too_complex", {"reason": "memory"}]))
    except Exception as error:  # noqa: BLE001 - the caller must get an answer
        details = {"error": type(error).__name__}
        _send(out, REFUSED, msgspec.msgpack.encode(["file_crashed_parser", details]))
    else:
        _send(out, DONE, msgspec.msgpack.encode(book))
    out.flush()
    # No destructors: a crash while tidying up must not spoil a good answer.
    os._exit(0)


def _read(request: Request, out: BinaryIO) -> Workbook:
    limit, kept = request.limits.kept_bytes, 0

    def emit(sheet: int, chunk: int, data: bytes) -> None:
        nonlocal kept
        kept += len(data)
        if kept > limit:
            raise Unreadable("file_too_complex", reason="rows_too_big", limit=limit)
        _send(out, CHUNK, data, sheet, chunk)

    path = Path(request.path)
    reader = read_xlsx if sniff(path, request.filename) == "xlsx" else read_csv
    return reader(path, request.limits, chunk_rows=request.chunk_rows, emit=emit)


def _send(out: BinaryIO, kind: bytes, data: bytes, sheet: int = 0, chunk: int = 0) -> None:
    out.write(FRAME.pack(kind, sheet, chunk, len(data)))
    out.write(data)


def _own_stdout() -> BinaryIO:
    """The pipe to the parent, out of reach of whatever a library may print."""
    pipe = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    return os.fdopen(pipe, "wb", buffering=0)
