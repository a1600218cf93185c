"""Starts the processes of the fault tests: `python -m tests.faults.forks`.

What a worker imports costs seconds of a processor, and the tests start dozens of them. This process imports it once
and forks each of them. A fork runs its module as `python -m` would, and is as real a process as any to who kills it.
"""

import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
# What API and workers are made of; but for the modules that are run, which are imported by running them.
COMMON = ("app.demo.seed", "app.doctor", "app.main", "typer", "uvicorn", "workers.main")
READ = 1 << 16


class Forks:
    """The tests' side: a process that starts others. They end with it, and it ends with the tests."""

    def __init__(self) -> None:
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.forks"],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def start(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> "Fork":
        """Runs a module with arguments, in an environment, with its output in a file."""
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        ended = log.with_suffix(".ended")
        log.touch()
        order = {"command": [*command], "environment": {**environment}, "log": str(log), "ended": str(ended)}
        self._popen.stdin.write(json.dumps(order).encode() + b"\n")
        self._popen.stdin.flush()
        return Fork(int(self._popen.stdout.readline()), ended)

    def close(self) -> None:
        """Ends it, and every process that it has started."""
        self._popen.communicate(timeout=30)


class Fork:
    """A process that `Forks` has started, in words of `subprocess.Popen`."""

    def __init__(self, pid: int, ended: Path) -> None:
        self.pid = pid
        self._ended = ended

    def poll(self) -> int | None:
        """The exit code, of a signal a negative one; None while it lives."""
        return int(self._ended.read_text()) if self._ended.exists() else None

    def send_signal(self, number: signal.Signals) -> None:
        """Sends it a signal, if it has not ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """`kill -9`."""
        self.send_signal(signal.SIGKILL)


def main() -> None:
    """Forks as it is told, until nobody is there to tell it. A fork returns from here to what it runs."""
    for module in COMMON:
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    order = _next_order()
    if order is not None:
        _become(order)


def _next_order() -> dict[str, Any] | None:
    """What this process is to be if it is a fork; None at the end of the one that forks."""
    living: dict[int, Path] = {}
    heard = b""
    with _deaths() as deaths, selectors.DefaultSelector() as selector:
        selector.register(0, selectors.EVENT_READ)
        selector.register(deaths, selectors.EVENT_READ)
        while True:
            ready = [key.fd for key, _ in selector.select()]
            if deaths in ready:
                os.read(deaths, READ)
                _reap(living)
            if 0 not in ready:
                continue
            said = os.read(0, READ)
            if not said:
                break
            *lines, heard = (heard + said).split(b"\n")
            for line in lines:
                order: dict[str, Any] = json.loads(line)
                # A lock that another thread holds would stay shut in the fork for ever.
                assert _threads() == 1
                pid = os.fork()
                if pid == 0:
                    return order
                living[pid] = Path(order["ended"])
                os.write(1, b"%d\n" % pid)
        for pid in living:
            os.kill(pid, signal.SIGKILL)
        while living:
            os.read(deaths, READ)
            _reap(living)
    return None


@contextmanager
def _deaths() -> Iterator[int]:
    """A pipe that can be read when a child has ended. In a fork too the signal is as it was before."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writing)
    try:
        yield reading
    finally:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, before)
        os.close(reading)
        os.close(writing)


def _reap(living: dict[int, Path]) -> None:
    """Takes the exit codes of those who have ended, and leaves them for the tests to find."""
    while living:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        ended = living.pop(pid)
        new = ended.with_suffix(".new")
        new.write_text(str(os.waitstatus_to_exitcode(status)))
        new.replace(ended)


def _threads() -> int:
    """Those that Python does not know of, too, where that can be seen."""
    tasks = Path("/proc/self/task")
    return len([*tasks.iterdir()]) if tasks.exists() else threading.active_count()


def _become(order: Mapping[str, Any]) -> None:
    """Runs a module as `python -m` would."""
    with Path(os.devnull).open("rb") as nothing, Path(order["log"]).open("wb") as log:
        for source, target in ((nothing, 0), (log, 1), (log, 2)):
            os.dup2(source.fileno(), target)
    os.environ.clear()
    os.environ.update(order["environment"])
    module, *arguments = order["command"]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
