"""Measurement records: what one attempt of one probe left behind (RFC 7594 calls it a measurement result).

A failed attempt is a measurement too. A value that could not be measured is absent, never 0 or -1.
Units: times are integer microseconds, rates bit/s at the IP layer (RFC 9097), ratios 0 to 1.
"""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

Micros = Annotated[int, Meta(ge=0, le=2**53)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Signed = Annotated[int, Meta(ge=-(2**53), le=2**53)]
Rate = Annotated[float, Meta(ge=0, le=1e12)]
Ratio = Annotated[float, Meta(ge=0, le=1)]
Name = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")]
SiteId = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")]
Epoch = Annotated[str, Meta(pattern=r"\A[0-9a-f]{16}\Z")]
Sequence = Annotated[int, Meta(ge=1, le=2**53)]
Session = Annotated[str, Meta(pattern=r"\A[0-9A-Za-z-]{1,64}\Z")]
Dscp = Annotated[int, Meta(ge=0, le=63)]
Text = Annotated[str, Meta(max_length=300)]


class Purpose(StrEnum):
    """Why a measurement was made. Only ``scheduled`` ones count in a monthly share."""

    SCHEDULED = "scheduled"
    RETEST = "retest"
    PASSIVE = "passive"
    ON_DEMAND = "on-demand"
    CAMPAIGN = "campaign"


class Outcome(StrEnum):
    """Whether the attempt gave values: ``invalid`` gave some that must not be judged by."""

    OK = "ok"
    FAILED = "failed"
    INVALID = "invalid"
    SKIPPED = "skipped"


class Failure(StrEnum):
    """Why an attempt gave no usable values: the closed vocabulary, each naming whose fault it is."""

    # the agent's own doing
    INTERNAL = "internal-error"
    DEADLINE = "deadline-exceeded"
    CANCELLED = "cancelled"
    SENDER_SLOW = "sender-slow"
    SENDER_STALLED = "sender-stalled"
    SEND_BLOCKED = "send-blocked"
    RECEIVER_SLOW = "receiver-slow"
    COUNTERS = "counters-unavailable"
    CLOCK_STEPPED = "clock-stepped"
    # the configuration's
    CONFIGURATION = "configuration"
    NAME_UNKNOWN = "name-unknown"
    # the peer's
    PEER_REFUSED = "peer-refused"
    PEER_BUSY = "peer-busy"
    PEER_PROTOCOL = "peer-protocol"
    PEER_SLOW = "peer-slow"
    # the network's, or nobody's that can be told from here
    NO_ANSWER = "no-answer"
    UNREACHABLE = "network-unreachable"
    CONNECTION_LOST = "connection-lost"
    # not tried at all
    LINE_BUSY = "line-busy"
    MISSED_SLOT = "missed-slot"


class Direction(StrEnum):
    """Seen from the site: ``down`` is towards it."""

    DOWN = "down"
    UP = "up"


class Verdict(StrEnum):
    """Whether the line gave at least the floor. ``undetermined``: still grey after the repeats."""

    PASS = "pass"  # noqa: S105 -- a verdict, not a password
    FAIL = "fail"
    GREY = "grey"
    UNDETERMINED = "undetermined"
    UNCONFIRMED = "unconfirmed"
    INVALID = "invalid"


class Finding(StrEnum):
    """What one fixed-rate test showed of the line."""

    CLEAR = "clear"
    QUEUE = "queue"
    POLICED = "policed"
    LOSS = "loss"
    BETWEEN = "between"
    INVALID = "invalid"


class LineCounters(StrEnum):
    """How the site's own traffic during a test was known."""

    INLINE = "inline"
    NONE = "none"


class ClockReading(Struct, frozen=True, kw_only=True):
    """One moment on the agent's clocks, and how far its wall clock may be trusted.

    ``wall_us`` since the Unix epoch, ``boot_us`` on CLOCK_BOOTTIME, ``max_error_us`` as adjtimex tells it.
    """

    wall_us: Micros
    boot_us: Micros
    boot_id: Name
    synchronised: bool
    max_error_us: Micros | None = None


class Spread(Struct, frozen=True, kw_only=True):
    """Minimum and nearest-rank percentiles of one train, in microseconds."""

    min_us: Signed
    p50_us: Signed
    p95_us: Signed
    p99_us: Signed


class FloorTest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One fixed-rate test (RFC 9946 with srIndexConf fixed). Rates at the IP layer.

    ``capacity_bps`` is R / (1 + slope) x delivered ratio; it is absent where only "at least the received
    rate" can be said; it includes ``other_traffic_bps``, the site's own traffic meanwhile. ``slope`` is the
    growth of one-way delay per second of sending, ``queue_growth_us`` that growth from first to last packets.
    ``failure`` says why an invalid test had to be thrown away.
    """

    session: Session
    planned_bps: Rate
    finding: Finding
    sent_bps: Rate
    received_bps: Rate
    duration_us: Micros
    sent_packets: Count
    received_packets: Count
    loss_ratio: Ratio
    slope: Annotated[float, Meta(ge=-1, le=1e6)]
    queue_growth_us: Signed
    stall_ratio: Ratio = 0.0
    capacity_bps: Rate | None = None
    other_traffic_bps: Rate | None = None
    rtt_min_us: Micros | None = None
    failure: Failure | None = None


class FloorValues(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The floor verdict of one direction, with every test that led to it, first to last.

    ``capacity_bps`` is the line's capacity where it could be told, ``at_least_bps`` what it was seen to
    carry. ``floor_bps`` is the contract's floor converted to the IP layer.
    """

    verdict: Verdict
    floor_bps: Rate
    line_counters: LineCounters
    tests: Annotated[tuple[FloorTest, ...], Meta(max_length=16)]
    at_least_bps: Rate
    capacity_bps: Rate | None = None
    loss_ratio: Ratio | None = None

    def told_capacity(self) -> tuple[float, bool]:
        """What to tell of the capacity, bit/s, and whether it is exact; else the line gives at least so much.

        A pass says "at least the floor": what was received in its test falls short of the floor by the test's
        tolerance, and must not read as a line below it.
        """
        if self.capacity_bps is not None:
            return self.capacity_bps, True
        if self.verdict is Verdict.PASS:
            return max(self.at_least_bps, self.floor_bps), False
        return self.at_least_bps, False


class StampValues(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One STAMP train (RFC 8762) in one DSCP class.

    Round-trip time excludes the reflector's dwell. Variation is RFC 5481 packet delay variation, to the
    minimum of the train. Loss follows RFC 7680 with the stated time-out; per direction only where the
    reflector is stateful. One-way delay only when both ends said their clocks are synchronised.
    """

    sent: Count
    received: Count
    timeout_us: Micros
    loss_ratio: Ratio
    loss_forward_ratio: Ratio | None = None
    loss_return_ratio: Ratio | None = None
    rtt: Spread | None = None
    variation_forward: Spread | None = None
    variation_return: Spread | None = None
    delay_forward: Spread | None = None
    delay_return: Spread | None = None
    reordered_forward: Count = 0
    reordered_return: Count = 0
    duplicated: Count = 0
    reply_dscp: Dscp | None = None
    authenticated: bool = True
    kernel_stamps: bool = True


class Attempt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What every measurement carries, whatever its probe and its agent's version.

    Identity is (site, epoch, seq); the journal gives epoch and seq. ``slot_us`` is the wall time at which
    the schedule's slot began, ``interval_us`` the schedule's interval, ``schedule`` its id. ``bytes_sent``
    and ``bytes_received`` are what the attempt cost the line, IP layer.
    """

    epoch: Epoch
    seq: Sequence
    peer: Name
    start: ClockReading
    duration_us: Micros
    outcome: Outcome
    slot_us: Micros | None = None
    interval_us: Micros | None = None
    schedule: Name | None = None
    session: Session | None = None
    direction: Direction | None = None
    dscp: Dscp | None = None
    detail: Text = ""
    bytes_sent: Count = 0
    bytes_received: Count = 0


class Measurement(Attempt, frozen=True, kw_only=True):
    """An attempt in words that this version knows."""

    purpose: Purpose
    failure: Failure | None = None


class FloorMeasurement(Measurement, frozen=True, kw_only=True, tag_field="probe", tag="floor"):
    """Did this direction of the line give at least the floor?"""

    values: FloorValues | None = None


class StampMeasurement(Measurement, frozen=True, kw_only=True, tag_field="probe", tag="stamp"):
    """Latency, loss and delay variation of one DSCP class."""

    values: StampValues | None = None


class UnknownMeasurement(Attempt, frozen=True, kw_only=True):
    """A measurement of a newer agent: of a probe, or told in a word, that this version does not know.

    What is common to all is kept, its words as they came. Outcomes and directions are no such words: who
    does not know one of them would misread the rest, so that a new one raises the schema.
    """

    probe: Name
    purpose: Name
    failure: Name | None = None


Known = FloorMeasurement | StampMeasurement
Record = Known | UnknownMeasurement
KNOWN: dict[str, type[Known]] = {"floor": FloorMeasurement, "stamp": StampMeasurement}


def probe_of(record: Record) -> str:
    """The probe's name, as it stands on the wire."""
    if isinstance(record, UnknownMeasurement):
        return record.probe
    return str(record.__struct_config__.tag)
