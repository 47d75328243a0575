"""Latency, loss and delay variation of each DSCP class (STAMP), and whether the class is kept."""

from collections.abc import Iterator

from collector.live.site_state import LiveSite, current
from collector.metrics.families.family import Family, Samples, dscp_label, stats
from wire.records import StampValues


def _trains(site: LiveSite, now_us: int) -> Iterator[tuple[str, StampValues]]:
    return ((dscp_label(seen), values) for seen, values in current(site, StampValues, now_us))


def _rtt(site: LiveSite, now_us: int) -> Samples:
    for dscp, values in _trains(site, now_us):
        yield from stats(dscp, values.rtt)


def _variation(site: LiveSite, now_us: int) -> Samples:
    for dscp, values in _trains(site, now_us):
        yield from stats(f'{dscp},direction="up"', values.variation_forward)
        yield from stats(f'{dscp},direction="down"', values.variation_return)


def _delay(site: LiveSite, now_us: int) -> Samples:
    for dscp, values in _trains(site, now_us):
        yield from stats(f'{dscp},direction="up"', values.delay_forward)
        yield from stats(f'{dscp},direction="down"', values.delay_return)


def _loss(site: LiveSite, now_us: int) -> Samples:
    for dscp, values in _trains(site, now_us):
        if values.loss_forward_ratio is not None:
            yield f'{dscp},direction="up"', values.loss_forward_ratio
        if values.loss_return_ratio is not None:
            yield f'{dscp},direction="down"', values.loss_return_ratio


def _round_trip_loss(site: LiveSite, now_us: int) -> Samples:
    return ((dscp, values.loss_ratio) for dscp, values in _trains(site, now_us))


def _kept(site: LiveSite, now_us: int) -> Samples:
    """The way back is judged only where the peer agreed to reply in the class (RFC 8972 section 4.4)."""
    for seen, values in current(site, StampValues, now_us):
        if values.forward_dscp is not None:
            yield f'{dscp_label(seen)},direction="up"', int(values.forward_dscp == seen.series.dscp)
        wished = None if values.reply_refused else values.wished_dscp
        if wished is not None and values.reply_dscp is not None:
            yield f'{dscp_label(seen)},direction="down"', int(values.reply_dscp == wished)


FAMILIES: tuple[Family, ...] = (
    Family("qos_rtt_seconds", "gauge", "Round-trip time of the last STAMP train.", _rtt),
    Family(
        "qos_delay_variation_seconds",
        "gauge",
        "Packet delay variation (RFC 5481) of the last STAMP train.",
        _variation,
    ),
    Family(
        "qos_one_way_delay_seconds", "gauge", "One-way delay, where both clocks are synchronised.", _delay
    ),
    Family("qos_loss_ratio", "gauge", "Packet loss (RFC 7680) of the last STAMP train, by direction.", _loss),
    Family(
        "qos_round_trip_loss_ratio",
        "gauge",
        "Packet loss of the last STAMP train, both ways.",
        _round_trip_loss,
    ),
    Family("qos_dscp_kept", "gauge", "Whether packets arrived in the class they were sent in.", _kept),
)
