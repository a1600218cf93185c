"""A child process that dies of what it is given (see test_children.py)."""

import os
import signal
import sys


def main() -> None:
    """Dies as the first line of its input says; the second line is what nobody may learn."""
    how, secret = (sys.stdin.buffer.readline().decode().strip() for _ in range(2))
    match how:
        case "raise":
            _digest(secret)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "abort":
            print(f"{secret} panicked", file=sys.stderr, flush=True)
            os.abort()
        case "wait":
            sys.stdout.write("x")
            sys.stdout.flush()
            sys.stdin.buffer.read()
        case "hang":
            while True:
                signal.pause()


def _digest(secret: str) -> None:
    try:
        int(secret)
    except ValueError as error:
        raise RuntimeError(f"cannot digest {secret}\n{secret}: again") from error
