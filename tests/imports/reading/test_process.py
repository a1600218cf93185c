"""The reading process: bounded, alone, never outliving its caller and never taking it along."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from app.imports.reading import Limits, Unreadable, decode_chunk, read
from tests.factories.workbooks import MAIN, SheetXml, customers_csv, customers_xlsx, write_zip, xlsx_parts

ROOT = Path(__file__).parents[3]
LETTERS = "ABCDEFGHIJKLM"


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 2 s of reading: rows that differ in nothing but their number, not packed, which costs no time to make."""
    cells = "".join(f'<c r="{letter}#" t="inlineStr"><is><t>Nguyễn Văn {letter}</t></is></c>' for letter in LETTERS)
    rows = "".join(f'<row r="#">{cells}</row>'.replace("#", str(number)) for number in range(1, 80_001))
    path = tmp_path_factory.mktemp("large") / "a.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in xlsx_parts(rows).items():
            archive.writestr(name, data)
    return path


def _readers() -> Iterator[psutil.Process]:
    for child in psutil.Process().children():
        try:
            if "app.imports.reading.child" in " ".join(child.cmdline()):
                yield child
        except psutil.NoSuchProcess:
            continue


async def _confined_reader() -> psutil.Process:
    """The one process reading now, once it has put up its walls (the processor limit comes last)."""
    for _ in range(1_000):
        for reader in _readers():
            if reader.rlimit(psutil.RLIMIT_CPU)[0] == Limits().cpu_seconds:
                return reader
        await asyncio.sleep(0.01)
    raise AssertionError("no reader started")


async def _ignore(_sheet: int, _chunk: int, _data: bytes) -> None: ...


@pytest.mark.promise(17)
async def test_too_slow_is_an_answer_and_leaves_nothing_behind(large: Path) -> None:
    with pytest.raises(Unreadable) as refused:
        await read(large, filename="a.xlsx", on_chunk=_ignore, limits=Limits(wall_seconds=0.5))
    assert (refused.value.code, refused.value.details) == ("file_too_complex", {"reason": "time"})
    assert list(_readers()) == []


@pytest.mark.promise(17)
async def test_too_much_processor_time_is_an_answer(large: Path) -> None:
    with pytest.raises(Unreadable) as refused:
        await read(large, filename="a.xlsx", on_chunk=_ignore, limits=Limits(cpu_seconds=1))
    assert (refused.value.code, refused.value.details) == ("file_too_complex", {"reason": "cpu"})


@pytest.mark.promise(17)
async def test_a_text_that_is_named_again_and_again_is_bounded(tmp_path: Path) -> None:
    """A cell that names a shared text takes few bytes of the file; what is handed over, of all sheets, has it whole."""
    cells = "".join(f'<row r="{n}"><c r="A{n}" t="s"><v>0</v></c></row>' for n in range(1, 301))
    path, handed = tmp_path / "a.xlsx", 0
    strings = f'<sst xmlns="{MAIN}"><si><t>{"a" * 32_767}</t></si></sst>'
    write_zip(path, xlsx_parts(*(SheetXml(cells, name=f"S{n}") for n in range(5)), strings=strings))

    async def take(_sheet: int, _chunk: int, data: bytes) -> None:
        nonlocal handed
        handed += len(data)

    with pytest.raises(Unreadable) as refused:
        await read(path, filename="a.xlsx", on_chunk=take, limits=Limits(kept_bytes=20_000_000))
    assert (refused.value.code, refused.value.details["reason"]) == ("file_too_complex", "rows_too_big")
    assert path.stat().st_size < 100_000
    assert 0 < handed <= 20_000_000
    await read(path, filename="a.xlsx", on_chunk=_ignore, limits=Limits(kept_bytes=60_000_000))


@pytest.mark.promise(17)
async def test_parser_abort_for_want_of_memory_is_an_answer(large: Path) -> None:
    with pytest.raises(Unreadable) as refused:
        await read(large, filename="a.xlsx", on_chunk=_ignore, limits=Limits(memory_bytes=90 << 20))
    assert refused.value.code in ("file_crashed_parser", "file_too_complex")


@pytest.mark.promise(17)
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGSEGV, "file_crashed_parser"), (signal.SIGKILL, "file_too_complex")]
)
async def test_death_by_signal_is_an_answer(large: Path, number: signal.Signals, code: str) -> None:
    task = asyncio.create_task(read(large, filename="a.xlsx", on_chunk=_ignore))
    (await _confined_reader()).send_signal(number)
    with pytest.raises(Unreadable) as refused:
        await task
    assert refused.value.code == code


async def test_cancelling_ends_the_process(large: Path) -> None:
    task = asyncio.create_task(read(large, filename="a.xlsx", on_chunk=_ignore))
    await _confined_reader()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list(_readers()) == []


