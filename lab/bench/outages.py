"""``make bench-outages``: what is out and since when, told by the agent and held against the truth.

Each outage is made in network namespaces with the real programs, ends after a while, and is looked up in the
agent's journal. Exit status 0 only if each was told once, rightly, with begin and end within two intervals.
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
from lab.netns.requirements import KernelLinkError
from lab.testbed.outage_testbed import AWAY, EVERYTHING, OutageStand, now_us
from wire.records import Cause, ReachabilityValues

PROGRAM = "bench-outages"
GATEWAY, HOP = 0, 1
LASTS, COLLECTOR_LASTS = 4.5, 14.0
"""Intervals for which each thing is out: a receipt may be nine late before a collector is missed."""
PATIENCE = 16.0
"""Intervals, and some seconds for programs to start, until an outage has to be told with its end."""
START_S = 20.0
WITHIN = 2.0
"""Intervals that begin and end may be off."""

Act = Callable[[OutageStand], None]


@dataclass(frozen=True, slots=True)
class Outage:
    """What is done, what an agent has to call it, and how it is undone."""

    what: str
    cause: Cause
    out: Act
    back: Act
    lasts: float = LASTS


def _kill(name: str) -> Act:
    return lambda stand: stand.end(name)


def _start(name: str) -> Act:
    return lambda stand: stand.start(name)


OUTAGES = (
    Outage("cable pulled", Cause.SITE, OutageStand.pull_the_cable, OutageStand.plug_the_cable),
    Outage("gateway dead", Cause.SITE, lambda s: s.cut(GATEWAY, EVERYTHING), lambda s: s.mend(GATEWAY)),
    Outage("access line cut", Cause.ACCESS, lambda s: s.cut(GATEWAY, AWAY), lambda s: s.mend(GATEWAY)),
    Outage("cut beyond the hop", Cause.BEYOND, lambda s: s.cut(HOP, AWAY), lambda s: s.mend(HOP)),
    Outage("peer killed", Cause.PEER, _kill("peer"), _start("peer")),
    Outage("peer not reachable", Cause.PEER, OutageStand.silence_peer, OutageStand.hear_peer),
    Outage("broker killed", Cause.BROKER, _kill("mosquitto"), OutageStand.start_broker),
    Outage("collector killed", Cause.COLLECTOR, _kill("collector"), _start("collector"), COLLECTOR_LASTS),
    Outage("agent killed", Cause.AGENT, _kill("agent"), _start("agent")),
    Outage("agent stopped", Cause.AGENT, lambda s: s.end("agent", signal.SIGTERM), _start("agent")),
    Outage(
        "machine begun anew", Cause.UNKNOWN, _kill("agent"), lambda s: s.start("agent", str(uuid.uuid4()))
    ),
)


@dataclass(frozen=True, slots=True)
class Told:
    """One outage as it was, and what the agent recorded: all of it, and its last record.

    Moments are microseconds of CLOCK_BOOTTIME; ``began`` and ``ended`` say between which two it did.
    """

    outage: Outage
    interval_s: float
    began: tuple[int, int]
    ended: tuple[int, int]
    records: tuple[ReachabilityValues, ...]

    @property
    def last(self) -> ReachabilityValues | None:
        """The record of the end."""
        return self.records[-1] if self.records and self.records[-1].end is not None else None

    @property
    def begin_off_s(self) -> float | None:
        """How far from the truth the recorded begin is, seconds; earlier is negative."""
        return None if self.last is None else _off_s(self.last.begin.boot_us, self.began)

    @property
    def end_off_s(self) -> float | None:
        """The same of the end."""
        return (
            None if self.last is None or self.last.end is None else _off_s(self.last.end.boot_us, self.ended)
        )

    @property
    def right(self) -> bool:
        """Told once, under the right cause, each moment within two intervals and its own error."""
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
    """From the nearer of the two moments between which it was; 0 within."""
    first, last = truth
    return (moment - last if moment > last else min(0, moment - first)) / 1e6


def measure(stand: OutageStand, outage: Outage) -> Told:
    """Make an outage, end it, and read what the agent recorded. Raises KernelLinkError."""
    stand.wait_until_well()
    before = len(stand.told())
    began = _timed(lambda: outage.out(stand))
    time.sleep(outage.lasts * stand.interval_s)
    ended = _timed(lambda: outage.back(stand))
    within_s = PATIENCE * stand.interval_s + START_S
    stand.wait(lambda: any(one.end is not None for one in stand.told()[before:]), within_s)
    stand.wait_until_well()
    return Told(outage, stand.interval_s, began, ended, tuple(stand.told()[before:]))


def _timed(act: Callable[[], None]) -> tuple[int, int]:
    before = now_us()
    act()
    return before, now_us()


def measured(folder: Path, interval_s: float) -> Iterator[Told]:
    """Every outage, one after the other. Raises KernelLinkError."""
    with OutageStand(folder, interval_s) as stand:
        for outage in OUTAGES:
            yield measure(stand, outage)


def main(arguments: Sequence[str]) -> int:
    """Make all outages, print the table, and return the exit status."""
    parser = command_line.parser(PROGRAM, "What is out, told by the agent and held against the truth.")
    parser.add_argument("--interval", type=float, default=10.0, help="seconds between asks (default: 10)")
    options = parser.parse_args(arguments)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    try:
        with tempfile.TemporaryDirectory(prefix="plancher-outages-") as name:
            found = []
            for told in measured(Path(name), options.interval):
                console.print(f"{told.outage.what}: {'right' if told.right else 'WRONG'}")
                found.append(told)
    except KernelLinkError as error:
        Console(stderr=True, soft_wrap=True).print(f"{PROGRAM}: {error}", markup=False)
        return Exit.UNAVAILABLE
    console.print(table(found))
    return Exit.OK if all(told.right for told in found) else Exit.FAIL


def table(found: Sequence[Told]) -> Table:
    """One row an outage: the truth, what was told, and how far each moment was off and may have been."""
    shown = Table(title=f"Outages, asked every {found[0].interval_s:g} s" if found else "Outages")
    for heading in (
        "what was out",
        "truth",
        "told",
        "begin off",
        "stated",
        "end off",
        "stated",
        "records",
        "",
    ):
        shown.add_column(
            heading, justify="right" if heading in ("begin off", "stated", "end off") else "left"
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
