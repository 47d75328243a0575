"""Statistics of one train: delay, delay variation, loss, reordering and duplicates, per direction.

Values are integer microseconds. Forward is from the sender to the reflector, return from the reflector to the
sender. Percentiles are nearest rank: the p-th of n sorted values is the one at rank ceil(p/100 x n), counted
from 1.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from msgspec import Struct

from wire.records import Spread
from wire.stamp.loss import DirectionalLoss, directional_loss
from wire.stamp.sender import Duplicate, Exchange, ReplyArrival


class TrainStatistics(Struct, frozen=True):
    """Statistics of one train of test packets.

    - ``received``: packets answered within ``timeout_us`` (RFC 7680 section 2.8.2); ``late``: those answered
      after it. Late and unanswered packets are lost.
    - ``loss``: None where a lost packet has no known direction.
    - ``delay_*``: None unless both ends state that their clocks are synchronised.
    - ``reordered_*``: by RFC 4737 section 3.3.
    - ``forward_dscp``: DSCP of the requests at the reflector; ``reply_dscp``: DSCP of the received replies.
      Each is the most frequent one of the train.
    - ``refused_dscp``: the reflector's policy forbids the wanted DSCP.
    - ``kernel_stamps``: every round trip is between two kernel stamps.
    - ``followed_up``: number of replies whose true send time is known (RFC 8972 section 4.7).
    """

    sent: int
    received: int
    late: int
    timeout_us: int
    loss_ratio: float
    loss: DirectionalLoss | None
    rtt: Spread | None
    variation_forward: Spread | None
    variation_return: Spread | None
    delay_forward: Spread | None
    delay_return: Spread | None
    reordered_forward: int
    reordered_return: int
    duplicated_forward: int
    duplicated_return: int
    forward_dscp: int | None
    reply_dscp: int | None
    refused_dscp: bool
    kernel_stamps: bool
    followed_up: int


class _Answered(Struct, frozen=True):
    exchange: Exchange
    reply: ReplyArrival

    @property
    def rtt_ns(self) -> int:
        return round_trip_ns(self.exchange, self.reply)

    @property
    def forward_ns(self) -> int:
        return self.reply.reflector_received_ns - self.exchange.sent_ns

    @property
    def return_ns(self) -> int:
        return self.reply.received_ns - self.reply.reflector_sent_ns

    @property
    def synchronised(self) -> bool:
        # PTP time counts TAI: the delay would contain the difference to UTC.
        ends = (self.exchange.estimate, self.reply.estimate)
        return all(end.synchronised and not end.ptp for end in ends)

    @property
    def by_kernel(self) -> bool:
        return self.exchange.sent_by_kernel and self.reply.received_by_kernel


def train_statistics(
    exchanges: Sequence[Exchange], duplicates: Sequence[Duplicate], timeout_ns: int, *, stateful: bool
) -> TrainStatistics:
    """Evaluate a finished train. ``stateful``: the reflector is known to count its own packets."""
    replied = [_Answered(one, one.arrival) for one in exchanges if one.arrival is not None]
    answered = [one for one in replied if one.reply.received_ns - one.exchange.sent_ns <= timeout_ns]
    synchronised = bool(answered) and all(one.synchronised for one in answered)
    forward = [one.forward_ns for one in answered]
    back = [one.return_ns for one in answered]
    sent, received = len(exchanges), len(answered)
    # A stateless reflector copies the sender's number, so that a doubled request looks like a doubled reply.
    copies_forward = _forward_copies(exchanges, duplicates) if stateful else 0
    return TrainStatistics(
        sent=sent,
        received=received,
        late=len(replied) - received,
        timeout_us=timeout_ns // 1000,
        # Over all packets sent, late ones included as lost (RFC 7680 section 2.8.2).
        loss_ratio=(sent - received) / sent if sent else 0.0,
        loss=_loss(sent, answered, replied, duplicates) if stateful else None,
        rtt=spread(one.rtt_ns for one in answered),
        variation_forward=spread(_variation(forward)),
        variation_return=spread(_variation(back)),
        delay_forward=spread(forward) if synchronised else None,
        delay_return=spread(back) if synchronised else None,
        reordered_forward=_reordered_forward(replied) if stateful else 0,
        # Late replies take part in the order: they are lost by the time-out alone.
        reordered_return=_reordered_return(replied),
        duplicated_forward=copies_forward,
        duplicated_return=len(duplicates) - copies_forward,
        forward_dscp=_most_frequent(_forward_dscps(answered)),
        reply_dscp=_most_frequent(
            one.reply.dscp_ecn >> 2 for one in answered if one.reply.dscp_ecn is not None
        ),
        refused_dscp=any(c.refused for one in answered if (c := one.reply.class_of_service)),
        kernel_stamps=bool(answered) and all(one.by_kernel for one in answered),
        followed_up=sum(one.reply.followed_up for one in answered),
    )


def round_trip_ns(exchange: Exchange, reply: ReplyArrival) -> int:
    """Round trip without the reflector's dwell: (T4 - T1) - (T3 - T2) (RFC 8762 section 4.3.1)."""
    dwell = reply.reflector_sent_ns - reply.reflector_received_ns
    return reply.received_ns - exchange.sent_ns - dwell


