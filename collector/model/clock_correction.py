"""Clock correction: the time at which a measurement was made, and the error of that time. Pure.

An agent's wall clock may be wrong: a single-board computer has no battery, and NTP may be blocked. Its
CLOCK_BOOTTIME counts correctly from the start of the machine, apart from drift. An *anchor* of a boot is
therefore enough to date every measurement of it: UTC less CLOCK_BOOTTIME at one moment, and its error.

A measurement is dated by the first rule that applies:

| its clock   | anchor of its boot                | time                            | error                |
|-------------|-----------------------------------|---------------------------------|----------------------|
| trusted     | not needed                        | its own wall clock              | stated, or 5 minutes |
| not trusted | known                             | its CLOCK_BOOTTIME + the anchor | anchor's, plus drift |
| not trusted | none, but it was sent in its boot | same, anchored by its arrival   | 60 s, plus drift     |
| not trusted | none                              | its own wall clock, as claimed  | None: *undated*      |

A clock is *trusted* if it is synchronised and its reading is credible. A reading is credible unless it is
more than 5 minutes ahead of its arrival. If it was sent in the same boot, it must also be no more than 7 days
behind.

A boot has one anchor, which comes from one of four sources:

| source       | offset                                   | error                                    |
|--------------|------------------------------------------|------------------------------------------|
| synchronised | a trusted clock reading of the boot      | as the kernel states, or 5 minutes       |
| peer         | STAMP replies of a synchronised peer     | half a round trip, as the agent states   |
| arrival      | arrival of a batch less its sending      | 60 s, an assumption                      |
| neighbours   | boots before and after it in the journal | half the distance between the two bounds |

``should_replace`` decides whether a new anchor takes the place of the known one, and ``should_redate``
whether measurements dated by the known one are dated again. The second asks for a gain of half a second.
Otherwise years of records of a site without any clock would be rewritten every hour.

What must never happen:

- a claim that is not trusted passes as a time with a known error;
- a time in the future, older than the ledger keeps, or *undated* reaches a view. ``passed_over`` says which.
"""

from enum import StrEnum
from typing import NamedTuple

from msgspec.structs import replace

from collector.model.observation import AHEAD_US, PassedOver
from wire.records import ClockMeasurement, ClockReading, ClockValues, Record, StampMeasurement

# Agents send again, with a new time of sending, what has no receipt: so no delivery takes a week.
# Distance behind its arrival at which a reading that was sent in its own boot is a wrong clock.
BEHIND_US = 7 * 86_400_000_000

# The one figure here that nobody measures: an arrival bounds the offset from one side only (decision 22).
# Assumed duration of the quickest delivery of a boot, at most.
DELIVERY_US = 60_000_000

DRIFT = 10_000  # one part in this: 100 ppm, the error of a cheap crystal with age and temperature
RETENTION_US = 25 * 2_629_746_000_000  # 25 months: older evidence is not kept
WORTH_US = 500_000  # least gain for which an anchor, or measurements dated by it, are written again
SOONER_US = 1_000_000  # least gain in delivery time for which an arrival replaces the known one
FOLLOW_US = 3_600_000_000  # an arrival anchor follows the drift once an hour, by when it is 0.36 s at most


class AnchorSource(StrEnum):
    """Evidence on which an anchor rests."""

    SYNCHRONISED = "synchronised"
    PEER = "peer"
    ARRIVAL = "arrival"
    NEIGHBOURS = "neighbours"


class Anchor(NamedTuple):
    """UTC less CLOCK_BOOTTIME in one boot, right within ``error_us`` when CLOCK_BOOTTIME was ``at_us``."""

    offset_us: int
    error_us: int
    at_us: int
    source: AnchorSource

    def error_at(self, boot_us: int) -> int:
        """Error at another moment of the boot, with the drift between the two."""
        return self.error_us + abs(boot_us - self.at_us) // DRIFT


class CorrectedTime(NamedTuple):
    """Time of a measurement, and the offset of its claim from that time.

    ``error_us`` bounds the error of ``time_us``, or is None if the measurement is undated. ``trusted`` is
    true if the claim was kept because its clock is trusted.
    """

    time_us: int
    clock_offset_us: int
    ahead: bool
    outdated: bool = False
    error_us: int | None = None
    trusted: bool = False


def correct(
    start: ClockReading, sent: ClockReading, received_us: int, anchor: Anchor | None = None
) -> CorrectedTime:
    """Date a measurement by the first of the four rules of this module that applies."""
    if is_trusted(start, sent, received_us):
        return corrected_to(start.wall_us, start.wall_us, received_us, _stated_error_us(start), trusted=True)
    if anchor is None and start.boot_id == sent.boot_id and start.boot_us <= sent.boot_us:
        anchor = anchor_from_arrival(sent, received_us)
    if anchor is None:
        return corrected_to(start.wall_us, start.wall_us, received_us, None)
    return correct_by_anchor(start.boot_us, start.wall_us, received_us, anchor)


def correct_by_anchor(boot_us: int, claimed_us: int, received_us: int, anchor: Anchor) -> CorrectedTime:
    """Date a measurement made at ``boot_us`` of its boot, whatever time it claims."""
    return corrected_to(boot_us + anchor.offset_us, claimed_us, received_us, anchor.error_at(boot_us))


def corrected_to(
    time_us: int, claimed_us: int, received_us: int, error_us: int | None, *, trusted: bool = False
) -> CorrectedTime:
    """Corrected time with its marks: ahead of its arrival, or older than the ledger keeps."""
    time_us = max(0, time_us)
    return CorrectedTime(
        time_us,
        claimed_us - time_us,
        ahead=time_us > received_us + AHEAD_US,
        outdated=time_us < received_us - RETENTION_US,
        error_us=error_us,
        trusted=trusted,
    )


