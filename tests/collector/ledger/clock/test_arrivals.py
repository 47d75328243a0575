"""Steps of the collector's own clock: the ledger ends as that of a run whose clock was right all the time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace as changed

from collector.ledger.read import latest
from collector.ledger.write.commit_result import CommitResult
from collector.ledger.write.writer import Ledger
from collector.model.message import Judged
from collector.model.observation import Observation
from tests.collector.examples import HOUR_US, NOW_US, clock
from tests.collector.ledger.filled import query
from tests.collector.ledger.site_machine import Machine, idle, rows
from wire.records import StampMeasurement

SECOND_US = 1_000_000
DAY_US = 24 * HOUR_US
STEPS = [
    sign * step for step in (600 * SECOND_US, 2 * HOUR_US, 8 * DAY_US, 3650 * DAY_US) for sign in (1, -1)
]
STATE = (
    "SELECT b.key, b.offset_us, b.error_us, b.at_us, b.source_key, b.redated FROM boots b ORDER BY b.key",
    "SELECT key, received_us FROM batches ORDER BY key",
    "SELECT batch_key, received_us FROM payloads ORDER BY batch_key",
)


@dataclass
class Collector:
    """A collector whose wall clock is off by ``off_us``; its machine started an hour before."""

    path: Path
    now_us: int = NOW_US
    off_us: int = 0
    synchronised: bool = False

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        self.ledger = Ledger(self.path)
        self.look()

    def look(self) -> None:
        """Look at the clocks, and re-date after a change as the writer does."""
        boot_us = self.now_us - NOW_US + HOUR_US
        reading = clock(self.now_us + self.off_us, boot_id="collector", synchronised=self.synchronised)
        if self.ledger.look(changed(reading, boot_us=boot_us)):
            idle(self.ledger)

    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now_us += SECOND_US
            self.look()

    def commit(self, group: Sequence[Judged]) -> CommitResult:
        """Commit messages that have just arrived."""
        return self.ledger.commit([self._dated(message) for message in group])

    def _dated(self, message: Any) -> Any:
        assert self.ledger.clock is not None
        boot_us = self.now_us - NOW_US + HOUR_US
        received_us = boot_us + self.ledger.clock.offset_us
        return replace(message, arrival=replace(message.arrival, received_us=received_us, boot_us=boot_us))


def machines() -> list[Machine]:
    """One site, first with a clock that was never set, then with NTP."""
    return [Machine().at_1970(), Machine(boots=2, epochs=2, lasts={1: 0}, synchronised=True)]


def send_all(collector: Collector, of_sites: Iterable[Machine]) -> None:
    for one in of_sites:
        one.now_us = collector.now_us - 2 * SECOND_US
        one.measure(StampMeasurement, SECOND_US)
        one.measure(StampMeasurement, SECOND_US)
        one.send(collector, 0)  # type: ignore[arg-type]


def state(path: Path) -> list[Any]:
    return [rows(path), *(query(path, statement) for statement in STATE)]


def first_contact(path: Path, step_us: int, *, synchronised: bool = False) -> Collector:
    """The clock is wrong when the collector starts, and is set right 10 s later."""
    collector, sites = Collector(path, off_us=step_us), machines()
    send_all(collector, sites)
    collector.wait(10)
    collector.off_us, collector.synchronised = 0, synchronised
    collector.wait(1)
    send_all(collector, sites)
    collector.wait(2 if synchronised else 20)
    send_all(collector, sites)
    return collector


def mid_run(path: Path, step_us: int) -> Collector:
    """The clock is wrong for 10 s; a boot is heard of for the first time in them."""
    collector, (early, late) = Collector(path), machines()
    send_all(collector, [early])
    collector.wait(30)
    collector.off_us = step_us
    collector.wait(5)
    send_all(collector, [early, late])
    collector.wait(5)
    collector.off_us = 0
    collector.wait(5)
    send_all(collector, [early, late])
    return collector


def restarted(path: Path, step_us: int) -> Collector:
    """The program starts again while the clock is wrong."""
    collector, sites = Collector(path), machines()
    send_all(collector, sites[:1])
    collector.wait(120)
    collector.ledger.close()
    collector.off_us = step_us
    collector.start()
    send_all(collector, sites)
    collector.wait(60)
    collector.off_us = 0
    collector.wait(1)
    send_all(collector, sites)
    return collector


def restarted_before_it_is_right(path: Path, step_us: int) -> Collector:
    """The clock was wrong at the first start, and is set right after the program started again."""
    collector, sites = Collector(path, off_us=step_us), machines()
    send_all(collector, sites)
    collector.wait(5)
    collector.ledger.close()
    collector.start()
    collector.off_us = 0
    collector.wait(100)
    send_all(collector, sites)
    return collector


RUNS = {
    "first contact": first_contact,
    "first contact, NTP": lambda path, step_us: first_contact(path, step_us, synchronised=True),
    "mid-run": mid_run,
    "restart": restarted,
    "right after a restart": restarted_before_it_is_right,
}


def outcome(name: str, path: Path, step_us: int) -> tuple[list[Any], set[Observation]]:
    """Ledger and views at the end of a run."""
    collector = RUNS[name](path, step_us)
    idle(collector.ledger)
    collector.ledger.close()
    return state(path), set(latest.newest(path, collector.now_us))


@pytest.fixture(scope="module", params=RUNS)
def right(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any]:
    """A run whose clock is right all the time."""
    return request.param, outcome(request.param, tmp_path_factory.mktemp("right") / "ledger.db", 0)


@pytest.mark.parametrize("step_us", STEPS)
def test_the_ledger_ends_as_with_a_right_clock(right: tuple[str, Any], step_us: int, tmp_path: Path) -> None:
    name, expected = right
    assert outcome(name, tmp_path / "ledger.db", step_us) == expected


def test_a_row_of_the_future_hides_nothing(tmp_path: Path) -> None:
    """It arrived in an earlier boot of the collector's machine, whose clock nobody can correct any more."""
    path = tmp_path / "ledger.db"
    collector, (early, _) = Collector(path, off_us=8 * DAY_US), machines()
    send_all(collector, [early])
    collector.ledger.close()
    ahead = list(latest.newest(path, NOW_US + 8 * DAY_US))
    assert ahead
    assert not list(latest.newest(path, NOW_US))
