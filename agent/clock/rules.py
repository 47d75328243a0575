"""Changes of the wall clock against CLOCK_BOOTTIME: readings in, values of clock records out. Pure.

The offset between the two changes by steps only: slewing moves both clocks alike.

| wall clock | record |
|---|---|
| becomes synchronised, or is so at the agent's start | ``synchronised`` |
| moves by 100 ms or more | ``stepped`` |
| is no longer synchronised | ``lost`` |
| is not synchronised, and a synchronised peer's time is new | ``peer``, with the peer's offset |

The first row dates records of the same boot from before the clock was right. One change a minute is recorded
at most; a later one within that minute is recorded at its end, if it is still there.
"""

from agent.train.peer_time import PeerClockOffset, PeerTime
from wire.records import ClockChange, ClockReading, ClockValues

HOLD_US = 60_000_000  # a clock that is set every few seconds must not fill the journal
STEP_US = 100_000  # no figure depends on smaller steps
PEER_MOVED_US = 500_000
# Time in which a free-running oscillator may drift by two seconds (100 ppm).
PEER_AGAIN_US = 6 * 3_600_000_000


class ClockChanges:
    """Detector of changes between one reading and the one before."""

    def __init__(self) -> None:
        self._last: ClockReading | None = None
        self._changed_us: int | None = None
        self._recorded: PeerClockOffset | None = None

    def look(self, now: ClockReading, peer_time: PeerTime) -> ClockValues | None:
        """Values to record at ``now`` by the table of this module, if any."""
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
        """Values with the peer's time, if the peer's clock is synchronised and the offset is new."""
        offset = peer_time.offset
        if offset is None or not offset.synchronised or not self._is_news(offset):
            return None
        self._recorded = offset
        return ClockValues(
            change=ClockChange.PEER,
            offset_us=_offset(now),
            peer_offset_us=offset.offset_us,
            peer_error_us=offset.error_us,
            peer_boot_us=offset.boot_us,
        )

    def _is_news(self, offset: PeerClockOffset) -> bool:
        known = self._recorded
        if known is None or offset.boot_us - known.boot_us >= PEER_AGAIN_US:
            return True
        return abs(offset.offset_us - known.offset_us) > PEER_MOVED_US + offset.error_us + known.error_us


def _offset(reading: ClockReading) -> int:
    return reading.wall_us - reading.boot_us


def _change(last: ClockReading | None, now: ClockReading) -> ClockChange | None:
    # Order matters: a clock that was set is not synchronised either, which its record says besides.
    if now.synchronised and (last is None or not last.synchronised):
        return ClockChange.SYNCHRONISED
    if last is not None and abs(_offset(now) - _offset(last)) >= STEP_US:
        return ClockChange.STEPPED
    if last is not None and last.synchronised and not now.synchronised:
        return ClockChange.LOST
    return None
