"""The programs of 0.1, run from their own commit, with today's at the other end of a real broker."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.brokers import mosquitto
from tests.processes import free_port, running, wait_until
from tests.servers import not_there
from tests.versions.freeze import ROOT, check_out, environment
from tests.versions.history import COMMIT, is_here

SITE = "0631234A"
PROBES = ("floor", "stamp")
KEY = "a-key-of-this-test"


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree of 0.1."""
    tree = tmp_path_factory.mktemp("0.1")
    if not is_here():
        not_there(f"no commit {COMMIT[:7]} in this clone: `make history` fetches it, or says why it cannot")
    check_out(COMMIT, tree)
    return tree


@dataclass(frozen=True)
class Stand:
    """Folder and ports of one run."""

    folder: Path
    broker: int
    web: int
    load: int
    stamp: int

    def settings(self, name: str) -> Path:
        """The settings file of a program, in words that 0.1 knows."""
        broker = f"broker: {{port: {self.broker}}}\n"
        text = {
            "agent": f"""{broker}site: {SITE}
peer: {{key: {KEY}, udpstp_port: {self.load}, stamp_port: {self.stamp}}}
stamp: {{packets: 3, spacing: 50 ms}}
schedule: {{first_within: 1 s, floor: 20 s, stamp: 20 s, path: null, interface: null, capacity: null}}
uplink: {{interval: 1 s}}
journal: {{path: {self.folder}/journal.db}}
runtime_directory: {self.folder}/run
""",
            "peer": f"""{broker}keys: [{{id: 1, key: {KEY}}}]
udpstp: {{port: {self.load}}}
stamp: {{port: {self.stamp}}}
tests: {{path: {self.folder}/tests.db, interval: 1 s}}
""",
            "collector": f"""{broker}inventory: {self.folder}/sites.csv
ledger: {{path: {self.folder}/ledger.db}}
web: {{port: {self.web}}}
""",
        }[name]
        path = self.folder / f"{name}.yaml"
        path.write_text(text)
        return path

    @contextmanager
    def program(self, name: str, says: str, tree: Path) -> Iterator[int]:
        """A program of ``tree`` from when it says so."""
        log = self.folder / f"{name}.log"
        command = ["env", f"PYTHONPATH={environment(tree)['PYTHONPATH']}", sys.executable, "-P", "-m", name]
        with running([*command, "run", self.settings(name)], lambda: says in log.read_text(), log) as process:
            yield process

    def committed(self) -> set[str]:
        """The probes that measured; what a busy machine makes of it is not the question here."""
        statement = (
            "SELECT DISTINCT probe.name FROM measurements JOIN series ON series.key = measurements.series_key"
            " JOIN names AS probe ON probe.key = series.probe_key"
            " JOIN names AS outcome ON outcome.key = measurements.outcome_key"
            " WHERE outcome.name IN ('ok', 'invalid')"
        )
        return {probe for (probe,) in self._rows("ledger.db", statement)}

    def of_peer(self) -> int:
        return len(self._rows("ledger.db", "SELECT 1 FROM peer_tests"))

    def refused(self) -> int:
        return len(self._rows("ledger.db", "SELECT 1 FROM rejects"))

    def unmarked(self) -> set[tuple[str, int]]:
        """What the agent measured and the ledger does not have."""
        held = self._rows(
            "ledger.db", "SELECT epoch, seq FROM measurements JOIN epochs ON epochs.key = epoch_key"
        )
        return {*self._rows("journal.db", "SELECT epoch, seq FROM measurement")} - {*held}

    def _rows(self, file: str, statement: str) -> list[tuple[str, int]]:
        with closing(sqlite3.connect(self.folder / file)) as connection:
            return connection.execute(statement).fetchall()

    def logs(self) -> str:
        return "\n".join(path.read_text() for path in self.folder.glob("*.log"))


@pytest.mark.parametrize("newer", ["collector", "agent and peer"])
def test_the_one_half_is_updated_and_the_other_is_not(newer: str, old: Path, tmp_path: Path) -> None:
    ends, centre = (old, ROOT) if newer == "collector" else (ROOT, old)
    (tmp_path / "sites.csv").write_text(f"site_id,name\n{SITE},Lycée\n")
    with ExitStack() as everything:
        start = everything.enter_context
        broker = start(mosquitto(tmp_path))
        stand = Stand(tmp_path, broker.port, free_port(), free_port(), free_port())
        start(stand.program("collector", "connected to broker", centre))
        start(stand.program("peer", "serving", ends))
        start(stand.program("agent", "connected to broker", ends))
        try:
            wait_until(lambda: stand.committed() >= {*PROBES}, "each probe is committed", 60)
            wait_until(lambda: stand.of_peer() > 0, "the peer's own record is committed")
            wait_until(lambda: not stand.unmarked(), "nothing of the journal is missing in the ledger")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{stand.logs()}") from None
    assert stand.refused() == 0, stand.logs()
    assert "Traceback" not in stand.logs(), stand.logs()
    assert "conflict" not in stand.logs()


def test_the_old_programs_are_the_old_ones(old: Path) -> None:
    """Else the test above tries today's code against itself."""
    code = "import wire.messages, agent.resident; print(wire.messages.__file__, agent.resident.__file__)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], env=environment(old), capture_output=True, text=True, timeout=60
    )
    assert [Path(word).is_relative_to(old) for word in done.stdout.split()] == [True, True], done
    assert os.environ.get("PYTHONPATH") != str(old)
