"""What load does to the line, what the site itself carries over it, and the path behind it."""

from collections.abc import Iterator

from collector.live.site_state import InterfaceLoss, LiveSite, current
from collector.metrics.families.family import Family, Samples, dscp_label
from wire.records import (
    CapacityValues,
    Direction,
    FloorValues,
    InterfaceFlow,
    InterfaceValues,
    LatencyUnderLoad,
    PathValues,
    Spread,
)


def _loads(site: LiveSite, now_us: int) -> Iterator[tuple[str, LatencyUnderLoad]]:
    searches = [(seen, values.under_load) for seen, values in current(site, CapacityValues, now_us)]
    floors = [(seen, values.under_load) for seen, values in current(site, FloorValues, now_us)]
    for seen, found in floors + searches:
        if found is not None:
            yield f',direction="{seen.series.direction or ""}",load="{seen.series.probe}"', found


def _loaded(site: LiveSite, now_us: int) -> Samples:
    for labels, found in _loads(site, now_us):
        yield from _middle_and_high(labels, found.loaded)


def _idle(site: LiveSite, now_us: int) -> Samples:
    for labels, found in _loads(site, now_us):
        yield from _middle_and_high(labels, found.idle)


def _middle_and_high(labels: str, spread: Spread | None) -> Samples:
    """Of a train as short as a load test, the 99th percentile is its one worst packet."""
    if spread is not None:
        yield f'{labels},stat="p50"', spread.p50_us / 1e6
        yield f'{labels},stat="p95"', spread.p95_us / 1e6


def _load_loss(site: LiveSite, now_us: int) -> Samples:
    for labels, found in _loads(site, now_us):
        if found.loss_ratio is not None:
            yield labels, found.loss_ratio


def _flows(found: InterfaceValues) -> tuple[tuple[Direction, InterfaceFlow], ...]:
    return (Direction.DOWN, found.down), (Direction.UP, found.up)


def _traffic(site: LiveSite, now_us: int) -> Samples:
    for _, values in current(site, InterfaceValues, now_us):
        for direction, flow in _flows(values):
            yield f',direction="{direction}",stat="mean"', flow.mean_bps
            yield f',direction="{direction}",stat="peak"', flow.peak_bps


def _carrier(site: LiveSite, now_us: int) -> Samples:
    for _, values in current(site, InterfaceValues, now_us):
        if values.carrier is not None:
            yield "", int(values.carrier)


def _speed(site: LiveSite, now_us: int) -> Samples:
    for _, values in current(site, InterfaceValues, now_us):
        if values.speed_bps is not None:
            yield "", values.speed_bps


def _errors(site: LiveSite, _now_us: int) -> Samples:
    return _refused(site, InterfaceLoss.ERRORS)


def _drops(site: LiveSite, _now_us: int) -> Samples:
    return _refused(site, InterfaceLoss.DROPS)


def _refused(site: LiveSite, kind: InterfaceLoss) -> Samples:
    for direction in Direction:
        if (kind, direction) in site.refused:
            yield f',direction="{direction}"', site.refused[kind, direction]


def _carrier_losses(site: LiveSite, _now_us: int) -> Samples:
    if site.carrier_losses is not None:
        yield "", site.carrier_losses


def _hops(site: LiveSite, now_us: int) -> Samples:
    for seen, values in current(site, PathValues, now_us):
        if values.hops:
            yield dscp_label(seen), values.hops[-1].ttl


def _reached(site: LiveSite, now_us: int) -> Samples:
    return ((dscp_label(seen), int(found.reached)) for seen, found in current(site, PathValues, now_us))


def _mtu(site: LiveSite, now_us: int) -> Samples:
    for seen, values in current(site, PathValues, now_us):
        if values.path_mtu_bytes is not None:
            yield f'{dscp_label(seen)},direction="up"', values.path_mtu_bytes
        if values.return_mtu_bytes is not None:
            yield f'{dscp_label(seen)},direction="down"', values.return_mtu_bytes


def _black_hole(site: LiveSite, now_us: int) -> Samples:
    return ((dscp_label(seen), int(found.black_hole)) for seen, found in current(site, PathValues, now_us))


def _changed_at(site: LiveSite, now_us: int) -> Samples:
    for seen, values in current(site, PathValues, now_us):
        if values.dscp_changed_at is not None:
            became = "" if values.dscp_became is None else values.dscp_became
            yield f'{dscp_label(seen)},became="{became}"', values.dscp_changed_at


FAMILIES: tuple[Family, ...] = (
    Family("qos_rtt_under_load_seconds", "gauge", "Round-trip time while a load test ran.", _loaded),
    Family("qos_rtt_before_load_seconds", "gauge", "Round-trip time just before it, idle.", _idle),
    Family("qos_loss_under_load_ratio", "gauge", "Loss of the train under load, both ways.", _load_loss),
    Family(
        "qos_interface_bits_per_second",
        "gauge",
        "The site's own traffic in the last record of its interface, IP layer.",
        _traffic,
    ),
    Family("qos_interface_carrier", "gauge", "Whether the link of the interface is up.", _carrier),
    Family("qos_interface_speed_bits_per_second", "gauge", "What the link negotiated.", _speed),
    Family("qos_interface_errors_total", "counter", "Errors that the interface counted.", _errors),
    Family("qos_interface_drops_total", "counter", "Packets that the interface dropped.", _drops),
    Family(
        "qos_interface_carrier_losses_total", "counter", "How often the carrier was lost.", _carrier_losses
    ),
    Family("qos_path_hops", "gauge", "Hops to the last router, or the peer, that was tried.", _hops),
    Family("qos_path_reached", "gauge", "Whether the trace reached the peer.", _reached),
    Family("qos_path_mtu_bytes", "gauge", "Largest IP packet that came through.", _mtu),
    Family("qos_path_black_hole", "gauge", "Whether larger packets vanish and nobody says so.", _black_hole),
    Family(
        "qos_path_dscp_changed_hop", "gauge", "First hop that received packets in another class.", _changed_at
    ),
)
