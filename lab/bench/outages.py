"""Benchmark ``make bench-outages``: outages in network namespaces, as the agent records them, beside the
truth.

Each outage is made with the real programs, ends after some intervals, and is looked up in the agent's
journal. Exit status 0 only if each was recorded once, under the right cause, with begin and end within two
intervals. Faults that are no outage must leave no record, but a finding: its appearance and disappearance are
compared with the fault in the same way. What is looked at rarely has a wider bound, in the table below.
"""

import signal
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from host import command_line
from host.exits import Exit
from lab.bench import frame
from lab.netns import requirements
from lab.netns.requirements import KernelLinkError
from lab.testbed.outage_testbed import (
    ACCEPTING,
    EVERYTHING,
    FAR_SIDE,
    GATEWAY,
    HOP,
    REJECTING,
    RESETTING,
    TAKING,
    OutageTestbed,
    now_us,
)
from wire.records import Cause, ReachabilityValues

PROGRAM = "bench-outages"
# Length of an outage in intervals. A receipt may be nine intervals late before the collector counts as
# missing.
LASTS, COLLECTOR_LASTS = 4.5, 14.0
# Intervals until an outage has to be recorded with its end; START_S more for programs that start.
PATIENCE = 16.0
START_S = 20.0
# Intervals by which begin and end may be wrong.
WITHIN = 2.0
# Names are looked up, and addresses beside the preferred one polled, each 30 intervals.
RARELY_WITHIN, RARELY_LASTS = 32.0, 36.0

Act = Callable[[OutageTestbed], None]


@dataclass(frozen=True, slots=True)
class OutageCase:
    """One fault: how it is made and ended, and the cause that the agent has to record, None for no outage.

    ``finding`` begins the finding that the agent has to have meanwhile. ``impostor``: the record says that
    something answers in the broker's place. Lengths and bounds are in intervals.
    """

    what: str
    cause: Cause | None
    out: Act
    back: Act
    lasts: float = LASTS
    within: float = WITHIN
    finding: str = ""
    impostor: bool = False


def _kill(name: str) -> Act:
    return lambda testbed: testbed.end(name)


def _start(name: str) -> Act:
    return lambda testbed: testbed.start(name)


def _box(router: int, how: str) -> tuple[Act, Act]:
    return (
        lambda testbed: testbed.cut_behind_a_box(router, how),
        lambda testbed: testbed.mend_behind_a_box(router),
    )


