"""What kind of file this is, by its first bytes: names and content types are the sender's word."""

from __future__ import annotations

import mmap
import re
from pathlib import Path
from typing import Literal

from app.imports.reading.model import Unreadable

_HEAD = 8192
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED_STREAM = "EncryptedPackage".encode("utf-16-le")
_ZIPS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_BIFF = (b"\x09\x08\x10\x00", b"\x09\x08\x08\x00", b"\x09\x04\x06\x00", b"\x09\x02\x06\x00", b"\x09\x00\x04\x00")
_OTHERS = {
    b"%PDF": "pdf",
    b"\x89PNG": "image",
    b"\xff\xd8\xff": "image",
    b"GIF8": "image",
    b"RIFF": "media",
    b"\x1f\x8b": "gzip",
    b"Rar!": "rar",
    b"7z\xbc\xaf": "7z",
    b"\x7fELF": "program",
    b"MZ\x90": "program",
    b"{\\rtf": "rtf",
    b"SQLite format 3": "database",
}
_MARKUP = re.compile(rb"<(?:\?xml|!doctype|html|head|body|table|script|style|meta|svg|!--|[a-z]+:)", re.IGNORECASE)
_JSON = re.compile(rb"(?:\{\s*\"|\[\s*[\[{])")


def sniff(path: Path, filename: str) -> Literal["xlsx", "csv"]:
    """The reader to use; raises `Unreadable` for a file that is certainly something else."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head:
        raise Unreadable("file_empty")
    if head.startswith(_OLE):
        raise Unreadable("file_encrypted") if _is_encrypted(path) else Unreadable("file_legacy_format", format="xls")
    if head.startswith(_BIFF):
        raise Unreadable("file_legacy_format", format="xls")
    if head.startswith(_ZIPS):
        return "xlsx"
    for magic, kind in _OTHERS.items():
        if head.startswith(magic):
            raise Unreadable("not_a_table", reason=kind)
    text = head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
    if _MARKUP.match(text):
        raise Unreadable("not_a_table", reason="markup")
    if _JSON.match(text):
        raise Unreadable("not_a_table", reason="json")
    if filename.lower().endswith((".xlsx", ".xlsm")):
        raise Unreadable("file_corrupt", reason="not_a_zip")
    return "csv"


def _is_encrypted(path: Path) -> bool:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(_ENCRYPTED_STREAM) >= 0
