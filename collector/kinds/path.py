"""The way to the peer in one DSCP class: its hops, what they do to the mark, and its MTU."""

from collections.abc import Iterator

from msgspec import structs

from collector.kinds.kind import Gauge, MeasurementKind, Samples, dscp_label
from collector.model.notice import Notice
from collector.model.observation import Observation
from wire.records import PathMeasurement, PathValues


def _thinned(found: PathValues) -> PathValues:
    """Values with the last hop, and those hops that change or drop packets."""
    kept = {found.mtu_limited_at}
    # The change happened between the last hop in the old class and the first one in the new class.
    if found.dscp_changed_at is not None:
        kept |= {found.dscp_changed_at - 1, found.dscp_changed_at}
    hops = tuple(hop for hop in found.hops if hop.ttl in kept or hop is found.hops[-1])
    return structs.replace(found, hops=hops)


def _hops(seen: Observation, values: PathValues) -> Samples:
    if values.hops:
        yield dscp_label(seen), values.hops[-1].ttl


def _mtu(seen: Observation, values: PathValues) -> Samples:
    if values.path_mtu_bytes is not None:
        yield f'{dscp_label(seen)},direction="up"', values.path_mtu_bytes
    if values.return_mtu_bytes is not None:
        yield f'{dscp_label(seen)},direction="down"', values.return_mtu_bytes


def _changed_at(seen: Observation, values: PathValues) -> Samples:
    if values.dscp_changed_at is not None:
        became = "" if values.dscp_became is None else values.dscp_became
        yield f'{dscp_label(seen)},became="{became}"', values.dscp_changed_at


def _notices(seen: Observation, found: PathValues) -> Iterator[Notice]:
    if found.dscp_changed_at is not None and seen.series.dscp is not None:
        place = _place(found, found.dscp_changed_at)
        yield Notice("path-class-changed", None, seen.series.dscp, found.dscp_changed_at, place)
    if found.black_hole:
        yield Notice("black-hole", None, found.path_mtu_bytes or 0)
    elif found.mtu_limited_at is not None and found.path_mtu_bytes is not None:
        place = found.mtu_limited_by or _place(found, found.mtu_limited_at)
        yield Notice("path-mtu", None, found.path_mtu_bytes, found.mtu_limited_at, place)
    if not found.reached:
        yield Notice("not-reached", None, found.hops[-1].ttl if found.hops else 0)


def _place(found: PathValues, ttl: int) -> str:
    return next((hop.address or "" for hop in found.hops if hop.ttl == ttl), "")


PATH = MeasurementKind(
    record=PathMeasurement,
    values=PathValues,
    attempt=("last trace:", "dernier relevé du chemin :"),
    thinned=_thinned,
    gauges=(
        Gauge("qos_path_hops", "Hops to the last router, or the peer, that was tried.", _hops),
        Gauge(
            "qos_path_reached",
            "Whether the trace reached the peer.",
            lambda seen, values: ((dscp_label(seen), int(values.reached)),),
        ),
        Gauge("qos_path_mtu_bytes", "Largest IP packet that arrived.", _mtu),
        Gauge(
            "qos_path_black_hole",
            "Whether larger packets vanish and no router reports it.",
            lambda seen, values: ((dscp_label(seen), int(values.black_hole)),),
        ),
        Gauge("qos_path_dscp_changed_hop", "First hop that received packets in another class.", _changed_at),
    ),
    notices=_notices,
    sentences={
        "path-class-changed": (
            "path: DSCP {number} is changed before hop {other} {place}",
            "chemin : DSCP {number} modifié avant le saut {other} {place}",
        ),
        "path-mtu": (
            "path: no packets larger than {number} bytes from hop {other} {place}",
            "chemin : pas de paquets de plus de {number} octets à partir du saut {other} {place}",
        ),
        "black-hole": (
            "path: packets larger than {number} bytes vanish without an error message",
            "chemin : les paquets de plus de {number} octets disparaissent sans message d'erreur",
        ),
        "not-reached": (
            "path: ends at hop {number}, before the peer",
            "chemin : s'arrête au saut {number}, avant le pair",
        ),
    },
)
