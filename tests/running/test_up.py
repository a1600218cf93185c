"""`make up`: one key stops everything, and a killed run leaves nothing that the next one does not end."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from app import embedded, supervisor

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0


class Up:
    """A running `up` around the stand-ins, with a folder and a port of its own."""

    def __init__(self, data: Path, port: int, *manners: str) -> None:
        self.data, self.port = data, port
        data.mkdir(exist_ok=True)
        self.said = data / "said.txt"
        with self.said.open("a") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.running.standins", "up", str(port), str(data), *manners],
                cwd=ROOT,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def text(self) -> str:
        return self.said.read_text()

    def wait_ready(self) -> None:
        wait_for(lambda: f"Ready on port {self.port}" in self.text(), self.text)
        wait_for(lambda: len(self.worker_pids()) == 2, self.text)

    def api_pid(self) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=5) as reply:
            return int(reply.read())

    def worker_pids(self) -> list[int]:
        file = self.data / "worker.pid"
        return [int(pid) for pid in file.read_text().split()] if file.exists() else []

    def ask(self, signum: signal.Signals) -> None:
        self.process.send_signal(signum)

    def end(self, signum: signal.Signals = signal.SIGINT) -> int:
        self.ask(signum)
        return self.process.wait(PATIENCE)


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def start(tmp_path: Path, port: int) -> Iterator[Callable[..., Up]]:
    """Starts `up`; whatever a failed test leaves is ended by process id."""
    started: list[Up] = []

    def make(*manners: str, port: int = port) -> Up:
        started.append(Up(tmp_path / "data", port, *manners))
        return started[-1]

    yield make
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()
    supervisor.end_leftovers(tmp_path / "data", seconds=1.0)
    embedded.stop(tmp_path / "data")


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_one_signal_stops_all(start: Callable[..., Up], signum: signal.Signals) -> None:
    up = start()
    up.wait_ready()
    pids = [up.api_pid(), *up.worker_pids()]
    assert up.end(signum) == 0
    assert alive(pids) == []
    assert not (up.data / "run.json").exists()
    assert up.text().splitlines() == [
        f"Ready on port {up.port}",
        f"Logs       {up.data}/log",
        "Stop       Ctrl-C",
        "Stopping…",
        "Stopped.",
    ]


async def test_private_servers_are_revived_and_stopped_with_the_rest(start: Callable[..., Up]) -> None:
    up = start("", "", "private")
    up.wait_ready()
    servers = embedded.ensure(up.data, durable=False)
    postmaster = embedded.postgres_pid(up.data)
    assert postmaster
    os.kill(postmaster, signal.SIGKILL)
    wait_for(lambda: "A private server had died and runs again." in up.text(), up.text)
    connection = await asyncpg.connect(servers.database_url, timeout=10)
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()
    assert await asyncio.to_thread(up.end) == 0
    assert (embedded.postgres_pid(up.data), embedded.valkey_pid(up.data)) == (None, None)


def test_kill_9_then_up_again_leaves_no_stray(start: Callable[..., Up]) -> None:
    """The API ignores the signal that the kernel sends it when its supervisor dies, so it survives that."""
    first = start("stubborn", "", "private")
    first.wait_ready()
    strays = [first.api_pid(), *first.worker_pids()]
    first.process.kill()
    first.process.wait()
    assert first.api_pid() in alive(strays)
    servers = embedded.postgres_pid(first.data), embedded.valkey_pid(first.data)
    assert None not in servers
    first.said.unlink()
    (first.data / "worker.pid").unlink()

    second = start("", "", "private")
    second.wait_ready()
    assert alive(strays) == []
    assert second.text().startswith("Ended what a killed run had left")
    assert (embedded.postgres_pid(second.data), embedded.valkey_pid(second.data)) == servers
    assert second.api_pid() not in strays
    assert second.end() == 0
    assert embedded.postgres_pid(second.data) is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_children_die_with_a_killed_supervisor(start: Callable[..., Up]) -> None:
    up = start()
    up.wait_ready()
    children = [up.api_pid(), up.worker_pids()[0]]
    up.process.kill()
    up.process.wait()
    wait_for(lambda: alive(children) == [], up.text)


def test_a_dead_worker_is_replaced_and_its_own_child_ended(start: Callable[..., Up]) -> None:
    up = start()
    up.wait_ready()
    before = up.worker_pids()
    os.kill(before[0], signal.SIGKILL)
    wait_for(lambda: up.worker_pids() not in ([], before), up.text)
    assert alive(before) == []
    assert "The worker ended with code -9; again in 0.5 s." in up.text()
    assert up.end() == 0


def test_a_worker_that_keeps_dying_is_started_ever_later(start: Callable[..., Up]) -> None:
    up = start("", "mortal")
    wait_for(lambda: "again in 2 s" in up.text(), up.text)
    delays = [line.split("again in ")[1].split(" s")[0] for line in up.text().splitlines() if "again in" in line]
    assert delays == ["0.5", "1", "2"]
    assert up.api_pid()
    assert up.end() == 0


def test_a_second_request_ends_the_stubborn_at_once(start: Callable[..., Up]) -> None:
    up = start("stubborn")
    up.wait_ready()
    stubborn = up.api_pid()
    up.ask(signal.SIGINT)
    wait_for(lambda: "Stopping…" in up.text(), up.text)
    assert alive([stubborn]) == [stubborn]
    began = time.monotonic()
    assert up.end() == 0
    assert time.monotonic() - began < 3.0
    assert alive([stubborn]) == []


def test_a_taken_port_ends_with_one_line_and_stops_nothing(start: Callable[..., Up], tmp_path: Path, port: int) -> None:
    embedded.ensure(tmp_path / "data", durable=False)
    with socket.create_server(("127.0.0.1", port)):
        up = start("", "", "private")
        assert up.process.wait(PATIENCE) == 1
    assert embedded.postgres_pid(up.data)
    assert embedded.valkey_pid(up.data)
    name = psutil.Process().name()
    assert up.text() == (
        f"Port {port} is taken by {name} (process {os.getpid()}). "
        f"Stop it, or choose another port: CHOT_PORT={port + 1} make up\n"
    )


def test_a_second_up_in_the_same_folder_leaves_the_first_alone(start: Callable[..., Up]) -> None:
    first = start()
    first.wait_ready()
    pids = [first.api_pid(), *first.worker_pids()]
    second = start(port=first.port + 1)
    assert second.process.wait(PATIENCE) == 1
    assert f"already runs from {first.data} (process {first.process.pid})" in second.text()
    assert alive(pids) == pids
    assert first.end() == 0


def test_an_api_that_cannot_start_says_why(start: Callable[..., Up]) -> None:
    up = start("broken")
    assert up.process.wait(PATIENCE) == 1
    assert "The API ended with code 1." in up.text()
    assert "no database today" in up.text()
    assert alive(up.worker_pids()) == []


def test_a_stranger_with_an_old_number_is_spared(tmp_path: Path) -> None:
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        born = psutil.Process(stranger.pid).create_time()
        record = {"token": "t" * 32, "children": {str(stranger.pid): born - 60.0}}
        (tmp_path / "run.json").write_text(json.dumps(record))
        assert supervisor.end_leftovers(tmp_path) == 0
        assert stranger.poll() is None

        record["children"] = {str(stranger.pid): born}
        (tmp_path / "run.json").write_text(json.dumps(record))
        assert supervisor.end_leftovers(tmp_path) == 1
        assert stranger.wait(5) == -signal.SIGTERM
    finally:
        stranger.kill()
        stranger.wait()


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if psutil.pid_exists(pid) and status(pid) != psutil.STATUS_ZOMBIE]


def status(pid: int) -> str:
    try:
        return str(psutil.Process(pid).status())
    except psutil.NoSuchProcess:
        return psutil.STATUS_ZOMBIE


def wait_for(condition: Callable[[], bool], explain: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, explain()
        time.sleep(0.02)
