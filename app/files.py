"""Files of what runs on this machine: state that only its owner may read, and logs that stay short."""

import os
import tempfile
from pathlib import Path

LOG_BYTES = 10_000_000


def write_private(file: Path, text: str) -> None:
    """Replace the file in one step, readable by its owner only."""
    with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False, encoding="utf-8") as new:
        new.write(text)
        new.flush()
        os.fsync(new.fileno())
    Path(new.name).replace(file)
    sync_folder(file.parent)


def sync_folder(folder: Path) -> None:
    """Bring a folder's entries to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def shorten_log(log: Path) -> None:
    """Put a log of past starts aside once it is long; one older file is kept."""
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".old.log"))


def tail(log: Path, since: int = 0) -> str:
    """The last lines written, at most 2,000 bytes; none of what stood before the byte `since`."""
    return log.read_bytes()[since:][-2000:].decode(errors="replace").strip() if log.exists() else ""
