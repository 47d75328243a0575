"""The site's own traffic beside a load test: what the line's counters saw beyond the test itself."""

import time
from dataclasses import dataclass

from agent.line_counters import CounterReading, LineCounterSource, Unavailable
from wire.records import Direction, LineCounters
from wire.udpstp.load import LoadReport


@dataclass(frozen=True, slots=True)
class _Mark:
    """The line's counters at one moment, seconds of the monotonic clock."""

    at_s: float
    counters: CounterReading | Unavailable


class LoadMeter:
    """Reads the counters before a test, when its load begins and ends, and after; one test at a time.

    Without the two readings in between, all that is not the test's counts as beside it.
    """

    def __init__(self, counters: LineCounterSource) -> None:
        self._counters = counters
        self._marks: list[_Mark] = []

    @property
    def kind(self) -> LineCounters:
        """What a measurement says of how the site's own traffic was known."""
        return self._counters.kind

    def start(self) -> None:
        """A test is about to be set up."""
        self._marks.clear()
        self.mark()

    def mark(self) -> None:
        """The load begins, or its planned duration is over."""
        self._marks.append(_Mark(time.monotonic(), self._counters.read()))

    def own_traffic(self, report: LoadReport) -> float | Unavailable:
        """bit/s at the IP layer in the direction of the test that is now through.

        From before the set-up to after the last packet the test's own bytes are known exactly, but before
        and after the load other traffic has the line to itself, which is nothing that it had beside the
        test: no more counts than was there during the load. Transmit counters tell what was offered, not
        what arrived: it shares the fate of the test's own packets.
        """
        self.mark()
        down = report.direction is Direction.DOWN
        first, *load, last = self._marks
        whole = _line_bps(first, last, down=down)
        if isinstance(whole, Unavailable):
            return whole
        other = whole - (report.bytes_received if down else report.bytes_sent) * 8 / (last.at_s - first.at_s)
        if len(load) == 2:
            loaded = _line_bps(*load, down=down)
            if isinstance(loaded, Unavailable):
                return loaded
            other = min(other, loaded - (report.received_bps if down else report.sent_bps))
        arrived = 1.0 if down else 1 - report.lost / max(1, report.sent_packets)
        return max(0.0, other * arrived)


def _line_bps(first: _Mark, last: _Mark, *, down: bool) -> float | Unavailable:
    """What the line carried between two marks, bit/s at the IP layer."""
    if isinstance(first.counters, Unavailable):
        return first.counters
    added = last.counters if isinstance(last.counters, Unavailable) else last.counters.since(first.counters)
    if isinstance(added, Unavailable):
        return added
    return (added.received_ip_bytes if down else added.sent_ip_bytes) * 8 / (last.at_s - first.at_s)
