"""The private PostgreSQL and Valkey: started once, adopted by all, back after a crash with everything kept."""

import asyncio
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import psutil
import pytest
from redis.asyncio import Redis

from app import embedded

ROOT = Path(__file__).parents[2]
CRASH_LOSS_SECONDS = 1.1  # Valkey writes its log out every second


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as closed as /root."""
    folder = tmp_path_factory.mktemp("home")
    folder.chmod(0o700)
    return folder


@pytest.fixture(scope="module")
def data(parent: Path) -> Iterator[Path]:
    """A durable pair, shared by this file's tests; the first start is part of the proof."""
    folder = parent / "kept data"
    servers = embedded.ensure(folder)
    assert not servers.adopted
    yield folder
    embedded.stop(folder)


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "data"
    yield folder
    embedded.stop(folder)


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def kill(pid: int | None) -> None:
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


async def value(servers: embedded.Servers, query: str) -> object:
    connection = await asyncpg.connect(servers.database_url, timeout=10)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def redis(servers: embedded.Servers, *command: str) -> object:
    async with Redis.from_url(servers.redis_url, decode_responses=True) as client:
        return await client.execute_command(*command)


async def test_second_call_adopts_the_running_pair(data: Path) -> None:
    pids = embedded.postgres_pid(data), embedded.valkey_pid(data)
    servers = embedded.ensure(data)
    assert servers.adopted
    assert (embedded.postgres_pid(data), embedded.valkey_pid(data)) == pids
    assert str(await value(servers, "SHOW server_version")).startswith("18.")
    assert await redis(servers, "PING") is True


async def test_kill_9_of_both_keeps_rows_ports_and_passwords(data: Path) -> None:
    servers = embedded.ensure(data)
    await value(servers, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
    await redis(servers, "SET", "kept", "chốt")
    await asyncio.sleep(CRASH_LOSS_SECONDS)
    kill(embedded.postgres_pid(data))
    kill(embedded.valkey_pid(data))

    again = embedded.ensure(data)
    assert not again.adopted
    assert (again.database_url, again.redis_url) == (servers.database_url, servers.redis_url)
    assert await value(again, "SELECT count(*) FROM kept") == 1000
    assert await redis(again, "GET", "kept") == "chốt"


async def test_revive_starts_only_what_died(data: Path) -> None:
    servers = embedded.ensure(data)
    postmaster, valkey = embedded.postgres_pid(data), embedded.valkey_pid(data)
    kill(valkey)
    assert embedded.revive(data).redis_url == servers.redis_url
    assert embedded.postgres_pid(data) == postmaster
    assert embedded.valkey_pid(data) not in (None, valkey)


async def test_vietnamese_letters_make_trigrams(data: Path) -> None:
    servers = embedded.ensure(data)
    await value(servers, "CREATE EXTENSION IF NOT EXISTS pg_trgm")
    # Two blanks before, one behind: five letters make six trigrams; without a sane LC_CTYPE only `ng` counts.
    assert await value(servers, "SELECT cardinality(show_trgm('đường'))") == 6
    assert await value(servers, "SELECT similarity('đường', 'duong') < similarity('đường', 'đương')")
    assert await value(servers, "SELECT lower('ĐẶNG')") == "đặng"


async def test_settings_in_force(data: Path) -> None:
    servers = embedded.ensure(data)
    expected = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": "200",
        "shared_buffers": "256MB",
        "jit": "off",
        "password_encryption": "scram-sha-256",
        "wal_compression": "off",
        "checkpoint_timeout": "15min",
        "max_wal_size": "2GB",
        "fsync": "on",
        "autovacuum": "on",
    }
    assert {name: await value(servers, f"SHOW {name}") for name in expected} == expected
    assert (await redis(servers, "CONFIG GET", "appendonly")) == {"appendonly": "yes"}
    assert (await redis(servers, "CONFIG GET", "maxmemory-policy")) == {"maxmemory-policy": "noeviction"}


async def test_a_wrong_password_is_refused(data: Path) -> None:
    servers = embedded.ensure(data)
    host = servers.database_url.rpartition("@")[2]
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(f"postgresql://postgres:wrong@{host}", timeout=10)


def test_secrets_are_for_the_owner_and_the_parent_is_left_alone(parent: Path, data: Path) -> None:
    assert stat.S_IMODE(parent.stat().st_mode) == 0o700
    assert parent.stat().st_uid == os.geteuid()
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    secrets = [data / "embedded.json", data / "pg" / "chot.conf", data / "valkey" / "valkey.conf"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in secrets} == {0o600}
    password = embedded.ensure(data).database_url.split(":")[2].split("@")[0]
    assert not [p for p in psutil.process_iter() if password in " ".join(command_line(p))]


