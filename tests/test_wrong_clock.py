"""Agent with a wrong wall clock, beside a real peer, Mosquitto and collector."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import yaml

from collector.model.clock_correction import DELIVERY_US, DRIFT
from tests.brokers import mosquitto
from tests.processes import free_port, running, wait_until
from tests.test_end_to_end import query, settings
from tests.test_peer_comparison import agent_settings, peer_settings
from tests.wrong_clock import YEAR_S, WrongClock

WITHIN_S = 100.0
# From the beginning of a floor run, with its trains, to the beginning of its first test at the peer.
SETUP_US = 30_000_000
FLOORS = """
SELECT m.key, m.time_us, m.clock_offset_us, m.time_error_us, p.start_us
FROM floor_values f JOIN measurements m ON m.key = f.measurement_key
JOIN peer_comparisons t ON t.measurement_key = m.key AND t.ordinal = 0
JOIN peer_tests p ON p.key = t.peer_test_key
ORDER BY m.key
"""
CHANGES = """
SELECT n.name FROM clock_values JOIN names n ON n.key = change_key
"""


@contextmanager
def program(
    folder: Path, module: str, path: str, sign: str, clock: WrongClock | None = None
) -> Iterator[int]:
    log = folder / f"{module}.log"
    command = [sys.executable, "-m", module, "run", path]
    if clock is not None:
        command = ["env", *clock.variables, *command]
    with running(command, lambda: sign in log.read_text(), log) as process:
        yield process


def clock(folder: Path, name: str, offset_s: float, *, synchronised: bool = False) -> WrongClock:
    (folder / name).mkdir()
    made = WrongClock(folder / name)
    made.set_to(offset_s, synchronised=synchronised)
    return made


def at_1970() -> float:
    return 60 - time.time()


def check_times(folder: Path) -> None:
    """Compare the collector's times with those of the peer, whose clock is right."""
    for key, time_us, _, error_us, at_peer_us in query(folder / "ledger.db", FLOORS):
        assert error_us is not None
        assert -error_us - 1_000_000 <= at_peer_us - time_us <= error_us + SETUP_US, key


def test_floor_verdicts_of_wrong_clocks_get_their_true_times(
    tmp_path: Path,
) -> None:
    ledger = tmp_path / "ledger.db"
    with mosquitto(tmp_path) as broker, ExitStack() as at_the_end:
        ports = (free_port(), free_port())
        right = clock(tmp_path, "right", 0, synchronised=True)
        wrong = clock(tmp_path, "wrong", at_1970())
        serving = peer_settings(tmp_path, broker.port, ports)
        for module, path, sign, its_clock in (
            ("collector", settings(tmp_path, broker.port), "connected", None),
            ("peer", serving, "serving", right),
            ("agent", agent_settings(tmp_path, broker.port, ports), "connected", wrong),
        ):
            at_the_end.enter_context(program(tmp_path, module, path, sign, its_clock))

        def floors() -> list[tuple[int, ...]]:
            return query(ledger, FLOORS)  # type: ignore[return-value]

        def has_offset(offset_s: float) -> bool:
            return any(abs(row[2] / 1e6 - offset_s) < YEAR_S / 12 for row in floors())

        wait_until(lambda: has_offset(at_1970()), "a verdict of 1970", WITHIN_S)
        for offset_s in (10 * YEAR_S, -10 * YEAR_S):
            wrong.set_to(offset_s)
            wait_until(lambda off_s=offset_s: has_offset(off_s), f"a verdict of {offset_s} s off", WITHIN_S)
        check_times(tmp_path)
        claims_us = [row[1] + row[2] for row in floors()]
        assert claims_us[0] < 400 * 1_000_000, "the claim of 1970 is derivable"
        assert query(ledger, "SELECT count(*) FROM measurements WHERE ahead OR outdated") == [(0,)]
        assert query(ledger, "SELECT count(*) FROM stamp_values WHERE delay_forward_p50_us IS NOT NULL") == [
            (0,)
        ]
        wait_until(
            lambda: {"peer-reported", "stepped"} <= changes(ledger), "the changes of the clock", WITHIN_S
        )
        wait_until(lambda: best_source(ledger) == "peer", "the peer's time is the best source")


def changes(ledger: Path) -> set[str]:
    return {str(name) for (name,) in query(ledger, CHANGES)}


def best_source(ledger: Path) -> str:
    ((name, error_us),) = query(
        ledger, "SELECT name, error_us FROM boots JOIN names ON names.key = source_key"
    )
    assert error_us <= DELIVERY_US + DRIFT
    return str(name)


@pytest.mark.parametrize(
    ("offset_s", "authenticated"),
    [(at_1970(), True), (10 * YEAR_S, True), (at_1970(), False)],
    ids=["1970", "in ten years", "1970, and the peer's time is not told"],
)
def test_trains_teach_a_wrong_clock_the_peers_time(
    tmp_path: Path, offset_s: float, authenticated: bool
) -> None:
    """Measure by hand: no earlier run could have learnt the peer's time."""
    ports = (free_port(), free_port())
    wrong = clock(tmp_path, "wrong", offset_s)
    chosen = yaml.safe_load(Path(agent_settings(tmp_path, 1, ports)).read_text())
    chosen["stamp"] = {"authenticated": authenticated}
    (tmp_path / "agent.yaml").write_text(yaml.safe_dump(chosen))
    command = [sys.executable, "-m", "agent", "measure", str(tmp_path / "agent.yaml"), "--json",
               "--probe", "floor", "--direction", "down"]  # fmt: skip
    serving = yaml.safe_load(Path(peer_settings(tmp_path, 1, ports)).read_text())
    del serving["broker"], serving["tests"]
    (tmp_path / "peer.yaml").write_text(yaml.safe_dump(serving))
    with program(tmp_path, "peer", str(tmp_path / "peer.yaml"), "serving"):
        environment = {**os.environ, **dict(one.split("=", 1) for one in wrong.variables)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    (measured,) = json.loads(done.stdout)["measurements"]
    if authenticated:
        assert measured["values"]["tests"][0]["received_packets"] > 0, measured  # a busy machine may spoil it
    else:
        assert (measured["outcome"], measured["failure"]) == ("failed", "no-answer")
