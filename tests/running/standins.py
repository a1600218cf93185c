"""Stand-ins for the API and the worker, and `up` around them: `python -m tests.running.standins ROLE …`.

The supervisor sees only commands and a URL, so these tests do not wait for the product's own start.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from app import embedded, supervisor


class Ready(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(os.getpid()).encode())


def api(port: str, manner: str = "") -> None:
    """Answers every GET with its process id; `stubborn` ignores SIGTERM, `broken` never serves."""
    if manner == "broken":
        sys.exit("no database today")
    if manner == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    HTTPServer(("127.0.0.1", int(port)), Ready).serve_forever()


def worker(pid_file: str, manner: str = "") -> None:
    """Writes its process id and that of a child of its own, then waits; `mortal` dies at once."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
    Path(pid_file).write_text(f"{os.getpid()} {child.pid}")
    if manner == "mortal":
        sys.exit(3)
    time.sleep(120)


def up(port: str, data: str, api_manner: str = "", worker_manner: str = "", private: str = "") -> int:
    folder = Path(data)
    me = [sys.executable, "-m", "tests.running.standins"]

    def prepare() -> Mapping[str, str]:
        return {"DATABASE": embedded.ensure(folder, durable=False).database_url} if private else {}

    return supervisor.up(
        port=int(port),
        data_dir=folder,
        start_api=[*me, "api", port, api_manner],
        start_worker=[*me, "worker", str(folder / "worker.pid"), worker_manner],
        env={},
        ready_url=f"http://127.0.0.1:{port}/health/ready",
        banner=lambda: f"Ready on port {port}",
        prepare=prepare,
        private_servers=bool(private),
        stop_seconds=5.0,
    )


if __name__ == "__main__":
    role, *arguments = sys.argv[1:]
    roles: dict[str, Callable[..., int | None]] = {"api": api, "worker": worker, "up": up}
    sys.exit(roles[role](*arguments))