def test_a_pair_started_otherwise_is_not_adopted_in_silence(data: Path) -> None:
    embedded.ensure(data)
    with pytest.raises(embedded.EmbeddedError, match="durable=True"):
        embedded.ensure(data, durable=False)


def test_stop_ends_both_and_may_be_repeated(data: Path) -> None:
    embedded.ensure(data)
    embedded.stop(data)
    assert embedded.postgres_pid(data) is None
    assert embedded.valkey_pid(data) is None
    assert not (data / "pg" / "postmaster.pid").exists()
    embedded.stop(data)


async def test_a_pid_file_that_names_a_stranger_does_not_block_the_start(
    data: Path, stranger: subprocess.Popen[bytes]
) -> None:
    servers = embedded.ensure(data)
    lock = data / "pg" / "postmaster.pid"
    text = lock.read_text()
    embedded.stop(data)
    lock.write_text("\n".join([str(stranger.pid), *text.splitlines()[1:]]) + "\n")
    assert embedded.postgres_pid(data) is None
    assert await value(embedded.ensure(data), "SELECT 1") == 1
    assert embedded.ensure(data).database_url == servers.database_url
    embedded.stop(data)
    assert stranger.poll() is None


async def test_a_stranger_on_the_kept_port_is_avoided(data: Path) -> None:
    servers = embedded.ensure(data)
    port = int(servers.redis_url.rsplit(":", 1)[1].split("/")[0])
    embedded.stop(data)
    stranger = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", port)
    async with stranger:
        moved = await asyncio.to_thread(embedded.ensure, data)
    assert moved.redis_url != servers.redis_url
    assert await redis(moved, "PING") is True


def test_three_processes_at_once_make_one_cluster(scratch: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from app import embedded; d = Path(sys.argv[1]);"
        "s = embedded.ensure(d, durable=False);"
        "print(s.database_url, s.redis_url, embedded.postgres_pid(d), embedded.valkey_pid(d))"
    )
    command = [sys.executable, "-c", script, str(scratch)]
    starts = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = {start.communicate(timeout=60)[0] for start in starts}
    assert [start.returncode for start in starts] == [0, 0, 0]
    assert len(said) == 1


async def test_kill_9_in_the_middle_of_initdb_leaves_no_half_cluster(scratch: Path) -> None:
    kill_during_initdb(scratch)
    assert not (scratch / "pg").exists()

    servers = embedded.ensure(scratch, durable=False, postgres_settings={"work_mem": "7MB"})
    assert await value(servers, "SHOW work_mem") == "7MB"
    assert [await value(servers, f"SHOW {name}") for name in embedded.CARELESS_SETTINGS] == ["off"] * 3
    assert await redis(servers, "CONFIG GET", "appendonly") == {"appendonly": "no"}


def test_a_bad_setting_ends_with_postgresqls_own_words(scratch: Path) -> None:
    with pytest.raises(embedded.EmbeddedError, match="no_such_setting"):
        embedded.ensure(scratch, durable=False, postgres_settings={"no_such_setting": "1"})


@pytest.mark.parametrize("runner", embedded.runners()[1:] or embedded.runners())
async def test_every_way_around_root_works(scratch: Path, runner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine without user namespaces `unshare` fails, and the next way is taken and remembered."""
    if runner == "setpriv":
        tools = scratch.parent / "bin"
        tools.mkdir()
        (tools / "unshare").write_text("#!/bin/sh\nexit 1\n")
        (tools / "unshare").chmod(0o755)
        monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    servers = embedded.ensure(scratch, durable=False)
    monkeypatch.undo()
    assert f'"runner": "{runner}"' in (scratch / "embedded.json").read_text()
    kill(embedded.postgres_pid(scratch))
    assert await value(embedded.ensure(scratch, durable=False), "SELECT 1") == 1
    assert embedded.ensure(scratch, durable=False).database_url == servers.database_url


def test_pg_dump_of_the_wheel_reads_the_cluster(data: Path) -> None:
    command = [str(embedded.binaries().postgres / "pg_dump"), "--schema-only", embedded.ensure(data).database_url]
    dump = subprocess.run(command, capture_output=True, check=True, text=True)
    assert "PostgreSQL database dump complete" in dump.stdout


def command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def kill_during_initdb(folder: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from app import embedded;"
        "embedded.ensure(Path(sys.argv[1]), durable=False)"
    )
    first = subprocess.Popen([sys.executable, "-c", script, str(folder)], cwd=ROOT)
    deadline = time.monotonic() + 20
    while not list(folder.glob("pg.new-*/PG_VERSION")) and time.monotonic() < deadline:
        time.sleep(0.002)
    first.kill()
    first.wait()
