"""When a measurement was made: from what its agent's clocks said, and what is known of that boot of its site.

Pure. An *anchor* is how UTC stood to CLOCK_BOOTTIME at one moment of a boot, and how far that may be wrong.
"""

from enum import StrEnum
from typing import NamedTuple

from msgspec.structs import replace

from collector.model.observation import AHEAD_US
from wire.records import ClockMeasurement, ClockReading, ClockValues, Record, StampMeasurement

BEHIND_US = 7 * 86_400_000_000
"""A claim further before its arrival than this, although sent in the same boot, is a wrong clock: no delivery
takes a week, as agents send again, with new times, what has no receipt."""

DELIVERY_US = 60_000_000
"""How long the quickest delivery of a boot is taken to have lasted at most. The one figure here that nothing
measures: an assumption, told as the error."""

DRIFT = 10_000  # one part in this: 100 ppm, what a crystal may be off by age and temperature
RETENTION_US = 25 * 2_629_746_000_000  # 25 months; what claims to be older is not of anybody's evidence
WORTH_US = 500_000
SOONER_US = 1_000_000
FOLLOW_US = 3_600_000_000


class AnchorSource(StrEnum):
    """What an anchor rests on."""

    SYNCHRONISED = "synchronised"
    PEER = "peer"
    ARRIVAL = "arrival"
    NEIGHBOURS = "neighbours"


class Anchor(NamedTuple):
    """UTC less CLOCK_BOOTTIME, right within ``error_us`` when CLOCK_BOOTTIME was ``at_us``."""

    offset_us: int
    error_us: int
    at_us: int
    source: AnchorSource

    def error_at(self, boot_us: int) -> int:
        """The error at another moment of the boot: the clock may have drifted meanwhile."""
        return self.error_us + abs(boot_us - self.at_us) // DRIFT


class CorrectedTime(NamedTuple):
    """When a measurement was made, how far its own claim is off, and whether views must pass it over.

    ``error_us``: at most how far ``time_us`` is wrong, None where nobody knows. ``believed``: the claim
    stands because the clock was synchronised.
    """

    time_us: int
    clock_offset_us: int
    ahead: bool
    outdated: bool = False
    error_us: int | None = None
    believed: bool = False


def correct(
    start: ClockReading, sent: ClockReading, received_us: int, anchor: Anchor | None = None
) -> CorrectedTime:
    """Place a measurement: by its own clock where that may be believed, else by the anchor of its boot.

    Without either the claim is kept, its error unknown.
    """
    if is_trusted(start, sent, received_us):
        return corrected_to(start.wall_us, start.wall_us, received_us, start.max_error_us, believed=True)
    if anchor is None and start.boot_id == sent.boot_id and start.boot_us <= sent.boot_us:
        anchor = anchor_from_arrival(sent, received_us)
    if anchor is None:
        return corrected_to(start.wall_us, start.wall_us, received_us, None)
    return correct_by_anchor(start.boot_us, start.wall_us, received_us, anchor)


def correct_by_anchor(boot_us: int, claimed_us: int, received_us: int, anchor: Anchor) -> CorrectedTime:
    """Place by an anchor what was made at ``boot_us`` of its boot and claims ``claimed_us``."""
    return corrected_to(boot_us + anchor.offset_us, claimed_us, received_us, anchor.error_at(boot_us))


def corrected_to(
    time_us: int, claimed_us: int, received_us: int, error_us: int | None, *, believed: bool = False
) -> CorrectedTime:
    """A placing, with the marks for what it cannot be: of the future, or older than anything is kept."""
    time_us = max(0, time_us)
    return CorrectedTime(
        time_us,
        claimed_us - time_us,
        ahead=time_us > received_us + AHEAD_US,
        outdated=time_us < received_us - RETENTION_US,
        error_us=error_us,
        believed=believed,
    )


def is_trusted(reading: ClockReading, sent: ClockReading, received_us: int) -> bool:
    """Whether a clock is synchronised, and not only says so."""
    return reading.synchronised and _is_credible(reading, reading.wall_us, sent, received_us)