async def test_the_end_of_a_process_is_heard_whenever_it_comes(
    large: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody but the event loop's watcher asks for a process's status: it would say "Unknown child process"."""
    short = customers_csv(tmp_path / "a.csv", 10)
    others = {child.pid for child in psutil.Process().children()}
    for path, seconds in ((large, 0.0), (large, 0.001), (large, 0.004), (short, 0.1), (short, 0.2), (large, 0.3)):
        task = asyncio.create_task(read(path, filename=path.name, on_chunk=_ignore))
        await asyncio.sleep(seconds)
        before = [reader.pid for reader in psutil.Process().children()]
        # A worker that is being stopped cancels again whoever takes its time.
        while not task.done():
            task.cancel()
            await asyncio.sleep(0)
        assert task.cancelled() or task.exception() is None
        assert not any(psutil.pid_exists(pid) for pid in before if pid not in others)
    gc.collect()
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio"] == []


async def test_an_error_of_the_caller_is_passed_on_and_ends_the_process(tmp_path: Path) -> None:
    async def refuse(_sheet: int, _chunk: int, _data: bytes) -> None:
        raise TimeoutError("the caller's own")

    with pytest.raises(TimeoutError, match="the caller's own"):
        await read(customers_csv(tmp_path / "a.csv", 3_000), filename="a.csv", on_chunk=refuse, chunk_rows=100)
    assert list(_readers()) == []


async def test_chunks_come_in_order_one_at_a_time(tmp_path: Path) -> None:
    path = customers_xlsx(tmp_path / "a.xlsx", 2_500)
    inside, seen, first_rows = 0, [], []

    async def take(sheet: int, chunk: int, data: bytes) -> None:
        nonlocal inside
        inside += 1
        assert inside == 1
        await asyncio.sleep(0.005)
        rows = decode_chunk(data)
        seen.append((sheet, chunk, len(rows)))
        first_rows.append(rows[0][0])
        inside -= 1

    await read(path, filename="a.xlsx", on_chunk=take, chunk_rows=1_000)
    assert seen == [(0, 0, 1_000), (0, 1, 1_000), (0, 2, 501)]
    assert first_rows == [1, 1_001, 2_001]


async def test_a_slow_caller_holds_the_process_back_and_does_not_count_as_its_time(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("Họ tên,SĐT,Ghi chú\n" + "Nguyễn Văn A,0912345678,gọi lại vào sáng thứ hai tuần sau\n" * 20_000)
    written = []

    async def take(_sheet: int, chunk: int, _data: bytes) -> None:
        if chunk == 0:
            await asyncio.sleep(2)
            written.append(next(_readers()).io_counters().write_chars)

    book = await read(path, filename="a.csv", on_chunk=take, limits=Limits(wall_seconds=1.9), chunk_rows=1_000)
    assert book.sheets[0].rows == 20_001
    # A pipe, two buffers and a chunk, of one and a half million bytes.
    assert written[0] < 600_000


@pytest.mark.promise(17)
async def test_the_process_has_no_secrets_and_tight_limits(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHOT_SECRET_KEY", "never to be seen by a parser")
    task = asyncio.create_task(read(large, filename="a.xlsx", on_chunk=_ignore))
    child = await _confined_reader()
    assert "CHOT_SECRET_KEY" not in child.environ()
    assert child.cwd() == "/"
    assert child.rlimit(psutil.RLIMIT_AS) == (2 << 30, 2 << 30)
    assert child.rlimit(psutil.RLIMIT_CORE) == child.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
    assert child.rlimit(psutil.RLIMIT_NOFILE) == (32, 32)
    assert Path(f"/proc/{child.pid}/oom_score_adj").read_text().strip() == "1000"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.promise(17)
def test_an_orphan_dies_with_its_parent(large: Path) -> None:
    script = (
        "import asyncio, sys; from pathlib import Path; from app.imports.reading import read\n"
        "async def never(*_): await asyncio.sleep(3600)\n"
        "asyncio.run(read(Path(sys.argv[1]), filename='a.xlsx', on_chunk=never))"
    )
    worker = subprocess.Popen([sys.executable, "-c", script, str(large)], cwd=ROOT)
    try:
        deadline = time.monotonic() + 20
        while not (children := psutil.Process(worker.pid).children()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        orphan = children[0]
        time.sleep(0.5)
        assert orphan.is_running()
    finally:
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
    _, alive = psutil.wait_procs([orphan], timeout=10)
    assert alive == []


def test_the_process_loads_nothing_of_the_application() -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); import app.imports.reading.child; "
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    loaded = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    assert {"sqlalchemy", "fastapi", "pydantic", "asyncpg", "openpyxl"}.isdisjoint(loaded.stdout.split())
