"""Part ``disturbed``: floor verdicts on a machine that is stopped or busy. They may be invalid, but never
wrong.

The processes at one end are stopped for 300 ms in the middle of each test. A stopped sender leaves a gap and
must not send faster afterwards, into the line's queue. A stopped receiver must not take its own pause for a
queue of the line.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from lab.bench.accuracy.result import Bar, BenchEffort, Headline, PartResult, ResultRow, ResultTable, Tell
from lab.bench.accuracy.tools.busy import busy
from lab.bench.accuracy.tools.side_by_side import Turns, all_measured, measure_each, teller
from lab.bench.verdicts import Verdicts
from lab.netns.names import LinkNode
from lab.testbed.kernel_testbed import FLOOR_BPS
from lab.testbed.line_testbed import LineTestbed, shaped
from wire.records import Direction, Verdict

RATES = (7.6, 8.4)
# Length of a stop, and its begin after the start of a load.
STOP_S, INTO_S = 0.3, 0.8

POLL_S = 0.1
# Share of the floor above which traffic on the line is the load of a test.
LOAD_SHARE = 0.5

BUSY_PROCESSES = 6
SHORT_RUNS, FULL_RUNS = 2, 20
STOPPED_AT_ONCE, BUSY_AT_ONCE = 4, 2


class MachineDisturbance(StrEnum):
    """Disturbance of the machine during the tests."""

    PEER = "peer stopped 300 ms"
    AGENT = "agent stopped 300 ms"
    BUSY = "6 busy processes"


ENDS = {MachineDisturbance.PEER: LinkNode.FAR, MachineDisturbance.AGENT: LinkNode.SITE}
SENDERS = {Direction.DOWN: MachineDisturbance.PEER, Direction.UP: MachineDisturbance.AGENT}


@dataclass(slots=True)
class BusyMachineCase:
    """One line, direction and disturbance. ``stops``: how often the processes were stopped."""

    disturbance: MachineDisturbance
    direction: Direction
    rate_mbps: float
    verdicts: Verdicts = field(init=False)
    stops: int = 0
    problem: str = ""

    def __post_init__(self) -> None:
        slow = self.rate_mbps * 1e6 < FLOOR_BPS
        self.verdicts = Verdicts(frozenset({Verdict.PASS if slow else Verdict.FAIL}))

    @property
    def label(self) -> str:
        """Name of the case in tables."""
        who = " (the sender)" if self.is_sender else ""
        return f"{self.rate_mbps:g} Mbit/s {self.direction}, {self.disturbance}{who}"

    @property
    def is_sender(self) -> bool:
        """True if the sender is stopped."""
        return SENDERS[self.direction] is self.disturbance


def measure(effort: BenchEffort, tell: Tell) -> PartResult:
    """Run the part ``disturbed``."""
    cases = [
        BusyMachineCase(disturbance, direction, rate)
        for disturbance in MachineDisturbance
        for rate in RATES
        for direction in Direction
    ]
    runs = effort.times(SHORT_RUNS, FULL_RUNS)

    def fill(case: BusyMachineCase, turns: Turns) -> None:
        with LineTestbed(shaped(case.rate_mbps)) as testbed, _stopping(case, testbed):
            for _ in turns(runs):
                case.verdicts.readings.append(testbed.verdict(case.direction))

    stopped = [case for case in cases if case.disturbance in ENDS]
    measure_each(stopped, STOPPED_AT_ONCE, fill, teller(tell, _words))
    with busy(BUSY_PROCESSES):
        rest = [case for case in cases if case.disturbance is MachineDisturbance.BUSY]
        measure_each(rest, BUSY_AT_ONCE, fill, teller(tell, _words))
    return judge(cases)


@contextlib.contextmanager
def _stopping(case: BusyMachineCase, testbed: LineTestbed) -> Iterator[None]:
    """Stop the processes at the case's end in the middle of each load, while the block runs."""
    end, ended = ENDS.get(case.disturbance), threading.Event()
    if end is None:
        yield
        return
    stopper = threading.Thread(target=_stop_in_each_load, args=(case, testbed, end, ended))
    stopper.start()
    try:
        yield
    finally:
        ended.set()
        stopper.join()


def _stop_in_each_load(
    case: BusyMachineCase, testbed: LineTestbed, end: LinkNode, ended: threading.Event
) -> None:
    # One stop in each load: between two loads the line is idle for longer than two polls.
    began, stopped = None, False
    seen, at = testbed.delivered(case.direction), time.monotonic()
    while not ended.wait(POLL_S):
        newest, now = testbed.delivered(case.direction), time.monotonic()
        loaded = (newest - seen) * 8 / (now - at) > LOAD_SHARE * FLOOR_BPS
        seen, at = newest, now
        if not loaded:
            began, stopped = None, False
        elif began is None:
            began = now
        elif now - began >= INTO_S and not stopped:
            _stop(testbed.processes(end))
            case.stops += 1
            seen, at, stopped = testbed.delivered(case.direction), time.monotonic(), True


def _stop(processes: Sequence[int]) -> None:
    try:
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        time.sleep(STOP_S)
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


def _words(case: BusyMachineCase) -> str:
    seen = case.verdicts
    return (
        f"{seen.right} right, {seen.wrong} wrong, {seen.undecided} undecided, {seen.invalid} invalid; "
        f"{seen.invalid_tests} invalid tests, {case.stops} stops"
    )


def judge(cases: Sequence[BusyMachineCase]) -> PartResult:
    """Build table, bars and headline from measured cases."""
    table = ResultTable(
        title="Verdicts while the machine is stopped or busy",
        rows=tuple(map(_row, cases)),
        truth="at least 8 Mbit/s",
        note=f"Plancher: right / wrong. A stop begins {INTO_S:g} s after the start of each load.",
    )
    return PartResult((table,), tuple(_bars(cases)), (_headline(cases),))


def _row(case: BusyMachineCase) -> ResultRow:
    seen = case.verdicts
    return ResultRow(
        case=case.label,
        truth="yes" if case.rate_mbps * 1e6 >= FLOOR_BPS else "no",
        ours=f"{seen.right} / {seen.wrong}",
        more={
            "undetermined": seen.undecided,
            "invalid": seen.invalid,
            "failed": seen.failed,
            "stops": case.stops if case.disturbance in ENDS else None,
            "invalid tests": seen.invalid_tests,
        },
    )


def _bars(cases: Sequence[BusyMachineCase]) -> list[Bar]:
    wrong = [case.label for case in cases if case.verdicts.wrong]
    asked = sum(len(case.verdicts.readings) for case in cases)
    sender = [case for case in cases if case.is_sender]
    unnoticed = [case.label for case in sender if not 0 < case.stops <= case.verdicts.invalid_tests]
    return [
        Bar(f"never a wrong verdict, of {asked}" + _names(wrong), met=bool(asked) and not wrong),
        Bar(
            "every test whose sender was stopped is invalid" + _names(unnoticed),
            met=bool(sender) and not unnoticed,
        ),
        all_measured(cases),
    ]


def _names(labels: Sequence[str]) -> str:
    return f"; not {', '.join(labels)}" if labels else ""


def _headline(cases: Sequence[BusyMachineCase]) -> Headline:
    seen = [case.verdicts for case in cases]
    wrong, asked = sum(one.wrong for one in seen), sum(len(one.readings) for one in seen)
    invalid = sum(one.invalid for one in seen)
    return Headline(
        "wrong verdicts with processes stopped for 300 ms in each test, or beside six busy ones",
        f"0 of {asked}",
        f"{wrong} of {asked}, {invalid} invalid",
    )
