"""Account of the verdicts of one shape, level and direction, and the bars that it meets or misses. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median, quantiles

from agent.task.task import Reading
from lab.bench.truth.shapes import LineLevel, Shape, ShapeCounters
from lab.bench.verdicts import Verdicts, spent
from wire.records import Direction, Verdict

DECISIVE, DECISIVE_IN_EACH = 0.95, 0.9
FIRST_TEST_BYTES, PASS_BYTES, FAIL_BYTES = 2.2e6, 2.2e6, 5e6
FLOOR_OF_BYTES = 8_000_000


@dataclass(slots=True)
class ShapeAccount:
    """Verdicts of one line in one direction.

    ``rate_bps`` is the truth; ``problem`` is a reason not to trust it.
    """

    shape: Shape
    level: LineLevel
    direction: Direction
    rate_bps: float
    readings: list[Reading] = field(default_factory=list)
    problem: str = ""

    @property
    def verdicts(self) -> Verdicts:
        """Readings, compared with the truth."""
        wrong = Verdict.FAIL if self.level is LineLevel.ABOVE else Verdict.PASS
        return Verdicts(frozenset({wrong}), self.readings)

    @property
    def is_blind(self) -> bool:
        """True if no counters can confirm a fail: it then ends unconfirmed."""
        return self.shape.counters is not ShapeCounters.FRESH and self.level is LineLevel.BELOW

    @property
    def expected(self) -> int:
        """Verdicts that decide, or that cannot decide more."""
        seen = self.verdicts
        return seen.count(Verdict.UNCONFIRMED) + seen.decisive if self.is_blind else seen.decisive

    def faults(self) -> list[str]:
        """Bars that this line misses."""
        name, seen = f"{self.shape.name}, {self.level}, {self.direction}", self.verdicts
        found = [f"{name}: {self.problem}"] if self.problem else []
        if seen.wrong:
            found.append(f"{name}: {seen.wrong} wrong")
        if self.shape.swing is None and self.expected < DECISIVE_IN_EACH * len(self.readings):
            found.append(f"{name}: {self.expected} of {len(self.readings)} decisive")
        return found


def bytes_of(accounts: Iterable[ShapeAccount], verdict: Verdict) -> list[int]:
    """Bytes of each verdict of one kind at the floor whose bytes have a bar, in order."""
    at_floor = [one for one in accounts if one.shape.floor_bps == FLOOR_OF_BYTES]
    return sorted(
        spent(reading) for one in at_floor for reading in one.readings if is_verdict(reading, verdict)
    )


def is_verdict(reading: Reading, verdict: Verdict) -> bool:
    """Check if a reading has this verdict."""
    return Verdicts(frozenset({verdict}), [reading]).wrong == 1


def totals(accounts: list[ShapeAccount]) -> tuple[list[str], list[str]]:
    """Lines about all verdicts together, and the bars that they miss."""
    lines, missed = [], [fault for one in accounts for fault in one.faults()]
    steady = [one for one in accounts if one.shape.swing is None]
    count = sum(len(one.readings) for one in accounts)
    wrong = sum(one.verdicts.wrong for one in accounts)
    of_steady = sum(len(one.readings) for one in steady)
    decisive = sum(one.expected for one in steady) / max(1, of_steady)
    lines.append(f"{count} verdicts, {wrong} wrong; of constant rate {of_steady}, {decisive:.1%} decisive")
    if decisive < DECISIVE:
        missed.append(f"only {decisive:.1%} decisive")
    first = max((one.verdicts.first_test_bytes for one in accounts if _is_plain(one.shape)), default=0)
    lines.append(f"first test at floor 8: {first / 1e6:.2f} MB at most")
    if first > FIRST_TEST_BYTES:
        missed.append(f"a first test of {first / 1e6:.2f} MB")
    for verdict, bar in ((Verdict.PASS, PASS_BYTES), (Verdict.FAIL, FAIL_BYTES)):
        spent_bytes = bytes_of(accounts, verdict)
        if len(spent_bytes) < 2:
            continue
        middle, late = median(spent_bytes), quantiles(spent_bytes, n=20)[-1]
        lines.append(f"{verdict} at floor 8: {middle / 1e6:.2f} MB (median), {late / 1e6:.2f} MB (p95)")
        if middle > bar:
            missed.append(f"a {verdict} takes {middle / 1e6:.2f} MB")
    return lines, missed


def _is_plain(shape: Shape) -> bool:
    return shape.floor_bps == FLOOR_OF_BYTES and not shape.pre_drain