def _is_credible(reading: ClockReading, wall_us: int, sent: ClockReading, received_us: int) -> bool:
    """Whether it can have been ``wall_us`` at the moment of ``reading``, by when its batch arrived."""
    since_us = sent.boot_us - reading.boot_us
    if reading.boot_id != sent.boot_id or since_us < 0:
        return wall_us <= received_us + AHEAD_US
    arrived_us, slack_us = received_us - since_us, since_us // DRIFT
    return arrived_us - BEHIND_US - slack_us <= wall_us <= arrived_us + AHEAD_US + slack_us


def without_untrusted_delays(record: Record, when: CorrectedTime) -> Record:
    """The record without one-way delays, where its clock only said that it was synchronised."""
    if when.believed or not isinstance(record, StampMeasurement) or record.values is None:
        return record
    return replace(record, values=replace(record.values, delay_forward=None, delay_return=None))


def anchor_from_envelope(sent: ClockReading, received_us: int) -> Anchor:
    """The anchor that an envelope gives for the boot in which it was sent."""
    if is_trusted(sent, sent, received_us):
        return _by_clock(sent)
    return anchor_from_arrival(sent, received_us)


def anchor_from_arrival(sent: ClockReading, received_us: int) -> Anchor:
    """Delivery takes no negative time, so the true offset is at most this one."""
    return Anchor(received_us - sent.boot_us, DELIVERY_US, sent.boot_us, AnchorSource.ARRIVAL)


def anchor_from_record(record: Record, sent: ClockReading, received_us: int) -> Anchor | None:
    """The anchor that one measurement gives for its own boot, if its clock may be believed."""
    if is_trusted(record.start, sent, received_us):
        return _by_clock(record.start)
    if isinstance(record, ClockMeasurement) and record.values is not None:
        return _by_peer(record.start, record.values, sent, received_us)
    return None


def _by_clock(reading: ClockReading) -> Anchor:
    offset_us, error_us = reading.wall_us - reading.boot_us, reading.max_error_us
    return Anchor(
        offset_us, AHEAD_US if error_us is None else error_us, reading.boot_us, AnchorSource.SYNCHRONISED
    )


def _by_peer(start: ClockReading, values: ClockValues, sent: ClockReading, received_us: int) -> Anchor | None:
    offset_us, error_us, at_us = values.peer_offset_us, values.peer_error_us, values.peer_boot_us
    if offset_us is None or error_us is None or at_us is None:
        return None
    if not _is_credible(start, start.boot_us + offset_us, sent, received_us):
        return None
    return Anchor(offset_us, error_us, at_us, AnchorSource.PEER)


def should_replace(new: Anchor, known: Anchor | None) -> bool:
    """Whether an anchor should take the place of the one that is known of its boot.

    Of arrivals the one with the shortest delay, but not one of weeks ago for ever. What makes hardly a
    difference is not worth writing.
    """
    if known is None:
        return True
    if new.source is known.source is AnchorSource.ARRIVAL:
        apart_us, later_us = new.at_us - known.at_us, new.offset_us - known.offset_us
        return later_us < -SOONER_US or (apart_us >= FOLLOW_US and later_us <= apart_us // DRIFT)
    before_us = known.error_at(new.at_us)
    return before_us - new.error_us >= max(WORTH_US, before_us // 2)


def should_redate(new: Anchor, known: Anchor | None) -> bool:
    """Whether what was placed by ``known`` should be placed anew."""
    return known is None or known.error_us - new.error_us >= WORTH_US


class NeighbourBound(NamedTuple):
    """What the journal holds beside a boot: when that was at the earliest, or at the latest."""

    time_us: int
    error_us: int


def anchor_from_neighbours(
    first_us: int, last_us: int, before: NeighbourBound | None, after: NeighbourBound
) -> Anchor | None:
    """The anchor of a boot of which only its place in the journal is known.

    Its measurements were made at ``first_us`` to ``last_us`` of CLOCK_BOOTTIME. The machine was started after
    ``before``, and the last of them came no later than ``after``. None where they bound nothing.
    """
    if before is None:
        return None
    least, most = before.time_us - before.error_us, after.time_us + after.error_us - last_us
    if most < least:
        return None
    middle_us = (first_us + last_us) // 2
    error_us = (most - least + 1) // 2 + (last_us - first_us) // DRIFT
    return Anchor((least + most) // 2, error_us, middle_us, AnchorSource.NEIGHBOURS)
