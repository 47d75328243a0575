"""Peer comparison of real load tests: real peer, agent and Mosquitto, and a collector that is killed."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import yaml

from outbox.rows import State
from tests.brokers import mosquitto
from tests.processes import free_port, running, wait_until
from tests.test_end_to_end import SITE, query, settings

PEER = "pop-1"
TESTS = 4
WITHIN_S = 120.0
SECRET = "a secret that is shared"

KEPT = "SELECT epoch, seq FROM record"
LEDGER = "SELECT epoch, seq FROM peer_tests"


def peer_settings(folder: Path, broker: int, ports: tuple[int, int]) -> str:
    document = {
        "name": PEER,
        "keys": [{"id": 1, "key": SECRET}],
        "udpstp": {"port": ports[0]},
        "stamp": {"port": ports[1]},
        "broker": {"port": broker},
        "tests": {"path": str(folder / "tests.db"), "interval": "200 ms", "receipt_timeout": "1 s"},
    }
    return write(folder / "peer.yaml", document)


def agent_settings(folder: Path, broker: int, ports: tuple[int, int]) -> str:
    document = {
        "site": SITE,
        "peer": {
            "name": PEER, "host": "127.0.0.1", "udpstp_port": ports[0], "stamp_port": ports[1], "key_id": 1,
            "key": SECRET,
        },
        "schedule": {
            "floor": "10 s", "stamp": "60 s", "interface": None, "capacity": None, "path": None,
            "first_within": "1 s",
        },
        "floor": {"pre_drain": "0 B"},
        "broker": {"port": broker},
        "uplink": {"interval": "1 s", "backlog_interval": "1 s", "receipt_timeout": "5 s"},
        "journal": {"path": str(folder / "journal.db")},
        "runtime_directory": str(folder / "run"),
    }  # fmt: skip
    return write(folder / "agent.yaml", document)


def write(path: Path, document: object) -> str:
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return str(path)


@contextmanager
def program(folder: Path, module: str, path: str, sign: str) -> Iterator[int]:
    log = folder / f"{module}.log"
    command = [sys.executable, "-m", module, "run", path]
    with running(command, lambda: sign in log.read_text(), log) as process:
        yield process


def kept(folder: Path, state: State | None = None) -> int:
    where = "" if state is None else f" WHERE state = {state.value}"
    return len(query(folder / "tests.db", KEPT + where))


def compared(folder: Path) -> list[tuple[str, int]]:
    """Return session and agreement of each test that the ledger has from agent and peer."""
    both = "measurement_key IS NOT NULL AND peer_test_key IS NOT NULL"
    return query(folder / "ledger.db", f"SELECT session, result = 'agree' FROM peer_comparisons WHERE {both}")


def run_killed(folder: Path, chosen: str) -> "subprocess.Popen[bytes]":
    """Start a collector that kills itself before its second commit with rows."""
    with (folder / "killed.log").open("wb") as log:
        command = [sys.executable, "-m", "tests.collector.killed", chosen, "2"]
        return subprocess.Popen(command, stdout=log, stderr=log)


def test_every_test_of_the_peer_is_in_the_ledger_once_and_compared(tmp_path: Path) -> None:
    with mosquitto(tmp_path) as broker, ExitStack() as at_the_end:
        ports, chosen = (free_port(), free_port()), settings(tmp_path, broker.port)
        victim = run_killed(tmp_path, chosen)
        at_the_end.callback(victim.wait)
        at_the_end.callback(victim.kill)
        at_the_end.enter_context(
            program(tmp_path, "peer", peer_settings(tmp_path, broker.port, ports), "serving")
        )
        with program(tmp_path, "agent", agent_settings(tmp_path, broker.port, ports), "connected"):
            wait_until(lambda: victim.poll() is not None, "the collector kills itself", WITHIN_S)
            assert victim.returncode == -signal.SIGKILL
            enough = max(TESTS, kept(tmp_path) + 2)
            wait_until(lambda: kept(tmp_path) >= enough, "tests without a collector", WITHIN_S)
            assert kept(tmp_path, State.WAITING) >= 2
            at_the_end.enter_context(program(tmp_path, "collector", chosen, "connected"))
            wait_until(lambda: len(compared(tmp_path)) >= enough, "both records of them", WITHIN_S)
        received = partial(kept, tmp_path, State.COMMITTED)
        wait_until(lambda: received() == kept(tmp_path), "the peer's receipts", WITHIN_S)
    held = query(tmp_path / "ledger.db", LEDGER)
    assert sorted(held) == sorted(query(tmp_path / "tests.db", KEPT))
    assert len(set(held)) == len(held) >= TESTS
    assert all(agree for _, agree in compared(tmp_path))
    assert {session for session, _ in compared(tmp_path)} == told_by_agent(tmp_path)


def told_by_agent(folder: Path) -> set[str]:
    statement = "SELECT session, ordinal FROM floor_tests"
    return {session for session, _ in query(folder / "ledger.db", statement)}
