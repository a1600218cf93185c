"""An import of 1,000,000 rows: how long against ten times 100,000, and how much memory API and worker take, against
the file reader alone."""

import asyncio
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

from bench import import_100k
from bench.servers import running, sign_in
from bench.table import Row
from tests.factories.workbooks import customers_xlsx

MILLION = 1_000_000
MB = 1 << 20
READ = """
import sys
from python_calamine import CalamineWorkbook
count = sum(1 for _ in CalamineWorkbook.from_path(sys.argv[1]).get_sheet_by_index(0).iter_rows())
"""


def measure(rows: int = MILLION) -> list[Row]:
    """One import of 100,000 rows and one of `rows`, in the same run, into empty workspaces."""
    small, large = (import_100k.DATA / f"customers-{count}.xlsx" for count in (import_100k.ROWS, rows))
    import_100k.DATA.mkdir(parents=True, exist_ok=True)
    for path, count in ((small, import_100k.ROWS), (large, rows)):
        if not path.exists():
            customers_xlsx(path, count)
    alone = _peak_of_reader(str(large))
    bench = asyncio.run(import_100k.prepare(f"memory-{time.time_ns()}"))
    with running(bench, "api", "worker") as parts:
        client = sign_in(import_100k.slug_of(bench))
        first = import_100k.import_file(client, small, import_100k.ROWS)
    bench = asyncio.run(import_100k.prepare(f"memory-{time.time_ns()}"))
    with running(bench, "api", "worker") as parts, _watched(parts) as peaks:
        client = sign_in(import_100k.slug_of(bench))
        whole = import_100k.import_file(client, large, rows)
    times = rows / import_100k.ROWS
    flat = whole / (first * times)
    taken = max(peaks["all"], 1)
    return [
        Row(f"import {rows:,} rows", f"{whole:.0f} s", f"{first * times:.0f} s ({times:.0f} × 100,000)", f"{flat:.2f}",
            "≤ 1.1", flat <= 1.1),
        Row("memory of it: API, worker and their children", f"{taken / MB:.0f} MB",
            f"{alone / MB:.0f} MB (calamine alone)", f"{taken / alone:.2f}", "≤ 1.3", taken / alone <= 1.3),
        Row("of that, API and worker without the children", f"{peaks['own'] / MB:.0f} MB", "", "", "", True),
    ]  # fmt: skip


def _peak_of_reader(path: str) -> int:
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    subprocess.run([sys.executable, "-c", READ, path], check=True)
    return max(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, before) * 1024


@contextmanager
def _watched(parts: dict[str, psutil.Process]) -> Iterator[dict[str, int]]:
    """The peaks of resident memory, sampled five times a second: of the parts, and with their children."""
    peaks, done = {"own": 0, "all": 0}, threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            own = family = 0
            for process in parts.values():
                with suppress(psutil.NoSuchProcess):
                    own += process.memory_info().rss
                    family += sum(child.memory_info().rss for child in process.children(recursive=True))
            peaks["own"], peaks["all"] = max(peaks["own"], own), max(peaks["all"], own + family)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peaks
    finally:
        done.set()
        thread.join()