def spread(values_ns: Iterable[int]) -> Spread | None:
    """Compute minimum and percentiles in microseconds, rounded to the nearest; None without values."""
    ordered = sorted(values_ns)
    if not ordered:
        return None
    return Spread(
        min_us=_micros(ordered[0]),
        p50_us=_micros(percentile(ordered, 50)),
        p95_us=_micros(percentile(ordered, 95)),
        p99_us=_micros(percentile(ordered, 99)),
    )


def percentile(ordered: Sequence[int], percent: int) -> int:
    """Nearest-rank percentile of sorted values, of which there is at least one."""
    return ordered[max(0, -(-percent * len(ordered) // 100) - 1)]


def _micros(nanoseconds: int) -> int:
    return (nanoseconds + 500) // 1000


def _variation(delays_ns: Sequence[int]) -> list[int]:
    """Packet delay variation against the train's minimum (RFC 5481 section 4.2): clock offsets cancel."""
    least = min(delays_ns, default=0)
    return [delay - least for delay in delays_ns]


def _reordered(numbers: Iterable[int]) -> int:
    """Count packets whose number is below the next one expected (RFC 4737 section 3.3)."""
    reordered = expected = 0
    for number in numbers:
        if number < expected:
            reordered += 1
        else:
            expected = number + 1
    return reordered


def _reordered_forward(replied: Sequence[_Answered]) -> int:
    # The reflector numbers packets in the order in which they reach it.
    at_reflector = sorted(replied, key=lambda one: one.reply.sequence)
    return _reordered(one.exchange.sequence for one in at_reflector)


def _reordered_return(replied: Sequence[_Answered]) -> int:
    arriving = sorted(replied, key=lambda one: one.reply.order)
    return _reordered(one.reply.sequence for one in arriving)


def _forward_copies(exchanges: Sequence[Exchange], duplicates: Sequence[Duplicate]) -> int:
    # A duplicate with a reflector number of its own: the request was duplicated, not the reply.
    seen = {one.arrival.sequence for one in exchanges if one.arrival is not None}
    return len({copy.sequence for copy in duplicates} - seen)


def _forward_dscps(answered: Sequence[_Answered]) -> Iterable[int]:
    return (c.received_dscp for one in answered if (c := one.reply.class_of_service))


def _most_frequent(values: Iterable[int]) -> int | None:
    ranked = Counter(values).most_common(1)
    return ranked[0][0] if ranked else None


def _loss(
    sent: int, answered: Sequence[_Answered], replied: Sequence[_Answered], duplicates: Sequence[Duplicate]
) -> DirectionalLoss | None:
    if len(replied) > len(answered):
        # A late packet counts as lost, and the direction that delayed it is not known.
        return None
    pairs = [(one.exchange.sequence, one.reply.sequence) for one in replied]
    pairs += [(copy.sender_sequence, copy.sequence) for copy in duplicates]
    return directional_loss(sent, pairs)
