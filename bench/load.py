"""A load generator that costs little: raw sockets, keep-alive, one process of its own."""

import asyncio
import json
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Load:
    """What a load showed: requests a second, milliseconds, and replies that were not 2xx."""

    rps: float
    p50: float
    p99: float
    failed: int


def run(
    url: str,
    headers: dict[str, str],
    *,
    clients: int = 16,
    seconds: float = 4,
    method: str = "GET",
    bodies: list[str] | None = None,
) -> Load:
    """Loads a URL on loopback from another process for a few seconds."""
    asked = {"url": url, "headers": headers, "clients": clients, "seconds": seconds, "method": method, "bodies": bodies}
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"], input=json.dumps(asked), capture_output=True, text=True, check=True,
        timeout=seconds + 60,
    )  # fmt: skip
    return Load(**json.loads(done.stdout))


async def _main(asked: dict[str, object]) -> Load:
    url = urlsplit(str(asked["url"]))
    assert url.hostname in ("127.0.0.1", "localhost"), "loads go to this machine only"
    head = f"{asked['method']} {url.path}{'?' + url.query if url.query else ''} HTTP/1.1\r\nHost: {url.netloc}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in dict(asked["headers"]).items())  # type: ignore[call-overload]
    bodies = iter(list(asked["bodies"] or []))  # type: ignore[call-overload]
    until = time.perf_counter() + float(str(asked["seconds"]))
    times: list[float] = []
    failed = 0

    async def client() -> None:
        nonlocal failed
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        while (started := time.perf_counter()) < until:
            body = next(bodies, None) if asked["method"] == "POST" else ""
            if body is None:
                break
            payload = body.encode()
            extra = f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n" if payload else ""
            writer.write((head + extra + "\r\n").encode() + payload)
            reply = await reader.readuntil(b"\r\n\r\n")
            length = int(reply.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            failed += reply[9:10] != b"2"
            times.append(time.perf_counter() - started)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(int(str(asked["clients"])))))
    spent = time.perf_counter() - began
    times.sort()
    return Load(
        rps=round(len(times) / spent, 1),
        p50=round(statistics.median(times) * 1000, 2),
        p99=round(times[int(len(times) * 0.99)] * 1000, 2),
        failed=failed,
    )


if __name__ == "__main__":
    print(json.dumps(asdict(asyncio.run(_main(json.load(sys.stdin))))))
