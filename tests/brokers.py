"""Real Mosquitto for one test, open to every client on a free port of loopback."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.processes import accepts, free_port, running
from tests.servers import require


@dataclass(frozen=True, slots=True)
class Mosquitto:
    """Port of the broker, and its process id."""

    port: int
    process: int


@contextmanager
def mosquitto(directory: Path, *options: str, port: int | None = None) -> Iterator[Mosquitto]:
    """Run a broker while the block lasts; ``options`` are further lines of mosquitto.conf."""
    program = require("mosquitto")
    port = port or free_port()
    lines = [f"listener {port} 127.0.0.1", "allow_anonymous true", "persistence false", *options]
    if os.geteuid() == 0:
        lines.append("user root")  # otherwise it becomes a user that cannot read a test's directory
    configuration = directory / f"mosquitto-{port}.conf"
    configuration.write_text("\n".join(lines) + "\n")
    log = directory / f"mosquitto-{port}.log"
    with running([program, "-c", configuration], lambda: accepts(port), log) as process:
        yield Mosquitto(port, process)
