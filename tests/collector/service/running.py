"""The collector as a process, with what a test asks of it: its pages, its metrics and its ledger."""

import sqlite3
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.collector.agents import Key
from tests.collector.examples import SITE, payload, stamp
from tests.processes import running
from wire.records import ClockReading

SETTINGS = """
inventory: {directory}/sites.csv
broker: {{port: {broker}}}
ledger: {{path: {directory}/ledger.db}}
web: {{port: {web}}}
expose_fleet: {expose}
intake: {{messages: {queue}}}
"""


@dataclass(frozen=True, slots=True)
class Collector:
    directory: Path
    broker: int
    web: int
    expose: str = "true"
    queue: int = 20_000

    @property
    def settings(self) -> Path:
        path = self.directory / "collector.yaml"
        path.write_text(
            SETTINGS.format(
                directory=self.directory,
                broker=self.broker,
                web=self.web,
                expose=self.expose,
                queue=self.queue,
            )
        )
        inventory = self.directory / "sites.csv"
        if not inventory.exists():
            inventory.write_text(f"site_id,name,departement\n{SITE},Lycée,63\nnever,Collège,03\n")
        return path

    @contextmanager
    def run(self, ready: str = "/readyz") -> Iterator[int]:
        command = [sys.executable, "-m", "collector", "run", self.settings]
        with running(command, lambda: self.get(ready)[0] == 200, self.directory / "collector.log") as process:
            yield process

    def get(self, path: str) -> tuple[int, str]:
        """Status and text; status 0 while nothing listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.web}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, start: str) -> float | None:
        """Value of the first sample that starts with this text."""
        found = (line for line in self.get("/metrics")[1].splitlines() if line.startswith(start))
        return next((float(line.rpartition(" ")[2]) for line in found), None)

    def committed(self) -> list[Key]:
        statement = (
            "SELECT e.epoch, seq FROM measurements m JOIN epochs e ON e.key = m.epoch_key ORDER BY m.key"
        )
        with closing(sqlite3.connect(self.directory / "ledger.db")) as connection:
            return connection.execute(statement).fetchall()


def now_clock(age_us: int = 0) -> ClockReading:
    now_us = time.time_ns() // 1000
    return ClockReading(wall_us=now_us - age_us, boot_us=now_us - age_us, boot_id="b", synchronised=True)


def batch(*seqs: int) -> bytes:
    return payload(*(stamp(seq, start=now_clock(1_000_000)) for seq in seqs), sent=now_clock())
