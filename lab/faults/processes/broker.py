"""Real Mosquitto that can be killed: on a free port of loopback, with its store in the run's folder."""

import contextlib
import getpass
import os
import random
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from lab.programs import installed, tether
from lab.programs.places import NoRoomError

HOST = "127.0.0.1"
QUEUED = 10
READY_WITHIN_S = 10.0
LOOK_EVERY_S = 0.01
_PORTS = (10_000, 32_768)
_CHANCE = random.SystemRandom()


class BrokerProcess:
    """Mosquitto open to every client on this machine, with a queue of ``QUEUED`` messages for an absent
    client.

    Raises MissingProgramError without Mosquitto, and NoRoomError where it does not start.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._program = installed.require("mosquitto", "mosquitto")
        self._store = folder / "broker"
        self._store.mkdir(exist_ok=True)
        self._log = folder / "broker.log"
        self._configuration = folder / "mosquitto.conf"
        self._configuration.write_text("\n".join(self._lines()) + "\n", encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it accepts connections. Raises NoRoomError."""
        command = (sys.executable, "-I", "-S", tether.__file__, str(os.getpid()))
        with self._log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 -- the lab's own command, no shell
                (*command, self._program, "-c", str(self._configuration)),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        limit = time.monotonic() + READY_WITHIN_S
        while not accepts(self.port):
            if self._process.poll() is not None or time.monotonic() > limit:
                raise NoRoomError(f"mosquitto did not start: see {self._log}")
            time.sleep(LOOK_EVERY_S)

    def kill(self, *, wiping: bool = False) -> None:
        """Kill it (SIGKILL); ``wiping`` also removes its store."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if wiping:
            for file in self._store.iterdir():
                file.unlink()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _lines(self) -> tuple[str, ...]:
        return (
            f"listener {self.port} {HOST}",
            "allow_anonymous true",
            f"user {getpass.getuser()}",
            "persistence true",
            f"persistence_location {self._store}/",
            # A killed broker then keeps what it stored until a second ago, and loses the rest: both cases.
            "autosave_interval 1",
            # Few, so that a broker that drops what it acknowledged is seen in a short run, too.
            f"max_queued_messages {QUEUED}",
        )


def free_port() -> int:
    """Return a TCP port that was free on loopback a moment ago.

    It is below the kernel's ephemeral ports. While the broker is dead, a connection could otherwise take its
    port, and the broker would not start again.
    """
    while True:
        port = _CHANCE.randrange(*_PORTS)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind((HOST, port))
            return port


def accepts(port: int) -> bool:
    """Return whether something accepts connections on this port."""
    with socket.socket() as asking:
        asking.settimeout(1)
        return asking.connect_ex((HOST, port)) == 0
