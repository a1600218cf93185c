"""The zip layer of an .xlsx: what it lists is checked, and what it unpacks to is counted."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from app.imports.reading.model import Limits, Unreadable

_BLOCK = 64 << 10
_WINDOW = 512 << 10
_ENCRYPTED = 0x1


@dataclass(frozen=True, slots=True)
class Part:
    """One file inside the archive, as its directory declares it."""

    name: str
    offset: int
    packed: int
    declared: int
    method: int
    crc: int


class Archive:
    """The parts by lower-case name with forward slashes; unpacking is charged to one budget.

    Raises `Unreadable` for an archive that is damaged, encrypted, or built to hurt.
    """

    def __init__(self, file: BinaryIO, limits: Limits) -> None:
        self._file = file
        self._limits = limits
        self._unpacked = 0
        self.parts = _list_parts(file, limits)

    def unpack(self, part: Part) -> Iterator[bytes]:
        """The part in pieces of at most half a megabyte. Declared sizes are not believed."""
        out = crc = 0
        for piece in self._pieces(part):
            out += len(piece)
            crc = zlib.crc32(piece, crc)
            self._charge(part, out, len(piece))
            yield piece
        if out != part.declared:
            raise Unreadable("file_hostile", reason="lying_size", part=part.name)
        if crc != part.crc:
            raise Unreadable("file_corrupt", reason="checksum", part=part.name)

    def read(self, part: Part) -> bytes:
        """A whole small part (the workbook's own description, never a sheet)."""
        out = bytearray()
        for piece in self.unpack(part):
            out += piece
            if len(out) > self._limits.small_part_bytes:
                raise Unreadable("file_hostile", reason="part_too_big", part=part.name)
        return bytes(out)

    def _pieces(self, part: Part) -> Iterator[bytes]:
        self._file.seek(part.offset)
        header = self._file.read(30)
        if len(header) < 30 or header[:4] != b"PK\x03\x04":
            raise Unreadable("file_corrupt", reason="no_local_header", part=part.name)
        self._file.seek(int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little"), 1)
        if part.method == zipfile.ZIP_STORED:
            yield from self._packed(part)
            return
        inflater = zlib.decompressobj(-15)
        try:
            for block in self._packed(part):
                while block:
                    yield inflater.decompress(block, _WINDOW)
                    block = inflater.unconsumed_tail
            yield inflater.flush()
        except zlib.error:
            raise Unreadable("file_corrupt", reason="bad_deflate", part=part.name) from None
        if not inflater.eof:
            raise Unreadable("file_corrupt", reason="truncated", part=part.name)

    def _packed(self, part: Part) -> Iterator[bytes]:
        left = part.packed
        while left:
            block = self._file.read(min(_BLOCK, left))
            if not block:
                raise Unreadable("file_corrupt", reason="truncated", part=part.name)
            left -= len(block)
            yield block

    def _charge(self, part: Part, out: int, more: int) -> None:
        self._unpacked += more
        if self._unpacked > self._limits.unpacked_bytes:
            raise Unreadable("file_hostile", reason="unpacked_too_big", limit=self._limits.unpacked_bytes)
        if out > self._limits.ratio_floor_bytes and out > self._limits.ratio * part.packed:
            raise Unreadable("file_hostile", reason="ratio", part=part.name, limit=self._limits.ratio)


def _list_parts(file: BinaryIO, limits: Limits) -> dict[str, Part]:
    try:
        with zipfile.ZipFile(file) as directory:
            entries = directory.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, struct.error, LookupError, EOFError):
        raise Unreadable("file_corrupt", reason="bad_zip") from None
    if len(entries) > limits.zip_entries:
        raise Unreadable("file_hostile", reason="too_many_entries", limit=limits.zip_entries)
    parts: dict[str, Part] = {}
    for entry in entries:
        name = _safe_name(entry.orig_filename)
        if entry.flag_bits & _ENCRYPTED:
            raise Unreadable("file_encrypted")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Unreadable("file_corrupt", reason="compression", method=entry.compress_type)
        if name in parts:
            raise Unreadable("file_hostile", reason="duplicate_entry", part=name)
        parts[name] = Part(
            name, entry.header_offset, entry.compress_size, entry.file_size, entry.compress_type, entry.CRC
        )
    _refuse_overlap(parts)
    return parts


def _safe_name(name: str) -> str:
    # Some real writers use backslashes; compare names the way Excel does, without regard to case.
    path = name.replace("\\", "/")
    if path.startswith("/") or "\0" in path or ".." in path.split("/") or path[1:2] == ":":
        raise Unreadable("file_hostile", reason="unsafe_name")
    return path.lower()


def _refuse_overlap(parts: dict[str, Part]) -> None:
    """Entries that share bytes are how a small archive unpacks to a huge one."""
    end = 0
    for part in sorted(parts.values(), key=lambda part: part.offset):
        if part.offset < end:
            raise Unreadable("file_hostile", reason="overlapping_entries", part=part.name)
        end = part.offset + 30 + part.packed
