"""Servers as processes of a test: started, waited for, and ended by their process id."""

import itertools
import random
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

READY_WITHIN_S = 30.0
END_WITHIN_S = 10.0
_CHANCE = random.SystemRandom()  # two runs must not draw the same, even if a test seeds ``random``


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that was free for TCP and UDP on loopback a moment ago.

    It is below the kernel's ephemeral ports: one of those would often be taken by a connection by the time it
    is used.
    """
    while True:
        port = _CHANCE.randrange(10_000, 32_768)
        if free_at(host, port):
            return port


def free_at(host: str, *ports: int) -> bool:
    """Return whether all these ports are free there, for TCP and UDP."""
    for kind, port in itertools.product((socket.SOCK_STREAM, socket.SOCK_DGRAM), ports):
        with closing(socket.socket(socket.AF_INET, kind)) as sock:
            try:
                sock.bind((host, port))
            except OSError:
                return False
    return True


def accepts(port: int) -> bool:
    """Return whether something listens on this TCP port of loopback."""
    with closing(socket.socket()) as sock:
        sock.settimeout(1.0)
        return sock.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition: Callable[[], bool], what: str, within_s: float = READY_WITHIN_S) -> None:
    """Poll until ``condition`` is true. Raises AssertionError naming ``what`` after ``within_s`` seconds."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:.0f} s: {what}")
        time.sleep(0.05)


@contextmanager
def running(command: Sequence[str | Path], ready: Callable[[], bool], log: Path) -> Iterator[int]:
    """Run a server while the block lasts, and yield its process id once ``ready`` is true.

    Its output goes to ``log``. Raises AssertionError with that output when it does not start.
    """
    with log.open("wb") as output:
        process = subprocess.Popen([str(part) for part in command], stdout=output, stderr=output)
    try:
        _wait_for_start(process, ready, log)
        yield process.pid
    finally:
        _end(process)


def _wait_for_start(process: "subprocess.Popen[bytes]", ready: Callable[[], bool], log: Path) -> None:
    try:
        wait_until(lambda: process.poll() is not None or ready(), f"process {process.pid} is ready")
    except AssertionError as error:
        raise AssertionError(f"{error}\n{log.read_text()}") from None
    if process.poll() is not None:
        raise AssertionError(f"ended with status {process.returncode} at its start\n{log.read_text()}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(END_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
