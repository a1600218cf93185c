"""`make up`: the API and the worker as children of one process in the foreground, and one key to stop all.

The children lead sessions of their own, so that Ctrl-C in the terminal reaches only the supervisor, which
then stops them in order. What a killed supervisor leaves behind is ended by the next one.
"""

from __future__ import annotations

import ctypes
import fcntl
import http.client
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

import psutil

from app import embedded, files

RUN_VARIABLE = "CHOT_RUN_ID"
FIRST_DELAY, LAST_DELAY = 0.5, 30.0
STEADY_SECONDS = 60.0
TICK_SECONDS = 0.1
SERVERS_SECONDS = 1.0
PR_SET_PDEATHSIG = 1
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass
class _Child:
    """One supervised command; `due` is when to start it again after it died, on the monotonic clock."""

    name: str
    command: Sequence[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    delay: float = FIRST_DELAY
    due: float = 0.0


@dataclass
class _Asked:
    """How often the person asked to stop. While `at_once`, a request interrupts what runs."""

    times: int = 0
    at_once: bool = True


@dataclass
class _Run:
    """What one `up` keeps in hand, and in `run.json` for the next one should this one be killed."""

    data_dir: Path
    say: Callable[[str], None]
    asked: _Asked
    environment: dict[str, str] = field(default_factory=dict)
    children: list[_Child] = field(default_factory=list)
    token: str = field(default_factory=lambda: secrets.token_hex(16))


def up(
    *,
    port: int,
    data_dir: Path,
    start_api: Sequence[str],
    start_worker: Sequence[str],
    env: Mapping[str, str],
    ready_url: str,
    banner: Callable[[], str],
    prepare: Callable[[], Mapping[str, str]] | None = None,
    meanwhile: Callable[[], None] | None = None,
    host: str = embedded.HOST,
    private_servers: bool = True,
    ready_seconds: float = 60.0,
    stop_seconds: float = 30.0,
    say: Callable[[str], None] | None = None,
) -> int:
    """Run the product until Ctrl-C, SIGTERM or SIGHUP; returns the exit code, 0 after an asked-for stop.

    `prepare` runs after the leftovers of a killed run are gone and the port is known to be free: the place
    to start the servers and migrate; what it returns joins `env` in the children's environment. `meanwhile` runs
    while the children start, and the banner waits for both.
    With `private_servers`, the pair of `data_dir` is started again when it dies and stopped at the end.
    Call it from the main thread: it sets signal handlers, and on Linux the children die with that thread.
    """
    say = say or _say
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    (data_dir / "log").mkdir(mode=0o700, exist_ok=True)
    with _alone(data_dir) as alone, _signals() as asked:
        if not alone:
            say(f"Chốt already runs from {data_dir}{_holder(data_dir)}: stop that one first.")
            return 1
        run = _Run(data_dir, say, asked)
        try:
            if ended := end_leftovers(data_dir):
                say(f"Ended what a killed run had left ({ended} process{'es' if ended > 1 else ''}).")
            if not embedded.is_free(port, host):
                say(_taken(port))
                private_servers = False  # who holds the port may live on them
                return 1
            run.environment = {**os.environ, **env, **(prepare() if prepare else {})}
            run.children = [
                _Child("api", start_api, data_dir / "log" / "api.log"),
                _Child("worker", start_worker, data_dir / "log" / "worker.log"),
            ]
            asked.at_once = False
            for child in run.children:
                _start(run, child)
            if meanwhile and not asked.times:
                asked.at_once = True
                meanwhile()
                asked.at_once = False
            return _serve(run, ready_url, ready_seconds, banner, private_servers)
        except embedded.EmbeddedError as error:
            say(f"The private servers fail: {error}")
            return 1
        except KeyboardInterrupt:
            return 0
        finally:
            asked.at_once = False
            _stop(run, stop_seconds, private_servers)


def end_leftovers(data_dir: Path, seconds: float = 5.0) -> int:
    """End what a killed `up` left running in this folder; returns how many processes that were.

    A process is ours if its number and its time of birth stand in `run.json`, or if it carries the run's
    token in its environment, as the children of our children do.
    """
    record = _read(data_dir)
    if record is None:
        return 0
    ours = [process for process in psutil.process_iter() if _is_of(process, record) and _lives(process)]
    for harsh in (False, True):
        for process in ours:
            with suppress(psutil.NoSuchProcess):
                process.kill() if harsh else process.terminate()
        deadline = time.monotonic() + seconds
        while any(_lives(process) for process in ours) and time.monotonic() < deadline:
            time.sleep(0.02)
    (data_dir / "run.json").unlink(missing_ok=True)
    return len(ours)


def _serve(run: _Run, ready_url: str, ready_seconds: float, banner: Callable[[], str], private_servers: bool) -> int:
    api = run.children[0]
    deadline = time.monotonic() + ready_seconds
    while not run.asked.times and not _is_ready(ready_url):
        code = api.process.poll() if api.process else None
        if code is not None or time.monotonic() > deadline:
            reason = "is not ready in time" if code is None else f"ended with code {code}"
            run.say(f"The API {reason}. The end of {api.log}:\n{files.tail(api.log)}")
            return 1
        time.sleep(TICK_SECONDS)
    if not run.asked.times:
        run.say(f"{banner()}\nLogs       {api.log.parent}\nStop       Ctrl-C")
    _watch(run, private_servers)
    return 0


def _watch(run: _Run, private_servers: bool) -> None:
    """Keep children and private servers alive until asked to stop."""
    servers_due = time.monotonic() + SERVERS_SECONDS
    while not run.asked.times:
        for child in run.children:
            _tend(run, child)
        if private_servers and time.monotonic() > servers_due:
            servers_due = time.monotonic() + _tend_servers(run)
        time.sleep(TICK_SECONDS)


def _tend(run: _Run, child: _Child) -> None:
    """Start a dead child again, later each time up to a cap; one that ran steadily begins anew."""
    now = time.monotonic()
    if child.process is None:
        if now >= child.due:
            _start(run, child)
        return
    code = child.process.poll()
    if code is None:
        return
    _end_group(child.process.pid)
    if now - child.started > STEADY_SECONDS:
        child.delay = FIRST_DELAY
    run.say(f"The {child.name} ended with code {code}; again in {child.delay:g} s. See {child.log}")
    child.process, child.due = None, now + child.delay
    child.delay = min(child.delay * 2, LAST_DELAY)


def _tend_servers(run: _Run) -> float:
    """Revive what died of the private pair; returns in how many seconds to look again."""
    if embedded.postgres_pid(run.data_dir) and embedded.valkey_pid(run.data_dir):
        return SERVERS_SECONDS
    try:
        embedded.revive(run.data_dir)
    except embedded.EmbeddedError as error:
        run.say(f"The private servers fail: {error}")
        return LAST_DELAY
    run.say("A private server had died and runs again.")
    return SERVERS_SECONDS


def _start(run: _Run, child: _Child) -> None:
    files.shorten_log(child.log)
    with child.log.open("ab") as log:
        child.process = subprocess.Popen(
            child.command,
            env={**run.environment, RUN_VARIABLE: run.token, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_dies_with(os.getpid()) if _libc else None,
        )
    child.started = time.monotonic()
    _write(run)


def _dies_with(parent: int) -> Callable[[], None]:
    """Ask the kernel for SIGTERM when the parent dies, and look whether it already has."""

    def before_exec() -> None:
        assert _libc is not None
        _libc.prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM))
        if os.getppid() != parent:
            os._exit(1)

    return before_exec


