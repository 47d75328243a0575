"""Benchmark ``make bench-outages``: outages in network namespaces, as the agent records them, beside the
truth.

Each outage is made with the real programs, ends after some intervals, and is looked up in the agent's
journal. Exit status 0 only if each was recorded once, under the right cause, with begin and end within two
intervals.
"""

import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from host import command_line
from host.exits import Exit
from lab.netns import requirements
from lab.netns.requirements import KernelLinkError
from lab.testbed.outage_testbed import EVERYTHING, FAR_SIDE, OutageTestbed, now_us
from wire.records import Cause, ReachabilityValues

PROGRAM = "bench-outages"
GATEWAY, HOP = 0, 1
# Length of an outage in intervals. A receipt may be nine intervals late before the collector counts as
# missing.
LASTS, COLLECTOR_LASTS = 4.5, 14.0
# Intervals until an outage has to be recorded with its end; START_S more for programs that start.
PATIENCE = 16.0
START_S = 20.0
# Intervals by which begin and end may be wrong.
WITHIN = 2.0

Act = Callable[[OutageTestbed], None]


@dataclass(frozen=True, slots=True)
class OutageCase:
    """One outage: how it is made and ended, and the cause that the agent has to record."""

    what: str
    cause: Cause
    out: Act
    back: Act
    lasts: float = LASTS


def _kill(name: str) -> Act:
    return lambda testbed: testbed.end(name)


def _start(name: str) -> Act:
    return lambda testbed: testbed.start(name)


OUTAGES = (
    OutageCase("cable pulled", Cause.SITE, OutageTestbed.pull_the_cable, OutageTestbed.plug_the_cable),
    OutageCase("gateway dead", Cause.SITE, lambda s: s.cut(GATEWAY, EVERYTHING), lambda s: s.mend(GATEWAY)),
    OutageCase(
        "access line cut", Cause.ACCESS, lambda s: s.cut(GATEWAY, FAR_SIDE), lambda s: s.mend(GATEWAY)
    ),
    OutageCase("cut beyond the hop", Cause.BEYOND, lambda s: s.cut(HOP, FAR_SIDE), lambda s: s.mend(HOP)),
    OutageCase("peer killed", Cause.PEER, _kill("peer"), _start("peer")),
    OutageCase("peer not reachable", Cause.PEER, OutageTestbed.silence_peer, OutageTestbed.unsilence_peer),
    OutageCase("broker killed", Cause.BROKER, _kill("mosquitto"), OutageTestbed.start_broker),
    OutageCase("collector killed", Cause.COLLECTOR, _kill("collector"), _start("collector"), COLLECTOR_LASTS),
    OutageCase("agent killed", Cause.AGENT, _kill("agent"), _start("agent")),
    OutageCase("agent stopped", Cause.AGENT, lambda s: s.end("agent", signal.SIGTERM), _start("agent")),
    OutageCase(
        "machine rebooted", Cause.UNKNOWN, _kill("agent"), lambda s: s.start("agent", str(uuid.uuid4()))
    ),
)


@dataclass(frozen=True, slots=True)
class ObservedOutage:
    """One outage as it was, and the agent's records of it.

    Times are microseconds of CLOCK_BOOTTIME. ``began`` and ``ended`` are the times before and after each act.
    """

    outage: OutageCase
    interval_s: float
    began: tuple[int, int]
    ended: tuple[int, int]
    records: tuple[ReachabilityValues, ...]

    @property
    def last(self) -> ReachabilityValues | None:
        """Record of the end."""
        return self.records[-1] if self.records and self.records[-1].end is not None else None

    @property
    def begin_off_s(self) -> float | None:
        """Error of the recorded begin in seconds; negative if too early."""
        return None if self.last is None else _off_s(self.last.begin.boot_us, self.began)

    @property
    def end_off_s(self) -> float | None:
        """Error of the recorded end in seconds; negative if too early."""
        return (
            None if self.last is None or self.last.end is None else _off_s(self.last.end.boot_us, self.ended)
        )

    @property
    def right(self) -> bool:
        """True if recorded once, under the right cause, each time within two intervals and its own stated
        error.
        """
        last, begin, end = self.last, self.begin_off_s, self.end_off_s
        if last is None or begin is None or end is None or last.end_error_us is None:
            return False
        own = self.outage.cause in (Cause.AGENT, Cause.UNKNOWN)
        return (
            last.cause is self.outage.cause
            and len({one.outage for one in self.records}) == 1
            and max(abs(begin), abs(end)) <= WITHIN * self.interval_s
            and (own or begin * 1e6 <= last.begin_error_us)
            and (own or end * 1e6 <= last.end_error_us)
        )


