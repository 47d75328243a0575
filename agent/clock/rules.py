"""What becomes of the wall clock, seen against CLOCK_BOOTTIME: readings in, what a record is to tell out.

The distance of the two changes by steps alone, never by slewing: both are slewed alike.
"""

from agent.train.peer_time import PeerClockOffset, PeerTime
from wire.records import ClockChange, ClockReading, ClockValues

HOLD_US = 60_000_000  # a clock that is set every few seconds fills no journal
STEP_US = 100_000  # smaller steps are within what nobody's figures depend on
PEER_MOVED_US = 500_000
PEER_AGAIN_US = 6 * 3_600_000_000
"""By then a free-running oscillator may have left what the peer told by two seconds (100 ppm)."""


class ClockChanges:
    """Compares one reading with the one before. The first of an agent's run has none before it.

    One change a minute is told: what becomes of the clock meanwhile is told then, if anything is left of it.
    """

    def __init__(self) -> None:
        self._last: ClockReading | None = None
        self._changed_us: int | None = None
        self._told: PeerClockOffset | None = None

    def look(self, now: ClockReading, peer_time: PeerTime) -> ClockValues | None:
        """What is to be recorded of the clock as it is ``now``, if anything.

        An agent that starts with a synchronised clock says so once: what was journalled earlier in that boot,
        before the clock was right, is placed by it.
        """
        last, change = self._last, _change(self._last, now)
        if change is not None and self._changed_us is not None and now.boot_us - self._changed_us < HOLD_US:
            return None
        self._last = now
        if change is not None:
            self._changed_us = now.boot_us
            before_us = None if last is None else _offset(last)
            return ClockValues(change=change, offset_us=_offset(now), before_us=before_us)
        return None if now.synchronised else self._of_peer(now, peer_time)

    def _of_peer(self, now: ClockReading, peer_time: PeerTime) -> ClockValues | None:
        """The peer's time, where our own clock is not to be believed and the peer says that its own is."""
        told = peer_time.told
        if told is None or not told.synchronised or not self._is_news(told):
            return None
        self._told = told
        return ClockValues(
            change=ClockChange.PEER,
            offset_us=_offset(now),
            peer_offset_us=told.offset_us,
            peer_error_us=told.error_us,
            peer_boot_us=told.boot_us,
        )

    def _is_news(self, told: PeerClockOffset) -> bool:
        known = self._told
        if known is None or told.boot_us - known.boot_us >= PEER_AGAIN_US:
            return True
        return abs(told.offset_us - known.offset_us) > PEER_MOVED_US + told.error_us + known.error_us


def _offset(reading: ClockReading) -> int:
    return reading.wall_us - reading.boot_us


def _change(last: ClockReading | None, now: ClockReading) -> ClockChange | None:
    """A clock that is set is unsynchronised from then on, which its record says besides."""
    if now.synchronised and (last is None or not last.synchronised):
        return ClockChange.SYNCHRONISED
    if last is not None and abs(_offset(now) - _offset(last)) >= STEP_US:
        return ClockChange.STEPPED
    if last is not None and last.synchronised and not now.synchronised:
        return ClockChange.LOST
    return None
