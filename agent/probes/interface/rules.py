"""Sums of the line's counters over the window of one record. Pure."""

from msgspec import Struct, field

from agent.line.readings import CounterReading, LineCounterSource, Reset, Unavailable
from wire.records import InterfaceFlow, InterfaceValues

NOTHING_YET = Unavailable("the line's counters were not read twice yet")


class _Flow(Struct):
    """Sums of one direction. ``errors`` and ``drops`` are None once the source did not know them."""

    ip_bytes: int = 0
    packets: int = 0
    peak_bps: float = 0.0
    errors: int | None = 0
    drops: int | None = 0

    def add(self, ip_bytes: int, packets: int, errors: int | None, drops: int | None) -> None:
        self.ip_bytes += max(0, ip_bytes)
        self.packets += packets
        self.errors = _plus(self.errors, errors)
        self.drops = _plus(self.drops, drops)

    def values(self, span_us: int) -> InterfaceFlow:
        mean_bps = self.ip_bytes * 8e6 / span_us
        return InterfaceFlow(
            ip_bytes=self.ip_bytes,
            packets=self.packets,
            mean_bps=mean_bps,
            peak_bps=max(mean_bps, self.peak_bps),
            errors=self.errors,
            drops=self.drops,
        )


class CountingWindow(Struct):
    """Sums of the time of one record. ``problem`` is the newest reason for a missing reading."""

    span_us: int = 0
    end_us: int = 0
    readings: int = 0
    resets: int = 0
    carrier_losses: int | None = 0
    newest: CounterReading | None = None
    problem: Unavailable = NOTHING_YET
    down: _Flow = field(default_factory=_Flow)
    up: _Flow = field(default_factory=_Flow)

    def values(self, source: LineCounterSource, reading_us: int) -> InterfaceValues | Unavailable:
        """Values of the record, or the reason why nothing could be counted."""
        if self.newest is None or not self.span_us:
            return self.problem
        return InterfaceValues(
            source=source.kind,
            interface=source.interface[:300],
            readings=self.readings,
            reading_us=reading_us,
            end_boot_us=self.end_us,
            span_us=self.span_us,
            down=self.down.values(self.span_us),
            up=self.up.values(self.span_us),
            resets=self.resets,
            carrier=self.newest.carrier,
            carrier_losses=self.carrier_losses,
            speed_bps=self.newest.speed_bps,
        )


class LineTally:
    """Sums since the last cut. ``reading_us`` is the planned time between two readings.

    Moments are microseconds of CLOCK_BOOTTIME. No time is counted twice or left out, except between two
    readings with a reset. A failed reading only makes the stretch around it longer.

    Counters that are up to ``lag_us`` old may have counted for that much longer than the time between two
    readings. Their peaks are divided by the longer time, and are never above the true ones.
    """

    def __init__(self, reading_us: int, lag_us: int = 0) -> None:
        self._reading_us = reading_us
        self._lag_us = lag_us
        self._last: tuple[int, CounterReading] | None = None
        self._window = CountingWindow()

    def add(self, reading: CounterReading | Unavailable, now: int) -> None:
        """Add the result of an attempt to read the counters."""
        if isinstance(reading, Unavailable):
            self._window.problem = reading
            return
        self._window.readings += 1
        if self._last is not None and now > self._last[0]:
            self._stretch(*self._last, reading, now)
        self._last = (now, reading)

    def cut(self) -> CountingWindow:
        """End the window at the newest reading and return it; the next one begins there."""
        window, self._window = self._window, CountingWindow()
        return window

    def _stretch(self, before: int, earlier: CounterReading, reading: CounterReading, now: int) -> None:
        window, lapse_us = self._window, now - before
        added = reading.since(earlier)
        # What was counted between two readings with a reset is not known, and is left out.
        if isinstance(added, Reset):
            window.resets += 1
            window.problem = added
            return
        window.newest, window.end_us = reading, now
        window.span_us += lapse_us
        losses = _losses(added, earlier, reading)
        window.carrier_losses = _plus(window.carrier_losses, losses)
        down, up = added.received_ip_bytes, added.sent_ip_bytes
        window.down.add(down, added.received_packets, added.received_errors, added.received_drops)
        window.up.add(up, added.sent_packets, added.sent_errors, added.sent_drops)
        if lapse_us * 2 >= self._reading_us:  # a mean over less would show a burst
            longest_us = lapse_us + self._lag_us
            window.down.peak_bps = max(window.down.peak_bps, down * 8e6 / longest_us)
            window.up.peak_bps = max(window.up.peak_bps, up * 8e6 / longest_us)


def next_reading(now: int, boundary: int, reading_us: int) -> int:
    """Time of the next reading: every ``reading_us``, and at the boundary, but not shortly before it."""
    return boundary if boundary - now < reading_us * 3 // 2 else now + reading_us


def next_boundary(now: int, boundary: int, interval_us: int) -> int:
    """First boundary after ``now``; there is one every ``interval_us``."""
    return boundary if now < boundary else now + interval_us - (now - boundary) % interval_us


def _losses(added: CounterReading, earlier: CounterReading, reading: CounterReading) -> int | None:
    """Losses of the link: as counted, or else as seen in two readings."""
    if added.carrier_losses is not None:
        return added.carrier_losses
    if earlier.carrier is None or reading.carrier is None:
        return None
    return int(earlier.carrier and not reading.carrier)


def _plus(total: int | None, more: int | None) -> int | None:
    return None if total is None or more is None else total + more
