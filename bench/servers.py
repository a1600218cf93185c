"""The processes that are measured: the product's API and worker, and the bare floor, on ports of their own."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil

from app.core.migrate import app_url
from bench.dataset import PASSWORD, Bench

API, FLOOR = 18_640, 18_641


@contextmanager
def running(bench: Bench, *parts: str) -> Iterator[dict[str, psutil.Process]]:
    """The named parts (`api`, `floor`, `worker`) while the block runs."""
    settings = bench.settings
    env = {
        **os.environ,
        "CHOT_PORT": str(API),
        "CHOT_DATA_DIR": str(settings.data_dir.resolve()),
        "CHOT_DATABASE_URL": str(settings.database_url),
        "CHOT_REDIS_URL": str(settings.redis_url),
        "CHOT_SECRET_KEY": str(settings.secret_key),
        "CHOT_RATE_LIMIT_PER_MINUTE": "0",
        "CHOT_RATE_LIMIT_WORKSPACE_PER_MINUTE": "0",
        "FLOOR_URL": app_url(settings),
        "FLOOR_TENANT": str(bench.big),
    }
    commands = {
        "api": [sys.executable, "-m", "app.cli", "serve"],
        "worker": [sys.executable, "-m", "app.cli", "worker"],
        "floor": [sys.executable, "-m", "uvicorn", "bench.floor:app", "--port", str(FLOOR), "--no-access-log"],
    }
    log = (Path(settings.data_dir) / "bench.log").open("w")
    started = {part: subprocess.Popen(commands[part], env=env, stdout=log, stderr=log) for part in parts}
    try:
        if "api" in parts:
            _wait(f"http://127.0.0.1:{API}/health/ready")
        if "floor" in parts:
            _wait(f"http://127.0.0.1:{FLOOR}/newest")
        yield {part: psutil.Process(process.pid) for part, process in started.items()}
    finally:
        for process in started.values():
            process.terminate()
        for process in started.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
        log.close()


def sign_in(workspace: str = "big", username: str = "admin") -> httpx.Client:
    """A client of the API that is signed in as somebody of the workspace, its administrator unless named."""
    client = httpx.Client(base_url=f"http://127.0.0.1:{API}/api/v1", timeout=120)
    reply = client.post("/auth/login", json={"workspace": workspace, "username": username, "password": PASSWORD})
    reply.raise_for_status()
    client.headers["Authorization"] = f"Bearer {reply.json()['access_token']}"
    return client


def _wait(url: str, seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with suppress(httpx.HTTPError):
            if httpx.get(url, timeout=5).status_code == 200:
                return
        time.sleep(0.2)
    raise SystemExit(f"bench: {url} does not answer")
