"""STAMP trains: latency, loss and delay variation of one DSCP class, and whether the class is kept."""

from collections.abc import Iterator

from collector.kinds.kind import Gauge, MeasurementKind, Samples, dscp_label, stats
from collector.model.notice import Notice
from collector.model.observation import Observation
from wire.records import Direction, StampMeasurement, StampValues


def _variation(seen: Observation, values: StampValues) -> Samples:
    yield from stats(f'{dscp_label(seen)},direction="up"', values.variation_forward)
    yield from stats(f'{dscp_label(seen)},direction="down"', values.variation_return)


def _delay(seen: Observation, values: StampValues) -> Samples:
    yield from stats(f'{dscp_label(seen)},direction="up"', values.delay_forward)
    yield from stats(f'{dscp_label(seen)},direction="down"', values.delay_return)


def _loss(seen: Observation, values: StampValues) -> Samples:
    # A stateless reflector gives loss no direction: then only the round trip has a ratio.
    if values.loss_forward_ratio is not None:
        yield f'{dscp_label(seen)},direction="up"', values.loss_forward_ratio
    if values.loss_return_ratio is not None:
        yield f'{dscp_label(seen)},direction="down"', values.loss_return_ratio


def _class_changes(sent: int | None, values: StampValues) -> Iterator[tuple[Direction, int, int]]:
    """Direction, DSCP sent and DSCP received, if both are known."""
    if sent is not None and values.forward_dscp is not None:
        yield Direction.UP, sent, values.forward_dscp
    # A peer may refuse to reply in the class (RFC 8972 section 4.4); the line is not to blame then.
    requested = None if values.reply_refused else values.requested_dscp
    if requested is not None and values.reply_dscp is not None:
        yield Direction.DOWN, requested, values.reply_dscp


def _kept(seen: Observation, values: StampValues) -> Samples:
    for direction, sent, arrived in _class_changes(seen.series.dscp, values):
        yield f'{dscp_label(seen)},direction="{direction}"', int(arrived == sent)


def _notices(seen: Observation, values: StampValues) -> Iterator[Notice]:
    for direction, sent, arrived in _class_changes(seen.series.dscp, values):
        if arrived != sent:
            yield Notice("class-changed", direction, sent, arrived)


STAMP = MeasurementKind(
    record=StampMeasurement,
    values=StampValues,
    attempt=("last latency train:", "dernière mesure de latence :"),
    proves_line=True,
    gauges=(
        Gauge(
            "qos_rtt_seconds",
            "Round-trip time of the last STAMP train.",
            lambda seen, values: stats(dscp_label(seen), values.rtt),
        ),
        Gauge(
            "qos_delay_variation_seconds",
            "Packet delay variation (RFC 5481) of the last STAMP train.",
            _variation,
        ),
        Gauge("qos_one_way_delay_seconds", "One-way delay, where both clocks are synchronised.", _delay),
        Gauge("qos_loss_ratio", "Packet loss (RFC 7680) of the last STAMP train, by direction.", _loss),
        Gauge(
            "qos_round_trip_loss_ratio",
            "Packet loss of the last STAMP train, both ways.",
            lambda seen, values: ((dscp_label(seen), values.loss_ratio),),
        ),
        Gauge("qos_dscp_kept", "Whether packets arrived in the class they were sent in.", _kept),
    ),
    notices=_notices,
    sentences={
        "class-changed": (
            "DSCP {number} arrives as {other}, direction {direction}",
            "DSCP {number} arrive en {other}, sens {direction}",
        )
    },
)