def _off_s(moment: int, truth: tuple[int, int]) -> float:
    """Return the distance from the interval in which it happened; 0 within."""
    first, last = truth
    return (moment - last if moment > last else min(0, moment - first)) / 1e6


def measure(testbed: OutageTestbed, outage: OutageCase) -> ObservedOutage:
    """Make an outage, end it, and return the agent's records. Raises KernelLinkError."""
    testbed.wait_until_well()
    before = len(testbed.recorded())
    began = _timed(lambda: outage.out(testbed))
    time.sleep(outage.lasts * testbed.interval_s)
    ended = _timed(lambda: outage.back(testbed))
    within_s = PATIENCE * testbed.interval_s + START_S
    testbed.wait(lambda: any(one.end is not None for one in testbed.recorded()[before:]), within_s)
    testbed.wait_until_well()
    return ObservedOutage(outage, testbed.interval_s, began, ended, tuple(testbed.recorded()[before:]))


def _timed(act: Callable[[], None]) -> tuple[int, int]:
    before = now_us()
    act()
    return before, now_us()


def measured(folder: Path, interval_s: float) -> Iterator[ObservedOutage]:
    """Measure all outages in turn. Raises KernelLinkError."""
    with OutageTestbed(folder, interval_s) as testbed:
        for outage in OUTAGES:
            yield measure(testbed, outage)


def main(arguments: Sequence[str]) -> int:
    """Make all outages, print the table, and return the exit status."""
    parser = command_line.parser(
        PROGRAM, "Make outages in network namespaces and compare the agent's records with the truth."
    )
    parser.add_argument(
        "--interval", type=float, default=10.0, help="seconds between two reachability checks (default: 10)"
    )
    options = parser.parse_args(arguments)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    if lacking := requirements.lacking({"mosquitto": "mosquitto"}):
        complaint = f"{PROGRAM}: this machine lacks {'; '.join(lacking)}"
        Console(stderr=True, soft_wrap=True).print(complaint, markup=False)
        return Exit.UNAVAILABLE
    try:
        with tempfile.TemporaryDirectory(prefix="plancher-outages-") as name:
            found = []
            for one in measured(Path(name), options.interval):
                console.print(f"{one.outage.what}: {'right' if one.right else 'WRONG'}")
                found.append(one)
    except KernelLinkError as error:
        Console(stderr=True, soft_wrap=True).print(f"{PROGRAM}: {error}", markup=False)
        return Exit.UNAVAILABLE
    console.print(table(found))
    return Exit.OK if all(one.right for one in found) else Exit.FAIL


def table(found: Sequence[ObservedOutage]) -> Table:
    """Build the table: truth, recorded cause, and the error of each time beside the stated error."""
    shown = Table(title=f"Outages, checked every {found[0].interval_s:g} s" if found else "Outages")
    for heading in (
        "outage",
        "true cause",
        "recorded",
        "begin error",
        "stated",
        "end error",
        "stated",
        "records",
        "",
    ):
        shown.add_column(
            heading, justify="right" if heading in ("begin error", "stated", "end error") else "left"
        )
    for one in found:
        last = one.last
        shown.add_row(
            one.outage.what,
            one.outage.cause,
            "nothing" if last is None else last.cause,
            _seconds(one.begin_off_s),
            _seconds(None if last is None else last.begin_error_us / 1e6),
            _seconds(one.end_off_s),
            _seconds(None if last is None or last.end_error_us is None else last.end_error_us / 1e6),
            str(len(one.records)),
            "right" if one.right else "WRONG",
        )
    return shown


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f} s"


if __name__ == "__main__":
    command_line.run(main, PROGRAM)