OUTAGES = (
    OutageCase("cable pulled", Cause.SITE, OutageTestbed.pull_the_cable, OutageTestbed.plug_the_cable),
    OutageCase("gateway dead", Cause.SITE, lambda s: s.cut(GATEWAY, EVERYTHING), lambda s: s.mend(GATEWAY)),
    OutageCase(
        "access line cut", Cause.ACCESS, lambda s: s.cut(GATEWAY, FAR_SIDE), lambda s: s.mend(GATEWAY)
    ),
    OutageCase("cut beyond the hop", Cause.BEYOND, lambda s: s.cut(HOP, FAR_SIDE), lambda s: s.mend(HOP)),
    OutageCase("line cut, box accepts", Cause.ACCESS, *_box(GATEWAY, ACCEPTING), impostor=True),
    OutageCase("line cut, box resets", Cause.ACCESS, *_box(GATEWAY, RESETTING)),
    OutageCase("line cut, box rejects", Cause.ACCESS, *_box(GATEWAY, REJECTING)),
    OutageCase("beyond cut, box accepts", Cause.BEYOND, *_box(HOP, ACCEPTING), impostor=True),
    OutageCase("beyond cut, box resets", Cause.BEYOND, *_box(HOP, RESETTING)),
    OutageCase("box takes new sessions", Cause.PEER, *_box(GATEWAY, TAKING)),
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

NAMED_OUTAGES = (
    OutageCase(
        "resolver dead",
        Cause.DNS,
        OutageTestbed.resolve_nothing,
        OutageTestbed.resolve_rightly,
        RARELY_LASTS,
        RARELY_WITHIN,
    ),
    OutageCase(
        "resolver lies",
        Cause.DNS,
        OutageTestbed.resolve_wrongly,
        OutageTestbed.resolve_rightly,
        RARELY_LASTS,
        RARELY_WITHIN,
    ),
    OutageCase(
        "IPv6 black hole",
        None,
        OutageTestbed.cut_ipv6,
        lambda s: s.mend(GATEWAY),
        RARELY_LASTS,
        RARELY_WITHIN,
        finding="peer: fd91::",
    ),
    OutageCase(
        "both families cut", Cause.ACCESS, lambda s: s.cut(GATEWAY, FAR_SIDE), lambda s: s.mend(GATEWAY)
    ),
)


@dataclass(frozen=True, slots=True)
class ObservedOutage:
    """One outage as it was, and the agent's records of it.

    Times are microseconds of CLOCK_BOOTTIME. ``began`` and ``ended`` are the times before and after each act,
    ``found`` those at which the finding appeared and disappeared, None where it did not.
    """

    outage: OutageCase
    interval_s: float
    began: tuple[int, int]
    ended: tuple[int, int]
    records: tuple[ReachabilityValues, ...]
    found: tuple[int | None, int | None] = (None, None)

    @property
    def last(self) -> ReachabilityValues | None:
        """Record of the end."""
        return self.records[-1] if self.records and self.records[-1].end is not None else None

    @property
    def begin_off_s(self) -> float | None:
        """Error of the recorded begin in seconds; negative if too early."""
        if self.outage.cause is None:
            return None if self.found[0] is None else _off_s(self.found[0], self.began)
        return None if self.last is None else _off_s(self.last.begin.boot_us, self.began)

    @property
    def end_off_s(self) -> float | None:
        """Error of the recorded end in seconds; negative if too early."""
        if self.outage.cause is None:
            return None if self.found[1] is None else _off_s(self.found[1], self.ended)
        return (
            None if self.last is None or self.last.end is None else _off_s(self.last.end.boot_us, self.ended)
        )

    @property
    def right(self) -> bool:
        """True if recorded once, under the right cause, each time within its bound and its own stated error.

        A fault that is no outage has to have its finding in time, and no record.
        """
        last, begin, end = self.last, self.begin_off_s, self.end_off_s
        bound_s = self.outage.within * self.interval_s
        if self.outage.cause is None:
            seen = begin is not None and end is not None and max(abs(begin), abs(end)) <= bound_s
            return seen and not self.records
        if last is None or begin is None or end is None or last.end_error_us is None:
            return False
        own = self.outage.cause in (Cause.AGENT, Cause.UNKNOWN)
        return (
            last.cause is self.outage.cause
            and len({one.outage for one in self.records}) == 1
            and max(abs(begin), abs(end)) <= bound_s
            and bool(last.impostor) is self.outage.impostor
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
    appeared = _wait(testbed, outage, outage.lasts * testbed.interval_s, shown=True)
    time.sleep(max(0.0, outage.lasts * testbed.interval_s - (now_us() - began[1]) / 1e6))
    ended = _timed(lambda: outage.back(testbed))
    within_s = (PATIENCE + outage.within) * testbed.interval_s + START_S
    disappeared = _wait(testbed, outage, within_s, shown=False)
    if outage.cause is not None:
        testbed.wait(lambda: any(one.end is not None for one in testbed.recorded()[before:]), within_s)
    testbed.wait_until_well()
    records = tuple(testbed.recorded()[before:])
    return ObservedOutage(outage, testbed.interval_s, began, ended, records, (appeared, disappeared))


def _wait(testbed: OutageTestbed, outage: OutageCase, within_s: float, *, shown: bool) -> int | None:
    """Wait until the finding of a case is shown, or no longer; return the time, None without one."""

    def is_shown() -> bool:
        status = testbed.status()
        return status is not None and any(one.startswith(outage.finding) for one in status.findings)

    if not outage.finding or not testbed.wait(lambda: is_shown() is shown, within_s):
        return None
    return now_us()


def _timed(act: Callable[[], None]) -> tuple[int, int]:
    before = now_us()
    act()
    return before, now_us()


def measured(folder: Path, interval_s: float) -> Iterator[ObservedOutage]:
    """Measure all outages in turn. Raises KernelLinkError."""
    for named, outages in ((False, OUTAGES), (True, NAMED_OUTAGES)):
        place = folder / ("named" if named else "literal")
        place.mkdir()
        with OutageTestbed(place, interval_s, named=named) as testbed:
            for outage in outages:
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
    console = frame.console(120)
    if lacking := requirements.lacking({"mosquitto": "mosquitto"}):
        return frame.refuse(PROGRAM, frame.lacks(lacking))
    try:
        with tempfile.TemporaryDirectory(prefix="plancher-outages-") as name:
            found = []
            for one in measured(Path(name), options.interval):
                console.print(f"{one.outage.what}: {'right' if one.right else 'WRONG'}")
                found.append(one)
    except KernelLinkError as error:
        return frame.refuse(PROGRAM, error)
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
            one.outage.cause or "none",
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