def passed_over(when: CorrectedTime) -> PassedOver | None:
    """Reason for which views pass over a measurement of this time, or None."""
    if when.error_us is None:
        return PassedOver.UNDATED
    if when.ahead:
        return PassedOver.AHEAD
    return PassedOver.OUTDATED if when.outdated else None


def is_trusted(reading: ClockReading, sent: ClockReading, received_us: int) -> bool:
    """Check that a clock reading is synchronised and credible."""
    return reading.synchronised and _is_credible(reading, reading.wall_us, sent, received_us)


def _is_credible(reading: ClockReading, wall_us: int, sent: ClockReading, received_us: int) -> bool:
    """Check ``wall_us`` as the time of ``reading`` against the arrival of the batch."""
    since_us = sent.boot_us - reading.boot_us
    if reading.boot_id != sent.boot_id or since_us < 0:
        return wall_us <= received_us + AHEAD_US
    arrived_us, slack_us = received_us - since_us, since_us // DRIFT
    return arrived_us - BEHIND_US - slack_us <= wall_us <= arrived_us + AHEAD_US + slack_us


def without_untrusted_delays(record: Record, when: CorrectedTime) -> Record:
    """Record without one-way delays, unless the clock that measured them is trusted."""
    if when.trusted or not isinstance(record, StampMeasurement) or record.values is None:
        return record
    return replace(record, values=replace(record.values, delay_forward=None, delay_return=None))


def anchor_from_envelope(sent: ClockReading, received_us: int) -> Anchor:
    """Anchor of the boot in which an envelope was sent."""
    if is_trusted(sent, sent, received_us):
        return _from_clock(sent)
    return anchor_from_arrival(sent, received_us)


def anchor_from_arrival(sent: ClockReading, received_us: int) -> Anchor:
    """Anchor that takes the arrival for the sending; the true offset is smaller, by the delivery time."""
    return Anchor(received_us - sent.boot_us, DELIVERY_US, sent.boot_us, AnchorSource.ARRIVAL)


def anchor_from_record(record: Record, sent: ClockReading, received_us: int) -> Anchor | None:
    """Anchor that one measurement gives for its own boot, or None if its clock is not trusted."""
    if is_trusted(record.start, sent, received_us):
        return _from_clock(record.start)
    if isinstance(record, ClockMeasurement) and record.values is not None:
        return _from_peer(record.start, record.values, sent, received_us)
    return None


def _from_clock(reading: ClockReading) -> Anchor:
    offset_us = reading.wall_us - reading.boot_us
    return Anchor(offset_us, _stated_error_us(reading), reading.boot_us, AnchorSource.SYNCHRONISED)


def _stated_error_us(reading: ClockReading) -> int:
    # A kernel without an estimate is trusted no further than the check of the claim reaches.
    return AHEAD_US if reading.max_error_us is None else reading.max_error_us


def _from_peer(
    start: ClockReading, values: ClockValues, sent: ClockReading, received_us: int
) -> Anchor | None:
    offset_us, error_us, at_us = values.peer_offset_us, values.peer_error_us, values.peer_boot_us
    if offset_us is None or error_us is None or at_us is None:
        return None
    if not _is_credible(start, start.boot_us + offset_us, sent, received_us):
        return None
    return Anchor(offset_us, error_us, at_us, AnchorSource.PEER)


def should_replace(new: Anchor, known: Anchor | None) -> bool:
    """Decide whether a new anchor takes the place of the known one of its boot.

    An anchor replaces another one whose error is at least twice its own, and half a second more. Of two
    arrivals, the one with the shorter delivery wins by a second. An hour later, a new arrival also wins if
    drift explains the difference.
    """
    if known is None:
        return True
    if new.source is known.source is AnchorSource.ARRIVAL:
        apart_us, later_us = new.at_us - known.at_us, new.offset_us - known.offset_us
        # The quickest delivery of a whole boot would be wrong by the drift since: 260 s after a month.
        return later_us < -SOONER_US or (apart_us >= FOLLOW_US and later_us <= apart_us // DRIFT)
    before_us = known.error_at(new.at_us)
    return before_us - new.error_us >= max(WORTH_US, before_us // 2)


def should_redate(new: Anchor, known: Anchor | None) -> bool:
    """Decide whether measurements that were dated by the known anchor are dated again by the new one."""
    return known is None or known.error_us - new.error_us >= WORTH_US


class NeighbourBound(NamedTuple):
    """Time of a neighbour of a boot in the journal: the latest before it, or the earliest after it."""

    time_us: int
    error_us: int


def anchor_from_neighbours(
    first_us: int, last_us: int, before: NeighbourBound | None, after: NeighbourBound
) -> Anchor | None:
    """Anchor of a boot of which only its place in the journal is known, or None without two bounds.

    Its measurements were made at ``first_us`` to ``last_us`` of CLOCK_BOOTTIME. The machine started after
    ``before``, and the last measurement was made no later than ``after``.
    """
    if before is None:
        return None
    least, most = before.time_us - before.error_us, after.time_us + after.error_us - last_us
    if most < least:
        return None
    middle_us = (first_us + last_us) // 2
    error_us = (most - least + 1) // 2 + (last_us - first_us) // DRIFT
    return Anchor((least + most) // 2, error_us, middle_us, AnchorSource.NEIGHBOURS)