def _stop(run: _Run, seconds: float, private_servers: bool) -> None:
    """Stop the children together, then the servers; a further request ends the children at once."""
    running = [child.process for child in run.children if child.process]
    if run.children:
        run.say("Stopping…")
    for process in running:
        process.terminate()
    asked_before, deadline = run.asked.times, time.monotonic() + seconds
    while running:
        impatient = run.asked.times > asked_before or time.monotonic() > deadline
        for process in [one for one in running if impatient or one.poll() is not None]:
            _end_group(process.pid)
            process.wait()
            running.remove(process)
        time.sleep(0.02)
    (run.data_dir / "run.json").unlink(missing_ok=True)
    if private_servers:
        try:
            embedded.stop(run.data_dir)
        except embedded.EmbeddedError as error:
            run.say(f"The private servers fail: {error}")
    if run.children:
        run.say("Stopped.")


def _end_group(leader: int) -> None:
    """Kill what is left of a child's session, such as a parser whose worker was killed."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def _is_ready(url: str) -> bool:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or embedded.HOST, parts.port, timeout=5.0)
    try:
        connection.request("GET", parts.path or "/")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _is_of(process: psutil.Process, record: Mapping[str, Any]) -> bool:
    try:
        born = record["children"].get(str(process.pid))
        if born is not None and abs(process.create_time() - born) < 1.0:
            return True
        return bool(process.environ().get(RUN_VARIABLE) == record["token"])
    except psutil.Error:
        return False


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _write(run: _Run) -> None:
    children = {}
    for child in run.children:
        with suppress(psutil.NoSuchProcess):
            if child.process:
                children[str(child.process.pid)] = psutil.Process(child.process.pid).create_time()
    record = {"supervisor": os.getpid(), "token": run.token, "children": children}
    files.write_private(run.data_dir / "run.json", json.dumps(record) + "\n")


def _read(data_dir: Path) -> dict[str, Any] | None:
    try:
        record = json.loads((data_dir / "run.json").read_text())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and {"token", "children"} <= record.keys() else None


@contextmanager
def _alone(data_dir: Path) -> Iterator[bool]:
    """Hold the folder's run lock if nobody else does; the kernel takes it back from a killed process."""
    with (data_dir / "run.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


@contextmanager
def _signals() -> Iterator[_Asked]:
    asked = _Asked()

    def on_signal(_signum: int, _frame: FrameType | None) -> None:
        asked.times += 1
        if asked.at_once:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, on_signal) for number in STOP_SIGNALS}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _holder(data_dir: Path) -> str:
    record = _read(data_dir) or {}
    return f" (process {record['supervisor']})" if "supervisor" in record else ""


def _taken(port: int) -> str:
    owner = "another program"
    with suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,)
            if listens and connection.pid:
                owner = f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    return f"Port {port} is taken by {owner}. Stop it, or choose another port: CHOT_PORT={port + 1} make up"


def _say(text: str) -> None:
    """Print; a terminal that went away must not keep us from stopping in order."""
    with suppress(OSError):
        print(text, flush=True)
