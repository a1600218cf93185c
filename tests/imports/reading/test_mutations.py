"""Good files with random damage: every one ends read or refused, and never by an error of our own."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

from app.imports.reading import Limits, Unreadable
from tests.factories.workbooks import MAIN, SheetXml, cell, customers_csv, row, table, write_zip, xlsx_parts
from tests.imports.reading.reading import read_apart

_NOISE = [b"", b"<", b">", b'"', b"&", b"&#0;", b"\0", b"\xff\xfe", b"99999999999", b"-1", b"<!--", b"XFD1048576"]


@pytest.mark.promise(17)
@pytest.mark.parametrize("seed", range(12))
async def test_damaged_file_ends_in_an_answer(tmp_path: Path, seed: int) -> None:
    await _survive(tmp_path / "upload", Random(seed))


@pytest.mark.long
@pytest.mark.promise(17)
@pytest.mark.timeout(1_800)
async def test_thousands_of_damaged_files_end_in_an_answer(tmp_path: Path) -> None:
    for seed in range(1_000, 4_000):
        await _survive(tmp_path / "upload", Random(seed))


async def _survive(path: Path, rng: Random) -> None:
    kind = rng.choice(["xml", "xml", "xml", "zip", "csv"])
    if kind == "xml":
        _damaged_parts(path, rng)
    elif kind == "zip":
        write_zip(path, _parts())
        path.write_bytes(_flip(path.read_bytes(), rng))
    else:
        path.write_bytes(_flip(customers_csv(path, 30).read_bytes(), rng))
    filename = "a.csv" if kind == "csv" else "a.xlsx"
    details: dict[str, object] = {}
    try:
        await read_apart(path, filename=filename, limits=Limits(wall_seconds=20))
    except Unreadable as refusal:
        details = refusal.details
    # An exception that no one foresaw is named under this key.
    assert "error" not in details, details


def _parts() -> dict[str, bytes]:
    data = table([["Họ tên", "SĐT", "Sinh"], ["An", "0912345678", 45_000], ["#REF!", 912_345_678, True]])
    data += row(9, {"C": "Huế", "AB": 1.5}) + f'<row r="11">{cell("A11", 45_000.5, style=2)}</row>'
    data += '<row r="12"><c r="A12" t="s"><v>0</v></c><c r="B12" t="str"><f>A1&amp;"x"</f><v>x</v></c></row>'
    sheets = [
        SheetXml(data, after='<mergeCells count="1"><mergeCell ref="A1:B1"/></mergeCells>'),
        SheetXml(data, "Hai"),
    ]
    strings = f'<sst xmlns="{MAIN}" uniqueCount="1"><si><t>Ô</t></si></sst>'
    return xlsx_parts(*sheets, strings=strings)


def _damaged_parts(path: Path, rng: Random) -> None:
    parts = _parts()
    for _ in range(rng.randint(1, 3)):
        name = rng.choice([name for name in parts if name.startswith("xl/")])
        parts[name] = _cut_words(parts[name], rng)
    write_zip(path, parts)


def _cut_words(data: bytes, rng: Random) -> bytes:
    """Replace some token of the markup by noise or by another token."""
    words = re.findall(rb'[A-Za-z0-9:#!/.-]+|[<>="&]', data)
    old: bytes = rng.choice(words)
    new: bytes = rng.choice([*_NOISE, *words])
    place = rng.choice([match.start() for match in re.finditer(re.escape(old), data)])
    return data[:place] + new + data[place + len(old) :]


def _flip(data: bytes, rng: Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        out[rng.randrange(len(out))] = rng.randrange(256)
    return bytes(out[: rng.choice([len(out), len(out), rng.randrange(1, len(out))])])
