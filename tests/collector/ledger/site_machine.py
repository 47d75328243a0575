"""A site's machine whose clocks go wrong while its true time is known, and the ledger held against that."""

from dataclasses import dataclass, field
from pathlib import Path

from collector.ingest.decode import judge
from collector.ledger.clock.redating import RedatedSite
from collector.ledger.write.commit_result import MessageResult
from collector.ledger.write.writer import Ledger
from collector.model.message import Arrival
from tests.collector.examples import (
    MINUTE_US,
    NOW_US,
    SITE,
    floor,
    payload,
    stamp,
)
from tests.collector.ledger.filled import query
from wire.messages.envelope import EpochMark
from wire.records import (
    ClockChange,
    ClockMeasurement,
    ClockReading,
    ClockValues,
    FloorMeasurement,
    Measurement,
    Outcome,
    Purpose,
)

SERVER_ERROR_US = 20_000


@dataclass
class Machine:
    """A site's machine: its true time, its clocks, and what its journal holds that was not sent."""

    now_us: int = NOW_US
    drift: float = 50e-6  # of its oscillator
    wall_off_us: int = 0
    synchronised: bool = False
    booted_us: int = NOW_US - 300_000_000
    boots: int = 1
    epochs: int = 1
    seq: int = 0
    lasts: dict[int, int] = field(default_factory=dict)
    unsent: list[Measurement] = field(default_factory=list)
    true_us: dict[tuple[str, int], int] = field(default_factory=dict)

    @property
    def epoch(self) -> str:
        return f"{self.epochs:016x}"

    def clock(self) -> ClockReading:
        return ClockReading(
            wall_us=self.now_us + self.wall_off_us,
            boot_us=round((self.now_us - self.booted_us) * (1 + self.drift)),
            boot_id=f"boot-{self.boots}",
            synchronised=self.synchronised,
            max_error_us=SERVER_ERROR_US if self.synchronised else None,
        )

    def at_1970(self) -> "Machine":
        """The wall clock counts from its boot."""
        self.wall_off_us = -self.booted_us
        self.synchronised = False
        return self

    def synchronise(self) -> None:
        before_us = self._offset_us()
        self.wall_off_us, self.synchronised = 3000, True
        self._journal_change(ClockChange.SYNCHRONISED, before_us)

    def hear_of_peer(self, error_us: int = 5000) -> None:
        """A synchronised peer told the time ten seconds ago, a bit off."""
        boot_us = self.clock().boot_us
        values = ClockValues(
            change=ClockChange.PEER, offset_us=self._offset_us(), peer_boot_us=boot_us,
            peer_offset_us=self.now_us + error_us // 2 - boot_us, peer_error_us=error_us,
        )  # fmt: skip
        self.now_us += 10_000_000
        self._journal_values(values)

    def set_by(self, step_us: int) -> None:
        before_us = self._offset_us()
        self.wall_off_us, self.synchronised = self.wall_off_us + step_us, False
        self._journal_change(ClockChange.STEPPED, before_us)

    def reboot(self, off_us: int = MINUTE_US) -> None:
        self.now_us += off_us
        self.booted_us = self.now_us
        self.lasts[self.epochs] = self.seq
        self.boots, self.epochs = self.boots + 1, self.epochs + 1
        self.seq = 0
        self.at_1970()
        self.now_us += 20_000_000

    def measure(self, kind: type = FloorMeasurement, every_us: int = MINUTE_US) -> None:
        self.now_us += every_us
        make = floor if kind is FloorMeasurement else stamp
        self._journal(make(self._next(), start=self.clock(), slot_us=None, epoch=self.epoch))

    def send(self, ledger: Ledger, delay_us: int = 200_000, most: int = 500) -> MessageResult:
        """Newest first, as agents do."""
        records, self.unsent = self.unsent[-most:][::-1], self.unsent[:-most]
        marks = tuple(self._mark(number) for number in range(max(1, self.epochs - 60), self.epochs + 1))
        body = payload(*records, sent=self.clock(), marks=marks)
        arrival = Arrival(f"qos/v1/{SITE}/results", body, self.now_us + delay_us)
        (committed,) = ledger.commit([judge(arrival)]).messages
        self.now_us += delay_us
        return committed

    def _mark(self, number: int) -> EpochMark:
        last = {**self.lasts, self.epochs: self.seq}
        before = {"previous": f"{number - 1:016x}", "previous_last": last[number - 1]} if number > 1 else {}
        return EpochMark(epoch=f"{number:016x}", high_water=last[number], **before)  # type: ignore[arg-type]

    def _offset_us(self) -> int:
        now = self.clock()
        return now.wall_us - now.boot_us

    def _journal_change(self, change: ClockChange, before_us: int) -> None:
        self._journal_values(ClockValues(change=change, offset_us=self._offset_us(), before_us=before_us))

    def _journal_values(self, values: ClockValues) -> None:
        self._journal(
            ClockMeasurement(epoch=self.epoch, seq=self._next(), purpose=Purpose.EVENT, peer="pop-1",
                             start=self.clock(), duration_us=0, outcome=Outcome.OK, values=values)
        )  # fmt: skip

    def _next(self) -> int:
        self.seq += 1
        return self.seq

    def _journal(self, record: Measurement) -> None:
        self.unsent.append(record)
        self.true_us[(record.epoch, record.seq)] = self.now_us


def rows(path: Path) -> list[tuple[str, int, int, int, int | None, int, int]]:
    """Epoch, seq, time, offset, error, ahead, outdated."""
    statement = (
        "SELECT e.epoch, seq, time_us, clock_offset_us, time_error_us, ahead, outdated"
        " FROM measurements m JOIN epochs e ON e.key = m.epoch_key ORDER BY m.key"
    )
    return query(path, statement)


def idle(ledger: Ledger) -> list[RedatedSite]:
    """Re-date as the writer does between groups, until nothing is left."""
    redated, rounds = [], 0
    while rounds < 4:  # twice through the boots that are bounded, and what follows from each
        found, more = ledger.redate()
        rounds += not more
        redated += found
    return redated


def assert_within_their_errors(path: Path, machine: Machine, most_us: int | None = None) -> None:
    """Every time is right within its error, or no error is claimed; and none is wider than ``most_us``."""
    for epoch, seq, time_us, _, error_us, *_ in rows(path):
        off_us = abs(time_us - machine.true_us[(epoch, seq)])
        if most_us is not None:
            assert error_us is not None, (epoch, seq)
            assert error_us <= most_us, (epoch, seq)
        assert error_us is None or off_us <= error_us, (epoch, seq, off_us, error_us)
