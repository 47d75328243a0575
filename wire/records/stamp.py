"""Record of the STAMP probe: one train in one DSCP class."""

from wire.records.attempt import Measurement, Values
from wire.records.moments import Spread
from wire.records.vocabulary import Count, Dscp, Micros, Ratio


class StampValues(Values, frozen=True, kw_only=True, omit_defaults=True):
    """One STAMP train (RFC 8762) in one DSCP class.

    Round-trip time excludes the reflector's dwell. Variation is RFC 5481 packet delay variation, to the
    minimum of the train. Loss follows RFC 7680 with the stated time-out; per direction only where the
    reflector is stateful. One-way delay only when both ends said their clocks are synchronised.
    ``forward_dscp`` is the class in which the packets reached the peer. ``reply_dscp`` is the class in which
    the replies arrived, and ``requested_dscp`` the class requested for them (RFC 8972 section 4.4).
    ``reply_refused``: the peer did not use it.
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
    forward_dscp: Dscp | None = None
    reply_dscp: Dscp | None = None
    requested_dscp: Dscp | None = None
    reply_refused: bool = False
    authenticated: bool = True
    kernel_stamps: bool = True


class StampMeasurement(Measurement, frozen=True, kw_only=True, tag="stamp"):
    """Latency, loss and delay variation of one DSCP class."""

    values: StampValues | None = None
