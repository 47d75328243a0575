"""Floor verdicts on a machine that stands still or is busy: thrown away, but never wrong.

The processes at one end are stopped for 300 ms in the middle of each test: the sender then leaves a gap and
must not catch up into the line's queue, the receiver must not take its own sleep for a queue of the line.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from lab.bench.accuracy.result import Bar, Effort, Headline, Result, Row, Table, Tell
from lab.bench.accuracy.tools.busy import busy
from lab.bench.accuracy.tools.side_by_side import Turns, all_measured, measure_each, teller
from lab.bench.verdicts import Verdicts
from lab.netns.names import End
from lab.testbed.kernel_testbed import FLOOR_BPS
from lab.testbed.line_testbed import LineStand, shaped
from wire.records import Direction, Verdict

RATES = (7.6, 8.4)
STOP_S, INTO_S = 0.3, 0.8
"""How long the stop lasts, and how far into a load it comes."""

POLL_S = 0.1
LOAD_SHARE = 0.5
"""Of the floor: what crosses the line faster than this is the load of a test."""

BUSY_PROCESSES = 6
SHORT_RUNS, FULL_RUNS = 2, 20
STOPPED_AT_ONCE, BUSY_AT_ONCE = 4, 2


class Disturbance(StrEnum):
    """What happens to the machine."""

    PEER = "peer stopped 300 ms"
    AGENT = "agent stopped 300 ms"
    BUSY = "6 busy processes"


ENDS = {Disturbance.PEER: End.FAR, Disturbance.AGENT: End.SITE}
SENDERS = {Direction.DOWN: Disturbance.PEER, Direction.UP: Disturbance.AGENT}


@dataclass(slots=True)
class Case:
    """One line, direction and disturbance. ``stops``: how often the processes were stopped."""

    disturbance: Disturbance
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
        """For a person."""
        who = " (the sender)" if self.is_sender else ""
        return f"{self.rate_mbps:g} Mbit/s {self.direction}, {self.disturbance}{who}"

    @property
    def is_sender(self) -> bool:
        """Whether it is the sender that is stopped."""
        return SENDERS[self.direction] is self.disturbance


def measure(effort: Effort, tell: Tell) -> Result:
    """The part ``disturbed``."""
    cases = [
        Case(disturbance, direction, rate)
        for disturbance in Disturbance
        for rate in RATES
        for direction in Direction
    ]
    runs = effort.times(SHORT_RUNS, FULL_RUNS)

    def fill(case: Case, turns: Turns) -> None:
        with LineStand(shaped(case.rate_mbps)) as stand, _stopping(case, stand):
            for _ in turns(runs):
                case.verdicts.readings.append(stand.verdict(case.direction))

    stopped = [case for case in cases if case.disturbance in ENDS]
    measure_each(stopped, STOPPED_AT_ONCE, fill, teller(tell, _words))
    with busy(BUSY_PROCESSES):
        rest = [case for case in cases if case.disturbance is Disturbance.BUSY]
        measure_each(rest, BUSY_AT_ONCE, fill, teller(tell, _words))
    return judge(cases)


@contextlib.contextmanager
def _stopping(case: Case, stand: LineStand) -> Iterator[None]:
    """Meanwhile stop the processes at the case's end in the middle of each load, where it has an end."""
    end, ended = ENDS.get(case.disturbance), threading.Event()
    if end is None:
        yield
        return
    stopper = threading.Thread(target=_stop_in_each_load, args=(case, stand, end, ended))
    stopper.start()
    try:
        yield
    finally:
        ended.set()
        stopper.join()


def _stop_in_each_load(case: Case, stand: LineStand, end: End, ended: threading.Event) -> None:
    """Once in each: between two loads the line is idle for longer than it takes to look twice."""
    began, stopped = None, False
    seen, at = stand.delivered(case.direction), time.monotonic()
    while not ended.wait(POLL_S):
        newest, now = stand.delivered(case.direction), time.monotonic()
        loaded = (newest - seen) * 8 / (now - at) > LOAD_SHARE * FLOOR_BPS
        seen, at = newest, now
        if not loaded:
            began, stopped = None, False
        elif began is None:
            began = now
        elif now - began >= INTO_S and not stopped:
            _stop(stand.processes(end))
            case.stops += 1
            seen, at, stopped = stand.delivered(case.direction), time.monotonic(), True


def _stop(processes: Sequence[int]) -> None:
    try:
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        time.sleep(STOP_S)
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


def _words(case: Case) -> str:
    seen = case.verdicts
    return (
        f"{seen.right} right, {seen.wrong} wrong, {seen.undecided} undecided, {seen.invalid} invalid; "
        f"{seen.thrown_away} tests thrown away, {case.stops} stops"
    )


def judge(cases: Sequence[Case]) -> Result:
    """Table, bars and headline of measured cases."""
    table = Table(
        title="Verdicts while the machine stands still or is busy",
        rows=tuple(map(_row, cases)),
        truth="at least 8 Mbit/s",
        note=f"ours: right / wrong. A stop comes {INTO_S:g} s into the load of each test.",
    )
    return Result((table,), tuple(_bars(cases)), (_headline(cases),))


def _row(case: Case) -> Row:
    seen = case.verdicts
    return Row(
        case=case.label,
        truth="yes" if case.rate_mbps * 1e6 >= FLOOR_BPS else "no",
        ours=f"{seen.right} / {seen.wrong}",
        more={
            "undetermined": seen.undecided,
            "invalid": seen.invalid,
            "failed": seen.failed,
            "stops": case.stops if case.disturbance in ENDS else None,
            "single tests thrown away": seen.thrown_away,
        },
    )


def _bars(cases: Sequence[Case]) -> list[Bar]:
    wrong = [case.label for case in cases if case.verdicts.wrong]
    asked = sum(len(case.verdicts.readings) for case in cases)
    sender = [case for case in cases if case.is_sender]
    unnoticed = [case.label for case in sender if not 0 < case.stops <= case.verdicts.thrown_away]
    return [
        Bar(f"never a wrong verdict, of {asked}" + _names(wrong), met=bool(asked) and not wrong),
        Bar(
            "every test whose sender was stopped is thrown away" + _names(unnoticed),
            met=bool(sender) and not unnoticed,
        ),
        all_measured(cases),
    ]


def _names(labels: Sequence[str]) -> str:
    return f"; not {', '.join(labels)}" if labels else ""


def _headline(cases: Sequence[Case]) -> Headline:
    seen = [case.verdicts for case in cases]
    wrong, asked = sum(one.wrong for one in seen), sum(len(one.readings) for one in seen)
    invalid = sum(one.invalid for one in seen)
    return Headline(
        "wrong verdicts with processes stopped 300 ms in each test, or six busy ones beside",
        f"0 of {asked}",
        f"{wrong} of {asked}, {invalid} thrown away",
    )
